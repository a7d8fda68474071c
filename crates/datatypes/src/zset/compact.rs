//! The compact form: packed member and score in turn, in the order of scores and then of members.
//!
//! A score that is a whole number of 64 bits is an integer element. Any other is a string of 4 bytes, when a single
//! precision float is the same number, or of 8: its IEEE bits, little-endian. So every score comes back to the last
//! bit, infinities too, and is read without parsing. Only -0 comes back as 0, as from Redis's compact form.

use super::{LexRange, ScoreRange};
use crate::Element;
use crate::packed;
use crate::place::{Place, Stored};
use std::cmp::Ordering;
use std::ops::Range;

/// A member, its score, and where they begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) member: Element<'a>,
    pub(super) score: f64,
    pub(super) at: usize,
}

impl Entry<'_> {
    /// Whether it comes after this member with this score.
    #[inline]
    fn follows(&self, member: Element<'_>, score: f64) -> bool {
        self.score > score || (self.score == score && compare(self.member, member) == Ordering::Greater)
    }
}

/// Members and scores in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    at: usize,
}

/// Walks from offset `at` on, where a member begins.
#[inline]
pub(super) fn entries_from(bytes: &[u8], at: usize) -> Entries<'_> {
    Entries { rest: &bytes[at..], at }
}

/// Walks all.
#[inline]
pub(super) fn entries(bytes: &[u8]) -> Entries<'_> {
    entries_from(bytes, 0)
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (member, rest) = Element::read(self.rest);
        let (score, rest) = Element::read(rest);
        let at = self.at;
        self.at += self.rest.len() - rest.len();
        self.rest = rest;
        Some(Entry { member, score: score_of(score), at })
    }
}

/// A score's bytes where it is no integer.
type ScoreBytes = [u8; 8];

/// The element that stands for a score, which uses `room` if it is no integer.
#[inline]
fn score_element(score: f64, room: &mut ScoreBytes) -> Element<'_> {
    let whole = score as i64;
    // The largest i64 would round up, so it never is what a double says.
    if whole as f64 == score && whole != i64::MAX {
        return Element::Int(whole);
    }
    let single = score as f32;
    if f64::from(single).to_bits() == score.to_bits() {
        room[..4].copy_from_slice(&single.to_le_bytes());
        return Element::Bytes(&room[..4]);
    }
    *room = score.to_le_bytes();
    Element::Bytes(room)
}

/// The score that an element stands for.
#[inline]
fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Int(whole) => whole as f64,
        Element::Bytes(bytes) => match <[u8; 4]>::try_from(bytes) {
            Ok(single) => f64::from(f32::from_le_bytes(single)),
            Err(_) => f64::from_le_bytes(bytes.try_into().expect("a score of eight bytes")),
        },
    }
}

/// The member's score and offset, if it is there.
#[inline]
pub(super) fn find(bytes: &[u8], member: Element<'_>) -> Option<(f64, usize)> {
    let mut at = 0;
    while at < bytes.len() {
        let (candidate, rest) = Element::read(&bytes[at..]);
        if candidate == member {
            return Some((score_of(Element::read(rest).0), at));
        }
        at = bytes.len() - rest.len() + packed::skip(rest);
    }
    None
}

/// What looking for a member that is to get a score gave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// It is there.
    There {
        /// Its score.
        score: f64,
        /// Where it begins.
        at: usize,
    },
    /// It is not there.
    Missing {
        /// How many others are.
        len: usize,
        /// Where it belongs.
        place: usize,
    },
}

/// Looks for a member, and for the place where it belongs with this score.
#[inline]
pub(super) fn find_or_place(bytes: &[u8], member: Element<'_>, score: f64) -> Found {
    let (mut len, mut place) = (0, None);
    for entry in entries(bytes) {
        if entry.member == member {
            return Found::There { score: entry.score, at: entry.at };
        }
        if place.is_none() && entry.follows(member, score) {
            place = Some(entry.at);
        }
        len += 1;
    }
    Found::Missing { len, place: place.unwrap_or(bytes.len()) }
}

/// How many members there are.
pub(super) fn len(bytes: &[u8]) -> usize {
    packed::count(bytes) / 2
}

/// The offset of the member of this rank, or the end.
#[inline]
pub(super) fn offset_of(bytes: &[u8], rank: usize) -> usize {
    packed::offset_of(bytes, 2 * rank)
}

/// Bytes of the member and score that `bytes` begin with.
pub(super) fn entry_size(bytes: &[u8]) -> usize {
    let member = packed::skip(bytes);
    member + packed::skip(&bytes[member..])
}

/// Calls `each` with the members of these ranks, backwards.
pub(super) fn each_back<'a>(bytes: &'a [u8], ranks: Range<usize>, mut each: impl FnMut(Element<'a>, f64)) {
    // Nothing tells where the entry before one begins, so offsets are noted, a block of them at a time.
    let mut offsets = [0; BACK_BLOCK];
    let mut end = ranks.end;
    while end > ranks.start {
        let start = end.saturating_sub(BACK_BLOCK).max(ranks.start);
        let from = offset_of(bytes, start);
        let block = &mut offsets[..end - start];
        for (place, entry) in block.iter_mut().zip(entries_from(bytes, from)) {
            *place = entry.at;
        }
        for &at in block.iter().rev() {
            let entry = entries_from(bytes, at).next().expect("an entry at a noted offset");
            each(entry.member, entry.score);
        }
        end = start;
    }
}

/// How many offsets are noted at a time: as many as there are entries where nobody has raised the threshold.
const BACK_BLOCK: usize = 128;

