//! Bytes that wait in a file, first in, first out.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use durable::DiskError;

/// A file that has no name any more, so that it goes with its process. It is made when it is needed.
pub(super) struct Spool {
    directory: PathBuf,
    file: Option<File>,
    taken: u64,
    appended: u64,
}

impl Spool {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, file: None, taken: 0, appended: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.appended
    }

    /// Appends. Errors: nothing is lost, and the same may be tried again.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        if self.file.is_none() {
            self.file = Some(self.make().map_err(|error| self.error("create", error))?);
        }
        let file = self.file.as_ref().expect("it was made");
        file.write_all_at(bytes, self.appended).map_err(|error| self.error("write", error))?;
        self.appended += bytes.len() as u64;
        Ok(())
    }

    /// Moves as many bytes to the end of `into` as it may have, or all there are.
    pub(super) fn take(&mut self, into: &mut Vec<u8>, bytes_max: usize) -> Result<(), DiskError> {
        let Some(file) = &self.file else { return Ok(()) };
        let start = into.len();
        let bytes = (self.appended - self.taken).min((bytes_max - start) as u64) as usize;
        into.reserve_exact(bytes_max - start);
        into.resize(start + bytes, 0);
        file.read_exact_at(&mut into[start..], self.taken).map_err(|error| self.error("read", error))?;
        self.taken += bytes as u64;
        if self.is_empty() {
            // Its room is given back; it is made again when the store falls behind again.
            (self.file, self.taken, self.appended) = (None, 0, 0);
        }
        Ok(())
    }

    fn make(&self) -> io::Result<File> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("spool-{}-{number}.new", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    fn error(&self, action: &'static str, source: io::Error) -> DiskError {
        DiskError { action, path: format!("a spool in {}", self.directory.display()), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_in_which_they_went_in() {
        let scratch = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(scratch.path().to_owned());
        let mut out = b"x".to_vec();
        spool.take(&mut out, 5).unwrap();
        assert!(spool.is_empty() && out == b"x");
        for _ in 0..2 {
            spool.append(b"abc").unwrap();
            spool.append(b"def").unwrap();
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "it has no name");
            out = b"x".to_vec();
            spool.take(&mut out, 5).unwrap();
            assert_eq!(out, b"xabcd");
            out.clear();
            spool.take(&mut out, 5).unwrap();
            assert!(spool.is_empty() && out == b"ef");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let mut spool = Spool::new("/nowhere".into());
        let error = spool.append(b"a").unwrap_err().to_string();
        assert!(error.contains("a spool in /nowhere"), "{error}");
    }
}
