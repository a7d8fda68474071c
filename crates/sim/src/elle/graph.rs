//! Which operation must come before which.

use super::history::{Fate, History, Key};

/// Why one operation must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It wrote a version of the key, the other a later one.
    Ww(Key),
    /// The other saw what it wrote.
    Wr(Key),
    /// It saw a version of the key, the other wrote a later one.
    Rw(Key),
    /// Their connection promised it.
    Pipeline,
    /// It was answered before the other was sent.
    Time,
}

/// Edges, one by one. Nodes are operations, and behind them instants.
pub(super) struct Graph {
    ops: usize,
    nodes: usize,
    edges: Vec<(u32, u32, Why)>,
}

/// All edges, by where they start.
pub(super) struct Edges {
    pub(super) ops: usize,
    /// By node, and one more: where its edges begin.
    starts: Vec<u32>,
    edges: Vec<(u32, Why)>,
}

impl Graph {
    pub(super) fn new(ops: usize) -> Self {
        Self { ops, nodes: ops, edges: Vec::new() }
    }

    /// Nothing comes before itself: what an operation sees of its own makes no edge.
    pub(super) fn add(&mut self, from: usize, to: usize, why: Why) {
        if from != to {
            self.edges.push((from as u32, to as u32, why));
        }
    }

    /// How many there are of ww, wr and rw.
    pub(super) fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for edge in &self.edges {
            match edge.2 {
                Why::Ww(_) => counts[0] += 1,
                Why::Wr(_) => counts[1] += 1,
                Why::Rw(_) => counts[2] += 1,
                Why::Pipeline | Why::Time => {}
            }
        }
        counts
    }

    pub(super) fn add_pipelines(&mut self, history: &History, effective: &[bool]) {
        for &(from, to) in history.promised.iter().filter(|pair| effective[pair.0] && effective[pair.1]) {
            self.add(from, to, Why::Pipeline);
        }
    }

    /// Order in time, in as many edges as there are operations: answers become instants, each linked to the next, and
    /// an operation comes after the last instant before it was sent.
    pub(super) fn add_time(&mut self, history: &History, effective: &[bool]) {
        let mut answers: Vec<(u64, usize)> = (0..self.ops)
            .filter(|&op| effective[op] && history.ops[op].fate == Fate::Done)
            .filter_map(|op| Some((history.ops[op].returned?, op)))
            .collect();
        answers.sort_unstable();
        self.nodes += answers.len();
        assert!(u32::try_from(self.nodes).is_ok(), "the history is too long");
        for (instant, &(_, op)) in answers.iter().enumerate() {
            self.add(op, self.ops + instant, Why::Time);
            if instant > 0 {
                self.add(self.ops + instant - 1, self.ops + instant, Why::Time);
            }
        }
        for (op, record) in history.ops.iter().enumerate().filter(|one| effective[one.0]) {
            let before = answers.partition_point(|answer| answer.0 < record.invoked);
            if before > 0 {
                self.add(self.ops + before - 1, op, Why::Time);
            }
        }
    }

    /// Sorts the edges, by counting.
    pub(super) fn finish(self) -> Edges {
        let mut starts = vec![0; self.nodes + 1];
        self.edges.iter().for_each(|edge| starts[edge.0 as usize + 1] += 1);
        for node in 0..self.nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut edges = vec![(0, Why::Time); self.edges.len()];
        for (from, to, why) in self.edges {
            let place = &mut next[from as usize];
            edges[*place as usize] = (to, why);
            *place += 1;
        }
        Edges { ops: self.ops, starts, edges }
    }
}

impl Edges {
    pub(super) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// Where the edges of `node` lead.
    pub(super) fn from(&self, node: usize) -> &[(u32, Why)] {
        &self.edges[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}
