//! `appendonly` while the server runs: docs/decisions/0026-a-log-that-begins-later.md. Core 0 sees to it ([`crate::cut::policy`] tells when).
//!
//! ```text
//!  yes: a snapshot ─► logs are made, and wait ─► its cut: every journal starts ─► its set is whole ─► the generation begins
//!  no:  a cut, on the disk ─► every core freezes its log ─► all have ─► every core ends its journal
//! ```
//!
//! **yes.** The logs continue a set, so they are written from its cut on; until it is whole nothing of them counts, and a start
//! passes them over. If it does not come about, the journals end again, and the next attempt makes others.
//!
//! **no.** What the logs have when all are frozen is what a crash at that moment would leave: nothing left a core that was not in
//! its journal. So it needs no locks, which a transaction may hold that waits for a failed disk: this is the way out where the disk will
//! not get well. What had waited for the disk goes when all are frozen: there is nothing to wait for any more.

use super::Journal;
use super::sink::LogSink;
use crate::cut::{self, Deed, HOME, Message};
use crate::node::Node;
use commands::effects;
use commands::saves::SaveKind;
use config::AppendFsync;
use durable::log::LogWriter;
use reactor::timer;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use stdx::ShardId;

/// Logs that are to be written from a cut on, by shard.
pub(crate) struct NewLogs {
    logs: Vec<Mutex<Option<LogWriter>>>,
    policy: AppendFsync,
}

impl NewLogs {
    pub(crate) fn new(logs: Vec<LogWriter>, policy: AppendFsync) -> Self {
        Self { logs: logs.into_iter().map(|log| Mutex::new(Some(log))).collect(), policy }
    }

    /// Starts this core's journal. Under the locks of a cut, whose number this is.
    pub(crate) fn start(&self, node: &Node, core: &mut commands::Core, cut: u64) {
        let log = self.logs[node.id.index()].lock().expect("nobody panics with it").take();
        let log = log.expect("a cut is made once");
        let sink = LogSink::start(log, node.journal.bell()).expect("a thread for the log");
        node.journal.start(core, sink, self.policy, cut);
    }
}

impl std::fmt::Debug for NewLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewLogs").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Transactions of one core that write, and that were begun when nothing was going to journal them: they let the last shard go
/// before they have an end, and so no journal may start under them.
#[derive(Default)]
pub(crate) struct Unkept(Rc<Cell<usize>>);

/// One of them.
#[derive(Debug)]
pub(crate) struct UnkeptOne(Rc<Cell<usize>>);

impl Unkept {
    fn one(&self) -> UnkeptOne {
        self.0.set(self.0.get() + 1);
        UnkeptOne(Rc::clone(&self.0))
    }
}

