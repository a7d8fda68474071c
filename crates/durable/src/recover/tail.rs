//! Whether the logs of the newest generation have their ends: nothing continues them that would say where these are.
//!
//! | how the generation ended | what misses an end that is gone |
//! |---|---|
//! | in order | the file `end`, which was written when all logs were synced to their ends |
//! | the process was killed, and the kernel runs on | the files: the segment that is written has room behind its last record, and one that was left has none, once it is synced |
//! | power was lost | only what other files and records say was synced (`aof::ends`): a file's length may be any |

use aof::scan::Damage;
use aof::{BootId, HEADER_LEN, Lsn, RECORD_HEADER_LEN, RecordError, Summary};

use crate::disk::{Attempt, Disk, DiskError, read_full_at};
use crate::generation::{self, Begin};
use crate::layout;
use crate::log;
use crate::refusal::Refusal;

/// Adds to what must be there, by shard, where the logs of a generation end that has ended in order.
pub(crate) fn must(disk: &dyn Disk, begin: &Begin, must: &mut Vec<Lsn>) -> Result<(), Refusal> {
    let Some(ended) = generation::ended(disk, begin)? else { return Ok(()) };
    let ends = &ended.log.ends;
    must.resize(must.len().max(ends.len()), Lsn(0));
    must.iter_mut().zip(ends).for_each(|(must, end)| *must = (*must).max(*end));
    Ok(())
}

/// The first log whose last segment was cut off, or went, since the process ended that wrote it. What no later generation continues
/// is to be asked about, if nothing else is wrong with it.
pub(crate) fn cut_off<'a>(
    disk: &dyn Disk,
    begin: &Begin,
    logs: &'a [Summary],
    boot: BootId,
) -> Result<Option<&'a Summary>, DiskError> {
    if begin.boot != boot {
        return Ok(None);
    }
    let segments = log::segments(disk, begin.generation)?;
    for log in logs.iter().filter(|log| log.orderly.is_none()) {
        let Some(last) = segments.iter().rfind(|name| name.shard == log.log.shard) else { continue };
        let path = layout::segment(begin.generation, *last);
        let file = disk.open(&path).trying("open", &path)?;
        let size = file.size().trying("measure", &path)?;
        let mut byte = [0];
        let read = read_full_at(file.as_ref(), size.saturating_sub(1), &mut byte).trying("read", &path)?;
        let room = size.saturating_sub(HEADER_LEN as u64 + log.end.0.saturating_sub(last.base.0));
        // A record that is torn by the end of its process has its room all the same.
        let has_no_room = match log.damage {
            None => room == 0,
            Some(Damage::Record(RecordError::Short { .. })) => true,
            Some(_) => room <= RECORD_HEADER_LEN as u64,
        };
        if has_no_room || read == 0 || byte != [0] {
            return Ok(Some(log));
        }
    }
    Ok(None)
}

/// The refusal of a log that was cut off.
pub(crate) fn missing(begin: &Begin, log: &Summary) -> Refusal {
    Refusal::LogMissing { generation: begin.generation, shard: Some(log.log.shard), at: log.end }
}
