//! Walking a database in the order of (slot, hash), a bounded number of keys at a time.
//!
//! A cursor is a slot and the top [`PLACE_BITS`] bits of a hash: everything before that place has been visited. The
//! place of a key never changes, whatever the tables do, so a key that stays is visited exactly once. Keys of the same
//! place are visited together. 14 + 39 bits: clients that keep the cursor in a double lose nothing.

use crate::dict::Dict;
use crate::entry::Entry;
use crate::hash::KeyHasher;
use crate::segments::{BRANCH_BITS, Segments};
use crate::types::Cursor;
use hashbrown::HashTable;
use stdx::{SLOTS, Slot};

/// Bits of a cursor that say where in the slot.
const PLACE_BITS: u32 = 39;
/// From a place to a hash.
const PLACE_SHIFT: u32 = u64::BITS - PLACE_BITS;

const _: () = assert!(PLACE_BITS + SLOTS.ilog2() == 53);

/// The slot that a cursor stands in. Any number that a client makes up is some cursor.
pub(crate) fn slot_of(cursor: Cursor) -> Slot {
    Slot::new((cursor >> PLACE_BITS) as u16 & (SLOTS as u16 - 1))
}

/// The cursor of a slot's first place.
pub(crate) fn cursor_of(slot: Slot) -> Cursor {
    cursor_at(slot.index(), 0)
}

/// The cursor of a place: the hash's bits below the place are not kept, and are 0.
fn cursor_at(slot: usize, hash: u64) -> Cursor {
    if slot == SLOTS { 0 } else { (slot as u64) << PLACE_BITS | hash >> PLACE_SHIFT }
}

/// A walk in progress.
pub(crate) struct Scan<'a> {
    pub(crate) hasher: &'a KeyHasher,
    /// Keys still to visit in this call, more or less.
    pub(crate) budget: usize,
    /// Room to choose a segment's next keys in.
    pub(crate) chosen: &'a mut Vec<u64>,
    pub(crate) visit: &'a mut dyn FnMut(&Entry),
}

impl Scan<'_> {
    /// Visits keys from `cursor` on and returns where to go on.
    pub(crate) fn run(&mut self, dict: &Dict, cursor: Cursor) -> Cursor {
        let range = dict.range();
        let mut slot = slot_of(cursor).index();
        let mut from = cursor << PLACE_SHIFT;
        if slot < range.start as usize {
            (slot, from) = (range.start as usize, 0);
        }
        while let Some(next) = dict.next_occupied(slot) {
            if next != slot {
                (slot, from) = (next, 0);
            }
            if self.budget == 0 {
                return cursor_at(slot, from);
            }
            let segments = dict.segments(slot).expect("an occupied slot is there");
            if let Some(stopped) = self.walk(segments, 0, 0, from) {
                return cursor_at(slot, stopped);
            }
            (slot, from) = (slot + 1, 0);
        }
        cursor_at(slot.max(range.end as usize), 0)
    }

    /// Visits the keys of `segments`, whose hashes begin with `path`, from hash `from` on. Returns the hash to go on
    /// from, or `None` when it came to the end.
    fn walk(&mut self, segments: &Segments, depth: u32, path: u64, from: u64) -> Option<u64> {
        let branch = match segments {
            Segments::One(table) => return self.walk_one(table, depth, path, from),
            Segments::Many(branch) => branch,
        };
        let shift = u64::BITS - BRANCH_BITS * (depth + 1);
        let first = (from.max(path) - path) >> shift;
        (first..branch.children.len() as u64).find_map(|number| {
            let child_path = path | number << shift;
            self.walk(&branch.children[number as usize], depth + 1, child_path, from.max(child_path))
        })
    }

    fn walk_one(&mut self, table: &HashTable<Entry>, depth: u32, path: u64, from: u64) -> Option<u64> {
        if self.budget == 0 {
            return Some(from);
        }
        // A tag tells the hash up to `width`: of those that `from` falls amid, the keys tell the rest.
        let shift = u64::BITS - u16::BITS - BRANCH_BITS * depth;
        let width = 1 << shift;
        let known = |entry: &Entry| path | u64::from(entry.tag()) << shift;
        self.chosen.clear();
        for (bucket, entry) in table.iter_buckets().map(|bucket| (bucket, table.get_bucket(bucket))) {
            let entry = entry.expect("an occupied bucket");
            let least = known(entry);
            if least >= from || (least + (width - 1) >= from && self.hasher.hash(entry.key()) >= from) {
                self.chosen.push(u64::from(entry.tag()) << 32 | bucket as u64);
            }
        }
        let mut stop = None;
        if self.chosen.len() > self.budget {
            // Only now does the order matter: the keys before some place, all keys of that place together.
            let (_, last, _) = self.chosen.select_nth_unstable(self.budget - 1);
            let step = width.max(1 << PLACE_SHIFT);
            let group = (path | (*last >> 32) << shift) & !(step - 1);
            stop = group.checked_add(step);
            let end = group + (step - 1);
            self.chosen.retain(|chosen| path | (chosen >> 32) << shift <= end);
        }
        self.budget = self.budget.saturating_sub(self.chosen.len());
        for chosen in self.chosen.iter() {
            (self.visit)(table.get_bucket(*chosen as u32 as usize).expect("an occupied bucket"));
        }
        stop
    }
}