impl Drop for UnkeptOne {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// For a transaction that writes: nothing if it has to keep its locks until all of it is journalled.
pub(crate) fn unkept(node: &Node) -> Option<UnkeptOne> {
    (!is_expected(node)).then(|| node.journal.unkept.one())
}

/// Whether what begins now is journalled, or may be.
pub(crate) fn is_expected(node: &Node) -> bool {
    node.journal.records() || expects(node)
}

/// Whether nothing here is in the way of a journal that is about to start.
pub(crate) fn may_start(node: &Node) -> bool {
    node.journal.unkept.0.get() == 0 || !expects(node)
}

/// A journal is about to start.
fn expects(node: &Node) -> bool {
    node.control.expects_log.load(Relaxed) || node.control.expects_tap.load(Relaxed)
}

/// Core 0: whom to wait for when all cores were told something.
#[derive(Default)]
pub(crate) struct Rounds {
    missing: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

/// Core 0: has a log begun.
pub(crate) async fn begin(node: &Rc<Node>) {
    node.control.expects_log.store(true, Relaxed);
    let shared = Arc::clone(&node.state.borrow().core.shared);
    if !shared.saves.is_wanted() {
        shared.saves.schedule(SaveKind::Rewrite);
    }
    crate::snapshot::asked(node);
    timer::sleep(LOOK).await;
}

/// Core 0: ends the log, if there is one. `is_void`: it counts for nothing anyway. False if the server ends.
pub(crate) async fn end(node: &Rc<Node>, is_void: bool) -> bool {
    node.control.expects_log.store(false, Relaxed);
    let is_failing = !node.state.borrow().core.shared.health.logs().is_empty();
    if !is_failing && !is_void {
        // So that what was written is there after a loss of power, too.
        let synced = async {
            if let Ok(taken) = cut::take(node, Deed::Sync).await {
                let _ = cut::on_disk(node, &taken).await;
            }
        };
        within(synced, SYNC_MAX).await;
    }
    // All cores write a cut into their log, or none does.
    cut::bar(node).await;
    let is_over = round(node, || Message::Freeze).await && round(node, || Message::EndLog).await;
    node.cuts.unbar();
    if !is_over {
        return false;
    }
    node.control.data.end_log();
    // What is in the next one counts when its snapshot is whole.
    node.state.borrow().core.shared.log.set_begun(false);
    if !is_void {
        tracing::warn!("nothing is logged any more: what is written from here on is kept by snapshots alone");
    }
    true
}

/// Waits for something, but not for longer than this.
async fn within(what: impl Future<Output = ()>, max: Duration) {
    let (mut what, mut late) = (pin!(what), pin!(timer::sleep(max)));
    poll_fn(|cx: &mut Context<'_>| {
        if what.as_mut().poll(cx).is_ready() || late.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

/// Tells every core, and waits until all have done it. False if the server ends.
async fn round(node: &Rc<Node>, message: fn() -> Message) -> bool {
    let rounds = &node.journal.rounds;
    rounds.missing.set(node.router.shards().into());
    for peer in (0..node.router.shards()).map(ShardId).filter(|&peer| peer != node.id) {
        cut::post(node, peer, message());
    }
    cut::receive(node, node.id, message());
    poll_fn(|cx| {
        if rounds.missing.get() == 0 {
            return Poll::Ready(true);
        }
        rounds.waker.replace(Some(cx.waker().clone()));
        node.poll_stopping(cx).map(|()| false)
    })
    .await
}

/// Core 0: one more core has done it.
pub(crate) fn done(node: &Node) {
    let rounds = &node.journal.rounds;
    rounds.missing.set(rounds.missing.get() - 1);
    if let Some(waker) = rounds.waker.take() {
        waker.wake();
    }
}

fn tell_done(node: &Node) {
    if node.id == HOME {
        done(node);
    } else {
        cut::post(node, HOME, Message::Done);
    }
}

/// The log here takes nothing more, and so nothing leaves that is not in it.
pub(crate) fn freeze(node: &Node) {
    if let Some(writer) = &mut *node.journal.writer.borrow_mut() {
        writer.sink.freeze();
    }
    tell_done(node);
}

/// All logs are frozen: there is none from now on.
pub(crate) fn end_here(node: &Node) {
    leave_log(node);
    tell_done(node);
}

/// There is no log here from now on: what it has is not the present any more, or will not be.
pub(crate) fn leave_log(node: &Node) {
    let sink = node.journal.end_now(&mut node.state.borrow_mut().core);
    if let Some(mut sink) = sink {
        // The thread brings to the disk what the kernel has, and ends.
        let finished = std::thread::Builder::new()
            .name("lacewing-log-end".to_owned())
            .spawn(move || sink.finish(Instant::now() + FINISH_MAX));
        if let Err(error) = finished {
            tracing::warn!(%error, "the end of the log is left to the kernel");
        }
    }
    super::leave::let_all_go(node);
    crate::flows::log_has_ended(node);
    cut::log_has_ended(node);
    crate::wait::log_has_ended(node);
}

impl Journal {
    /// Ends the journal, without a word in its log. All that it had yet to write is forgotten, and nothing waits for it.
    fn end_now(&self, core: &mut commands::Core) -> Option<LogSink> {
        // Replicas are sent it all the same.
        self.gather(core, self.writer.borrow_mut().as_mut());
        let writer = self.writer.borrow_mut().take()?;
        self.is_on.set(false);
        self.hand_over(core.id);
        for place in [&self.written, &self.synced, &self.wanted, &self.held] {
            place.set(self.recorded.get());
        }
        self.has_news.set(false);
        self.is_failing.set(false);
        self.hides_data.set(false);
        self.holds_replies.set(false);
        self.holds_mails.set(false);
        self.told.take();
        core.shared.health.set_log(core.id, None);
        if !self.tap.is_on() {
            effects::follow(core, false);
            core.effects.draft().clear();
        }
        core.log = commands::log::LogFigures::default();
        Some(writer.sink)
    }
}

/// How soon it is looked at again whether a log has begun.
const LOOK: Duration = Duration::from_millis(20);
/// So long the end of a log waits for the disk before it goes without.
const SYNC_MAX: Duration = Duration::from_secs(5);
/// The thread of an ended log tries for so long.
const FINISH_MAX: Duration = Duration::from_secs(60);
