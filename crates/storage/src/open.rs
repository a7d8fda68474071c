//! From what an operator writes to a place of sets.

use std::path::PathBuf;
use std::sync::Arc;

use durable::disk::Attempt;
use durable::store::DirectorySets;
use durable::{DiskError, SetStore};

use crate::bucket::{Bucket, OpenError};
use crate::directory::Directory;
use crate::place::{Place, PlaceError};

/// Why a place cannot be used. It was not asked yet whether it answers, if it is a bucket.
#[derive(Debug, thiserror::Error)]
pub enum PlaceFailure {
    /// It is no place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The directory is not there, or cannot be read. It is never made.
    #[error(transparent)]
    Directory(#[from] DiskError),
    /// It is the data directory, which has its own sets in `snapshots`.
    #[error("it is the data directory, which has snapshots of its own; give another directory, or none")]
    DataDirectory,
    /// What it takes to talk to the bucket is not there.
    #[error(transparent)]
    Bucket(#[from] OpenError),
}

/// The sets at the place that `text` names. A bucket keeps what it is too slow for in the directory `spool`, if there is one;
/// `on_start` is run by its thread before it does anything.
pub fn open_sets(
    text: &str,
    spool: Option<PathBuf>,
    on_start: fn(),
) -> Result<Arc<dyn SetStore>, PlaceFailure> {
    match Place::parse(text)? {
        Place::Directory(path) => {
            let directory = Directory::open(&path).trying("open", &path.display().to_string())?;
            Ok(Arc::new(DirectorySets::elsewhere(Arc::new(directory))))
        }
        Place::Bucket(place) => Ok(Arc::new(Bucket::open(&place, spool, on_start)?)),
    }
}

/// The same place for a process that goes to another directory.
pub fn absolute_place(text: &str) -> Result<String, PlaceError> {
    match Place::parse(text)? {
        Place::Directory(path) => {
            let whole = std::path::absolute(&path).unwrap_or_else(|_| PathBuf::from(&path));
            Ok(whole.display().to_string())
        }
        Place::Bucket(_) => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_must_be_there() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("typo");
        let error = open_sets(&path.display().to_string(), None, || {}).unwrap_err();
        assert!(error.to_string().contains("typo"), "{error}");
        assert!(!path.exists());
        let store = open_sets(&format!("dir:{}", scratch.path().display()), None, || {}).unwrap();
        assert!(store.list().unwrap().is_empty());
    }

    #[test]
    fn paths_become_absolute_and_urls_stay() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute_place("backup").unwrap(), here.join("backup").display().to_string());
        assert_eq!(absolute_place("dir:/backup").unwrap(), "/backup");
        assert_eq!(absolute_place("s3://b/p?retry=1").unwrap(), "s3://b/p?retry=1");
        absolute_place("s4://b").unwrap_err();
    }
}
