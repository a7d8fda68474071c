//! The members of a group, who follows whom, and what is done to them while clients work.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use stdx::rng::Rng;

use super::clients::{strange, strange_db};
use super::life::WRITERS_MAX;
use super::node::{Kind, Node};
use crate::{Client, Side};

/// All members. One of them is the master, and the others follow it, or each other.
pub(super) struct Members {
    pub(super) nodes: Vec<Node>,
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    /// What was done, for whoever looks for the cause of something.
    pub(super) told: Vec<String>,
    /// Whether somebody has followed the master in this round who does not else: those who were waited for may be others.
    pub(super) is_ambiguous: bool,
    began: Instant,
}

/// What is drawn for a group once.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kinds: Vec<Kind>,
    pub(super) is_chain: bool,
    pub(super) flows: bool,
    pub(super) appendfsync: &'static str,
    pub(super) diskless_load: &'static str,
    pub(super) repl_timeout_s: u64,
    pub(super) backlog: &'static str,
    pub(super) segment: &'static str,
    /// Whether replicas answer while their master is away.
    pub(super) serves_stale: bool,
    /// Keys that are there from the beginning, so that a full sync takes its time.
    pub(super) bulk_keys: u64,
    pub(super) databases: usize,
}

/// What is done to a group while clients work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disturbance {
    KillReplica,
    StopReplica,
    KillWhileItStarts,
    Freeze,
    FreezeMaster,
    CutOne,
    CutAll,
    CutWithin,
    Hold,
    Halve,
    Elsewhere,
    NobodyAndBack,
    DisklessLoad,
    KillLinks,
    Snapshot,
    Nowhere,
    LogOffAndOn,
    FlowsOffAndOn,
}

impl Plan {
    /// Draws one; with redis-servers among the members if they are `mixed`.
    pub(super) fn draw(rng: &mut Rng, mixed: bool, databases: usize) -> Self {
        let count = 2 + rng.index(2);
        let mut kinds = vec![Kind::Lacewing; count];
        if mixed {
            kinds[rng.index(count)] = Kind::Redis;
        }
        Self {
            is_chain: count > 2 && rng.one_in(2),
            flows: !rng.one_in(3),
            appendfsync: *rng.pick(&["everysec", "everysec", "always", "no"]),
            diskless_load: *rng.pick(&["disabled", "swapdb", "on-empty-db"]),
            repl_timeout_s: *rng.pick(&[3, 10, 60]),
            backlog: *rng.pick(&["16kb", "1mb", "8mb"]),
            segment: *rng.pick(&["65536", "262144", "1048576"]),
            serves_stale: !rng.one_in(4),
            bulk_keys: *rng.pick(&[0, 2_000, 30_000]),
            databases,
            kinds,
        }
    }

    fn settings(&self, kind: Kind) -> Vec<String> {
        let Self { appendfsync, diskless_load, repl_timeout_s, backlog, segment, databases, .. } = self;
        let common = format!(
            "--databases {databases} --appendonly yes --enable-debug-command yes --repl-diskless-load {diskless_load} \
             --repl-timeout {repl_timeout_s} --repl-backlog-size {backlog} --repl-ping-replica-period 1 \
             --replica-serve-stale-data {}",
            yes_or_no(self.serves_stale)
        );
        let own = match kind {
            Kind::Lacewing => format!(
                "--pin no --appendfsync {appendfsync} --log-segment-size {segment} --repl-flows {}",
                yes_or_no(self.flows)
            ),
            // What it has answered is in its file.
            Kind::Redis => "--appendfsync always --repl-diskless-sync-delay 0".to_owned(),
        };
        common.split(' ').chain(own.split(' ')).map(str::to_owned).collect()
    }
}

impl Members {
    pub(super) fn new(mut rng: Rng, plan: Plan, root: &Path) -> Self {
        let kinds = plan.kinds.iter().enumerate();
        let mut nodes: Vec<Node> =
            kinds.map(|(number, kind)| Node::new(number, *kind, root, plan.settings(*kind))).collect();
        for (number, node) in nodes.iter_mut().enumerate().skip(1) {
            node.follows = Some(if plan.is_chain { number - 1 } else { 0 });
        }
        let told = vec![format!("{plan:?}")];
        Self { nodes, rng: rng.fork(), plan, told, is_ambiguous: false, began: Instant::now() }
    }

    pub(super) fn tell(&mut self, what: String) {
        self.told.push(format!("{:.3} {what}", self.began.elapsed().as_secs_f64()));
    }

    /// Who follows nobody.
    pub(super) fn master(&self) -> usize {
        self.nodes.iter().position(|node| node.follows.is_none()).expect("a group has a master")
    }

    /// Who follows the master itself.
    pub(super) fn direct(&self) -> Vec<usize> {
        let master = self.master();
        (0..self.nodes.len()).filter(|number| self.nodes[*number].follows == Some(master)).collect()
    }

