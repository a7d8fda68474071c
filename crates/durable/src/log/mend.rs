//! Getting well after a sync failed: every segment that is in doubt is written anew.
//!
//! What the kernel still has of a segment may never reach the disk, and it will not try again. So the bytes are read back, each
//! record is checked, and a fresh file with the same bytes is written, synced, and takes the segment's name in one step. A
//! crash in between finds the old file or the new one, both with all that was in the page cache.

use aof::{Lsn, Scanner};

use crate::disk::{ASIDE, Attempt, DiskError, File, read_full_at, write_all_at};
use crate::layout;
use crate::log::segment::{Room, Segment};
use crate::log::writer::{LogWriter, SPARED_BYTES};

/// Why the log is not well.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// The disk does not work yet. Try again later.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What was written is gone from the page cache as well. A snapshot and a new generation make the log well; until
    /// then the data is in memory alone.
    #[error("the log is damaged at {at}: {what}")]
    Gone {
        /// The first position that is.
        at: Lsn,
        /// What is there.
        what: String,
    },
}

impl MendError {
    /// Why, in the system's words where it has any.
    pub fn reason(&self) -> String {
        match self {
            Self::Disk(error) => error.reason(),
            Self::Gone { .. } => self.to_string(),
        }
    }
}

impl LogWriter {
    /// Writes anew what is in doubt, and syncs it; blocks for as long as that takes. After success all that was appended is
    /// synced, and the log goes on. Does nothing if no sync has failed. Panics while a sync is under way.
    pub fn mend(&mut self) -> Result<(), MendError> {
        if self.failure.is_none() {
            return Ok(());
        }
        assert!(!self.is_syncing, "the failed sync has ended");
        self.check_generation()?;
        let mut doubtful = self.left.clone();
        doubtful.push((self.current.clone(), self.written));
        let mut fresh = Vec::with_capacity(doubtful.len());
        for (old, end) in &doubtful {
            fresh.push(self.copy(old, *end)?);
        }
        for segment in &fresh {
            segment.place_over(self.disk.as_ref())?;
        }
        let directory = layout::generation(self.options.log.generation);
        self.disk.sync_dir(&directory).trying("sync", &directory)?;
        self.current = fresh.pop().expect("the current segment is among them");
        self.left.clear();
        self.synced = self.written;
        self.has_new_names = false;
        self.has_partial = false;
        self.failure = None;
        Ok(())
    }

    /// That the generation is there still which the log is a part of: if somebody has removed that, what was synced is gone with it.
    fn check_generation(&self) -> Result<(), DiskError> {
        let generation = self.options.log.generation;
        let begin = layout::begin(generation);
        match self.disk.open(&begin).or_else(|_| self.disk.open(&layout::waiting(generation))) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(error).trying("find", &begin),
            _ => Ok(()),
        }
    }

    /// A fresh file with the records of `old` up to `end`, synced, aside.
    fn copy(&self, old: &Segment, end: Lsn) -> Result<Segment, MendError> {
        let aside = format!("{}{ASIDE}", old.path);
        let file = super::segment::reserve(self.disk.as_ref(), &aside)?;
        file.preallocate(self.options.segment_bytes.max(old.offset(end) + SPARED_BYTES))
            .trying("reserve room for", &aside)?;
        let segment = Segment { file, path: old.path.clone(), base: old.base, room: Room::Reserved };
        let mut scanner = Scanner::new(self.options.log, old.base);
        let gone = |at, error: &dyn std::fmt::Display| MendError::Gone { at, what: error.to_string() };
        scanner.segment(old.base, old.offset(end)).map_err(|error| gone(old.base, &error))?;
        copy_bytes(old.file.as_ref(), segment.file.as_ref(), old.offset(end), &old.path, &mut |bytes| {
            scanner.feed(bytes);
            while scanner.next().map_err(|error| gone(old.base, &error))?.is_some() {}
            Ok(())
        })?;
        let summary = scanner.finish();
        if let Some(damage) = &summary.damage {
            return Err(gone(summary.end, damage));
        }
        if summary.end != end {
            return Err(gone(summary.end, &"nothing"));
        }
        segment.file.sync().trying("sync", &aside)?;
        Ok(segment)
    }
}

/// Copies the first `bytes` bytes, and shows every piece to `see`.
fn copy_bytes(
    from: &dyn File,
    to: &dyn File,
    bytes: u64,
    path: &str,
    see: &mut dyn FnMut(&[u8]) -> Result<(), MendError>,
) -> Result<(), MendError> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < bytes {
        let want = buffer.len().min((bytes - at) as usize);
        let got = read_full_at(from, at, &mut buffer[..want]).trying("read", path)?;
        if got < want {
            return Err(MendError::Gone { at: Lsn(at), what: "the file ends".to_owned() });
        }
        see(&buffer[..got])?;
        write_all_at(to, at, &buffer[..got]).trying("write", path)?;
        at += got as u64;
    }
    Ok(())
}

const COPY_BYTES: usize = 1 << 20;
