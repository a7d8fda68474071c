//! The keys of one slot: a segment, or a tree of segments that branches on the key's hash.
//!
//! A segment is a hash table of at most [`BUCKETS_MAX`] buckets. A full one splits into [`FAN_OUT`] by the next four
//! bits of the hash, and a branch whose keys have become few is one segment again. So no insertion or removal ever
//! moves more than a segment's entries, whatever the size of the database or of the slot.
//!
//! At depth `d` the top `4 d` bits of the hash have chosen the segment, and the entries' tags are the 16 bits that
//! follow. The tag is all that a table needs of the hash (9 bits for the bucket, 7 for the control byte), so growing
//! one reads no entry; only a split does, for the four bits that move into the tags. Read as a number, path and tag
//! are the top of the hash: walking the tree in order is walking in the order of the hash, whatever its shape.

use crate::entry::Entry;
use crate::hash::{KeyHasher, Random};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Bucket;
use stdx::size::table_size;

/// The largest table of a segment, in buckets: as many as a tag can index beside its control bits.
pub(crate) const BUCKETS_MAX: usize = 512;
/// Keys that such a table holds.
pub(crate) const SEGMENT_MAX: usize = BUCKETS_MAX / 8 * 7;
/// How many segments a full one becomes.
pub(crate) const FAN_OUT: usize = 1 << BRANCH_BITS;
pub(crate) const BRANCH_BITS: u32 = 4;
/// Below this depth segments do not split but grow: hashes that agree in so many bits are an attack or a miracle.
pub(crate) const DEPTH_MAX: u32 = 8;
/// A branch of this many keys or fewer is merged: far enough from `SEGMENT_MAX` not to split again soon.
const MERGE_AT: usize = SEGMENT_MAX / 4;

const _: () = assert!(BUCKETS_MAX.ilog2() + 7 == u16::BITS);
const _: () = assert!(DEPTH_MAX * BRANCH_BITS + u16::BITS <= u64::BITS);

/// One slot's keys, or one branch of them.
#[derive(Debug)]
pub(crate) enum Segments {
    One(HashTable<Entry>),
    Many(Box<Branch>),
}

#[derive(Debug)]
pub(crate) struct Branch {
    /// Keys in all children.
    pub(crate) len: usize,
    pub(crate) children: [Segments; FAN_OUT],
}

const _: () = assert!(size_of::<Segments>() == 32);

/// What changes of the tables need and report.
pub(crate) struct Tables<'a> {
    pub(crate) hasher: &'a KeyHasher,
    /// Bytes that tables and branches take.
    pub(crate) bytes: &'a mut usize,
}

/// What [`Segments::upsert`] does with the key's place.
pub(crate) trait Upsert {
    /// The key is there.
    fn found(self, entry: &mut Entry);
    /// It is not: makes its entry.
    fn missing(self, tag: u16) -> Entry;
}

