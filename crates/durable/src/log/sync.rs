//! Making what was written survive a power loss, on a thread of its own while the core appends.

use aof::Lsn;
use std::sync::Arc;

use crate::disk::{Attempt, Disk, DiskError};
use crate::log::segment::Segment;

/// Syncs what a log had written when it was asked for.
pub struct SyncJob {
    pub(crate) disk: Arc<dyn Disk>,
    /// Segments that were left since the last sync, oldest first, each with where it ends; then the one being written.
    pub(crate) left: Vec<(Segment, Lsn)>,
    pub(crate) current: Segment,
    /// The directory, if names in it are new.
    pub(crate) directory: Option<String>,
    pub(crate) upto: Lsn,
}

/// Looks whether the segment that is written is there still, for logs that nobody has synced.
pub struct LookJob(pub(crate) Segment);

impl LookJob {
    /// Looks. An error is for [`crate::log::LogWriter::doubt`].
    pub fn run(self) -> Result<(), DiskError> {
        self.0.check_name()
    }
}

/// How a sync ended; give it to [`crate::log::LogWriter::sync_done`].
#[derive(Debug)]
#[must_use]
pub struct SyncDone {
    pub(crate) upto: Lsn,
    pub(crate) result: Result<(), DiskError>,
}

impl SyncDone {
    /// Whether it succeeded.
    pub fn is_good(&self) -> bool {
        self.result.is_ok()
    }

    /// As if it had succeeded. Only for showing that this loses data.
    #[doc(hidden)]
    pub fn believed(self) -> Self {
        Self { result: Ok(()), ..self }
    }
}

impl SyncJob {
    /// Everything before this position is safe if it succeeds.
    pub fn upto(&self) -> Lsn {
        self.upto
    }

    /// Syncs. Not to be tried again after an error: a second sync would say that all is well.
    pub fn run(self) -> SyncDone {
        SyncDone { upto: self.upto, result: self.sync() }
    }

    fn sync(&self) -> Result<(), DiskError> {
        for (segment, end) in &self.left {
            // The room behind the last record is given back.
            segment.file.truncate(segment.offset(*end)).trying("truncate", &segment.path)?;
            segment.file.sync().trying("sync", &segment.path)?;
        }
        self.current.file.sync().trying("sync", &self.current.path)?;
        self.current.check_name()?;
        match &self.directory {
            Some(directory) => self.disk.sync_dir(directory).trying("sync", directory),
            None => Ok(()),
        }
    }
}
