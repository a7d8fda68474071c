//! A shard's side of a cut.

use super::deed::Instant;
use super::{Cut, HOME, Message, Ready};
use crate::journal::{Record, switch};
use crate::node::{Node, Ordered};
use crate::wait::{self, Unit};
use aof::Lsn;
use coordinator::locks::{Claim, Mode, Scope, TxId};
use coordinator::tx::{Acquire, Act, Notice, Order};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stdx::ShardId;

/// Another core asks whether a cut is welcome here.
pub(super) fn asked(node: &Node, from: ShardId, question: u64) {
    super::post(node, from, Message::Ready(question, ready(node)));
}

/// Whether a cut is welcome here, and what is new.
pub(super) fn ready(node: &Node) -> Ready {
    let state = &*node.state.borrow();
    let is_held_up = !state.core.long_scripts.is_empty()
        || state.participant.has_guards()
        || node.journal.is_failing()
        || !switch::may_start(node);
    let is_loaded = node.admission.is_open() || node.control.keeps_import.load(Ordering::Acquire);
    Ready {
        is_ready: !is_held_up && is_loaded && !node.stopping.get(),
        has_news: node.journal.has_news(&state.core),
    }
}

/// Does what home wants of this shard.
pub(super) fn obey(node: &Rc<Node>, tx: TxId, order: Order, cut: Arc<Cut>) {
    {
        let state = &mut *node.state.borrow_mut();
        if order.acquire != Acquire::Held {
            cut.deed.enter(node, state);
        }
        if order == Order::RELEASE {
            let is_done = node.cuts.performed.get() == cut.number && !cut.is_unsafe.load(Ordering::Acquire);
            let deed = &cut.deed;
            if is_done { deed.end(node, state) } else { deed.give_up(node, state) }
        }
        state.participant.order(tx, order, WHOLE, Ordered::Cut(cut));
        if order.act == Act::Abandon || order == Order::RELEASE {
            // It stands in nobody's way any more.
            wait::serve(state, Unit::Nothing, node.ticks.get().unix_ms());
            node.pass_on_wants(state);
        }
    }
    crate::transaction::carry_out(node);
}

/// This shard's part, now that the locks of all are held.
pub(crate) fn perform(node: &Rc<Node>, act: Act, cut: &Arc<Cut>) {
    assert_eq!(act, Act::Run, "nothing is lent for a cut");
    let lsn = {
        let state = &mut *node.state.borrow_mut();
        let Cut { number, at, durable, .. } = **cut;
        let record = Record::Cut { number, at, durable };
        let lsn = node.journal.cut(&mut state.core, record, cut.deed.needs_disk());
        node.cuts.performed.set(number);
        cut.deed.perform(node, state, Instant { number, at, lsn });
        lsn
    };
    // Home's part is the last, and as long as it is not over the locks of all stay.
    if cut.deed.takes_long() && cut.home == node.id {
        node.cuts.standing.replace(Some((Arc::clone(cut), lsn)));
        return;
    }
    if lsn.is_some() && cut.deed.waits_for_disk(node) {
        node.cuts.owed.replace(Some((Arc::clone(cut), lsn)));
        return look_at_disk(node);
    }
    tell(node, cut, Notice::Ran, lsn);
}

/// Home: what the cut under way is for is done on all shards.
pub(crate) fn go_on(node: &Rc<Node>) {
    let (cut, lsn) = node.cuts.standing.take().expect("a cut stands here");
    tell(node, &cut, Notice::Ran, lsn);
}

/// Tells home what has become of its order.
pub(crate) fn answer(node: &Rc<Node>, cut: &Cut, notice: Notice) {
    if matches!(notice, Notice::Refused | Notice::Abandoned) {
        cut.deed.give_up(node, &mut node.state.borrow_mut());
    }
    tell(node, cut, notice, None);
}

fn tell(node: &Rc<Node>, cut: &Cut, notice: Notice, lsn: Option<Lsn>) {
    if cut.home == node.id {
        super::home::hear(node, node.id, notice, lsn);
    } else {
        super::post(node, cut.home, Message::News(notice, lsn));
    }
}

/// Has those know who wait for what has come to the disk here. Called whenever the disk may have followed.
#[inline]
pub(crate) fn look_at_disk(node: &Rc<Node>) {
    let newest = node.journal.synced_cut();
    if node.cuts.told.replace(newest) != newest {
        tell_of_disk(node);
    }
    if node.cuts.owed.borrow().is_some() {
        look_at_owed(node, newest);
    }
}

/// Core 0 waits for cuts, and where clients do, they may be anybody's.
fn tell_of_disk(node: &Node) {
    let do_clients_wait = node.state.borrow().core.shared.log.is_waited_for();
    for peer in (0..node.router.shards()).map(ShardId) {
        if peer == node.id {
            super::serve::one_more_on_disk(node);
        } else if peer == HOME || do_clients_wait {
            super::post(node, peer, Message::OnDisk);
        }
    }
}

/// The cut that home waits for is on the disk; or the disk fails, and nobody is to wait for that.
#[cold]
fn look_at_owed(node: &Rc<Node>, newest: u64) {
    let is_failing = node.journal.is_failing();
    let owed = node.cuts.owed.borrow_mut().take_if(|(cut, _)| is_failing || newest >= cut.number);
    if let Some((cut, lsn)) = owed {
        cut.is_unsafe.fetch_or(newest < cut.number, Ordering::AcqRel);
        tell(node, &cut, Notice::Ran, lsn);
    }
}

const WHOLE: Claim<'static> = Claim { scope: Scope::Whole, mode: Mode::Exclusive };
