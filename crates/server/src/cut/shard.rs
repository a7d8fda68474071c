//! A shard's side of a cut.

use super::deed::Instant;
use super::{Cut, Message, Ready};
use crate::hop::Item;
use crate::journal;
use crate::node::{Node, Ordered};
use crate::wait::{self, Unit};
use aof::Lsn;
use coordinator::locks::{Claim, Mode, Scope, TxId};
use coordinator::tx::{Acquire, Act, Notice, Order};
use std::rc::Rc;
use std::sync::Arc;
use stdx::ShardId;

/// Another core asks whether a cut is welcome here.
pub(super) fn asked(node: &Node, from: ShardId, question: u64) {
    let answer = Message::Ready(question, ready(node));
    node.mailbox.outbox(from.index(), |hop| hop.say(Item::Cut(Box::new(answer))));
}

/// Whether a cut is welcome here, and what is new.
pub(super) fn ready(node: &Node) -> Ready {
    let state = &*node.state.borrow();
    let is_held_up = !state.core.long_scripts.is_empty()
        || state.participant.has_guards()
        // What a cut says would wait for a log that takes no records, and everything behind it too.
        || node.journal.is_failing();
    Ready {
        is_ready: !is_held_up && node.admission.is_open() && !node.stopping.get(),
        has_news: node.journal.has_news(&state.core),
        synced: node.journal.synced_cut(),
    }
}

/// Does what home wants of this shard.
pub(super) fn obey(node: &Rc<Node>, tx: TxId, order: Order, cut: Arc<Cut>) {
    {
        let state = &mut *node.state.borrow_mut();
        if order.acquire != Acquire::Held {
            cut.deed.enter(node, state);
        }
        if order == Order::RELEASE && node.cuts.performed.get() != cut.number {
            cut.deed.give_up(node, state);
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
pub(crate) fn perform(node: &Rc<Node>, act: Act, cut: &Cut) {
    assert_eq!(act, Act::Run, "nothing is lent for a cut");
    let lsn = {
        let state = &mut *node.state.borrow_mut();
        let Cut { number, at, durable, .. } = *cut;
        let lsn = node.journal.cut(&mut state.core, number, at, durable);
        cut.deed.perform(node, state, Instant { number, at, lsn });
        node.cuts.performed.set(number);
        lsn
    };
    tell(node, cut, Notice::Ran, lsn);
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
        return super::home::hear(node, node.id, notice, lsn);
    }
    let news = Message::News(notice, lsn);
    node.mailbox.outbox(cut.home.index(), |hop| hop.say(Item::Cut(Box::new(news))));
    // Locks are held: not at the end of the turn, but now.
    journal::leave_to(node, &mut node.state.borrow_mut().core, cut.home.index());
}

const WHOLE: Claim<'static> = Claim { scope: Scope::Whole, mode: Mode::Exclusive };
