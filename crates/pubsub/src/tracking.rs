//! Which clients have read which keys of one shard (CLIENT TRACKING), so that they can be told when a key changes.
//!
//! A key is remembered until it changes, or until there are too many; then whoever has read it is told, and it is
//! forgotten. Clients that have gone stay until then: looking for them would cost more than telling nobody.
//!
//! There may be a million keys and more. So they stand in [`SEGMENTS`] tables, none of which takes long to grow, and what is
//! forgotten at once ([`Tracking::clear`]) is freed piece by piece.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use stdx::{ClientId, ShardId};

/// A client that has read a key, on whichever core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// Its id, which tells whether it is still the one at its place.
    pub id: ClientId,
    /// Where it is connected.
    pub home: ShardId,
    /// Its place in its core's table of clients.
    pub slot: u32,
}

/// Keys and their readers.
#[derive(Debug)]
pub struct Tracking {
    /// None before the first key.
    segments: Vec<Segment>,
    /// What [`Tracking::clear`] has left to be freed.
    cleared: Vec<Segment>,
    hasher: FixedState,
    len: usize,
    items: u64,
}

#[derive(Debug, Default)]
struct Segment {
    places: HashTable<u32>,
    /// Without gaps, so that any of them is as likely to be drawn.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: Box<[u8]>,
    /// In ascending order.
    readers: Vec<Reader>,
}

impl Tracking {
    /// Without keys. `seed` is secret, as for [`crate::PubSub::new`].
    pub fn new(seed: u64) -> Self {
        Self {
            segments: Vec::new(),
            cleared: Vec::new(),
            hasher: FixedState::with_seed(seed),
            len: 0,
            items: 0,
        }
    }

    /// A client has read a key.
    pub fn remember(&mut self, key: &[u8], reader: Reader) {
        if self.segments.is_empty() {
            self.segments.resize_with(SEGMENTS, Segment::default);
        }
        let hash = self.hasher.hash_one(key);
        let segment = &mut self.segments[segment_of(hash)];
        match segment.find(hash, key) {
            None => {
                segment.insert(&self.hasher, hash, Entry { key: key.into(), readers: vec![reader] });
                self.len += 1;
                self.items += 1;
            }
            Some(place) => {
                let readers = &mut segment.entries[place as usize].readers;
                if let Err(at) = readers.binary_search(&reader) {
                    readers.insert(at, reader);
                    self.items += 1;
                }
            }
        }
    }

    /// Whether somebody has read a key.
    pub fn has(&self, key: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let hash = self.hasher.hash_one(key);
        self.segments[segment_of(hash)].find(hash, key).is_some()
    }

    /// The key has changed: whoever has read it, once.
    pub fn forget(&mut self, key: &[u8]) -> Vec<Reader> {
        if self.is_empty() {
            return Vec::new();
        }
        let hash = self.hasher.hash_one(key);
        let segment = segment_of(hash);
        let place = self.segments[segment].find(hash, key);
        place.map_or_else(Vec::new, |place| self.remove(segment, place).readers)
    }

    /// Forgets a key that `random` draws: it, and its readers.
    pub fn evict(&mut self, random: u64) -> Option<(Box<[u8]>, Vec<Reader>)> {
        if self.is_empty() {
            return None;
        }
        let first = segment_of(random);
        let mut order = (first..SEGMENTS).chain(0..first);
        let segment = order.find(|&at| !self.segments[at].entries.is_empty()).expect("there is a key");
        let place = random as u32 as usize % self.segments[segment].entries.len();
        let Entry { key, readers } = self.remove(segment, place as u32);
        Some((key, readers))
    }

    /// Forgets all keys, at once; their memory is freed by [`Tracking::reclaim`].
    pub fn clear(&mut self) {
        self.cleared.append(&mut self.segments);
        (self.len, self.items) = (0, 0);
    }

    /// Frees a piece of what is left to be freed. False when nothing is.
    pub fn reclaim(&mut self) -> bool {
        self.cleared.pop().is_some()
    }

    /// How many keys are remembered.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many readers all keys have together.
    pub fn items(&self) -> u64 {
        self.items
    }

    fn remove(&mut self, segment: usize, place: u32) -> Entry {
        let entry = self.segments[segment].remove(&self.hasher, place);
        self.len -= 1;
        self.items -= entry.readers.len() as u64;
        entry
    }
}

