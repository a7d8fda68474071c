//! The end of a core: what is under way ends, and is answered, to a bound; then the log is brought to the disk.

use super::Message;
use crate::node::Node;
use reactor::timer;
use std::rc::Rc;
use std::sync::atomic::Ordering::Release;
use std::time::{Duration, Instant};

/// Waits until this core is told to stop, and ends it.
pub(crate) async fn stopped(node: &Rc<Node>) {
    node.until_stopping().await;
    if node.id.index() == 0 {
        crate::archive::end(node);
        // Threads that wait for a store over the network have nobody to wait for them any more.
        node.control.data.places.close();
    }
    let deadline = timer::now() + DRAIN_MAX;
    wait(node, deadline, |node| node.links.borrow().iter().next().is_none()).await;
    // A cut that has begun comes to its end, so that all journals have it.
    wait(node, deadline, |node| !node.cuts.is_under_way()).await;
    if node.is_giving_up.get() {
        node.control.has_given_up.store(true, Release);
    }
    // It comes behind all that was sent: what gives locks back is recorded by who gets it, and nobody answers to that.
    super::tell_all(node, || Message::Drained);
    // Others may still wait for answers from here.
    let cores = node.router.shards();
    wait(node, deadline, |node| node.ending.drained() >= cores).await;
    if node.is_giving_up.get() {
        node.control.has_given_up.store(true, Release);
    }
    if node.id.index() == 0 {
        let_snapshot_end(node, deadline).await;
        crate::notify::notify("STATUS=Bringing the log to the disk");
    }
    crate::journal::end(node);
}

/// Waits for no command, script or transaction any longer. They hold their locks to the end, and nothing of them is written.
pub(super) fn give_up(node: &Rc<Node>) {
    if node.stopping.get() && !node.is_giving_up.replace(true) {
        let clients = node.links.borrow().iter().count();
        tracing::warn!(core = node.id.0, clients, "what is under way is given up: nothing of it counts");
    }
}

/// A snapshot under way has heard of the end, and takes away what it has written. If it stands still a start does that.
async fn let_snapshot_end(node: &Node, deadline: Instant) {
    while crate::snapshot::is_unfinished(node) && timer::now() < deadline && !node.ending.is_hurried() {
        timer::sleep(STEP).await;
    }
}

/// Waits until it is so, this core gives up, or has to.
async fn wait(node: &Rc<Node>, deadline: Instant, is_so: impl Fn(&Node) -> bool) {
    while !is_so(node) && !node.is_giving_up.get() {
        // A script that is busy for so long that others would be refused may never end.
        if timer::now() >= deadline || node.control.busy.is_any() || node.ending.is_hurried() {
            return give_up(node);
        }
        timer::sleep(STEP).await;
    }
}

/// How long the end waits for what is under way.
const DRAIN_MAX: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(2);
