//! Trimming: removing entries from the beginning of a stream, whole blocks where that is possible.

use super::block::Block;
use super::{Log, StreamId, write};

/// What to trim to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// At most so many entries.
    Len(u64),
    /// No entry below this id.
    Id(StreamId),
}

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Down to what.
    pub to: TrimTo,
    /// Whole blocks only.
    pub approximate: bool,
    /// At most so many entries; 0 for no bound.
    pub limit: u64,
}

impl Log {
    /// Removes entries from the beginning, and returns how many.
    pub fn trim(&mut self, trim: &Trim) -> u64 {
        let mut removed = 0;
        while let Some(key) = self.first_block() {
            if matches!(trim.to, TrimTo::Len(len) if self.len <= len) {
                break;
            }
            let block = self.block(key);
            let entries = block.counts().count as u64;
            if trim.limit != 0 && removed + entries > trim.limit {
                break;
            }
            let whole = match trim.to {
                TrimTo::Len(len) => self.len - entries >= len,
                TrimTo::Id(id) => block.last_id() < id,
            };
            if whole {
                self.remove_block(key);
                self.len -= entries;
                removed += entries;
                continue;
            }
            if !trim.approximate {
                removed += self.trim_block(key, trim.to);
            }
            break;
        }
        if self.len == 0 {
            self.first_id = StreamId::MIN;
        } else if removed > 0 {
            self.first_id = self.first_entry_id().expect("an entry of a stream that is not empty");
        }
        removed
    }

    /// Deletes entries from the beginning of a block.
    fn trim_block(&mut self, key: StreamId, to: TrimTo) -> u64 {
        let len = self.len;
        let master = self.block(key).master();
        let removed = self.edit_block(key, |bytes| {
            let (mut at, mut removed) = (master.entries_at, 0);
            while at < bytes.len() - 1 {
                let block = Block::new(key, bytes);
                let head = block.head(at, &master);
                let stop = match to {
                    TrimTo::Len(max) => len - removed <= max,
                    TrimTo::Id(id) => head.id >= id,
                };
                if stop {
                    break;
                }
                let next = block.after(&head);
                if !head.deleted() {
                    let moved = write::mark_deleted(bytes, at, head.flags);
                    removed += 1;
                    at = next.strict_add_signed(moved);
                } else {
                    at = next;
                }
            }
            let count = removed as i64;
            write::set_counts(bytes, master.count - count, master.deleted + count);
            removed
        });
        self.len -= removed;
        removed
    }
}
