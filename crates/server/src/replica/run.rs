//! Core 0: the role's outputs carried out, one after the other, and the role told what came of them.

use super::link::{self, Link};
use super::staging::{self, Staged, Verified};
use super::{Event, Message, answer, endpoint, replace, round};
use crate::follow::{self, News};
use crate::node::Node;
use commands::replica::Wish;
use config::MasterAddress;
use reactor::timer;
use replication::role::{Facts, History, LinkState, Options, Output, Piece, Report};
use replication::{Attempt, Position, ReplId, Role, StreamPosition};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use stdx::{DbIndex, ShardId};

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
    let history = History { current: follow::position(node).map(|position| position.at), second: None };
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
    staged: Option<Staged>,
    verified: Option<Verified>,
    /// Of the payload, what is yet to be written.
    payload: Vec<u8>,
    /// Set for who reads a payload through: nobody wants it any more.
    is_over: Arc<AtomicBool>,
    /// A stream comes, and is applied.
    follows: bool,
    /// The database that is selected where the data that was put in last ends.
    db: DbIndex,
    /// Clients that wait until the node is a master.
    waiting: Vec<(ShardId, crate::hop::Sink)>,
}

impl Player {
    fn new(node: Rc<Node>) -> Self {
        let position = follow::position(&node);
        let at = position.map(|position| position.at);
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
            staged: None,
            verified: None,
            payload: Vec::new(),
            is_over: Arc::default(),
            follows: false,
            db: position.map_or(DbIndex(0), |position| position.db),
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
            self.wanted = Some(master);
        } else if follow::position(&self.node).is_some() {
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
                self.write_payload().await;
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
            Output::Close { .. } => self.link = None,
            Output::Stage { attempt } => self.stage(attempt).await,
            Output::Verify { attempt } => self.verify(attempt).await,
            Output::Discard { .. } => self.discard().await,
            Output::Replace(grant) => {
                let verified = self.verified.take().expect("what is granted was verified");
                reactor::task::spawn(replace::carry_out(Rc::clone(&self.node), grant, verified));
            }
            Output::Follow { position, is_resumed, .. } => {
                let at = StreamPosition { at: position, db: self.db };
                tracing::info!(%position, is_resumed, "the master's stream is followed");
                follow::begin(&self.node, at);
                self.follows = true;
            }
            Output::Drain { attempt } => {
                self.follows = false;
                reactor::task::spawn(drain(Rc::clone(&self.node), attempt));
            }
            Output::Promoted { replid, history } => self.promoted(replid, history).await,
            Output::HandedOver => crate::master::handed_over(&self.node),
            Output::NotHandedOver { reason } => {
                self.wanted = None;
                crate::master::not_handed_over(&self.node, &reason.to_string());
            }
            Output::Failed { reason, .. } => tracing::warn!("the master is not followed: {reason}"),
        }
    }

    async fn stage(&mut self, attempt: Attempt) {
        self.payload.clear();
        let seed = self.node.state.borrow_mut().core.rng.next_u64();
        match Staged::begin(Arc::clone(&self.node.control.data), seed).await {
            Ok(staged) => self.staged = Some(staged),
            Err(why) => self.role.staging_failed(attempt, &why, now_ms()),
        }
    }

    /// Writes what came of a payload.
    async fn write_payload(&mut self) {
        let bytes = std::mem::take(&mut self.payload);
        let Some(staged) = self.staged.take().filter(|_| !bytes.is_empty()) else { return };
        match staged.write(bytes).await {
            Ok(staged) => self.staged = Some(staged),
            Err(why) => {
                let attempt = self.role.facts(now_ms()).attempt;
                self.role.staging_failed(attempt, &why, now_ms());
            }
        }
    }

    async fn verify(&mut self, attempt: Attempt) {
        if !self.payload.is_empty() {
            self.write_payload().await;
        }
        // Without it writing has failed, and the role knows.
        if let Some(staged) = self.staged.take() {
            self.is_over = Arc::default();
            let is_over = Arc::clone(&self.is_over);
            reactor::task::spawn(staging::verify(Rc::clone(&self.node), attempt, staged, is_over));
        }
    }

    async fn discard(&mut self) {
        self.is_over.store(true, Relaxed);
        self.payload = Vec::new();
        if let Some(staged) = self.staged.take() {
            staged.discard().await;
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
            Event::Options => self.role.set_options(options(&self.node), now),
            Event::Connected(attempt, Ok(socket)) => {
                let facts = self.role.facts(now);
                if attempt == facts.attempt && facts.state == LinkState::Connecting {
                    let is_prompt = !self.node.state.borrow().core.config.repl_disable_tcp_nodelay;
                    self.link = Some(Link::new(socket, attempt, is_prompt));
                    self.role.connected(attempt, now);
                }
            }
            Event::Connected(attempt, Err(why)) => self.role.lost(attempt, &why, now),
            Event::Verified(attempt, outcome) => self.verified(attempt, outcome).await,
            Event::Replaced(attempt, replace::Outcome::Replaced(position)) => {
                self.db = position.db;
                self.role.replaced(attempt, now);
            }
            Event::Replaced(attempt, replace::Outcome::Unchanged(why)) => {
                self.role.not_replaced(attempt, &why, now);
            }
            Event::Replaced(_, replace::Outcome::Over) => {}
            Event::Drained(attempt, StreamPosition { at, db }) => {
                self.db = db;
                self.role.drained(attempt, at.offset, now);
            }
        }
    }

    async fn verified(&mut self, attempt: Attempt, outcome: staging::Outcome) {
        let now = now_ms();
        match outcome {
            staging::Outcome::Whole(verified, own_keys) => {
                let report = Report { keys: verified.keys, own_keys };
                let is_wanted = attempt == self.role.facts(now).attempt && !self.is_over.load(Relaxed);
                if is_wanted {
                    self.verified = Some(*verified);
                    self.role.verified(attempt, report, now);
                } else if self.staged.is_none() {
                    verified.discard().await;
                }
            }
            staging::Outcome::Rejected(why) => self.role.rejected(attempt, &why, now),
            staging::Outcome::Failed(why) => self.role.staging_failed(attempt, &why, now),
            staging::Outcome::Over => {}
        }
    }

    fn wish(&mut self, wish: Wish, client: Option<(ShardId, crate::hop::Sink)>) {
        let now = now_ms();
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
                tracing::info!("this server is to be a master");
                self.wanted = None;
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

    /// Tells the role how far the stream was applied.
    fn report(&mut self) {
        if let Some(StreamPosition { at, .. }) = follow::position(&self.node).filter(|_| self.follows) {
            let attempt = self.role.facts(now_ms()).attempt;
            self.role.applied(attempt, at.offset);
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
        self.node.state.borrow().core.shared.replica.tell(master, facts, now);
    }

    /// Waits for something to happen.
    async fn next(&mut self) -> Happened {
        let now = now_ms();
        let reads = self.role.reads();
        // While bytes come the figures are brought up to date from time to time, and what was applied is told.
        let soon = (self.follows || self.staged.is_some()).then_some(now + TELL_EACH_MS);
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
            && let Poll::Ready(news) = follow::poll_news(node, cx)
        {
            return Poll::Ready(Happened::News(news));
        }
        if let Some(link) = &mut self.link {
            if let Err(why) = link.poll_write(cx) {
                return Poll::Ready(Happened::Lost(why));
            }
            let wants_more = reads && !(self.follows && follow::is_full(node));
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
    node.replica.desk.put(Event::Drained(attempt, at));
}

/// What the parameters say.
fn options(node: &Node) -> Options {
    let core = &node.state.borrow().core;
    let config = &core.config;
    let me = ReplId::parse(core.shared.run_id.as_bytes()).expect("a run id has 40 digits");
    let announced = config.replica_announce_port;
    Options {
        me,
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
