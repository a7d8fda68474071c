//! The chunks between a large list's first and last: a tree with counts, so that a position is found, and a chunk put
//! in or taken out, in a few steps of at most [`FAN_OUT`] each, however long the list is.
//!
//! All leaves are at the same depth. A full node splits; one that has become nearly empty joins its neighbour.

use super::chunk::{Chunk, End};
use stdx::size::good_size;

/// Children of a node.
const FAN_OUT: usize = 32;
/// Bytes of a node. Leaves take a little less.
const NODE_BYTES: usize = FAN_OUT * size_of::<Branch>();
/// Two neighbours with so few children between them become one.
const JOIN_AT: usize = FAN_OUT / 2;
const _: () = assert!(size_of::<Branch>() == 40 && size_of::<Chunk>() == 32);

/// Chunks in order, none of them empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    root: Node,
    totals: Totals,
    nodes: usize,
}

/// Sums over all chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    chunks: usize,
    elements: usize,
    bytes: usize,
    memory: usize,
}

#[derive(Debug)]
enum Node {
    Leaf(Vec<Chunk>),
    Inner(Vec<Branch>),
}

#[derive(Clone, Debug)]
struct Branch {
    elements: usize,
    node: Node,
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Vec::new())
    }
}

impl Clone for Node {
    /// With the same capacity, which is counted as memory.
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(chunks) if chunks.is_empty() => Self::default(),
            Self::Leaf(chunks) => Self::Leaf(full_of(chunks.iter().cloned())),
            Self::Inner(branches) => Self::Inner(full_of(branches.iter().cloned())),
        }
    }
}

/// A node's children, with room for all that it may have.
fn full_of<T>(children: impl Iterator<Item = T>) -> Vec<T> {
    let mut node = Vec::with_capacity(FAN_OUT);
    node.extend(children);
    node
}

impl Tree {
    /// How many elements its chunks hold.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.totals.elements
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.totals.elements == 0
    }

    pub(super) fn chunks(&self) -> usize {
        self.totals.chunks
    }

    /// Bytes of its chunks' elements.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.totals.bytes
    }

    /// Bytes of memory of chunks and nodes.
    pub(super) fn memory(&self) -> usize {
        self.totals.memory + self.nodes * good_size(NODE_BYTES)
    }

    /// The chunk that holds element `at`, and the number of its first element. Panics past the end.
    pub(super) fn find(&self, at: usize) -> (&Chunk, usize) {
        let (mut node, mut start) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(chunks) => {
                    let index = find(chunks.iter().map(Chunk::len), at, &mut start);
                    return (&chunks[index], start);
                }
                Node::Inner(branches) => {
                    let index = find(branches.iter().map(|branch| branch.elements), at, &mut start);
                    node = &branches[index].node;
                }
            }
        }
    }

    /// Changes the chunk that holds element `at`; it must not become empty.
    pub(super) fn change(&mut self, at: usize, change: impl FnOnce(&mut Chunk)) {
        let (before, after) = self.root.change(at, change);
        assert!(after.elements > 0, "a chunk in the tree has elements");
        self.totals.remove(before);
        self.totals.add(after);
    }

    /// Puts a chunk in so that its first element becomes element `at`, where a chunk begins or the tree ends.
    pub(super) fn insert(&mut self, at: usize, chunk: Chunk) {
        debug_assert!(!chunk.is_empty());
        self.totals.add(Totals::of(&chunk));
        if self.nodes == 0 {
            self.root = Node::Leaf(full_of([chunk].into_iter()));
            self.nodes = 1;
            return;
        }
        if let Some(right) = self.root.insert(at, chunk, &mut self.nodes) {
            let left = std::mem::take(&mut self.root);
            self.root = Node::Inner(full_of([Branch::of(left), Branch::of(right)].into_iter()));
            self.nodes += 1;
        }
    }

    /// Takes out the chunk that begins with element `at`.
    pub(super) fn remove(&mut self, at: usize) -> Chunk {
        let chunk = self.root.remove(at, &mut self.nodes);
        self.totals.remove(Totals::of(&chunk));
        while let Node::Inner(branches) = &mut self.root
            && branches.len() == 1
        {
            self.root = branches.pop().expect("one branch").node;
            self.nodes -= 1;
        }
        if self.root.is_empty() {
            self.root = Node::default();
            self.nodes = 0;
        }
        chunk
    }

    /// Takes out the first or the last chunk.
    pub(super) fn take(&mut self, end: End) -> Option<Chunk> {
        if self.is_empty() {
            return None;
        }
        let at = match end {
            End::Front => 0,
            End::Back => self.find(self.len() - 1).1,
        };
        Some(self.remove(at))
    }

    /// Adds a chunk as the first or the last.
    pub(super) fn push(&mut self, end: End, chunk: Chunk) {
        let at = if end == End::Front { 0 } else { self.len() };
        self.insert(at, chunk);
    }
}

