//! The replica's process: its role, the flows of its session, and what runs what they say.

use std::collections::{BTreeMap, VecDeque};

use aof::TxNumber;
use durable::manifest::SetFile;
use durable::staging::Staging;
use replication::flow::hello::{Announced, Session, SessionId, Sync};
use replication::flow::meet::Step;
use replication::flow::place::{FlowLog, FlowPlace, FlowPlaces};
use replication::flow::together::Together;
use replication::role::{History, Output, Piece, Report, Role};
use replication::{Attempt, ReplId, ResyncGrant};
use stdx::{Rng, UnixMs};

use crate::flows::Planted;
use crate::flows::inbound::{Inbound, ToFlow, ToZero, Trouble};
use crate::flows::shards::Shards;
use crate::flows::start::Started;
use crate::flows::toy::{Item, Load};
use crate::pair::net::{LinkId, Net};
use crate::pair::process::{Failed, options};
use crate::pair::violation::Violation;

/// A process.
pub(super) struct Node {
    pub(super) shards: Shards,
    pub(super) role: Role,
    /// All flows of a session.
    pub(super) session: Option<Open>,
    /// What is being run; it comes to its end, whatever becomes of who wants it.
    running: Vec<Running>,
    staging: Option<Staging>,
    announced: Option<(Session, Announced)>,
    gathered: Option<(Vec<SetFile>, FlowPlaces)>,
    verified: Option<(Staging, Vec<SetFile>, FlowPlaces)>,
    jobs: VecDeque<Job>,
    follows: bool,
    drains: bool,
    /// By flow, what was told last beside its log.
    told: BTreeMap<u16, u64>,
    planted: Option<Planted>,
    rng: Rng,
}

/// The flows of a session, all together.
pub(super) struct Open {
    pub(super) attempt: Attempt,
    session: Session,
    pub(super) flows: Vec<Inbound>,
    files: Vec<Option<(SetFile, FlowPlace)>>,
    together: Together<Load>,
    /// Runs what they lend.
    conducts: Option<FlowLog>,
    is_conducting: bool,
}

impl Open {
    pub(super) fn id(&self) -> SessionId {
        self.session.id
    }
}

/// What is done some time after it was asked for.
enum Job {
    Verify(Attempt),
    Replace(ResyncGrant),
    Begin(Attempt),
}

struct Running {
    attempt: Attempt,
    load: Vec<Item>,
    what: What,
}

enum What {
    Plain { flow: u16, log: FlowLog, place: FlowPlace },
    Batch { log: FlowLog, places: Vec<(u16, FlowPlace)> },
    Cross { places: FlowPlaces },
}

/// What the node wants of the world around it.
#[derive(Debug)]
pub(super) enum Wants {
    Connect(Attempt),
    Send(Vec<u8>),
    Close,
    /// The link is of no more use, if there is one.
    Leave,
    /// Its data is about to be replaced; and the step that says that it was.
    Replaces(FlowPlaces),
    Replaced(FlowPlaces),
    /// It is a master now.
    Promoted,
    Failed,
    Resumed,
    /// Transactions were run.
    Met,
    /// Something that is in no log was run.
    Told,
    /// All flows have gone over to the next generation.
    Crossed,
}

/// What is around it while it does something.
pub(super) struct Around<'a> {
    pub(super) net: &'a mut Net,
    pub(super) now_ms: u64,
    pub(super) wants: Vec<Wants>,
    /// Violations that are found on the way.
    pub(super) violation: Option<Violation>,
}

impl Around<'_> {
    fn violates(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}

impl Node {
    pub(super) fn new(
        started: Started,
        planted: Option<Planted>,
        accepts_less: bool,
        follows: bool,
        mut rng: Rng,
    ) -> Self {
        let me = ReplId::random(&mut rng);
        let options = options(me, accepts_less);
        let shards = Shards::new(started, planted, rng.fork());
        let at = shards.at().map(|places| places.at());
        let history = match follows {
            true => History { current: at, second: None },
            false => History { current: None, second: at },
        };
        let role = Role::new(options, history, rng.fork());
        Self {
            shards,
            role,
            session: None,
            running: Vec::new(),
            staging: None,
            announced: None,
            gathered: None,
            verified: None,
            jobs: VecDeque::new(),
            follows: false,
            drains: false,
            told: BTreeMap::new(),
            planted,
            rng,
        }
    }

