//! Elements by key: a segment, or a tree of segments that branches on the hash. What a [`Table`] and a keyspace's slot
//! are made of.
//!
//! [`Table`]: crate::table::Table
//!
//! A segment is a hash table of at most [`BUCKETS_MAX`] buckets. A full one splits into [`FAN_OUT`] by the next four
//! bits of the hash, and a branch whose elements have become few is one segment again. So no insertion or removal ever
//! moves more than a segment's elements, however many there are.
//!
//! At depth `d` the top `4 d` bits of the hash have chosen the segment, and the elements' tags are the 16 bits that
//! follow. The tag is all that a segment needs of the hash (9 bits for the bucket, 7 for the control byte), so growing
//! one reads no element; only a split does, for the four bits that move into the tags. Read as a number, path and tag
//! are the top of the hash: walking the tree in order is walking in the order of the hash, whatever its shape.

mod walk;

pub use walk::Walk;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Bucket;
use std::fmt::Debug;
use stdx::size::table_size;

/// An element: one word, which owns what it points to and keeps 16 bits for its segment.
pub trait Item: Debug {
    /// What it is found by. Must not change while the element is in a segment.
    fn key(&self) -> &[u8];

    /// The tag that [`Item::set_tag`] set last.
    fn tag(&self) -> u16;

    /// Keeps 16 bits for the segment. Only segments and those who make elements for them call it.
    fn set_tag(&mut self, tag: u16);

    /// Bytes of memory that it takes beyond its own `size_of`, in whole blocks of the allocator.
    fn memory(&self) -> usize;

    /// Fetches its key into the cache, for it will be read soon.
    fn prefetch(&self);
}

/// The hash that elements are kept by: all 64 bits are good.
pub trait Hashes {
    /// The hash of a key.
    fn hash(&self, key: &[u8]) -> u64;
}

/// The largest segment, in buckets: as many as a tag can index beside its control bits.
const BUCKETS_MAX: usize = 512;
/// Elements that such a segment holds.
const SEGMENT_MAX: usize = BUCKETS_MAX / 8 * 7;
/// How many segments a full one becomes.
pub const FAN_OUT: usize = 1 << BRANCH_BITS;
/// Bits of the hash that a branch uses up.
pub const BRANCH_BITS: u32 = 4;
/// Below this depth segments do not split but grow: hashes that agree in so many bits are an attack or a miracle.
const DEPTH_MAX: u32 = 8;
/// A branch of this many elements or fewer is merged: far enough from `SEGMENT_MAX` not to split again soon.
const MERGE_AT: usize = SEGMENT_MAX / 4;

const _: () = assert!(BUCKETS_MAX.ilog2() + 7 == u16::BITS);
const _: () = assert!(DEPTH_MAX * BRANCH_BITS + u16::BITS <= u64::BITS);
// A place in a table keeps the path in the upper half of a word.
const _: () = assert!(DEPTH_MAX * BRANCH_BITS <= u32::BITS);

/// All elements, or one branch of them.
#[derive(Clone, Debug)]
pub enum Segments<T> {
    /// A segment.
    One(HashTable<T>),
    /// A tree.
    Many(Box<Branch<T>>),
}

/// Where a tree branches on the next four bits of the hash.
#[derive(Clone, Debug)]
pub struct Branch<T> {
    /// Elements in all children.
    pub len: usize,
    /// By those four bits.
    pub children: [Segments<T>; FAN_OUT],
}

/// What changes of the segments need and report.
#[derive(Debug)]
pub struct Tables<'a, H> {
    /// Hashes keys: always the same hash for the same segments.
    pub hasher: &'a H,
    /// Bytes that segments and branches take.
    pub bytes: &'a mut usize,
}

const _: () = assert!(size_of::<Segments<u64>>() == 32);

/// What [`Segments::upsert`] does with an element's place.
pub trait Upsert<T> {
    /// The element is there.
    fn found(self, item: &mut T);
    /// It is not: makes it, with this tag.
    fn missing(self, tag: u16) -> T;
}

/// The tag at the depth that `rest` is of.
#[inline]
fn tag_of(rest: u64) -> u16 {
    (rest >> 48) as u16
}

#[inline]
fn branch_of(rest: u64) -> usize {
    (rest >> (u64::BITS - BRANCH_BITS)) as usize
}