impl Totals {
    fn of(chunk: &Chunk) -> Self {
        Self { chunks: 1, elements: chunk.len(), bytes: chunk.bytes(), memory: chunk.memory() }
    }

    fn add(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.elements += other.elements;
        self.bytes += other.bytes;
        self.memory += other.memory;
    }

    fn remove(&mut self, other: Self) {
        self.chunks -= other.chunks;
        self.elements -= other.elements;
        self.bytes -= other.bytes;
        self.memory -= other.memory;
    }
}

impl Branch {
    fn of(node: Node) -> Self {
        Self { elements: node.elements(), node }
    }
}

impl Node {
    fn elements(&self) -> usize {
        match self {
            Self::Leaf(chunks) => chunks.iter().map(Chunk::len).sum(),
            Self::Inner(branches) => branches.iter().map(|branch| branch.elements).sum(),
        }
    }

    fn children(&self) -> usize {
        match self {
            Self::Leaf(chunks) => chunks.len(),
            Self::Inner(branches) => branches.len(),
        }
    }

    fn is_empty(&self) -> bool {
        self.children() == 0
    }

    /// What the chunk was before and is now.
    fn change(&mut self, at: usize, change: impl FnOnce(&mut Chunk)) -> (Totals, Totals) {
        let mut start = 0;
        match self {
            Self::Leaf(chunks) => {
                let index = find(chunks.iter().map(Chunk::len), at, &mut start);
                let chunk = &mut chunks[index];
                let before = Totals::of(chunk);
                change(chunk);
                (before, Totals::of(chunk))
            }
            Self::Inner(branches) => {
                let index = find(branches.iter().map(|branch| branch.elements), at, &mut start);
                let branch = &mut branches[index];
                let (before, after) = branch.node.change(at - start, change);
                branch.elements = branch.elements - before.elements + after.elements;
                (before, after)
            }
        }
    }

    /// Returns the right half if it had to split.
    fn insert(&mut self, at: usize, chunk: Chunk, nodes: &mut usize) -> Option<Self> {
        let mut start = 0;
        match self {
            Self::Leaf(chunks) => {
                let index = find_gap(chunks.iter().map(Chunk::len), at, &mut start);
                let index = index + usize::from(at > start);
                put(chunks, index, chunk, nodes).map(Self::Leaf)
            }
            Self::Inner(branches) => {
                let index = find_gap(branches.iter().map(|branch| branch.elements), at, &mut start);
                let branch = &mut branches[index];
                branch.elements += chunk.len();
                let right = Branch::of(branch.node.insert(at - start, chunk, nodes)?);
                branch.elements -= right.elements;
                put(branches, index + 1, right, nodes).map(Self::Inner)
            }
        }
    }

    fn remove(&mut self, at: usize, nodes: &mut usize) -> Chunk {
        let mut start = 0;
        match self {
            Self::Leaf(chunks) => {
                let index = find(chunks.iter().map(Chunk::len), at, &mut start);
                debug_assert_eq!(at, start, "a chunk is taken out by its first element");
                chunks.remove(index)
            }
            Self::Inner(branches) => {
                let index = find(branches.iter().map(|branch| branch.elements), at, &mut start);
                let branch = &mut branches[index];
                let chunk = branch.node.remove(at - start, nodes);
                branch.elements -= chunk.len();
                if branch.node.is_empty() {
                    branches.remove(index);
                    *nodes -= 1;
                } else {
                    let left = index.saturating_sub(1);
                    *nodes -= usize::from(join(branches, left) || join(branches, index));
                }
                chunk
            }
        }
    }

    /// Takes over all children of `right`, its neighbour.
    fn append(&mut self, right: Self) {
        match (self, right) {
            (Self::Leaf(left), Self::Leaf(right)) => left.extend(right),
            (Self::Inner(left), Self::Inner(right)) => left.extend(right),
            _ => unreachable!("neighbours are of one depth"),
        }
    }
}

/// Joins a branch with the one to its right if both have few children.
fn join(branches: &mut Vec<Branch>, left: usize) -> bool {
    let Some(right) = branches.get(left + 1) else { return false };
    if branches[left].node.children() + right.node.children() > JOIN_AT {
        return false;
    }
    let right = branches.remove(left + 1);
    branches[left].elements += right.elements;
    branches[left].node.append(right.node);
    true
}

/// Which of the children holds element `at`; the elements before it are added to `start`.
#[inline]
fn find(lens: impl Iterator<Item = usize>, at: usize, start: &mut usize) -> usize {
    for (index, len) in lens.enumerate() {
        if at < *start + len {
            return index;
        }
        *start += len;
    }
    panic!("element {at} is past the end")
}

/// The first child that holds or ends before element `at`; the elements before it are added to `start`.
fn find_gap(lens: impl Iterator<Item = usize>, at: usize, start: &mut usize) -> usize {
    for (index, len) in lens.enumerate() {
        if at <= *start + len {
            return index;
        }
        *start += len;
    }
    panic!("a gap before {at} is past the end")
}

