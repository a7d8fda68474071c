//! Core 0: the role's outputs carried out, one after the other, and the role told what came of them.

use super::beside::Plan;
use super::link::{self, Link};
use super::safe::Safe;
use super::staging::{self, Staged, Verified};
use super::{Asker, Event, Gathered, Message, answer, beside, endpoint, flows, replace, round};
use crate::follow::{self, News};
use crate::load::{self, Beside, Incoming, Shape, Worth};
use crate::node::Node;
use commands::replica::Wish;
use config::MasterAddress;
use durable::Staging;
use reactor::timer;
use replication::flow::hello::{Announced, Session, Sync};
use replication::flow::place::{FlowLog, FlowPlaces, Place};
use replication::role::{Facts, History, LinkState, Options, Output, Piece, Reason, Report};
use replication::{Attempt, Position, ReplId, Role, StreamPosition};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use stdx::DbIndex;

/// Runs on core 0 from when all data is there until the server ends.
pub(super) async fn serve(node: Rc<Node>) {
    let mut player = Player::new(node);
    player.begin().await;
    loop {
        player.settle().await;
        player.tell();
        match player.next().await {
            Happened::Ending => return,
            Happened::Event(event) => player.handle(event).await,
            Happened::Lost(why) => player.lost(&why),
            Happened::News(news) => player.heed(news),
            Happened::Read | Happened::Time => {}
        }
        player.role.tick(now_ms());
    }
}

/// Before the role is played: the node is its master's replica, without a link.
pub(super) fn tell_before(node: &Node) {
    let core = &node.state.borrow().core;
    let history = History { current: follow::place(node).map(|place| place.at()), second: None };
    let role = Role::new(options(node), history, stdx::Rng::new(0));
    // Nobody is named where it is not known yet whether it stays a replica; it is answered for a moment only.
    let nobody = MasterAddress { host: String::new(), port: 0 };
    let master = core.config.replicaof.clone().unwrap_or(nobody);
    core.shared.replica.tell(Some(master), role.facts(now_ms()), now_ms());
}

/// What has happened.
enum Happened {
    Ending,
    Event(Event),
    /// Bytes have come.
    Read,
    /// The connection has ended.
    Lost(String),
    News(News),
    /// Something was to be done by now.
    Time,
}

struct Player {
    node: Rc<Node>,
    role: Role,
    /// Whom it was told to follow last.
    wanted: Option<MasterAddress>,
    link: Option<Link>,
    /// What becomes of the payload that comes.
    plan: Option<Plan>,
    staged: Option<Staged>,
    /// A payload of one file that is loaded while it comes, from its first bytes on.
    beside: Option<Beside>,
    /// All cores have a keyspace beside their own, for what is loaded so.
    has_incoming: bool,
    verified: Option<Verified>,
    /// Of a payload that comes in flows: where it is kept, what was announced, and then what has come.
    flow_staging: Option<Staging>,
    announced: Option<(Session, Announced)>,
    gathered: Option<Gathered>,
    /// Of the payload, what is yet to be written.
    payload: Vec<u8>,
    /// Set for who reads a payload through: nobody wants it any more.
    is_over: Arc<AtomicBool>,
    /// A stream comes, and is applied.
    follows: bool,
    /// What has come in flows is applied to its end.
    drains_flows: bool,
    /// How much of what was applied is on the disk.
    safe: Safe,
    /// The database that is selected where the data that was put in last ends.
    db: DbIndex,
    /// Why it was said last that the master is not followed.
    last_said: Option<Reason>,
    /// Whom this node's own replicas were told that it follows.
    passed_on: Vec<ReplId>,
    /// Clients that wait until the node is a master.
    waiting: Vec<Asker>,
}

