//! A master: replicas of Redis, Valkey and Lacewing follow this node. See docs/decisions/0030-a-master-in-the-server.md.
//!
//! ```text
//!   core n                                  core 0
//!   PSYNC, SYNC ── the connection ────────► [`peer`]: a task for each replica
//!                                              ▲ reads the ring at its own place
//!   journal ── tap ── what was recorded ───► [`Source`]: one stream, in the ring      ([`Desk`])
//!                                              │ begins behind a cut
//!   a cut, a snapshot ◄─────────────────────  [`payload`]: all data, for those who need it
//!   WAIT ── a ticket ──────────────────────► [`waits`]: until enough have acknowledged
//! ```
//!
//! Lacewings that can are sent the logs instead ([`crate::flows`]): what is here of them is their link.
//!
//! While nobody follows nothing is tapped and nothing is paid. The first that comes has the journals tapped, at a cut; when the last
//! has been gone for `repl-backlog-ttl` that ends, at another.
//!
//! Nothing here waits for a replica: each reads at its own place, and one whose place falls out of the ring is cut off.

mod failover;
mod level;
mod payload;
mod peer;
mod waits;

pub(crate) use failover::{abort_failover, ask_failover, fenced, handed_over, not_handed_over};
pub(crate) use level::{Level, hold_stream, is_followed};
pub(crate) use payload::captured;
pub(crate) use peer::Peer;
pub(crate) use waits::{begin as begin_wait, forget as forget_wait, log_has_ended, more_is_on_disk};

use crate::clock::unix_ms;
use crate::hop::Item;
use crate::node::Node;
use commands::Core;
use commands::core::Shared;
use commands::masters::{Asked, Failover, Wants};
use config::{ClientClass, Config, OutputLimit};
use reactor::bell::Listening;
use reactor::timer;
use replication::info::Ring;
use replication::{Backlog, Position, ReplId, Source};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;
use stdx::{ClientId, Rng, ShardId, UnixMs};
use waits::Marks;

/// What the cores tell each other.
pub(crate) enum Message {
    /// A connection of the sender is a replica's from now on: on core 0, or on that of a flow.
    Follow(Box<Newcomer>),
    /// To core 0: a client of the sender waits for replicas.
    Wait(waits::Order),
    /// To core 0: it waits no longer.
    Forget(u64),
    /// To core 0: a replica is to be the master.
    Failover(Box<Failover>),
    /// To core 0: the failover with this number is taken back.
    AbortFailover(u64),
    /// Who has what your client with this ticket had written.
    Waited(waits::Answer),
    /// Sessions of flows are over.
    FlowsOver,
}

/// A connection that is handed over to core 0.
pub(crate) struct Newcomer {
    pub(crate) socket: OwnedFd,
    pub(crate) id: ClientId,
    pub(crate) addr: String,
    pub(crate) laddr: String,
    pub(crate) name: String,
    pub(crate) created: UnixMs,
    pub(crate) asked: Asked,
}

/// A core's part in it; most of it is used on core 0 alone.
pub(crate) struct Desk {
    source: RefCell<Source>,
    tapping: Cell<Tapping>,
    peers: RefCell<Vec<Rc<Peer>>>,
    /// The full sync that is under way.
    making: Cell<Option<payload::Making>>,
    /// The stream has ended: the journals are to be tapped anew, or no longer.
    is_to_stop: Cell<bool>,
    /// When the last replica has gone.
    alone_since: Cell<Option<u64>>,
    waits: waits::Desk,
    failover: failover::Desk,
    /// Replicas are to have all before the server ends.
    is_held: Cell<bool>,
    /// When those whose flows go on were last told that this node lives, and those who wait for a payload that it comes.
    last_ping_ms: Cell<u64>,
    last_newline_ms: Cell<u64>,
    /// The offset that was shown last, and that of the end of the logs.
    shown: Cell<(u64, u64)>,
    has_news: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Of who makes payloads.
    maker: RefCell<Option<Waker>>,
    rng: RefCell<Rng>,
}