    /// Starts a member, with other numbers of cores than before.
    pub(super) fn start(&mut self, number: usize) -> Result<(), String> {
        let master = self.nodes[number].follows.map(|master| self.nodes[master].proxy.port);
        let cores = 1 + self.rng.below(CORES_MAX);
        let more = match self.nodes[number].kind {
            Kind::Lacewing => vec!["--cores".to_owned(), cores.to_string()],
            Kind::Redis => Vec::new(),
        };
        self.tell(format!("node {number} starts, on {cores} cores"));
        self.nodes[number].start(master, &more)
    }

    /// A member follows another from now on, or nobody.
    pub(super) fn follow(&mut self, number: usize, master: Option<usize>) -> Result<(), String> {
        self.nodes[number].follows = master;
        self.say_follow(number, master)
    }

    /// The same, for a time only.
    pub(super) fn say_follow(&mut self, number: usize, master: Option<usize>) -> Result<(), String> {
        let command = match master {
            Some(master) => format!("REPLICAOF 127.0.0.1 {}", self.nodes[master].proxy.port),
            None => "REPLICAOF NO ONE".to_owned(),
        };
        let began = Instant::now();
        let mut reply = self.nodes[number].line(&command)?;
        while reply.starts_with("-LOADING") && began.elapsed() < LOADING_MAX {
            self.pause(20);
            reply = self.nodes[number].line(&command)?;
        }
        self.tell(format!("node {number}: {command}, for node {master:?}: {reply}"));
        if reply.starts_with("+OK") { Ok(()) } else { Err(format!("node {number}: {command}: {reply}")) }
    }

