//! `appendfsync` while the server runs: it changes on all shards at one cut.
//!
//! To `always`, and from it, under the locks of a cut that all logs have synced: so a record under `always` depends on nothing in
//! another log that is not synced there (`aof::ends`). Core 0 sees to it when CONFIG SET has changed the parameter; whoever
//! asked for that is answered when it is in force. While a log cannot be written the old policy stays, and they wait.

use super::{Deed, HOME, Message, on_disk, post, take};
use crate::flights::{FlightId, Letter};
use crate::hop::Item;
use crate::node::Node;
use commands::ClientSlot;
use config::AppendFsync;
use reactor::timer;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;
use stdx::ShardId;

/// Whom core 0 has to tell that the policy is in force.
#[derive(Default)]
pub(crate) struct Asked {
    flights: RefCell<Vec<(ShardId, ClientSlot, FlightId)>>,
    waker: RefCell<Option<Waker>>,
}

impl Asked {
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
    if wanted(node).is_none() {
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

/// Runs on core 0 until the server ends.
pub(crate) async fn follow(node: Rc<Node>) {
    while let Some(policy) = next(&node).await {
        if change(&node, policy).await {
            tracing::info!(policy = config::Choice::name(policy), "the log is synced by another policy");
        } else {
            timer::sleep(RETRY).await;
        }
    }
}

/// The policy that is to be brought about. Those who wait for what is in force are told. `None` when the server ends.
async fn next(node: &Rc<Node>) -> Option<AppendFsync> {
    poll_fn(|cx| {
        node.cuts.policy.waker.replace(Some(cx.waker().clone()));
        if node.poll_stopping(cx).is_ready() {
            return Poll::Ready(None);
        }
        let wanted = wanted(node);
        if wanted.is_none() {
            tell_all(node);
        }
        wanted.map_or(Poll::Pending, |policy| Poll::Ready(Some(policy)))
    })
    .await
}

/// What the parameter says, if that is not what the log does.
fn wanted(node: &Node) -> Option<AppendFsync> {
    let policy = node.state.borrow().core.config.appendfsync;
    (node.journal.is_on() && node.journal.policy() != policy).then_some(policy)
}

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
