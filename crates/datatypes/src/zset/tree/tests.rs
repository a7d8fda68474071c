//! The tree against a sorted vector.

use super::node::{INNER_BYTES, LEAF_BYTES};
use super::{Node, Pair, Tree};
use crate::item::Scored;
use proptest::prelude::*;
use stdx::Rng;

/// A tree, its members, and what it should hold.
#[derive(Default)]
struct Tested {
    tree: Tree,
    model: Vec<(f64, Scored)>,
}

impl Tested {
    fn place(&self, score: f64, name: &[u8]) -> Result<usize, usize> {
        self.model.binary_search_by(|(other, scored)| {
            other.partial_cmp(&score).unwrap().then_with(|| scored.member().cmp(name))
        })
    }

    fn insert(&mut self, score: f64, name: &[u8]) {
        let Err(place) = self.place(score, name) else { return };
        let scored = Scored::new(name, score);
        self.tree.insert(Pair { score, member: scored.pointer() });
        self.model.insert(place, (score, scored));
    }

    fn remove(&mut self, place: usize) {
        let (score, scored) = self.model.remove(place);
        self.tree.remove(Pair { score, member: scored.pointer() });
    }

    fn remove_run(&mut self, place: usize, max: usize) {
        let mut removed = Vec::new();
        let count = self.tree.remove_run(place, max, |pair| removed.push(pair.member));
        assert!((1..=max).contains(&count) && removed.len() == count);
        for (member, (_, expected)) in removed.iter().zip(self.model.drain(place..place + count)) {
            assert_eq!(*member, expected.pointer());
        }
    }

    /// Compares everything, and checks what nodes say of their children.
    fn check(&self) {
        assert_eq!(self.tree.len, self.model.len());
        let (count, bytes) = self.tree.root.as_ref().map_or((0, 0), check_node);
        assert_eq!((count, bytes), (self.model.len(), self.tree.memory()));
        let forth: Vec<_> =
            self.tree.range(0..self.model.len()).map(|pair| (pair.score, pair.member)).collect();
        let expected: Vec<_> = self.model.iter().map(|(score, scored)| (*score, scored.pointer())).collect();
        assert_eq!(forth, expected);
        let mut back: Vec<_> =
            self.tree.range(0..self.model.len()).rev().map(|pair| (pair.score, pair.member)).collect();
        back.reverse();
        assert_eq!(back, expected);
    }

    fn check_ranks(&self, rng: &mut Rng) {
        if self.model.is_empty() {
            return;
        }
        for _ in 0..20 {
            let rank = rng.index(self.model.len());
            let (score, scored) = &self.model[rank];
            assert_eq!(self.tree.range(rank..rank + 1).next().unwrap().member, scored.pointer());
            assert_eq!(self.tree.position(|pair| pair.precedes(*score, scored.member())), rank);
            let below = self.model.partition_point(|(other, _)| other < score);
            assert_eq!(self.tree.position(|pair| pair.score < *score), below);
        }
    }
}

/// Pairs and bytes below a node.
fn check_node(node: &Node) -> (usize, usize) {
    match node {
        Node::Leaf(leaf) => (leaf.len(), LEAF_BYTES),
        Node::Inner(inner) => {
            let (mut count, mut bytes) = (0, INNER_BYTES);
            for at in 0..inner.len() {
                let child = inner.child(at);
                let (below, taken) = check_node(child);
                assert!(below > 0, "an empty child");
                assert_eq!(below, inner.counts()[at]);
                let (min, least) = (inner.min(at), child.min());
                assert_eq!((min.score, min.member), (least.score, least.member));
                count += below;
                bytes += taken;
            }
            (count, bytes)
        }
    }
}

/// Random steps that grow and shrink the tree, with few scores (many ties) or many.
fn play(seed: u64, scores: u64, steps: usize) {
    let mut rng = Rng::new(seed);
    let mut tested = Tested::default();
    let mut growing = true;
    for step in 0..steps {
        if rng.one_in(400) {
            growing = !growing;
        }
        let grow = rng.below(10) < if growing { 8 } else { 2 };
        if grow || tested.model.is_empty() {
            let name = rng.below(100_000).to_string();
            tested.insert(rng.below(scores) as f64, name.as_bytes());
        } else if rng.one_in(50) {
            let place = rng.index(tested.model.len());
            let max = 1 + rng.index(tested.model.len() - place);
            tested.remove_run(place, max);
        } else {
            let place = rng.index(tested.model.len());
            tested.remove(place);
        }
        if step % 97 == 0 {
            tested.check();
            tested.check_ranks(&mut rng);
        }
    }
    tested.check();
    while !tested.model.is_empty() {
        let place = rng.index(tested.model.len());
        tested.remove(place);
    }
    tested.check();
    assert_eq!(tested.tree.memory(), 0);
}

#[test]
fn steps_of_all_kinds() {
    for (seed, scores) in [(1, 3), (2, 50), (3, 1_000_000)] {
        play(seed, scores, 15_000);
    }
}

/// Inserts pairs in the order of `order` and says how full the leaves are.
fn fill(count: usize, order: impl Fn(usize) -> usize) -> f64 {
    let mut tested = Tested::default();
    for number in 0..count {
        let score = order(number) as f64;
        let scored = Scored::new(b"m", score);
        tested.tree.insert(Pair { score, member: scored.pointer() });
        tested.model.push((score, scored));
    }
    tested.model.sort_by(|one, other| one.0.total_cmp(&other.0));
    tested.check();
    (count * 16) as f64 / tested.tree.memory() as f64
}

#[test]
fn members_that_come_in_order_fill_their_leaves() {
    assert!(fill(50_000, |number| number) > 0.93);
    assert!(fill(50_000, |number| 50_000 - number) > 0.8);
}

#[test]
fn members_that_come_in_any_order_fill_most_of_their_leaves() {
    let full = fill(50_000, |number| number * 39_989 % 50_000);
    assert!(full > 0.75, "{full}");
    let mut rng = Rng::new(5);
    let random: Vec<usize> = (0..50_000).map(|_| rng.index(1 << 40)).collect();
    let full = fill(50_000, |number| random[number]);
    assert!(full > 0.75, "{full}");
}

#[test]
fn dismantling_frees_a_budget_at_a_time() {
    let mut tested = Tested::default();
    (0..20_000).for_each(|number| tested.insert(f64::from(number % 100), number.to_string().as_bytes()));
    let mut calls = 1;
    while tested.tree.dismantle(1000) {
        calls += 1;
    }
    assert!((10..=21).contains(&calls), "{calls}");
    assert_eq!((tested.tree.memory(), tested.tree.len), (0, 0));
}

#[test]
fn scores_change_in_place_only_where_the_order_stays() {
    let mut tested = Tested::default();
    (0..1000).for_each(|number| tested.insert(f64::from(number) * 10.0, b"m"));
    let pair = |place: usize| Pair { score: tested.model[place].0, member: tested.model[place].1.pointer() };
    assert!(tested.tree.rescore(pair(500), 5001.0));
    let changed = Pair { score: 5001.0, ..pair(500) };
    assert_eq!(tested.tree.range(500..501).next().unwrap().score, 5001.0);
    assert!(tested.tree.rescore(changed, 4995.0));
    assert!(!tested.tree.rescore(Pair { score: 4995.0, ..changed }, 5010.5));
    assert!(!tested.tree.rescore(pair(0), 1.0));
    tested.model[500].0 = 4995.0;
    tested.check();
}

proptest! {
    #[test]
    fn any_steps(seed: u64, scores in 1u64..2000) {
        play(seed, scores, 600);
    }
}
