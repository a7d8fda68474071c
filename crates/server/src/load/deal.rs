//! Keys dealt to their shards, with batches that go round: a shard that falls behind holds up the reader, not the memory.

use super::Batch;
use super::batch::{Tally, Twice};
use crate::hop::{self, Hop, Item};
use crate::journal;
use crate::node::Node;
use commands::Core;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};
use stdx::ShardId;

/// The batches that other cores have given back to this one, and what they said.
#[derive(Default)]
pub(crate) struct Returned {
    /// Emptied batches, by the core that gave them back.
    spares: RefCell<Vec<Vec<Batch>>>,
    /// Those that are on their way, or with other cores.
    away: Cell<usize>,
    /// Keys that came to their shards.
    arrived: Cell<u64>,
    /// The first that was there already. It stays: whoever deals here hears of it, and not the first of them alone.
    twice: RefCell<Option<Twice>>,
    waker: RefCell<Option<Waker>>,
}

impl Returned {
    fn note(&self, core: &Core, tally: &mut Tally) {
        let gauges = &core.shared.loading;
        self.arrived.set(self.arrived.get() + tally.loaded + tally.expired);
        gauges.keys_loaded.fetch_add(std::mem::take(&mut tally.loaded), Relaxed);
        gauges.keys_expired.fetch_add(std::mem::take(&mut tally.expired), Relaxed);
        if let Some(twice) = tally.twice.take() {
            self.twice.borrow_mut().get_or_insert(twice);
        }
    }
}

/// Puts in what another core has read.
pub(crate) fn receive(node: &Node, from: ShardId, mut batch: Box<Batch>) {
    batch.put_in(&mut node.state.borrow_mut().core, node.ticks.get().unix_ms());
    let is_beside = batch.is_beside;
    send(node, from, Item::Loaded(batch), is_beside);
}

/// Sends a batch. One that is put in beside what is served waits for no log: it tells nothing of that.
fn send(node: &Node, peer: ShardId, item: Item, is_beside: bool) {
    if is_beside {
        let mut hop = Hop::default();
        hop.say(item);
        return hop::send_past(node, peer, hop);
    }
    node.mailbox.outbox(peer.index(), |hop| hop.say(item));
    journal::leave_to(node, &mut node.state.borrow_mut().core, peer.index());
}

/// Takes a batch back.
pub(crate) fn returned(node: &Node, from: ShardId, mut batch: Batch) {
    let returned = &node.returned;
    returned.note(&node.state.borrow().core, &mut batch.tally);
    returned.away.set(returned.away.get() - 1);
    returned.spares.borrow_mut()[from.index()].push(batch);
    if let Some(waker) = returned.waker.take() {
        waker.wake();
    }
}

/// Deals keys to shards.
pub(super) struct Dealer {
    node: Rc<Node>,
    /// What is being filled for each shard.
    filling: Vec<Batch>,
    /// Whether keys whose time has come are put in all the same.
    keeps_expired: bool,
    /// Whether they are put in beside what is served.
    is_beside: bool,
}

impl Dealer {
    /// Into keyspaces that nobody is served from yet.
    pub(super) fn new(node: Rc<Node>, keeps_expired: bool) -> Self {
        Self::to(node, keeps_expired, false)
    }

    /// Into keyspaces beside those that are served. Keys whose time has come are a master's, who says when they go.
    pub(super) fn beside(node: Rc<Node>) -> Self {
        Self::to(node, true, true)
    }

    fn to(node: Rc<Node>, keeps_expired: bool, is_beside: bool) -> Self {
        let empty = Batch::default;
        let shards = node.router.shards() as usize;
        // One of each is being filled, the others go round.
        let spares = (0..shards).map(|_| (1..BATCHES_MAX).map(|_| empty()).collect());
        *node.returned.spares.borrow_mut() = spares.collect();
        node.returned.arrived.set(0);
        // What was found of a load that was given up is nothing to the next.
        node.returned.twice.take();
        Self { node, filling: (0..shards).map(|_| empty()).collect(), keeps_expired, is_beside }
    }

    /// Puts in what comes from now on, even if its time has come.
    pub(super) fn keep_expired(&mut self) {
        self.keeps_expired = true;
    }

    /// Adds a key. `Some` is a shard whose batch is to be sent before the next key.
    #[inline]
    pub(super) fn add(&mut self, key: rdb::file::Key<'_>, at: u64) -> Option<ShardId> {
        let slot = stdx::Slot::of(&key.key);
        let shard = self.node.router.shard_of(slot);
        let batch = &mut self.filling[shard.index()];
        batch.add(key, slot, at);
        batch.is_full().then_some(shard)
    }

    /// Sends a shard its batch: waits until it has given one back, if it has all of them. Errors: a key was there twice.
    pub(super) async fn send(&mut self, shard: ShardId) -> Result<(), Twice> {
        let node = Rc::clone(&self.node);
        let batch = &mut self.filling[shard.index()];
        (batch.keeps_expired, batch.is_beside) = (self.keeps_expired, self.is_beside);
        if node.is_home(shard) {
            batch.put_in(&mut node.state.borrow_mut().core, node.ticks.get().unix_ms());
            node.returned.note(&node.state.borrow().core, &mut batch.tally);
        } else {
            let spare = node.returned.spare(shard).await;
            let full = std::mem::replace(batch, spare);
            node.returned.away.set(node.returned.away.get() + 1);
            send(&node, shard, Item::Load(Box::new(full)), self.is_beside);
        }
        node.returned.no_twice()
    }

    /// How many keys came to their shards, as far as these have answered.
    pub(super) fn arrived(&self) -> u64 {
        self.node.returned.arrived.get()
    }

    /// Sends all that is left, and waits until every shard has put in what it was sent.
    pub(super) async fn finish(&mut self) -> Result<(), Twice> {
        let mut sent = Ok(());
        for shard in 0..self.filling.len() {
            if !self.filling[shard].is_empty() {
                sent = sent.and(self.send(ShardId(shard as u16)).await);
            }
        }
        self.rest().await;
        sent.and(self.node.returned.no_twice())
    }

    /// Waits until nothing is on its way, nor with another core.
    pub(super) async fn rest(&self) {
        let returned = &self.node.returned;
        returned.until(|| (returned.away.get() == 0).then_some(())).await;
    }
}

impl Returned {
    fn no_twice(&self) -> Result<(), Twice> {
        self.twice.borrow().clone().map_or(Ok(()), Err)
    }

    /// An empty batch for a shard.
    async fn spare(&self, shard: ShardId) -> Batch {
        self.until(|| self.spares.borrow_mut()[shard.index()].pop()).await
    }

    /// Waits for something that a batch's return may bring. One task at a time may wait.
    async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        poll_fn(|cx| match look() {
            Some(found) => Poll::Ready(found),
            None => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// Batches for each shard: one that is filled, those on their way, those that are put in.
const BATCHES_MAX: usize = 6;
