//! What happens when: the master, the replica's processes one after the other, and what is between them.

use replication::role::{History, LinkState, Reason};
use replication::{Attempt, Endpoint, Position, ReplId};
use stdx::{Rng, UnixMs};

use crate::disk::{Crash, MemDisk};
use crate::replicas::lie::Lie;
use crate::replicas::master::Master;
use crate::replicas::net::{LinkId, Net, piece};
use crate::replicas::node::{Failed, Node, Planted, Wants, options};
use crate::replicas::past::{Past, Violation};
use crate::replicas::start::{self, NoStart};
use crate::replicas::toy::{Command, Data, KEYS};
use crate::replicas::{Report, Run};

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
    /// The call at which the first crash comes, if it is not to come by chance.
    crash_at: Option<u64>,
    told_at: Option<(usize, Told)>,
    /// Whether a process has ever begun.
    has_begun: bool,
    /// Whether power was lost since the last start that came to its end.
    has_lost_power: bool,
    /// Whether there were keys when they were about to be replaced.
    had_keys: bool,
    /// Whether things go wrong.
    is_rough: bool,
    /// What the operator has told the replica last, and its configuration keeps.
    follows: bool,
    /// Where the replica's data stands while it is a master.
    own: History,
    /// What survives a kill, and what survives more.
    promised: [Option<Position>; 2],
    pending: Option<Pending>,
    report: Report,
}

/// What the operator says to the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// `REPLICAOF NO ONE`.
    NoOne,
    /// `REPLICAOF` another, which is the same master under another name.
    Another,
    /// To end, and it is started again.
    Ends,
}

/// The replica's end of a link.
struct Connection {
    link: LinkId,
    attempt: Attempt,
    is_up: bool,
}

/// What may be there instead of what was promised.
#[derive(Clone, Copy)]
enum Pending {
    /// Other data, whole.
    Replacement(Position),
    /// The same under another name, shard by shard.
    Name(ReplId),
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
        let master = Master::new(rng.fork(), &mut past);
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
            told_at: run.told_at,
            has_begun: false,
            has_lost_power: false,
            had_keys: false,
            is_rough: true,
            follows: false,
            own: History::default(),
            promised: [None; 2],
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
            if by_chance && self.rng.one_in(150) {
                self.disk.crash_at(self.disk.calls() + self.rng.below(30));
            }
            let told = self.told_at.filter(|(at, _)| *at == step).map(|(_, told)| told);
            match told.map_or(Ok(()), |told| self.tell(told)).and_then(|()| self.step()) {
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
        self.master.mend(&mut self.net);
        self.net.links.values_mut().for_each(|link| link.stalled_until_ms = 0);
        for round in 0..ROUNDS {
            if round == INSISTS {
                self.insist();
            }
            match self.calm_step() {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(Stop::Violated(violation)) => return Err(violation),
                Err(Stop::Died(why)) => return Err(Violation::Start(why)),
            }
        }
        let now_ms = self.now_ms;
        let facts = self.node().role.facts(now_ms);
        let what = format!("{facts:?}, the master is at {:?}", self.master.position());
        Err(Violation::Apart { what })
    }

    /// The operator looks why the master is not followed: it may have said that it was empty, and nobody else can tell that it lied.
    fn insist(&mut self) {
        let now_ms = self.now_ms;
        let role = &mut self.node().role;
        if role.facts(now_ms).last_reason.as_ref().is_some_and(Reason::is_judgement) {
            let told = options(role.options().me, true);
            role.set_options(told, now_ms);
        }
    }

