//! What is known of the log: for INFO, and for whoever decides when it is to be rewritten.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use stdx::{ShardId, UnixMs};

/// One shard's log. Whoever writes it keeps this up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFigures {
    /// Whether there is one.
    pub is_on: bool,
    /// Whether nothing is answered that is not on the disk (`appendfsync always`).
    pub is_always: bool,
    /// Bytes of records that the kernel was given, since the server began.
    pub written_bytes: u64,
    /// Bytes of records of which it is not known that they are on the disk.
    pub unsynced_bytes: u64,
    /// Bytes of records that the disk has not taken.
    pub kept_bytes: u64,
    /// Whether a sync is under way.
    pub is_syncing: bool,
    /// How often a sync was due while another one was under way.
    pub delayed_syncs: u64,
}

/// What all cores know of the logs.
#[derive(Debug, Default)]
pub struct LogGauges {
    /// Bytes of the snapshot that the logs continue, uncompressed; 0 if there is none.
    base_bytes: AtomicU64,
    /// Bytes of earlier logs that stand between the two.
    carried_bytes: AtomicU64,
    /// Bytes that were written to the logs before that snapshot.
    before_bytes: AtomicU64,
    /// Whether the logs continue something that is whole: else nothing in them counts yet.
    is_begun: AtomicBool,
    /// The number of the last cut.
    last_cut: AtomicU64,
    shards: Vec<ShardLog>,
    /// How many clients wait for the logs (WAITAOF).
    waiting: AtomicUsize,
}

/// How far one shard's log is.
#[derive(Debug, Default)]
struct ShardLog {
    /// Whether something was written since the last cut.
    has_news: AtomicBool,
    /// The newest cut that is on the disk.
    synced_cut: AtomicU64,
    /// Bytes that the kernel was given, as of the last cut.
    written_bytes: AtomicU64,
}

/// A client's wait until what was written survives a loss of power: WAITAOF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogWait {
    /// This cut is to be on the disk in all logs.
    pub cut: u64,
    /// When it gives up; `None`: never.
    pub until: Option<UnixMs>,
}

impl LogGauges {
    /// Of so many logs.
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| ShardLog::default()).collect(), ..Self::default() }
    }

    /// Bytes that were written to all logs before the last cut.
    pub fn written_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.written_bytes.load(Relaxed)).sum()
    }

    /// Whether what is in the logs counts.
    pub fn set_begun(&self, is_begun: bool) {
        self.is_begun.store(is_begun, SeqCst);
    }

    /// See [`LogGauges::set_begun`].
    pub fn is_begun(&self) -> bool {
        self.is_begun.load(SeqCst)
    }

    /// What the logs follow has so many bytes. `carried_bytes`: what of other logs follows it, too; `written_bytes`: of all logs, what was
    /// written before it.
    pub fn set_base(&self, base_bytes: u64, carried_bytes: u64, written_bytes: u64) {
        self.base_bytes.store(base_bytes, Relaxed);
        self.carried_bytes.store(carried_bytes, Relaxed);
        self.before_bytes.store(written_bytes, Relaxed);
    }

    /// Bytes of what the logs follow (INFO aof_base_size).
    pub fn base_bytes(&self) -> u64 {
        self.base_bytes.load(Relaxed)
    }

    /// The same with the logs (INFO aof_current_size); `written_bytes`: of all logs, what was written since the start.
    pub fn current_bytes(&self, written_bytes: u64) -> u64 {
        let written = written_bytes.saturating_sub(self.before_bytes.load(Relaxed));
        self.base_bytes() + self.carried_bytes.load(Relaxed) + written
    }

    /// Something was written in a shard's log, for the first time since the last cut. Comes before anybody is told of it.
    pub fn note_news(&self, shard: ShardId) {
        self.shards[shard.index()].has_news.store(true, Release);
    }

    /// A shard's log has this cut.
    pub fn note_cut(&self, shard: ShardId, number: u64, written_bytes: u64) {
        self.shards[shard.index()].written_bytes.store(written_bytes, Relaxed);
        self.last_cut.fetch_max(number, AcqRel);
        self.shards[shard.index()].has_news.store(false, Release);
    }

    /// A shard has this cut on the disk.
    pub fn note_synced(&self, shard: ShardId, number: u64) {
        self.shards[shard.index()].synced_cut.store(number, SeqCst);
    }

    /// Once this cut is on the disk in all logs, all survives a loss of power that was answered by now.
    pub fn cut_needed(&self) -> u64 {
        // A shard tells of its cut before it takes its news back: in this order none is missed.
        let has_news = self.shards.iter().any(|shard| shard.has_news.load(Acquire));
        self.last_cut.load(Acquire) + u64::from(has_news)
    }

    /// One more client waits until this cut is on the disk in all logs; false if it is. Whoever then brings one there, and asks
    /// afterwards, finds the client.
    pub fn wait_for(&self, cut: u64) -> bool {
        self.waiting.fetch_add(1, SeqCst);
        let waits = !self.is_durable(cut);
        if !waits {
            self.waits_no_more();
        }
        waits
    }

    /// One client less waits.
    pub fn waits_no_more(&self) {
        self.waiting.fetch_sub(1, SeqCst);
    }

    /// Whether clients wait.
    pub fn is_waited_for(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// Whether all before this cut would be there after a loss of power.
    pub fn is_durable(&self, cut: u64) -> bool {
        self.is_begun.load(SeqCst) && self.durable_cut() >= cut
    }

    /// The newest cut that is on the disk in all logs.
    pub fn durable_cut(&self) -> u64 {
        self.shards.iter().map(|shard| shard.synced_cut.load(SeqCst)).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_covers_what_was_written_before_it() {
        let log = LogGauges::new(2);
        let needed_and_durable = || (log.cut_needed(), log.durable_cut());
        assert_eq!(needed_and_durable(), (0, 0));
        log.note_news(ShardId(1));
        assert_eq!(needed_and_durable(), (1, 0));
        log.note_cut(ShardId(0), 1, 0);
        assert_eq!(needed_and_durable(), (2, 0), "more may have been written behind the cut");
        log.note_cut(ShardId(1), 1, 0);
        assert_eq!(needed_and_durable(), (1, 0));
        log.note_synced(ShardId(1), 1);
        assert_eq!(needed_and_durable(), (1, 0));
        log.note_synced(ShardId(0), 1);
        assert_eq!(needed_and_durable(), (1, 1));
    }

    #[test]
    fn the_size_counts_from_the_last_snapshot() {
        let log = LogGauges::new(1);
        assert_eq!(log.current_bytes(50), 50);
        log.set_base(1000, 200, 0);
        assert_eq!((log.base_bytes(), log.current_bytes(50)), (1000, 1250));
        log.set_base(1000, 0, 50);
        assert_eq!((log.base_bytes(), log.current_bytes(50), log.current_bytes(80)), (1000, 1000, 1030));
    }
}
