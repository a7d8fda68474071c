//! The nodes of the tree: leaves of pairs, and inner nodes that know of each child its least pair and its size.

use crate::item::ScoredPtr;
use std::mem::swap;
use std::ops::Range;

/// A score and the member that has it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Pair {
    pub(in super::super) score: f64,
    pub(in super::super) member: ScoredPtr,
}

impl Pair {
    const NONE: Self = Self { score: 0.0, member: ScoredPtr::NONE };

    /// Whether it comes before the pair of `score` and `member` in a sorted set.
    #[inline]
    pub(in super::super) fn precedes(self, score: f64, member: &[u8]) -> bool {
        // SAFETY: pairs that are asked are in a tree, so their members are alive.
        self.score < score || (self.score == score && unsafe { self.member.member() } < member)
    }
}

/// Pairs of a leaf: as many as fill one block of 1 KiB.
pub(super) const LEAF_MAX: usize = 63;
/// Children of an inner node: as many as fill one block of 2 KiB.
pub(super) const INNER_MAX: usize = 51;
pub(super) const LEAF_BYTES: usize = 1024;
pub(super) const INNER_BYTES: usize = 2048;

const _: () = assert!(size_of::<Leaf>() <= LEAF_BYTES && size_of::<Leaf>() > LEAF_BYTES - 16);
const _: () = assert!(size_of::<Inner>() <= INNER_BYTES && size_of::<Inner>() > INNER_BYTES - 40);

/// Up to [`LEAF_MAX`] pairs in order.
#[derive(Debug)]
pub(super) struct Leaf {
    len: usize,
    scores: [f64; LEAF_MAX],
    members: [ScoredPtr; LEAF_MAX],
}

/// Up to [`INNER_MAX`] subtrees of the same height, in order.
#[derive(Debug)]
pub(super) struct Inner {
    len: usize,
    /// The least pair of each child.
    mins: [Pair; INNER_MAX],
    /// How many pairs are below each child.
    counts: [usize; INNER_MAX],
    children: [Option<Node>; INNER_MAX],
}

#[derive(Debug)]
pub(super) enum Node {
    Leaf(Box<Leaf>),
    Inner(Box<Inner>),
}

/// How many of `len` places come before the first at which `before` does not hold.
#[inline]
fn partition(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut size) = (0, len);
    while size > 0 {
        let half = size / 2;
        let holds = before(low + half);
        low = if holds { low + half + 1 } else { low };
        size = if holds { size - half - 1 } else { half };
    }
    low
}

/// Opens a place at `at` of `array`, whose first `len` are in use, and fills it.
fn insert<T>(array: &mut [T], len: usize, at: usize, value: T) {
    array[len] = value;
    array[at..=len].rotate_right(1);
}

impl Leaf {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { len: 0, scores: [0.0; LEAF_MAX], members: [ScoredPtr::NONE; LEAF_MAX] })
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn pair(&self, at: usize) -> Pair {
        assert!(at < self.len, "pair {at} of {}", self.len);
        Pair { score: self.scores[at], member: self.members[at] }
    }

    /// Fetches the members of these places, as far as there are any: each is a cache line somewhere else.
    #[inline]
    pub(super) fn prefetch(&self, places: Range<usize>) {
        let end = places.end.min(self.len);
        self.members[places.start..end].iter().for_each(|member| member.prefetch());
    }

    #[inline]
    pub(super) fn set_score(&mut self, at: usize, score: f64) {
        self.scores[at] = score;
    }

    #[inline]
    pub(super) fn position(&self, before: impl Fn(Pair) -> bool) -> usize {
        partition(self.len, |at| before(Pair { score: self.scores[at], member: self.members[at] }))
    }

    #[inline]
    pub(super) fn insert(&mut self, at: usize, pair: Pair) {
        let len = self.len;
        assert!(at <= len && len < LEAF_MAX, "place {at} of {len}");
        self.scores.copy_within(at..len, at + 1);
        self.members.copy_within(at..len, at + 1);
        (self.scores[at], self.members[at]) = (pair.score, pair.member);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, at: usize, count: usize) {
        self.scores.copy_within(at + count..self.len, at);
        self.members.copy_within(at + count..self.len, at);
        self.len -= count;
    }

    /// Moves pairs between two leaves that follow each other, so that this one has `len` of them.
    fn share(&mut self, right: &mut Self, len: usize) {
        if let Some(taken) = len.checked_sub(self.len) {
            self.scores[self.len..len].copy_from_slice(&right.scores[..taken]);
            self.members[self.len..len].copy_from_slice(&right.members[..taken]);
            right.remove(0, taken);
        } else {
            let given = self.len - len;
            right.scores.copy_within(..right.len, given);
            right.members.copy_within(..right.len, given);
            right.scores[..given].copy_from_slice(&self.scores[len..self.len]);
            right.members[..given].copy_from_slice(&self.members[len..self.len]);
            right.len += given;
        }
        self.len = len;
    }
}

