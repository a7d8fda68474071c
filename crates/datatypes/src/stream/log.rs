//! The entries of a stream: blocks in the order of their ids.
//!
//! The last block grows; it stands apart, so that adding an entry looks nothing up. The others are as long as their
//! bytes. Where a block ends, and so what approximate trimming removes, is decided exactly as Redis does it.

use super::block::{self, BadBlock, Block, Head, Master};
use super::range::{Backward, Forward};
use super::{StreamId, radix, write};
use crate::Limits;
use std::collections::BTreeMap;
use stdx::Args;
use stdx::size::good_size;

/// Blocks of entries, and what is known of entries that are no longer there.
#[derive(Clone, Debug)]
pub struct Log {
    pub(super) closed: BTreeMap<StreamId, Box<[u8]>>,
    pub(super) tail_id: StreamId,
    /// Empty when there is no block.
    pub(super) tail: Vec<u8>,
    pub(super) len: u64,
    pub(super) first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    bytes: usize,
    nodes: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            closed: BTreeMap::new(),
            tail_id: StreamId::MIN,
            tail: Vec::new(),
            len: 0,
            first_id: StreamId::MIN,
            last_id: StreamId::MIN,
            max_deleted_id: StreamId::MIN,
            entries_added: 0,
            bytes: 0,
            nodes: radix::EMPTY,
        }
    }
}

/// Why an entry was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Its id is not greater than the last one.
    NotGreater,
    /// Its fields and values have more than 1 GiB.
    TooLarge,
}

impl Log {
    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the first entry, 0-0 when there is none: as remembered, not as found.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The greatest id that was ever given out.
    #[inline]
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest id that was deleted by itself, not trimmed; 0-0 for none.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// How many blocks there are: keys of Redis's radix tree.
    pub fn block_count(&self) -> usize {
        self.closed.len() + usize::from(!self.tail.is_empty())
    }

    /// How many nodes Redis's radix tree of these blocks has.
    pub fn radix_nodes(&self) -> u64 {
        self.nodes
    }

    /// Bytes of memory, in whole blocks of the allocator; the index by its usual share for each block.
    pub(super) fn memory(&self) -> usize {
        self.bytes
    }

