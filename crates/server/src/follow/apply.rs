//! The task that applies: takes a batch, has it run, and says how far that is.

use super::RETRY;
use super::batch::Batch;
use super::channel::{Channel, Said};
use crate::node::Node;
use replication::flow::place::Place;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

/// Why a batch was not applied.
enum Setback {
    /// Nobody wants it any more, or the server ends.
    Over,
    /// It cannot be; nothing of it was.
    Failed(String),
    /// Only a part of it could be: the data is not the master's.
    Astray(String),
}

/// Applies the stream of this number to its end.
pub(super) async fn apply(node: Rc<Node>, run: u64) {
    node.applying.until_alone().await;
    node.applying.enter();
    apply_all(&node, run).await;
    node.applying.leave();
}

async fn apply_all(node: &Rc<Node>, run: u64) {
    until_all_know(node, || node.applying.goes_on(run)).await;
    let databases = node.state.borrow().core.keyspace.databases();
    let mut channel = None;
    while let Some(batch) = next_batch(node, run, databases).await {
        match carry_out(node, run, &mut channel, &batch).await {
            Ok(()) => {
                if batch.unit.is_empty() {
                    // There was nothing to run, so what is on the disk is as right as this.
                    node.state.borrow().core.shared.following.set_place(Some(Place::Stream(batch.end)));
                }
                node.applying.applied(run, batch.end, batch.was_asked);
            }
            Err(Setback::Over) => break,
            Err(Setback::Failed(why)) => fail(node, run, why),
            Err(Setback::Astray(why)) => {
                forget(node, channel.as_mut()).await;
                fail(node, run, why);
            }
        }
        if let Some(fault) = batch.fault {
            fail(node, run, fault);
        }
    }
}

fn fail(node: &Node, run: u64, why: String) {
    node.applying.fail(run, why);
}

/// On core 0: waits until no core expires or evicts anything by itself, while that is wanted.
pub(crate) async fn until_all_know(node: &Node, is_wanted: impl Fn() -> bool) {
    while node.state.borrow().core.shared.following.is_on()
        && !node.applying.all_know(node.control.heartbeats.iter().map(|beats| beats.load(Relaxed)))
        && is_wanted()
        && !node.stopping.get()
    {
        reactor::timer::sleep(KNOWN_AFTER).await;
    }
}

async fn next_batch(node: &Node, run: u64, databases: u16) -> Option<Batch> {
    let mut stopping = pin!(node.until_stopping());
    poll_fn(|cx| match stopping.as_mut().poll(cx) {
        Poll::Ready(()) => {
            node.applying.hold(run);
            Poll::Ready(None)
        }
        Poll::Pending => node.applying.poll_batch(run, databases, cx),
    })
    .await
}

/// Has a batch run, however often it takes. If the connection is lost the position tells whether it ran.
async fn carry_out(
    node: &Rc<Node>,
    run: u64,
    channel: &mut Option<Channel>,
    batch: &Batch,
) -> Result<(), Setback> {
    if batch.unit.is_empty() {
        return Ok(());
    }
    loop {
        if !node.applying.goes_on(run) {
            return Err(Setback::Over);
        }
        if node.stopping.get() {
            node.applying.hold(run);
            return Err(Setback::Over);
        }
        if channel.is_none() {
            *channel = Channel::connect(node);
        }
        let said = match channel {
            Some(channel) => channel.run(&batch.unit).await,
            None => Ok(Said::Refused(NO_DESCRIPTORS.to_owned())),
        };
        match said {
            Ok(Said::Done) => return Ok(()),
            Ok(Said::Misran(why)) => return Err(Setback::Astray(why)),
            Ok(Said::Refused(why)) if !is_passing(&why) => return Err(Setback::Failed(why)),
            Ok(Said::Refused(_)) => {
                node.applying.hold(run);
                reactor::timer::sleep(RETRY).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the connection through which a master's commands go was lost");
                let lost = channel.take().expect("it was lost").id();
                until_gone(node, lost).await;
                if node.state.borrow().core.shared.following.place() == Some(Place::Stream(batch.end)) {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether a refusal is not for good: the log cannot be written, or a script does not end.
pub(crate) fn is_passing(why: &str) -> bool {
    let why = why.strip_prefix(EXEC_REFUSED).unwrap_or(why);
    why == NO_DESCRIPTORS || ["MISCONF ", "BUSY ", "LOADING "].iter().any(|code| why.starts_with(code))
}

/// Waits until a client is no more, and so what it had under way is over.
pub(crate) async fn until_gone(node: &Node, id: stdx::ClientId) {
    while !node.stopping.get() && node.state.borrow().core.clients.iter().any(|(_, client)| client.id == id) {
        reactor::timer::sleep(RETRY).await;
    }
}

/// The data is no longer that of the master.
async fn forget(node: &Node, channel: Option<&mut Channel>) {
    if let Some(channel) = channel
        && let Ok(Said::Done) = channel.forget(std::iter::empty(), 0).await
    {
        return;
    }
    // A start would find the position, and the data would be as it is now.
    node.state.borrow().core.shared.following.set_place(None);
}

pub(crate) const NO_DESCRIPTORS: &str = "there are no descriptors";
/// What EXEC puts before the reason for which it is refused.
const EXEC_REFUSED: &str = "EXECABORT Transaction discarded because of: ";
/// It is looked so often whether all cores know that the node follows.
const KNOWN_AFTER: std::time::Duration = std::time::Duration::from_millis(10);
