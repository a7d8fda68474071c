//! Why a server does not start: each case with what is wrong, what to do, and a code of its own.

use std::fmt;

use aof::ends::EndsError;
use aof::{Generation, Lsn, NodeId, ScanError};

use crate::disk::{DiskError, Trouble};
use crate::identity::IdentityError;
use crate::layout::{self, SetNumber};
use crate::lock::LockError;
use crate::sets::{ManifestFault, SetFault};
use crate::store::StoreTrouble;
use stdx::{ShardId, UnixMs, envelope, utc};

/// Why nothing may be served. Nothing was changed on the disk.
#[derive(Debug)]
pub enum Refusal {
    /// The data directory is not there.
    DirectoryMissing(DiskError),
    /// Something in it, or the directory itself, may not be read or written by this user.
    Forbidden(DiskError),
    /// The disk failed while it was read. Trying again may help.
    Disk(DiskError),
    /// The place of snapshots elsewhere cannot be read: it is not there, refuses, does not answer, or answers nonsense.
    Store(DiskError),
    /// One number stands for two different sets.
    TwoSets {
        /// The number.
        number: SetNumber,
        /// Where one is.
        first: String,
        /// Where the other is.
        second: String,
    },
    /// Another process has it.
    Taken(LockError),
    /// It is empty, and its identity says that there was data.
    DataGone,
    /// It is empty without any identity, and the operator said that there must be data.
    DataExpected,
    /// It has Redis's files, and none of ours.
    RedisData {
        /// One of them.
        found: String,
    },
    /// Whose it is cannot be told.
    IdentityDamaged(envelope::Error),
    /// Sets or logs of another node are in it.
    Foreign {
        /// The file.
        path: String,
        /// Whose it is.
        found: NodeId,
        /// Whose directory it is.
        own: NodeId,
    },
    /// Something was written by a version to come.
    TooNew {
        /// The file.
        path: String,
        /// What it says.
        what: String,
    },
    /// The newest set's manifest is damaged.
    ManifestDamaged {
        /// The set.
        number: SetNumber,
        /// What is wrong with it.
        fault: ManifestFault,
    },
    /// A file that the newest set's manifest names is not there.
    SetFileMissing {
        /// The set.
        number: SetNumber,
        /// Which.
        fault: SetFault,
    },
    /// A file of the newest set is not what was written.
    SetFileDamaged {
        /// The set.
        number: SetNumber,
        /// What is wrong with it.
        fault: SetFault,
    },
    /// The newest set loads to other keys than its manifest says.
    SetKeys {
        /// The set.
        number: SetNumber,
        /// What is wrong.
        fault: SetFault,
    },
    /// A generation's beginning is damaged or missing.
    BeginDamaged {
        /// The generation.
        generation: Generation,
        /// What is wrong with it.
        what: String,
    },
    /// A piece of the log is missing.
    LogMissing {
        /// The generation.
        generation: Generation,
        /// Whose log; `None` when the whole generation is missing.
        shard: Option<ShardId>,
        /// The first position that is missing.
        at: Lsn,
    },
    /// The log is damaged where it had been synced.
    LogDamaged {
        /// The generation.
        generation: Generation,
        /// Where, and what is there.
        what: String,
    },
    /// No set and no log leads to the newest data.
    Hole {
        /// The generation that continues what is not there.
        generation: Generation,
        /// What that is.
        what: String,
    },
    /// The log has a torn tail, and `aof-load-truncated` is `no`.
    TornTail {
        /// The generation.
        generation: Generation,
        /// Whose log.
        shard: ShardId,
        /// Where it ends.
        end: Lsn,
        /// Bytes behind it.
        bytes: u64,
    },
    /// The time asked for is before all that is kept.
    TimeTooEarly {
        /// The time asked for.
        until: UnixMs,
        /// The first time that can be had, if there is any.
        first: Option<UnixMs>,
    },
    /// More than one thing is wrong.
    Several {
        /// What is to be mended first.
        first: Box<Self>,
        /// What else is damaged.
        besides: Vec<Self>,
    },
    /// There is this to refuse, and nothing older that `on-load-failure previous` could take instead.
    NothingBefore(Box<Self>),
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what(f)?;
        write!(f, ". {}", self.remedy())
    }
}