impl Player {
    fn new(node: Rc<Node>) -> Self {
        let place = follow::place(&node);
        let at = place.as_ref().map(Place::at);
        let goes_on = node.state.borrow().core.config.replicaof.is_some();
        // Where this node's own data begins no stream can go on; what it shares with its last master's is known.
        let history = if goes_on {
            History { current: at, second: None }
        } else {
            History { current: None, second: at }
        };
        let rng = stdx::Rng::new(node.state.borrow_mut().core.rng.next_u64());
        let role = Role::new(options(&node), history, rng);
        Self {
            node,
            role,
            wanted: None,
            link: None,
            plan: None,
            staged: None,
            beside: None,
            has_incoming: false,
            verified: None,
            payload: Vec::new(),
            is_over: Arc::default(),
            follows: false,
            drains_flows: false,
            safe: Safe::default(),
            db: place.map_or(DbIndex(0), |place| place.db()),
            flow_staging: None,
            gathered: None,
            announced: None,
            last_said: None,
            passed_on: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Follows whom the configuration names; data that was a master's, and is nobody's now, becomes this node's own.
    async fn begin(&mut self) {
        let configured = self.node.state.borrow().core.config.replicaof.clone();
        if let Some(master) = configured {
            tracing::info!(master = %endpoint(&master), "this server follows a master");
            let history = self.role.history();
            self.role.replicaof(endpoint(&master), history, now_ms());
            if follow::place(&self.node).is_some() {
                self.role.goes_on();
            }
            self.wanted = Some(master);
        } else if follow::place(&self.node).is_some() {
            follow::clear(&self.node).await;
            follow::set_following(&self.node, false);
        }
    }

    /// Does whatever there is to do, until something has to happen first.
    async fn settle(&mut self) {
        loop {
            while let Some(output) = self.role.poll() {
                self.carry_out(output).await;
            }
            if !self.digest() {
                return;
            }
            let is_whole_step = self.payload.len() >= STEP_BYTES;
            if is_whole_step {
                self.take_payload().await;
            }
        }
    }

    /// Gives the role what was read. False if it takes nothing now.
    fn digest(&mut self) -> bool {
        let Self { node, role, link, payload, .. } = self;
        let Some(link) = link.as_mut().filter(|link| !link.left().is_empty() && role.reads()) else {
            return false;
        };
        let mut sink = |piece: Piece<'_>| match piece {
            Piece::Payload(bytes) => payload.extend_from_slice(bytes),
            Piece::Stream(bytes) => follow::feed(node, bytes),
        };
        let used = role.receive(link.attempt, link.left(), &mut sink, now_ms());
        link.take(used);
        used > 0
    }

    async fn carry_out(&mut self, output: Output) {
        match output {
            Output::Connect { attempt, to } => {
                let timeout = Duration::from_millis(self.role.options().timeout_ms);
                tracing::debug!(%attempt, master = %to, "connecting to the master");
                reactor::task::spawn(link::connect(Rc::clone(&self.node), attempt, to, timeout));
            }
            Output::Send { bytes, .. } => {
                if let Some(link) = &mut self.link {
                    link.send(&bytes);
                }
            }
            Output::Close { .. } => {
                self.link = None;
                if !self.follows {
                    flows::close(&self.node);
                }
            }
            Output::Open { attempt, session, payload } => self.open(attempt, session, payload),
            Output::Stage { attempt } => self.stage(attempt).await,
            Output::Verify { attempt } => self.verify(attempt).await,
            Output::Discard { .. } => self.discard().await,
            Output::Replace(grant) => {
                let verified = self.verified.take().expect("what is granted was verified");
                reactor::task::spawn(replace::carry_out(Rc::clone(&self.node), grant, verified));
            }
            Output::Follow { position, is_resumed, .. } => {
                self.follows = true;
                self.safe = Safe::default();
                if let Some(link) = &mut self.link {
                    link.sit(&self.node);
                }
                if self.role.has_flows() {
                    return self.follow_flows(is_resumed);
                }
                let at = StreamPosition { at: position, db: self.db };
                tracing::info!(%position, is_resumed, "the master's stream is followed");
                follow::begin(&self.node, at);
            }
            Output::Drain { attempt } => {
                self.follows = false;
                if self.role.has_flows() {
                    self.drains_flows = true;
                    flows::drain(&self.node, attempt);
                } else {
                    reactor::task::spawn(drain(Rc::clone(&self.node), attempt));
                }
            }
            Output::Promoted { replid, history } => self.promoted(replid, history).await,
            Output::HandedOver => crate::master::handed_over(&self.node),
            Output::NotHandedOver { reason } => {
                self.wanted = None;
                crate::master::not_handed_over(&self.node, &reason.to_string());
            }
            Output::Failed { reason, .. } => self.failed(&reason),
        }
    }

    /// Says why the master is not followed: once, until there is another reason.
    fn failed(&mut self, reason: &Reason) {
        if self.last_said.as_ref() == Some(reason) {
            tracing::debug!("the master is not followed, as before: {reason}");
        } else if let Reason::Stream(why) = reason {
            tracing::error!("the master's stream cannot be applied, and all data is asked for again: {why}");
        } else {
            tracing::warn!("the master is not followed: {reason}");
        }
        self.last_said = Some(reason.clone());
    }

    async fn stage(&mut self, attempt: Attempt) {
        self.payload.clear();
        let seed = self.node.state.borrow_mut().core.rng.next_u64();
        let plan = beside::plan(&self.node).await;
        if plan.is_beside {
            self.has_incoming = true;
            if beside::set_up(&self.node).await.is_none() {
                return;
            }
        }
        if plan.is_kept {
            let data = Arc::clone(&self.node.control.data);
            let begun = match self.role.has_flows() {
                true => staging::begin(data, seed).await.map(|staging| self.flow_staging = Some(staging)),
                false => Staged::begin(data, seed).await.map(|staged| self.staged = Some(staged)),
            };
            if let Err(why) = begun {
                return self.role.staging_failed(attempt, &why, now_ms());
            }
        }
        self.plan = Some(plan);
    }

    /// Opens the flows of a session.
    fn open(&mut self, attempt: Attempt, session: Session, payload: Option<Announced>) {
        let files = self.flow_staging.as_ref().map(Staging::files);
        let is_now = attempt == self.role.facts(now_ms()).attempt;
        let Some(to) =
            self.role.facts(now_ms()).master.filter(|_| is_now && self.plan.is_some() == payload.is_some())
        else {
            // It could not be staged, and the role knows.
            return;
        };
        let mut from = None;
        if payload.is_none() {
            let Some(Place::Flows(mut places)) = follow::place(&self.node) else {
                return self.lost("it is not known any more where the data is");
            };
            places.set_offset(session.offset);
            self.node.state.borrow().core.shared.following.set_place(Some(Place::Flows(places.clone())));
            from = Some(places);
        }
        let is_beside = self.plan.is_some_and(|plan| plan.is_beside);
        if let Some(payload) = payload.filter(|_| is_beside) {
            load::is_to_have(&self.node, payload.bytes);
        }
        self.announced = payload.map(|payload| (session, payload));
        let options = self.role.options();
        let order = flows::Order {
            attempt,
            session,
            to,
            user: options.user.clone(),
            password: options.password.clone(),
            timeout: Duration::from_millis(options.timeout_ms),
            is_prompt: !self.node.state.borrow().core.config.repl_disable_tcp_nodelay,
            from,
            payload,
            files,
            is_beside,
        };
        tracing::info!(
            flows = session.flows,
            is_full = payload.is_some(),
            "the master's data comes in flows"
        );
        flows::open(&self.node, order);
    }

    /// Has what comes in flows applied, once no core expires or evicts anything by itself.
    fn follow_flows(&self, is_resumed: bool) {
        let attempt = self.role.facts(now_ms()).attempt;
        let node = Rc::clone(&self.node);
        reactor::task::spawn(async move {
            follow::until_all_know(&node, || true).await;
            if let Some(Place::Flows(places)) = follow::place(&node) {
                tracing::info!(%places, is_resumed, "the master's logs are followed");
                flows::begin(&node, attempt, &places);
            }
        });
    }

    fn flow_failed(&mut self, attempt: Attempt, trouble: flows::Trouble) {
        let now = now_ms();
        // While what has come is applied, it does not matter that nothing more comes.
        if attempt != self.role.facts(now).attempt || self.drains_flows {
            return;
        }
        match trouble {
            flows::Trouble::Stream(why) if self.follows => self.role.stream_failed(attempt, &why, now),
            flows::Trouble::Lost(why) | flows::Trouble::Stream(why) => {
                self.lost(&why);
            }
            flows::Trouble::Rejected(why) => self.role.rejected(attempt, &why, now),
            flows::Trouble::Disk(why) => self.role.staging_failed(attempt, &why, now),
        }
    }

    /// A payload has come in flows, and was verified.
    fn gathered(&mut self, attempt: Attempt, gathered: Gathered) {
        if attempt == self.role.facts(now_ms()).attempt {
            let bytes = gathered.bytes;
            self.gathered = Some(gathered);
            self.role.gathered(attempt, bytes, true, now_ms());
        }
    }

    /// What came in flows is what is to be judged.
    fn verify_flows(&mut self, attempt: Attempt) {
        let (Some(gathered), Some((session, announced)), Some(plan)) =
            (self.gathered.take(), self.announced.take(), self.plan.take())
        else {
            unreachable!("what was gathered was announced, and it was known what becomes of it")
        };
        let Gathered { files, parts, worth, places, .. } = gathered;
        let (generation, birth) = (announced.generation, announced.birth);
        let mut places =
            FlowPlaces { log: FlowLog { node: session.node, generation, birth, base: 0 }, flows: places };
        places.set_offset(session.offset);
        let incoming = plan.is_beside.then(|| Incoming::of(parts));
        let (staging, flows) = (self.flow_staging.take(), Some(places));
        let verified = Verified { staging, files, worth, db: DbIndex(0), flows, incoming };
        self.is_over = Arc::default();
        reactor::task::spawn(staging::count(Rc::clone(&self.node), attempt, verified));
    }

    /// Loads and writes what came of a payload. False if it is of no use, which the role knows.
    async fn take_payload(&mut self) -> bool {
        let bytes = std::mem::take(&mut self.payload);
        if self.plan.is_some_and(|plan| plan.is_beside)
            && let Err(why) = self.load(&bytes).await
        {
            let attempt = self.role.facts(now_ms()).attempt;
            self.role.rejected(attempt, &why, now_ms());
            return false;
        }
        let Some(staged) = self.staged.take() else { return true };
        if let Err(why) = staged.judge(&bytes) {
            self.staged = Some(staged);
            let attempt = self.role.facts(now_ms()).attempt;
            self.role.rejected(attempt, &why, now_ms());
            return false;
        }
        match staged.write(bytes).await {
            Ok(staged) => self.staged = Some(staged),
            Err(why) => {
                staging::sweep(Arc::clone(&self.node.control.data)).await;
                let attempt = self.role.facts(now_ms()).attempt;
                self.role.staging_failed(attempt, &why, now_ms());
                return false;
            }
        }
        true
    }

    /// Loads what came of a payload beside the data that is served. Errors: it is no dataset, for this reason.
    async fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        let beside = match &mut self.beside {
            Some(beside) => beside,
            None => {
                let len = self.role.facts(now_ms()).transfer.and_then(|transfer| transfer.len);
                load::is_to_have(&self.node, len.unwrap_or(0));
                self.beside.insert(beside::begin(&self.node, &Shape::Whole(len), bytes)?)
            }
        };
        beside.take(bytes).await
    }