    fn calm_step(&mut self) -> Result<bool, Stop> {
        if !self.follows {
            self.replicaof()?;
        }
        let links: Vec<LinkId> = self.net.links.keys().copied().collect();
        for link in links {
            self.master_hears(link);
            self.replica_hears(link)?;
        }
        self.connect()?;
        let busy = self.work()?;
        let there = self.node().position() == Some(self.master.position());
        if !busy && there && self.node().role.is_following() {
            self.check_exact()?;
            let data = self.node().data.clone();
            if data == self.master.data {
                return Ok(true);
            }
            let what = format!("{data:?}, and not {:?}", self.master.data);
            return Err(Violation::Apart { what }.into());
        }
        if !busy && let Some(deadline) = self.node().role.deadline() {
            self.now_ms = self.now_ms.max(deadline.min(self.now_ms + 500));
        }
        self.tick()?;
        Ok(false)
    }

    fn node(&mut self) -> &mut Node {
        self.node.as_mut().expect("the process runs")
    }

    /// A process begins where the one before has ended.
    fn start(&mut self) -> Result<(), Violation> {
        loop {
            self.stop();
            match self.try_start() {
                Ok(()) => return Ok(()),
                Err(Stop::Died(_)) if self.disk.is_dead() => {}
                Err(Stop::Died(why)) => return Err(Violation::Start(why)),
                Err(Stop::Violated(violation)) => return Err(violation),
            }
        }
    }

    fn stop(&mut self) {
        if let Some(Connection { link, .. }) = self.link.take() {
            self.net.links.get_mut(&link).expect("it was open").replica_has_closed = true;
        }
        self.node = None;
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
        self.check_promise(&started.found)?;
        self.has_lost_power = false;
        let node = Node::new(started, self.planted, self.boot, self.rng.fork());
        let stands = node.position();
        self.node = Some(node);
        self.pending = None;
        match stands.filter(|_| self.follows) {
            Some(at) => {
                self.promised = [Some(at); 2];
                self.own = History { current: Some(at), second: None };
            }
            // A master has a history of its own; so has who does not know where it stands.
            None => {
                let at = Position { replid: ReplId::random(&mut self.rng), offset: 0 };
                self.promised = [stands; 2];
                self.adopt(at, stands)?;
            }
        }
        if std::mem::take(&mut self.follows) {
            self.replicaof()?;
        }
        Ok(())
    }

    fn tell(&mut self, told: Told) -> Result<(), Stop> {
        match told {
            Told::NoOne => self.no_one(),
            Told::Another => self.follow(OTHER_NAME),
            Told::Ends => Ok(self.start()?),
        }
    }

    /// What the node says of its place is there, and what the master was told, who may have told it to those who wait for it.
    fn check_promotion(&mut self, stands: Option<Position>) -> Result<(), Violation> {
        self.check_exact()?;
        let Some(stands) = stands else { return Ok(()) };
        let told = self.master.heard(stands.replid).unwrap_or(0).max(stands.offset);
        let (told, positions) = (Position { offset: told, ..stands }, self.node().positions.clone());
        if self.past.has(&positions, told, None) {
            Ok(())
        } else {
            Err(Violation::Promoted { told, positions })
        }
    }

    fn adopt(&mut self, at: Position, second: Option<Position>) -> Result<(), Stop> {
        let data = self.node().data.clone();
        self.past.begin(at, data);
        self.pending = Some(Pending::Name(at.replid));
        self.node().adopt(at)?;
        self.own = History { current: Some(at), second };
        self.promised = [Some(at); 2];
        self.pending = None;
        Ok(())
    }

    fn check_promise(&self, found: &[Option<Position>]) -> Result<(), Violation> {
        let which = if self.has_lost_power { POWER } else { KILL };
        let Some(promised) = self.promised[which] else { return Ok(()) };
        let name = match self.pending {
            Some(Pending::Name(replid)) => Some(replid),
            Some(Pending::Replacement(at)) if found.iter().all(|position| *position == Some(at)) => {
                return Ok(());
            }
            _ => None,
        };
        if self.past.has(found, promised, name) {
            return Ok(());
        }
        let is_mixed = |position: &Option<Position>| {
            position.map(|at| at.replid) != found.first().copied().flatten().map(|at| at.replid)
        };
        let positions = found.to_vec();
        Err(if found.iter().any(is_mixed) {
            Violation::Mixed { positions }
        } else {
            Violation::Lost { promised, positions }
        })
    }

