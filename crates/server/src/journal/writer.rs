//! Making records of what commands did, on their way to the log.

use super::edge::Ring;
use super::sink::LogSink;
use aof::{Encoder, Stamp, TxNumber};
use commands::core::Shared;
use config::AppendFsync;
use coordinator::shards::ShardSet;
use durable::log::Room;
use std::sync::Arc;
use stdx::{DbIndex, ShardId, UnixMs};

/// What is to be written, and where.
pub(super) struct Writer {
    /// Whole records that the kernel does not have.
    pub(super) bytes: Vec<u8>,
    pub(super) encoder: Encoder,
    pub(super) stamp: Stamp,
    pub(super) sink: LogSink,
    /// The place of the log's first record.
    base: u64,
    /// What was written last, while somebody is sent it.
    pub(super) ring: Option<Ring>,
    pub(super) shared: Arc<Shared>,
}

impl Writer {
    /// Of records in `sink`'s log, the first of which is at this place of the journal.
    pub(super) fn new(sink: LogSink, place: u64, policy: AppendFsync, shared: Arc<Shared>) -> Self {
        let mut writer = Self {
            bytes: Vec::new(),
            encoder: Encoder::new(sink.id(), sink.written()),
            stamp: Stamp { synced: sink.synced(), always: false },
            base: place - sink.written().0,
            ring: None,
            sink,
            shared,
        };
        writer.set_policy(policy);
        writer
    }

    /// What is written from now on is synced so.
    pub(super) fn set_policy(&mut self, policy: AppendFsync) {
        self.stamp.always = policy == AppendFsync::Always;
        self.sink.set_room(if self.stamp.always { Room::Filled } else { Room::Reserved });
    }

    /// Gives the kernel what it does not have.
    pub(super) fn append(&mut self, now: UnixMs) {
        let at = self.sink.written();
        if self.sink.append(&self.bytes, now) {
            if let Some(ring) = &mut self.ring {
                ring.append(at, &self.bytes);
            }
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
        }
    }

    /// The place of the log's first byte.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The places up to which all is recorded, written, on the disk.
    pub(super) fn recorded(&self) -> u64 {
        self.base + self.encoder.next_lsn().0
    }

    pub(super) fn written(&self) -> u64 {
        self.base + self.sink.written().0
    }

    pub(super) fn synced(&self) -> u64 {
        self.base + self.sink.synced().0
    }

    /// Makes a record of what commands of this shard alone did.
    pub(super) fn add_plain(&mut self, effects: &[u8]) {
        let Self { bytes, encoder, stamp, .. } = self;
        encoder.begin_plain(bytes, DbIndex(0));
        bytes.extend_from_slice(effects);
        encoder.seal(bytes, *stamp);
    }

    pub(super) fn add(&mut self, record: &Record<'_>) {
        let Self { bytes, encoder, stamp, .. } = self;
        match *record {
            Record::Whole { number, shards, commands, .. } => {
                let shards: Vec<ShardId> = shards.iter().collect();
                encoder.begin_whole(bytes, TxNumber(number), &shards, DbIndex(0));
                bytes.extend_from_slice(commands);
                encoder.seal(bytes, *stamp);
            }
            Record::Marker { number, home } => {
                encoder.marker(bytes, TxNumber(number), home, *stamp);
            }
            Record::Cut { number, at, durable } => {
                encoder.cut(bytes, number, at, durable, *stamp);
            }
        }
    }
}

/// A record that stands between what commands of this shard alone have done. Cuts are added with [`Journal::cut`].
pub(crate) enum Record<'a> {
    /// What a transaction over several shards did, whose home is this core.
    Whole {
        /// Taken while all its locks are held.
        number: u64,
        /// The others that take part.
        shards: &'a ShardSet,
        /// RESP, which begins and ends in database 0.
        commands: &'a [u8],
        /// The same with what replicas alone are told, if there is any.
        for_replicas: Option<&'a [u8]>,
    },
    /// The place of such a transaction at another shard.
    Marker {
        /// Its number.
        number: u64,
        /// Where the whole record is.
        home: ShardId,
    },
    /// A cut, which all shards have: see [`crate::cut`].
    Cut {
        /// Its number.
        number: u64,
        /// When it is.
        at: UnixMs,
        /// The newest cut that is known to be on the disk in all logs, 0 for none.
        durable: u64,
    },
}

/// So much memory is kept for the next records.
const KEPT_BYTES: usize = 256 * 1024;
