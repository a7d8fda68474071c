//! The meeting of the logs, on core 0.

use super::LogJob;
use crate::load::order::{News, Order, give};
use crate::load::{Setback, Stopped, next_news};
use crate::node::Node;
use aof::{Meeting, MeetingError, Step, TxNumber};
use durable::recover::Replay;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use stdx::ShardId;

/// Runs the logs of one generation again, to their ends.
pub(in crate::load) async fn replay(node: &Rc<Node>, replay: &Replay) -> Result<(), Setback> {
    let cores = node.router.shards();
    let job = Arc::new(LogJob {
        replay: replay.clone(),
        disk: Arc::clone(node.control.data.places.shared_disk()),
        is_direct: replay.shards == cores,
        is_over: AtomicBool::new(false),
    });
    for shard in (0..replay.shards).map(ShardId) {
        give(node, reader_of(node, shard), Order::Log(Arc::clone(&job), shard));
    }
    let mut conductor =
        Conductor { node, job: &job, under_way: 0, running: vec![None; replay.shards.into()] };
    let done = conductor.conduct().await;
    if done.is_err() {
        conductor.call_off().await?;
    }
    for core in 0..usize::from(cores) {
        give(node, core, Order::Close);
    }
    done
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
}

impl Conductor<'_> {
    async fn conduct(&mut self) -> Result<(), Setback> {
        let mut meeting = Meeting::new(self.job.replay.shards);
        loop {
            while let Some(step) = meeting.next() {
                match step {
                    Step::Read(shard) => self.order(shard, Order::GoOn(shard)),
                    Step::Run { tx, home } => {
                        self.running[home.index()] = Some(tx);
                        self.order(home, Order::Run(home));
                    }
                    // Nothing but what the logs say.
                    Step::Cut(_) => {}
                    Step::Done => return Ok(()),
                }
            }
            let news = next_news(self.node).await?;
            self.under_way -= 1;
            match news {
                News::Stands(shard, lsn, head) => {
                    meeting.stand(shard, lsn, head).map_err(|error| self.damaged(&error))?;
                }
                News::Ran(home) => {
                    let tx = self.running[home.index()].take().expect("it was told to run one");
                    meeting.ran(tx, home).map_err(|error| self.damaged(&error))?;
                }
                News::Damaged(refusal) => return Err(Setback::Log(refusal)),
                News::Failed(error) => return Err(Setback::Stopped(Stopped::Failed(error))),
                News::Stopped => return Err(Setback::Stopped(Stopped::Asked)),
                News::File(..) | News::Emptied => unreachable!("nobody was asked"),
            }
        }
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
