//! The log, run again: each log of a generation is read by one core, and they meet where one of them tells of several shards.
//!
//! ```text
//!  plain thread             core n                                         core 0
//!  segments ──pieces──► aof::Scanner ──plain records──► run here
//!                                    ──all else───────► stands there ─────► aof::Meeting
//!                          goes on, or runs the transaction ◄───────────────┘
//! ```
//!
//! If there are as many shards as there were when the log was written, a log's plain records are for the shard of the core that
//! reads it, and are run on it directly ([`direct`]). So are most transactions over several shards: before the logs are run up to the
//! next cut, all are read up to it, and each shard is dealt its part of the transactions that can be taken apart ([`split`]). These
//! need no meeting. Plain records that follow each other are joined on the way ([`ahead`]). Everything else goes the way of clients' commands, through a connection of the server with itself ([`client`]),
//! which finds the shards.
//!
//! Commands run at a time before all others ([`crate::clock::before_all_times`]): no key expires but as the journal says.

mod ahead;
mod client;
mod conduct;
mod direct;
mod reader;
mod split;

pub(super) use client::Client;
pub(super) use conduct::replay;
pub(super) use reader::Reader;
pub(crate) use split::{Batch as PartBatch, Parts};

use super::LoadError;
use aof::Lsn;
use durable::recover::Replay;
use durable::{Disk, Refusal};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stdx::ShardId;

/// The logs of one generation.
pub(crate) struct LogJob {
    /// Counts the times that logs were begun to be run in this process.
    attempt: u64,
    replay: Replay,
    disk: Arc<dyn Disk>,
    /// Whether a log's shard is the core that reads it.
    is_direct: bool,
    /// It is given up.
    is_over: AtomicBool,
}

/// Why a log is not run any further.
pub(super) enum Trouble {
    /// Nobody wants it any more, or the server ends.
    Stopped,
    /// It is not what it should be.
    Damaged(Refusal),
    /// Nothing can be loaded.
    Failed(LoadError),
}

/// Why a command of a log, or of a file of Redis, was not run.
pub(super) enum Misrun {
    Stopped,
    /// It was refused; what it is, and what was said.
    Refused {
        command: String,
        why: String,
    },
    /// It is for a database that there is not.
    Database(u16),
    System(std::io::Error),
}

impl LogJob {
    /// Which time it is that logs are run.
    pub(super) fn attempt(&self) -> u64 {
        self.attempt
    }

    fn trouble(&self, shard: ShardId, lsn: Lsn, misrun: Misrun) -> Trouble {
        let generation = self.replay.generation;
        match misrun {
            Misrun::Stopped => Trouble::Stopped,
            Misrun::Refused { command, why } => {
                Trouble::Failed(LoadError::Effect { generation, shard, lsn, command, why })
            }
            Misrun::Database(db) => Trouble::Failed(LoadError::Databases { generation, db }),
            Misrun::System(error) => Trouble::Failed(LoadError::System(error)),
        }
    }

    fn damaged(&self, what: String) -> Refusal {
        Refusal::LogDamaged { generation: self.replay.generation, what }
    }
}
