//! Files of Redis that are to be imported, opened before anything serves.

use super::LoadError;
use crate::redis_files::{RedisFile, RedisFiles};
use aof::redis::{Base, TailPolicy};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What is to be imported: files, one behind the other.
#[derive(Debug)]
pub(crate) struct Import {
    /// As it was named.
    pub(super) path: PathBuf,
    pub(super) files: Vec<Source>,
}

/// One file of them.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Its size in bytes when it was opened.
    pub(super) bytes: u64,
    /// What it begins with.
    pub(super) base: Base,
    /// What is done if it ends in the middle of a command.
    pub(super) tail: TailPolicy,
}

impl Import {
    /// Finds the files, and opens them. `accepts_torn` says whether the last may end in the middle of a command.
    pub(super) fn open(path: &Path, accepts_torn: bool) -> Result<Self, LoadError> {
        let found = RedisFiles::find(path)?;
        for note in &found.notes {
            tracing::warn!("{note}");
        }
        let tail = |file: &RedisFile| if accepts_torn { file.tail } else { TailPolicy::Refuse };
        let files = found.files.iter().map(|file| Source::open(file, tail(file)));
        Ok(Self { path: path.to_owned(), files: files.collect::<Result<_, _>>()? })
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl Source {
    fn open(found: &RedisFile, tail: TailPolicy) -> Result<Self, LoadError> {
        let path = found.path.clone();
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = match opened {
            Ok((metadata, file)) if metadata.is_file() => (metadata, file),
            Ok(_) => return Err(LoadError::NotAFile { path }),
            Err(source) => return Err(LoadError::unreadable(path, source)),
        };
        let mut first = [0];
        match file.read_at(&mut first, 0) {
            Ok(read) => {
                let base = found.base(&first[..read]);
                Ok(Self { path, file, bytes: metadata.len(), base, tail })
            }
            Err(source) => Err(LoadError::Disk { path, at: 0, source }),
        }
    }
}
