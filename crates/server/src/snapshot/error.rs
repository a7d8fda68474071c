//! Why there is no snapshot.

use durable::DiskError;
use durable::sets::CommitError;
use keyspace::Miscounted;
use std::io;

/// Why a snapshot did not come about. The sets that were there are as they were.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another writer was first, or what was written is not there.
    #[error("{0}")]
    Commit(CommitError),
    /// Not all that was there came to be written.
    #[error("{0}; this is a defect of Lacewing, and the snapshot was thrown away")]
    Miscounted(Miscounted),
    /// Commands waited, and the disk took nothing for [`super::walk::STALL_MAX`].
    #[error("the disk has taken nothing for {seconds} s, and writers waited for it")]
    Stalled {
        /// For how long.
        seconds: u64,
    },
    /// No thread, descriptor or memory to be had.
    #[error("cannot start to write: {0}")]
    System(#[from] io::Error),
    /// The log, which goes on at its cut, was ended, and the disk may not have it so far.
    #[error("the log was ended before the snapshot's place in it was on the disk")]
    LogEnded,
    /// Somebody asked to give it up.
    #[error("it was cancelled")]
    Cancelled,
    /// The server ends.
    #[error("the server ends")]
    Ending,
    /// The data that the server began with are not all there.
    #[error("the data are not loaded")]
    NotLoaded,
}

impl From<CommitError> for SaveError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Disk(error) => Self::Disk(error),
            taken => Self::Commit(taken),
        }
    }
}
