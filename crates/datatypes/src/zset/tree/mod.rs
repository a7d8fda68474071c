//! A B+tree of pairs of score and member, in order, that knows the rank of each.
//!
//! Leaves hold up to 63 pairs, inner nodes up to 51 children and of each child its least pair and how many pairs are
//! below it. So a rank, the pair of a rank, and the bounds of a range by score or by member are one way down, and a
//! range is read leaf by leaf. A full node first gives to a neighbour; only between two that are nearly full it is
//! split, and at the end of the tree not in the middle: members that come in order fill their leaves. Every way down
//! makes room (or, removing, fills up) as it goes, so nothing is passed back up but least pairs.
//!
//! The tree owns no member. Whoever has it keeps a member alive while the tree points to it: that is what makes
//! comparing, here and in [`Pair::precedes`], sound.

mod change;
mod node;

pub(super) use node::Pair;
use node::{Inner, Leaf, Node};
use std::ops::Range;

/// Pairs in order.
#[derive(Debug, Default)]
pub(super) struct Tree {
    root: Option<Node>,
    len: usize,
    bytes: usize,
}

impl Tree {
    /// Bytes of memory that its nodes take.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        self.bytes
    }

    /// How many pairs come before the first of which `before` does not hold; it holds of a beginning of them.
    #[inline]
    pub(super) fn position(&self, before: impl Fn(Pair) -> bool) -> usize {
        let Some(mut node) = self.root.as_ref() else { return 0 };
        let mut rank = 0;
        loop {
            match node {
                Node::Leaf(leaf) => return rank + leaf.position(&before),
                Node::Inner(inner) => {
                    // Of the last child that begins before, some may not be; of the first, all, or it begins later.
                    let Some(at) = inner.position(&before).checked_sub(1) else { return rank };
                    rank += inner.counts()[..at].iter().sum::<usize>();
                    node = inner.child(at);
                }
            }
        }
    }

    /// The leaf that holds the pair of a rank, and its place there. Panics past the end.
    fn leaf(&self, mut rank: usize) -> (&Leaf, usize) {
        let mut node = self.root.as_ref().expect("a rank in an empty tree");
        loop {
            match node {
                Node::Leaf(leaf) => return (leaf, rank),
                Node::Inner(inner) => {
                    let (at, below) = inner.child_of_rank(rank);
                    (node, rank) = (inner.child(at), below);
                }
            }
        }
    }

    /// Walks the pairs of these ranks. Panics past the end.
    pub(super) fn range(&self, ranks: Range<usize>) -> Pairs<'_> {
        assert!(ranks.start <= ranks.end && ranks.end <= self.len, "ranks {ranks:?} of {}", self.len);
        Pairs { tree: self, ranks, front: None, back: None }
    }
}

/// Pairs in order, from both ends.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a> {
    tree: &'a Tree,
    ranks: Range<usize>,
    /// The leaf where the next pair is, and its place.
    front: Option<(&'a Leaf, usize)>,
    back: Option<(&'a Leaf, usize)>,
}

impl Iterator for Pairs<'_> {
    type Item = Pair;

    #[inline]
    fn next(&mut self) -> Option<Pair> {
        let rank = self.ranks.next()?;
        let (leaf, at) = match self.front {
            Some((leaf, at)) if at < leaf.len() => (leaf, at),
            _ => {
                let (leaf, at) = self.tree.leaf(rank);
                leaf.prefetch(at..at + self.ranks.len() + 1);
                (leaf, at)
            }
        };
        self.front = Some((leaf, at + 1));
        Some(leaf.pair(at))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Pair> {
        let rank = self.ranks.next_back()?;
        let (leaf, at) = match self.back {
            Some((leaf, at @ 1..)) => (leaf, at - 1),
            _ => {
                let (leaf, at) = self.tree.leaf(rank);
                leaf.prefetch(at.saturating_sub(self.ranks.len())..at + 1);
                (leaf, at)
            }
        };
        self.back = Some((leaf, at));
        Some(leaf.pair(at))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

#[cfg(test)]
mod tests;
