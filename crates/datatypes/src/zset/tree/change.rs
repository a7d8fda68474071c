//! Changing the tree.

use super::node::{INNER_MAX, LEAF_MAX};
use super::{Inner, Leaf, Node, Pair, Tree};

/// A neighbour with so many free places takes from a full node; with fewer, sharing again would soon be due.
const FREE_PART: usize = 8;
/// A node of at most a quarter is filled up or merged before anything is taken from it.
const FEW_PART: usize = 4;

const _: () = assert!(LEAF_MAX / FEW_PART >= 2 && INNER_MAX / FEW_PART >= 2);

impl Tree {
    /// Puts in a pair that is not there.
    pub(in super::super) fn insert(&mut self, pair: Pair) {
        // SAFETY: the member that is put in is alive.
        let member = unsafe { pair.member.member() };
        let precedes = |other: Pair| other.precedes(pair.score, member);
        self.len += 1;
        if self.root.is_none() {
            self.root = Some(self.made(Node::Leaf(Leaf::new())));
        }
        if self.root.as_ref().is_some_and(Node::is_full) {
            self.raise();
        }
        // Whether the way down keeps to the end of the tree.
        let mut last = true;
        let mut node = self.root.as_mut().expect("made just now");
        loop {
            match node {
                Node::Leaf(leaf) => {
                    let at = leaf.position(precedes);
                    return leaf.insert(at, pair);
                }
                Node::Inner(inner) => {
                    let mut at = inner.position(precedes).saturating_sub(1);
                    if inner.child(at).is_full() {
                        let end = last && at + 1 == inner.len();
                        at = if end && appends(inner.child(at), precedes) {
                            split_last(inner, pair, &mut self.bytes)
                        } else {
                            make_room(inner, at, &mut self.bytes);
                            inner.position(precedes).saturating_sub(1)
                        };
                    }
                    last &= at + 1 == inner.len();
                    if at == 0 && !precedes(inner.min(0)) {
                        inner.set_min(0, pair);
                    }
                    *inner.count_mut(at) += 1;
                    node = inner.child_mut(at);
                }
            }
        }
    }

    /// Takes out a pair that is there.
    pub(in super::super) fn remove(&mut self, pair: Pair) {
        // SAFETY: the member is taken out while it is alive.
        let member = unsafe { pair.member.member() };
        let rank = self.position(|other| other.precedes(pair.score, member));
        let taken = self.remove_run(rank, 1, |removed| debug_assert_eq!(removed.member, pair.member));
        debug_assert_eq!(taken, 1);
    }

    /// Takes out up to `max` pairs from `rank` on, as many as are in one leaf, and returns how many there were.
    /// Panics when there is no pair of that rank.
    pub(in super::super) fn remove_run(
        &mut self,
        rank: usize,
        max: usize,
        mut each: impl FnMut(Pair),
    ) -> usize {
        let root = self.root.as_mut().expect("a rank in an empty tree");
        let removed = remove_run(root, rank, max, &mut self.bytes, &mut each);
        self.len -= removed;
        self.lower();
        removed
    }

    /// Gives a pair that is there another score, if it keeps its place in its leaf; says whether it did.
    pub(in super::super) fn rescore(&mut self, pair: Pair, score: f64) -> bool {
        // SAFETY: the member is in the tree, so it is alive.
        let member = unsafe { pair.member.member() };
        let Some(mut node) = self.root.as_mut() else { return false };
        loop {
            match node {
                Node::Inner(inner) => {
                    let at = inner.position(|other| !follows(other, pair.score, member)).saturating_sub(1);
                    node = inner.child_mut(at);
                }
                Node::Leaf(leaf) => {
                    let at = leaf.position(|other| other.precedes(pair.score, member));
                    // The first of a leaf is some inner node's least, and the last may have to go further.
                    let inside = at > 0 && at + 1 < leaf.len();
                    let stays = inside
                        && leaf.pair(at - 1).precedes(score, member)
                        && !leaf.pair(at + 1).precedes(score, member);
                    if stays {
                        leaf.set_score(at, score);
                    }
                    return stays;
                }
            }
        }
    }

    /// Frees nodes of about `budget` pairs, and says whether any are left. The tree is of no other use after that.
    pub(in super::super) fn dismantle(&mut self, budget: usize) -> bool {
        let Some(root) = self.root.as_mut() else { return false };
        let removed = shed(root, budget.max(1), &mut self.bytes);
        self.len -= removed;
        if self.len == 0 {
            self.bytes = 0;
            self.root = None;
        }
        self.root.is_some()
    }

    fn made(&mut self, node: Node) -> Node {
        self.bytes += node.bytes();
        node
    }

    /// Puts an inner node on top of a full root.
    fn raise(&mut self) {
        let mut top = Inner::new();
        top.insert(0, self.root.take().expect("a full root"));
        self.root = Some(self.made(Node::Inner(top)));
    }

