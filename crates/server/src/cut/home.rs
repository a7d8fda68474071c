//! Core 0's side of a cut: the machine is driven by what the shards say, so it comes to its end whoever waits for it.

use super::{Cut, Deed, Message, Taken, shard};
use crate::node::Node;
use crate::transaction::new_tx;
use aof::Lsn;
use coordinator::tx::{Notice, Order, Outcome, Plan, Step, Transaction};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stdx::ShardId;

/// A cut under way.
pub(super) struct UnderWay {
    machine: Transaction,
    cut: Arc<Cut>,
    /// By shard, where its part has run.
    lsns: Vec<Option<Lsn>>,
    outcome: Option<Outcome>,
}

/// Begins a cut; ask [`end`] for what becomes of it.
pub(super) fn begin(node: &Rc<Node>, deed: Deed) {
    let shards = node.router.shards();
    let machine = Transaction::new(new_tx(node), node.id, Plan::Whole(shards)).keeping();
    let number = node.cuts.last.get() + 1;
    let durable = super::serve::durable(node);
    // That at which these logs began is in none of them.
    let durable = if node.journal.has_cut(durable) { durable } else { 0 };
    let cut = Arc::new(Cut {
        home: node.id,
        number,
        at: crate::clock::unix_ms(),
        durable,
        deed,
        is_unsafe: AtomicBool::new(false),
    });
    let lsns = vec![None; shards as usize];
    let before = node.cuts.under_way.replace(Some(UnderWay { machine, cut, lsns, outcome: None }));
    assert!(before.is_none(), "one cut at a time");
    advance(node);
}

/// It has waited long enough: it gives up, unless a part has been told to run.
pub(super) fn cancel(node: &Rc<Node>) {
    if let Some(under_way) = &mut *node.cuts.under_way.borrow_mut() {
        under_way.machine.cancel();
    }
    advance(node);
}

/// The cut that has ended, if it has; `None` in that when it was cancelled.
pub(super) fn end(node: &Node) -> Option<Option<Taken>> {
    let mut place = node.cuts.under_way.borrow_mut();
    let outcome = place.as_ref()?.outcome?;
    let UnderWay { cut, lsns, .. } = place.take()?;
    if let Some(waker) = node.cuts.bars.take() {
        waker.wake();
    }
    if outcome == Outcome::Cancelled {
        return Some(None);
    }
    node.cuts.last.set(cut.number);
    let mut lsns: Vec<Lsn> = lsns.into_iter().flatten().collect();
    assert!(
        lsns.is_empty() || lsns.len() == usize::from(node.router.shards()),
        "all journals are on, or none"
    );
    if cut.deed.takes_long() {
        // Another log may have begun since.
        lsns.clear();
    }
    let generation = node.journal.generation().filter(|_| !lsns.is_empty());
    Some(Some(Taken { number: cut.number, at: cut.at, lsns, generation }))
}

/// A shard has answered.
pub(super) fn hear(node: &Rc<Node>, from: ShardId, notice: Notice, lsn: Option<Lsn>) {
    node.cuts.inbox.borrow_mut().push_back((from, notice, lsn));
    advance(node);
}

/// Goes on as far as it can. What this shard itself does for it may come back here: that is taken in by who is here already.
fn advance(node: &Rc<Node>) {
    if node.cuts.is_advancing.replace(true) {
        return;
    }
    loop {
        let (orders, cut, tx) = {
            let mut place = node.cuts.under_way.borrow_mut();
            let Some(under_way) = &mut *place else { break };
            (under_way.step(node), Arc::clone(&under_way.cut), under_way.machine.id())
        };
        for order in &orders {
            shard::obey(node, tx, *order, Arc::clone(&cut));
        }
        if orders.is_empty() && node.cuts.inbox.borrow().is_empty() {
            break;
        }
    }
    node.cuts.is_advancing.set(false);
    if node.cuts.under_way.borrow().as_ref().is_some_and(|under_way| under_way.outcome.is_some()) {
        node.cuts.wake();
    }
}

impl UnderWay {
    /// Takes in what has come, and sends what is for others. Returns what is for this shard, which comes after, for others may have
    /// waited for it here that then take their time.
    fn step(&mut self, node: &Node) -> Vec<Order> {
        for (from, notice, lsn) in node.cuts.inbox.borrow_mut().drain(..) {
            if lsn.is_some() {
                self.lsns[from.index()] = lsn;
            }
            self.machine.handle(from, notice);
        }
        let mut home = Vec::new();
        while let Some(step) = self.machine.poll() {
            match step {
                Step::Home(order) => home.push(order),
                Step::Send { to, order } => {
                    super::post(node, to, Message::Order(self.machine.id(), order, Arc::clone(&self.cut)));
                }
                // Each shard has journalled its own part.
                Step::Ran => {}
                Step::Granted => unreachable!("only held transactions are granted"),
                Step::Done(outcome) => self.outcome = Some(outcome),
            }
        }
        home
    }
}