impl Segment {
    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.places.find(hash, |&place| *self.entries[place as usize].key == *key).copied()
    }

    fn insert(&mut self, hasher: &FixedState, hash: u64, entry: Entry) {
        let place = self.entries.len() as u32;
        self.entries.push(entry);
        let entries = &self.entries;
        self.places.insert_unique(hash, place, |&place| hasher.hash_one(&*entries[place as usize].key));
    }

    fn remove(&mut self, hasher: &FixedState, place: u32) -> Entry {
        let hash = hasher.hash_one(&*self.entries[place as usize].key);
        let found = self.places.find_entry(hash, |&other| other == place);
        found.expect("every entry has its place").remove();
        let last = self.entries.len() as u32 - 1;
        if last != place {
            let hash = hasher.hash_one(&*self.entries[last as usize].key);
            let moved = self.places.find_mut(hash, |&other| other == last);
            *moved.expect("every entry has its place") = place;
        }
        let entry = self.entries.swap_remove(place as usize);
        if self.entries.is_empty() {
            *self = Self::default();
        }
        entry
    }
}

/// The tables look at the lower bits and the highest seven.
fn segment_of(hash: u64) -> usize {
    (hash >> SEGMENT_SHIFT) as usize % SEGMENTS
}

/// How many tables the keys stand in: of a million keys, two thousand in each.
const SEGMENTS: usize = 512;
const SEGMENT_SHIFT: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn reader(number: u64) -> Reader {
        Reader { id: ClientId(number), home: ShardId(0), slot: number as u32 }
    }

    #[test]
    fn what_is_cleared_is_freed_in_pieces() {
        let mut tracking = Tracking::new(7);
        tracking.remember(b"k", reader(1));
        tracking.clear();
        assert!(tracking.is_empty() && tracking.forget(b"k").is_empty());
        let pieces = std::iter::from_fn(|| tracking.reclaim().then_some(())).count();
        assert_eq!(pieces, SEGMENTS);
        tracking.remember(b"k", reader(2));
        assert_eq!(tracking.forget(b"k"), [reader(2)]);
    }

    #[test]
    fn every_key_is_drawn_sooner_or_later() {
        let mut tracking = Tracking::new(7);
        let keys: BTreeSet<Vec<u8>> = (0..2000).map(|number| format!("key:{number}").into_bytes()).collect();
        keys.iter().for_each(|key| tracking.remember(key, reader(1)));
        let mut random = 1u64;
        let evicted = std::iter::from_fn(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            tracking.evict(random).map(|(key, _)| key.into_vec())
        });
        assert_eq!(evicted.collect::<BTreeSet<_>>(), keys);
    }

    proptest! {
        /// Against a map of sets.
        #[test]
        fn keys_are_remembered_until_they_change(
            steps in prop::collection::vec((0..6u8, 0..8u8, any::<u64>()), 1..200),
        ) {
            let mut tracking = Tracking::new(7);
            let mut model: BTreeMap<Vec<u8>, BTreeSet<u64>> = BTreeMap::new();
            for (what, key, number) in steps {
                let key = vec![b'k', key];
                prop_assert_eq!(tracking.has(&key), model.contains_key(&key));
                match what {
                    0..4 => {
                        tracking.remember(&key, reader(number % 5));
                        model.entry(key).or_default().insert(number % 5);
                    }
                    4 => {
                        let ids: BTreeSet<u64> = tracking.forget(&key).iter().map(|one| one.id.0).collect();
                        prop_assert_eq!(ids, model.remove(&key).unwrap_or_default());
                    }
                    _ => {
                        let evicted = tracking.evict(number);
                        prop_assert_eq!(evicted.is_none(), model.is_empty());
                        if let Some((key, readers)) = evicted {
                            let ids: BTreeSet<u64> = readers.iter().map(|one| one.id.0).collect();
                            prop_assert_eq!(Some(ids), model.remove(&key.into_vec()));
                        }
                    }
                }
                prop_assert_eq!(tracking.len(), model.len());
                prop_assert_eq!(tracking.items(), model.values().map(|ids| ids.len() as u64).sum::<u64>());
            }
        }
    }
}