impl Inner {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            len: 0,
            mins: [Pair::NONE; INNER_MAX],
            counts: [0; INNER_MAX],
            children: [const { None }; INNER_MAX],
        })
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn min(&self, at: usize) -> Pair {
        self.mins[at]
    }

    #[inline]
    pub(super) fn set_min(&mut self, at: usize, min: Pair) {
        self.mins[at] = min;
    }

    #[inline]
    pub(super) fn counts(&self) -> &[usize] {
        &self.counts[..self.len]
    }

    #[inline]
    pub(super) fn count_mut(&mut self, at: usize) -> &mut usize {
        &mut self.counts[at]
    }

    #[inline]
    pub(super) fn child(&self, at: usize) -> &Node {
        self.children[at].as_ref().expect("a child below the length")
    }

    #[inline]
    pub(super) fn child_mut(&mut self, at: usize) -> &mut Node {
        self.children[at].as_mut().expect("a child below the length")
    }

    /// How many children's least pairs come before the first of which `before` does not hold.
    #[inline]
    pub(super) fn position(&self, before: impl Fn(Pair) -> bool) -> usize {
        partition(self.len, |at| before(self.mins[at]))
    }

    /// The child that has the pair of rank `rank`, and its rank there.
    #[inline]
    pub(super) fn child_of_rank(&self, mut rank: usize) -> (usize, usize) {
        for (at, &count) in self.counts().iter().enumerate() {
            if rank < count {
                return (at, rank);
            }
            rank -= count;
        }
        panic!("a rank past the end of a node");
    }

    /// Puts in a child that is not empty.
    pub(super) fn insert(&mut self, at: usize, child: Node) {
        insert(&mut self.mins, self.len, at, child.min());
        self.insert_with(at, child);
    }

    /// Puts in an empty child that is to get `min`.
    pub(super) fn insert_empty(&mut self, at: usize, child: Node, min: Pair) {
        insert(&mut self.mins, self.len, at, min);
        self.insert_with(at, child);
    }

    fn insert_with(&mut self, at: usize, child: Node) {
        insert(&mut self.counts, self.len, at, child.count());
        insert(&mut self.children, self.len, at, Some(child));
        self.len += 1;
    }

    pub(super) fn remove(&mut self, at: usize) -> Node {
        let len = self.len;
        self.mins.copy_within(at + 1..len, at);
        self.counts.copy_within(at + 1..len, at);
        self.children[at..len].rotate_left(1);
        self.len -= 1;
        self.children[len - 1].take().expect("a child below the length")
    }

    /// Two children that follow each other.
    fn neighbours(&mut self, left: usize) -> (&mut Node, &mut Node) {
        let [a, b] = &mut self.children[left..left + 2] else { unreachable!("two children") };
        (a.as_mut().expect("a left child"), b.as_mut().expect("a right child"))
    }

    /// Moves what is in the children `left` and `left + 1`, so that the first has `len` of it.
    pub(super) fn share(&mut self, left: usize, len: usize) {
        let (a, b) = self.neighbours(left);
        match (a, b) {
            (Node::Leaf(a), Node::Leaf(b)) => a.share(b, len),
            (Node::Inner(a), Node::Inner(b)) => a.share_children(b, len),
            _ => unreachable!("children of different heights"),
        }
        for at in [left, left + 1] {
            self.counts[at] = self.child(at).count();
            if self.child(at).len() > 0 {
                self.mins[at] = self.child(at).min();
            }
        }
    }

    fn share_children(&mut self, right: &mut Self, len: usize) {
        if let Some(taken) = len.checked_sub(self.len) {
            let to = self.len..len;
            self.mins[to.clone()].copy_from_slice(&right.mins[..taken]);
            self.counts[to.clone()].copy_from_slice(&right.counts[..taken]);
            self.children[to].iter_mut().zip(&mut right.children[..taken]).for_each(|(a, b)| swap(a, b));
            right.mins.copy_within(taken..right.len, 0);
            right.counts.copy_within(taken..right.len, 0);
            right.children[..right.len].rotate_left(taken);
            right.len -= taken;
        } else {
            let given = self.len - len;
            let from = len..self.len;
            right.mins.copy_within(..right.len, given);
            right.counts.copy_within(..right.len, given);
            right.children[..right.len + given].rotate_right(given);
            right.mins[..given].copy_from_slice(&self.mins[from.clone()]);
            right.counts[..given].copy_from_slice(&self.counts[from.clone()]);
            self.children[from].iter_mut().zip(&mut right.children[..given]).for_each(|(a, b)| swap(a, b));
            right.len += given;
        }
        self.len = len;
    }
}

impl Node {
    /// Pairs of a leaf, children of an inner node.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len,
            Self::Inner(inner) => inner.len,
        }
    }

    /// Pairs below it.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len,
            Self::Inner(inner) => inner.counts().iter().sum(),
        }
    }

    /// The least pair below it. Panics when there is none.
    #[inline]
    pub(super) fn min(&self) -> Pair {
        match self {
            Self::Leaf(leaf) => leaf.pair(0),
            Self::Inner(inner) => inner.mins[0],
        }
    }

    pub(super) fn max_len(&self) -> usize {
        match self {
            Self::Leaf(_) => LEAF_MAX,
            Self::Inner(_) => INNER_MAX,
        }
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len() == self.max_len()
    }

    /// An empty node of the same height.
    pub(super) fn new_sibling(&self) -> Self {
        match self {
            Self::Leaf(_) => Self::Leaf(Leaf::new()),
            Self::Inner(_) => Self::Inner(Inner::new()),
        }
    }

    /// Bytes of its block.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Leaf(_) => LEAF_BYTES,
            Self::Inner(_) => INNER_BYTES,
        }
    }
}
