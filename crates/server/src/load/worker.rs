//! One core's share of a load: does what core 0 orders, file by file, log by log.

use super::file;
use super::order::{News, Order, tell};
use super::replay::{Reader, Trouble};
use crate::node::Node;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use stdx::{DbIndex, ShardId};

/// The logs that a core reads, but for those that are being read on.
#[derive(Default)]
pub(crate) struct Readers(RefCell<BTreeMap<ShardId, Reader>>);

impl Readers {
    fn put(&self, shard: ShardId, reader: Reader) {
        self.0.borrow_mut().insert(shard, reader);
    }

    fn take(&self, shard: ShardId) -> Reader {
        self.0.borrow_mut().remove(&shard).expect("a log that was opened, and does one thing at a time")
    }
}

/// Takes orders for as long as the core runs.
pub(crate) async fn serve(node: Rc<Node>) {
    loop {
        match node.load.orders.take().await {
            Order::File(job) => {
                let index = job.index;
                let loaded = file::load(&node, *job).await;
                tell(&node, News::File(index, loaded));
            }
            Order::Empty => {
                empty(&node).await;
                tell(&node, News::Emptied);
            }
            Order::Log(job, shard) => match Reader::open(&node, job, shard) {
                Ok(reader) => node.load.readers.put(shard, reader),
                Err(error) => tell(&node, News::Failed(error)),
            },
            Order::GoOn(shard) => {
                let node = Rc::clone(&node);
                reactor::task::spawn(async move {
                    let mut reader = node.load.readers.take(shard);
                    let news = match reader.go_on().await {
                        Ok((lsn, head)) => News::Stands(shard, lsn, head),
                        Err(trouble) => of(trouble),
                    };
                    node.load.readers.put(shard, reader);
                    tell(&node, news);
                });
            }
            Order::Run(shard) => {
                let node = Rc::clone(&node);
                reactor::task::spawn(async move {
                    let mut reader = node.load.readers.take(shard);
                    let news = match reader.run_whole().await {
                        Ok(()) => News::Ran(shard),
                        Err(trouble) => of(trouble),
                    };
                    node.load.readers.put(shard, reader);
                    tell(&node, news);
                });
            }
            Order::Close => node.load.readers.0.borrow_mut().clear(),
        }
    }
}

fn of(trouble: Trouble) -> News {
    match trouble {
        Trouble::Stopped => News::Stopped,
        Trouble::Damaged(refusal) => News::Damaged(refusal),
        Trouble::Failed(error) => News::Failed(error),
    }
}

/// Forgets all keys of this core, and frees them.
async fn empty(node: &Node) {
    {
        let keyspace = &mut node.state.borrow_mut().core.keyspace;
        (0..keyspace.databases()).for_each(|db| _ = keyspace.flush(DbIndex(db)));
    }
    loop {
        let began = Instant::now();
        let has_more = node.state.borrow_mut().core.keyspace.reclaim(&mut || began.elapsed() < SLICE);
        if !has_more || node.stopping.get() {
            return;
        }
        reactor::task::yield_now().await;
    }
}

const SLICE: Duration = Duration::from_micros(500);
