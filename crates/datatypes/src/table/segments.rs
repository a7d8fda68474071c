//! A table's elements: a segment, or a tree of segments that branches on the hash.
//!
//! A segment is a hash table of at most [`BUCKETS_MAX`] buckets. A full one splits into [`FAN_OUT`] by the next four
//! bits of the hash, and a branch whose elements have become few is one segment again. So no insertion or removal ever
//! moves more than a segment's elements, however many there are.
//!
//! At depth `d` the top `4 d` bits of the hash have chosen the segment, and the elements' tags are the 16 bits that
//! follow. The tag is all that a segment needs of the hash (9 bits for the bucket, 7 for the control byte), so growing
//! one reads no element; only a split does, for the four bits that move into the tags. Read as a number, path and tag
//! are the top of the hash: walking the tree in order is walking in the order of the hash, whatever its shape.

use super::Item;
use super::hash::hash;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Bucket;
use stdx::Rng;
use stdx::size::table_size;

/// The largest segment, in buckets: as many as a tag can index beside its control bits.
pub(super) const BUCKETS_MAX: usize = 512;
/// Elements that such a segment holds.
pub(super) const SEGMENT_MAX: usize = BUCKETS_MAX / 8 * 7;
/// How many segments a full one becomes.
const FAN_OUT: usize = 1 << BRANCH_BITS;
pub(super) const BRANCH_BITS: u32 = 4;
/// Below this depth segments do not split but grow: hashes that agree in so many bits are an attack or a miracle.
pub(super) const DEPTH_MAX: u32 = 8;
/// A branch of this many elements or fewer is merged: far enough from `SEGMENT_MAX` not to split again soon.
const MERGE_AT: usize = SEGMENT_MAX / 4;

const _: () = assert!(BUCKETS_MAX.ilog2() + 7 == u16::BITS);
const _: () = assert!(DEPTH_MAX * BRANCH_BITS + u16::BITS <= u64::BITS);

/// All elements of a table, or one branch of them.
#[derive(Clone, Debug)]
pub(super) enum Segments<T> {
    One(HashTable<T>),
    Many(Box<Branch<T>>),
}

#[derive(Clone, Debug)]
pub(super) struct Branch<T> {
    /// Elements in all children.
    pub(super) len: usize,
    pub(super) children: [Segments<T>; FAN_OUT],
}

const _: () = assert!(size_of::<Segments<u64>>() == 32);

/// What [`Segments::upsert`] does with an element's place.
pub(super) trait Upsert<T> {
    /// The element is there.
    fn found(self, item: &mut T);
    /// It is not: makes it. Its tag is set by the caller.
    fn missing(self) -> T;
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

impl<T: Item> Segments<T> {
    pub(super) const fn new() -> Self {
        Self::One(HashTable::new())
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(table) => table.len(),
            Self::Many(branch) => branch.len,
        }
    }

