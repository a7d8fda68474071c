//! What leaves a core, and when: replies through the gate of their connection, messages with the postman.
//!
//! While the log takes records, nothing leaves before all that was recorded is as safe as the policy asks. While it takes none,
//! what was ready when something was recorded that is not safe is held back, and so is what comes behind it: on a
//! connection everything, between cores whatever depends on its order. The rest goes on. See
//! docs/decisions/0020-when-the-disk-fails.md.

use super::FINISH_MAX;
use crate::connection::Link;
use crate::cut::HOME;
use crate::hop::Hop;
use crate::node::Node;
use crate::output::Gate;
use commands::Core;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::task::Poll;
use std::time::Instant;

/// What a connection may send now. Nothing is written for it. None of the core's connections may be borrowed.
#[inline]
pub(crate) fn gate(node: &Node, link: &Link) -> Gate {
    if node.journal.records() { gate_of(node, link) } else { Gate::OPEN }
}

fn gate_of(node: &Node, link: &Link) -> Gate {
    let journal = &node.journal;
    if node.stopping.get() {
        // There is no next turn.
        journal.write(&mut node.state.borrow_mut().core);
        if journal.safe() < journal.recorded.get() {
            finish(node);
        }
    }
    if journal.holds_replies.get() {
        hold_replies(node);
    }
    let is_dirty = {
        let effects = &node.state.borrow().core.effects;
        effects.has_draft() || effects.has_told()
    };
    let safe = journal.safe();
    let is_safe = safe == journal.recorded.get() || (journal.is_failing.get() && link.held.get() <= safe);
    Gate { is_open: !is_dirty && (is_safe || tells_nothing(link)), safe }
}

/// Whether what a connection would send next tells of no data, and waits for none that does: INFO is answered whatever becomes of the
/// disk.
fn tells_nothing(link: &Link) -> bool {
    link.outgoing.borrow().replies.is_plain() && !link.wire.borrow().output.has_apart()
}

/// The disk has not taken what was done here: the replies that tell of it wait, and so does whatever comes behind them. All that
/// is ready may tell of it, but for what is known to tell of no data.
#[cold]
fn hold_replies(node: &Node) {
    node.journal.holds_replies.set(false);
    let place = place(node);
    for link in node.links.borrow().iter() {
        let may_leave = tells_nothing(link);
        let outgoing = &mut *link.outgoing.borrow_mut();
        if !may_leave && outgoing.replies.ready() > 0 {
            link.wire.borrow_mut().output.set_apart(outgoing, place);
            wait_for(node, link, place);
            link.held.set(place);
        } else if outgoing.replies.outstanding() > 0 || link.wire.borrow().output.has_apart() {
            // There may be some behind those that other cores owe; and nothing overtakes what waits.
            link.held.set(place);
        }
    }
}

/// Something runs here whatever the disk does, and what it says may tell of data that must not be seen.
#[inline]
pub(crate) fn beware(node: &Node) {
    if node.journal.hides_data.get() {
        node.journal.hold();
    }
}

/// For the courier: writes what has happened, and says what may be sent. What may not is to be set apart for [`place`], and to be
/// told of with [`wait_for`].
#[inline]
pub(crate) fn open_gate(node: &Node, link: &Link) -> Gate {
    if node.journal.records() {
        node.journal.write(&mut node.state.borrow_mut().core);
        node.journal.follow_disk(node.id);
    }
    gate(node, link)
}

/// What was recorded so far is safe beyond this place.
pub(crate) fn place(node: &Node) -> u64 {
    node.journal.recorded.get()
}

/// A connection has set replies apart until the disk has come to `place`.
pub(crate) fn wait_for(node: &Node, link: &Rc<Link>, place: u64) {
    node.journal.waiting.borrow_mut().push_back((place, Rc::clone(link)));
}

/// Writes the journal and sends what is for other cores, or sets it apart until the disk has followed.
pub(crate) fn leave(node: &Node) {
    leave_with(node, || node.journal.write(&mut node.state.borrow_mut().core), || node.mailbox.flush_now());
}

/// The same while the core is borrowed.
pub(crate) fn leave_now(node: &Node, core: &mut Core) {
    leave_with(node, || node.journal.write(core), || node.mailbox.flush_now());
}

