//! What happens when: the master, the replica's processes one after the other, and what is between them.

use replication::flow::place::FlowPlaces;
use replication::role::{History, LinkState, Reason};
use replication::{Attempt, Endpoint};
use stdx::{Rng, UnixMs};

use crate::disk::{Crash, MemDisk};
use crate::flows::master::Master;
use crate::flows::node::{Around, Node, Wants};
use crate::flows::past::Past;
use crate::flows::start;
use crate::flows::{Planted, Report, Run};
use crate::pair::happens::{Happens, Moments, Restart};
use crate::pair::net::{LinkId, Net};
use crate::pair::process::{Failed, Lives, Stop, Survives, options};
use crate::pair::violation::Violation;

mod checks;
mod links;

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
    is_rough: bool,
    /// What the operator has told the replica last, and its configuration keeps.
    follows: bool,
    accepts_less: bool,
    /// What survives a kill, and what a loss of power.
    promised: [Option<FlowPlaces>; 2],
    /// What may be there instead.
    pending: Option<FlowPlaces>,
    /// What was last looked at and found exact: after how many changes, and where.
    exact: Option<(u64, FlowPlaces)>,
    report: Report,
}

/// The replica's end of a link.
struct Connection {
    link: LinkId,
    attempt: Attempt,
    is_up: bool,
}

const KILL: usize = Survives::Kill as usize;
const POWER: usize = Survives::Power as usize;

