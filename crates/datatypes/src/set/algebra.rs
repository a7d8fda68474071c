//! Intersection, union and difference, member by member: nothing is put together that can be told without.

use super::ints::Ints;
use super::{Set, SetRef, normal};
use crate::element::Element;
use crate::packed;
use crate::table;

/// Visits the members that are in all of `sets`, until `visit` says false. Sorts the sets by size.
pub fn intersect<'a>(sets: &mut [SetRef<'a>], mut visit: impl FnMut(Element<'a>) -> bool) {
    sets.sort_by_cached_key(|set| set.len());
    let Some((first, others)) = sets.split_first() else { return };
    for member in first.iter() {
        let mut probe = Probe::new(member);
        if others.iter().all(|set| probe.is_in(*set)) && !visit(member) {
            return;
        }
    }
}

/// Visits the members of `first` that are in none of `others`.
pub fn subtract<'a>(first: SetRef<'a>, others: &[SetRef<'a>], mut visit: impl FnMut(Element<'a>)) {
    let size: usize = others.iter().map(|set| set.len()).sum();
    // Put together, they are looked into once for each member of `first`, not each of them once.
    let gathered = (others.len() > 1 && size < first.len()).then(|| gather(others));
    for member in first.iter() {
        let mut probe = Probe::new(member);
        let excluded = match &gathered {
            Some(gathered) => probe.is_in(SetRef::Large(gathered)),
            None => others.iter().any(|set| probe.is_in(*set)),
        };
        if !excluded {
            visit(member);
        }
    }
}

/// Visits the members that are in any of `sets`, once each; in ascending order when all are arrays of integers.
pub fn unite<'a>(sets: &[SetRef<'a>], mut visit: impl FnMut(Element<'a>)) {
    let arrays: Option<Vec<Ints<'a>>> = sets.iter().map(|set| set.ints()).collect();
    if let Some(arrays) = arrays {
        let mut all: Vec<i64> = arrays.into_iter().flat_map(Ints::iter).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter().for_each(|int| visit(Element::Int(int)));
    } else if sets.len() <= UNION_LOOKS_UP {
        for (index, set) in sets.iter().enumerate() {
            for member in set.iter() {
                let mut probe = Probe::new(member);
                if !sets[..index].iter().any(|before| probe.is_in(*before)) {
                    visit(member);
                }
            }
        }
    } else {
        let mut seen = Set::default();
        for member in sets.iter().flat_map(|set| set.iter()) {
            if seen.insert(member.text(&mut itoa::Buffer::new())) {
                visit(member);
            }
        }
    }
}

/// So many sets or fewer are united by looking their members up in those before; more need a set of what was seen.
const UNION_LOOKS_UP: usize = 4;

/// The members of all of `sets`.
fn gather(sets: &[SetRef<'_>]) -> Set {
    let mut all = Set::default();
    for member in sets.iter().flat_map(|set| set.iter()) {
        all.insert(member.text(&mut itoa::Buffer::new()));
    }
    all
}

/// A member that is looked for in several sets: what they need of it is found out once.
struct Probe<'a> {
    member: Element<'a>,
    /// As compact sets keep it.
    normal: Option<Element<'a>>,
    hash: Option<u64>,
    room: itoa::Buffer,
}

impl<'a> Probe<'a> {
    #[inline]
    fn new(member: Element<'a>) -> Self {
        Self { member, normal: None, hash: None, room: itoa::Buffer::new() }
    }

    #[inline]
    fn normal(&mut self) -> Element<'a> {
        *self.normal.get_or_insert_with(|| normal(self.member))
    }

    #[inline]
    fn is_in(&mut self, set: SetRef<'_>) -> bool {
        match set {
            SetRef::Ints(bytes) => match self.normal() {
                Element::Int(int) => Ints::new(bytes).contains(int),
                Element::Bytes(_) => false,
            },
            SetRef::Packed(bytes) => packed::find(bytes, 1, self.normal()).is_some(),
            SetRef::Large(set) => {
                let text = self.member.text(&mut self.room);
                let hash = *self.hash.get_or_insert_with(|| table::hash(text));
                set.members.find_hashed(hash, text).is_some()
            }
        }
    }
}
