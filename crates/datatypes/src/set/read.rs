//! Sets, read only.

use super::Set;
use super::ints::Ints;
use crate::element::Element;
use crate::item::Member;
use crate::packed::{self, Elements};
use crate::place::Stored;
use crate::table;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use stdx::Rng;
use stdx::number::parse_i64;

/// A set, read only.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// A sorted array of integers.
    Ints(&'a [u8]),
    /// Packed members.
    Packed(&'a [u8]),
    /// A structure of its own.
    Large(&'a Set),
}

impl<'a> SetRef<'a> {
    /// The set that is stored so. Panics on another kind of value.
    pub fn of(stored: Stored<'a>) -> Self {
        match crate::ValueRef::of(stored) {
            crate::ValueRef::Set(set) => set,
            other => panic!("a {} where a set was", other.kind().name()),
        }
    }

    /// The array, if that is its form.
    pub(super) fn ints(self) -> Option<Ints<'a>> {
        match self {
            Self::Ints(bytes) => Some(Ints::new(bytes)),
            _ => None,
        }
    }

    /// How many members there are.
    pub fn len(self) -> usize {
        match self {
            Self::Ints(bytes) => Ints::new(bytes).len(),
            Self::Packed(bytes) => packed::count(bytes),
            Self::Large(set) => set.members.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        match self {
            Self::Ints(bytes) => Ints::new(bytes).is_empty(),
            Self::Packed(bytes) => bytes.is_empty(),
            Self::Large(set) => set.members.is_empty(),
        }
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(self) -> &'static str {
        match self {
            Self::Ints(_) => "intset",
            Self::Packed(_) => "listpack",
            Self::Large(_) => "hashtable",
        }
    }

    /// Whether `member` is in it.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            Self::Ints(bytes) => parse_i64(member).is_some_and(|int| Ints::new(bytes).contains(int)),
            Self::Packed(bytes) => packed::find(bytes, 1, Element::of(member)).is_some(),
            Self::Large(set) => set.members.find(member).is_some(),
        }
    }

    /// All members: an array's in ascending order, packed ones as they came, a large set's in no order.
    pub fn iter(self) -> Members<'a> {
        match self {
            Self::Ints(bytes) => Members::Ints(Ints::new(bytes), 0),
            Self::Packed(bytes) => Members::Packed(packed::elements(bytes)),
            Self::Large(set) => Members::Large(set.members.iter()),
        }
    }

    /// A random member, all equally likely; `None` when there is none.
    pub fn random(self, rng: &mut Rng) -> Option<Element<'a>> {
        if self.is_empty() {
            return None;
        }
        match self {
            Self::Large(set) => set.members.random(rng).map(|member| Element::Bytes(member.bytes())),
            Self::Ints(bytes) => {
                let ints = Ints::new(bytes);
                Some(Element::Int(ints.get(rng.index(ints.len()))))
            }
            Self::Packed(bytes) => packed::elements(bytes).nth(rng.index(packed::count(bytes))),
        }
    }

    /// Visits `count` random members, each drawn from all. Nothing when there are none.
    pub fn draw(self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Element<'a>)) {
        match self {
            // Walked once, not once for each.
            Self::Packed(bytes) if count > 1 && !bytes.is_empty() => {
                let members: Vec<Element<'a>> = packed::elements(bytes).collect();
                (0..count).for_each(|_| visit(*rng.pick(&members)));
            }
            _ => (0..count).map_while(|_| self.random(rng)).for_each(visit),
        }
    }

    /// Visits `count` random members, no one twice, in no particular order; all when there are not as many.
    pub fn sample(self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Element<'a>)) {
        let len = self.len();
        match self {
            Self::Large(set) if count < len / SAMPLE_WALKS_BELOW => sample_large(set, count, rng, visit),
            _ => self.choose(len, count, rng, |member, chosen| {
                if chosen {
                    visit(member);
                }
            }),
        }
    }

    /// Visits all members, of which there are `len`, in the order of [`SetRef::iter`], and says of each whether it is
    /// one of `count` random ones.
    ///
    /// Source: Knuth, The Art of Computer Programming, volume 2, algorithm S (selection sampling).
    pub(super) fn choose(
        self,
        len: usize,
        count: usize,
        rng: &mut Rng,
        mut visit: impl FnMut(Element<'a>, bool),
    ) {
        let (mut left, mut wanted) = (len as u64, count as u64);
        for member in self.iter() {
            let chosen = wanted > 0 && (wanted >= left || rng.below(left) < wanted);
            visit(member, chosen);
            wanted -= u64::from(chosen);
            left -= 1;
        }
    }

    /// Visits about `count` members from `cursor` on and returns where to go on, as [`Table::scan`] does; those of a
    /// compact set all at once.
    ///
    /// [`Table::scan`]: crate::table::Table::scan
    pub fn scan(self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'a>)) -> u64 {
        match self {
            Self::Large(set) => {
                set.members.scan(cursor, count, |member| visit(Element::Bytes(member.bytes())))
            }
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }
}

/// Fewer than one in so many are drawn one by one; more are chosen in a walk over all.
const SAMPLE_WALKS_BELOW: usize = 3;

/// Draws until there are `count` different members: less than one and a half draws for each.
fn sample_large<'a>(set: &'a Set, count: usize, rng: &mut Rng, mut visit: impl FnMut(Element<'a>)) {
    let hasher = foldhash::fast::FixedState::with_seed(rng.next_u64());
    let hash = |address: &usize| hasher.hash_one(*address);
    // Members are told apart by where they are.
    let mut drawn: HashTable<usize> = HashTable::with_capacity(count);
    while drawn.len() < count {
        let member = set.members.random(rng).expect("a large set has members").bytes();
        let address = member.as_ptr().addr();
        if drawn.find(hash(&address), |other| *other == address).is_none() {
            drawn.insert_unique(hash(&address), address, hash);
            visit(Element::Bytes(member));
        }
    }
}

/// The members of a set. Those of a large set are [`Element::Bytes`], even if they are the text of an integer.
#[derive(Clone, Debug)]
pub enum Members<'a> {
    /// Of an array, from an index on.
    Ints(Ints<'a>, usize),
    /// Packed.
    Packed(Elements<'a>),
    /// Of a table.
    Large(table::Iter<'a, Member>),
}

impl<'a> Iterator for Members<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Self::Ints(ints, at) => {
                let int = (*at < ints.len()).then(|| ints.get(*at))?;
                *at += 1;
                Some(Element::Int(int))
            }
            Self::Packed(elements) => elements.next(),
            Self::Large(members) => members.next().map(|member| Element::Bytes(member.bytes())),
        }
    }
}