/// A hash without its first `depth` branches: the next four bits, and then the tag, are at the top.
pub(crate) fn below(hash: u64, depth: u32) -> u64 {
    hash << (BRANCH_BITS * depth)
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
fn hash_in_table(entry: &Entry) -> u64 {
    table_hash(entry.tag())
}

#[inline]
fn is(entry: &Entry, tag: u16, key: &[u8]) -> bool {
    entry.tag() == tag && entry.key() == key
}

impl Segments {
    pub(crate) const fn new() -> Self {
        Self::One(HashTable::new())
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(table) => table.len(),
            Self::Many(branch) => branch.len,
        }
    }

    /// Finds a key; `rest` is its whole hash when called from outside.
    #[inline]
    pub(crate) fn find(&self, rest: u64, key: &[u8]) -> Option<&Entry> {
        self.find_by(rest, |entry, tag| is(entry, tag, key))
    }

    /// An entry with the tag of the key that has this hash: nearly always that key's.
    #[inline]
    pub(crate) fn peek(&self, rest: u64) -> Option<&Entry> {
        self.find_by(rest, |entry, tag| entry.tag() == tag)
    }

    #[inline]
    fn find_by(&self, mut rest: u64, fits: impl Fn(&Entry, u16) -> bool) -> Option<&Entry> {
        let mut at = self;
        loop {
            match at {
                Self::One(table) => {
                    let tag = tag_of(rest);
                    return table.find(table_hash(tag), |entry| fits(entry, tag));
                }
                Self::Many(branch) => {
                    at = &branch.children[branch_of(rest)];
                    rest <<= BRANCH_BITS;
                }
            }
        }
    }

    /// As [`Segments::find`], to change the entry.
    #[inline]
    pub(crate) fn find_mut(&mut self, mut rest: u64, key: &[u8]) -> Option<&mut Entry> {
        let mut at = self;
        loop {
            match at {
                Self::One(table) => {
                    let tag = tag_of(rest);
                    return table.find_mut(table_hash(tag), |entry| is(entry, tag, key));
                }
                Self::Many(branch) => {
                    at = &mut branch.children[branch_of(rest)];
                    rest <<= BRANCH_BITS;
                }
            }
        }
    }

    /// Changes the key's entry or makes one, with one probe; says whether it was made.
    #[inline]
    pub(crate) fn upsert<U: Upsert>(
        &mut self,
        rest: u64,
        depth: u32,
        key: &[u8],
        tables: &mut Tables<'_>,
        upsert: U,
    ) -> bool {
        match self {
            Self::One(table) if table.len() < table.capacity() => {
                let tag = tag_of(rest);
                match table.entry(table_hash(tag), |entry| is(entry, tag, key), hash_in_table) {
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
    fn upsert_full<U: Upsert>(
        &mut self,
        rest: u64,
        depth: u32,
        key: &[u8],
        tables: &mut Tables<'_>,
        upsert: U,
    ) -> bool {
        if let Some(entry) = self.find_mut(rest, key) {
            upsert.found(entry);
            return false;
        }
        self.make_room(depth, tables);
        self.upsert(rest, depth, key, tables, upsert)
    }

    /// Removes a key, and gives its entry.
    #[inline]
    pub(crate) fn remove(&mut self, rest: u64, key: &[u8], tables: &mut Tables<'_>) -> Option<Entry> {
        match self {
            Self::One(table) => {
                let tag = tag_of(rest);
                let place = table.find_entry(table_hash(tag), |entry| is(entry, tag, key)).ok()?;
                let (entry, _) = place.remove();
                if table.len() < table.num_buckets() / 8 || table.is_empty() {
                    shrink(table, tables);
                }
                Some(entry)
            }
            Self::Many(branch) => {
                let child = &mut branch.children[branch_of(rest)];
                let entry = child.remove(rest << BRANCH_BITS, key, tables)?;
                branch.len -= 1;
                if branch.len <= MERGE_AT {
                    self.merge(tables);
                }
                Some(entry)
            }
        }
    }

    /// A random key; all of the slot's are equally likely. `None` when there is none.
    pub(crate) fn random(&self, random: &mut Random) -> Option<&Entry> {
        let mut at = self;
        loop {
            match at {
                Self::One(table) => return random_in(table, random),
                Self::Many(branch) => {
                    let mut skip = random.below(branch.len);
                    at = branch.children.iter().find(|child| {
                        let here = skip < child.len();
                        skip = skip.wrapping_sub(child.len());
                        here
                    })?;
                }
            }
        }
    }

    /// Makes a full segment able to take one more key.
    fn make_room(&mut self, depth: u32, tables: &mut Tables<'_>) {
        let Self::One(table) = self else { return };
        let buckets = table.num_buckets();
        if buckets > 8 && table.len() <= buckets / 8 * 5 {
            // Full of the marks that removed keys leave: the same size will do.
            let capacity = buckets / 8 * 7;
            resize(table, tables, |table| {
                let old = std::mem::replace(table, HashTable::with_capacity(capacity));
                for entry in old {
                    table.insert_unique(hash_in_table(&entry), entry, hash_in_table);
                }
            });
        } else if buckets < BUCKETS_MAX || depth >= DEPTH_MAX {
            resize(table, tables, |table| table.reserve(1, hash_in_table));
        } else {
            self.split(depth, tables);
        }
    }

    /// Turns a segment into a branch of segments.
    #[cold]
    fn split(&mut self, depth: u32, tables: &mut Tables<'_>) {
        let Self::One(table) = self else { return };
        // The keys are read below, for the hash bits beyond the tags: fetch them all at once.
        table.iter().for_each(Entry::prefetch);
        let mut lens = [0; FAN_OUT];
        for entry in table.iter() {
            lens[usize::from(entry.tag()) >> (u16::BITS - BRANCH_BITS)] += 1;
        }
        let mut children = lens.map(HashTable::with_capacity);
        *tables.bytes -= bytes_of(table);
        let len = table.len();
        for mut entry in std::mem::take(table) {
            let rest = below(tables.hasher.hash(entry.key()), depth);
            debug_assert_eq!(entry.tag(), tag_of(rest));
            entry.set_tag(tag_of(rest << BRANCH_BITS));
            children[branch_of(rest)].insert_unique(hash_in_table(&entry), entry, hash_in_table);
        }
        *tables.bytes += children.iter().map(bytes_of).sum::<usize>() + BRANCH_BYTES;
        *self = Self::Many(Box::new(Branch { len, children: children.map(Self::One) }));
    }

    /// Turns a branch of few keys into one segment.
    #[cold]
    fn merge(&mut self, tables: &mut Tables<'_>) {
        let Self::Many(branch) = std::mem::replace(self, Self::new()) else { return };
        let Self::One(merged) = self else { return };
        *tables.bytes -= BRANCH_BYTES;
        merged.reserve(branch.len + branch.len / 2, hash_in_table);
        for (number, child) in branch.children.into_iter().enumerate() {
            // A child branch holds more than `MERGE_AT` keys, so its parent does too.
            let Self::One(table) = child else { unreachable!("a branch of few keys below another") };
            *tables.bytes -= bytes_of(&table);
            for mut entry in table {
                entry.set_tag((number as u16) << (u16::BITS - BRANCH_BITS) | entry.tag() >> BRANCH_BITS);
                merged.insert_unique(hash_in_table(&entry), entry, hash_in_table);
            }
        }
        *tables.bytes += bytes_of(merged);
    }
}

/// Bytes of a branch, its children's tables not counted.
pub(crate) const BRANCH_BYTES: usize = 640;
const _: () = assert!(size_of::<Branch>() > 512 && size_of::<Branch>() <= BRANCH_BYTES);

/// What a table takes.
pub(crate) fn bytes_of(table: &HashTable<Entry>) -> usize {
    table_size(table.allocation_size())
}

fn resize(table: &mut HashTable<Entry>, tables: &mut Tables<'_>, change: impl FnOnce(&mut HashTable<Entry>)) {
    *tables.bytes -= bytes_of(table);
    change(table);
    *tables.bytes += bytes_of(table);
}

/// Halves a table that has become sparse, and frees an empty one.
#[cold]
fn shrink(table: &mut HashTable<Entry>, tables: &mut Tables<'_>) {
    resize(table, tables, |table| {
        if table.is_empty() {
            *table = HashTable::new();
        } else {
            table.shrink_to(table.len() * 2, hash_in_table);
        }
    });
}

fn random_in<'a>(table: &'a HashTable<Entry>, random: &mut Random) -> Option<&'a Entry> {
    if table.is_empty() {
        return None;
    }
    // Tables are at least an eighth full but for the smallest, so this ends soon; the bound is for the unlucky.
    let buckets = table.num_buckets();
    (0..RANDOM_TRIES).find_map(|_| table.get_bucket(random.below(buckets))).or_else(|| table.iter().next())
}

const RANDOM_TRIES: usize = 1000;
