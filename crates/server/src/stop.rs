//! Ending, in the order in which things depend on each other: docs/decisions/0023-shutdown.md.
//!
//! ```text
//!   asked: a signal, SHUTDOWN            core 0                          every core
//!     │
//!     ├─ there are replicas ───► waiting: fence ───────────────────────► no more writes; those under way end
//!     │                          the replicas have all ◄─────────────── fenced
//!     ├─ a snapshot is wanted ─► saving: fence ────────────────────────► no more writes; those under way end
//!     │                          the snapshot        ◄───────────────── fenced
//!     │        ABORT, or it fails ─► as before: lift ──────────────────► writes go on
//!     ▼
//!   stopping ──────────────────────────────────────────────────────────► nothing is accepted or read any more
//!                                                                        what is under way ends, and is answered
//!                                                                        (or it is given up: nothing of it counts)
//!                                                                        all cores are there: the log to the disk
//! ```
//!
//! Every wait has a bound, and a second signal ends all of them ([`hurry`]). Core 0 decides ([`desk`]); the others obey.

mod desk;
mod drain;
mod fence;

pub(crate) use desk::{Desk, Request, abort, ask, asked_by_signal, has_log_in_vain};
pub(crate) use drain::stopped;
pub(crate) use fence::{Cause, Fence};

use crate::hop::{Hop, Item, Sink};
use crate::node::Node;
use std::rc::Rc;
use std::sync::atomic::Ordering::Release;
use stdx::ShardId;

/// Between core 0 and the others.
pub(crate) enum Message {
    /// To core 0: a client of the sender has said SHUTDOWN.
    Ask(Request, Sink),
    /// To core 0: it has said SHUTDOWN ABORT.
    Abort(Sink),
    /// Hold writes back, and say when those under way have ended. The attempt has this number.
    Fence(Cause, u32),
    /// To core 0: they have.
    Fenced(Cause, u32),
    /// Writes may go on, as far as this goes.
    Lift(Cause),
    /// Stop serving; these clients have asked for it, and get no answer.
    Stop(Vec<Sink>),
    /// Wait for nothing any longer.
    Hurry,
    /// The sender has answered all its clients, and has sent before this all that it had to say of them.
    Drained,
}

/// A message from a core.
pub(crate) fn receive(node: &Rc<Node>, from: ShardId, message: Message) {
    match message {
        Message::Ask(request, sink) => desk::asked(node, from, request, sink),
        Message::Abort(sink) => desk::aborted(node, from, sink),
        Message::Fence(cause, attempt) => fence::raise(node, cause, attempt),
        Message::Fenced(Cause::End, attempt) => desk::fenced(node, attempt),
        Message::Fenced(Cause::Failover, attempt) => crate::master::fenced(node, attempt),
        Message::Lift(cause) => fence::lift(node, cause),
        Message::Stop(sinks) => stop_here(node, &sinks),
        Message::Drained => node.ending.count_drained(),
        Message::Hurry => {
            node.ending.hurry();
            drain::give_up(node);
        }
    }
}

/// Ends the server, whatever is under way: for a start that failed, too.
pub(crate) fn stop_all(node: &Rc<Node>) {
    if node.stopping.get() {
        return;
    }
    tracing::info!("shutting down");
    node.state.borrow().core.shared.shutting_down.store(true, Release);
    crate::notify::notify("STOPPING=1\nSTATUS=Ending what is under way");
    let mut waiting = node.ending.take_waiting();
    let mut of = |core: usize| -> Vec<Sink> {
        waiting.extract_if(.., |(home, _)| home.index() == core).map(|(_, sink)| sink).collect()
    };
    for core in (0..node.router.shards() as usize).filter(|&core| core != node.id.index()) {
        send_past(node, core, Message::Stop(of(core)));
    }
    let own = of(node.id.index());
    stop_here(node, &own);
}

/// Ends this core. Clients that have said SHUTDOWN are not answered.
fn stop_here(node: &Rc<Node>, sinks: &[Sink]) {
    if node.stopping.replace(true) {
        return;
    }
    for sink in sinks {
        crate::mail::fill(node, *sink, b"");
    }
    node.kick_all();
    for waker in node.stop_waiters.take() {
        waker.wake();
    }
}

/// Core 0: nothing is waited for any longer, on no core.
pub(crate) fn hurry(node: &Rc<Node>) {
    tracing::warn!("asked again to end: what is under way is given up");
    node.ending.hurry();
    for core in 1..node.router.shards() as usize {
        send_past(node, core, Message::Hurry);
    }
    drain::give_up(node);
}

/// Core 0: holds writes back on all cores. Each says when those under way have ended, with the number of the attempt.
pub(crate) fn hold_writes(node: &Rc<Node>, cause: Cause, attempt: u32) {
    tell_all(node, || Message::Fence(cause, attempt));
}

/// Core 0: writes may go on, as far as they were held back for this.
pub(crate) fn let_writes_go(node: &Rc<Node>, cause: Cause) {
    tell_all(node, || Message::Lift(cause));
}

fn send(node: &Node, core: usize, message: Message) {
    node.mailbox.outbox(core, |hop| hop.say(Item::Ending(Box::new(message))));
}

/// The same past all that waits to be sent, for the disk perhaps.
fn send_past(node: &Node, core: usize, message: Message) {
    let mut hop = Hop::default();
    hop.say(Item::Ending(Box::new(message)));
    if let Err(mut hop) = node.mailbox.send_past(core, hop) {
        let items = hop.take_items();
        node.mailbox.outbox(core, |hop| items.into_iter().for_each(|item| hop.say(item)));
    }
}

/// Sends to core 0, which may be this one.
fn tell_home(node: &Rc<Node>, message: Message) {
    match node.id.index() {
        0 => receive(node, node.id, message),
        _ => send(node, 0, message),
    }
}

/// Sends to all cores, this one too.
fn tell_all(node: &Rc<Node>, message: impl Fn() -> Message) {
    for core in (0..node.router.shards() as usize).filter(|&core| core != node.id.index()) {
        send(node, core, message());
    }
    receive(node, node.id, message());
}
