//! Reading a set's file, and verifying it on the way.

use std::io::{self, Read};
use std::sync::Arc;

use crate::disk::{Attempt, Source};
use crate::manifest::{Manifest, SetFile};
use crate::sets::crc64;
use crate::sets::{SetFault, open_file};
use crate::store::SetStore;
use crc_fast::Digest;

/// The bytes of a set's file, from front to back. Whoever has read to the end without an error has read what was written:
/// length and checksum were compared before the end is told.
pub struct SetReader {
    file: Arc<dyn Source>,
    path: String,
    digest: Digest,
    at: u64,
    bytes: u64,
    crc64: u64,
}

impl SetReader {
    /// Opens one of the set's files. Errors: it is not there, or not as long as it should be.
    pub fn open(store: &dyn SetStore, manifest: &Manifest, entry: &SetFile) -> Result<Self, SetFault> {
        let file = open_file(store, manifest, entry)?;
        let path = store.path(manifest.number, &entry.name);
        Ok(Self { file, path, digest: crc64(), at: 0, bytes: entry.bytes, crc64: entry.crc64 })
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Some bytes; 0 at the end, when they were what was written.
    pub fn next(&mut self, into: &mut [u8]) -> Result<usize, SetFault> {
        let left = usize::try_from(self.bytes - self.at).unwrap_or(usize::MAX);
        let want = into.len().min(left);
        if want == 0 {
            return if left == 0 { self.verify() } else { Ok(0) };
        }
        let got = self.file.read_at(self.at, &mut into[..want]).trying("read", &self.path)?;
        if got == 0 {
            return Err(SetFault::Size { path: self.path.clone(), got: self.at, want: self.bytes });
        }
        self.digest.update(&into[..got]);
        self.at += got as u64;
        Ok(got)
    }

    fn verify(&self) -> Result<usize, SetFault> {
        match self.digest.clone().finalize() {
            got if got == self.crc64 => Ok(0),
            got => Err(SetFault::Checksum { path: self.path.clone(), got, want: self.crc64 }),
        }
    }
}

impl Read for SetReader {
    /// As [`SetReader::next`]; a [`SetFault`] is inside of the error.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.next(into).map_err(io::Error::other)
    }
}

impl std::fmt::Debug for SetReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetReader").field("path", &self.path).field("at", &self.at).finish_non_exhaustive()
    }
}
