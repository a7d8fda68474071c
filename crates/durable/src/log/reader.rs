//! Reading a log as bytes, by position, while it is written: for whoever is sent it as it is.
//!
//! Nothing is verified here: whoever takes the records finds by their checksums what is not as it was written.

use std::sync::Arc;

use aof::{Generation, HEADER_LEN, Lsn, SegmentName};
use stdx::ShardId;

use crate::disk::{Attempt, Disk, DiskError, File, read_full_at};
use crate::layout;
use crate::log::segments;

/// Reads one log, from any position on. Calls block.
pub struct LogReader {
    disk: Arc<dyn Disk>,
    generation: Generation,
    shard: ShardId,
    /// The segment that was read last.
    open: Option<Open>,
}

struct Open {
    file: Arc<dyn File>,
    path: String,
    base: Lsn,
    /// Where the next one begins; `None`: this was the last one when it was looked.
    next: Option<Lsn>,
}

/// Why there are no bytes.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They were removed, with the snapshot that made them needless.
    #[error("byte {at} of generation {generation} of the log is no longer there")]
    Gone {
        /// Of which generation.
        generation: Generation,
        /// The first that is wanted.
        at: Lsn,
    },
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A segment ends before the next begins, or before the log does.
    #[error("{path} ends before byte {at}")]
    Short {
        /// Which.
        path: String,
        /// The first that is wanted.
        at: Lsn,
    },
}

impl LogReader {
    /// Of one shard's log.
    pub fn new(disk: Arc<dyn Disk>, generation: Generation, shard: ShardId) -> Self {
        Self { disk, generation, shard, open: None }
    }

    /// Of which generation.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Bytes from `at` on, at least one and at most `len`, none of which is at `end` or behind it. `end` was in the log before the call,
    /// and `at` is before it.
    pub fn read(&mut self, at: Lsn, end: Lsn, len: usize) -> Result<Vec<u8>, ReadError> {
        assert!(at < end && len > 0, "nothing is asked for: {at} to {end}");
        let open = self.segment(at)?;
        let end = open.next.unwrap_or(end).min(end);
        let wanted = usize::try_from(end.since(at)).unwrap_or(usize::MAX).min(len);
        let mut bytes = vec![0; wanted];
        let offset = HEADER_LEN as u64 + at.since(open.base);
        let read = read_full_at(open.file.as_ref(), offset, &mut bytes).trying("read", &open.path)?;
        if read == 0 {
            return Err(ReadError::Short { path: open.path.clone(), at });
        }
        bytes.truncate(read);
        Ok(bytes)
    }

    /// The segment that has this byte.
    fn segment(&mut self, at: Lsn) -> Result<&Open, ReadError> {
        let has = |open: &Open| open.base <= at && open.next.is_some_and(|next| at < next);
        if !self.open.as_ref().is_some_and(has) {
            self.open = Some(self.find(at)?);
        }
        Ok(self.open.as_ref().expect("it was just opened"))
    }

    fn find(&mut self, at: Lsn) -> Result<Open, ReadError> {
        let gone = || ReadError::Gone { generation: self.generation, at };
        let own: Vec<SegmentName> = segments(self.disk.as_ref(), self.generation)?
            .into_iter()
            .filter(|name| name.shard == self.shard)
            .collect();
        let index = own.partition_point(|name| name.base <= at).checked_sub(1).ok_or_else(gone)?;
        let next = own.get(index + 1).map(|name| name.base);
        // The last one was being written when it was looked last, and may have a next one by now.
        if let Some(open) = self.open.take().filter(|open| open.base == own[index].base) {
            return Ok(Open { next, ..open });
        }
        let path = layout::segment(self.generation, own[index]);
        match self.disk.open(&path) {
            Ok(file) => Ok(Open { file, path, base: own[index].base, next }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(gone()),
            Err(error) => Err(error).trying("open", &path)?,
        }
    }
}
