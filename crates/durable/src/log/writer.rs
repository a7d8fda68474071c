//! Appending to one shard's log.
//!
//! ```text
//!            append: no room, device error                a sync fails
//!   ┌───────┐ ─────────────────────────► ┌─────────┐   ┌────────┐
//!   │ sound │                            │ stalled │ ─►│ failed │◄── from sound, too
//!   └───────┘ ◄───────────────────────── └─────────┘   └────────┘
//!       ▲      the same append succeeds                    │
//!       └──────────────────────────────────────────────────┘ mend; or a new generation after a snapshot
//! ```
//!
//! Stalled: nothing is lost. The position stands where the last whole append ended, and the caller keeps the records and
//! appends the same again. Failed: what was written since the last sync that succeeded may be anything by now, and the kernel will
//! not say so twice. No append and no sync goes until what is in doubt was written anew.

use std::sync::Arc;

use aof::{BootId, Header, LogId, Lsn};

use crate::disk::{Attempt, Disk, DiskError, write_all_at};
use crate::layout;
use crate::log::segment::{Room, Segment, Spare, SpareJob};
use crate::log::sync::{LookJob, SyncDone, SyncJob};
use stdx::UnixMs;

/// What a log is written with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which log.
    pub log: LogId,
    /// The kernel's boot.
    pub boot: BootId,
    /// Bytes of a segment, its header included; one record that is longer makes it longer.
    pub segment_bytes: u64,
}

/// The writer of one log; it lives on the shard's core. Its jobs run on other threads.
pub struct LogWriter {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
    pub(crate) current: Segment,
    /// Segments that were left and not synced since, each with its end, oldest first.
    pub(crate) left: Vec<(Segment, Lsn)>,
    pub(crate) written: Lsn,
    pub(crate) synced: Lsn,
    /// Whether the directory has names that may not survive.
    pub(crate) has_new_names: bool,
    spare: Option<Spare>,
    /// Whether a job is to make one, or has: two would be made at the same place.
    is_spare_asked_for: bool,
    pub(crate) is_syncing: bool,
    /// Whether an append failed and may have left something behind `written`.
    pub(crate) has_partial: bool,
    pub(crate) failure: Option<DiskError>,
}

/// Why records were not appended. None of them may be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk did not take them. Append the same again later; nothing else may be appended before.
    #[error("{0}")]
    Stalled(#[from] DiskError),
    /// A sync has failed: see [`LogWriter::mend`].
    #[error("what was written is in doubt since a sync failed: {0}")]
    Failed(DiskError),
}

impl LogError {
    /// What the disk said.
    pub fn cause(&self) -> &DiskError {
        match self {
            Self::Stalled(cause) | Self::Failed(cause) => cause,
        }
    }
}

impl LogWriter {
    /// Creates the log of a generation, with its first segment, synced but for its name.
    pub(crate) fn create(disk: Arc<dyn Disk>, options: Options, now: UnixMs) -> Result<Self, DiskError> {
        let (base, synced) = (Lsn(0), Lsn(0));
        let header = Header { log: options.log, boot: options.boot, base, synced, created: now };
        let current = Segment::make(disk.as_ref(), &header, None, options.segment_bytes)?;
        current.file.sync().trying("sync", &current.path)?;
        Ok(Self {
            disk,
            options,
            current,
            left: Vec::new(),
            written: base,
            synced,
            has_new_names: false,
            spare: None,
            is_spare_asked_for: false,
            is_syncing: false,
            has_partial: false,
            failure: None,
        })
    }

    /// Which log it is.
    pub fn log(&self) -> &LogId {
        &self.options.log
    }

    /// Behind the last record that the kernel has.
    pub fn written(&self) -> Lsn {
        self.written
    }

    /// Everything before this position survives a power loss.
    pub fn synced(&self) -> Lsn {
        self.synced
    }

    /// Why a sync failed, if one did and it was not mended.
    pub fn failure(&self) -> Option<&DiskError> {
        self.failure.as_ref()
    }

    /// Bytes of a segment, its header included.
    pub fn segment_bytes(&self) -> u64 {
        self.options.segment_bytes
    }

    /// How many bytes are sure to be taken if the disk works, however full it is: what is left of the room that was reserved.
    pub fn room(&self) -> u64 {
        let segment_bytes = self.options.segment_bytes - SPARED_BYTES;
        let left = segment_bytes.saturating_sub(self.current.offset(self.written));
        let next = segment_bytes.saturating_sub(aof::HEADER_LEN as u64);
        left + if self.spare.is_some() { next } else { 0 }
    }