    async fn verify(&mut self, attempt: Attempt) {
        if self.role.has_flows() {
            return self.verify_flows(attempt);
        }
        if !self.payload.is_empty() && !self.take_payload().await {
            return;
        }
        if self.plan.take().is_some_and(|plan| plan.is_beside) {
            return self.finish_beside(attempt).await;
        }
        // Without it writing has failed, and the role knows.
        if let Some(staged) = self.staged.take() {
            self.is_over = Arc::default();
            let is_over = Arc::clone(&self.is_over);
            reactor::task::spawn(staging::verify(Rc::clone(&self.node), attempt, staged, is_over));
        }
    }

    /// What was loaded while it came is what is to be judged.
    async fn finish_beside(&mut self, attempt: Attempt) {
        let finished = match self.beside.take() {
            Some(beside) => beside.finish().await,
            None => Err("it is empty".to_owned()),
        };
        match finished {
            Ok(part) => {
                self.is_over = Arc::default();
                let (staged, incoming) = (self.staged.take(), Incoming::of(vec![part]));
                reactor::task::spawn(beside::keep(Rc::clone(&self.node), attempt, staged, incoming));
            }
            Err(why) => self.role.rejected(attempt, &why, now_ms()),
        }
    }

    async fn discard(&mut self) {
        self.is_over.store(true, Relaxed);
        self.payload = Vec::new();
        (self.plan, self.beside) = (None, None);
        if std::mem::take(&mut self.has_incoming) && !self.node.stopping.get() {
            beside::give_up(&self.node).await;
        }
        if let Some(staged) = self.staged.take() {
            staged.discard().await;
        }
        (self.gathered, self.announced) = (None, None);
        if let Some(staging) = self.flow_staging.take() {
            staging::discard(move || staging.discard()).await;
        }
        if let Some(verified) = self.verified.take() {
            verified.discard().await;
        }
    }

