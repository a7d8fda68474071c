//! Who makes the cuts, on core 0: those that were asked for, one after the other, and those for the log.

use super::{Deed, Ending, Message, PERIOD, Promise, Ready, Request, Taken, home, shard};
use crate::node::Node;
use crate::wait;
use reactor::timer;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use stdx::ShardId;

/// Makes a cut, on core 0, when those before it are made. It may take its time where something keeps cuts waiting; who
/// gives up before it has begun is left out.
pub(crate) async fn take(node: &Rc<Node>, deed: Deed) -> Result<Taken, Ending> {
    assert_eq!(node.id.index(), 0, "cuts are made on core 0");
    let promise = Rc::new(Promise::default());
    if node.stopping.get() {
        return Err(Ending);
    }
    node.cuts.requests.borrow_mut().push_back(Request { deed, promise: Rc::downgrade(&promise) });
    node.cuts.wake();
    poll_fn(|cx| match promise.kept.borrow_mut().take() {
        Some(kept) => Poll::Ready(kept),
        None => {
            promise.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        }
    })
    .await
}

/// Waits, on core 0, until a cut is on the disk in all logs, if there are logs. False if they were ended before it was there.
pub(crate) async fn on_disk(node: &Rc<Node>, taken: &Taken) -> Result<bool, Ending> {
    poll_fn(|cx| {
        let is_there = taken.generation.is_none() || durable(node) >= taken.number;
        if is_there || taken.generation != node.journal.generation() {
            return Poll::Ready(Ok(is_there));
        }
        node.cuts.waiting.borrow_mut().push(cx.waker().clone());
        node.poll_stopping(cx).map(|()| Err(Ending))
    })
    .await
}

/// Waits, on core 0, until no cut is under way or the server ends, and has none begin before [`super::Cuts::unbar`].
pub(crate) async fn bar(node: &Node) {
    node.cuts.is_barred.set(true);
    poll_fn(|cx| {
        node.cuts.bars.replace(Some(cx.waker().clone()));
        if node.cuts.is_under_way() { node.poll_stopping(cx) } else { Poll::Ready(()) }
    })
    .await;
}

/// The newest cut that is on the disk in all logs, 0 for none.
pub(super) fn durable(node: &Node) -> u64 {
    node.state.borrow().core.shared.log.durable_cut()
}

/// A shard has one more cut on its disk: whoever waits for that looks again.
pub(super) fn one_more_on_disk(node: &Node) {
    node.cuts.waiting.take().into_iter().for_each(Waker::wake);
    wait::serve_log_waiters(node);
}

/// There is no log here any more: whoever waits for a cut to be on its disk looks again.
pub(crate) fn log_has_ended(node: &Node) {
    node.cuts.waiting.take().into_iter().for_each(Waker::wake);
}

/// Runs on core 0 until the server ends.
pub(crate) async fn serve(node: Rc<Node>) {
    let mut next = PERIOD;
    let mut patience = Patience(PATIENCE_MIN);
    while wait_for_work(&node, next).await {
        let request = node.cuts.requests.borrow_mut().pop_front();
        next = match request {
            Some(request) => {
                fulfil(&node, request, &mut patience).await;
                PERIOD
            }
            None if node.journal.is_on() => match attempt(&node, &Deed::Log, true, &mut patience).await {
                Tried::NotNow => PAUSE_MAX,
                Tried::Taken(_) | Tried::NothingNew => PERIOD,
            },
            None => PERIOD,
        };
    }
    for Request { promise, .. } in node.cuts.requests.take() {
        keep(&promise, Err(Ending));
    }
}

/// Waits for a request, or until it is time to look whether the log needs a cut. False when the server ends.
async fn wait_for_work(node: &Rc<Node>, next: Duration) -> bool {
    let mut timer = pin!(timer::sleep(next));
    until(node, |node, cx| {
        let has_requests = !node.cuts.requests.borrow().is_empty();
        has_requests || timer.as_mut().poll(cx).is_ready()
    })
    .await;
    !node.stopping.get()
}

