//! One server per directory.

use std::fmt;
use std::io;

use crate::disk::{Attempt, Disk, DiskError, Lock, read_small};
use crate::layout::LOCK;

/// Why the directory cannot be had.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it.
    Held {
        /// What that process wrote into the lock, as far as it can be read.
        holder: String,
    },
    /// The lock cannot be made or taken.
    Disk(DiskError),
}

impl std::error::Error for LockError {}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { holder } if holder.is_empty() => {
                f.write_str("another process has the data directory")
            }
            Self::Held { holder } => write!(f, "another process has the data directory: {holder}"),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

/// Takes the directory for this process. `note` says who it is, for the message that a second one gets.
pub fn take(disk: &dyn Disk, note: &str) -> Result<Box<dyn Lock>, LockError> {
    match disk.lock(LOCK, note) {
        Ok(lock) => Ok(lock),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let note = read_small(disk, LOCK, NOTE_BYTES_MAX).unwrap_or_default();
            Err(LockError::Held { holder: String::from_utf8_lossy(&note).trim().to_owned() })
        }
        Err(error) => Err(error).trying("lock", LOCK).map_err(LockError::Disk),
    }
}

/// The most that is read of what the holder wrote.
const NOTE_BYTES_MAX: usize = 4096;