    /// Finds an element; `rest` is its whole hash when called from outside.
    #[inline]
    pub(super) fn find(&self, mut rest: u64, key: &[u8]) -> Option<&T> {
        let mut at = self;
        loop {
            match at {
                Self::One(table) => {
                    let tag = tag_of(rest);
                    return table.find(table_hash(tag), |item| is(item, tag, key));
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
    pub(super) fn find_mut(&mut self, mut rest: u64, key: &[u8]) -> Option<&mut T> {
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

    /// Changes an element or makes one, with one probe; says whether it was made. `bytes` is what the segments take.
    #[inline]
    pub(super) fn upsert<U: Upsert<T>>(
        &mut self,
        rest: u64,
        depth: u32,
        key: &[u8],
        bytes: &mut usize,
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
                        let mut item = upsert.missing();
                        item.set_tag(tag);
                        place.insert(item);
                        true
                    }
                }
            }
            Self::One(_) => self.upsert_full(rest, depth, key, bytes, upsert),
            Self::Many(branch) => {
                let child = &mut branch.children[branch_of(rest)];
                let made = child.upsert(rest << BRANCH_BITS, depth + 1, key, bytes, upsert);
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
        bytes: &mut usize,
        upsert: U,
    ) -> bool {
        if let Some(item) = self.find_mut(rest, key) {
            upsert.found(item);
            return false;
        }
        self.make_room(depth, bytes);
        self.upsert(rest, depth, key, bytes, upsert)
    }

    /// Removes an element.
    #[inline]
    pub(super) fn remove(&mut self, rest: u64, key: &[u8], bytes: &mut usize) -> Option<T> {
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

    /// A random element, all equally likely. `None` when there is none.
    pub(super) fn random(&self, rng: &mut Rng) -> Option<&T> {
        let mut at = self;
        loop {
            match at {
                Self::One(table) => return table.get_bucket(random_bucket(table, rng)?),
                Self::Many(branch) => at = &branch.children[branch.random_child(rng)],
            }
        }
    }

    /// Removes a random element, all equally likely.
    pub(super) fn pop_random(&mut self, rng: &mut Rng, bytes: &mut usize) -> Option<T> {
        match self {
            Self::One(table) => {
                let place = table.get_bucket_entry(random_bucket(table, rng)?).ok()?;
                let (item, _) = place.remove();
                shrink_if_sparse(table, bytes);
                Some(item)
            }
            Self::Many(branch) => {
                let child = &mut branch.children[branch.random_child(rng)];
                let item = child.pop_random(rng, bytes)?;
                self.one_less(bytes);
                Some(item)
            }
        }
    }

    /// Frees whole segments until about `budget` elements are gone; returns how many were.
    pub(super) fn dismantle(&mut self, budget: usize, freed: &mut impl FnMut(HashTable<T>)) -> usize {
        let gone = match self {
            Self::One(table) => {
                let gone = table.len();
                freed(std::mem::take(table));
                return gone;
            }
            Self::Many(branch) => {
                let mut gone = 0;
                for child in branch.children.iter_mut().filter(|child| child.len() > 0) {
                    if gone >= budget {
                        break;
                    }
                    gone += child.dismantle(budget - gone, freed);
                }
                branch.len -= gone;
                gone
            }
        };
        if self.len() == 0 {
            *self = Self::new();
        }
        gone
    }

    /// Makes a full segment able to take one more element.
    fn make_room(&mut self, depth: u32, bytes: &mut usize) {
        let Self::One(table) = self else { return };
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
            self.split(depth, bytes);
        }
    }

    /// Turns a segment into a branch of segments.
    #[cold]
    fn split(&mut self, depth: u32, bytes: &mut usize) {
        let Self::One(table) = self else { return };
        // The elements are read below, for the hash bits beyond the tags: fetch them all at once.
        table.iter().for_each(Item::prefetch);
        let mut lens = [0; FAN_OUT];
        for item in table.iter() {
            lens[usize::from(item.tag()) >> (u16::BITS - BRANCH_BITS)] += 1;
        }
        let mut children = lens.map(HashTable::with_capacity);
        *bytes -= bytes_of(table);
        let len = table.len();
        for mut item in std::mem::take(table) {
            let rest = hash(item.key()) << (BRANCH_BITS * depth);
            debug_assert_eq!(item.tag(), tag_of(rest));
            item.set_tag(tag_of(rest << BRANCH_BITS));
            children[branch_of(rest)].insert_unique(hash_in_table(&item), item, hash_in_table);
        }
        *bytes += children.iter().map(bytes_of).sum::<usize>() + BRANCH_BYTES;
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
        let Self::Many(branch) = std::mem::replace(self, Self::new()) else { return };
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
    pub(super) fn recount(&self) -> usize {
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
    fn random_child(&self, rng: &mut Rng) -> usize {
        let mut skip = rng.index(self.len);
        let within = |child: &Segments<T>| {
            let here = skip < child.len();
            skip = skip.wrapping_sub(child.len());
            here
        };
        self.children.iter().position(within).expect("as many elements as are counted")
    }
}

/// Bytes of a branch, its children's tables not counted.
pub(super) const BRANCH_BYTES: usize = 640;
const _: () = assert!(size_of::<Branch<u64>>() > 512 && size_of::<Branch<u64>>() <= BRANCH_BYTES);

/// What a segment takes.
pub(super) fn bytes_of<T>(table: &HashTable<T>) -> usize {
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
fn random_bucket<T>(table: &HashTable<T>, rng: &mut Rng) -> Option<usize> {
    if table.is_empty() {
        return None;
    }
    // Segments are at least an eighth full but for the smallest, so this ends soon; the bound is for the unlucky.
    let buckets = table.num_buckets();
    let drawn =
        (0..RANDOM_TRIES).map(|_| rng.index(buckets)).find(|&bucket| table.get_bucket(bucket).is_some());
    drawn.or_else(|| table.iter_buckets().next())
}

const RANDOM_TRIES: usize = 1000;
