//! What happens when: the master, the replica's processes one after the other, and what is between them.

use replication::role::{History, LinkState, Reason};
use replication::{Attempt, Endpoint, Position, ReplId};
use stdx::{Rng, UnixMs};

use crate::disk::{Crash, MemDisk};
use crate::pair::happens::{Happens, Moments, Restart};
use crate::pair::net::{Heard, LinkId, Net};
use crate::pair::process::{Lives, Stop, Survives, options};
use crate::pair::violation::Violation;
use crate::replicas::lie::Lie;
use crate::replicas::master::Master;
use crate::replicas::node::{Node, Planted, Wants};
use crate::replicas::past::Past;
use crate::replicas::start;
use crate::replicas::toy::{Command, Data, KEYS};
use crate::replicas::{Report, Run};

/// Everything.
pub(super) struct World {
    lives: Lives,
    moments: Moments,
    steps: usize,
    rng: Rng,
    past: Past,
    master: Master,
    net: Net,
    node: Option<Node>,
    link: Option<Connection>,
    now_ms: u64,
    planted: Option<Planted>,
    /// Whether there were keys when they were about to be replaced.
    had_keys: bool,
    /// Whether things go wrong.
    is_rough: bool,
    /// What the operator has told the replica last, and its configuration keeps.
    follows: bool,
    /// Where the replica's data stands while it is a master.
    own: History,
    /// What survives a kill, and what a loss of power.
    promised: [Option<Position>; 2],
    pending: Option<Pending>,
    report: Report,
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

const KILL: usize = Survives::Kill as usize;
const POWER: usize = Survives::Power as usize;

impl World {
    pub(super) fn new(run: &Run, disk: MemDisk) -> Result<Self, Violation> {
        let mut rng = Rng::new(run.seed);
        let mut past = Past::default();
        let master = Master::new(rng.fork(), &mut past);
        let mut world = Self {
            lives: Lives::new(disk, run.crash_at),
            moments: Moments::new(&[], run.happens_at),
            steps: run.steps,
            rng,
            past,
            master,
            net: Net::default(),
            node: None,
            link: None,
            now_ms: 1000,
            planted: run.planted,
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
        Report { calls: self.lives.disk.calls(), moments: self.moments.past(), ..self.report }
    }

    /// Things happen, good and bad.
    pub(super) fn live(&mut self) -> Result<(), Violation> {
        for _ in 0..self.steps {
            if self.lives.may_crash() && self.rng.one_in(150) {
                self.lives.crash_soon(&mut self.rng);
            }
            if let Err(stop) = self.moment().and_then(|()| self.step()) {
                stop.unless_dead(&self.lives.disk)?;
                self.start()?;
            }
        }
        Ok(())
    }

    /// All is well again, and what has to come comes.
    pub(super) fn quiet(&mut self) -> Result<(), Violation> {
        self.is_rough = false;
        if self.lives.disk.is_dead() {
            // It ended in a call of whose failure nobody takes notice.
            self.start()?;
        }
        self.lives.disk.crash_at(u64::MAX);
        self.master.mend(&mut self.net);
        self.net.links.values_mut().for_each(|link| link.stalled_until_ms = 0);
        for round in 0..ROUNDS {
            if round == INSISTS {
                self.insist();
            }
            if self.calm_step()? {
                return Ok(());
            }
        }
        let now_ms = self.now_ms;
        let facts = self.node().role.facts(now_ms);
        Err(Violation::Apart(format!("{facts:?}, the master is at {:?}", self.master.position())))
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
            return Err(Violation::Apart(what).into());
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
                Err(stop) => stop.unless_dead(&self.lives.disk)?,
            }
        }
    }

    fn stop(&mut self) {
        if let Some(Connection { link, .. }) = self.link.take() {
            self.net.replica_closes(link);
        }
        self.node = None;
    }

