//! The bytes that are loaded, as a thread of their own reads them: verified, unpacked and counted on the way.

use aof::Lsn;
use commands::core::Shared;
use durable::Disk;
use durable::disk::{Attempt, DiskError, File};
use durable::manifest::Manifest;
use durable::recover::Replay;
use durable::sets::SetReader;
use durable::store::SetStore;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use stdx::ShardId;

/// Counts what is read of `inner` as loaded: for what is unpacked on the way, so that nobody behind can count it.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) shared: Arc<Shared>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(into)?;
        self.shared.loading.loaded_bytes.fetch_add(got as u64, Relaxed);
        Ok(got)
    }
}

/// A file of a set, opened when it is first read, for opening it may take long.
pub(super) struct OfSet {
    store: Arc<dyn SetStore>,
    manifest: Arc<Manifest>,
    place: usize,
    reader: Option<SetReader>,
}

impl OfSet {
    pub(super) fn new(store: Arc<dyn SetStore>, manifest: Arc<Manifest>, place: usize) -> Self {
        Self { store, manifest, place, reader: None }
    }
}

impl Read for OfSet {
    /// Errors: a [`durable::sets::SetFault`] is inside.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let entry = &self.manifest.files[self.place];
                let opened = SetReader::open(self.store.as_ref(), &self.manifest, entry);
                none.insert(opened.map_err(io::Error::other)?)
            }
        };
        reader.read(into)
    }
}

/// The segments of one log, up to where it is to be replayed, as if they were one file.
pub(super) struct Segments {
    /// Those that were not begun, the next last.
    left: Vec<(Segment, Arc<dyn File>)>,
    current: Option<(Segment, Arc<dyn File>)>,
    at: u64,
}

/// A segment, as far as it is read.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) base: Lsn,
    pub(super) bytes: u64,
    path: String,
}

impl Segments {
    /// Opens them, and says which they are.
    pub(super) fn open(
        disk: &dyn Disk,
        replay: &Replay,
        shard: ShardId,
    ) -> Result<(Self, Vec<Segment>), DiskError> {
        let end = replay.ends[shard.index()];
        let mut segments = Vec::new();
        for (name, path) in replay.segments_of(shard) {
            let file = disk.open(&path).trying("open", &path)?;
            let size = file.size().trying("measure", &path)?;
            // Behind the end is nothing that counts.
            let bytes = size.min(aof::HEADER_LEN as u64 + end.since(name.base));
            segments.push((Segment { base: name.base, bytes, path }, file));
        }
        let list = segments.iter().map(|(segment, _)| segment.clone()).collect();
        segments.reverse();
        Ok((Self { left: segments, current: None, at: 0 }, list))
    }
}

impl Read for Segments {
    /// Errors: a [`DiskError`] is inside. A file that became shorter is one.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some((segment, file)) = &self.current else {
                match self.left.pop() {
                    Some(next) => (self.current, self.at) = (Some(next), 0),
                    None => return Ok(0),
                }
                continue;
            };
            let left = segment.bytes - self.at;
            if left == 0 {
                self.current = None;
                continue;
            }
            let want = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = match file.read_at(self.at, &mut into[..want]) {
                Ok(0) if want > 0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                other => other,
            };
            let got = got.trying("read", &segment.path).map_err(io::Error::other)?;
            self.at += got as u64;
            return Ok(got);
        }
    }
}