    /// This node is a master now, whose data is its own.
    async fn promoted(&mut self, replid: ReplId, history: History) {
        follow::clear(&self.node).await;
        self.name(None, false);
        follow::set_following(&self.node, false);
        tracing::info!(%replid, before = ?history.second, "this server is a master now");
        if let Some(Position { offset, .. }) = history.second {
            crate::master::goes_on_from(&self.node, Position { replid, offset });
        }
        self.tell();
        for client in self.waiting.drain(..) {
            answer(&self.node, client);
        }
    }

    async fn handle(&mut self, event: Event) {
        let now = now_ms();
        match event {
            Event::Wish(wish, client) => self.wish(wish, client),
            Event::HandOver(to, at) => self.hand_over(to, at),
            Event::Killed(slot) => {
                if self.link.as_ref().is_some_and(|link| link.has_seat(slot)) {
                    self.lost("CLIENT KILL");
                }
            }
            Event::Options => self.role.set_options(options(&self.node), now),
            Event::Connected(attempt, Ok(socket)) => {
                let facts = self.role.facts(now);
                if attempt == facts.attempt && facts.state == LinkState::Connecting {
                    let is_prompt = !self.node.state.borrow().core.config.repl_disable_tcp_nodelay;
                    self.link = Some(Link::new(socket, attempt, is_prompt));
                    self.role.set_options(options(&self.node), now);
                    self.role.want_flows(self.flows_wanted());
                    self.role.connected(attempt, now);
                }
            }
            Event::Connected(attempt, Err(why)) => self.role.lost(attempt, &why, now),
            Event::Verified(attempt, outcome) => self.verified(attempt, outcome).await,
            Event::Replaced(attempt, replace::Outcome::Replaced(place)) => {
                self.db = place.db();
                self.has_incoming = false;
                self.role.replaced(attempt, now);
            }
            Event::Replaced(attempt, replace::Outcome::Unchanged(why)) => {
                // What was granted has taken its files with it, which came to nothing.
                staging::sweep(Arc::clone(&self.node.control.data)).await;
                self.role.not_replaced(attempt, &why, now_ms());
            }
            Event::Replaced(_, replace::Outcome::Over) => {}
            Event::Drained(attempt, place) => {
                self.db = place.db();
                self.role.drained(attempt, place.at().offset, now);
            }
            Event::Kept(attempt, bytes) => self.role.gathered(attempt, bytes, false, now),
            Event::Gathered(attempt, gathered) => self.gathered(attempt, gathered),
            Event::FlowFailed(attempt, trouble) => self.flow_failed(attempt, trouble),
            Event::FlowsRest(attempt) => self.flows_rest(attempt),
        }
    }

