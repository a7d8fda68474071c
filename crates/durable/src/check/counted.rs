//! A disk that counts what is read from it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::disk::{Disk, Entry, File, Lock, Source};

/// Adds up the bytes that are read through it. Changes nothing: whatever would is an error.
pub(super) struct Counted {
    disk: Arc<dyn Disk>,
    read: Arc<AtomicU64>,
}

impl Counted {
    /// Reads from `disk`, and counts in `read`.
    pub(super) fn new(disk: &Arc<dyn Disk>, read: &Arc<AtomicU64>) -> Self {
        Self { disk: Arc::clone(disk), read: Arc::clone(read) }
    }
}

impl Disk for Counted {
    fn name(&self) -> String {
        self.disk.name()
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(CountedFile { file: self.disk.open(path)?, read: Arc::clone(&self.read) }))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        self.disk.list(directory)
    }

    fn create_new(&self, _: &str) -> io::Result<Arc<dyn File>> {
        refused()
    }

    fn open_writable(&self, _: &str) -> io::Result<Arc<dyn File>> {
        refused()
    }

    fn make_dir(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        refused()
    }

    fn replace(&self, _: &str, _: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn remove_dir(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn lock(&self, _: &str, _: &str) -> io::Result<Box<dyn Lock>> {
        refused()
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

struct CountedFile {
    file: Arc<dyn File>,
    read: Arc<AtomicU64>,
}

impl Source for CountedFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(offset, into)?;
        self.read.fetch_add(read as u64, Relaxed);
        Ok(read)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn modified(&self) -> io::Result<Option<std::time::SystemTime>> {
        self.file.modified()
    }
}

impl File for CountedFile {
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<usize> {
        refused()
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn preallocate(&self, _: u64) -> io::Result<()> {
        refused()
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        refused()
    }
}