/// The same for what is for one other core.
pub(crate) fn leave_to(node: &Node, core: &mut Core, peer: usize) {
    leave_with(node, || node.journal.write(core), || node.mailbox.flush_to(peer));
}

#[inline]
fn leave_with(node: &Node, write: impl FnOnce(), send: impl FnOnce()) {
    let journal = &node.journal;
    if !journal.records() {
        return send();
    }
    write();
    journal.follow_disk(node.id);
    let (safe, recorded) = (journal.safe(), journal.recorded.get());
    if node.mailbox.release(safe) && safe == recorded {
        send();
    } else if journal.is_failing() && !journal.holds_mails.replace(false) {
        // Nothing of this tells of what the disk has not taken.
        node.mailbox.flush_past(recorded, Hop::may_be_late);
    } else {
        node.mailbox.seal(recorded);
    }
}

/// The postman of a core: comes at the end of every turn, and when the disk has followed.
pub(crate) async fn serve(node: Rc<Node>) {
    let ear = node.journal.ear.take().expect("a core has one postman");
    let disk = ear.listen().expect("memory to watch the journal's disk");
    poll_fn(|cx| {
        node.mailbox.attend(cx);
        while disk.poll_rung(cx).is_ready() {}
        leave(&node);
        if node.journal.holds_replies.get() {
            // Those that are ready now, and not those of clients that come later.
            hold_replies(&node);
        }
        let_replies_go(&node);
        crate::cut::look_at_disk(&node);
        Poll::<()>::Pending
    })
    .await;
}

/// There is no journal any more: what waited for it goes.
pub(super) fn let_all_go(node: &Node) {
    node.mailbox.release(u64::MAX);
    node.mailbox.call();
    for (_, link) in node.journal.waiting.take() {
        node.publishing.courier.call(&link, 0);
    }
    // Some held back what was theirs, and wait for nobody.
    node.kick_all();
}

/// Has the courier send what waited for the disk.
fn let_replies_go(node: &Node) {
    let safe = node.journal.safe();
    let mut waiting = node.journal.waiting.borrow_mut();
    while let Some((_, link)) = waiting.pop_front_if(|(place, _)| *place <= safe) {
        node.publishing.courier.call(&link, 0);
    }
}

/// In every round of the core's periodic work.
pub(crate) fn tend(node: &Node) {
    if node.journal.records() {
        node.journal.tend(&mut node.state.borrow_mut().core);
        // What waited for the disk may go.
        node.mailbox.call();
    }
}

/// Waits until all that was done here is on the disk, in one time for all replies of a core that ends. False if it cannot be had.
fn finish(node: &Node) -> bool {
    let deadline = *node.journal.deadline.get_or_init(|| Instant::now() + FINISH_MAX);
    node.journal.finish(&mut node.state.borrow_mut().core, deadline)
}

/// The end of a core: all that it did is on the disk, and that this is the end. If it cannot be had, the process says so.
pub(crate) fn end(node: &Node) {
    leave(node);
    let trouble = node.state.borrow().core.shared.health.logs().remove(&node.id.0);
    // What was given up may be in some of the logs and not in others, as after a crash.
    let has_ended = !node.control.has_given_up.load(Acquire);
    if has_ended {
        node.journal.end(&mut node.state.borrow_mut().core);
    }
    if !node.journal.finish(&mut node.state.borrow_mut().core, Instant::now() + FINISH_MAX) {
        let reason = trouble.map_or_else(|| "the disk does not answer".to_owned(), |trouble| trouble.reason);
        let bytes = node.journal.recorded.get() - node.journal.synced.get();
        tracing::error!(shard = node.id.0, bytes, reason, "the log could not be brought to the disk");
        node.control.unsynced_bytes.fetch_add(bytes, Relaxed);
    } else if has_ended {
        let end = node.journal.writer.borrow().as_ref().map(|writer| writer.sink.synced());
        node.control.log_ends.lock().expect("no core panics")[node.id.index()] = end;
    }
    if node.id == HOME && crate::stop::has_log_in_vain(node) {
        tracing::error!("the log was switched on and has not begun: nothing in it counts");
        node.control.lacks_snapshot.store(true, Relaxed);
    }
    leave(node);
}