    /// Takes away roots of one child, and an empty one.
    fn lower(&mut self) {
        while let Some(root) = &mut self.root {
            let child = match root {
                Node::Inner(inner) if inner.len() == 1 => Some(inner.remove(0)),
                ref empty if empty.len() == 0 => None,
                _ => return,
            };
            self.bytes -= root.bytes();
            self.root = child;
        }
    }
}

/// Whether a pair comes after that of `score` and `member`.
#[inline]
fn follows(pair: Pair, score: f64, member: &[u8]) -> bool {
    // SAFETY: the pair is in the tree, so its member is alive.
    pair.score > score || (pair.score == score && unsafe { pair.member.member() } > member)
}

/// Whether what is put in goes behind all that the last, full child holds; of inner nodes that is not looked at, for
/// what is put in next to them matters little.
fn appends(child: &Node, precedes: impl Fn(Pair) -> bool) -> bool {
    match child {
        Node::Leaf(leaf) => precedes(leaf.pair(leaf.len() - 1)),
        Node::Inner(_) => true,
    }
}

/// Starts a new last child, for `pair`, and returns the child to go on with.
fn split_last(inner: &mut Inner, pair: Pair, bytes: &mut usize) -> usize {
    debug_assert!(inner.len() < INNER_MAX, "every way down makes room");
    let last = inner.len() - 1;
    let sibling = inner.child(last).new_sibling();
    *bytes += sibling.bytes();
    match inner.child(last) {
        Node::Leaf(_) => inner.insert_empty(last + 1, sibling, pair),
        Node::Inner(child) => {
            let (len, least) = (child.len(), child.min(child.len() - 1));
            inner.insert_empty(last + 1, sibling, least);
            inner.share(last, len - 1);
            // SAFETY: the pair that is put in is alive.
            let member = unsafe { pair.member.member() };
            if follows(least, pair.score, member) {
                return last;
            }
        }
    }
    last + 1
}

/// Makes room in the full child `at`: gives to a neighbour that has some, or splits. The parent has room.
fn make_room(inner: &mut Inner, at: usize, bytes: &mut usize) {
    let max = inner.child(at).max_len();
    let has_room = |inner: &Inner, neighbour: usize| {
        neighbour < inner.len() && inner.child(neighbour).len() + max / FREE_PART <= max
    };
    if at > 0 && has_room(inner, at - 1) {
        even(inner, at - 1);
    } else if has_room(inner, at + 1) {
        even(inner, at);
    } else {
        let (sibling, min) = (inner.child(at).new_sibling(), inner.child(at).min());
        *bytes += sibling.bytes();
        inner.insert_empty(at + 1, sibling, min);
        even(inner, at);
    }
}

/// Shares evenly between the children `left` and `left + 1`.
fn even(inner: &mut Inner, left: usize) {
    let both = inner.child(left).len() + inner.child(left + 1).len();
    inner.share(left, both / 2);
}

fn remove_run(
    node: &mut Node,
    rank: usize,
    max: usize,
    bytes: &mut usize,
    each: &mut impl FnMut(Pair),
) -> usize {
    let inner = match node {
        Node::Leaf(leaf) => {
            let count = max.min(leaf.len() - rank);
            (rank..rank + count).for_each(|at| each(leaf.pair(at)));
            leaf.remove(rank, count);
            return count;
        }
        Node::Inner(inner) => inner,
    };
    let (mut at, mut below) = inner.child_of_rank(rank);
    let child = inner.child(at);
    if child.len() <= child.max_len() / FEW_PART && inner.len() > 1 {
        fill_up(inner, at, bytes);
        (at, below) = inner.child_of_rank(rank);
    }
    let removed = remove_run(inner.child_mut(at), below, max, bytes, each);
    *inner.count_mut(at) -= removed;
    if inner.child(at).len() == 0 {
        *bytes -= inner.remove(at).bytes();
    } else if below == 0 {
        inner.set_min(at, inner.child(at).min());
    }
    removed
}

/// Merges the child `at`, which holds little, with a neighbour, or takes from it.
fn fill_up(inner: &mut Inner, at: usize, bytes: &mut usize) {
    let left = if at > 0 { at - 1 } else { at };
    let (a, b) = (inner.child(left), inner.child(left + 1));
    let (both, max) = (a.len() + b.len(), a.max_len());
    if both > max - max / FREE_PART {
        return even(inner, left);
    }
    inner.share(left, both);
    *bytes -= inner.remove(left + 1).bytes();
}

/// Frees nodes from the end on, with about `budget` pairs, and returns how many pairs they had.
fn shed(node: &mut Node, budget: usize, bytes: &mut usize) -> usize {
    let inner = match node {
        Node::Leaf(leaf) => {
            let len = leaf.len();
            leaf.remove(0, len);
            return len;
        }
        Node::Inner(inner) => inner,
    };
    let mut gone = 0;
    while gone < budget && inner.len() > 0 {
        let last = inner.len() - 1;
        gone += shed(inner.child_mut(last), budget - gone, bytes);
        if inner.child(last).len() == 0 {
            *bytes -= inner.remove(last).bytes();
        }
    }
    gone
}
