//! The log of one shard in one generation: appending, syncing, and getting well again after the disk failed.

mod mend;
mod reader;
mod segment;
mod sync;
mod writer;

pub use mend::MendError;
pub use reader::{LogReader, ReadError};
pub use segment::{Room, Spare, SpareJob};
pub use sync::{LookJob, SyncDone, SyncJob};
pub(crate) use writer::SPARED_BYTES;
pub use writer::{LogError, LogWriter, Options};

use aof::{Generation, SegmentName};

use crate::disk::{Disk, DiskError, list_sorted};
use crate::layout;

/// The segments of a generation, by shard and position.
pub fn segments(disk: &dyn Disk, generation: Generation) -> Result<Vec<SegmentName>, DiskError> {
    let entries = list_sorted(disk, &layout::generation(generation))?;
    let mut names: Vec<SegmentName> =
        entries.iter().filter_map(|entry| SegmentName::parse(&entry.name)).collect();
    names.sort();
    Ok(names)
}