    fn check_exact(&mut self) -> Result<(), Violation> {
        let node = self.node.as_ref().expect("the process runs");
        self.past.check_exact(&node.data, &node.positions, &Data::new())
    }

    fn step(&mut self) -> Result<(), Stop> {
        self.now_ms += self.rng.below(60);
        match self.rng.below(100) {
            0..=9 => self.master.write(&mut self.past, &mut self.net),
            10..=39 => {
                if let Some(link) = self.net.some(&mut self.rng, self.now_ms) {
                    self.replica_hears(link)?;
                }
            }
            40..=54 => {
                if let Some(link) = self.net.some(&mut self.rng, self.now_ms) {
                    self.master_hears(link);
                }
            }
            55..=74 => {
                self.work()?;
            }
            75..=80 => self.connect()?,
            81..=84 => self.write()?,
            85..=86 => self.cut()?,
            87 => {
                let now = UnixMs(self.now_ms as i64);
                self.node().snapshot(now)?;
            }
            88 if self.rng.one_in(2) => self.break_link()?,
            89 => {
                if let Some(link) = self.net.some(&mut self.rng, self.now_ms) {
                    let until_ms = self.now_ms + self.rng.below(20_000);
                    self.net.links.get_mut(&link).expect("it is there").stalled_until_ms = until_ms;
                }
            }
            90 if self.rng.one_in(8) => self.no_one()?,
            91..=92 => self.replicaof()?,
            93 if self.rng.one_in(8) => self.master.restart(&mut self.past, &mut self.net),
            94 => self.master.mend(&mut self.net),
            95..=97 => {
                // A wait comes to its end soon; a silence seldom.
                let now_ms = self.now_ms;
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
        self.node().role.tick(now_ms);
        self.settle()
    }

    fn replicaof(&mut self) -> Result<(), Stop> {
        self.follow("master")
    }

    fn follow(&mut self, host: &str) -> Result<(), Stop> {
        self.follows = true;
        let (now_ms, own) = (self.now_ms, self.own);
        let to = Endpoint { host: host.to_owned(), port: 1 };
        self.node().role.replicaof(to, own, now_ms);
        self.settle()
    }

    fn no_one(&mut self) -> Result<(), Stop> {
        self.follows = false;
        let now_ms = self.now_ms;
        self.node().role.no_one(now_ms);
        self.settle()
    }

    /// A client of the replica writes, if it is none.
    fn write(&mut self) -> Result<(), Stop> {
        let Some(at) =
            self.own.current.filter(|_| self.node.as_ref().is_some_and(|node| node.role.is_master()))
        else {
            return Ok(());
        };
        let command = Command {
            key: self.rng.below(KEYS.into()) as u32,
            is_wide: self.rng.one_in(4),
            amount: 1 + self.rng.below(1 << 40),
        };
        let end = Position { offset: at.offset + 17, ..at };
        self.past.wrote(end.replid, end.offset, command);
        self.node().write(command, end)?;
        self.own.current = Some(end);
        self.promised[KILL] = Some(end);
        Ok(())
    }

    fn cut(&mut self) -> Result<(), Stop> {
        let now = UnixMs(self.now_ms as i64);
        self.node().cut(now)?;
        self.promised[POWER] = self.stands();
        Ok(())
    }

    /// Where the replica says that its data stands.
    fn stands(&mut self) -> Option<Position> {
        if self.node().role.is_master() { self.own.current } else { self.node().position() }
    }

    fn work(&mut self) -> Result<bool, Stop> {
        let now_ms = self.now_ms;
        let mut wants = Vec::new();
        let done = self.node().work(now_ms, &mut wants);
        self.grant(wants)?;
        let busy = done?;
        self.settle()?;
        if self.node().role.is_following() {
            self.promised[KILL] = self.node().position();
        }
        Ok(busy)
    }

    fn settle(&mut self) -> Result<(), Stop> {
        let mut wants = Vec::new();
        let done = self.node().settle(&mut wants);
        self.grant(wants)?;
        Ok(done?)
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
                    let Connection { link, .. } = self.link.take().expect("it closes a link");
                    self.net.links.get_mut(&link).expect("it is open").replica_has_closed = true;
                }
                Wants::Adopt(at) => {
                    let second = self.node().role.history().second;
                    self.check_promotion(second)?;
                    self.adopt(at, second)?;
                }
                Wants::Replaces(at) => {
                    self.had_keys = !self.node().data.is_empty();
                    self.pending = Some(Pending::Replacement(at));
                }
                Wants::Replaced(at) => {
                    self.report.replaced += 1;
                    self.promised = [Some(at); 2];
                    self.pending = None;
                    self.check_exact()?;
                    if self.node().data.is_empty() && self.had_keys {
                        return Err(Violation::Emptied.into());
                    }
                }
                Wants::Failed => self.report.failed += 1,
                Wants::Resumed => self.report.resumed += 1,
            }
        }
        Ok(())
    }

    /// The connection that is being made stands, or cannot be made.
    fn connect(&mut self) -> Result<(), Stop> {
        let Some(Connection { link, attempt, is_up: is_up @ false }) = &mut self.link else { return Ok(()) };
        let (link, attempt) = (*link, *attempt);
        *is_up = true;
        let refuses = self.is_rough && self.rng.one_in(10);
        let ends = self.net.links.get_mut(&link).expect("it is open");
        if refuses || ends.master_has_closed {
            (ends.master_has_closed, ends.replica_has_closed) = (true, true);
            return self.lose(attempt, "refused");
        }
        let lies = self.is_rough && self.rng.one_in(3);
        self.report.lies += u64::from(lies);
        let lie = if lies { Lie::draw(&mut self.rng) } else { Lie::None };
        // Who has nothing cannot tell.
        let lie = if lie == Lie::Empty && self.node().data.is_empty() { Lie::None } else { lie };
        self.master.accept(link, lie);
        let now_ms = self.now_ms;
        self.node().role.connected(attempt, now_ms);
        self.settle()
    }

    fn lose(&mut self, attempt: Attempt, why: &str) -> Result<(), Stop> {
        self.link = None;
        let now_ms = self.now_ms;
        self.node().role.lost(attempt, why, now_ms);
        self.settle()
    }

    fn master_hears(&mut self, id: LinkId) {
        let Some(link) = self.net.links.get_mut(&id).filter(|link| !link.master_has_closed) else { return };
        let bytes = piece(&mut link.to_master, &mut self.rng);
        if bytes.is_empty() && link.to_master.is_empty() && link.replica_has_closed {
            link.master_has_closed = true;
            self.master.lost(id);
        }
        let name = self.node.as_ref().map(|node| node.role.options().me);
        let name = name.unwrap_or_else(|| options(ReplId::random(&mut self.rng), false).me);
        self.master.receive(id, &bytes, name, &mut self.net);
        self.net.sweep();
    }

    fn replica_hears(&mut self, id: LinkId) -> Result<(), Stop> {
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
            let used = self.node().receive(attempt, &bytes, now_ms)?;
            bytes.drain(..used);
            self.settle()?;
            let is_over = self.link.as_ref().is_none_or(|own| own.link != id);
            if is_over {
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

    /// A link fails: both ends notice, or one alone.
    fn break_link(&mut self) -> Result<(), Stop> {
        let Some(id) = self.net.some(&mut self.rng, u64::MAX) else { return Ok(()) };
        let link = self.net.links.get_mut(&id).expect("it is there");
        link.to_replica.clear();
        link.to_master.clear();
        let one_alone = self.rng.one_in(3);
        if !one_alone {
            link.master_has_closed = true;
            self.master.lost(id);
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

pub(super) const STEPS: usize = 900;
const OTHER_NAME: &str = "the-same-master";
const ROUNDS: usize = 20_000;
/// After so many calm steps an operator looks.
const INSISTS: usize = 5000;
