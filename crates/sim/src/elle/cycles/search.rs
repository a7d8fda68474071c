//! Short cycles within a component.

use std::collections::VecDeque;

use super::super::anomaly::Step;
use super::super::graph::{Edges, Why};
use super::Kinds;

/// Looks for shortest ways; steps from instant to instant cost nothing.
pub(super) struct Search<'a> {
    edges: &'a Edges,
    within: Vec<bool>,
    members: Vec<u32>,
    /// By node: in which search it was reached, from where, why, and after how many operations.
    reached: Vec<(u32, u32, Why, u32)>,
    searches: u32,
    /// Nodes that may still be visited for the present component.
    budget: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(edges: &'a Edges) -> Self {
        let reached = vec![(0, 0, Why::Time, 0); edges.nodes()];
        let within = vec![false; edges.nodes()];
        Self { edges, within, members: Vec::new(), reached, searches: 0, budget: 0 }
    }

    pub(super) fn edges(&self) -> &'a Edges {
        self.edges
    }

    /// All that follows looks at these nodes only.
    pub(super) fn stay_within(&mut self, component: &[u32]) {
        self.members.drain(..).for_each(|node| self.within[node as usize] = false);
        component.iter().for_each(|&node| self.within[node as usize] = true);
        self.members.extend(component);
        self.budget = VISITS_MAX;
    }

    pub(super) fn is_within(&self, node: usize) -> bool {
        self.within[node]
    }

    /// A shortest cycle of `kinds`, if the component is small; else a short one.
    pub(super) fn shortest(&mut self, kinds: Kinds, component: &[u32]) -> Option<Vec<Step>> {
        let ops = self.edges.ops;
        let mut best: Option<Vec<Step>> = None;
        for start in component.iter().map(|&node| node as usize).filter(|&node| node < ops) {
            if best.is_some() && self.budget == 0 {
                break;
            }
            let Some(mut cycle) = self.way(start, start, kinds, limit(&best)) else { continue };
            // A cycle that takes a detour through `start` has a shorter one through another of its operations.
            while let Some(shorter) = cycle
                .iter()
                .map(|step| step.op)
                .find_map(|op| self.way(op, op, kinds, cycle.len() as u32 - 1))
            {
                cycle = shorter;
            }
            best = Some(cycle);
        }
        best
    }

    /// A short cycle of `kinds` and one rw edge.
    pub(super) fn with_one_rw(&mut self, kinds: Kinds, component: &[u32]) -> Option<Vec<Step>> {
        let mut best: Option<Vec<Step>> = None;
        for &from in component {
            for &(to, why) in self.edges.from(from as usize) {
                if !matches!(why, Why::Rw(_)) || !self.within[to as usize] {
                    continue;
                }
                if self.budget == 0 {
                    return best;
                }
                let left = limit(&best).saturating_sub(1);
                if let Some(way) = self.way(to as usize, from as usize, kinds, left) {
                    best = Some([vec![Step { op: from as usize, why }], way].concat());
                }
            }
        }
        best
    }

    /// A shortest way of at most `longest` operations, the last not counted.
    fn way(&mut self, start: usize, end: usize, kinds: Kinds, longest: u32) -> Option<Vec<Step>> {
        self.searches += 1;
        let mut next = VecDeque::from([(start as u32, 0)]);
        while let Some((node, length)) = next.pop_front() {
            for &(to, why) in self.edges.from(node as usize) {
                let is_op = (to as usize) < self.edges.ops;
                let length = length + u32::from(is_op);
                let reached = &mut self.reached[to as usize];
                let is_known = reached.0 == self.searches && reached.3 <= length;
                if !kinds.has(why) || !self.within[to as usize] || is_known || length > longest {
                    continue;
                }
                *reached = (self.searches, node, why, length);
                self.budget = self.budget.saturating_sub(1);
                if to as usize == end {
                    return Some(self.steps(start, end));
                }
                if is_op { next.push_back((to, length)) } else { next.push_front((to, length)) }
            }
        }
        None
    }

    /// Walks back from `end`; instants are left out.
    fn steps(&self, start: usize, end: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut node = end;
        loop {
            let (_, from, why, _) = self.reached[node];
            node = from as usize;
            if node < self.edges.ops {
                steps.push(Step { op: node, why });
            }
            if node == start {
                break;
            }
        }
        steps.reverse();
        steps
    }
}

/// A cycle that is worth finding is shorter than this one.
fn limit(best: &Option<Vec<Step>>) -> u32 {
    best.as_ref().map_or(u32::MAX, |best| best.len() as u32 - 1)
}

/// How many nodes are visited in search of a shorter cycle than the first that was found.
const VISITS_MAX: usize = 20_000_000;