    fn try_start(&mut self) -> Result<(), Stop> {
        if self.lives.begin(&mut self.rng) == Some(Crash::Power) {
            // What it had run and not made safe is gone, which WAIT does not promise to survive.
            self.master.unheard();
        }
        let shards = 1 + self.rng.below(3) as u16;
        let now = UnixMs(self.now_ms as i64);
        let started = start::start(&self.lives, &self.past, shards, now)?;
        self.report.starts += 1;
        let survives = self.lives.has_begun();
        self.check_promise(&started.found, survives)?;
        let node = Node::new(started, self.planted, self.rng.fork());
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

    /// At each something may happen.
    fn moment(&mut self) -> Result<(), Stop> {
        self.moments.next().into_iter().try_for_each(|happens| self.happen(happens))
    }

    fn happen(&mut self, happens: Happens) -> Result<(), Stop> {
        match happens {
            Happens::NoOne => self.no_one(),
            Happens::Another => self.follow(OTHER_NAME),
            Happens::Ends(crash) => {
                self.lives.end_by(crash);
                Ok(self.start()?)
            }
            Happens::CutsLink => match self.link.as_ref().map(|own| own.link) {
                Some(link) => self.break_link(link),
                None => Ok(()),
            },
            Happens::CutsFlow | Happens::Lies => unreachable!("there are no flows"),
            Happens::Killed => {
                self.master.kill_one(&mut self.net);
                Ok(())
            }
            Happens::MasterEnds(restart) => {
                self.master.restart(restart, &mut self.past, &mut self.net);
                Ok(())
            }
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
            Err(Violation::Counted(format!("{told:?}, where {positions:?} is")))
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

    fn check_promise(&self, found: &[Option<Position>], survives: Survives) -> Result<(), Violation> {
        let Some(promised) = self.promised[survives as usize] else { return Ok(()) };
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
        let there = format!("{found:?}");
        Err(if found.iter().any(is_mixed) {
            Violation::Mixed(there)
        } else {
            Violation::Lost { promised: format!("{promised:?}"), found: there }
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
            88 if self.rng.one_in(2) => {
                if let Some(link) = self.net.some(&mut self.rng, u64::MAX) {
                    self.break_link(link)?;
                }
            }
            89 => self.net.stall(&mut self.rng, self.now_ms),
            90 if self.rng.one_in(8) => self.no_one()?,
            91..=92 => self.replicaof()?,
            93 if self.rng.one_in(8) => {
                let restart = Restart::draw(&mut self.rng);
                self.master.restart(restart, &mut self.past, &mut self.net);
            }
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
        if busy && self.node().positions.iter().all(Option::is_some) {
            self.check_exact()?;
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
                    self.net.replica_closes(link);
                }
                Wants::Adopt(at) => {
                    self.report.promoted += 1;
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
        if !self.net.accept(link, refuses) {
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
        match self.net.master_hears(id, &mut self.rng) {
            Heard::Nothing => {}
            Heard::Bytes(bytes) => {
                let name = self.node.as_ref().map(|node| node.role.options().me);
                let name = name.unwrap_or_else(|| ReplId::random(&mut self.rng));
                self.master.receive(id, &bytes, name, &mut self.net);
                self.net.sweep();
            }
            Heard::End => {
                self.master.lost(id);
                self.net.master_closes(id);
            }
        }
    }

    fn replica_hears(&mut self, id: LinkId) -> Result<(), Stop> {
        let Some(Connection { link, attempt, is_up: true }) = &self.link else { return Ok(()) };
        let attempt = *attempt;
        if *link != id {
            return Ok(());
        }
        let mut bytes = match self.net.replica_hears(id, &mut self.rng) {
            Heard::Nothing => return Ok(()),
            Heard::Bytes(bytes) => bytes,
            Heard::End => {
                self.net.replica_closes(id);
                return self.lose(attempt, "closed");
            }
        };
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
                self.net.not_taken(id, bytes);
                break;
            }
        }
        Ok(())
    }

    /// A link fails: both ends notice, or one alone.
    fn break_link(&mut self, id: LinkId) -> Result<(), Stop> {
        self.net.lose(id);
        let one_alone = self.rng.one_in(3);
        if !one_alone {
            self.master.lost(id);
            self.net.master_closes(id);
        }
        let own = self.link.as_ref().filter(|own| own.link == id && own.is_up);
        if let Some(attempt) = own.map(|own| own.attempt) {
            self.net.replica_closes(id);
            self.lose(attempt, "reset")?;
        }
        Ok(())
    }
}

const OTHER_NAME: &str = "the-same-master";
const ROUNDS: usize = 20_000;
/// After so many calm steps an operator looks.
const INSISTS: usize = 5000;
