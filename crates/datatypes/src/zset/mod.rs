//! Sorted sets: members with scores, in the order of scores and, where these are equal, of the members' bytes.

mod bounds;
mod compact;
mod large;
mod tree;

#[cfg(test)]
mod tests;

pub use bounds::{LexBound, LexRange, ScoreRange};
pub use large::ZSet;

use crate::object::LargeValue;
use crate::place::{Place, Stored};
use crate::{Element, Form, Large, Limits, Object};
use compact::Found;
use std::ops::Range;

/// The score would not be a number (infinity less infinity).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANumber;

/// On which conditions a member is added or its score changed: ZADD's options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddRule {
    /// NX: leaves members alone that are there.
    pub only_new: bool,
    /// XX: adds none.
    pub only_existing: bool,
    /// GT: a score only grows.
    pub only_greater: bool,
    /// LT: a score only shrinks.
    pub only_less: bool,
    /// INCR: the score is added to the one that is there.
    pub increment: bool,
}

impl AddRule {
    /// Adds, or replaces the score.
    pub const ALWAYS: Self = Self {
        only_new: false,
        only_existing: false,
        only_greater: false,
        only_less: false,
        increment: false,
    };

    /// What becomes of a member that has the score `old`.
    #[inline]
    fn apply(self, old: f64, score: f64) -> Result<Added, NotANumber> {
        if self.only_new {
            return Ok(Added::Refused);
        }
        let new = if self.increment { old + score } else { score };
        if new.is_nan() {
            return Err(NotANumber);
        }
        if (self.only_less && new >= old) || (self.only_greater && new <= old) {
            return Ok(Added::Refused);
        }
        // The zeros are one score: of a set that has -0, 0 changes nothing.
        Ok(if new == old { Added::Same(new) } else { Added::Changed(new) })
    }
}

/// What adding a member did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Added {
    /// Nothing: the rule was against it.
    Refused,
    /// Nothing: it has this score already.
    Same(f64),
    /// It was added with this score.
    New(f64),
    /// It was there and has this score now.
    Changed(f64),
}

/// A sorted set, read only. Ranks count from 0 at the least score.
///
/// The elements that reading gives stand for members; those of a large set are always [`Element::Bytes`], of whatever
/// bytes.
#[derive(Clone, Copy, Debug)]
pub enum ZSetRef<'a> {
    /// Packed member and score in turn.
    Compact(&'a [u8]),
    /// A structure of its own.
    Large(&'a ZSet),
}

impl<'a> ZSetRef<'a> {
    /// How many members there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Compact(bytes) => compact::len(bytes),
            Self::Large(large) => large.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Compact(bytes) => bytes.is_empty(),
            Self::Large(large) => large.is_empty(),
        }
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Compact(_) => "listpack",
            Self::Large(_) => "skiplist",
        }
    }

    /// A member's score.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Compact(bytes) => compact::find(bytes, Element::of(member)).map(|(score, _)| score),
            Self::Large(large) => large.score(member),
        }
    }

    /// A member's score and rank.
    #[inline]
    pub fn rank(&self, member: &[u8]) -> Option<(f64, usize)> {
        match self {
            Self::Compact(bytes) => {
                let (score, at) = compact::find(bytes, Element::of(member))?;
                Some((score, compact::rank_at(bytes, at)))
            }
            Self::Large(large) => large.rank(member),
        }
    }

    /// The ranks of the members whose scores are in `range`.
    #[inline]
    pub fn ranks_by_score(&self, range: &ScoreRange) -> Range<usize> {
        match self {
            _ if range.is_empty() => 0..0,
            Self::Compact(bytes) => compact::ranks_by_score(bytes, range),
            Self::Large(large) => large.ranks_by_score(range),
        }
    }

    /// The ranks of the members in `range`, in a set of one score. In another, they are what Redis would answer for a
    /// compact set when it reads forth, or back (`reverse`); for a large one, nobody can tell.
    pub fn ranks_by_lex(&self, range: &LexRange<'_>, reverse: bool) -> Range<usize> {
        match self {
            _ if range.is_empty() => 0..0,
            Self::Compact(bytes) => compact::ranks_by_lex(bytes, range, reverse),
            Self::Large(large) => large.ranks_by_lex(range),
        }
    }

    /// Calls `each` with the members of these ranks and their scores, in order or backwards. Panics past the end.
    #[inline]
    pub fn each(&self, ranks: Range<usize>, reverse: bool, mut each: impl FnMut(Element<'a>, f64)) {
        match self {
            Self::Compact(bytes) if reverse => compact::each_back(bytes, ranks, each),
            Self::Compact(bytes) => {
                let at = compact::offset_of(bytes, ranks.start);
                compact::entries_from(bytes, at)
                    .take(ranks.len())
                    .for_each(|entry| each(entry.member, entry.score));
            }
            Self::Large(large) => {
                large.each(ranks, reverse, |member, score| each(Element::Bytes(member), score));
            }
        }
    }

    /// All members and their scores, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Element<'a>, f64)> + use<'a> {
        self.iter_from(0)
    }

    /// All members and their scores from rank `rank` on, in order. Panics past the end.
    pub fn iter_from(&self, rank: usize) -> impl Iterator<Item = (Element<'a>, f64)> + use<'a> {
        let (compact, large) = match *self {
            Self::Compact(bytes) => (&bytes[compact::offset_of(bytes, rank)..], None),
            Self::Large(large) => (&[][..], Some(large.range(rank..large.len()))),
        };
        let compact = compact::entries(compact).map(|entry| (entry.member, entry.score));
        compact.chain(large.into_iter().flatten())
    }

    /// Visits about `count` members from `cursor` on, and returns the cursor to go on from: 0 begins, and is returned
    /// at the end. All members of a compact set are visited at once.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'_>, f64)) -> u64 {
        match self {
            Self::Compact(bytes) => {
                compact::entries(bytes).for_each(|entry| visit(entry.member, entry.score));
                0
            }
            Self::Large(large) => {
                large.scan(cursor, count, |member, score| visit(Element::Bytes(member), score))
            }
        }
    }
}