    /// Carries out what the role wants, as far as it can be done at once. The rest is for the world.
    pub(super) fn settle(&mut self, around: &mut Around<'_>) -> Result<(), Failed> {
        while let Some(output) = self.role.poll() {
            match output {
                Output::Connect { attempt, .. } => around.wants.push(Wants::Connect(attempt)),
                Output::Send { bytes, .. } => around.wants.push(Wants::Send(bytes)),
                Output::Close { .. } => {
                    around.wants.push(Wants::Close);
                    if !self.follows {
                        self.close(around);
                    }
                }
                Output::Open { attempt, session, payload } => self.open(attempt, session, payload, around),
                Output::Stage { .. } => {
                    self.staging = Some(Staging::begin(&self.shards.logs.places, &mut self.rng)?);
                }
                Output::Verify { attempt } => self.jobs.push_back(Job::Verify(attempt)),
                Output::Discard { .. } => {
                    self.jobs.retain(|job| !matches!(job, Job::Verify(_)));
                    self.close(around);
                    (self.gathered, self.announced) = (None, None);
                    if let Some(staging) = self.staging.take() {
                        staging.discard()?;
                    }
                    if let Some((staging, ..)) = self.verified.take() {
                        staging.discard()?;
                    }
                }
                Output::Replace(grant) => {
                    let (.., places) = self.verified.as_ref().expect("what is granted was verified");
                    around.wants.push(Wants::Replaces(places.clone()));
                    self.jobs.push_back(Job::Replace(grant));
                }
                Output::Follow { attempt, is_resumed, .. } => {
                    self.follows = true;
                    self.jobs.push_back(Job::Begin(attempt));
                    if is_resumed {
                        around.wants.push(Wants::Resumed);
                    }
                }
                Output::Drain { attempt } => {
                    (self.follows, self.drains) = (false, true);
                    self.drain(attempt);
                    self.look_whether_all_rest(around);
                }
                Output::Promoted { .. } => {
                    self.shards.clear()?;
                    around.wants.push(Wants::Promoted);
                }
                Output::HandedOver | Output::NotHandedOver { .. } => {
                    unreachable!("nothing is handed over here")
                }
                Output::Failed { .. } => around.wants.push(Wants::Failed),
            }
        }
        Ok(())
    }

    /// What flows are asked for with.
    pub(super) fn flows_wanted(&self) -> Sync {
        match self.shards.at().filter(|_| self.role.history().current.is_some()) {
            Some(places) => places.sync(),
            None => Sync { stands: None, offset: 0 },
        }
    }

    /// Whether the data is no master's.
    pub(super) fn is_own(&self) -> bool {
        self.shards.at().is_none()
    }

    fn open(
        &mut self,
        attempt: Attempt,
        session: Session,
        payload: Option<Announced>,
        around: &mut Around<'_>,
    ) {
        self.close(around);
        if !self.running.is_empty() {
            around.violates(Violation::Hangs("something of an earlier session is still run".to_owned()));
        }
        let mut from = None;
        if payload.is_none() {
            let mut places = self.shards.at().expect("it was resumed from somewhere");
            places.set_offset(session.offset);
            self.shards.following.set_place(Some(replication::flow::place::Place::Flows(places.clone())));
            from = Some(places);
        }
        self.announced = payload.map(|payload| (session, payload));
        let files = self.staging.as_ref().map(Staging::files);
        let flow = |index| {
            let link = around.net.open();
            let file = (payload, files.clone());
            let mut flow = Inbound::new(session, index, from.as_ref(), file, link, around.now_ms);
            flow.verifies = self.planted != Some(Planted::DoesNotVerify);
            flow
        };
        let flows: Vec<Inbound> = (0..session.flows).map(flow).collect();
        let files = vec![None; flows.len()];
        let together = Together::new(session.flows);
        self.session =
            Some(Open { attempt, session, flows, files, together, conducts: None, is_conducting: false });
    }

    /// Leaves all flows.
    pub(super) fn close(&mut self, around: &mut Around<'_>) {
        if self.planted == Some(Planted::KeepsItsConnections) && self.rng.one_in(2) {
            self.session = None;
        }
        for flow in self.session.take().into_iter().flat_map(|open| open.flows) {
            if let Some(link) = around.net.links.get_mut(&flow.link) {
                link.replica_has_closed = true;
                link.master_has_closed |= !flow.is_up;
            }
        }
        around.net.sweep();
    }

