//! What happens when: the master, the replica's processes one after the other, and what is between them.

use replication::flow::place::FlowPlaces;
use replication::role::{History, LinkState};
use replication::{Attempt, Endpoint};
use stdx::{Rng, UnixMs};

use crate::disk::{Crash, MemDisk};
use crate::flows::master::Master;
use crate::flows::node::{Around, Node, Wants};
use crate::flows::past::{self, Name, Past, Violation};
use crate::flows::shards::Failed;
use crate::flows::start::{self, NoStart};
use crate::flows::{Planted, Report, Run};
use crate::replicas::net::{LinkId, Net, piece};
use crate::replicas::node::options;

/// Everything.
pub(super) struct World {
    disk: MemDisk,
    rng: Rng,
    past: Past,
    master: Master,
    net: Net,
    node: Option<Node>,
    link: Option<Connection>,
    now_ms: u64,
    boot: u8,
    planted: Option<Planted>,
    crash_at: Option<u64>,
    happens_at: Option<(usize, Happens)>,
    has_begun: bool,
    has_lost_power: bool,
    /// Whether there were keys when they were about to be replaced.
    had_keys: bool,
    is_rough: bool,
    /// What the operator has told the replica last, and its configuration keeps.
    follows: bool,
    accepts_less: bool,
    /// What survives a kill, and what survives more.
    promised: [Option<FlowPlaces>; 2],
    /// What may be there instead.
    pending: Option<FlowPlaces>,
    report: Report,
}

/// What comes at a step, besides what comes by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happens {
    /// `REPLICAOF NO ONE`.
    NoOne,
    /// `REPLICAOF` another, which is the same master under another name.
    Another,
    /// The replica ends, and is started again.
    Ends,
    /// The link of a session is cut.
    CutsLink,
    /// One of its flows is cut.
    CutsFlow,
    /// A client of the master kills the session.
    Killed,
    /// The master ends, and is started again.
    MasterEnds,
}

impl Happens {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NoOne,
        Self::Another,
        Self::Ends,
        Self::CutsLink,
        Self::CutsFlow,
        Self::Killed,
        Self::MasterEnds,
    ];
}

/// The replica's end of a link.
struct Connection {
    link: LinkId,
    attempt: Attempt,
    is_up: bool,
}

/// Why the replica's process is no more.
enum Stop {
    Died(String),
    Violated(Violation),
}

impl From<Failed> for Stop {
    fn from(Failed(why): Failed) -> Self {
        Self::Died(why)
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Violated(violation)
    }
}

const KILL: usize = 0;
const POWER: usize = 1;

impl World {
    pub(super) fn new(run: &Run, disk: MemDisk) -> Result<Self, Violation> {
        let mut rng = Rng::new(run.seed);
        let mut past = Past::default();
        let master = Master::new(rng.fork(), run.planted, &mut past);
        let mut world = Self {
            disk,
            rng,
            past,
            master,
            net: Net::default(),
            node: None,
            link: None,
            now_ms: 1000,
            boot: 1,
            planted: run.planted,
            crash_at: run.crash_at,
            happens_at: run.happens_at,
            has_begun: false,
            has_lost_power: false,
            had_keys: false,
            is_rough: true,
            follows: false,
            accepts_less: false,
            promised: [const { None }; 2],
            pending: None,
            report: Report::default(),
        };
        world.start()?;
        Ok(world)
    }

    pub(super) fn report(&self) -> Report {
        Report { calls: self.disk.calls(), ..self.report }
    }

    /// Things happen, good and bad.
    pub(super) fn live(&mut self) -> Result<(), Violation> {
        for step in 0..STEPS {
            let by_chance = self.crash_at.is_none_or(|call| self.disk.calls() > call);
            if by_chance && self.rng.one_in(500) {
                self.disk.crash_at(self.disk.calls() + self.rng.below(30));
            }
            let happens = self.happens_at.filter(|(at, _)| *at == step).map(|(_, happens)| happens);
            let done = happens.map_or(Ok(()), |happens| self.happen(happens));
            match done.and_then(|()| self.step()).and_then(|()| Ok(self.check_counted()?)) {
                Ok(()) => {}
                Err(Stop::Violated(violation)) => return Err(violation),
                Err(Stop::Died(_)) if self.disk.is_dead() => self.start()?,
                Err(Stop::Died(why)) => return Err(Violation::Start(why)),
            }
        }
        Ok(())
    }