impl World {
    pub(super) fn new(run: &Run, disk: MemDisk) -> Result<Self, Violation> {
        let mut rng = Rng::new(run.seed);
        let mut past = Past::default();
        let master = Master::new(rng.fork(), run.planted, &mut past);
        let mut world = Self {
            lives: Lives::new(disk, run.crash_at),
            moments: Moments::new(run.plan, run.happens_at),
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
            accepts_less: false,
            promised: [const { None }; 2],
            pending: None,
            exact: None,
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
            if self.lives.may_crash() && self.has_bad_luck(500) {
                self.lives.crash_soon(&mut self.rng);
            }
            if let Err(stop) = self.step().and_then(|()| Ok(self.check_counted()?)) {
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
        self.master.lie(false);
        self.master.mend(&mut self.past, &mut self.net);
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
        let ends = self.master.store.present().ends();
        let facts = self.node().role.facts(now_ms);
        let at = self.node().shards.at().map(|at| at.to_string());
        let there = self.leftovers();
        Err(Violation::Apart(format!("{facts:?}, at {at:?}, the master is at {ends:?}; {there}")))
    }

    fn leftovers(&self) -> String {
        let (links, sessions) = (self.net.links.len(), self.master.sessions.len());
        format!("{links} connections, {sessions} sessions")
    }

    /// The operator looks why the master is not followed.
    fn insist(&mut self) {
        let now_ms = self.now_ms;
        let role = &mut self.node().role;
        let refuses = role.facts(now_ms).last_reason.as_ref().is_some_and(Reason::is_judgement);
        if refuses && !self.accepts_less {
            let told = options(self.node().role.options().me, true);
            self.node().role.set_options(told, now_ms);
            self.accepts_less = true;
            self.report.insisted += 1;
        }
    }

    fn calm_step(&mut self) -> Result<bool, Stop> {
        if !self.follows {
            self.replicaof()?;
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
            return Err(Violation::Apart(what).into());
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
                Err(stop) => stop.unless_dead(&self.lives.disk)?,
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
        if self.lives.begin(&mut self.rng) == Some(Crash::Power) {
            // What it had run and not made safe is gone, which WAIT does not promise to survive.
            self.master.unheard();
        }
        let shards = 1 + self.rng.below(3) as u16;
        let now = UnixMs(self.now_ms as i64);
        let started = start::start(&self.lives, &self.past, shards, now)?;
        self.report.starts += 1;
        let found = started.found.places()?;
        let survives = self.lives.has_begun();
        self.check_promise(found.as_ref(), survives)?;
        self.check_told(found.as_ref())?;
        (self.pending, self.exact) = (None, None);
        self.promised = [found.clone(), found];
        let rng = self.rng.fork();
        let accepts_less = self.accepts_less || self.planted == Some(Planted::AcceptsLess);
        let node = Node::new(started, self.planted, accepts_less, self.follows, rng);
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

    /// Once in so many times, if that is not in a plan.
    fn has_bad_luck(&mut self, times: u64) -> bool {
        !self.moments.are_planned() && self.rng.one_in(times)
    }

    /// Something was done: at every such moment something else may happen.
    fn moment(&mut self) -> Result<(), Stop> {
        self.moments.next().into_iter().try_for_each(|happens| self.happen(happens))
    }

    /// Several of a kind, one after the other, which say whether there was something to be done.
    fn several(
        &mut self,
        count: usize,
        mut one: impl FnMut(&mut Self) -> Result<bool, Stop>,
    ) -> Result<(), Stop> {
        for _ in 0..count {
            if one(self)? {
                self.moment()?;
            }
        }
        Ok(())
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
            Happens::CutsFlow => {
                let flows: Vec<LinkId> = self.flow_links();
                if flows.is_empty() { Ok(()) } else { self.break_link(*self.rng.clone().pick(&flows)) }
            }
            Happens::Killed => {
                self.master.kill_one();
                Ok(())
            }
            Happens::Lies => {
                self.master.lie(true);
                Ok(())
            }
            Happens::MasterEnds(restart) => {
                self.master.restart(restart, &mut self.past, &mut self.net);
                Ok(())
            }
        }
    }

    fn step(&mut self) -> Result<(), Stop> {
        self.now_ms += self.rng.below(16);
        let now_ms = self.now_ms;
        match self.rng.below(100) {
            0..=11 => self.master.live(now_ms, &mut self.past, &mut self.net),
            12..=29 => {
                return self.several(2, |world| {
                    let link = world.net.some(&mut world.rng, now_ms);
                    link.map_or(Ok(false), |link| world.replica_hears(link))
                });
            }
            30..=39 => {
                return self.several(3, |world| {
                    let link = world.net.some(&mut world.rng, now_ms);
                    Ok(link.is_some_and(|link| world.master_hears(link)))
                });
            }
            40..=51 => {
                let links: Vec<LinkId> = self.net.links.keys().copied().collect();
                for link in links {
                    self.master.send(link, &mut self.net)?;
                }
            }
            52..=79 => return self.several(6, Self::work),
            80..=86 => self.connect()?,
            87 => self.cut()?,
            88 => {
                let now = UnixMs(now_ms as i64);
                self.node().shards.snapshot(now)?;
                let at = self.promised[KILL].clone();
                self.promised[POWER] = at;
            }
            89 if self.has_bad_luck(6) => {
                if let Some(link) = self.net.some(&mut self.rng, u64::MAX) {
                    self.break_link(link)?;
                }
            }
            90 if self.has_bad_luck(6) => self.net.stall(&mut self.rng, now_ms),
            91 if self.has_bad_luck(20) => self.no_one()?,
            91..=92 => self.replicaof()?,
            93 if self.has_bad_luck(8) => {
                let restart = Restart::draw(&mut self.rng);
                self.master.restart(restart, &mut self.past, &mut self.net);
            }
            94 if self.has_bad_luck(2) => self.master.mend(&mut self.past, &mut self.net),
            95 if self.has_bad_luck(12) => self.master.kill_one(),
            96 if self.has_bad_luck(8) => self.come_twice(),
            97..=98 => {
                // A wait comes to its end soon; a silence seldom.
                let waits = self.node().role.facts(now_ms).state == LinkState::Connect;
                if waits || self.has_bad_luck(20) {
                    let deadline = self.node().role.deadline();
                    self.now_ms = now_ms.max(deadline.unwrap_or(0));
                }
                return self.tick();
            }
            99 if self.has_bad_luck(24) => {
                self.master.lie(true);
                self.report.lies += 1;
            }
            _ => return self.tick(),
        }
        self.moment()
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
                    self.check_is_no_less(&at)?;
                    self.had_keys = !self.node().shards.data.is_empty();
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
}

const OTHER_NAME: &str = "the-same-master";
/// So many calm steps, of 20 ms at least, all that hangs has to come to its end.
const ROUNDS: usize = 2000;
/// After so many calm steps an operator looks.
const INSISTS: usize = 800;