impl Refusal {
    /// The refusal that a disk's error is.
    pub fn disk(error: DiskError) -> Self {
        if error.store_trouble().is_some() {
            return Self::Store(error);
        }
        match error.trouble() {
            Trouble::Forbidden | Trouble::ReadOnly => Self::Forbidden(error),
            _ => Self::Disk(error),
        }
    }

    /// The refusal for `first`, and for what else was found on the way and is no consequence of it: who mends the one would run
    /// into the other. What is only missing may have gone in order.
    pub(crate) fn several(first: Self, others: impl IntoIterator<Item = Self>) -> Self {
        let (first, mut besides) = match first {
            Self::Several { first, besides } => (*first, besides),
            first => (first, Vec::new()),
        };
        for other in others.into_iter().filter(Self::is_damage) {
            if [&first].into_iter().chain(&besides).all(|told| told.cause() != other.cause()) {
                besides.push(other);
            }
        }
        if besides.is_empty() { first } else { Self::Several { first: Box::new(first), besides } }
    }

    fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Disk(_)
                | Self::ManifestDamaged { .. }
                | Self::SetFileMissing { .. }
                | Self::SetFileDamaged { .. }
                | Self::SetKeys { .. }
                | Self::LogDamaged { .. }
                | Self::BeginDamaged { .. }
                | Self::TornTail { .. }
        )
    }

    /// The refusal when the data directory itself cannot be opened.
    pub fn directory(error: DiskError) -> Self {
        match error.trouble() {
            Trouble::Missing => Self::DirectoryMissing(error),
            _ => Self::disk(error),
        }
    }

    /// The refusal when a set cannot be used.
    pub fn set(number: SetNumber, fault: SetFault) -> Self {
        match fault {
            SetFault::Missing { .. } => Self::SetFileMissing { number, fault },
            SetFault::Size { .. } | SetFault::Checksum { .. } | SetFault::Contents { .. } => {
                Self::SetFileDamaged { number, fault }
            }
            SetFault::Keys { .. } => Self::SetKeys { number, fault },
            SetFault::Disk(error) => Self::disk(error),
        }
    }

    pub(crate) fn manifest(number: SetNumber, fault: ManifestFault) -> Self {
        match fault {
            ManifestFault::Envelope(error @ envelope::Error::Version { .. }) => {
                Self::TooNew { path: layout::manifest(number), what: error.to_string() }
            }
            fault => Self::ManifestDamaged { number, fault },
        }
    }

    /// The refusal when a log cannot be read.
    pub fn scan(generation: Generation, shard: ShardId, error: ScanError) -> Self {
        match error {
            ScanError::Missing { start, .. } => {
                Self::LogMissing { generation, shard: Some(shard), at: start }
            }
            ScanError::Version { .. } => {
                Self::TooNew { path: layout::generation(generation), what: error.to_string() }
            }
            error => Self::LogDamaged { generation, what: format!("shard {}: {error}", shard.0) },
        }
    }

    pub(crate) fn ends(generation: Generation, error: EndsError) -> Self {
        match error {
            // Nothing is there instead: what is behind it went with its files.
            EndsError::Damaged { shard, end, damage: None, .. } => {
                Self::LogMissing { generation, shard: Some(shard), at: end }
            }
            error => Self::LogDamaged { generation, what: error.to_string() },
        }
    }

    /// The code with which the process ends; docs/operations/exit-codes.md.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Disk(_) => 74,
            Self::Taken(_) => 75,
            Self::Forbidden(_) => 77,
            Self::DirectoryMissing(_) => 90,
            Self::DataGone | Self::DataExpected => 91,
            Self::RedisData { .. } => 92,
            Self::IdentityDamaged(_) | Self::Foreign { .. } | Self::TwoSets { .. } => 93,
            Self::TooNew { .. } => 94,
            Self::ManifestDamaged { .. } => 95,
            Self::SetFileMissing { .. } => 96,
            Self::SetFileDamaged { .. } => 97,
            Self::SetKeys { .. } => 98,
            Self::LogMissing { .. } | Self::Hole { .. } => 99,
            Self::LogDamaged { .. } | Self::BeginDamaged { .. } => 100,
            Self::TornTail { .. } => 101,
            Self::TimeTooEarly { .. } => 102,
            Self::Several { first, .. } | Self::NothingBefore(first) => first.exit_code(),
            Self::Store(error) => match error.store_trouble() {
                Some(StoreTrouble::NoBucket) => 105,
                Some(StoreTrouble::Forbidden) => 106,
                Some(StoreTrouble::Unreachable) => 107,
                _ => 108,
            },
        }
    }

    /// Whether `on-load-failure` may be applied: whether what is wrong is data that is there and cannot be used.
    pub fn is_load_failure(&self) -> bool {
        matches!(self.exit_code(), 74 | 95..=101)
    }

    /// What is wrong, without what to do about it.
    pub fn cause(&self) -> String {
        struct Cause<'a>(&'a Refusal);
        impl fmt::Display for Cause<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.what(f)
            }
        }
        Cause(self).to_string()
    }

    fn what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DirectoryMissing(error)
            | Self::Forbidden(error)
            | Self::Disk(error)
            | Self::Store(error) => write!(f, "{error}"),
            Self::TwoSets { number, first, second } => {
                write!(
                    f,
                    "snapshot set {number} is in {first} and in {second}, and these are two different sets"
                )
            }
            Self::Taken(error) => write!(f, "{error}"),
            Self::DataGone => {
                f.write_str("the data directory holds no data, and its identity says that it did")
            }
            Self::DataExpected => f.write_str("the data directory is empty, and it was said to hold data"),
            Self::RedisData { found } => {
                write!(f, "the data directory holds {found} of Redis, and nothing of Lacewing")
            }
            Self::IdentityDamaged(error) => write!(f, "{} is damaged: {error}", layout::IDENTITY),
            Self::Foreign { path, found, own } => {
                write!(f, "{path} was written by node {found}, and the directory is that of node {own}")
            }
            Self::TooNew { path, what } => write!(f, "{path} was written by a newer version: {what}"),
            Self::ManifestDamaged { number, fault } => {
                write!(f, "the manifest of snapshot set {number} is damaged: {fault}")
            }
            Self::SetFileMissing { number, fault }
            | Self::SetFileDamaged { number, fault }
            | Self::SetKeys { number, fault } => write!(f, "snapshot set {number} is not whole: {fault}"),
            Self::BeginDamaged { generation, what } => {
                write!(f, "the beginning of generation {generation} of the log is damaged: {what}")
            }
            Self::LogMissing { generation, shard: None, .. } => {
                write!(f, "generation {generation} of the log is missing")
            }
            Self::LogMissing { generation, shard: Some(shard), at } => {
                write!(
                    f,
                    "generation {generation} of the log lacks what shard {} wrote from {at} on",
                    shard.0
                )
            }
            Self::LogDamaged { generation, what } => {
                write!(f, "generation {generation} of the log is damaged: {what}")
            }
            Self::Hole { generation, what } => {
                write!(f, "generation {generation} of the log continues {what}, which is not there")
            }
            Self::TornTail { generation, shard, end, bytes } => write!(
                f,
                "the log of shard {} in generation {generation} ends at {end} with {bytes} bytes of incomplete records \
                 behind it",
                shard.0
            ),
            Self::TimeTooEarly { until, first: None } => {
                write!(f, "nothing that is kept reaches back to {}", utc(*until))
            }
            Self::TimeTooEarly { until, first: Some(first) } => write!(
                f,
                "nothing that is kept reaches back to {}; the first time to be had is {}",
                utc(*until),
                utc(*first)
            ),
            Self::Several { first, besides } => {
                first.what(f)?;
                besides.iter().try_for_each(|other| write!(f, "; and {}", other.cause()))
            }
            Self::NothingBefore(reason) => {
                reason.what(f)?;
                f.write_str("; and there is nothing older to go back to")
            }
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::DirectoryMissing(_) => {
                "Mount or create it, or correct `dir`; it is never created by a start"
            }
            Self::Forbidden(error) if error.trouble() == Trouble::ReadOnly => {
                "Remount it so that it can be written to, and start again; the kernel's log says why it is read-only"
            }
            Self::Forbidden(_) => "Give the server's user the right to read and write there",
            Self::Disk(error) if error.trouble() == Trouble::Full => {
                "Make room there, or raise the quota, and start again; a start needs room for one segment of the log for \
                 each core (`log-segment-size`)"
            }
            Self::Disk(error) if error.trouble() == Trouble::WrongKind => {
                "There is a file where a directory should be, or a directory where a file should be: put back what was there, from \
                 a backup, or move aside what is none of this server's"
            }
            Self::Disk(_) => "Look at the kernel's log for errors of the device, and start again",
            Self::Store(error) => match error.store_trouble() {
                Some(StoreTrouble::NoBucket) => {
                    "Correct `snapshot-dir`, or find out what became of the bucket; it is never made, and never taken \
                     for an empty one"
                }
                Some(StoreTrouble::Forbidden) => {
                    "Give the server's credentials the right to list, read, write and delete there, or give it others"
                }
                Some(StoreTrouble::Unreachable) => {
                    "Look at the network, the name and the endpoint, and start again; `retry` in `snapshot-dir` says for \
                     how long it is tried"
                }
                _ => {
                    "Look at what the store said; another store, or a newer version of it, may do what is needed"
                }
            },
            Self::TwoSets { .. } => "Move aside the one that does not belong to this server",
            Self::Taken(LockError::Held { place: Some(_), .. }) => {
                "Stop that server, or give this one another `snapshot-dir`: each has a place of its own"
            }
            Self::Taken(_) => "Stop that server, or give this one another `dir`",
            Self::DataGone => {
                "Mount what belongs there, or restore it from a backup; if snapshots were written to another place, give that as \
                 `snapshot-dir`; if the data was deleted on purpose, delete lacewing.id as well"
            }
            Self::DataExpected => "Mount what belongs there, or correct `dir`",
            Self::RedisData { .. } => "Load it with --import, or give this server a directory of its own",
            Self::IdentityDamaged(_) => {
                "Restore it from a backup; or, if all that is in the directory belongs to this server, delete the file"
            }
            Self::Foreign { .. } => "Move aside what does not belong to this server, or correct `dir`",
            Self::TooNew { .. } => "Start the version that wrote it, or a later one",
            Self::SetFileMissing { .. } => {
                "Restore the set from a backup, or give the place where it is as `snapshot-dir`; or start with --on-load-failure \
                 previous to go back to the newest set that can be read, losing what is newer"
            }
            Self::ManifestDamaged { .. } | Self::SetFileDamaged { .. } | Self::SetKeys { .. } => {
                "Restore the set from a backup; or start with --on-load-failure previous to go back to the newest set \
                 that can be read, losing what is newer"
            }
            Self::LogMissing { .. } | Self::Hole { .. } => {
                "Restore it from a backup; or, if snapshots were written to another place, give that as `snapshot-dir`; or start \
                 with --on-load-failure previous to do without it, losing what only it has"
            }
            Self::BeginDamaged { .. } | Self::LogDamaged { .. } => {
                "See `lacewing check`; restore the file from a backup, or start with --on-load-failure previous to end \
                 the log before the damage"
            }
            Self::TornTail { .. } => {
                "A crash leaves such a tail, and nothing that was promised is in it; start with aof-load-truncated yes, or \
                 cut it off with `lacewing check --repair`"
            }
            Self::TimeTooEarly { .. } => "Ask for a later time, or restore older sets and logs from a backup",
            Self::Several { first, .. } => first.remedy(),
            Self::NothingBefore(_) => {
                "Restore what is missing or damaged from a backup; or start with --on-load-failure empty to begin with nothing, all that \
                 is there going into quarantine"
            }
        }
    }
}

impl From<DiskError> for Refusal {
    fn from(error: DiskError) -> Self {
        Self::disk(error)
    }
}

impl From<LockError> for Refusal {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Disk(error) => Self::disk(error),
            held => Self::Taken(held),
        }
    }
}

impl From<IdentityError> for Refusal {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Disk(error) => Self::disk(error),
            IdentityError::Damaged(error @ envelope::Error::Version { .. }) => {
                Self::TooNew { path: layout::IDENTITY.to_owned(), what: error.to_string() }
            }
            IdentityError::Damaged(error) => Self::IdentityDamaged(error),
        }
    }
}