/// Whether the journals come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tapping {
    Off,
    /// A cut is made; what comes before it was taken down is not to be taken yet.
    Starting,
    On,
}

impl Desk {
    /// Of a core that is followed by nobody.
    pub(crate) fn new(mut rng: Rng) -> Self {
        // It gets its size with the first replica.
        let backlog = Backlog::new(ReplId::random(&mut rng), 0, 1);
        Self {
            source: RefCell::new(Source::new(backlog)),
            tapping: Cell::new(Tapping::Off),
            peers: RefCell::default(),
            making: Cell::new(None),
            is_to_stop: Cell::new(false),
            alone_since: Cell::new(None),
            waits: waits::Desk::default(),
            failover: failover::Desk::default(),
            is_held: Cell::new(false),
            last_ping_ms: Cell::new(0),
            last_newline_ms: Cell::new(0),
            shown: Cell::default(),
            has_news: Cell::new(false),
            waker: RefCell::default(),
            maker: RefCell::default(),
            rng: RefCell::new(rng),
        }
    }

    /// Core 0: there is something to look at.
    pub(crate) fn wake(&self) {
        self.has_news.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether the journals are made one stream.
    pub(crate) fn makes_stream(&self) -> bool {
        self.source.borrow().is_on()
    }

    /// The offset behind the stream.
    pub(crate) fn stream_end(&self) -> u64 {
        self.source.borrow().backlog().end()
    }

    /// The offset of the end of the logs that was shown last.
    pub(crate) fn logs_end(&self) -> u64 {
        self.shown.get().1
    }

    /// The name of the stream's history.
    pub(crate) fn replid(&self) -> ReplId {
        self.source.borrow().backlog().replid()
    }

    fn wake_maker(&self) {
        if let Some(waker) = self.maker.take() {
            waker.wake();
        }
    }

    /// Whether nothing is put into the stream that was not written, so that replicas can have all of it.
    fn stands_still(&self) -> bool {
        self.is_held.get() || self.failover.holds_stream()
    }

    /// From where on the stream is still needed, if anybody needs it.
    fn needed(&self) -> Option<u64> {
        let making = self.making.get().and_then(|making| making.place).map(|place| place.offset);
        let peers = self.peers.borrow();
        peers.iter().filter_map(|peer| peer.place()).chain(making).min()
    }
}

/// Serves replicas, on core 0, for as long as it runs.
pub(crate) fn start(node: &Rc<Node>) {
    reactor::task::spawn(serve(Rc::clone(node)));
    reactor::task::spawn(payload::serve(Rc::clone(node)));
}

/// What the section of INFO and the limits depend on has changed. Whether writes have replicas enough is known when the command that
/// changed it is answered.
pub(crate) fn config_changed(node: &Node, core: &Core) {
    if node.id == ShardId(0) {
        judge_replicas(node, &core.shared, &Limits::of(&core.config), now_ms());
    }
    node.masters.wake();
}

/// A message from a core.
pub(crate) fn receive(node: &Rc<Node>, from: ShardId, message: Message) {
    match message {
        Message::Follow(newcomer) if newcomer.asked.promotes => peer::adopt_promoted(node, *newcomer),
        Message::Follow(newcomer) => match newcomer.asked.wants {
            Wants::Flow(join) => crate::flows::adopt(node, *newcomer, join),
            _ => peer::adopt(node, *newcomer),
        },
        Message::FlowsOver => crate::flows::end_over(node),
        Message::Wait(order) => waits::asked(node, from, order),
        Message::Forget(ticket) => waits::forgotten(node, from, ticket),
        Message::Failover(asked) => failover::begin(node, *asked),
        Message::AbortFailover(number) => failover::aborted(node, number),
        Message::Waited(answer) => waits::answered(node, answer),
    }
}

fn tell(node: &Rc<Node>, core: ShardId, message: Message) {
    if core == node.id {
        receive(node, core, message);
    } else {
        node.mailbox.outbox(core.index(), |hop| hop.say(Item::Master(Box::new(message))));
    }
}

/// Core 0: those who follow by flows.
pub(crate) fn with_session(node: &Node) -> Vec<Rc<Peer>> {
    let peers = node.masters.peers.borrow();
    peers.iter().filter(|peer| peer.session().is_some()).cloned().collect()
}

/// A connection of this core is a replica's from now on.
pub(crate) fn hand_over(node: &Rc<Node>, newcomer: Newcomer) {
    let core = match newcomer.asked.wants {
        // One that there is not is refused there.
        Wants::Flow(join) => ShardId(join.flow % node.router.shards()),
        _ => ShardId(0),
    };
    tell(node, core, Message::Follow(Box::new(newcomer)));
}

/// Core 0: this node is a master now, with the data of its last one up to here. Its offsets go on from there, as in Redis, so it is seen behind
/// nobody who has had the same data.
pub(crate) fn goes_on_from(node: &Node, place: Position) {
    let is_new = {
        let source = &mut *node.masters.source.borrow_mut();
        let is_new = !source.is_on() && source.backlog().end() < place.offset;
        if is_new {
            source.backlog_mut().reset(place);
        }
        is_new
    };
    if is_new {
        publish_ring(node);
    }
}

/// Core 0: this node follows others than it did, or nobody. Those who follow it have been told whom, and pass that on to who asks them: they come
/// again, hear how it is now, and go on where they were.
pub(crate) fn follows_others(node: &Node) {
    let peers = node.masters.peers.borrow();
    peers.iter().for_each(|peer| {
        peer.end("whom this server follows has changed: it is to hear that, and can go on at once");
    });
}

/// All data was replaced by other data, of which the journals do not tell: whoever follows begins anew.
pub(crate) fn replaced(node: &Node) {
    if node.masters.tapping.get() != Tapping::Off {
        tracing::info!("all data was replaced: replicas begin anew");
        begin_anew(node);
    }
}

async fn serve(node: Rc<Node>) {
    let bell = node.control.taps.ear().listen().expect("memory to watch the taps");
    let mut next_ms = tick(&node);
    while wait_for_work(&node, &bell, next_ms).await {
        node.control.taps.hear();
        pump(&node);
        next_ms = tick(&node);
    }
}

/// Waits until there is something to do. False when the server ends.
async fn wait_for_work(node: &Rc<Node>, bell: &Listening, next_ms: u64) -> bool {
    let mut timer = pin!(timer::sleep(Duration::from_millis(next_ms)));
    poll_fn(|cx| {
        node.masters.waker.replace(Some(cx.waker().clone()));
        if node.poll_stopping(cx).is_ready() {
            return Poll::Ready(false);
        }
        let is_called = node.masters.has_news.take() | bell.poll_rung(cx).is_ready();
        if is_called || timer.as_mut().poll(cx).is_ready() { Poll::Ready(true) } else { Poll::Pending }
    })
    .await
}

/// Takes what the cores have handed over, puts into the stream what can be, and has it sent.
fn pump(node: &Rc<Node>) {
    let (desk, taps) = (&node.masters, &node.control.taps);
    crate::flows::look(node, now_ms());
    if desk.tapping.get() != Tapping::On {
        return waits::serve(node);
    }
    let mut is_whole = true;
    let merged = {
        let source = &mut *desk.source.borrow_mut();
        for core in (0..node.router.shards()).map(ShardId) {
            is_whole &= taps.take(core, |entry| source.take(core, entry));
        }
        let bytes_max = ring_bytes_max(&node.state.borrow().core.config);
        source.merge_keeping(desk.needed(), bytes_max)
    };
    match merged {
        Err(error) => give_up(node, &format!("the journals do not fit each other: {error}")),
        Ok(_) if !is_whole || desk.source.borrow().waiting_bytes() > WAITING_BYTES_MAX => {
            give_up(node, "more was written than core 0 could take");
        }
        Ok(has_more) => {
            payload::note_place(desk);
            waits::serve(node);
            if has_more {
                publish_ring(node);
                desk.peers.borrow().iter().for_each(|peer| peer.kick());
            }
        }
    }
}

/// What is to be done from time to time. Returns in how many milliseconds it is to be done again.
fn tick(node: &Rc<Node>) -> u64 {
    let (desk, now_ms) = (&node.masters, now_ms());
    crate::flows::look(node, now_ms);
    let limits = Limits::of(&node.state.borrow().core.config);
    end_peers(desk, &limits, now_ms);
    let mut next_ms = if desk.peers.borrow().is_empty() { IDLE_MS } else { ROUND_MS };
    if desk.tapping.get() == Tapping::On {
        let end = desk.source.borrow().backlog().end();
        if !desk.peers.borrow().is_empty() {
            // Replicas are to have all of a stream that stands still, as long as they do not take this node for dead.
            let each_ms = if desk.stands_still() { limits.timeout_ms / 3 } else { limits.ping_ms };
            desk.source.borrow_mut().ping(each_ms, now_ms);
        }
        if desk.source.borrow().backlog().end() > end {
            desk.peers.borrow().iter().for_each(|peer| peer.kick());
        }
        shrink(desk, limits.backlog_bytes);
        look_whether_alone(desk, limits.ttl_ms, now_ms);
        next_ms = next_ms.min(ROUND_MS);
    }
    if now_ms >= desk.last_ping_ms.get() + limits.ping_ms {
        desk.last_ping_ms.set(now_ms);
        desk.peers.borrow().iter().for_each(|peer| peer.say_that_it_lives());
    }
    // Whoever waits for a snapshot may have a timeout of a few seconds: it is told each second, as Redis does.
    if now_ms >= desk.last_newline_ms.get() + NEWLINE_EACH_MS {
        desk.last_newline_ms.set(now_ms);
        desk.peers.borrow().iter().for_each(|peer| peer.say_that_it_comes());
    }
    publish_ring(node);
    publish_peers(node, &limits, now_ms);
    failover::look(node);
    for until_ms in [waits::deadline(node), desk.failover.deadline()].into_iter().flatten() {
        next_ms = next_ms.min(until_ms.saturating_sub(now_ms).max(1));
    }
    next_ms
}

/// What the parameters say.
struct Limits {
    backlog_bytes: usize,
    ping_ms: u64,
    timeout_ms: u64,
    ttl_ms: Option<u64>,
    output: OutputLimit,
    replicas_min: usize,
    lag_max_ms: u64,
}

impl Limits {
    fn of(config: &Config) -> Self {
        let ms = |seconds: u32| u64::from(seconds) * 1000;
        Self {
            backlog_bytes: config.repl_backlog_bytes as usize,
            ping_ms: ms(config.repl_ping_replica_period_s),
            timeout_ms: ms(config.repl_timeout_s),
            ttl_ms: Some(ms(config.repl_backlog_ttl_s)).filter(|ttl| *ttl > 0),
            output: config.client_output_buffer_limit.of(ClientClass::Replica),
            replicas_min: config.min_replicas_to_write as usize,
            lag_max_ms: ms(config.min_replicas_max_lag_s),
        }
    }
}

/// How large the ring may become for those who read slowly: a bound below its own size is none, as in Redis.
fn ring_bytes_max(config: &Config) -> usize {
    let hard_bytes = config.client_output_buffer_limit.of(ClientClass::Replica).hard_bytes as usize;
    if hard_bytes == 0 { usize::MAX >> 1 } else { hard_bytes.max(config.repl_backlog_bytes as usize) }
}

/// Cuts those off that are silent, or behind for too long.
fn end_peers(desk: &Desk, limits: &Limits, now_ms: u64) {
    let (start, end) = {
        let source = desk.source.borrow();
        (source.backlog().start(), source.backlog().end())
    };
    for peer in &*desk.peers.borrow() {
        if peer.place().is_some_and(|place| place < start) {
            peer.end("it is behind by more than the hard bound of client-output-buffer-limit replica");
        } else if peer.follower.borrow().is_lost(now_ms, limits.timeout_ms) {
            peer.end("it is silent for longer than repl-timeout");
        } else if peer.is_late(end, limits.output, now_ms) {
            peer.end("it was behind by more than the soft bound of client-output-buffer-limit replica for too long");
        }
    }
}

/// Takes back what the ring has grown by, when nobody needs it any more; and follows its parameter.
fn shrink(desk: &Desk, bytes: usize) {
    let needed = desk.needed();
    let mut source = desk.source.borrow_mut();
    let backlog = source.backlog_mut();
    let is_needed = needed.is_some_and(|from| (backlog.end() - from) as usize > bytes);
    if backlog.capacity() != bytes && !is_needed {
        backlog.resize(bytes);
    }
    backlog.trim();
}

fn look_whether_alone(desk: &Desk, ttl_ms: Option<u64>, now_ms: u64) {
    if !desk.peers.borrow().is_empty() || desk.making.get().is_some() {
        return desk.alone_since.set(None);
    }
    let since = desk.alone_since.get().unwrap_or(now_ms);
    desk.alone_since.set(Some(since));
    if ttl_ms.is_some_and(|ttl| now_ms.saturating_sub(since) > ttl) && !desk.is_to_stop.replace(true) {
        tracing::info!(
            "nothing is kept for replicas any more: the last one has been gone for repl-backlog-ttl"
        );
        desk.wake_maker();
    }
}

/// The stream cannot go on: whoever follows is cut off, and begins anew.
fn give_up(node: &Node, why: &str) {
    tracing::error!(why, "the stream for replicas has ended: they begin anew");
    begin_anew(node);
}

/// Whoever follows is cut off, and finds another stream.
fn begin_anew(node: &Node) {
    let desk = &node.masters;
    desk.source.borrow_mut().stop();
    desk.peers.borrow().iter().for_each(|peer| peer.end("the stream has ended"));
    desk.is_to_stop.set(true);
    desk.wake_maker();
}

fn publish_ring(node: &Node) {
    let logs_end = crate::flows::end_of_logs(node);
    let source = node.masters.source.borrow();
    let mut ring = Ring { is_active: source.is_on(), ..Ring::of(source.backlog()) };
    let (_, last) = node.masters.shown.get();
    let logs_end = logs_end.unwrap_or(last);
    if !source.is_on() && logs_end > ring.end {
        (ring.start, ring.end) = (logs_end, logs_end);
    }
    node.masters.shown.set((ring.end, logs_end));
    node.state.borrow().core.shared.masters.known().ring = Some(ring);
}

/// Tells all cores who follows, and whether writes have replicas enough.
fn publish_peers(node: &Node, limits: &Limits, now_ms: u64) {
    let shared = &node.state.borrow().core.shared;
    let good = judge_replicas(node, shared, limits, now_ms);
    let peers = node.masters.peers.borrow();
    let mut known = shared.masters.known();
    let shown = node.masters.shown.get();
    known.followers = peers.iter().map(|peer| (peer.shown(shown), peer.address.clone())).collect();
    known.good = good;
}

/// Tells all cores whether writes have replicas enough. Returns how many are near enough, if that is asked.
fn judge_replicas(node: &Node, shared: &Shared, limits: &Limits, now_ms: u64) -> Option<usize> {
    let peers = node.masters.peers.borrow();
    let is_near = |peer: &&Rc<Peer>| {
        let follower = peer.follower.borrow();
        // In whole seconds, as Redis counts.
        follower.is_online() && follower.lag_ms(now_ms) / 1000 * 1000 <= limits.lag_max_ms
    };
    let is_asked = limits.replicas_min > 0 && limits.lag_max_ms > 0;
    let good = is_asked.then(|| peers.iter().filter(is_near).count());
    shared.health.set_lacks_replicas(good.is_some_and(|good| good < limits.replicas_min));
    good
}

/// The clock of the machines.
pub(crate) fn now_ms() -> u64 {
    unix_ms().0.max(0) as u64
}

/// How often the replicas are looked at; and how often it is looked whether there are any.
const ROUND_MS: u64 = 100;
const IDLE_MS: u64 = 3_600_000;
/// Who waits for a payload hears that it comes.
const NEWLINE_EACH_MS: u64 = 1000;
/// So much may wait for what other journals have to say.
const WAITING_BYTES_MAX: usize = crate::journal::tap::QUEUE_BYTES_MAX;
