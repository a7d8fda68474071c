//! A file of Redis that is to be imported, opened before anything serves.

use super::LoadError;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A file to begin with.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Its size in bytes when it was opened.
    pub(super) bytes: u64,
}

impl Source {
    /// Opens it.
    pub(super) fn import(path: &Path) -> Result<Self, LoadError> {
        let path = path.to_owned();
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
        match opened {
            Ok((metadata, file)) if metadata.is_file() => Ok(Self { path, file, bytes: metadata.len() }),
            Ok(_) => Err(LoadError::NotAFile { path }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(LoadError::NotThere { path }),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(LoadError::Forbidden { path }),
            Err(source) => Err(LoadError::Disk { path, at: 0, source }),
        }
    }
}