    /// All that came in flows was applied.
    fn flows_rest(&mut self, attempt: Attempt) {
        if attempt == self.role.facts(now_ms()).attempt && std::mem::take(&mut self.drains_flows) {
            flows::close(&self.node);
            let offset = self.role.history().current.map_or(0, |current| current.offset);
            // Where it is not known any more, all is asked for.
            let offset = follow::place(&self.node).map_or(offset, |place| place.at().offset);
            self.role.drained(attempt, offset, now_ms());
        }
    }

    async fn verified(&mut self, attempt: Attempt, outcome: staging::Outcome) {
        let now = now_ms();
        let is_wanted = attempt == self.role.facts(now).attempt && !self.is_over.load(Relaxed);
        if is_wanted && !matches!(outcome, staging::Outcome::Whole(..)) {
            staging::sweep(Arc::clone(&self.node.control.data)).await;
        }
        match outcome {
            staging::Outcome::Whole(verified, own_keys) => {
                let report = self.report_on(&verified.worth, own_keys);
                if is_wanted {
                    self.verified = Some(*verified);
                    self.role.verified(attempt, report, now);
                } else {
                    verified.discard().await;
                }
            }
            staging::Outcome::Rejected(why) => self.role.rejected(attempt, &why, now),
            staging::Outcome::Failed(why) => self.role.staging_failed(attempt, &why, now),
            staging::Outcome::Over => {}
        }
    }

