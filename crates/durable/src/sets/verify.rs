//! Whether a set is what its manifest says.

use std::io;

use std::sync::Arc;

use crate::disk::{Attempt, DiskError, Source};
use crate::manifest::{DbKeys, Manifest, SetFile};
use crate::sets::SetReader;
use crate::store::SetStore;

/// What is wrong with a set's file.
#[derive(Debug, thiserror::Error)]
pub enum SetFault {
    /// The manifest names it, and it is not there.
    #[error("{path} is missing")]
    Missing {
        /// The file.
        path: String,
    },
    /// Longer or shorter than the manifest says.
    #[error("{path} has {got} bytes, want {want}")]
    Size {
        /// The file.
        path: String,
        /// Its bytes.
        got: u64,
        /// Those that the manifest says.
        want: u64,
    },
    /// Its bytes are not those that were written.
    #[error("{path} is damaged: bad crc64: got {got:016x}, want {want:016x}")]
    Checksum {
        /// The file.
        path: String,
        /// The checksum of its bytes.
        got: u64,
        /// That of the manifest.
        want: u64,
    },
    /// Its bytes are right, and yet other keys came out of it than the manifest says.
    #[error("{path} gives {got} keys in database {db}, want {want}")]
    Keys {
        /// The file.
        path: String,
        /// The database.
        db: u16,
        /// Keys that were found.
        got: u64,
        /// Keys that the manifest says.
        want: u64,
    },
    /// Its bytes are those that were written, and they are no whole RDB file.
    #[error("{path}: {what}")]
    Contents {
        /// The file.
        path: String,
        /// What is wrong in it, and where.
        what: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl SetFault {
    /// The same once more, for who tells it twice.
    pub(crate) fn copy(&self) -> Self {
        let path = |path: &String| path.clone();
        match self {
            Self::Missing { path: at } => Self::Missing { path: path(at) },
            Self::Size { path: at, got, want } => Self::Size { path: path(at), got: *got, want: *want },
            Self::Checksum { path: at, got, want } => {
                Self::Checksum { path: path(at), got: *got, want: *want }
            }
            Self::Keys { path: at, db, got, want } => {
                Self::Keys { path: path(at), db: *db, got: *got, want: *want }
            }
            Self::Contents { path: at, what } => Self::Contents { path: path(at), what: what.clone() },
            Self::Disk(error) => Self::Disk(error.copy()),
        }
    }
}

/// That all files are there and as long as they should be, without reading them.
pub fn verify_shape(store: &dyn SetStore, manifest: &Manifest) -> Result<(), SetFault> {
    manifest.files.iter().try_for_each(|file| open_file(store, manifest, file).map(|_| ()))
}

/// That all files are what was written, by reading them.
pub fn verify_set(store: &dyn SetStore, manifest: &Manifest) -> Result<(), SetFault> {
    verify_shape(store, manifest)?;
    manifest.files.iter().try_for_each(|file| verify_file(store, manifest, file, &mut |_| {}))
}

/// That one file is what was written, by reading it. `each` is given every piece of it.
pub fn verify_file(
    store: &dyn SetStore,
    manifest: &Manifest,
    entry: &SetFile,
    each: &mut dyn FnMut(&[u8]),
) -> Result<(), SetFault> {
    let mut reader = SetReader::open(store, manifest, entry)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match reader.next(&mut buffer)? {
            0 => return Ok(()),
            got => each(&buffer[..got]),
        }
    }
}

/// That loading `entry` gave the keys that the manifest says; `found` by rising number of database.
pub fn check_counts(
    store: &dyn SetStore,
    manifest: &Manifest,
    entry: &SetFile,
    found: &[DbKeys],
) -> Result<(), SetFault> {
    let keys = |of: &[DbKeys], db| of.iter().find(|one| one.db == db).map_or(0, |one| one.keys);
    let different = |db: &u16| keys(found, *db) != keys(&entry.keys, *db);
    match found.iter().chain(&entry.keys).map(|one| one.db).find(different) {
        None => Ok(()),
        Some(db) => Err(SetFault::Keys {
            path: store.path(manifest.number, &entry.name),
            db,
            got: keys(found, db),
            want: keys(&entry.keys, db),
        }),
    }
}

/// Opens a file of a set that is as long as the manifest says.
pub fn open_file(
    store: &dyn SetStore,
    manifest: &Manifest,
    entry: &SetFile,
) -> Result<Arc<dyn Source>, SetFault> {
    let path = store.path(manifest.number, &entry.name);
    let file = match store.open(manifest.number, &entry.name) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
            return Err(SetFault::Missing { path });
        }
        other => other?,
    };
    match file.size().trying("measure", &path)? {
        got if got != entry.bytes => Err(SetFault::Size { path, got, want: entry.bytes }),
        _ => Ok(file),
    }
}

const READ_BYTES: usize = 1 << 20;