    fn drain(&mut self, attempt: Attempt) {
        let Some(open) = self.session.as_mut().filter(|open| open.attempt == attempt) else { return };
        open.together.drain();
        open.flows.iter_mut().for_each(|flow| flow.inbox.push_back(ToFlow::Drain));
    }

    fn look_whether_all_rest(&mut self, around: &mut Around<'_>) {
        let early = self.planted == Some(Planted::DoesNotWaitForAll);
        let rest = self.session.as_ref().is_none_or(|open| open.together.has_drained() || early);
        if self.drains && rest {
            self.drains = false;
            self.close(around);
            let offset = self.role.history().current.map_or(0, |current| current.offset);
            let offset = self.shards.at().map_or(offset, |places| places.at().offset);
            let attempt = self.role.facts(around.now_ms).attempt;
            self.role.drained(attempt, offset, around.now_ms);
        }
    }

    /// Bytes come on the link; says how many were taken.
    pub(super) fn receive(&mut self, attempt: Attempt, bytes: &[u8], now_ms: u64) -> usize {
        let mut sink = |piece: Piece<'_>| panic!("{piece:?} comes in flows");
        self.role.receive(attempt, bytes, &mut sink, now_ms)
    }

    /// The link has ended.
    pub(super) fn lost(&mut self, attempt: Attempt, why: &str, around: &mut Around<'_>) {
        if !self.follows && !self.drains {
            self.close(around);
        }
        self.role.lost(attempt, why, around.now_ms);
    }

    /// Does something of what there is to do; says if there was anything.
    pub(super) fn work(&mut self, around: &mut Around<'_>) -> Result<bool, Failed> {
        match self.rng.below(8) {
            0 if !self.jobs.is_empty() => {
                let job = self.jobs.pop_front().expect("there is one");
                self.job(job, around)?;
            }
            1 | 2 if !self.running.is_empty() => {
                let index = self.rng.index(self.running.len());
                let done = self.running.remove(index);
                self.finish(done, around)?;
            }
            3 => return self.conduct(around),
            _ => return self.flow(around),
        }
        Ok(true)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.jobs.is_empty()
    }

    fn job(&mut self, job: Job, around: &mut Around<'_>) -> Result<(), Failed> {
        let now_ms = around.now_ms;
        match job {
            Job::Verify(attempt) => {
                let (files, places) = self.gathered.take().expect("it was gathered");
                let keys = files.iter().map(SetFile::keys).sum();
                let own_keys = self.shards.data.len() as u64;
                let staging = self.staging.take().expect("it was staged");
                self.verified = Some((staging, files, places));
                self.role.verified(attempt, Report { keys, own_keys, ..Report::default() }, now_ms);
            }
            Job::Replace(grant) => {
                if !self.running.is_empty() {
                    let what = "something is run while the data is replaced".to_owned();
                    around.violates(Violation::Hangs(what));
                }
                let (staging, files, places) = self.verified.take().expect("it was verified");
                self.shards.replace(staging, files, &places, UnixMs(now_ms as i64))?;
                around.wants.push(Wants::Replaced(places));
                self.role.replaced(grant.attempt(), now_ms);
            }
            Job::Begin(attempt) => {
                let Some(places) = self.shards.at() else { return Ok(()) };
                let Some(open) = self.session.as_mut().filter(|open| open.attempt == attempt) else {
                    return Ok(());
                };
                if open.together.begin(&places) {
                    open.conducts = Some(places.log);
                    for (flow, place) in open.flows.iter_mut().zip(&places.flows) {
                        flow.inbox.push_back(ToFlow::Apply(places.log, *place));
                    }
                }
            }
        }
        Ok(())
    }

