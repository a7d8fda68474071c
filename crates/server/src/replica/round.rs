//! Core 0 has all cores do something, and waits until all have.

use super::Message;
use crate::node::Node;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use stdx::ShardId;

/// What core 0 waits for. There is one at a time.
#[derive(Default)]
pub(super) struct Rounds {
    missing: Cell<usize>,
    sum: Cell<u64>,
    waker: RefCell<Option<Waker>>,
    is_taken: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Rounds {
    /// One more core has done it.
    pub(super) fn done(&self, count: u64) {
        // What comes when nobody waits any more is of a round that was given up, as the server ends.
        let Some(missing) = self.missing.get().checked_sub(1) else { return };
        self.missing.set(missing);
        self.sum.set(self.sum.get() + count);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The only round that there is now; given back when dropped.
pub(super) struct Round<'a>(&'a Node);

impl<'a> Round<'a> {
    /// Waits until there is no other.
    pub(super) async fn begin(node: &'a Node) -> Self {
        let rounds = &node.replica.rounds;
        poll_fn(|cx| {
            if !rounds.is_taken.get() {
                return Poll::Ready(());
            }
            rounds.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
        rounds.is_taken.set(true);
        rounds.missing.set(node.router.shards().into());
        rounds.sum.set(0);
        Self(node)
    }

    /// Waits until all cores have done it; what their counts make together. `None` if the server ends.
    pub(super) async fn end(self) -> Option<u64> {
        let Self(node) = self;
        poll_fn(|cx| {
            let rounds = &node.replica.rounds;
            if rounds.missing.get() == 0 {
                return Poll::Ready(Some(rounds.sum.get()));
            }
            rounds.waker.replace(Some(cx.waker().clone()));
            node.poll_stopping(cx).map(|()| None)
        })
        .await
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        let rounds = &self.0.replica.rounds;
        rounds.is_taken.set(false);
        for waker in rounds.waiting.take() {
            waker.wake();
        }
    }
}

/// Has every core do what its message says, and waits for all. `None` if the server ends.
pub(super) async fn all(node: &Rc<Node>, message: impl FnMut(ShardId) -> Message) -> Option<u64> {
    let round = Round::begin(node).await;
    tell_all(node, message);
    round.end().await
}

/// Tells every core; this one last.
pub(super) fn tell_all(node: &Rc<Node>, mut message: impl FnMut(ShardId) -> Message) {
    let own = message(node.id);
    for peer in (0..node.router.shards()).map(ShardId).filter(|&peer| peer != node.id) {
        super::post(node, peer, message(peer));
    }
    super::receive(node, node.id, own);
}