/// Puts a child in. A full node gives half of its children, or at an end the new one alone, to a new node on its right.
fn put<T>(children: &mut Vec<T>, index: usize, child: T, nodes: &mut usize) -> Option<Vec<T>> {
    if children.len() < FAN_OUT {
        children.insert(index, child);
        return None;
    }
    *nodes += 1;
    if index == FAN_OUT {
        return Some(full_of([child].into_iter()));
    }
    if index == 0 {
        return Some(std::mem::replace(children, full_of([child].into_iter())));
    }
    let mut right = full_of(children.drain(FAN_OUT / 2..));
    if index <= FAN_OUT / 2 {
        children.insert(index, child);
    } else {
        right.insert(index - FAN_OUT / 2, child);
    }
    Some(right)
}

#[cfg(test)]
impl Tree {
    /// Walks everything and asserts that counts, sums and depths are right.
    pub(super) fn check(&self) {
        let (mut totals, mut nodes) = (Totals::default(), 0);
        if !self.is_empty() {
            self.root.check(&mut totals, &mut nodes);
        }
        assert_eq!((totals, nodes), (self.totals, self.nodes));
    }
}

#[cfg(test)]
impl Node {
    fn check(&self, totals: &mut Totals, nodes: &mut usize) -> u32 {
        *nodes += 1;
        assert!((1..=FAN_OUT).contains(&self.children()));
        match self {
            Self::Leaf(chunks) => {
                assert_eq!(chunks.capacity(), FAN_OUT);
                for chunk in chunks {
                    assert!(!chunk.is_empty());
                    totals.add(Totals::of(chunk));
                }
                0
            }
            Self::Inner(branches) => {
                assert_eq!(branches.capacity(), FAN_OUT);
                let depths: Vec<u32> = branches.iter().map(|one| one.node.check(totals, nodes)).collect();
                assert!(branches.iter().all(|branch| branch.elements == branch.node.elements()));
                assert!(depths.windows(2).all(|pair| pair[0] == pair[1]));
                depths[0] + 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Element;
    use proptest::prelude::*;

    fn chunk(numbers: std::ops::Range<i64>) -> Chunk {
        let mut chunk = Chunk::default();
        numbers.for_each(|number| chunk.push(End::Back, Element::Int(number)));
        chunk
    }

    fn contents(chunk: &Chunk) -> Vec<i64> {
        let mut numbers = Vec::new();
        chunk.walk(0, usize::MAX, |element| match element {
            Element::Int(number) => numbers.push(number),
            Element::Bytes(_) => panic!("only numbers"),
        });
        numbers
    }

    fn check_against(tree: &Tree, model: &[Vec<i64>]) {
        tree.check();
        assert_eq!(tree.chunks(), model.len());
        let mut at = 0;
        for expected in model {
            for element in 0..expected.len() {
                let (chunk, start) = tree.find(at + element);
                assert_eq!((contents(chunk), start), (expected.clone(), at));
            }
            at += expected.len();
        }
        assert_eq!(tree.len(), at);
    }

    #[test]
    fn chunks_at_the_ends_make_full_nodes() {
        let mut tree = Tree::default();
        for number in 0..3000 {
            tree.push(End::Back, chunk(number..number + 2));
        }
        tree.check();
        assert!(tree.nodes < 3000 / FAN_OUT + 10, "{} nodes", tree.nodes);
        assert_eq!(contents(tree.find(2 * 1234).0), [1234, 1235]);
        for _ in 0..1500 {
            tree.take(End::Front).unwrap();
            tree.take(End::Back).unwrap();
        }
        assert_eq!((tree.memory(), tree.take(End::Front).is_none()), (0, true));
    }

    proptest! {
        #[test]
        fn as_a_vector_of_chunks(steps in prop::collection::vec((0..8u8, any::<u16>(), 1..4i64), 1..400)) {
            let (mut tree, mut model) = (Tree::default(), Vec::<Vec<i64>>::new());
            for (number, (what, place, len)) in steps.into_iter().enumerate() {
                let index = place as usize % (model.len() + 1);
                let at = model[..index].iter().map(Vec::len).sum();
                let numbers = number as i64..number as i64 + len;
                match what {
                    0..5 => {
                        tree.insert(at, chunk(numbers.clone()));
                        model.insert(index, numbers.collect());
                    }
                    5..7 if index < model.len() => {
                        prop_assert_eq!(contents(&tree.remove(at)), model.remove(index));
                    }
                    _ if index < model.len() => {
                        tree.change(at, |one| one.push(End::Back, Element::Int(7)));
                        model[index].push(7);
                    }
                    _ => {}
                }
            }
            check_against(&tree, &model);
            check_against(&tree.clone(), &model);
            while !model.is_empty() {
                let index = model.len() / 3;
                let at = model[..index].iter().map(Vec::len).sum();
                prop_assert_eq!(contents(&tree.remove(at)), model.remove(index));
                tree.check();
            }
        }
    }
}
