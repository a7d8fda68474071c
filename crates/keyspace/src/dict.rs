//! All keys of one database: an array over the shard's slots, each with its segments.
//!
//! The array is allocated with the first key, so a database that is not used costs nothing, and stays when the last
//! key goes.

use crate::entry::Entry;
use crate::hash::{KeyHasher, Random};
use crate::types::SlotRange;
use datatypes::segments::{Segments, Tables, Upsert};
use stdx::Slot;

/// Slots counted together.
const GROUP: usize = 64;

#[derive(Debug)]
pub(crate) struct Dict {
    range: SlotRange,
    /// Empty until the first key.
    slots: Box<[Segments<Entry>]>,
    groups: Box<[Group]>,
    len: usize,
    bytes: usize,
}

/// What is known of 64 neighbouring slots, so that empty ones are skipped and random picks are fair.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    /// Keys in these slots.
    len: usize,
    /// A bit for each slot that holds a key, from the low end.
    occupied: u64,
}

impl Dict {
    pub(crate) fn new(range: SlotRange) -> Self {
        Self { range, slots: Box::default(), groups: Box::default(), len: 0, bytes: 0 }
    }

    pub(crate) fn range(&self) -> SlotRange {
        self.range.clone()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the tables, entries not counted, nor the array of slots: that does not depend on the keys, so that no
    /// eviction could free it.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub(crate) fn find(&self, slot: Slot, hash: u64, key: &[u8]) -> Option<&Entry> {
        self.slots.get(self.index(slot))?.find(hash, key)
    }

    #[inline]
    pub(crate) fn find_mut(&mut self, slot: Slot, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        let index = self.index(slot);
        self.slots.get_mut(index)?.find_mut(hash, key)
    }

    #[inline]
    pub(crate) fn prefetch_slot(&self, slot: Slot) {
        if let Some(segments) = self.slots.get(self.index(slot)) {
            crate::entry::prefetch(segments);
        }
    }

    /// An entry with the tag of `hash` where that would be; its key is not compared.
    #[inline]
    pub(crate) fn peek(&self, slot: Slot, hash: u64) -> Option<&Entry> {
        self.slots.get(self.index(slot))?.peek(hash)
    }

    /// Changes the key's entry or makes one; says whether it was made.
    #[inline]
    pub(crate) fn upsert<U: Upsert<Entry>>(
        &mut self,
        slot: Slot,
        hash: u64,
        key: &[u8],
        hasher: &KeyHasher,
        upsert: U,
    ) -> bool {
        if self.slots.is_empty() {
            self.allocate();
        }
        let index = self.index(slot);
        let mut tables = Tables { hasher, bytes: &mut self.bytes };
        let made = self.slots[index].upsert(hash, 0, key, &mut tables, upsert);
        if made {
            self.len += 1;
            let group = &mut self.groups[index / GROUP];
            group.len += 1;
            group.occupied |= 1 << (index % GROUP);
        }
        made
    }

    pub(crate) fn remove(&mut self, slot: Slot, hash: u64, key: &[u8]) -> Option<Entry> {
        let index = self.index(slot);
        let segments = self.slots.get_mut(index)?;
        let entry = segments.remove(hash, key, &mut self.bytes)?;
        self.len -= 1;
        let group = &mut self.groups[index / GROUP];
        group.len -= 1;
        if segments.is_empty() {
            group.occupied &= !(1 << (index % GROUP));
        }
        Some(entry)
    }

    /// The segments of a slot, `None` when the slot is not of this shard or the database has never held a key.
    pub(crate) fn segments(&self, slot: usize) -> Option<&Segments<Entry>> {
        self.slots.get(slot.wrapping_sub(self.range.start as usize))
    }

    /// The first slot from `slot` on that holds a key.
    pub(crate) fn next_occupied(&self, slot: usize) -> Option<usize> {
        let start = slot.saturating_sub(self.range.start as usize);
        let (first, shift) = (start / GROUP, start % GROUP);
        self.groups.iter().enumerate().skip(first).find_map(|(number, group)| {
            let mask = if number == first { u64::MAX << shift } else { u64::MAX };
            let found = group.occupied & mask;
            let index = number * GROUP + found.trailing_zeros() as usize;
            (found != 0).then_some(self.range.start as usize + index)
        })
    }

    /// A random key, all equally likely.
    pub(crate) fn random(&self, random: &mut Random) -> Option<&Entry> {
        self.slots[self.random_slot(random)?].random(|bound| random.below(bound))
    }

    /// Up to `count` keys for eviction to choose from: neighbours by hash of a random place, which is as good as
    /// random and costs one search.
    pub(crate) fn sample(&self, count: usize, random: &mut Random, visit: &mut dyn FnMut(&Entry)) {
        let Some(start) = self.random_slot(random) else { return };
        let mut left = count.min(self.len);
        let slots = self.slots.len();
        for index in (start..slots).chain(0..start) {
            if left == 0 {
                return;
            }
            if self.groups[index / GROUP].occupied & 1 << (index % GROUP) != 0 {
                self.slots[index].sample(&mut left, &mut |bound| random.below(bound), visit);
            }
        }
    }

    /// The slot array, to be freed elsewhere.
    pub(crate) fn into_slots(mut self) -> Vec<Segments<Entry>> {
        std::mem::take(&mut self.slots).into_vec()
    }

    #[inline]
    fn index(&self, slot: Slot) -> usize {
        slot.index().wrapping_sub(self.range.start as usize)
    }

    #[cold]
    fn allocate(&mut self) {
        let slots = self.range.len();
        self.slots = (0..slots).map(|_| Segments::new()).collect();
        self.groups = vec![Group::default(); slots.div_ceil(GROUP)].into();
    }

    /// A random slot, each as likely as it holds keys.
    fn random_slot(&self, random: &mut Random) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let mut skip = random.below(self.len);
        let number = self.groups.iter().position(|group| {
            let here = skip < group.len;
            skip -= if here { 0 } else { group.len };
            here
        })?;
        let slots = &self.slots[number * GROUP..];
        let within = slots.iter().position(|segments| {
            let here = skip < segments.len();
            skip -= if here { 0 } else { segments.len() };
            here
        })?;
        Some(number * GROUP + within)
    }

    /// The bytes of the tables, counted by walking: what [`Dict::bytes`] must be.
    pub(crate) fn recount(&self) -> usize {
        self.slots.iter().map(Segments::recount).sum()
    }
}
