//! `appendfsync` and `appendonly` while the server runs: the first changes on all shards at one cut, the second as
//! [`crate::journal::switch`] tells.
//!
//! To `always`, and from it, under the locks of a cut that all logs have synced: so a record under `always` depends on nothing in
//! another log that is not synced there (`aof::ends`). Core 0 sees to it when CONFIG SET has changed the parameter; whoever
//! asked for that is answered when it is in force. While a log cannot be written the old policy stays, and they wait.

use super::{Deed, HOME, Message, on_disk, post, take};
use crate::flights::{FlightId, Letter};
use crate::hop::Item;
use crate::journal::switch;
use crate::node::Node;
use commands::ClientSlot;
use config::AppendFsync;
use durable::generation::Waiting;
use reactor::timer;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use stdx::ShardId;

/// Whom core 0 has to tell that the policy is in force.
#[derive(Default)]
pub(crate) struct Asked {
    flights: RefCell<Vec<(ShardId, ClientSlot, FlightId)>>,
    /// The log that is written continues nothing, and never will.
    is_void: RefCell<Option<Waiting>>,
    /// The last attempt to begin a log has failed.
    has_failed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Asked {
    /// Core 0: what the log was to continue did not come about.
    pub(crate) fn give_up(&self, waiting: Waiting) {
        self.is_void.replace(Some(waiting));
        self.wake();
    }

    /// Core 0: whether a log that counts for nothing is yet to be ended.
    pub(crate) fn is_void(&self) -> bool {
        self.is_void.borrow().is_some()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The parameter has changed on this core.
pub(crate) fn changed(node: &Node) {
    node.cuts.policy.wake();
}

/// Has this flight told when the policy that was asked for is in force, if it is not: how often it will be. All cores know of the
/// change.
pub(crate) fn ask(node: &Node, client: ClientSlot, flight: FlightId) -> usize {
    if wanted(node).is_none() || node.stopping.get() {
        return 0;
    }
    if node.id == HOME {
        asked(node, node.id, client, flight);
    } else {
        post(node, HOME, Message::AwaitPolicy(client, flight));
    }
    1
}

/// Core 0: somebody waits for it.
pub(super) fn asked(node: &Node, home: ShardId, client: ClientSlot, flight: FlightId) {
    node.cuts.policy.flights.borrow_mut().push((home, client, flight));
    node.cuts.policy.wake();
}

/// Runs on core 0 until the server ends: then nobody is to wait any more.
pub(crate) async fn follow(node: Rc<Node>) {
    while let Some(wanted) = next(&node).await {
        match wanted {
            Wanted::Policy(policy) if change(&node, policy).await => {
                tracing::info!(policy = config::Choice::name(policy), "the log is synced by another policy");
            }
            Wanted::Policy(_) => pause(&node, RETRY).await,
            Wanted::Log if node.cuts.policy.has_failed.take() => pause(&node, RETRY_LOG).await,
            Wanted::Log => switch::begin(&node).await,
            Wanted::NoLog => {
                let is_void = node.cuts.policy.is_void.borrow().is_some();
                switch::end(&node, is_void).await;
                let waiting = node.cuts.policy.is_void.take();
                if let Some(waiting) = waiting {
                    give_up(&node, waiting).await;
                    pause(&node, RETRY).await;
                }
            }
        }
    }
    let_go(&node);
}

/// Waits so long, or until the server ends.
async fn pause(node: &Node, length: Duration) {
    let mut timer = pin!(timer::sleep(length));
    poll_fn(|cx| if node.poll_stopping(cx).is_ready() { Poll::Ready(()) } else { timer.as_mut().poll(cx) })
        .await;
}

/// Removes the logs of a generation that will not begin.
async fn give_up(node: &Rc<Node>, waiting: Waiting) {
    let data = Arc::clone(&node.control.data);
    if let Ok(Err(error)) = reactor::task::offload(move || waiting.give_up(&data.places)).await {
        tracing::warn!(%error, "what was written of a log that counts for nothing is left behind");
    }
}

/// What is to be brought about. Those who wait for what is in force are told. `None` when the server ends.
async fn next(node: &Rc<Node>) -> Option<Wanted> {
    poll_fn(|cx| {
        node.cuts.policy.waker.replace(Some(cx.waker().clone()));
        if node.poll_stopping(cx).is_ready() {
            return Poll::Ready(None);
        }
        let wanted = wanted(node);
        if wanted.is_none() {
            tell_all(node);
        }
        wanted.map_or(Poll::Pending, |wanted| Poll::Ready(Some(wanted)))
    })
    .await
}

/// What the logs are to do that they do not.
enum Wanted {
    Policy(AppendFsync),
    Log,
    NoLog,
}

/// What the parameters say, if that is not what the logs do.
fn wanted(node: &Node) -> Option<Wanted> {
    let config = &node.state.borrow().core.config;
    let (has_log, is_void) = (node.journal.is_on(), node.cuts.policy.is_void.borrow().is_some());
    match (config.appendonly, has_log) {
        _ if !node.admission.is_open() => None,
        _ if is_void => Some(Wanted::NoLog),
        (true, false) => Some(Wanted::Log),
        (false, true) => Some(Wanted::NoLog),
        (true, true) => {
            let policy = config.appendfsync;
            (node.journal.policy() != policy).then_some(Wanted::Policy(policy))
        }
        (false, false) => None,
    }
}

/// Core 0: those who wait for a log to begin are told why it has not.
pub(crate) fn refuse(node: &Rc<Node>, why: &str) {
    // It may have begun already, and count for nothing.
    let is_about_log = matches!(wanted(node), Some(Wanted::Log | Wanted::NoLog));
    if !is_about_log || !node.state.borrow().core.config.appendonly {
        return;
    }
    node.cuts.policy.has_failed.set(true);
    refuse_all(node, &format!("ERR CONFIG SET failed - {why}; it is tried again"));
}

/// Core 0, when the server ends: what is waited for is not in force, and will not be.
pub(super) fn let_go(node: &Rc<Node>) {
    refuse_all(node, "ERR CONFIG SET failed - the server ends");
}

fn refuse_all(node: &Rc<Node>, text: &str) {
    for (home, client, flight) in node.cuts.policy.flights.take() {
        let text = text.to_owned();
        if home == node.id {
            crate::flights::deliver(node, client, flight, Letter::Refused(text));
        } else {
            node.mailbox.outbox(home.index(), |hop| hop.say(Item::Refused(client, flight, text)));
        }
    }
}

/// Core 0: answers all who wait.
fn tell_all(node: &Rc<Node>) {
    for (home, client, flight) in node.cuts.policy.flights.take() {
        if home == node.id {
            crate::flights::deliver(node, client, flight, Letter::Told);
        } else {
            node.mailbox.outbox(home.index(), |hop| hop.say(Item::Told(client, flight)));
        }
    }
}

/// Whether it has changed.
async fn change(node: &Rc<Node>, policy: AppendFsync) -> bool {
    if waits_for_disk(node, policy)
        && let Ok(taken) = take(node, Deed::Sync).await
    {
        // With what was written before on the disk, little is left to be brought there under the locks.
        let _ = on_disk(node, &taken).await;
    }
    take(node, Deed::Policy(policy)).await.is_ok() && node.journal.policy() == policy
}

/// Whether the cut at which the policy changes is to be on the disk before anything is written behind it.
pub(super) fn waits_for_disk(node: &Node, policy: AppendFsync) -> bool {
    [node.journal.policy(), policy].contains(&AppendFsync::Always)
}

/// After a failure it is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// The same of a snapshot that a log is to begin with.
const RETRY_LOG: Duration = Duration::from_secs(1);