    /// One of the flows does something.
    fn flow(&mut self, around: &mut Around<'_>) -> Result<bool, Failed> {
        let Some(open) = &mut self.session else { return Ok(false) };
        let flow = self.rng.index(open.flows.len());
        let attempt = open.attempt;
        let planted = self.planted;
        let inbound = &mut open.flows[flow];
        if let Err(violation) = inbound.check() {
            around.violates(violation);
        }
        match self.rng.below(4) {
            0 => {
                if let Some(message) = inbound.inbox.pop_front() {
                    inbound.receive(message);
                    return Ok(true);
                }
            }
            1 => {
                if let Some(message) = inbound.outbox.pop_front() {
                    self.told(flow as u16, message, around);
                    return Ok(true);
                }
            }
            2 => {
                let has_read = inbound.read_rest(around.net)?;
                return Ok(inbound.say(around.now_ms, around.net) || has_read);
            }
            _ => {
                let waiting = inbound.outbox.len();
                if let Some((load, log, place)) = inbound.apply(planted) {
                    let flows = open.session.flows;
                    let flow = flow as u16;
                    let mut load = load.0;
                    if !load.is_empty() {
                        load.push(Item::Place { flow, flows, log, place, is_left: false });
                    }
                    self.running.push(Running { attempt, load, what: What::Plain { flow, log, place } });
                    return Ok(true);
                }
                return Ok(inbound.outbox.len() > waiting);
            }
        }
        Ok(false)
    }

    /// A flow has told core 0 something.
    fn told(&mut self, flow: u16, message: ToZero, around: &mut Around<'_>) {
        let open = self.session.as_mut().expect("it is of this session");
        let (attempt, now_ms) = (open.attempt, around.now_ms);
        match message {
            ToZero::Whole(file, place) => {
                open.files[usize::from(flow)] = Some((file, place));
                if open.files.iter().all(Option::is_some) {
                    let (files, flows): (Vec<SetFile>, _) = open.files.drain(..).flatten().unzip();
                    let Some((session, announced)) = self.announced.take() else { return };
                    let Announced { generation, birth, .. } = announced;
                    let log = FlowLog { node: session.node, generation, birth, base: 0 };
                    let mut places = FlowPlaces { log, flows };
                    places.set_offset(session.offset);
                    let bytes = files.iter().map(|file| file.bytes).sum();
                    self.gathered = Some((files, places));
                    self.role.gathered(attempt, bytes, true, now_ms);
                }
            }
            ToZero::Lent(from, pieces) => open.together.lend(flow, from, pieces),
            ToZero::Rests(generation) => open.together.rest(flow, generation),
            ToZero::Failed(trouble) => {
                let link = open.flows[usize::from(flow)].link;
                self.failed(attempt, link, trouble, around);
            }
        }
        self.look_whether_all_rest(around);
    }

    fn failed(&mut self, attempt: Attempt, link: LinkId, trouble: Trouble, around: &mut Around<'_>) {
        let is_lied_to = around.net.links.get(&link).is_some_and(|link| link.is_garbled);
        if let Trouble::Lost(why) | Trouble::Stream(why) = &trouble
            && !is_lied_to
            && ["window", "returned", "goes on", "crc32c", "does not say", "differ", "behind transaction"]
                .iter()
                .any(|wrong| why.contains(wrong))
        {
            around.violates(Violation::Overrun(why.clone()));
        }
        if attempt != self.role.facts(around.now_ms).attempt || self.drains {
            return;
        }
        match trouble {
            Trouble::Stream(why) if self.follows => self.role.stream_failed(attempt, &why, around.now_ms),
            Trouble::Lost(why) | Trouble::Stream(why) => {
                around.wants.push(Wants::Leave);
                self.lost(attempt, &why, around);
            }
            Trouble::Rejected(why) => self.role.rejected(attempt, &why, around.now_ms),
        }
    }