    /// What a payload is worth, beside what this node has itself.
    fn report_on(&self, worth: &Worth, own_keys: u64) -> Report {
        Report {
            keys: worth.keys,
            are_over: worth.is_over(crate::clock::unix_ms()),
            libraries: worth.libraries,
            own_keys,
            own_libraries: self.node.state.borrow().core.shared.scripts.gauges().libraries as u64,
        }
    }

    /// What flows are asked for with, if they are wanted.
    fn flows_wanted(&self) -> Option<Sync> {
        let wants = self.node.state.borrow().core.config.repl_flows;
        wants.then(|| match follow::place(&self.node) {
            Some(Place::Flows(places)) if self.role.history().current.is_some() => places.sync(),
            _ => Sync { stands: None, offset: 0 },
        })
    }

    fn wish(&mut self, wish: Wish, client: Option<Asker>) {
        let now = now_ms();
        if self.wanted.as_ref().is_some_and(|wanted| wish.is_to_follow(wanted)) {
            // Who says so again does not wait for the next attempt.
            self.role.hurry(now);
            return client.into_iter().for_each(|client| answer(&self.node, client.already()));
        }
        match wish {
            Wish::Follow(master) => {
                tracing::info!(master = %endpoint(&master), "this server is to follow a master");
                let was_master = self.wanted.is_none();
                follow::set_following(&self.node, true);
                // What it was given since it was a master no stream can go on from; what it had before is known.
                let history = History { current: None, ..self.role.history() };
                self.role.replicaof(endpoint(&master), history, now);
                self.wanted = Some(master.clone());
                self.tell();
                self.name(Some(master), was_master);
                for client in self.waiting.drain(..).chain(client) {
                    answer(&self.node, client);
                }
            }
            Wish::NoOne => {
                if self.wanted.take().is_some() {
                    tracing::info!("this server is to be a master");
                }
                self.role.no_one(now);
                self.waiting.extend(client);
                if self.role.is_master() && self.role.facts(now).master.is_none() {
                    // It was one already, or becomes one as the next thing, which answers.
                    self.settle_waiting();
                }
            }
        }
    }

    /// FAILOVER: a replica of this node is to be its master.
    fn hand_over(&mut self, to: MasterAddress, at: Position) {
        // Somebody has said REPLICAOF meanwhile, or has taken this back.
        if !self.role.is_master() || self.wanted.is_some() {
            return crate::master::not_handed_over(&self.node, "this server is no master any more");
        }
        follow::set_following(&self.node, true);
        self.role.hand_over(endpoint(&to), at, now_ms());
        self.wanted = Some(to.clone());
        self.tell();
        self.name(Some(to), true);
    }

    /// Answers those who wait for what is so.
    fn settle_waiting(&mut self) {
        if !self.node.state.borrow().core.shared.replica.is_replica() {
            for client in self.waiting.drain(..) {
                answer(&self.node, client);
            }
        }
    }

    /// Has all cores know whom the node follows, for CONFIG GET and CONFIG REWRITE.
    fn name(&self, master: Option<MasterAddress>, was_master: bool) {
        round::tell_all(&self.node, |_| Message::Named(master.clone(), was_master));
    }

    fn lost(&mut self, why: &str) {
        if !self.follows && !self.drains_flows {
            // A session ends with its link.
            flows::close(&self.node);
        }
        if let Some(Link { attempt, .. }) = self.link.take() {
            self.role.lost(attempt, why, now_ms());
        }
    }

    fn heed(&mut self, news: News) {
        let now = now_ms();
        self.report();
        match news {
            News::Room => {}
            News::Asked => self.role.acknowledge(now),
            News::Failed(why) => {
                let attempt = self.role.facts(now).attempt;
                self.role.stream_failed(attempt, &why, now);
            }
        }
    }

    /// Tells the role how far the stream was applied, and how much of that is on the disk.
    fn report(&mut self) {
        if let Some(place) = follow::place(&self.node).filter(|_| self.follows) {
            let attempt = self.role.facts(now_ms()).attempt;
            self.role.applied(attempt, place.at().offset);
            let safe = {
                let core = &self.node.state.borrow().core;
                self.safe.look(&core.log, &core.shared.log, place)
            };
            self.role.synced(attempt, safe, now_ms());
        }
    }

