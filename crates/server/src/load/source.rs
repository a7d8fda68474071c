//! Where data is loaded from: files, in order, opened before anything serves.

use super::LoadError;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What is to be loaded.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) files: Vec<SourceFile>,
}

/// One file.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) kind: FileKind,
    pub(super) file: File,
    /// Its size in bytes when it was opened.
    pub(super) bytes: u64,
}

/// How a file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A whole RDB file, with keys of any shard.
    Rdb,
}

impl Source {
    /// A plain file of Redis.
    pub(super) fn import(path: &Path) -> Result<Self, LoadError> {
        Ok(Self { files: vec![SourceFile::open(path, FileKind::Rdb)?] })
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl SourceFile {
    fn open(path: &Path, kind: FileKind) -> Result<Self, LoadError> {
        let path = path.to_owned();
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
        match opened {
            Ok((metadata, file)) if metadata.is_file() => {
                Ok(Self { path, kind, file, bytes: metadata.len() })
            }
            Ok(_) => Err(LoadError::NotAFile { path }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(LoadError::NotThere { path }),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(LoadError::Forbidden { path }),
            Err(source) => Err(LoadError::Disk { path, at: 0, source }),
        }
    }
}
