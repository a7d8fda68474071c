//! How far the walk of a capture has come in one database, and so which of its entries are captured.
//!
//! The walk goes in the order of (slot, hash), an entry's *place*, which never changes, whatever the tables do. Entries
//! ahead of the walk are not captured yet, those behind it are: that is the rule. The exceptions carry a flag, `ODD`:
//! ahead, what was captured because it was about to change, and what was made after the opening; behind, large values that
//! the walk has passed and that are written later. When the walk passes an entry that is odd, it is odd no more.

use crate::entry::Entry;
use stdx::{DbIndex, SLOTS, Slot};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// Changes of keys of this slot and those above it have to ask: all that changes pay while no capture is open.
    asks_from: u16,
    /// The walk's place: its slot, [`END`] when there is nothing ahead of it.
    slot: u16,
    /// And its hash there.
    hash: u64,
    /// Odd entries behind it.
    passed: u32,
    /// The number of this database when the capture was opened: SWAPDB may have changed it since. [`NONE`] if it was empty.
    pub(super) number: DbIndex,
}

/// Past all slots.
const END: u16 = u16::MAX;
/// No database's number.
const NONE: DbIndex = DbIndex(u16::MAX);
const _: () = assert!(SLOTS < END as usize);

impl Watch {
    /// Of a database that no capture walks.
    pub(crate) const CLOSED: Self = Self { asks_from: END, slot: END, hash: 0, passed: 0, number: NONE };

    /// Everything is ahead.
    pub(super) fn open(number: DbIndex) -> Self {
        Self { asks_from: 0, slot: 0, hash: 0, passed: 0, number }
    }

    /// Whether a key of this slot may have to be captured before it changes.
    #[inline]
    pub(crate) fn asks(&self, slot: Slot) -> bool {
        slot.index() >= self.asks_from as usize
    }

    /// Whether no capture walks it, or ever did.
    pub(crate) fn is_closed(&self) -> bool {
        self.number == NONE
    }

    /// Whether any entry of the database may still have to be captured.
    pub(super) fn is_over(&self) -> bool {
        self.slot == END && self.passed == 0
    }

    /// Where the walk goes on; `None` at its end.
    pub(super) fn place(&self) -> Option<(usize, u64)> {
        (self.slot != END).then_some((self.slot as usize, self.hash))
    }

    /// The walk has come so far; `None` is the end.
    pub(super) fn advance(&mut self, place: Option<(usize, u64)>) {
        let (slot, hash) = place.map_or((END, 0), |(slot, hash)| (slot as u16, hash));
        debug_assert!((slot, hash) >= (self.slot, self.hash), "a walk goes forward");
        (self.slot, self.hash) = (slot, hash);
        self.measure();
    }

    /// A large entry is behind the walk and not captured.
    pub(super) fn pass(&mut self, entry: &Entry) {
        entry.set_odd(true);
        self.passed += 1;
        self.measure();
    }

    /// Nobody has to ask any longer, though there may be odd entries.
    pub(super) fn give_up(&mut self) {
        self.asks_from = END;
        self.passed = 0;
    }

    pub(super) fn is_ahead(&self, slot: Slot, hash: u64) -> bool {
        (slot.index(), hash) >= (self.slot as usize, self.hash)
    }

    /// Whether an entry, of this place, is still to be captured.
    pub(crate) fn is_open(&self, entry: &Entry, slot: Slot, hash: u64) -> bool {
        self.is_ahead(slot, hash) != entry.is_odd()
    }

    /// An entry that was still to be captured is captured.
    pub(super) fn captured(&mut self, entry: &Entry, slot: Slot, hash: u64) {
        let is_ahead = self.is_ahead(slot, hash);
        entry.set_odd(is_ahead);
        if !is_ahead {
            self.passed -= 1;
            self.measure();
        }
    }

    fn measure(&mut self) {
        self.asks_from = if self.passed > 0 { 0 } else { self.slot };
    }
}
