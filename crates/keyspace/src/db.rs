//! One numbered database: its keys, and the list of those that have an expiry.

use crate::capture::Watch;
use crate::dict::Dict;
use crate::entry::{Entry, Links};
use crate::fields::next_due;
use crate::hash::KeyHasher;
use crate::scan::{Scan, cursor_of};
use crate::types::{Key, SlotRange};
use datatypes::hash::Dues;
use datatypes::segments::Upsert;
use stdx::{Slot, UnixMs};

#[derive(Debug)]
pub(crate) struct Db {
    /// Before `dict`: dropped first, since entries must not be freed while they are listed.
    pub(crate) links: Links,
    pub(crate) dict: Dict,
    /// Bytes of the entries and their buffers.
    pub(crate) entry_bytes: usize,
    /// Where in `links` the expire cycle goes on.
    pub(crate) expire_at: usize,
    /// The keys of hashes with fields that expire, by when the next field does: see `fields`.
    pub(crate) field_dues: Dues,
    /// A key was put in since this was last looked at.
    pub(crate) made: bool,
    /// How far an open capture has come.
    pub(crate) watch: Watch,
}

impl Db {
    pub(crate) fn new(range: SlotRange) -> Self {
        Self {
            links: Links::default(),
            dict: Dict::new(range),
            entry_bytes: 0,
            expire_at: 0,
            field_dues: Dues::default(),
            made: false,
            watch: Watch::CLOSED,
        }
    }

    /// Bytes of entries and tables.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.entry_bytes + self.overhead()
    }

    /// Bytes of tables alone.
    #[inline]
    pub(crate) fn overhead(&self) -> usize {
        self.dict.bytes() + self.links.memory() + self.field_dues.memory()
    }

    #[inline]
    pub(crate) fn find(&self, key: Key<'_>, hash: u64) -> Option<&Entry> {
        self.dict.find(key.slot, hash, key.bytes)
    }

    /// Takes a key's entry out of both tables.
    pub(crate) fn remove(&mut self, key: Key<'_>, hash: u64) -> Option<Entry> {
        let mut entry = self.dict.remove(key.slot, hash, key.bytes)?;
        self.links.remove(&mut entry);
        self.entry_bytes -= entry.memory();
        self.move_due(key.bytes, next_due(&entry), None);
        Some(entry)
    }

    /// The next field of the hash at `key` was due at `before`, and now is at `after`.
    #[inline]
    pub(crate) fn move_due(&mut self, key: &[u8], before: Option<UnixMs>, after: Option<UnixMs>) {
        if before != after {
            move_due(&mut self.field_dues, key, before, after);
        }
    }

    /// Changes a key's entry through `change`, or puts in the one that `make` makes for the tag it is given. `change`
    /// is given the count of the entries' bytes, to keep.
    #[inline]
    pub(crate) fn upsert(
        &mut self,
        key: Key<'_>,
        hash: u64,
        hasher: &KeyHasher,
        change: impl FnOnce(&mut Entry, &mut Links, &mut usize),
        make: impl FnOnce(u16) -> Entry,
    ) {
        let both = Both {
            links: &mut self.links,
            field_dues: &mut self.field_dues,
            bytes: &mut self.entry_bytes,
            made: &mut self.made,
            change,
            make,
        };
        self.dict.upsert(key.slot, hash, key.bytes, hasher, both);
    }

    /// Asks for the memory that says what a slot holds.
    #[inline]
    pub(crate) fn prefetch_slot(&self, slot: Slot) {
        self.dict.prefetch_slot(slot);
    }

    /// What is most likely the entry of a key with this hash; its memory beyond the tables is not read.
    #[inline]
    pub(crate) fn peek(&self, slot: Slot, hash: u64) -> Option<&Entry> {
        self.dict.peek(slot, hash)
    }

    /// Changes the entry of a key through `change`; `None` when there is none.
    pub(crate) fn update<R>(
        &mut self,
        key: Key<'_>,
        hash: u64,
        change: impl FnOnce(&mut Entry, &mut Links) -> R,
    ) -> Option<R> {
        let entry = self.dict.find_mut(key.slot, hash, key.bytes)?;
        let before = entry.memory();
        let result = change(entry, &mut self.links);
        self.entry_bytes = self.entry_bytes - before + entry.memory();
        Some(result)
    }

    /// Counts everything anew, checks that it agrees with the counters, and returns the bytes.
    pub(crate) fn audit(&self, hasher: &KeyHasher) -> usize {
        let (mut keys, mut listed, mut entry_bytes) = (0, 0, 0);
        let mut check = |entry: &Entry| {
            keys += 1;
            entry_bytes += entry.memory();
            let found = self.find(Key::new(entry.key()), hasher.hash(entry.key()));
            assert!(
                found.is_some_and(|found| std::ptr::eq(found, entry)),
                "an entry is not where it is looked for"
            );
            assert_eq!(entry.expiry().is_some(), entry.link_index().is_some());
            assert!(!(self.watch.is_closed() && entry.is_odd()), "a capture has left its flag");
            if let Some(index) = entry.link_index() {
                listed += 1;
                assert_eq!(self.links.key(index), entry.key());
            }
            if let Some(at) = next_due(entry).filter(|_| !entry.is_lent()) {
                assert!(self.field_dues.contains(at, entry.key()), "a hash with a field that expires");
            }
        };
        let mut chosen = Vec::new();
        let mut scan = Scan { hasher, budget: usize::MAX, chosen: &mut chosen, visit: &mut check };
        scan.run(&self.dict, cursor_of(Slot::new(self.dict.range().start)));
        assert_eq!((keys, listed), (self.dict.len(), self.links.len()), "keys, and keys with an expiry");
        assert_eq!(entry_bytes, self.entry_bytes, "bytes of entries");
        assert_eq!(self.dict.recount(), self.dict.bytes(), "bytes of tables");
        self.bytes()
    }

    pub(crate) fn into_parts(self) -> (Dict, Links, Dues) {
        (self.dict, self.links, self.field_dues)
    }
}

#[inline(never)]
fn move_due(dues: &mut Dues, key: &[u8], before: Option<UnixMs>, after: Option<UnixMs>) {
    if let Some(at) = before {
        dues.remove(at, key);
    }
    if let Some(at) = after {
        dues.insert(at, key);
    }
}

struct Both<'a, C, M> {
    links: &'a mut Links,
    field_dues: &'a mut Dues,
    bytes: &'a mut usize,
    made: &'a mut bool,
    change: C,
    make: M,
}

impl<C: FnOnce(&mut Entry, &mut Links, &mut usize), M: FnOnce(u16) -> Entry> Upsert<Entry>
    for Both<'_, C, M>
{
    #[inline]
    fn found(self, entry: &mut Entry) {
        (self.change)(entry, self.links, self.bytes);
    }

    #[inline]
    fn missing(self, tag: u16) -> Entry {
        let mut entry = (self.make)(tag);
        if entry.expiry().is_some() {
            self.links.insert(&mut entry);
        }
        if let Some(at) = next_due(&entry) {
            self.field_dues.insert(at, entry.key());
        }
        *self.bytes += entry.memory();
        *self.made = true;
        entry
    }
}