    /// Tells all cores how it is.
    fn tell(&mut self) {
        self.report();
        let now = now_ms();
        let mut facts: Facts = self.role.facts(now);
        let master = match (&self.wanted, &facts.master) {
            (Some(wanted), _) => Some(wanted.clone()),
            // What was asked for comes when what is under way is over.
            (None, Some(master)) => Some(MasterAddress { host: master.host.clone(), port: master.port }),
            (None, None) => None,
        };
        facts.master = master.as_ref().map(endpoint);
        if facts.last_reason.is_none() {
            self.last_said = None;
        }
        if let Some(link) = &self.link {
            let db = follow::place(&self.node).map_or(DbIndex(0), |place| place.db());
            link.note(facts.last_io_ms.unwrap_or_default(), db);
        }
        let shared = Arc::clone(&self.node.state.borrow().core.shared);
        let replica = &shared.replica;
        replica.tell_peer(self.link.as_ref().and_then(Link::peer));
        let is_settled = master.is_none() || facts.is_up();
        replica.tell(master, facts, now);
        // While it is not, nobody comes: who is told something else would find nothing here.
        let names = replica.names();
        if is_settled && names != self.passed_on {
            self.passed_on = names;
            crate::master::follows_others(&self.node);
        }
    }

    /// Waits for something to happen.
    async fn next(&mut self) -> Happened {
        let now = now_ms();
        let reads = self.role.reads();
        // While bytes come the figures are brought up to date from time to time, and what was applied is told.
        let is_coming = self.plan.is_some();
        let soon = (self.follows || is_coming).then_some(now + TELL_EACH_MS);
        let until = [self.role.deadline(), soon].into_iter().flatten().min();
        let mut timer = pin!(async {
            match until {
                Some(until) => timer::sleep(Duration::from_millis(until.saturating_sub(now))).await,
                None => std::future::pending().await,
            }
        });
        poll_fn(|cx| self.poll_next(cx, reads, timer.as_mut())).await
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        reads: bool,
        timer: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<Happened> {
        let node = &self.node;
        if node.poll_stopping(cx).is_ready() {
            return Poll::Ready(Happened::Ending);
        }
        if let Poll::Ready(event) = node.replica.desk.poll_take(cx) {
            return Poll::Ready(Happened::Event(event));
        }
        if self.follows
            && !self.role.has_flows()
            && let Poll::Ready(news) = follow::poll_news(node, cx)
        {
            return Poll::Ready(Happened::News(news));
        }
        if let Some(link) = &mut self.link {
            if let Err(why) = link.poll_write(cx) {
                return Poll::Ready(Happened::Lost(why));
            }
            let wants_more = reads && (self.role.has_flows() || !(self.follows && follow::is_full(node)));
            if wants_more && let Poll::Ready(read) = link.poll_read(cx) {
                return Poll::Ready(read.map_or_else(Happened::Lost, |()| Happened::Read));
            }
        }
        timer.poll(cx).map(|()| Happened::Time)
    }
}

/// Applies what came of a stream, and tells the role.
async fn drain(node: Rc<Node>, attempt: Attempt) {
    let at = follow::drain(&node).await;
    node.replica.desk.put(Event::Drained(attempt, Place::Stream(at)));
}

/// What the parameters say.
fn options(node: &Node) -> Options {
    let core = &node.state.borrow().core;
    let config = &core.config;
    let me = ReplId::parse(core.shared.run_id.as_bytes()).expect("a run id has 40 digits");
    let announced = config.replica_announce_port;
    Options {
        me,
        gives: node.masters.replid(),
        listening_port: if announced == 0 { config.port } else { announced },
        announce_ip: config.replica_announce_ip.clone(),
        user: config.masteruser.clone(),
        password: Some(config.masterauth.reveal().to_owned()).filter(|password| !password.is_empty()),
        timeout_ms: u64::from(config.repl_timeout_s) * 1000,
        accepts_less: config.replica_accept_less,
    }
}

/// The clock of the machines.
fn now_ms() -> u64 {
    crate::clock::nanos() / 1_000_000
}

/// A payload is written in steps of this.
const STEP_BYTES: usize = 1 << 20;
/// How often what goes on is told.
const TELL_EACH_MS: u64 = 100;
