//! What core 0, which conducts a load, and the cores, which do it, tell each other.

use super::LoadError;
use super::file::{FileFailure, FileJob, FileLoaded};
use super::replay::LogJob;
use crate::hop::Item;
use crate::node::Node;
use aof::{Head, Lsn};
use durable::Refusal;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use stdx::ShardId;

/// What a core is to do.
pub(crate) enum Order {
    /// Read a file, deal its keys to their shards, and say what there was: [`News::File`].
    File(Box<FileJob>),
    /// Forget everything: [`News::Emptied`].
    Empty,
    /// Open this shard's log. Nothing is said; if it cannot be, that is the answer to the first order to read it.
    Log(Arc<LogJob>, ShardId),
    /// Read this shard's log up to the next cut, and deal the transactions that can be taken apart, but for those of which shards
    /// take part whose logs have ended: [`News::Scanned`].
    Scan(ShardId, Arc<[bool]>),
    /// When so many batches of parts have come: run this shard's log up to what is to be met for: [`News::Stands`].
    GoOn(ShardId, u64),
    /// Run the transaction at which this shard's log stands: [`News::Ran`].
    Run(ShardId),
    /// Leave the logs, which are done.
    Close(Arc<LogJob>),
}

/// What a core says.
pub(crate) enum News {
    /// This file, by number, was loaded, or why not.
    File(usize, Result<FileLoaded, FileFailure>),
    /// Nothing is there any more.
    Emptied,
    /// A log was read up to the next cut, and so many batches of parts were sent to each shard on the way.
    Scanned(Vec<u64>),
    /// The log of this shard stands.
    Stands(ShardId, Lsn, Head),
    /// The transaction at which this shard's log stood was run.
    Ran(ShardId),
    /// A log is not what it should be.
    Damaged(Refusal),
    /// Something cannot be loaded.
    Failed(LoadError),
    /// An order was not carried out to its end, since the server ends or the load was called off.
    Stopped,
}

/// What waits for one task.
pub(crate) struct Desk<T> {
    items: RefCell<VecDeque<T>>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Default for Desk<T> {
    fn default() -> Self {
        Self { items: RefCell::default(), waker: RefCell::default() }
    }
}

impl<T> Desk<T> {
    /// Puts one more there.
    pub(crate) fn put(&self, item: T) {
        self.items.borrow_mut().push_back(item);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits for the next. One task at a time may.
    pub(crate) async fn take(&self) -> T {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    /// The same, for a task that waits for something else too.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<T> {
        match self.items.borrow_mut().pop_front() {
            Some(item) => Poll::Ready(item),
            None => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Gives a core an order.
pub(super) fn give(node: &Node, core: usize, order: Order) {
    if core == node.id.index() {
        node.load.orders.put(order);
    } else {
        node.mailbox.outbox(core, |hop| hop.say(Item::LoadOrder(order)));
    }
}

/// Tells core 0.
pub(super) fn tell(node: &Node, news: News) {
    if node.id.index() == 0 {
        node.load.news.put(news);
    } else {
        node.mailbox.outbox(0, |hop| hop.say(Item::LoadNews(Box::new(news))));
    }
}
