//! Strongly connected components, after Tarjan, without recursion.

use super::super::graph::Edges;
use super::Kinds;

/// All components of more than one node, made of edges of these kinds that `follows` (from, to) lets through.
pub(super) fn components(
    edges: &Edges,
    kinds: Kinds,
    follows: impl Fn(usize, usize) -> bool,
) -> Vec<Vec<u32>> {
    let mut walk = Walk::new(edges.nodes());
    for root in 0..edges.nodes() {
        if walk.order[root] != 0 {
            continue;
        }
        walk.enter(root);
        while let Some(&(node, at)) = walk.path.last() {
            let (node, at) = (node as usize, at as usize);
            let Some(&(to, why)) = edges.from(node).get(at) else {
                walk.leave(node);
                continue;
            };
            walk.path.last_mut().expect("just looked at").1 += 1;
            let to = to as usize;
            if !kinds.has(why) || !follows(node, to) {
                continue;
            }
            match walk.order[to] {
                0 => walk.enter(to),
                order if walk.is_open[to] => walk.low[node] = walk.low[node].min(order),
                _ => {}
            }
        }
    }
    walk.found
}

struct Walk {
    /// When each node was entered, from 1 on.
    order: Vec<u32>,
    /// The earliest open node that is reached from here.
    low: Vec<u32>,
    /// Entered, and its component is not known yet.
    is_open: Vec<bool>,
    open: Vec<u32>,
    /// From the root to here: nodes, and how many of their edges were followed.
    path: Vec<(u32, u32)>,
    entered: u32,
    found: Vec<Vec<u32>>,
}

impl Walk {
    fn new(nodes: usize) -> Self {
        Self {
            order: vec![0; nodes],
            low: vec![0; nodes],
            is_open: vec![false; nodes],
            open: Vec::new(),
            path: Vec::new(),
            entered: 0,
            found: Vec::new(),
        }
    }

    fn enter(&mut self, node: usize) {
        self.entered += 1;
        (self.order[node], self.low[node]) = (self.entered, self.entered);
        self.is_open[node] = true;
        self.open.push(node as u32);
        self.path.push((node as u32, 0));
    }

    fn leave(&mut self, node: usize) {
        self.path.pop();
        if let Some(&(parent, _)) = self.path.last() {
            let parent = parent as usize;
            self.low[parent] = self.low[parent].min(self.low[node]);
        }
        if self.low[node] != self.order[node] {
            return;
        }
        let start = self.open.iter().rposition(|&open| open as usize == node).expect("it is open");
        let component = self.open.split_off(start);
        component.iter().for_each(|&member| self.is_open[member as usize] = false);
        if component.len() > 1 {
            self.found.push(component);
        }
    }
}
