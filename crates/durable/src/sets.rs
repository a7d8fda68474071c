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
mod read;
mod retain;
mod verify;

pub(crate) use draft::crc64;
pub use draft::{Commit, CommitError, Draft, FileSum, FileWriter};
pub use read::SetReader;
pub use retain::{Loaded, Pruned};
pub use verify::{SetFault, check_counts, open_file, verify_file, verify_set, verify_shape};

use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskError, list_sorted, read_whole};
use crate::layout::{self, ASIDE_MARK, MANIFEST, QUARANTINE, SETS, SetNumber};
use crate::manifest::{self, Manifest};
use crate::store::{Places, SetStore, Stored};
use stdx::envelope;

/// One set's directory.
#[derive(Debug)]
pub struct Listed {
    /// The number that it has as its name.
    pub number: SetNumber,
    /// Where it is.
    pub store: Arc<dyn SetStore>,
    /// Whether that is in the data directory.
    pub is_own: bool,
    /// Names of its files, whatever they are.
    pub files: Vec<String>,
    /// What is in it.
    pub state: SetState,
}

impl Listed {
    /// Whether it is a set, or was one, or may be one.
    pub fn is_data(&self) -> bool {
        !matches!(self.state, SetState::Unfinished | SetState::Aside)
    }
}

/// What a set's directory holds.
#[derive(Debug)]
pub enum SetState {
    /// A set, as far as its manifest tells.
    Set(Manifest),
    /// Files, perhaps, and no manifest: an attempt that was not finished. Not a set.
    Unfinished,
    /// It was put into quarantine where it is. Not a set.
    Aside,
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

/// Every set's directory in all places, by rising number, and of the same number that of the data directory first. Names
/// that are no set's are left out.
pub fn list(places: &Places) -> Result<Vec<Listed>, DiskError> {
    let mut sets = Vec::new();
    for (store, is_own) in places.all() {
        sets.extend(list_place(store, is_own)?);
    }
    sets.sort_by_key(|set| (set.number, !set.is_own));
    Ok(sets)
}

/// Every set's directory in one place, by rising number.
pub fn list_place(store: &Arc<dyn SetStore>, is_own: bool) -> Result<Vec<Listed>, DiskError> {
    let mut stored = store.list()?;
    stored.sort_by_key(|set| set.number);
    let listed = |set: Stored| Listed {
        number: set.number,
        state: read(store.as_ref(), &set),
        store: Arc::clone(store),
        is_own,
        files: set.files.into_iter().map(|file| file.name).collect(),
    };
    Ok(stored.into_iter().map(listed).collect())
}

fn read(store: &dyn SetStore, set: &Stored) -> SetState {
    if set.has(ASIDE_MARK) {
        return SetState::Aside;
    }
    if !set.has(MANIFEST) {
        return SetState::Unfinished;
    }
    match read_manifest(store, set.number) {
        Ok(Ok(manifest)) => match manifest.fault(set.number) {
            None => SetState::Set(manifest),
            Some(fault) => SetState::Damaged(ManifestFault::Senseless(fault)),
        },
        Ok(Err(fault)) => SetState::Damaged(fault),
        Err(error) => SetState::Unreadable(error),
    }
}

fn read_manifest(
    store: &dyn SetStore,
    number: SetNumber,
) -> Result<Result<Manifest, ManifestFault>, DiskError> {
    let file = store.open(number, MANIFEST)?;
    let bytes = match read_whole(file.as_ref(), &store.path(number, MANIFEST), manifest::BYTES_MAX) {
        Err(error) if error.source.kind() == io::ErrorKind::FileTooLarge => {
            return Ok(Err(ManifestFault::Senseless("it is too large for a manifest".to_owned())));
        }
        other => other?,
    };
    Ok(envelope::open(&bytes).map_err(ManifestFault::Envelope))
}

/// The number that the next set takes: above all that there are or were, those in quarantine and in places that were left too.
pub fn next_number(places: &Places, loaded: &Loaded) -> Result<SetNumber, DiskError> {
    let mut highest = loaded.numbered().max(highest_in_quarantine(places.disk(), SETS)?);
    for (store, _) in places.all() {
        highest = store.list()?.iter().map(|set| set.number).fold(highest, SetNumber::max);
    }
    Ok(1 + highest)
}

/// The highest number among the directories in `directory`, 0 without any.
fn highest(disk: &dyn Disk, directory: &str) -> Result<u64, DiskError> {
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