    /// Core 0 looks what is to be run of what the flows have lent.
    fn conduct(&mut self, around: &mut Around<'_>) -> Result<bool, Failed> {
        let most = 1 + self.rng.index(5);
        let Some(open) = &mut self.session else { return Ok(false) };
        let Some(log) = open.conducts.filter(|_| !open.is_conducting) else { return Ok(false) };
        let mut taken = 0;
        let next = open.together.next(|_| {
            taken += 1;
            taken >= most
        });
        let (attempt, flows) = (open.attempt, open.session.flows);
        let forgets = self.planted == Some(Planted::ForgetsTransactions);
        match next {
            Ok(Some(Step::Run(batch))) => {
                let mut load: Vec<Item> = batch.loads.into_iter().flat_map(|load| load.0).collect();
                if !load.is_empty() || batch.has_transaction {
                    let place = |(flow, place): &(u16, FlowPlace)| Item::Place {
                        flow: *flow,
                        flows,
                        log,
                        place: kept(*place, forgets),
                        is_left: false,
                    };
                    load.extend(batch.places.iter().map(place));
                }
                open.is_conducting = true;
                let what = What::Batch { log, places: batch.places };
                self.running.push(Running { attempt, load, what });
                return Ok(true);
            }
            Ok(Some(Step::Cross { next, birth })) => {
                open.is_conducting = true;
                let places = self.shards.at().expect("the data is that of the flows").crossed(next, birth);
                let log = places.log;
                let place = |(flow, place): (u16, &FlowPlace)| Item::Place {
                    flow,
                    flows,
                    log,
                    place: *place,
                    is_left: false,
                };
                let load = (0..).zip(&places.flows).map(place).collect();
                self.running.push(Running { attempt, load, what: What::Cross { places } });
                return Ok(true);
            }
            Ok(None) => {}
            Err(error) => {
                open.conducts = None;
                open.together.stop();
                around.violates(Violation::Overrun(error.to_string()));
            }
        }
        self.look_whether_all_rest(around);
        Ok(false)
    }

    /// What was being run was run, all of it or nothing; and those are told whom it concerns.
    fn finish(
        &mut self,
        Running { attempt, load, what }: Running,
        around: &mut Around<'_>,
    ) -> Result<(), Failed> {
        self.note_told(&load, &what, around);
        self.shards.run(&load)?;
        let open = self.session.as_mut().filter(|open| open.attempt == attempt);
        let flows = self.shards.following.flows();
        match what {
            What::Plain { flow, log, place } => {
                self.shards.following.set_flow(flow, flows, Some((log, place)));
                if let Some(open) = open {
                    let flow = &mut open.flows[usize::from(flow)];
                    flow.runs = false;
                    flow.inflow.reach(log, place);
                }
            }
            What::Batch { log, places } => {
                around.wants.push(Wants::Met);
                for (flow, place) in &places {
                    self.shards.following.set_flow(*flow, flows, Some((log, *place)));
                }
                if let Some(open) = open {
                    open.is_conducting = false;
                    open.together.ran();
                    for (flow, place) in places {
                        open.flows[usize::from(flow)].inbox.push_back(ToFlow::Ran(log, place));
                    }
                }
            }
            What::Cross { places } => {
                around.wants.push(Wants::Crossed);
                if let Some(open) = open {
                    open.is_conducting = false;
                    open.conducts = Some(places.log);
                    open.together.crossed(places.log.generation);
                    open.flows.iter_mut().for_each(|flow| flow.inbox.push_back(ToFlow::Crossed(places.log)));
                }
            }
        }
        self.report(around.now_ms);
        Ok(())
    }

    /// Tells the role how far the logs were applied.
    fn report(&mut self, now_ms: u64) {
        if let Some(places) = self.shards.at().filter(|_| self.follows) {
            let attempt = self.role.facts(now_ms).attempt;
            self.role.applied(attempt, places.at().offset);
        }
    }

    /// What is told is told in order, once, and behind all that was written before it.
    fn note_told(&mut self, load: &[Item], what: &What, around: &mut Around<'_>) {
        for item in load {
            let Item::Told { number, flow, generation, lsn } = *item else { continue };
            let reached = match what {
                What::Plain { log, place, .. } => Some((log.generation, place.lsn)),
                What::Batch { log, places } => {
                    let place = places.iter().find(|(moved, _)| *moved == flow);
                    place.map(|(_, place)| (log.generation, place.lsn))
                }
                What::Cross { .. } => None,
            };
            let last = self.told.insert(flow, number);
            let is_there = reached.is_some_and(|(of, at)| of == generation && at >= lsn);
            if !is_there || last.is_some_and(|last| last >= number) {
                let what =
                    format!("{number} of flow {flow}, at {lsn}, behind {last:?}, where {reached:?} is");
                around.violates(Violation::Told(what));
            }
            around.wants.push(Wants::Told);
        }
    }
}

/// What is kept of a place.
fn kept(place: FlowPlace, forgets: bool) -> FlowPlace {
    if forgets { FlowPlace { ran: TxNumber(0), ..place } } else { place }
}
