//! One core's share of a load: does what core 0 orders, file by file, log by log.

use super::LoadError;
use super::file;
use super::order::{News, Order, tell};
use super::replay::{Reader, Trouble};
use crate::node::Node;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use stdx::{DbIndex, ShardId};

/// The logs that a core reads, but for those that are being read on; or why one could not be opened.
#[derive(Default)]
pub(crate) struct Readers(RefCell<BTreeMap<ShardId, Result<Reader, LoadError>>>);

impl Readers {
    fn put(&self, shard: ShardId, reader: Result<Reader, LoadError>) {
        self.0.borrow_mut().insert(shard, reader);
    }

    fn take(&self, shard: ShardId) -> Result<Reader, LoadError> {
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
            Order::Log(job, shard) => {
                let reader = Reader::open(&node, job, shard);
                node.load.readers.put(shard, reader);
            }
            Order::Scan(shard, ended) => {
                with_reader(&node, shard, async move |_, reader| {
                    reader.scan(&ended).await.map(News::Scanned)
                });
            }
            Order::GoOn(shard, batches) => with_reader(&node, shard, async move |node, reader| {
                node.load.parts.until(batches).await;
                reader.go_on().await.map(|(lsn, head)| News::Stands(shard, lsn, head))
            }),
            Order::Run(shard) => with_reader(&node, shard, async move |_, reader| {
                reader.run_whole().await.map(|()| News::Ran(shard))
            }),
            Order::Close(job) => {
                node.load.readers.0.borrow_mut().clear();
                node.load.parts.close(job.attempt());
            }
        }
    }
}

/// Has this core read the log of a shard on, beside other work, and tell what came of it.
fn with_reader(
    node: &Rc<Node>,
    shard: ShardId,
    work: impl AsyncFnOnce(&Node, &mut Reader) -> Result<News, Trouble> + 'static,
) {
    let node = Rc::clone(node);
    reactor::task::spawn(async move {
        let news = match node.load.readers.take(shard) {
            Ok(mut reader) => {
                let done = work(&node, &mut reader).await;
                node.load.readers.put(shard, Ok(reader));
                done.unwrap_or_else(of)
            }
            Err(error) => News::Failed(error),
        };
        tell(&node, news);
    });
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