/// The rank of the member at an offset.
pub(super) fn rank_at(bytes: &[u8], at: usize) -> usize {
    len(&bytes[..at])
}

/// The order of two members: that of their texts.
#[inline]
fn compare(one: Element<'_>, other: Element<'_>) -> Ordering {
    match (one, other) {
        (Element::Bytes(one), Element::Bytes(other)) => one.cmp(other),
        (one, other) => one.text(&mut itoa::Buffer::new()).cmp(other.text(&mut itoa::Buffer::new())),
    }
}

/// Puts in a member that is not there, at the place that [`find_or_place`] told.
pub(super) fn insert(place: &mut dyn Place, at: usize, member: Element<'_>, score: f64) {
    packed::splice(place, at, 0, &[member, score_element(score, &mut [0; 8])]);
}

/// Gives the member at `at` another score, and moves it where it belongs.
pub(super) fn rescore(place: &mut dyn Place, at: usize, member: Element<'_>, score: f64) {
    let mut room = [0; 8];
    let element = score_element(score, &mut room);
    let bytes = bytes_of(place);
    let score_at = at + member.size();
    let end = score_at + packed::skip(&bytes[score_at..]);
    let follows = |entry: &Entry<'_>| entry.at != at && entry.follows(member, score);
    let to = entries(bytes).find(follows).map_or(bytes.len(), |entry| entry.at);
    // Its own place is told as that of what comes behind it.
    if to == end {
        return packed::splice(place, score_at, end - score_at, &[element]);
    }
    place.gap(at, end - at, 0);
    let to = if to > at { to - (end - at) } else { to };
    packed::splice(place, to, 0, &[member, element]);
}

/// Takes out the members from one offset to another.
pub(super) fn remove(place: &mut dyn Place, range: Range<usize>) {
    place.gap(range.start, range.len(), 0);
}

/// The bytes of the compact set in `place`.
#[inline]
pub(super) fn bytes_of(place: &dyn Place) -> &[u8] {
    match place.stored() {
        Stored::Compact(_, bytes) => bytes,
        Stored::Large(_) => unreachable!("a large value where a compact one is expected"),
    }
}

/// Appends a member to a compact set that is being put together in order.
pub(super) fn push(bytes: &mut Vec<u8>, member: Element<'_>, score: f64) {
    packed::push(bytes, member);
    packed::push(bytes, score_element(score, &mut [0; 8]));
}

/// The ranks of the members whose scores are in `range`.
pub(super) fn ranks_by_score(bytes: &[u8], range: &ScoreRange) -> Range<usize> {
    let mut start = 0;
    for (rank, entry) in entries(bytes).enumerate() {
        if range.begins_after(entry.score) {
            start = rank + 1;
        } else if !range.reaches(entry.score) {
            return start..rank.max(start);
        }
    }
    start..len(bytes)
}

/// The ranks of the members in `range`. Where scores differ, the members are in no order of theirs; then the answer is
/// Redis's: none unless the range reaches the first and the last is not before it; then, from the first on that is not
/// before it, as long as they are in it; `reverse`, from the last on that it reaches, back as long as they are in it.
pub(super) fn ranks_by_lex(bytes: &[u8], range: &LexRange<'_>, reverse: bool) -> Range<usize> {
    let mut room = itoa::Buffer::new();
    let (mut forth, mut back) = (0..0, 0..0);
    let (mut begun, mut ended, mut last_is_before) = (false, false, false);
    for (rank, entry) in entries(bytes).enumerate() {
        let text = entry.member.text(&mut room);
        let (before, reached) = (range.begins_after(text), range.reaches(text));
        if rank == 0 && !reached {
            return 0..0;
        }
        if !begun && !before {
            (begun, forth) = (true, rank..rank);
        }
        ended |= begun && !reached;
        if begun && !ended {
            forth.end = rank + 1;
        }
        if before {
            back.start = rank + 1;
        }
        if reached {
            back.end = rank + 1;
        }
        last_is_before = before;
    }
    match (last_is_before, reverse) {
        (true, _) => 0..0,
        (false, true) => back,
        (false, false) => forth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_score(score: f64, size: usize) {
        let mut bytes = Vec::new();
        packed::push(&mut bytes, score_element(score, &mut [0; 8]));
        let (element, rest) = Element::read(&bytes);
        assert_eq!(
            (score_of(element).to_bits(), rest.len(), bytes.len()),
            (score.to_bits(), 0, size),
            "{score}"
        );
    }

    #[test]
    fn scores_are_small_and_exact() {
        check_score(0.0, 1);
        check_score(100.0, 1);
        check_score(-70_000.0, 4);
        check_score(0.5, 5);
        check_score(f64::INFINITY, 5);
        check_score(f64::NEG_INFINITY, 5);
        check_score(2.4, 9);
        check_score(1e17, 9);
        check_score(-9_223_372_036_854_775_808.0, 9);
        check_score(9_223_372_036_854_775_808.0, 5);
        check_score(1e300, 9);
        check_score(5e-324, 9);
    }

    #[test]
    fn minus_zero_is_zero() {
        assert_eq!(score_element(-0.0, &mut [0; 8]), Element::Int(0));
    }

    proptest! {
        #[test]
        fn every_score_comes_back(bits: u64) {
            let score = f64::from_bits(bits);
            prop_assume!(!score.is_nan() && bits != 1 << 63);
            let mut room = [0; 8];
            prop_assert_eq!(score_of(score_element(score, &mut room)).to_bits(), bits);
        }
    }
}