    /// Entries from `start` to `end`, both included, that are not deleted.
    pub fn range(&self, start: StreamId, end: StreamId) -> Forward<'_> {
        Forward::new(self, start, end, false)
    }

    /// The same from `end` back to `start`.
    pub fn range_backward(&self, start: StreamId, end: StreamId) -> Backward<'_> {
        Backward::new(self, start, end)
    }

    /// Whether there is an entry of this id.
    pub fn contains(&self, id: StreamId) -> bool {
        self.range(id, id).next().is_some()
    }

    /// The id of the first entry that is there.
    pub fn first_entry_id(&self) -> Option<StreamId> {
        self.range(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// The id of the first entry whose bytes are there, deleted or not.
    pub fn first_kept_id(&self) -> Option<StreamId> {
        Forward::new(self, StreamId::MIN, StreamId::MAX, true).next().map(|entry| entry.id)
    }

    /// The id of the last entry that is there.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.range_backward(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// The blocks in order, each with its id: what an RDB file holds.
    pub fn blocks(&self) -> impl Iterator<Item = (StreamId, &[u8])> {
        self.blocks_from(StreamId::MIN)
    }

    /// The blocks from the one of this id on.
    pub fn blocks_from(&self, id: StreamId) -> impl Iterator<Item = (StreamId, &[u8])> {
        let tail = (!self.tail.is_empty() && self.tail_id >= id).then_some((self.tail_id, &self.tail[..]));
        self.closed.range(id..).map(|(id, bytes)| (*id, &bytes[..])).chain(tail)
    }

    /// Adds an entry; `pairs` are its fields and values in turn. Errors: nothing was changed.
    pub fn append(&mut self, id: StreamId, pairs: Args<'_>, limits: &Limits) -> Result<(), AppendError> {
        if id <= self.last_id {
            return Err(AppendError::NotGreater);
        }
        let size: usize = pairs.iter().map(<[u8]>::len).sum();
        if size > BLOCK_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        let before = vec_bytes(&self.tail);
        match self.open_master(size, limits) {
            Some(master) => {
                write::append(&mut self.tail, self.tail_id, &master, id, pairs);
                self.bytes = self.bytes - before + vec_bytes(&self.tail);
            }
            None => self.open_block(id, write::new_block(pairs)),
        }
        self.len += 1;
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// What the last block's master entry says, if an entry of `size` bytes goes into that block.
    #[inline]
    fn open_master(&self, size: usize, limits: &Limits) -> Option<Master> {
        if self.tail.is_empty() {
            return None;
        }
        let bytes_max = match limits.stream_node_max_bytes {
            0 => BLOCK_BYTES_MAX,
            bytes => bytes.min(BLOCK_BYTES_MAX),
        };
        if self.tail.len() + size >= bytes_max {
            return None;
        }
        let master = Block::new(self.tail_id, &self.tail).counts();
        let entries_max = limits.stream_node_max_entries as i64;
        (entries_max == 0 || master.count + master.deleted < entries_max).then_some(master)
    }

    /// Closes the last block and begins another.
    fn open_block(&mut self, id: StreamId, bytes: Vec<u8>) {
        let nodes = radix::added(self, id);
        if !self.tail.is_empty() {
            let closed = std::mem::take(&mut self.tail);
            self.bytes = self.bytes - vec_bytes(&closed) + good_size(closed.len()) + INDEX_BYTES;
            self.closed.insert(self.tail_id, exact(closed));
        }
        self.nodes += nodes;
        self.bytes += vec_bytes(&bytes);
        (self.tail_id, self.tail) = (id, bytes);
    }

    /// Deletes the entry of this id, and says whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some(key) = radix::Keys::at_or_below(self, id) else { return false };
        let block = self.block(key);
        let master = block.master();
        let Some((at, head)) = find(&block, &master, id) else { return false };
        if master.count <= 1 {
            self.remove_block(key);
        } else {
            self.edit_block(key, |bytes| {
                write::mark_deleted(bytes, at, head.flags);
                write::set_counts(bytes, master.count - 1, master.deleted + 1);
            });
        }
        self.len -= 1;
        true
    }

    /// Remembers that entries were deleted by their ids: the greatest of them, and whether the first entry is another now.
    pub fn note_deleted(&mut self, greatest: StreamId, first_gone: bool) {
        self.max_deleted_id = self.max_deleted_id.max(greatest);
        if self.len == 0 {
            self.first_id = StreamId::MIN;
        } else if first_gone {
            self.first_id = self.first_entry_id().expect("an entry of a stream that is not empty");
        }
    }

    /// Sets what XSETID sets.
    pub fn set_last_id(
        &mut self,
        last_id: StreamId,
        entries_added: Option<u64>,
        max_deleted_id: Option<StreamId>,
    ) {
        self.last_id = last_id;
        self.entries_added = entries_added.unwrap_or(self.entries_added);
        self.max_deleted_id = max_deleted_id.unwrap_or(self.max_deleted_id);
    }

    /// Whether an entry from `start` on may have been deleted, which makes counting from ids impossible.
    pub(super) fn has_gap_from(&self, start: StreamId) -> bool {
        self.len > 0
            && self.max_deleted_id != StreamId::MIN
            && self.first_id <= self.max_deleted_id
            && start <= self.max_deleted_id
    }

    /// How many entries had been added when `id` was the last, where that can be told.
    pub fn reads_until(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if (self.len == 0 && id <= self.last_id) || id == self.last_id {
            return Some(self.entries_added);
        }
        if id > self.last_id {
            return None;
        }
        if self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id {
            let before_first = self.entries_added.wrapping_sub(self.len);
            match id.cmp(&self.first_id) {
                std::cmp::Ordering::Less => return Some(before_first),
                std::cmp::Ordering::Equal => return Some(before_first.wrapping_add(1)),
                std::cmp::Ordering::Greater => {}
            }
        }
        None
    }

    /// Appends a block that was read from elsewhere and is not trusted. [`Log::restored`] ends a row of these.
    pub fn restore_block(&mut self, id: StreamId, bytes: Vec<u8>) -> Result<(), BadBlock> {
        let (count, _) = block::check(id, &bytes)?;
        if !self.tail.is_empty() && id <= Block::new(self.tail_id, &self.tail).last_id() {
            return Err(BadBlock::Order);
        }
        self.open_block(id, bytes);
        self.len += count;
        Ok(())
    }

    /// Ends reading: what is known besides the blocks. False if it does not agree with them. `first_id` and `entries_added`
    /// are not known to old files: then they follow from the blocks.
    pub fn restored(&mut self, restored: &Restored) -> bool {
        self.tail = exact(std::mem::take(&mut self.tail)).into_vec();
        self.bytes = self.closed.values().map(|bytes| good_size(bytes.len()) + INDEX_BYTES).sum::<usize>()
            + vec_bytes(&self.tail);
        self.first_id = restored.first_id.or_else(|| self.first_entry_id()).unwrap_or(StreamId::MIN);
        self.last_id = restored.last_id;
        self.max_deleted_id = restored.max_deleted_id;
        self.entries_added = restored.entries_added.unwrap_or(self.len);
        self.len == restored.len && self.last_entry_id().is_none_or(|id| id <= self.last_id)
    }

    /// Frees one block; false if there is none.
    pub(super) fn free_block(&mut self) -> bool {
        self.closed.pop_first().is_some() || !std::mem::take(&mut self.tail).is_empty()
    }

    pub(super) fn first_block(&self) -> Option<StreamId> {
        match self.closed.first_key_value() {
            Some((id, _)) => Some(*id),
            None => (!self.tail.is_empty()).then_some(self.tail_id),
        }
    }

    pub(super) fn block(&self, key: StreamId) -> Block<'_> {
        if key == self.tail_id && !self.tail.is_empty() {
            return Block::new(key, &self.tail);
        }
        Block::new(key, &self.closed[&key])
    }

    pub(super) fn edit_block<R>(&mut self, key: StreamId, edit: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        if key == self.tail_id {
            let before = vec_bytes(&self.tail);
            let result = edit(&mut self.tail);
            self.bytes = self.bytes - before + vec_bytes(&self.tail);
            return result;
        }
        let place = self.closed.get_mut(&key).expect("a block that was just found");
        let mut bytes = std::mem::take(place).into_vec();
        let before = good_size(bytes.len());
        let result = edit(&mut bytes);
        *place = exact(bytes);
        self.bytes = self.bytes - before + good_size(place.len());
        result
    }

    /// Takes a block out; when it was the last, the one before it is the last again.
    pub(super) fn remove_block(&mut self, key: StreamId) {
        if key == self.tail_id {
            self.bytes -= vec_bytes(&self.tail);
            let (id, tail) = self.closed.pop_last().unwrap_or_default();
            if !tail.is_empty() {
                self.bytes -= INDEX_BYTES;
            }
            (self.tail_id, self.tail) = (id, tail.into_vec());
        } else if let Some(bytes) = self.closed.remove(&key) {
            self.bytes -= good_size(bytes.len()) + INDEX_BYTES;
        }
        self.nodes -= radix::added(self, key);
    }
}

