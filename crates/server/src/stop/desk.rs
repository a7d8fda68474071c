//! Core 0: who has asked for the end, and whether a snapshot comes before it.

use super::{Cause, Message, hold_writes, hurry, let_writes_go, stop_all, tell_home};
use crate::hop::Sink;
use crate::mail;
use crate::node::Node;
use commands::CommandError;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::task::{Poll, Waker};
use std::time::Duration;
use stdx::ShardId;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// SAVE, NOSAVE or neither.
    pub(crate) save: Option<bool>,
    /// Replicas are not waited for.
    pub(crate) now: bool,
    /// A snapshot that fails does not keep the server from ending.
    pub(crate) force: bool,
    /// By a signal.
    pub(crate) by_signal: bool,
}

/// What core 0 keeps, and every core where it says so.
#[derive(Default)]
pub(crate) struct Desk {
    /// On every core: where the answer goes to the client that has just said SHUTDOWN.
    noted: Cell<Option<Sink>>,
    /// What was asked for, while it can be taken back, and after that.
    request: Cell<Option<Request>>,
    /// Clients that have said SHUTDOWN.
    waiting: RefCell<Vec<(ShardId, Sink)>>,
    /// How often a snapshot before the end was attempted: what comes late of an earlier one does not count.
    attempt: Cell<u32>,
    /// Cores that are not fenced yet.
    unfenced: Cell<usize>,
    /// On every core: how many have answered all their clients, and sent all that they had for this one.
    drained: Cell<u16>,
    /// The snapshot before the end was taken.
    is_saved: Cell<bool>,
    is_aborted: Cell<bool>,
    is_hurried: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Desk {
    /// A client of this core has said SHUTDOWN, or SHUTDOWN ABORT: for [`ask`] or [`abort`] after its turn.
    pub(crate) fn note(&self, sink: Sink) {
        self.noted.set(Some(sink));
    }

    fn noted(&self) -> Sink {
        self.noted.take().expect("the turn has noted where its answer goes")
    }

    pub(super) fn take_waiting(&self) -> Vec<(ShardId, Sink)> {
        self.waiting.take()
    }

    pub(super) fn count_drained(&self) {
        self.drained.set(self.drained.get() + 1);
    }

    pub(super) fn drained(&self) -> u16 {
        self.drained.get()
    }

    pub(super) fn hurry(&self) {
        self.is_hurried.set(true);
        self.wake();
    }

    /// Whether nothing is to be waited for any longer.
    pub(super) fn is_hurried(&self) -> bool {
        self.is_hurried.get()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Why nothing is waited for any longer, if so.
    fn interrupted(&self) -> Option<Unsaved> {
        if self.is_hurried.get() {
            return Some(Unsaved::Hurried);
        }
        self.is_aborted.get().then_some(Unsaved::Aborted)
    }
}

/// Why there is no snapshot before the end.
#[derive(Debug, PartialEq, Eq)]
enum Unsaved {
    /// SHUTDOWN ABORT.
    Aborted,
    /// A second signal.
    Hurried,
    /// It has failed.
    Failed(String),
}

/// The client of this core whose answer was noted has said SHUTDOWN.
pub(crate) fn ask(node: &Rc<Node>, request: Request) {
    let sink = node.ending.noted();
    if let Some(link) = node.links.borrow().get(sink.client) {
        link.awaits.set(sink.part.hole());
    }
    tell_home(node, Message::Ask(request, sink));
}

/// It has said SHUTDOWN ABORT.
pub(crate) fn abort(node: &Rc<Node>) {
    tell_home(node, Message::Abort(node.ending.noted()));
}

/// A signal has come, on core 0: the second one hurries.
pub(crate) fn asked_by_signal(node: &Rc<Node>) {
    match node.ending.request.get() {
        Some(Request { by_signal: true, .. }) => hurry(node),
        Some(request) => node.ending.request.set(Some(Request { by_signal: true, ..request })),
        None => begin(node, Request { save: None, now: false, force: false, by_signal: true }),
    }
}

pub(super) fn asked(node: &Rc<Node>, home: ShardId, request: Request, sink: Sink) {
    if node.stopping.get() {
        return answer(node, home, sink, b"");
    }
    let shards = (0..node.router.shards()).map(ShardId);
    let busy = shards.filter_map(|shard| node.control.busy.error(shard)).next();
    if let Some(busy) = busy.filter(|_| request.save != Some(false)) {
        let mut reply = Vec::new();
        resp::Reply::new(&mut reply, resp::Proto::Resp2).error(&busy.text());
        return answer(node, home, sink, &reply);
    }
    node.ending.waiting.borrow_mut().push((home, sink));
    if node.ending.request.get().is_none() {
        begin(node, request);
    }
}

pub(super) fn aborted(node: &Rc<Node>, home: ShardId, sink: Sink) {
    let may_abort = node.ending.request.get().is_some() && !node.stopping.get();
    let mut reply = Vec::new();
    let mut out = resp::Reply::new(&mut reply, resp::Proto::Resp2);
    if may_abort {
        tracing::warn!("the shutdown is taken back");
        node.ending.is_aborted.set(true);
        node.ending.wake();
        out.ok();
    } else {
        out.error(&CommandError::NO_SHUTDOWN.text());
    }
    answer(node, home, sink, &reply);
}

pub(super) fn fenced(node: &Node, attempt: u32) {
    let desk = &node.ending;
    if attempt == desk.attempt.get() {
        desk.unfenced.set(desk.unfenced.get() - 1);
        desk.wake();
    }
}

fn begin(node: &Rc<Node>, request: Request) {
    let desk = &node.ending;
    desk.request.set(Some(request));
    desk.is_aborted.set(false);
    if wants_snapshot(node, request) || waits_for_replicas(node, request) {
        node.state.borrow().core.shared.shutting_down.store(true, Release);
        reactor::task::spawn(prepare_and_stop(Rc::clone(node)));
    } else {
        stop_all(node);
    }
}

/// As in Redis: SAVE and NOSAVE have their way, and else it is saved where there are save points. But where a log counts all that was
/// acknowledged is there already, so only SAVE saves; and who has just switched one on, which does not count yet, wants no less.
fn wants_snapshot(node: &Node, request: Request) -> bool {
    let has_points = !node.state.borrow().core.config.save.as_slice().is_empty();
    let is_unsafe = !is_logged(node) && (has_points || node.journal.is_on());
    node.admission.is_open() && request.save.unwrap_or(is_unsafe)
}

/// Whether there is a log, and what is in it counts.
fn is_logged(node: &Node) -> bool {
    node.journal.is_on() && node.state.borrow().core.shared.log.is_begun()
}

/// Core 0, when all has ended: whether a log was switched on that never came to count, and no snapshot has made up for that.
pub(crate) fn has_log_in_vain(node: &Node) -> bool {
    node.admission.is_open() && node.journal.is_on() && !is_logged(node) && !node.ending.is_saved.get()
}

/// Whether there are replicas that are to have all before the end.
fn waits_for_replicas(node: &Node, request: Request) -> bool {
    let is_set = node.state.borrow().core.config.shutdown_timeout_s > 0;
    is_set && !request.now && node.admission.is_open() && crate::master::is_followed(node)
}

/// What comes before the end: replicas get what they lack, and a snapshot is taken. It can be taken back.
async fn prepare_and_stop(node: Rc<Node>) {
    let Some(request) = node.ending.request.get() else { return };
    let is_taken_back = waits_for_replicas(&node, request) && wait_for_replicas(&node).await.is_err();
    if is_taken_back {
        go_on(&node);
    } else if wants_snapshot(&node, request) {
        save_and_stop(node).await;
    } else {
        stop_all(&node);
    }
}

/// Fences all writes, and waits until the replicas have all there is, to a bound. Errors: it is taken back.
async fn wait_for_replicas(node: &Rc<Node>) -> Result<(), Unsaved> {
    let wait = Duration::from_secs(node.state.borrow().core.config.shutdown_timeout_s.into());
    tracing::info!("waiting for replicas before the end; writes wait");
    let deadline = reactor::timer::now() + wait;
    fence(node);
    let mut level = crate::master::Level::default();
    while node.ending.unfenced.get() > 0 || !level.is_reached(node) {
        match node.ending.interrupted() {
            Some(Unsaved::Aborted) => return Err(Unsaved::Aborted),
            Some(_) => break,
            None if reactor::timer::now() >= deadline => break,
            None => reactor::timer::sleep(REPLICAS_STEP).await,
        }
    }
    level.tell(node);
    Ok(())
}

/// Holds all writes back. What comes late of an earlier attempt does not count.
fn fence(node: &Rc<Node>) {
    let attempt = node.ending.attempt.get().wrapping_add(1);
    node.ending.attempt.set(attempt);
    node.ending.unfenced.set(node.router.shards() as usize);
    hold_writes(node, Cause::End, attempt);
}

async fn save_and_stop(node: Rc<Node>) {
    tracing::info!("a snapshot is taken before the end; writes wait");
    let saved = save(&node).await;
    let Some(Request { force, by_signal, .. }) = node.ending.request.get() else { return };
    // What a log has is not lost without a snapshot.
    let is_logged = is_logged(&node);
    match saved {
        Ok(()) => {
            node.ending.is_saved.set(true);
            return stop_all(&node);
        }
        Err(Unsaved::Aborted) => {}
        Err(Unsaved::Hurried) => {
            tracing::error!(is_logged, "the server ends without the snapshot that was to be taken");
            node.control.lacks_snapshot.store(!is_logged, Relaxed);
            return stop_all(&node);
        }
        Err(Unsaved::Failed(error)) if force || (by_signal && is_logged) => {
            tracing::error!(error, is_logged, "the server ends without a snapshot: it failed");
            node.control.lacks_snapshot.store(!is_logged, Relaxed);
            return stop_all(&node);
        }
        Err(Unsaved::Failed(error)) => {
            tracing::error!(
                error,
                by_signal,
                "the server does not end: the snapshot before the end failed, and what it holds would be lost"
            );
        }
    }
    go_on(&node);
}

/// Fences all writes and takes a snapshot.
async fn save(node: &Rc<Node>) -> Result<(), Unsaved> {
    fence(node);
    let mut patience = pin!(reactor::timer::sleep(FENCE_MAX));
    poll_fn(|cx| {
        let desk = &node.ending;
        *desk.waker.borrow_mut() = Some(cx.waker().clone());
        if let Some(why) = desk.interrupted() {
            return Poll::Ready(Err(why));
        }
        if desk.unfenced.get() == 0 {
            return Poll::Ready(Ok(()));
        }
        patience.as_mut().poll(cx).map(|()| Err(Unsaved::Failed("what is under way does not end".to_owned())))
    })
    .await?;
    let mut saving = pin!(crate::snapshot::save(node));
    let mut told = Told::default();
    let mut tick = Box::pin(reactor::timer::sleep(Duration::ZERO));
    let result = poll_fn(|cx| {
        *node.ending.waker.borrow_mut() = Some(cx.waker().clone());
        if let Some(why) = node.ending.interrupted() {
            return Poll::Ready(Err(why));
        }
        if let Poll::Ready(result) = saving.as_mut().poll(cx) {
            return Poll::Ready(result.map_err(Unsaved::Failed));
        }
        while tick.as_mut().poll(cx).is_ready() {
            told.tell(node);
            tick = Box::pin(reactor::timer::sleep(TELL_EACH));
        }
        Poll::Pending
    })
    .await;
    if matches!(result, Err(Unsaved::Aborted | Unsaved::Hurried)) {
        crate::snapshot::cancel(node);
    }
    result
}

/// What the service manager was told of the snapshot.
#[derive(Default)]
struct Told {
    progress: Option<(u64, u64)>,
}

impl Told {
    /// How far it is; and as long as it gets on, that the service manager is to wait.
    fn tell(&mut self, node: &Node) {
        let saves = &node.state.borrow().core.shared.saves;
        let sum = |of: fn(&commands::saves::CoreGauges) -> &std::sync::atomic::AtomicU64| -> u64 {
            saves.cores.iter().map(|core| of(core).load(Relaxed)).sum()
        };
        let (keys, captured, bytes) =
            (sum(|core| &core.keys), sum(|core| &core.captured), sum(|core| &core.bytes));
        let percent = (captured * 100).checked_div(keys).unwrap_or(0);
        let mut state =
            format!("STATUS=Taking a snapshot before the end: {percent} %, {} MB", bytes / 1_000_000);
        if self.progress.replace((captured, bytes)) != Some((captured, bytes)) {
            state += &format!("\nEXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros());
        }
        crate::notify::notify(&state);
    }
}

/// It was taken back: everything is as before.
fn go_on(node: &Rc<Node>) {
    let desk = &node.ending;
    desk.request.set(None);
    desk.is_aborted.set(false);
    node.state.borrow().core.shared.shutting_down.store(false, Release);
    let_writes_go(node, Cause::End);
    crate::master::hold_stream(node, false);
    crate::notify::notify("STATUS=Ready to accept connections");
    let mut reply = Vec::new();
    resp::Reply::new(&mut reply, resp::Proto::Resp2).error(&CommandError::SHUTDOWN_FAILED.text());
    for (home, sink) in desk.take_waiting() {
        answer(node, home, sink, &reply);
    }
}

fn answer(node: &Node, home: ShardId, sink: Sink, reply: &[u8]) {
    if home == node.id {
        return mail::fill(node, sink, reply);
    }
    node.mailbox.outbox(home.index(), |hop| hop.reply(sink, |out| out.extend_from_slice(reply)));
}

/// How long what is under way is waited for before a snapshot.
const FENCE_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether replicas have all.
const REPLICAS_STEP: Duration = Duration::from_millis(2);
/// How often the service manager is told how far the snapshot is, and how much longer it is to wait each time.
const TELL_EACH: Duration = Duration::from_secs(1);
const EXTENSION: Duration = Duration::from_secs(30);
