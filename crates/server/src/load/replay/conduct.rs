//! The meeting of the logs, on core 0.

use super::LogJob;
use crate::load::order::{News, Order, give};
use crate::load::{Setback, Stopped, next_news};
use crate::node::Node;
use aof::{Head, Meeting, MeetingError, Step, TxNumber};
use durable::recover::Replay;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use stdx::ShardId;

/// Runs the logs of one generation again, to their ends.
pub(in crate::load) async fn replay(node: &Rc<Node>, replay: &Replay) -> Result<(), Setback> {
    let cores = node.router.shards();
    let attempt = node.load.attempts.get() + 1;
    node.load.attempts.set(attempt);
    let job = Arc::new(LogJob {
        attempt,
        replay: replay.clone(),
        disk: Arc::clone(node.control.data.places.shared_disk()),
        is_direct: replay.shards == cores,
        is_over: AtomicBool::new(false),
    });
    for shard in (0..replay.shards).map(ShardId) {
        give(node, reader_of(node, shard), Order::Log(Arc::clone(&job), shard));
    }
    let shards = usize::from(replay.shards);
    let mut conductor = Conductor {
        node,
        job: &job,
        under_way: 0,
        running: vec![None; shards],
        ended: vec![false; shards],
        batches: vec![0; shards],
    };
    let done = conductor.conduct().await;
    if done.is_err() {
        conductor.call_off().await?;
    }
    for core in 0..usize::from(cores) {
        give(node, core, Order::Close(Arc::clone(&job)));
    }
    done
}

/// Why a log is not run on.
fn setback(news: News) -> Setback {
    match news {
        News::Damaged(refusal) => Setback::Log(refusal),
        News::Failed(error) => Setback::Stopped(Stopped::Failed(error)),
        News::Stopped => Setback::Stopped(Stopped::Asked),
        _ => unreachable!("nobody was asked for this"),
    }
}

/// The core that reads the log of a shard.
fn reader_of(node: &Node, shard: ShardId) -> usize {
    shard.index() % usize::from(node.router.shards())
}

struct Conductor<'a> {
    node: &'a Rc<Node>,
    job: &'a LogJob,
    /// Orders that have not been answered.
    under_way: usize,
    /// The transaction that is run, by the shard that is its home.
    running: Vec<Option<TxNumber>>,
    /// By shard: whether its log has come to its end.
    ended: Vec<bool>,
    /// By shard: how many batches of parts it was sent.
    batches: Vec<u64>,
}

impl Conductor<'_> {
    async fn conduct(&mut self) -> Result<(), Setback> {
        let mut meeting = Meeting::new(self.job.replay.shards);
        self.scan().await?;
        loop {
            while let Some(step) = meeting.next() {
                match step {
                    Step::Read(shard) => self.order(shard, Order::GoOn(shard, self.batches[shard.index()])),
                    Step::Run { tx, home } => {
                        self.running[home.index()] = Some(tx);
                        self.order(home, Order::Run(home));
                    }
                    // All stand still.
                    Step::Cut(_) => self.scan().await?,
                    Step::Done => return Ok(()),
                }
            }
            let news = next_news(self.node).await?;
            self.under_way -= 1;
            match news {
                News::Stands(shard, lsn, head) => {
                    self.ended[shard.index()] |= matches!(head, Head::End { .. });
                    meeting.stand(shard, lsn, head).map_err(|error| self.damaged(&error))?;
                }
                News::Ran(home) => {
                    let tx = self.running[home.index()].take().expect("it was told to run one");
                    meeting.ran(tx, home).map_err(|error| self.damaged(&error))?;
                }
                other => return Err(setback(other)),
            }
        }
    }

    /// Has all logs that go on read up to the next cut, and what can be taken apart dealt.
    async fn scan(&mut self) -> Result<(), Setback> {
        let ended: Arc<[bool]> = self.ended.clone().into();
        for shard in (0..self.job.replay.shards).map(ShardId).filter(|shard| !ended[shard.index()]) {
            self.order(shard, Order::Scan(shard, Arc::clone(&ended)));
        }
        for _ in ended.iter().filter(|ended| !**ended) {
            let news = next_news(self.node).await?;
            self.under_way -= 1;
            match news {
                News::Scanned(sent) => self.batches.iter_mut().zip(sent).for_each(|(all, sent)| *all += sent),
                other => return Err(setback(other)),
            }
        }
        Ok(())
    }

    fn order(&mut self, shard: ShardId, order: Order) {
        self.under_way += 1;
        give(self.node, reader_of(self.node, shard), order);
    }

    fn damaged(&self, error: &MeetingError) -> Setback {
        Setback::Log(self.job.damaged(error.to_string()))
    }

    /// Ends what is under way.
    async fn call_off(&mut self) -> Result<(), Setback> {
        self.job.is_over.store(true, Relaxed);
        while self.under_way > 0 {
            next_news(self.node).await?;
            self.under_way -= 1;
        }
        Ok(())
    }
}
