//! The data directory of a machine that has none yet.

use std::io;
use std::sync::Arc;

use crate::disk::{Disk, Entry, File, Lock};

/// A directory that is there and empty. Nothing can be written to it.
pub(super) struct Nothing;

impl Disk for Nothing {
    fn name(&self) -> String {
        "an empty data directory".to_owned()
    }

    fn create_new(&self, _: &str) -> io::Result<Arc<dyn File>> {
        read_only()
    }

    fn open(&self, _: &str) -> io::Result<Arc<dyn File>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn open_writable(&self, _: &str) -> io::Result<Arc<dyn File>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        if directory.is_empty() { Ok(Vec::new()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn make_dir(&self, _: &str) -> io::Result<()> {
        read_only()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        read_only()
    }

    fn replace(&self, _: &str, _: &str) -> io::Result<()> {
        read_only()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        read_only()
    }

    fn remove_dir(&self, _: &str) -> io::Result<()> {
        read_only()
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        read_only()
    }

    fn lock(&self, _: &str, _: &str) -> io::Result<Box<dyn Lock>> {
        read_only()
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}
