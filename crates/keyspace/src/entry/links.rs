//! The entries of one database that have an expiry: a dense list, in chunks so that it grows without copying.
//!
//! Each entry knows its index, so adding and removing are O(1) without hashing, and walking or sampling is reading an
//! array. Type invariant: each pointer here is that of a live entry whose index is this place. An entry asserts when
//! it is freed that it is not listed, and moving one needs its list.

use super::Entry;
use super::block::{Block, UNLINKED};
use std::ptr::NonNull;
use stdx::UnixMs;
use stdx::size::good_size;

/// How many pointers a chunk holds.
const CHUNK: usize = 512;

type Chunk = Box<[Option<Block>; CHUNK]>;

#[derive(Debug, Default)]
pub(crate) struct Links {
    chunks: Vec<Chunk>,
    len: usize,
    bytes: usize,
}

// SAFETY: the list moves between threads only together with the entries it points to, as a whole keyspace.
unsafe impl Send for Links {}

impl Links {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that the list takes.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        self.bytes
    }

    /// Lists an entry that has an expiry.
    pub(crate) fn insert(&mut self, entry: &mut Entry) {
        let block = entry.block();
        assert!(block.index() == UNLINKED && self.len < UNLINKED as usize);
        if self.len == self.chunks.len() * CHUNK {
            self.chunks.push(Box::new([None; CHUNK]));
            self.measure();
        }
        block.set_index(self.len as u32);
        *self.place(self.len) = Some(block);
        self.len += 1;
    }

    /// Takes an entry out, if it is listed at all; the last one takes its place.
    pub(crate) fn remove(&mut self, entry: &mut Entry) {
        let block = entry.block();
        let index = block.index();
        if index == UNLINKED {
            return;
        }
        let index = index as usize;
        assert!(*self.place(index) == Some(block), "an entry is removed from another list than its own");
        self.len -= 1;
        let last = self.place(self.len).take();
        if index != self.len {
            last.expect("places below the length are taken").set_index(index as u32);
            *self.place(index) = last;
        }
        block.set_index(UNLINKED);
        self.trim();
    }

    /// An entry has moved from `old` to `new`, both still alive.
    pub(super) fn moved(&mut self, old: Block, new: Block) {
        let index = old.index();
        assert!(*self.place(index as usize) == Some(old), "an entry moves that is not in this list");
        *self.place(index as usize) = Some(new);
        new.set_index(index);
        old.set_index(UNLINKED);
    }

    /// When entry number `index` expires.
    pub(crate) fn expiry(&self, index: usize) -> UnixMs {
        self.get(index).expiry().expect("a listed entry has an expiry")
    }

    /// The key of entry number `index`.
    pub(crate) fn key(&self, index: usize) -> &[u8] {
        // The borrow of the list keeps the entry alive: freeing or moving it needs the list mutably.
        self.get(index).key()
    }

    /// The access clock of entry number `index`.
    pub(crate) fn clock(&self, index: usize) -> u32 {
        self.get(index).header().clock()
    }

    /// Whether entry number `index` is lent.
    pub(crate) fn is_lent(&self, index: usize) -> bool {
        self.get(index).header().has(super::LENT)
    }

    /// Asks the processor for entry number `index`.
    pub(crate) fn prefetch(&self, index: usize) {
        self.get(index).prefetch();
    }

    /// Takes up to `count` entries off the end of the list; true while there are more.
    pub(crate) fn release(&mut self, count: usize) -> bool {
        for _ in 0..count.min(self.len) {
            self.len -= 1;
            self.place(self.len).take().expect("places below the length are taken").set_index(UNLINKED);
        }
        self.trim();
        self.len > 0
    }

    fn get(&self, index: usize) -> Block {
        self.chunks[index / CHUNK][index % CHUNK].expect("an index below the list's length")
    }

    fn place(&mut self, index: usize) -> &mut Option<Block> {
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }

    /// Frees chunks past the last but one, so that a list that wavers at a boundary does not allocate each time.
    fn trim(&mut self) {
        let keep = if self.len == 0 { 0 } else { self.len.div_ceil(CHUNK) + 1 };
        if self.chunks.len() <= keep {
            return;
        }
        self.chunks.truncate(keep);
        if keep == 0 {
            self.chunks = Vec::new();
        }
        self.measure();
    }

    fn measure(&mut self) {
        let own = self.chunks.capacity() * size_of::<Chunk>();
        self.bytes = self.chunks.len() * good_size(size_of::<[Option<Block>; CHUNK]>())
            + if own == 0 { 0 } else { good_size(own) };
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.release(usize::MAX);
    }
}

const _: () = assert!(size_of::<Option<Block>>() == size_of::<NonNull<u8>>());
