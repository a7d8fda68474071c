//! One server per directory: the data directory, and a place of its sets that is one.

use std::fmt;
use std::io;

use crate::disk::{Attempt, Disk, DiskError, Lock, read_small};
use crate::layout::LOCK;

/// Why the directory cannot be had.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it.
    Held {
        /// The place of sets, if it is not the data directory.
        place: Option<String>,
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
            Self::Held { place, holder } => {
                f.write_str("another process has ")?;
                match place {
                    None => f.write_str("the data directory")?,
                    Some(place) => write!(f, "the place of snapshots {place}")?,
                }
                if holder.is_empty() { Ok(()) } else { write!(f, ": {holder}") }
            }
            Self::Disk(error) => error.fmt(f),
        }
    }
}

/// Takes the data directory for this process. `note` says who it is, for the message that a second one gets.
pub fn take(disk: &dyn Disk, note: &str) -> Result<Box<dyn Lock>, LockError> {
    take_as(disk, None, LOCK, note)
}

/// The same of a directory of sets.
pub(crate) fn take_place(disk: &dyn Disk, note: &str) -> Result<Box<dyn Lock>, LockError> {
    let name = disk.name();
    take_as(disk, Some(name.clone()), &format!("{name}/{LOCK}"), note)
}

fn take_as(
    disk: &dyn Disk,
    place: Option<String>,
    shown: &str,
    note: &str,
) -> Result<Box<dyn Lock>, LockError> {
    match disk.lock(LOCK, note) {
        Ok(lock) => Ok(lock),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let note = read_small(disk, LOCK, NOTE_BYTES_MAX).unwrap_or_default();
            Err(LockError::Held { place, holder: String::from_utf8_lossy(&note).trim().to_owned() })
        }
        Err(error) => Err(error).trying("lock", shown).map_err(LockError::Disk),
    }
}

/// The most that is read of what the holder wrote.
const NOTE_BYTES_MAX: usize = 4096;