    /// Ends all that was done for a time, starts who does not run, and has all follow whom they are to.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        for node in &mut self.nodes {
            node.proxy.release();
            node.go_on();
        }
        for number in 0..self.nodes.len() {
            if !self.nodes[number].is_running() {
                self.start(number)?;
            }
        }
        for number in 0..self.nodes.len() {
            let wanted = self.nodes[number].follows;
            let port = wanted.map(|master| self.nodes[master].proxy.port.to_string());
            let is_so = match port {
                None => !self.nodes[number].is_replica()?,
                Some(port) => self.nodes[number].field("master_port")? == Some(port),
            };
            if !is_so {
                self.say_follow(number, wanted)?;
            }
        }
        Ok(())
    }

    /// Does something to the group, and takes back at once what clients of the master would notice for long.
    pub(super) fn disturb(&mut self) -> Result<(), String> {
        let kind = *self.rng.pick(&ALL);
        let replicas: Vec<usize> =
            (0..self.nodes.len()).filter(|number| self.nodes[*number].follows.is_some()).collect();
        let replica = replicas[self.rng.index(replicas.len())];
        if !self.nodes[replica].is_running() {
            return self.start(replica);
        }
        self.tell(format!("{kind:?}, node {replica}"));
        match kind {
            Disturbance::KillReplica => {
                self.nodes[replica].kill()?;
                self.pause(300);
                self.start(replica)
            }
            Disturbance::StopReplica => {
                self.nodes[replica].stop()?;
                self.pause(300);
                self.start(replica)
            }
            Disturbance::KillWhileItStarts => {
                self.nodes[replica].kill()?;
                self.start(replica)?;
                self.pause(60);
                self.nodes[replica].kill()?;
                self.start(replica)
            }
            Disturbance::Freeze => {
                self.nodes[replica].freeze();
                let longest = if self.rng.one_in(4) { 4500 } else { 800 };
                self.pause(longest);
                self.nodes[replica].go_on();
                Ok(())
            }
            Disturbance::FreezeMaster => {
                let master = self.master();
                self.nodes[master].freeze();
                let longest = if self.rng.one_in(4) { 4500 } else { 800 };
                self.pause(longest);
                self.nodes[master].go_on();
                Ok(())
            }
            Disturbance::CutOne
            | Disturbance::CutAll
            | Disturbance::CutWithin
            | Disturbance::Hold
            | Disturbance::Halve => {
                self.disturb_links(kind);
                Ok(())
            }
            Disturbance::Elsewhere => self.elsewhere(replica),
            Disturbance::NobodyAndBack => self.nobody_and_back(replica),
            Disturbance::DisklessLoad => {
                let value = *self.rng.pick(&["disabled", "swapdb", "on-empty-db"]);
                self.nodes[replica].line(&format!("CONFIG SET repl-diskless-load {value}")).map(drop)
            }
            Disturbance::KillLinks => {
                let (number, side) = if self.rng.one_in(2) {
                    (replica, "master")
                } else {
                    (self.nodes[replica].follows.expect("it is a replica"), "replica")
                };
                if self.nodes[number].is_running() {
                    self.nodes[number].line(&format!("CLIENT KILL TYPE {side}"))?;
                }
                Ok(())
            }
            Disturbance::Snapshot => {
                let command = *self.rng.pick(&["BGSAVE", "BGREWRITEAOF"]);
                self.nodes[replica].line(command).map(drop)
            }
            Disturbance::LogOffAndOn => self.off_and_on("appendonly"),
            Disturbance::FlowsOffAndOn if self.plan.flows => self.off_and_on("repl-flows"),
            Disturbance::FlowsOffAndOn => Ok(()),
            Disturbance::Nowhere => {
                // Where nobody listens, and then itself.
                let own = self.nodes[replica].proxy.port;
                let port = if self.rng.one_in(2) { 1 } else { own };
                self.nodes[replica].line(&format!("REPLICAOF 127.0.0.1 {port}"))?;
                self.pause(600);
                let back = self.nodes[replica].follows;
                self.say_follow(replica, back)
            }
        }
    }

    /// Any Lacewing has no log for a while, or speaks of one stream only; its links are made anew.
    fn off_and_on(&mut self, setting: &str) -> Result<(), String> {
        let number = self.rng.index(self.nodes.len());
        if self.nodes[number].kind != Kind::Lacewing {
            return Ok(());
        }
        for value in ["no", "yes"] {
            let reply = self.nodes[number].line(&format!("CONFIG SET {setting} {value}"))?;
            self.tell(format!("node {number}: {setting} {value}: {reply}"));
            if self.rng.one_in(2) {
                self.nodes[number].line("CLIENT KILL TYPE master")?;
                self.nodes[number].line("CLIENT KILL TYPE replica")?;
            }
            self.pause(600);
        }
        Ok(())
    }

    fn disturb_links(&mut self, kind: Disturbance) {
        let node = self.rng.index(self.nodes.len());
        let living = self.nodes[node].proxy.living();
        if living == 0 {
            return;
        }
        let (index, bytes) = (self.rng.index(living), self.rng.below(40_000));
        let side = if self.rng.one_in(2) { Side::Near } else { Side::Far };
        self.tell(format!("link {index} of {living} to node {node}, {bytes} bytes, {side:?}"));
        let proxy = &self.nodes[node].proxy;
        match kind {
            Disturbance::CutOne => proxy.cut_after(index, 1),
            Disturbance::CutAll => proxy.cut(),
            Disturbance::CutWithin => proxy.cut_after(index, bytes),
            Disturbance::Hold => proxy.hold(index),
            Disturbance::Halve => proxy.halve(index, side),
            _ => {}
        }
        if self.rng.one_in(2) {
            self.pause(1500);
            self.nodes[node].proxy.release();
        }
    }

    /// A replica follows another member for a while: a sibling, or who follows itself, which is a cycle.
    fn elsewhere(&mut self, replica: usize) -> Result<(), String> {
        let back = self.nodes[replica].follows;
        let others: Vec<usize> =
            (0..self.nodes.len()).filter(|number| *number != replica && Some(*number) != back).collect();
        let Some(other) = others.first().copied() else { return Ok(()) };
        self.is_ambiguous |= other == self.master();
        self.say_follow(replica, Some(other))?;
        self.pause(1500);
        self.say_follow(replica, back)
    }

    /// A replica is a master for a while, and is written to: nothing of that may be left when it is back.
    fn nobody_and_back(&mut self, replica: usize) -> Result<(), String> {
        let back = self.nodes[replica].follows;
        self.say_follow(replica, None)?;
        if self.rng.one_in(2) {
            let addr = self.nodes[replica].place.get().ok_or("it does not run")?;
            let mut client = Client::try_connect(addr).map_err(|error| error.to_string())?;
            client.call(&["SELECT", &strange_db(WRITERS_MAX).to_string()]);
            for number in 0..20 {
                client.call(&strange(&mut self.rng, number));
            }
        }
        self.pause(600);
        self.say_follow(replica, back)
    }

    pub(super) fn pause(&mut self, longest_ms: u64) {
        let until = Instant::now() + Duration::from_millis(self.rng.below(longest_ms));
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
    }
}

const ALL: [Disturbance; 18] = [
    Disturbance::KillReplica,
    Disturbance::StopReplica,
    Disturbance::KillWhileItStarts,
    Disturbance::Freeze,
    Disturbance::FreezeMaster,
    Disturbance::CutOne,
    Disturbance::CutAll,
    Disturbance::CutWithin,
    Disturbance::Hold,
    Disturbance::Halve,
    Disturbance::Elsewhere,
    Disturbance::NobodyAndBack,
    Disturbance::DisklessLoad,
    Disturbance::KillLinks,
    Disturbance::Snapshot,
    Disturbance::Nowhere,
    Disturbance::LogOffAndOn,
    Disturbance::FlowsOffAndOn,
];
fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// How long a member may load before it hears what it is to be.
const LOADING_MAX: Duration = Duration::from_secs(30);
const CORES_MAX: u64 = 3;