    /// Gives whole records to the kernel, the first of which is at [`LogWriter::written`]. Begins a segment if they do not
    /// fit; all that is appended at once is in one. Returns the position behind them.
    ///
    /// Behind the last record of the segment that is written there is always room, so one that has none was left, and another
    /// followed it ([`crate::recover`] misses that).
    pub fn append(&mut self, records: &[u8], now: UnixMs) -> Result<Lsn, LogError> {
        if let Some(failure) = &self.failure {
            return Err(LogError::Failed(failure.copy()));
        }
        let len = records.len() as u64;
        let is_fresh = self.written == self.current.base;
        let wanted = self.current.offset(self.written) + len + SPARED_BYTES;
        let is_full = wanted > self.options.segment_bytes;
        if is_fresh && is_full {
            self.current.file.preallocate(wanted).trying("reserve room for", &self.current.path)?;
        } else if !is_fresh && (is_full || self.has_better_spare()) {
            self.roll(len, now)?;
        }
        let offset = self.current.offset(self.written);
        self.has_partial = true;
        write_all_at(self.current.file.as_ref(), offset, records).trying("write", &self.current.path)?;
        self.has_partial = false;
        self.written = self.written.plus(len);
        Ok(self.written)
    }

    /// Whether syncs of the next segment would be cheaper than those of this one.
    fn has_better_spare(&self) -> bool {
        let is_filled = |spare: &Spare| spare.room == Room::Filled;
        self.current.room == Room::Reserved && self.spare.as_ref().is_some_and(is_filled)
    }

    fn roll(&mut self, len: u64, now: UnixMs) -> Result<(), DiskError> {
        let Options { log, boot, segment_bytes } = self.options;
        let header = Header { log, boot, base: self.written, synced: self.synced, created: now };
        if self.has_partial {
            // Behind the last record of a segment that another follows nothing but zeros may be.
            let (file, end) = (self.current.file.as_ref(), self.current.offset(self.written));
            // In this order: a torn record always has the room that was reserved for it.
            write_all_at(file, end, &[0; SPARED_BYTES as usize]).trying("write", &self.current.path)?;
            file.truncate(end + SPARED_BYTES).trying("truncate", &self.current.path)?;
        }
        let bytes = segment_bytes.max(aof::HEADER_LEN as u64 + len + SPARED_BYTES);
        // A spare that could not be used stays the spare: the next attempt begins it anew.
        let next = Segment::make(self.disk.as_ref(), &header, self.spare.as_ref(), bytes)?;
        if self.spare.take().is_some() {
            // One that is still being made is for the segment after this.
            self.is_spare_asked_for = false;
        }
        self.has_partial = false;
        self.has_new_names = true;
        let old = std::mem::replace(&mut self.current, next);
        self.left.push((old, self.written));
        Ok(())
    }

    /// A job that makes the next segment ahead of time, when it is time and none was asked for. A filled one is made at once, for the
    /// log goes on there as soon as it can.
    pub fn spare_job(&mut self, room: Room) -> Option<SpareJob> {
        let is_late = self.current.offset(self.written) > self.options.segment_bytes / 2;
        let is_better = room == Room::Filled && self.current.room == Room::Reserved;
        if !(is_late || is_better) || self.is_spare_asked_for || self.failure.is_some() {
            return None;
        }
        self.is_spare_asked_for = true;
        Some(SpareJob {
            disk: Arc::clone(&self.disk),
            log: self.options.log,
            bytes: self.options.segment_bytes,
            room,
        })
    }

    /// Takes the spare, or what went wrong with it: then another is asked for at the next chance.
    pub fn spare(&mut self, made: Result<Spare, DiskError>) {
        match made {
            Ok(spare) => self.spare = Some(spare),
            Err(_) => self.is_spare_asked_for = false,
        }
    }

    /// A job that makes safe all that was written so far. None if it is, if a job is under way, or after a failure.
    pub fn sync_job(&mut self) -> Option<SyncJob> {
        let is_safe = self.synced == self.written && !self.has_new_names;
        if is_safe || self.is_syncing || self.failure.is_some() {
            return None;
        }
        self.is_syncing = true;
        let directory = std::mem::take(&mut self.has_new_names);
        Some(SyncJob {
            disk: Arc::clone(&self.disk),
            left: self.left.clone(),
            current: self.current.clone(),
            directory: directory.then(|| layout::generation(self.options.log.generation)),
            upto: self.written,
        })
    }

    /// A job that looks whether the log is there still. None after a failure, and while a sync is under way, which looks as well.
    pub fn look_job(&self) -> Option<LookJob> {
        (!self.is_syncing && self.failure.is_none()).then(|| LookJob(self.current.clone()))
    }

    /// What a [`LookJob`] has found: nothing more is to be trusted, as after a failed sync. While a sync is under way, that will tell.
    pub fn doubt(&mut self, found: &DiskError) {
        if !self.is_syncing && self.failure.is_none() {
            self.failure = Some(found.copy());
        }
    }

    /// Takes the result of the job under way: what is synced now, or that nothing is to be trusted any more.
    pub fn sync_done(&mut self, done: SyncDone) -> Result<Lsn, LogError> {
        assert!(std::mem::take(&mut self.is_syncing), "no sync was under way");
        match done.result {
            Ok(()) => {
                self.synced = done.upto;
                // Segments that were left while the job ran wait for the next.
                self.left.retain(|(_, end)| *end > done.upto);
                Ok(self.synced)
            }
            Err(error) => {
                self.failure = Some(error.copy());
                Err(LogError::Failed(error))
            }
        }
    }
}

/// Zeros that stay behind the last record of the segment that is written.
pub(crate) const SPARED_BYTES: u64 = 1;