/// What hashbrown takes for the hash: it reads the low bits for the bucket and the top seven for the control byte.
#[inline]
fn table_hash(tag: u16) -> u64 {
    u64::from(tag) << 48 | u64::from(tag)
}

#[inline]
fn hash_in_table(item: &impl Item) -> u64 {
    table_hash(item.tag())
}

#[inline]
fn is(item: &impl Item, tag: u16, key: &[u8]) -> bool {
    item.tag() == tag && item.key() == key
}

impl<T: Item> Default for Segments<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Item> Segments<T> {
    /// No elements, and no memory.
    pub const fn new() -> Self {
        Self::One(HashTable::new())
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::One(table) => table.len(),
            Self::Many(branch) => branch.len,
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds an element; `rest` is its key's whole hash.
    #[inline]
    pub fn find(&self, rest: u64, key: &[u8]) -> Option<&T> {
        self.find_by(rest, |item, tag| is(item, tag, key))
    }

    /// An element with the tag of the key that has this hash: nearly always that key's.
    #[inline]
    pub fn peek(&self, rest: u64) -> Option<&T> {
        self.find_by(rest, |item, tag| item.tag() == tag)
    }

    #[inline]
    fn find_by(&self, mut rest: u64, fits: impl Fn(&T, u16) -> bool) -> Option<&T> {
        let mut at = self;
        loop {
            match at {
                Self::One(table) => {
                    let tag = tag_of(rest);
                    return table.find(table_hash(tag), |item| fits(item, tag));
                }
                Self::Many(branch) => {
                    at = &branch.children[branch_of(rest)];
                    rest <<= BRANCH_BITS;
                }
            }
        }
    }

    /// As [`Segments::find`], to change the element.
    #[inline]
    pub fn find_mut(&mut self, mut rest: u64, key: &[u8]) -> Option<&mut T> {
        let mut at = self;
        loop {
            match at {
                Self::One(table) => {
                    let tag = tag_of(rest);
                    return table.find_mut(table_hash(tag), |item| is(item, tag, key));
                }
                Self::Many(branch) => {
                    at = &mut branch.children[branch_of(rest)];
                    rest <<= BRANCH_BITS;
                }
            }
        }
    }

    /// Changes an element or makes one, with one probe; says whether it was made. `rest` is the key's whole hash, and
    /// `depth` 0.
    #[inline]
    pub fn upsert<U: Upsert<T>>(
        &mut self,
        rest: u64,
        depth: u32,
        key: &[u8],
        tables: &mut Tables<'_, impl Hashes>,
        upsert: U,
    ) -> bool {
        match self {
            Self::One(table) if table.len() < table.capacity() => {
                let tag = tag_of(rest);
                match table.entry(table_hash(tag), |item| is(item, tag, key), hash_in_table) {
                    Bucket::Occupied(mut place) => {
                        upsert.found(place.get_mut());
                        false
                    }
                    Bucket::Vacant(place) => {
                        place.insert(upsert.missing(tag));
                        true
                    }
                }
            }
            Self::One(_) => self.upsert_full(rest, depth, key, tables, upsert),
            Self::Many(branch) => {
                let child = &mut branch.children[branch_of(rest)];
                let made = child.upsert(rest << BRANCH_BITS, depth + 1, key, tables, upsert);
                branch.len += usize::from(made);
                made
            }
        }
    }

    #[cold]
    fn upsert_full<U: Upsert<T>>(
        &mut self,
        rest: u64,
        depth: u32,
        key: &[u8],
        tables: &mut Tables<'_, impl Hashes>,
        upsert: U,
    ) -> bool {
        if let Some(item) = self.find_mut(rest, key) {
            upsert.found(item);
            return false;
        }
        self.make_room(depth, tables);
        self.upsert(rest, depth, key, tables, upsert)
    }

    /// Removes an element; `rest` is its key's whole hash. `bytes` is what the segments take.
    #[inline]
    pub fn remove(&mut self, rest: u64, key: &[u8], bytes: &mut usize) -> Option<T> {
        match self {
            Self::One(table) => {
                let tag = tag_of(rest);
                let place = table.find_entry(table_hash(tag), |item| is(item, tag, key)).ok()?;
                let (item, _) = place.remove();
                shrink_if_sparse(table, bytes);
                Some(item)
            }
            Self::Many(branch) => {
                let child = &mut branch.children[branch_of(rest)];
                let item = child.remove(rest << BRANCH_BITS, key, bytes)?;
                self.one_less(bytes);
                Some(item)
            }
        }
    }

    /// A random element, all equally likely. `None` when there is none. `below` draws a number below the one given.
    pub fn random(&self, mut below: impl FnMut(usize) -> usize) -> Option<&T> {
        let mut at = self;
        loop {
            match at {
                Self::One(table) => return table.get_bucket(random_bucket(table, &mut below)?),
                Self::Many(branch) => at = &branch.children[branch.random_child(&mut below)],
            }
        }
    }

    /// Removes a random element, all equally likely; `below` as in [`Segments::random`], `bytes` as in
    /// [`Segments::remove`].
    pub fn pop_random(&mut self, below: &mut dyn FnMut(usize) -> usize, bytes: &mut usize) -> Option<T> {
        match self {
            Self::One(table) => {
                let place = table.get_bucket_entry(random_bucket(table, below)?).ok()?;
                let (item, _) = place.remove();
                shrink_if_sparse(table, bytes);
                Some(item)
            }
            Self::Many(branch) => {
                let child = &mut branch.children[branch.random_child(below)];
                let item = child.pop_random(below, bytes)?;
                self.one_less(bytes);
                Some(item)
            }
        }
    }

    /// Visits up to `left` elements, from a random place on and round once: neighbours, which is as good as random where
    /// elements only have to be compared. `left` is what is left of it then.
    pub fn sample(&self, left: &mut usize, below: &mut dyn FnMut(usize) -> usize, visit: &mut dyn FnMut(&T)) {
        match self {
            Self::Many(branch) => {
                let (before, after) = branch.children.split_at(below(FAN_OUT));
                for child in after.iter().chain(before) {
                    if *left > 0 {
                        child.sample(left, below, visit);
                    }
                }
            }
            Self::One(table) => {
                let buckets = table.num_buckets();
                let start = below(buckets);
                for item in (start..buckets).chain(0..start).filter_map(|bucket| table.get_bucket(bucket)) {
                    if *left == 0 {
                        return;
                    }
                    *left -= 1;
                    visit(item);
                }
            }
        }
    }

    /// Frees whole segments until about `budget` elements are gone; returns how many were.
    pub(crate) fn dismantle(&mut self, budget: usize, freed: &mut impl FnMut(HashTable<T>)) -> usize {
        let gone = match self {
            Self::One(table) => {
                let gone = table.len();
                freed(std::mem::take(table));
                return gone;
            }
            Self::Many(branch) => {
                let mut gone = 0;
                for child in branch.children.iter_mut().filter(|child| !child.is_empty()) {
                    if gone >= budget {
                        break;
                    }
                    gone += child.dismantle(budget - gone, freed);
                }
                branch.len -= gone;
                gone
            }
        };
        if self.is_empty() {
            *self = Self::new();
        }
        gone
    }

    /// Makes a full segment able to take one more element.
    fn make_room(&mut self, depth: u32, tables: &mut Tables<'_, impl Hashes>) {
        let Self::One(table) = self else { return };
        let bytes = &mut *tables.bytes;
        let buckets = table.num_buckets();
        if buckets > 8 && table.len() <= buckets / 8 * 5 {
            // Full of the marks that removed elements leave: the same size will do.
            let capacity = buckets / 8 * 7;
            resize(table, bytes, |table| {
                let old = std::mem::replace(table, HashTable::with_capacity(capacity));
                for item in old {
                    table.insert_unique(hash_in_table(&item), item, hash_in_table);
                }
            });
        } else if buckets < BUCKETS_MAX || depth >= DEPTH_MAX {
            resize(table, bytes, |table| table.reserve(1, hash_in_table));
        } else {
            self.split(depth, tables);
        }
    }

    /// Turns a segment into a branch of segments.
    #[cold]
    fn split(&mut self, depth: u32, tables: &mut Tables<'_, impl Hashes>) {
        let Self::One(table) = self else { return };
        // The elements are read below, for the hash bits beyond the tags: fetch them all at once.
        table.iter().for_each(Item::prefetch);
        let mut lens = [0; FAN_OUT];
        for item in table.iter() {
            lens[usize::from(item.tag()) >> (u16::BITS - BRANCH_BITS)] += 1;
        }
        let mut children = lens.map(HashTable::with_capacity);
        *tables.bytes -= bytes_of(table);
        let len = table.len();
        for mut item in std::mem::take(table) {
            let rest = tables.hasher.hash(item.key()) << (BRANCH_BITS * depth);
            debug_assert_eq!(item.tag(), tag_of(rest));
            item.set_tag(tag_of(rest << BRANCH_BITS));
            children[branch_of(rest)].insert_unique(hash_in_table(&item), item, hash_in_table);
        }
        *tables.bytes += children.iter().map(bytes_of).sum::<usize>() + BRANCH_BYTES;
        *self = Self::Many(Box::new(Branch { len, children: children.map(Self::One) }));
    }

    /// Counts an element less in a branch, and merges one that has become small.
    #[inline]
    fn one_less(&mut self, bytes: &mut usize) {
        let Self::Many(branch) = self else { return };
        branch.len -= 1;
        if branch.len <= MERGE_AT {
            self.merge(bytes);
        }
    }

    /// Turns a branch of few elements into one segment.
    #[cold]
    fn merge(&mut self, bytes: &mut usize) {
        let Self::Many(branch) = std::mem::take(self) else { return };
        let Self::One(merged) = self else { return };
        *bytes -= BRANCH_BYTES;
        merged.reserve(branch.len + branch.len / 2, hash_in_table);
        for (number, child) in branch.children.into_iter().enumerate() {
            // A child branch holds more than `MERGE_AT` elements, so its parent does too.
            let Self::One(table) = child else { unreachable!("a branch of few elements below another") };
            *bytes -= bytes_of(&table);
            for mut item in table {
                item.set_tag((number as u16) << (u16::BITS - BRANCH_BITS) | item.tag() >> BRANCH_BITS);
                merged.insert_unique(hash_in_table(&item), item, hash_in_table);
            }
        }
        *bytes += bytes_of(merged);
    }

    /// Bytes of the segments and branches, counted by walking: what `bytes` must be. Checks the counts on the way.
    pub fn recount(&self) -> usize {
        match self {
            Self::One(table) => bytes_of(table),
            Self::Many(branch) => {
                assert_eq!(branch.len, branch.children.iter().map(Self::len).sum::<usize>());
                BRANCH_BYTES + branch.children.iter().map(Self::recount).sum::<usize>()
            }
        }
    }
}

impl<T: Item> Branch<T> {
    /// A random child, each as likely as it has elements; there is at least one in all of them.
    fn random_child(&self, below: &mut dyn FnMut(usize) -> usize) -> usize {
        let mut skip = below(self.len);
        let within = |child: &Segments<T>| {
            let here = skip < child.len();
            skip = skip.wrapping_sub(child.len());
            here
        };
        self.children.iter().position(within).expect("as many elements as are counted")
    }
}

/// Bytes of a branch, its children's tables not counted.
const BRANCH_BYTES: usize = 640;
const _: () = assert!(size_of::<Branch<u64>>() > 512 && size_of::<Branch<u64>>() <= BRANCH_BYTES);

/// What a segment takes.
pub(crate) fn bytes_of<T>(table: &HashTable<T>) -> usize {
    table_size(table.allocation_size())
}

fn resize<T>(table: &mut HashTable<T>, bytes: &mut usize, change: impl FnOnce(&mut HashTable<T>)) {
    *bytes -= bytes_of(table);
    change(table);
    *bytes += bytes_of(table);
}

/// Halves a segment that has become sparse, and frees an empty one.
#[inline]
fn shrink_if_sparse<T: Item>(table: &mut HashTable<T>, bytes: &mut usize) {
    if table.len() < table.num_buckets() / 8 || table.is_empty() {
        shrink(table, bytes);
    }
}

#[cold]
fn shrink<T: Item>(table: &mut HashTable<T>, bytes: &mut usize) {
    resize(table, bytes, |table| {
        if table.is_empty() {
            *table = HashTable::new();
        } else {
            table.shrink_to(table.len() * 2, hash_in_table);
        }
    });
}

/// A random bucket of those that hold an element, all equally likely.
fn random_bucket<T>(table: &HashTable<T>, below: &mut dyn FnMut(usize) -> usize) -> Option<usize> {
    if table.is_empty() {
        return None;
    }
    // Segments are at least an eighth full but for the smallest, so this ends soon; the bound is for the unlucky.
    let buckets = table.num_buckets();
    let drawn = (0..RANDOM_TRIES).map(|_| below(buckets)).find(|&bucket| table.get_bucket(bucket).is_some());
    drawn.or_else(|| table.iter_buckets().next())
}

const RANDOM_TRIES: usize = 1000;
