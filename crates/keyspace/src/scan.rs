//! Walking a database in the order of (slot, hash), a bounded number of keys at a time.
//!
//! A cursor is a slot and the top [`PLACE_BITS`] bits of a hash: everything before that place has been visited. The
//! place of a key never changes, whatever the tables do, so a key that stays is visited exactly once. Keys of the same
//! place are visited together. 14 + 39 bits: clients that keep the cursor in a double lose nothing.

use crate::dict::Dict;
use crate::entry::Entry;
use crate::hash::KeyHasher;
use crate::types::Cursor;
use datatypes::segments::Walk;
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
            let mut walk = Walk {
                hasher: self.hasher,
                place_shift: PLACE_SHIFT,
                budget: self.budget,
                chosen: self.chosen,
                visit: self.visit,
            };
            let stopped = walk.run(segments, from);
            self.budget = walk.budget;
            if let Some(stopped) = stopped {
                return cursor_at(slot, stopped);
            }
            (slot, from) = (slot + 1, 0);
        }
        cursor_at(slot.max(range.end as usize), 0)
    }
}
