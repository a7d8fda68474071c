//! Fetching the memory of several keys at once, before commands need it one after the other.
//!
//! A lookup reads four places, each of which says where the next one is: the slot, the table's control bytes, the bucket and
//! the entry. For one key the processor waits four times; for the keys of a pipeline the waits overlap.

use crate::keyspace::Keyspace;
use crate::types::Key;
use stdx::{DbIndex, Slot};

/// A key that is being brought near: where it would be.
#[derive(Clone, Copy, Debug)]
pub struct Approached {
    db: DbIndex,
    slot: Slot,
    hash: u64,
}

impl Keyspace {
    /// Brings the entries of `keys` near, those that there are. Changes nothing that can be seen.
    pub fn prefetch<'k>(&self, db: DbIndex, keys: impl Iterator<Item = Key<'k>> + Clone) {
        let Some(db) = self.dbs.get(db.index()).filter(|db| db.entry_bytes > WORTH_IT_BYTES) else { return };
        for key in keys.clone() {
            db.prefetch_slot(key.slot);
        }
        for key in keys {
            if let Some(entry) = db.peek(key.slot, self.hasher.hash(key.bytes)) {
                entry.prefetch();
            }
        }
    }

    /// Brings the elements near that commands name beside the keys of their large hashes and sets, once those keys are near
    /// themselves. False when none of the values is large. Changes nothing that can be seen.
    pub fn prefetch_elements<'k>(
        &self,
        db: DbIndex,
        named: impl Iterator<Item = (Key<'k>, &'k [u8])>,
    ) -> bool {
        let Some(db) = self.dbs.get(db.index()) else { return false };
        let mut has_large = false;
        for (key, element) in named {
            if let Some(entry) = db.peek(key.slot, self.hasher.hash(key.bytes)) {
                has_large |= entry.prefetch_element(element);
            }
        }
        has_large
    }

    /// Both, with one lookup for each key: the keys of some commands, [`TOGETHER_MAX`] at most, and what those commands name
    /// beside them, if anything. False when none of the values of these is large.
    pub fn prefetch_both<'k>(
        &self,
        db: DbIndex,
        named: impl Iterator<Item = (Key<'k>, Option<&'k [u8]>)> + Clone,
    ) -> bool {
        let elements = named.clone().filter_map(|(key, element)| Some((key, element?)));
        let Some(db) = self.dbs.get(db.index()).filter(|db| db.entry_bytes > WORTH_IT_BYTES) else {
            return self.prefetch_elements(db, elements);
        };
        for (key, _) in named.clone() {
            db.prefetch_slot(key.slot);
        }
        let mut found = [None; TOGETHER_MAX];
        for (place, (key, element)) in found.iter_mut().zip(named) {
            if let Some(entry) = db.peek(key.slot, self.hasher.hash(key.bytes)) {
                entry.prefetch();
                *place = element.map(|element| (entry, element));
            }
        }
        let found = found.iter().flatten();
        found.clone().for_each(|(entry, _)| entry.prefetch_large());
        found.fold(false, |has_large, (entry, element)| has_large | entry.prefetch_element(element))
    }

    /// The first half of [`Keyspace::prefetch`], for keys that come one at a time: asks for the first place of a lookup.
    /// `None` when the key is near anyway.
    #[inline]
    pub fn approach(&self, db: DbIndex, key: Key<'_>) -> Option<Approached> {
        let found = self.dbs.get(db.index()).filter(|db| db.entry_bytes > WORTH_IT_BYTES)?;
        found.prefetch_slot(key.slot);
        Some(Approached { db, slot: key.slot, hash: self.hasher.hash(key.bytes) })
    }

    /// The second half, for all of them together: asks for the entries that there are. Changes nothing that can be seen.
    pub fn arrive(&self, approached: &[Approached]) {
        for key in approached {
            if let Some(entry) = self.dbs.get(key.db.index()).and_then(|db| db.peek(key.slot, key.hash)) {
                entry.prefetch();
            }
        }
    }
}

/// Keys of so many commands are fetched together: enough to overlap their waits, few enough to stay in the nearest cache.
pub const TOGETHER_MAX: usize = 32;
/// With fewer bytes than this, values included, a database is in the cache anyway.
const WORTH_IT_BYTES: usize = 256 * 1024;
