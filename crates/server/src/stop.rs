//! Ending: one core decides, all follow. Each stops accepting, ends its connections and then its own work.

use crate::hop::Item;
use crate::node::Node;
use std::rc::Rc;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// Ends the server: tells every core, this one last.
pub(crate) fn stop_all(node: &Rc<Node>) {
    if node.stopping.get() {
        return;
    }
    tracing::info!("shutting down");
    node.state.borrow().core.shared.shutting_down.store(true, std::sync::atomic::Ordering::Release);
    crate::notify::notify("STOPPING=1");
    for core in (0..node.router.shards() as usize).filter(|&core| core != node.id.index()) {
        node.mailbox.outbox(core, |hop| hop.say(Item::Stop));
    }
    stop_here(node);
}

/// Ends this core.
pub(crate) fn stop_here(node: &Rc<Node>) {
    if node.stopping.replace(true) {
        return;
    }
    node.kick_all();
    for waker in node.stop_waiters.take() {
        waker.wake();
    }
}

/// Waits until this core is told to stop and all connections, of other cores too, have ended, or [`ENDING_MAX`] has passed.
pub(crate) async fn stopped(node: &Rc<Node>) {
    node.until_stopping().await;
    if node.id.index() == 0 {
        crate::archive::end(node);
        // Threads that wait for a store over the network have nobody to wait for them any more.
        node.control.data.places.close();
    }
    let deadline = reactor::timer::now() + ENDING_MAX;
    while node.links.borrow().iter().next().is_some() && reactor::timer::now() < deadline {
        reactor::timer::sleep(ENDING_STEP).await;
    }
    // A cut that has begun comes to its end, so that all journals have it.
    while node.cuts.is_under_way() && reactor::timer::now() < deadline {
        reactor::timer::sleep(ENDING_STEP).await;
    }
    // Others may still wait for answers from here.
    let ended = &node.control.ended;
    ended.fetch_add(1, AcqRel);
    while ended.load(Acquire) < node.control.heartbeats.len() && reactor::timer::now() < deadline {
        reactor::timer::sleep(ENDING_STEP).await;
    }
    crate::journal::end(node);
}

/// How long a core waits for connections to end.
const ENDING_MAX: std::time::Duration = std::time::Duration::from_secs(2);
const ENDING_STEP: std::time::Duration = std::time::Duration::from_millis(2);
