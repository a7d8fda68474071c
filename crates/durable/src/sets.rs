//! Snapshot sets: written so that a crash at any point leaves a set or nothing that looks like one, listed and verified.
//!
//! ```text
//!  begin ──► files written, synced ──► directory synced ──► manifest aside, synced ──► renamed ──► directory synced
//!                                                                              from here on it is a set ▲
//! ```
//!
//! Two writers may write the same number at the same time: their files have names of their own, and the manifest is made
//! only if there is none, so that one of them wins.

mod draft;
mod retain;
mod verify;

pub use draft::{Commit, CommitError, Draft, FileWriter};
pub use retain::{Loaded, Pruned};
pub use verify::{SetFault, check_counts, verify_file, verify_set, verify_shape};

use std::io;

use crate::disk::{Disk, DiskError, list_sorted, read_small};
use crate::layout::{self, MANIFEST, QUARANTINE, SETS, SetNumber};
use crate::manifest::{self, Manifest};
use stdx::envelope;

/// One directory of `snapshots`.
#[derive(Debug)]
pub struct Listed {
    /// The number that it has as its name.
    pub number: SetNumber,
    /// What is in it.
    pub state: SetState,
}

/// What a set's directory holds.
#[derive(Debug)]
pub enum SetState {
    /// A set, as far as its manifest tells.
    Set(Manifest),
    /// Files, perhaps, and no manifest: an attempt that was not finished. Not a set.
    Unfinished,
    /// A manifest that is damaged or makes no sense.
    Damaged(ManifestFault),
    /// A manifest that cannot be read.
    Unreadable(DiskError),
}

/// What is wrong with a manifest that was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// Not whole, or of another version.
    #[error(transparent)]
    Envelope(#[from] envelope::Error),
    /// Whole, and it cannot be.
    #[error("{0}")]
    Senseless(String),
}

/// Every directory of `snapshots`, by rising number. Names that are no set's are left out.
pub fn list(disk: &dyn Disk) -> Result<Vec<Listed>, DiskError> {
    let entries = list_sorted(disk, SETS)?;
    let numbers =
        entries.iter().filter(|entry| entry.is_dir).filter_map(|entry| layout::parse_directory(&entry.name));
    numbers.map(|number| Ok(Listed { number, state: read(disk, number)? })).collect()
}

fn read(disk: &dyn Disk, number: SetNumber) -> Result<SetState, DiskError> {
    let entries = list_sorted(disk, &layout::set(number))?;
    if !entries.iter().any(|entry| entry.name == MANIFEST) {
        return Ok(SetState::Unfinished);
    }
    Ok(match read_manifest(disk, &layout::manifest(number)) {
        Ok(Ok(manifest)) => match manifest.fault(number) {
            None => SetState::Set(manifest),
            Some(fault) => SetState::Damaged(ManifestFault::Senseless(fault)),
        },
        Ok(Err(fault)) => SetState::Damaged(fault),
        Err(error) => SetState::Unreadable(error),
    })
}

fn read_manifest(disk: &dyn Disk, path: &str) -> Result<Result<Manifest, ManifestFault>, DiskError> {
    let bytes = match read_small(disk, path, manifest::BYTES_MAX) {
        Err(error) if error.source.kind() == io::ErrorKind::FileTooLarge => {
            return Ok(Err(ManifestFault::Senseless("it is too large for a manifest".to_owned())));
        }
        other => other?,
    };
    Ok(envelope::open(&bytes).map_err(ManifestFault::Envelope))
}

/// The number that the next set takes: above all that there are or were, those in quarantine too.
pub fn next_number(disk: &dyn Disk) -> Result<SetNumber, DiskError> {
    Ok(1 + highest(disk, SETS)?.max(highest_in_quarantine(disk, SETS)?))
}

/// The highest number among the directories in `directory`, 0 without any.
pub(crate) fn highest(disk: &dyn Disk, directory: &str) -> Result<u64, DiskError> {
    let entries = list_sorted(disk, directory)?;
    Ok(entries.iter().filter_map(|entry| layout::parse_directory(&entry.name)).max().unwrap_or(0))
}

/// The same over what was put into quarantine of `directory`, at any time.
pub(crate) fn highest_in_quarantine(disk: &dyn Disk, directory: &str) -> Result<u64, DiskError> {
    let mut found = 0;
    for round in list_sorted(disk, QUARANTINE)?.iter().filter(|entry| entry.is_dir) {
        found = found.max(highest(disk, &format!("{QUARANTINE}/{}/{directory}", round.name))?);
    }
    Ok(found)
}
