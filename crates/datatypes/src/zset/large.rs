//! The large form: a table of members with their scores, which owns them, and a tree that keeps them in order.

use super::tree::{Pair, Tree};
use super::{AddRule, Added, LexRange, NotANumber, ScoreRange};
use crate::Element;
use crate::item::Scored;
use crate::object::LargeValue;
use crate::table::Table;
use std::ops::Range;

/// A large sorted set. Members are found by their bytes in a hash table, and by score and rank in a tree.
#[derive(Debug, Default)]
pub struct ZSet {
    // Every pair of the tree is of a member of the table, with its score, and the other way round: no member is freed
    // before its pair is gone. What is unsafe below leans on that.
    members: Table<Scored>,
    tree: Tree,
}

impl LargeValue for ZSet {
    fn memory(&self) -> usize {
        self.members.memory() + self.tree.memory()
    }

    fn len(&self) -> usize {
        self.members.len()
    }

    fn dismantle(&mut self, budget: usize) -> bool {
        self.tree.dismantle(budget) || self.members.dismantle(budget)
    }
}

impl Clone for ZSet {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        self.each(0..self.len(), false, |member, score| clone.insert(member, score));
        clone
    }
}

impl ZSet {
    /// A member's score.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.find(member).map(Scored::score)
    }

    /// A member's score and rank.
    #[inline]
    pub(super) fn rank(&self, member: &[u8]) -> Option<(f64, usize)> {
        let score = self.score(member)?;
        Some((score, self.tree.position(|pair| pair.precedes(score, member))))
    }

    pub(super) fn ranks_by_score(&self, range: &ScoreRange) -> Range<usize> {
        let start = self.tree.position(|pair| range.begins_after(pair.score));
        let end = self.tree.position(|pair| range.reaches(pair.score));
        start..end.max(start)
    }

    pub(super) fn ranks_by_lex(&self, range: &LexRange<'_>) -> Range<usize> {
        // SAFETY: members of the tree are alive.
        let start = self.tree.position(|pair| range.begins_after(unsafe { pair.member.member() }));
        // SAFETY: as above.
        let end = self.tree.position(|pair| range.reaches(unsafe { pair.member.member() }));
        start..end.max(start)
    }

    /// Calls `each` with the members of these ranks, in order or backwards.
    pub(super) fn each<'a>(
        &'a self,
        ranks: Range<usize>,
        reverse: bool,
        mut each: impl FnMut(&'a [u8], f64),
    ) {
        // SAFETY: members of the tree are alive as long as the set is borrowed.
        let mut call = |pair: Pair| each(unsafe { pair.member.member() }, pair.score);
        if reverse {
            self.tree.range(ranks).rev().for_each(call);
        } else {
            self.tree.range(ranks).for_each(&mut call);
        }
    }

    /// Walks the members of these ranks.
    pub(super) fn range(&self, ranks: Range<usize>) -> impl Iterator<Item = (Element<'_>, f64)> + use<'_> {
        // SAFETY: members of the tree are alive as long as the set is borrowed.
        self.tree.range(ranks).map(|pair| (Element::Bytes(unsafe { pair.member.member() }), pair.score))
    }

    /// Visits about `count` members from `cursor` on, as [`Table::scan`] does.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        self.members.scan(cursor, count, |scored| visit(scored.member(), scored.score()))
    }

    /// Adds a member that may be there already, or changes its score.
    pub(super) fn add(&mut self, member: &[u8], score: f64, rule: AddRule) -> Result<Added, NotANumber> {
        let mut added = Ok(Added::Refused);
        let mut changed = None;
        let mut change = |scored: &mut Scored| {
            let old = scored.score();
            added = rule.apply(old, score);
            if let Ok(Added::Changed(new)) = added {
                scored.set_score(new);
                changed = Some(Pair { score: old, member: scored.pointer() });
            }
        };
        if rule.only_existing {
            if let Some(mut scored) = self.members.find_mut(member) {
                change(&mut scored);
            }
        } else {
            let mut made = None;
            let make = || {
                let scored = Scored::new(member, score);
                made = Some(Pair { score, member: scored.pointer() });
                scored
            };
            self.members.upsert(member, change, make);
            if let Some(pair) = made {
                self.tree.insert(pair);
                return Ok(Added::New(score));
            }
        }
        if let (Ok(Added::Changed(new)), Some(pair)) = (added, changed)
            && !self.tree.rescore(pair, new)
        {
            self.tree.remove(pair);
            self.tree.insert(Pair { score: new, ..pair });
        }
        added
    }

    /// Puts in a member that is not there.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) {
        let mut pair = None;
        let new = self.members.insert(member, || {
            let scored = Scored::new(member, score);
            pair = Some(Pair { score, member: scored.pointer() });
            scored
        });
        assert!(new, "a member twice in a sorted set");
        self.tree.insert(pair.expect("it was made"));
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let scored = self.members.remove(member)?;
        // The member lives until the end of this function.
        self.tree.remove(Pair { score: scored.score(), member: scored.pointer() });
        Some(scored.score())
    }

    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>) {
        let mut left = ranks.len();
        while left > 0 {
            let members = &mut self.members;
            left -= self.tree.remove_run(ranks.start, left, |pair| {
                // SAFETY: the member lives until the table gives it up, just below; the tree does not look at what it
                // has given out.
                let removed = members.remove(unsafe { pair.member.member() });
                debug_assert!(removed.is_some(), "a pair of no member");
            });
        }
    }
}