/// A sorted set to be changed.
pub struct ZSetMut<'a> {
    place: &'a mut dyn Place,
    limits: &'a Limits,
}

impl<'a> ZSetMut<'a> {
    /// The sorted set in `place`.
    pub fn new(place: &'a mut dyn Place, limits: &'a Limits) -> Self {
        Self { place, limits }
    }

    /// The thresholds in force.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// The set as it is, to read.
    #[inline]
    pub fn get(&self) -> ZSetRef<'_> {
        match self.place.stored() {
            Stored::Compact(_, bytes) => ZSetRef::Compact(bytes),
            Stored::Large(Large::ZSet(zset)) => ZSetRef::Large(zset),
            Stored::Large(other) => unreachable!("a {:?} where a sorted set is expected", other.form()),
        }
    }

    fn large(&mut self) -> &mut ZSet {
        match self.place.large_mut() {
            Large::ZSet(zset) => zset,
            other => unreachable!("a {:?} where a sorted set is expected", other.form()),
        }
    }

    /// Makes room for `count` members that are about to be added, the first of `member_len` bytes: with more than the
    /// threshold the set becomes large at once, as in Redis, whatever comes of them.
    pub fn expect(&mut self, count: usize, member_len: usize) {
        let long = member_len > self.limits.zset_max_listpack_value;
        if let ZSetRef::Compact(bytes) = self.get()
            && (count > self.limits.zset_max_listpack_entries || (bytes.is_empty() && long))
        {
            self.grow();
        }
    }

    /// Adds a member, or changes its score, where `rule` lets it. `score` is not NaN. Errors: [`NotANumber`]; nothing
    /// was changed.
    #[inline]
    pub fn add(&mut self, member: &[u8], score: f64, rule: AddRule) -> Result<Added, NotANumber> {
        debug_assert!(!score.is_nan(), "no member has the score NaN");
        let ZSetRef::Compact(bytes) = self.get() else { return self.large().add(member, score, rule) };
        let element = Element::of(member);
        match compact::find_or_place(bytes, element, score) {
            Found::There { score: old, at } => {
                let added = rule.apply(old, score)?;
                if let Added::Changed(new) = added {
                    compact::rescore(self.place, at, element, new);
                }
                Ok(added)
            }
            Found::Missing { .. } if rule.only_existing => Ok(Added::Refused),
            Found::Missing { len, place } => {
                if len < self.limits.zset_max_listpack_entries
                    && member.len() <= self.limits.zset_max_listpack_value
                {
                    compact::insert(self.place, place, element, score);
                } else {
                    self.grow();
                    self.large().insert(member, score);
                }
                Ok(Added::New(score))
            }
        }
    }

    /// Takes a member out, and answers its score.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let ZSetRef::Compact(bytes) = self.get() else { return self.large().remove(member) };
        let (score, at) = compact::find(bytes, Element::of(member))?;
        let end = at + compact::entry_size(&bytes[at..]);
        compact::remove(self.place, at..end);
        Some(score)
    }

    /// Takes out the members of these ranks. Panics past the end.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        let ZSetRef::Compact(bytes) = self.get() else { return self.large().remove_ranks(ranks) };
        let start = compact::offset_of(bytes, ranks.start);
        let end = start + compact::offset_of(&bytes[start..], ranks.len());
        compact::remove(self.place, start..end);
    }

    /// Turns a compact set into a large one.
    fn grow(&mut self) {
        let mut large = ZSet::default();
        let mut room = itoa::Buffer::new();
        self.get().iter().for_each(|(member, score)| large.insert(member.text(&mut room), score));
        self.place.set_large(Large::ZSet(large));
    }
}

/// A new sorted set of these members, each once, in order: `len` of them, the longest of `member_len_max` bytes.
pub fn collect<'m>(
    members: impl Iterator<Item = (&'m [u8], f64)>,
    len: usize,
    member_len_max: usize,
    limits: &Limits,
) -> Object {
    if len <= limits.zset_max_listpack_entries && member_len_max <= limits.zset_max_listpack_value {
        let mut bytes = Vec::new();
        members.for_each(|(member, score)| compact::push(&mut bytes, Element::of(member), score));
        return Object::Compact(Form::ZSet, bytes);
    }
    let mut large = ZSet::default();
    members.for_each(|(member, score)| large.insert(member, score));
    Object::Large(Box::new(Large::ZSet(large)))
}

impl std::fmt::Debug for ZSetMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ZSetMut").field(&self.place.stored()).finish()
    }
}