impl radix::Keys for Log {
    fn at_or_below(&self, id: StreamId) -> Option<StreamId> {
        if !self.tail.is_empty() && self.tail_id <= id {
            return Some(self.tail_id);
        }
        self.closed.range(..=id).next_back().map(|(key, _)| *key)
    }

    fn at_or_above(&self, id: StreamId) -> Option<StreamId> {
        let tail = (!self.tail.is_empty() && id <= self.tail_id).then_some(self.tail_id);
        self.closed.range(id..).next().map(|(key, _)| *key).or(tail)
    }
}

/// What an RDB file says of a stream besides its blocks.
#[derive(Clone, Copy, Debug)]
pub struct Restored {
    /// How many entries there are.
    pub len: u64,
    /// The first one's id.
    pub first_id: Option<StreamId>,
    /// The last id given out.
    pub last_id: StreamId,
    /// The greatest id deleted.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub entries_added: Option<u64>,
}

/// The entry of this id, if it is not deleted.
fn find(block: &Block<'_>, master: &Master, id: StreamId) -> Option<(usize, Head)> {
    let mut at = master.entries_at;
    while at < block.listpack.end() {
        let head = block.head(at, master);
        if head.id >= id {
            return (head.id == id && !head.deleted()).then_some((at, head));
        }
        at = block.after(&head);
    }
    None
}

/// The bytes in a block of the allocator of their size. To shrink one is not enough: the allocator leaves it as it is.
fn exact(bytes: Vec<u8>) -> Box<[u8]> {
    if good_size(bytes.len()) < good_size(bytes.capacity()) {
        bytes[..].into()
    } else {
        bytes.into_boxed_slice()
    }
}

/// Bytes of memory behind a vector.
#[inline]
fn vec_bytes(bytes: &Vec<u8>) -> usize {
    if bytes.capacity() == 0 { 0 } else { good_size(bytes.capacity()) }
}

/// No block, and no entry, may be larger.
const BLOCK_BYTES_MAX: usize = 1 << 30;
/// A closed block's share of the index: its 32 bytes in a leaf of eleven that is filled to seven, and of the nodes above.
const INDEX_BYTES: usize = 64;