    /// All is well again, and what has to come comes.
    pub(super) fn quiet(&mut self) -> Result<(), Violation> {
        self.is_rough = false;
        self.disk.crash_at(u64::MAX);
        self.master.mend(&mut self.past, &mut self.net);
        self.net.links.values_mut().for_each(|link| link.stalled_until_ms = 0);
        for round in 0..ROUNDS {
            match self.calm_step(round) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(Stop::Violated(violation)) => return Err(violation),
                Err(Stop::Died(why)) => return Err(Violation::Start(why)),
            }
        }
        let now_ms = self.now_ms;
        let ends = self.master.store.present().ends();
        let facts = self.node().role.facts(now_ms);
        let at = self.node().shards.at().map(|at| at.to_string());
        let there = self.leftovers();
        Err(Violation::Apart { what: format!("{facts:?}, at {at:?}, the master is at {ends:?}; {there}") })
    }

    fn leftovers(&self) -> String {
        let (links, sessions) = (self.net.links.len(), self.master.sessions.len());
        format!("{links} connections, {sessions} sessions")
    }

    fn calm_step(&mut self, round: usize) -> Result<bool, Stop> {
        if !self.follows {
            self.replicaof()?;
        }
        if round == INSISTS && !self.accepts_less {
            // The operator looks why it does not follow.
            let facts = {
                let now_ms = self.now_ms;
                self.node().role.facts(now_ms)
            };
            if facts.last_reason.as_ref().is_some_and(replication::role::Reason::is_judgement) {
                self.accepts_less = true;
                self.report.insisted += 1;
                let (now_ms, me) = (self.now_ms, self.node().role.options().me);
                self.node().role.set_options(options(me, true), now_ms);
            }
        }
        self.master.leave_all();
        let links: Vec<LinkId> = self.net.links.keys().copied().collect();
        for link in links {
            self.master_hears(link);
            self.master.send(link, &mut self.net)?;
            self.replica_hears(link)?;
        }
        self.connect()?;
        for _ in 0..16 {
            self.work()?;
        }
        self.now_ms += 20;
        let now_ms = self.now_ms;
        if self.node().role.facts(now_ms).state == LinkState::Connect {
            self.now_ms = now_ms.max(self.node().role.deadline().unwrap_or(0));
        }
        self.tick()?;
        self.check_counted()?;
        let is_there = self.master.is_followed() && self.node().is_idle();
        let data = self.master.store.data.clone();
        if is_there && self.node().shards.data != data {
            let what = format!("{:?} instead of {data:?}", self.node().shards.data);
            return Err(Violation::Apart { what }.into());
        }
        let flows = self.node().session.as_ref().map_or(0, |open| open.flows.len());
        let is_clean = self.net.links.len() == 1 + flows && self.master.sessions.len() == 1;
        Ok(is_there && is_clean)
    }

    fn node(&mut self) -> &mut Node {
        self.node.as_mut().expect("the process runs")
    }

    /// Ends the process, if there is one, and begins another, until it stands.
    fn start(&mut self) -> Result<(), Violation> {
        loop {
            self.stop();
            match self.try_start() {
                Ok(()) => return Ok(()),
                Err(Stop::Died(_)) => {}
                Err(Stop::Violated(violation)) => return Err(violation),
            }
        }
    }

    fn stop(&mut self) {
        self.link = None;
        self.node = None;
        // Whoever is not there yet has not been seen by the master.
        for link in self.net.links.values_mut() {
            link.replica_has_closed = true;
        }
        let known: Vec<LinkId> = self.net.links.keys().copied().collect();
        for link in known.into_iter().filter(|link| !self.master.knows(*link)) {
            self.net.links.get_mut(&link).expect("it is there").master_has_closed = true;
        }
        self.net.sweep();
    }

    fn try_start(&mut self) -> Result<(), Stop> {
        let crash = if self.rng.one_in(2) { Crash::Kill } else { Crash::Power };
        if std::mem::replace(&mut self.has_begun, true) {
            self.disk.crash(crash);
            self.boot += u8::from(crash == Crash::Power);
            self.has_lost_power |= crash == Crash::Power;
            if crash == Crash::Power {
                // What it had run and not made safe is gone, which WAIT does not promise to survive.
                self.master.unheard();
            }
        }
        let shards = 1 + self.rng.below(3) as u16;
        let now = UnixMs(self.now_ms as i64);
        let started = match start::start(&self.disk, &self.past, self.boot, shards, now) {
            Ok(started) => started,
            Err(NoStart::Died) => return Err(Stop::Died("at its start".to_owned())),
            Err(NoStart::Violated(violation)) => return Err(violation.into()),
        };
        self.report.starts += 1;
        let found = started.found.places()?;
        self.check_promise(found.as_ref())?;
        self.check_told(found.as_ref())?;
        self.has_lost_power = false;
        self.pending = None;
        self.promised = [found.clone(), found];
        let rng = self.rng.fork();
        let accepts_less = self.accepts_less || self.planted == Some(Planted::AcceptsLess);
        let node = Node::new(started, self.planted, self.boot, accepts_less, self.follows, rng);
        self.node = Some(node);
        if std::mem::take(&mut self.follows) {
            let has_masters_data = !self.node().is_own();
            self.replicaof()?;
            if has_masters_data {
                self.node().role.goes_on();
            }
        } else {
            self.node().shards.clear()?;
        }
        Ok(())
    }

    fn happen(&mut self, happens: Happens) -> Result<(), Stop> {
        match happens {
            Happens::NoOne => self.no_one(),
            Happens::Another => self.follow(OTHER_NAME),
            Happens::Ends => Ok(self.start()?),
            Happens::CutsLink => match self.link.as_ref().map(|own| own.link) {
                Some(link) => self.break_link(link),
                None => Ok(()),
            },
            Happens::CutsFlow => {
                let flows: Vec<LinkId> = self.flow_links();
                if flows.is_empty() { Ok(()) } else { self.break_link(*self.rng.clone().pick(&flows)) }
            }
            Happens::Killed => {
                self.master.kill_one();
                Ok(())
            }
            Happens::MasterEnds => {
                self.master.restart(&mut self.past, &mut self.net);
                Ok(())
            }
        }
    }

    fn flow_links(&self) -> Vec<LinkId> {
        let open = self.node.as_ref().and_then(|node| node.session.as_ref());
        open.map(|open| open.flows.iter().map(|flow| flow.link).collect()).unwrap_or_default()
    }

    /// What was promised is there.
    fn check_promise(&self, found: Option<&FlowPlaces>) -> Result<(), Violation> {
        let which = if self.has_lost_power { POWER } else { KILL };
        let Some(promised) = &self.promised[which] else { return Ok(()) };
        let is_there = found.is_some_and(|found| {
            self.past.covers(found, promised)
                || self.pending.as_ref().is_some_and(|pending| self.past.covers(found, pending))
        });
        if is_there {
            return Ok(());
        }
        let found = found.map_or("nothing".to_owned(), ToString::to_string);
        Err(Violation::Lost { promised: promised.to_string(), found })
    }

    /// What the master was told, and so may have told a client that waits, is there.
    fn check_told(&self, found: Option<&FlowPlaces>) -> Result<(), Violation> {
        if self.pending.is_some() {
            return Ok(());
        }
        for (name, lsns) in self.master.counted(None) {
            self.check_has(found, name, &lsns)?;
        }
        Ok(())
    }

    fn check_has(&self, found: Option<&FlowPlaces>, name: Name, lsns: &[aof::Lsn]) -> Result<(), Violation> {
        if found.is_some_and(|found| self.past.covers_ends(found, name, lsns)) {
            return Ok(());
        }
        let found = found.map_or("nothing".to_owned(), ToString::to_string);
        Err(Violation::Counted(format!("{lsns:?} of {name:?}, where {found} is")))
    }

    /// What the master counts as run by the present session was run.
    fn check_counted(&mut self) -> Result<(), Violation> {
        let Some(node) = &self.node else { return Ok(()) };
        let Some(open) = &node.session else { return Ok(()) };
        let at = node.shards.at();
        for (name, lsns) in self.master.counted(Some(open.id())) {
            self.check_has(at.as_ref(), name, &lsns)?;
        }
        Ok(())
    }

    fn check_exact(&self) -> Result<(), Violation> {
        let shards = &self.node.as_ref().expect("the process runs").shards;
        match shards.at() {
            Some(at) => self.past.check_exact(&shards.data, &at),
            None => Ok(()),
        }
    }

    fn step(&mut self) -> Result<(), Stop> {
        self.now_ms += self.rng.below(16);
        let now_ms = self.now_ms;
        match self.rng.below(100) {
            0..=11 => self.master.live(now_ms, &mut self.past, &mut self.net),
            12..=29 => {
                for _ in 0..2 {
                    if let Some(link) = self.net.some(&mut self.rng, now_ms) {
                        self.replica_hears(link)?;
                    }
                }
            }
            30..=39 => {
                for _ in 0..3 {
                    if let Some(link) = self.net.some(&mut self.rng, now_ms) {
                        self.master_hears(link);
                    }
                }
            }
            40..=51 => {
                let links: Vec<LinkId> = self.net.links.keys().copied().collect();
                for link in links {
                    self.master.send(link, &mut self.net)?;
                }
            }
            52..=79 => {
                for _ in 0..6 {
                    self.work()?;
                }
            }
            80..=86 => self.connect()?,
            87 => self.cut()?,
            88 => {
                let now = UnixMs(now_ms as i64);
                self.node().shards.snapshot(now)?;
                let at = self.promised[KILL].clone();
                self.promised[POWER] = at;
            }
            89 if self.rng.one_in(6) => {
                if let Some(link) = self.net.some(&mut self.rng, u64::MAX) {
                    self.break_link(link)?;
                }
            }
            90 if self.rng.one_in(6) => {
                if let Some(link) = self.net.some(&mut self.rng, now_ms) {
                    let until_ms = now_ms + self.rng.below(20_000);
                    self.net.links.get_mut(&link).expect("it is there").stalled_until_ms = until_ms;
                }
            }
            91 if self.rng.one_in(20) => self.no_one()?,
            91..=92 => self.replicaof()?,
            93 if self.rng.one_in(8) => self.master.restart(&mut self.past, &mut self.net),
            94 if self.rng.one_in(2) => self.master.mend(&mut self.past, &mut self.net),
            95 if self.rng.one_in(12) => self.master.kill_one(),
            96 if self.rng.one_in(8) => self.come_twice(),
            97..=98 => {
                // A wait comes to its end soon; a silence seldom.
                let waits = self.node().role.facts(now_ms).state == LinkState::Connect;
                if waits || self.rng.one_in(20) {
                    let deadline = self.node().role.deadline();
                    self.now_ms = now_ms.max(deadline.unwrap_or(0));
                }
                self.tick()?;
            }
            _ => self.tick()?,
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), Stop> {
        let now_ms = self.now_ms;
        self.master.tick(now_ms, &mut self.net);
        self.node().role.tick(now_ms);
        self.settle()
    }

    fn replicaof(&mut self) -> Result<(), Stop> {
        self.follow("master")
    }

    fn follow(&mut self, host: &str) -> Result<(), Stop> {
        self.follows = true;
        let now_ms = self.now_ms;
        let history = self.node().role.history();
        let history = if self.node().role.is_master() && self.node().is_own() {
            History { current: None, ..history }
        } else {
            history
        };
        let to = Endpoint { host: host.to_owned(), port: 1 };
        self.node().role.replicaof(to, history, now_ms);
        self.settle()
    }

    fn no_one(&mut self) -> Result<(), Stop> {
        self.follows = false;
        let now_ms = self.now_ms;
        self.node().role.no_one(now_ms);
        self.settle()
    }

    fn cut(&mut self) -> Result<(), Stop> {
        let now = UnixMs(self.now_ms as i64);
        self.node().shards.cut(now)?;
        self.promised[POWER] = self.promised[KILL].clone();
        Ok(())
    }

    /// Something of an earlier session, or of this one, comes on a connection of its own.
    fn come_twice(&mut self) {
        let Some(session) = self.master.some_session() else { return };
        let (id, flow) = (session.0, self.rng.below(session.1.into()) as u16);
        let link = self.net.open();
        let mut bytes = Vec::new();
        replication::flow::hello::Join { session: id, flow }.encode(&mut bytes);
        self.master.accept(link, self.now_ms);
        self.net.say_to_master(link, &bytes);
        let ends = self.net.links.get_mut(&link).expect("it is open");
        ends.replica_has_closed = true;
        self.report.twice += 1;
    }

    fn around(&mut self) -> (&mut Node, Around<'_>) {
        let Self { node, net, now_ms, .. } = self;
        let around = Around { net, now_ms: *now_ms, wants: Vec::new(), violation: None };
        (node.as_mut().expect("the process runs"), around)
    }

    fn act<T>(
        &mut self,
        act: impl FnOnce(&mut Node, &mut Around<'_>) -> Result<T, Failed>,
    ) -> Result<T, Stop> {
        let (node, mut around) = self.around();
        let done = act(node, &mut around);
        let Around { wants, violation, .. } = around;
        if let Some(violation) = violation {
            return Err(violation.into());
        }
        self.grant(wants)?;
        Ok(done?)
    }

    fn work(&mut self) -> Result<bool, Stop> {
        let busy = self.act(Node::work)?;
        self.settle()?;
        if let Some(at) = self.node().shards.at() {
            self.promised[KILL] = Some(at);
        }
        self.check_exact()?;
        Ok(busy)
    }

    fn settle(&mut self) -> Result<(), Stop> {
        self.act(Node::settle)
    }

    fn grant(&mut self, wants: Vec<Wants>) -> Result<(), Stop> {
        for want in wants {
            match want {
                Wants::Connect(attempt) => {
                    assert!(self.link.is_none(), "one link at a time");
                    let link = self.net.open();
                    self.link = Some(Connection { link, attempt, is_up: false });
                }
                Wants::Send(bytes) => {
                    let link = self.link.as_ref().expect("it sends on a link").link;
                    self.net.say_to_master(link, &bytes);
                }
                Wants::Close => {
                    let Connection { link, is_up, .. } = self.link.take().expect("it closes a link");
                    let ends = self.net.links.get_mut(&link).expect("it is open");
                    ends.replica_has_closed = true;
                    ends.master_has_closed |= !is_up;
                    self.net.sweep();
                }
                Wants::Leave => {
                    if let Some(Connection { link, is_up, .. }) = self.link.take() {
                        let ends = self.net.links.get_mut(&link).expect("it is open");
                        ends.replica_has_closed = true;
                        ends.master_has_closed |= !is_up;
                        self.net.sweep();
                    }
                }
                Wants::Replaces(at) => {
                    self.had_keys = !self.node().shards.data.is_empty();
                    if let Some(had) = self.node().shards.at()
                        && !self.accepts_less
                        && had.log.node == at.log.node
                        // Of a generation that it has forgotten a master cannot tell whether it was its own.
                        && !self.master.had_forgotten(past::name(&had), past::name(&at))
                        && !self.past.covers(&at, &had)
                    {
                        let (had, has) = (had.to_string(), at.to_string());
                        return Err(Violation::Older { had, has }.into());
                    }
                    self.pending = Some(at);
                }
                Wants::Replaced(at) => {
                    self.report.replaced += 1;
                    self.promised = [Some(at.clone()), Some(at)];
                    self.pending = None;
                    self.check_exact()?;
                    if self.node().shards.data.is_empty() && self.had_keys && !self.accepts_less {
                        return Err(Violation::Emptied.into());
                    }
                }
                Wants::Promoted => {
                    self.report.promoted += 1;
                    let was = self.promised[KILL].clone();
                    if was.is_some() {
                        self.check_told(was.as_ref())?;
                    }
                }
                Wants::Failed => self.report.failed += 1,
                Wants::Met => self.report.met += 1,
                Wants::Told => self.report.told += 1,
                Wants::Crossed => self.report.crossed += 1,
                Wants::Resumed => self.report.resumed += 1,
            }
        }
        Ok(())
    }

    /// Connections that are being made stand, or cannot be made.
    fn connect(&mut self) -> Result<(), Stop> {
        let refuses = self.is_rough && self.rng.one_in(12);
        let now_ms = self.now_ms;
        if let Some(Connection { link, attempt, is_up: is_up @ false }) = &mut self.link {
            let (link, attempt) = (*link, *attempt);
            *is_up = true;
            let ends = self.net.links.get_mut(&link).expect("it is open");
            if refuses || ends.master_has_closed {
                (ends.master_has_closed, ends.replica_has_closed) = (true, true);
                self.net.sweep();
                return self.lose(attempt, "refused");
            }
            self.master.accept(link, now_ms);
            let wanted = self.node().flows_wanted();
            self.node().role.want_flows(Some(wanted));
            self.node().role.connected(attempt, now_ms);
            return self.settle();
        }
        let calm = !self.is_rough;
        let Some(open) = self.node.as_mut().and_then(|node| node.session.as_mut()) else { return Ok(()) };
        for flow in open.flows.iter_mut().filter(|flow| !flow.is_up) {
            flow.is_up = true;
            let ends = self.net.links.get_mut(&flow.link).expect("it is open");
            if refuses || ends.master_has_closed {
                (ends.master_has_closed, ends.replica_has_closed) = (true, true);
                flow.end(crate::flows::inbound::Trouble::Lost("refused".to_owned()));
            } else {
                self.master.accept(flow.link, now_ms);
            }
            if !calm {
                break;
            }
        }
        self.net.sweep();
        Ok(())
    }

    fn lose(&mut self, attempt: Attempt, why: &str) -> Result<(), Stop> {
        self.link = None;
        self.act(|node, around| {
            node.lost(attempt, why, around);
            Ok(())
        })?;
        self.settle()
    }

    fn master_hears(&mut self, id: LinkId) {
        let Some(link) = self.net.links.get_mut(&id).filter(|link| !link.master_has_closed) else { return };
        let bytes = piece(&mut link.to_master, &mut self.rng);
        if bytes.is_empty() && link.to_master.is_empty() && link.replica_has_closed {
            link.master_has_closed = true;
            self.master.lost(id);
        } else if !bytes.is_empty() {
            let now_ms = self.now_ms;
            let goes_on = self.master.receive(id, &bytes, now_ms, &mut self.net);
            if !goes_on {
                self.master.lost(id);
                if let Some(link) = self.net.links.get_mut(&id) {
                    link.master_has_closed = true;
                }
            }
        }
        self.net.sweep();
    }

    fn replica_hears(&mut self, id: LinkId) -> Result<(), Stop> {
        if self.flow_links().contains(&id) {
            return self.flow_hears(id);
        }
        let Some(Connection { link, attempt, is_up: true }) = &self.link else { return Ok(()) };
        let attempt = *attempt;
        if *link != id {
            return Ok(());
        }
        let link = self.net.links.get_mut(&id).expect("it is open");
        let mut bytes = piece(&mut link.to_replica, &mut self.rng);
        if bytes.is_empty() && link.to_replica.is_empty() && link.master_has_closed {
            link.replica_has_closed = true;
            self.lose(attempt, "closed")?;
            self.net.sweep();
            return Ok(());
        }
        while !bytes.is_empty() {
            let now_ms = self.now_ms;
            let used = self.node().receive(attempt, &bytes, now_ms);
            bytes.drain(..used);
            self.settle()?;
            if self.link.as_ref().is_none_or(|own| own.link != id) {
                break;
            }
            if used == 0 && !self.node().role.reads() {
                let link = self.net.links.get_mut(&id).expect("it is open");
                bytes.into_iter().rev().for_each(|byte| link.to_replica.push_front(byte));
                break;
            }
        }
        Ok(())
    }

    fn flow_hears(&mut self, id: LinkId) -> Result<(), Stop> {
        let open = self.node.as_mut().and_then(|node| node.session.as_mut()).expect("it is a flow's");
        let flow = open.flows.iter_mut().find(|flow| flow.link == id).expect("it is a flow's");
        if !flow.is_up || flow.inflow.has_read_all() {
            return Ok(());
        }
        let Some(link) = self.net.links.get_mut(&id) else { return Ok(()) };
        let bytes = piece(&mut link.to_replica, &mut self.rng);
        if bytes.is_empty() && link.to_replica.is_empty() && link.master_has_closed {
            flow.end(crate::flows::inbound::Trouble::Lost("closed".to_owned()));
        } else if !bytes.is_empty() {
            flow.hear(&bytes, self.now_ms)?;
        }
        Ok(())
    }

    /// A connection fails, wherever its bytes are: both ends notice, or one alone.
    fn break_link(&mut self, id: LinkId) -> Result<(), Stop> {
        let Some(link) = self.net.links.get_mut(&id) else { return Ok(()) };
        link.to_replica.clear();
        link.to_master.clear();
        let one_alone = self.rng.one_in(3);
        if !one_alone {
            link.master_has_closed = true;
            self.master.lost(id);
        }
        let open = self.node.as_mut().and_then(|node| node.session.as_mut());
        let flow = open.and_then(|open| open.flows.iter_mut().find(|flow| flow.link == id && flow.is_up));
        if let Some(flow) = flow {
            flow.end(crate::flows::inbound::Trouble::Lost("reset".to_owned()));
        }
        let own = self.link.as_ref().filter(|own| own.link == id && own.is_up);
        if let Some(attempt) = own.map(|own| own.attempt) {
            self.net.links.get_mut(&id).expect("it is there").replica_has_closed = true;
            self.lose(attempt, "reset")?;
        }
        self.net.sweep();
        Ok(())
    }
}

pub(super) const STEPS: usize = 2000;
const OTHER_NAME: &str = "the-same-master";
/// So many calm steps, of 20 ms at least, all that hangs has to come to its end.
const ROUNDS: usize = 2000;
/// After so many calm steps an operator looks.
const INSISTS: usize = 800;
