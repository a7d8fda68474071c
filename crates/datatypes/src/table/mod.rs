//! A hash table of any size whose elements are one word each, and which never moves many of them at once.
//!
//! What large sets, hashes and sorted sets keep their elements in. An element is an owned pointer with a tag of its
//! hash in the upper bits: see [`item`](crate::item). Elements are found by their key's bytes; no two have the same.

mod hash;
mod iter;
mod place;

pub use crate::segments::Item;
pub use hash::{hash, set_seed};
pub use iter::Iter;
pub use place::Place;

use crate::segments::{self, Hashes, Segments, Tables, Upsert, Walk};
use std::ops::{Deref, DerefMut};
use stdx::Rng;

/// A set of elements, each with a key of its own.
#[derive(Clone, Debug)]
pub struct Table<T> {
    segments: Segments<T>,
    /// Bytes of segments and elements.
    bytes: usize,
}

impl<T: Item> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Item> Table<T> {
    /// An empty table, which takes no memory.
    pub const fn new() -> Self {
        Self { segments: Segments::new(), bytes: 0 }
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that the table and its elements take beyond the table's own `size_of`.
    #[inline]
    pub fn memory(&self) -> usize {
        self.bytes
    }

    /// The element with this key.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<&T> {
        self.find_hashed(hash(key), key)
    }

    /// As [`Table::find`], for a key that is looked up in several tables: `hashed` is its [`hash`].
    #[inline]
    pub fn find_hashed(&self, hashed: u64, key: &[u8]) -> Option<&T> {
        self.segments.find(hashed, key)
    }

    /// Fetches the element with this key into the cache, for it will be looked for soon.
    #[inline]
    pub fn prefetch(&self, key: &[u8]) {
        if let Some(item) = self.segments.peek(hash(key)) {
            item.prefetch();
        }
    }

    /// The element with this key, to be changed.
    #[inline]
    pub fn find_mut(&mut self, key: &[u8]) -> Option<ItemMut<'_, T>> {
        let item = self.segments.find_mut(hash(key), key)?;
        let before = item.memory();
        Some(ItemMut { item, before, bytes: &mut self.bytes })
    }

    /// Puts in the element that `make` makes, unless there is one with this key; says whether it did. `make` has to
    /// give an element of that key.
    #[inline]
    pub fn insert(&mut self, key: &[u8], make: impl FnOnce() -> T) -> bool {
        self.upsert(key, |_| {}, make)
    }

    /// Changes the element with this key by `change`, or puts in the one that `make` makes, in one probe; says whether
    /// it was made. `make` has to give an element of that key.
    #[inline]
    pub fn upsert(&mut self, key: &[u8], change: impl FnOnce(&mut T), make: impl FnOnce() -> T) -> bool {
        // Counted apart: `bytes` is lent to the segments meanwhile.
        let mut items = 0;
        let upsert = Counted { items: &mut items, change, make };
        let mut tables = Tables { hasher: &ProcessHash, bytes: &mut self.bytes };
        let made = self.segments.upsert(hash(key), 0, key, &mut tables, upsert);
        self.bytes = self.bytes.wrapping_add_signed(items);
        made
    }

    /// Takes the element with this key out.
    #[inline]
    pub fn remove(&mut self, key: &[u8]) -> Option<T> {
        let item = self.segments.remove(hash(key), key, &mut self.bytes)?;
        self.bytes -= item.memory();
        Some(item)
    }

    /// All elements, segment by segment in the order of their hashes, within a segment in no order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(&self.segments)
    }

    /// Visits about `count` elements from `cursor` on, and returns the cursor to go on from: 0 begins, and is returned
    /// at the end. Cursors have 53 bits. An element that is there from beginning to end is visited exactly once,
    /// whatever happens to the table between the calls; any number is taken for some cursor.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a T)) -> u64 {
        let mut walk = Walk {
            hasher: &ProcessHash,
            place_shift: PLACE_SHIFT,
            budget: count.max(1),
            chosen: &mut Vec::new(),
            visit: &mut visit,
        };
        // Any number that a client makes up is some cursor.
        walk.run(&self.segments, cursor << PLACE_SHIFT).map_or(0, |hash| hash >> PLACE_SHIFT)
    }

    /// Visits elements from a place on, in the order of [`Table::iter`], until `visit` refuses one by `false`; returns
    /// where that one is, or `None` after the last. The table must be the same as when the place was returned: in
    /// another, elements are left out or visited twice.
    pub fn visit_from<'a>(&'a self, place: Place, mut visit: impl FnMut(&'a T) -> bool) -> Option<Place> {
        place::visit(&self.segments, place, &mut visit)
    }

    /// A random element, all equally likely; `None` when there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<&T> {
        self.segments.random(|bound| rng.index(bound))
    }

    /// Takes a random element out, all equally likely.
    pub fn pop_random(&mut self, rng: &mut Rng) -> Option<T> {
        let item = self.segments.pop_random(&mut |bound| rng.index(bound), &mut self.bytes)?;
        self.bytes -= item.memory();
        Some(item)
    }

    /// Frees about `budget` elements, a segment (at most 448) at a time, and says whether there are any left.
    pub fn dismantle(&mut self, budget: usize) -> bool {
        let mut items = 0;
        self.segments.dismantle(budget.max(1), &mut |segment| {
            items += segment.iter().map(Item::memory).sum::<usize>() + segments::bytes_of(&segment);
        });
        self.bytes -= items;
        if self.is_empty() {
            // The branches were not counted.
            self.bytes = 0;
        }
        !self.is_empty()
    }

    /// What [`Table::memory`] must be, counted by walking. For tests.
    #[doc(hidden)]
    pub fn recount(&self) -> usize {
        self.segments.recount() + self.iter().map(Item::memory).sum::<usize>()
    }
}

impl<'a, T: Item> IntoIterator for &'a Table<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// An element of a table, to be changed in all but its key.
#[derive(Debug)]
pub struct ItemMut<'a, T: Item> {
    item: &'a mut T,
    before: usize,
    bytes: &'a mut usize,
}

impl<T: Item> Deref for ItemMut<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.item
    }
}

impl<T: Item> DerefMut for ItemMut<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.item
    }
}

impl<T: Item> Drop for ItemMut<'_, T> {
    #[inline]
    fn drop(&mut self) {
        *self.bytes = *self.bytes + self.item.memory() - self.before;
    }
}

/// Counts the memory of what is changed and made.
struct Counted<'a, C, M> {
    items: &'a mut isize,
    change: C,
    make: M,
}

impl<T: Item, C: FnOnce(&mut T), M: FnOnce() -> T> Upsert<T> for Counted<'_, C, M> {
    #[inline]
    fn found(self, item: &mut T) {
        let before = item.memory();
        (self.change)(item);
        *self.items = item.memory() as isize - before as isize;
    }

    #[inline]
    fn missing(self, tag: u16) -> T {
        let mut item = (self.make)();
        item.set_tag(tag);
        *self.items = item.memory() as isize;
        item
    }
}

/// A cursor is the top 53 bits of a hash: clients that keep it in a double lose nothing.
const PLACE_SHIFT: u32 = u64::BITS - 53;

/// The hash of all tables.
struct ProcessHash;

impl Hashes for ProcessHash {
    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        hash(key)
    }
}