/// Tries to make the cut that somebody has asked for until it is made, they give up, or the server ends.
async fn fulfil(node: &Rc<Node>, Request { deed, promise }: Request, patience: &mut Patience) {
    let mut pause = PAUSE_MIN;
    while promise.strong_count() > 0 {
        match attempt(node, &deed, false, patience).await {
            Tried::Taken(taken) => return keep(&promise, Ok(taken)),
            _ if node.stopping.get() => return keep(&promise, Err(Ending)),
            _ => sleep(node, pause).await,
        }
        pause = PAUSE_MAX.min(pause * 2);
    }
}

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Tried {
    Taken(Taken),
    /// Nothing was written since the last cut.
    NothingNew,
    /// Something would have kept it waiting.
    NotNow,
}

/// How long a cut waits for its locks before it gives back those that it has: longer after each that has waited in vain. Where cores
/// share CPUs one may be long in coming round, and then no cut would ever be made.
struct Patience(Duration);

impl Patience {
    fn learn(&mut self, is_made: bool) {
        self.0 = if is_made { PATIENCE_MIN } else { PATIENCE_MAX.min(self.0 * 2) };
    }
}

/// Tries to make a cut, if something is new where that is asked for.
async fn attempt(node: &Rc<Node>, deed: &Deed, needs_news: bool, patience: &mut Patience) -> Tried {
    let ready = ask(node).await;
    if node.stopping.get() || !ready.is_ready || node.cuts.is_barred.get() {
        return Tried::NotNow;
    }
    if needs_news && !ready.has_news {
        return Tried::NothingNew;
    }
    home::begin(node, deed.clone());
    let mut limit = Some(Box::pin(timer::sleep(patience.0)));
    let taken = poll_fn(|cx| {
        node.cuts.waker.replace(Some(cx.waker().clone()));
        if limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready()) {
            limit = None;
            home::cancel(node);
        }
        home::end(node).map_or(Poll::Pending, Poll::Ready)
    });
    let taken = taken.await;
    patience.learn(taken.is_some());
    let Some(taken) = taken else { return Tried::NotNow };
    crate::archive::mark(node, &taken);
    Tried::Taken(taken)
}

/// Asks all cores, and waits until they have answered, while nothing is locked. The answers are one: of what all say, that which
/// holds for all; news if any has some.
async fn ask(node: &Rc<Node>) -> Ready {
    let number = node.cuts.question.get().0 + 1;
    let peers = 1..node.router.shards() as usize;
    node.cuts.question.set((number, peers.len()));
    node.cuts.ready.set(shard::ready(node));
    for peer in peers {
        super::post(node, ShardId(peer as u16), Message::Ask(number));
    }
    until(node, |node, _| node.cuts.question.get().1 == 0).await;
    node.cuts.ready.get()
}

/// A core has answered.
pub(super) fn answered(node: &Node, question: u64, ready: Ready) {
    let (asked, missing) = node.cuts.question.get();
    if question != asked {
        return;
    }
    let all = node.cuts.ready.get();
    node.cuts
        .ready
        .set(Ready { is_ready: all.is_ready && ready.is_ready, has_news: all.has_news || ready.has_news });
    node.cuts.question.set((asked, missing - 1));
    node.cuts.wake();
}

/// Tells who has wanted a cut, unless they have given up.
fn keep(promise: &Weak<Promise>, kept: Result<Taken, Ending>) {
    if let Some(promise) = promise.upgrade() {
        promise.kept.replace(Some(kept));
        if let Some(waker) = promise.waker.take() {
            waker.wake();
        }
    }
}

async fn sleep(node: &Rc<Node>, duration: Duration) {
    let mut sleep = pin!(timer::sleep(duration));
    until(node, |_, cx| sleep.as_mut().poll(cx).is_ready()).await;
}

/// Waits until `is_over`, which is asked whenever something has come, or the server ends.
async fn until(node: &Rc<Node>, mut is_over: impl FnMut(&Node, &mut Context<'_>) -> bool) {
    poll_fn(|cx| {
        node.cuts.waker.replace(Some(cx.waker().clone()));
        if is_over(node, cx) { Poll::Ready(()) } else { node.poll_stopping(cx) }
    })
    .await;
}

/// The patience of a cut, at first and at most: so long nobody else gets on.
const PATIENCE_MIN: Duration = Duration::from_millis(10);
const PATIENCE_MAX: Duration = Duration::from_millis(80);
/// How long after that it is tried again; twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(100);
