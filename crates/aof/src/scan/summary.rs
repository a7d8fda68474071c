//! What a scan has found: all that [`crate::ends`] needs, in bounded memory.

use std::collections::VecDeque;

use stdx::UnixMs;

use crate::ids::{BootId, LogId, Lsn};
use crate::record::RecordError;
use crate::segment::HeaderError;

/// What one log has, from a position on.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Which log.
    pub log: LogId,
    /// Where reading began.
    pub start: Lsn,
    /// The end of the last valid record before the first place without one.
    pub end: Lsn,
    /// Valid records from `start` to `end`.
    pub records: u64,
    /// Everything before this position was synced, says something that was found in this log. If it is behind `end`, the log
    /// is damaged.
    pub must: Lsn,
    /// What is at `end` if it is not zeros or the end of the file.
    pub damage: Option<Damage>,
    /// What was found behind the damage.
    pub behind: Behind,
    /// The boot in which it was written; `None` if no header could be read.
    pub boot: Option<BootId>,
    /// When its first segment was made.
    pub created: Option<UnixMs>,
    /// The end of the last record under `always`, and how many records there are up to it.
    pub always: Option<(Lsn, u64)>,
    /// When it was ended, if the last record is its end.
    pub orderly: Option<UnixMs>,
    /// This cut was synced in every log, says something that was found in this one; 0 for none.
    pub durable_cut: u64,
    /// Its newest cuts.
    pub cuts: Cuts,
}

/// What lies behind the first damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Records that are valid.
    pub records: u64,
    /// Bytes that are not zero, those of the valid records included.
    pub bytes: u64,
}

/// Why there is no record where one should begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes there are not a record.
    #[error("{0}")]
    Record(RecordError),
    /// The segment that begins there has no readable header.
    #[error("{0}")]
    Header(HeaderError),
    /// The last segment ends before the position from which the log was to be read.
    #[error("the log ends before this")]
    Start,
    /// The next segment begins further on.
    #[error("the next segment begins at {next}")]
    Gap {
        /// Where.
        next: Lsn,
    },
}

/// A cut in one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its number.
    pub number: u64,
    /// When it was.
    pub at: UnixMs,
    /// Its position: the end of its record.
    pub end: Lsn,
    /// Records from the start of the scan up to here.
    pub records: u64,
}

/// The newest cuts of a log among those that are wanted, [`CUTS_MAX`] at most.
#[derive(Clone, Debug)]
pub struct Cuts {
    pub(super) until: Option<UnixMs>,
    pub(super) up_to: u64,
    kept: VecDeque<Cut>,
    newest: Option<Cut>,
    has_forgotten: bool,
}

/// Cuts that are kept of one log, at most: of nearly an hour, at one in 0.8 s. Logs of one generation end closer together than
/// that, except where a log is damaged or the disk hung; then they are read again for older ones.
pub const CUTS_MAX: usize = 4096;

impl Summary {
    /// Of a log that has nothing from `start` on.
    pub fn empty(log: LogId, start: Lsn) -> Self {
        Self {
            log,
            start,
            end: start,
            records: 0,
            must: Lsn(0),
            damage: None,
            behind: Behind::default(),
            boot: None,
            created: None,
            always: None,
            orderly: None,
            durable_cut: 0,
            cuts: Cuts {
                until: None,
                up_to: u64::MAX,
                kept: VecDeque::new(),
                newest: None,
                has_forgotten: false,
            },
        }
    }
}

impl Cuts {
    pub(super) fn push(&mut self, cut: Cut) {
        self.newest = Some(cut);
        if cut.number > self.up_to || self.until.is_some_and(|until| cut.at > until) {
            return;
        }
        if self.kept.len() == CUTS_MAX {
            self.kept.pop_front();
            self.has_forgotten = true;
        }
        self.kept.push_back(cut);
    }

    /// Those that are kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Cut> {
        self.kept.iter()
    }

    /// The cut of this number, if it is kept.
    pub fn get(&self, number: u64) -> Option<&Cut> {
        self.kept.binary_search_by_key(&number, |cut| cut.number).ok().map(|index| &self.kept[index])
    }

    /// The newest of all, wanted or not.
    pub fn newest(&self) -> Option<&Cut> {
        self.newest.as_ref()
    }

    /// Whether older ones that were wanted are not kept.
    pub fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }
}
