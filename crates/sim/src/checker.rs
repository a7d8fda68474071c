//! Is a history strictly serializable? Finds no explanation of its own: it only asks whether there is one.
//!
//! The lists at the end give the order of all appends to a key. A read must be a prefix of that order. Then every
//! operation is a node, with an edge to each that must come after it:
//!
//! | edge | from | to |
//! |---|---|---|
//! | ww | who appended a value | who appended the next |
//! | wr | who appended the last value seen | who saw it |
//! | rw | who saw a prefix | who appended the value after it |
//! | time | who was answered | whoever was sent later |
//! | pipeline | an earlier command of a connection | a later one that must keep its order |
//!
//! The history is strictly serializable if and only if there is no cycle.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::history::{Fate, History, Key, Value};

/// Why a history is not strictly serializable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// An append that was acknowledged is not there at the end.
    Lost {
        /// Whose.
        op: usize,
        /// Where it should be.
        key: Key,
    },
    /// An operation that was promised not to have happened left something.
    Undead {
        /// Whose.
        op: usize,
        /// Where it is.
        key: Key,
    },
    /// A value that nobody appended to this key, or that is there twice.
    Invented {
        /// Where it is.
        key: Key,
        /// Which.
        value: Value,
    },
    /// At the end, some appends of an operation are there, and some are not.
    Half {
        /// Whose.
        op: usize,
    },
    /// A read that is no prefix of the list at the end.
    NoPrefix {
        /// Whose.
        op: usize,
        /// Of which list.
        key: Key,
    },
    /// Operations each of which must come before the next, and the last before the first.
    Cycle(Vec<(usize, Edge)>),
}

/// Why one operation must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Its append comes right before the other's.
    Ww(Key),
    /// The other saw its append.
    Wr(Key),
    /// It did not see the other's append.
    Rw(Key),
    /// It was answered before the other was sent.
    Time,
    /// Their connection promised it.
    Pipeline,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Anomaly::Cycle(cycle) = self else { return write!(out, "{self:?}") };
        write!(out, "cycle:")?;
        for (op, edge) in cycle {
            write!(out, " op {op} -{edge:?}->")?;
        }
        write!(out, " op {}", cycle[0].0)
    }
}

/// `Err` has one reason, the simplest that was found.
pub fn check(history: &History) -> Result<(), Anomaly> {
    let writers = writers(history)?;
    check_ends(history, &writers)?;
    let mut graph = Graph::new(history);
    graph.add_lists(history, &writers)?;
    graph.add_time_and_pipelines(history);
    graph.find_cycle().map_or(Ok(()), |cycle| Err(Anomaly::Cycle(cycle)))
}

/// Who appended each value that is there at the end.
type Writers = BTreeMap<(Key, Value), usize>;

fn writers(history: &History) -> Result<Writers, Anomaly> {
    let mut intended = BTreeMap::new();
    for (op, record) in history.ops.iter().enumerate() {
        for &(key, value) in &record.appends {
            let other = intended.insert((key, value), op);
            assert!(
                other.is_none(),
                "the history appends {value} to {key} twice: nothing can be told from it"
            );
        }
    }
    let mut writers = Writers::new();
    for (&key, list) in &history.last {
        for &value in list {
            let op = *intended.get(&(key, value)).ok_or(Anomaly::Invented { key, value })?;
            if writers.insert((key, value), op).is_some() {
                return Err(Anomaly::Invented { key, value });
            }
        }
    }
    Ok(writers)
}

/// What is there at the end is what must, and may, be there.
fn check_ends(history: &History, writers: &Writers) -> Result<(), Anomaly> {
    for (op, record) in history.ops.iter().enumerate() {
        let is_there = |&&(key, value): &&(Key, Value)| writers.contains_key(&(key, value));
        let there = record.appends.iter().find(is_there);
        let missing = record.appends.iter().find(|append| !is_there(append));
        match (record.fate, there, missing) {
            (Fate::Done, _, Some(&(key, _))) => return Err(Anomaly::Lost { op, key }),
            (Fate::Never, Some(&(key, _)), _) => return Err(Anomaly::Undead { op, key }),
            (Fate::Unknown, Some(_), Some(_)) => return Err(Anomaly::Half { op }),
            _ => {}
        }
    }
    Ok(())
}

/// Operations, and behind them instants: one for each answer, in a chain, so that order in time takes as many edges
/// as there are operations, and not their square.
struct Graph {
    ops: usize,
    edges: Vec<Vec<(usize, Edge)>>,
}

impl Graph {
    fn new(history: &History) -> Self {
        Self { ops: history.ops.len(), edges: vec![Vec::new(); history.ops.len()] }
    }

    fn add(&mut self, from: usize, to: usize, edge: Edge) {
        if from != to {
            self.edges[from].push((to, edge));
        }
    }

    fn add_lists(&mut self, history: &History, writers: &Writers) -> Result<(), Anomaly> {
        for (&key, list) in &history.last {
            for pair in list.windows(2) {
                self.add(writers[&(key, pair[0])], writers[&(key, pair[1])], Edge::Ww(key));
            }
        }
        let none = Vec::new();
        for (op, record) in history.ops.iter().enumerate().filter(|one| one.1.fate == Fate::Done) {
            for (key, seen) in &record.reads {
                let last = history.last.get(key).unwrap_or(&none);
                if !last.starts_with(seen) {
                    return Err(Anomaly::NoPrefix { op, key: *key });
                }
                if let Some(value) = seen.last() {
                    self.add(writers[&(*key, *value)], op, Edge::Wr(*key));
                }
                if let Some(value) = last.get(seen.len()) {
                    self.add(op, writers[&(*key, *value)], Edge::Rw(*key));
                }
            }
        }
        Ok(())
    }

    fn add_time_and_pipelines(&mut self, history: &History) {
        let took_effect = |record: &crate::history::Op| record.fate != Fate::Never;
        let mut answers: Vec<(u64, usize)> = history
            .ops
            .iter()
            .enumerate()
            .filter(|one| took_effect(one.1))
            .filter_map(|(op, record)| Some((record.returned?, op)))
            .collect();
        answers.sort_unstable();
        self.edges.resize(self.ops + answers.len(), Vec::new());
        for (instant, &(_, op)) in answers.iter().enumerate() {
            self.add(op, self.ops + instant, Edge::Time);
            if instant > 0 {
                self.add(self.ops + instant - 1, self.ops + instant, Edge::Time);
            }
        }
        for (op, record) in history.ops.iter().enumerate().filter(|one| took_effect(one.1)) {
            let before = answers.partition_point(|answer| answer.0 < record.invoked);
            if before > 0 {
                self.add(self.ops + before - 1, op, Edge::Time);
            }
            for &earlier in record.after.iter().filter(|&&earlier| took_effect(&history.ops[earlier])) {
                self.add(earlier, op, Edge::Pipeline);
            }
        }
    }

    /// A shortest cycle through some operation that is on one.
    fn find_cycle(&self) -> Option<Vec<(usize, Edge)>> {
        let on_cycle = self.left_after_peeling();
        (0..self.ops)
            .filter(|&op| on_cycle[op])
            .filter_map(|op| self.shortest_way_back(op, &on_cycle))
            .min_by_key(Vec::len)
            .map(|cycle| self.without_instants(&cycle))
    }

    /// Takes away what nothing precedes, again and again: what is left is on a cycle, or behind one.
    fn left_after_peeling(&self) -> Vec<bool> {
        let mut before = vec![0; self.edges.len()];
        for &(to, _) in self.edges.iter().flatten() {
            before[to] += 1;
        }
        let mut free: Vec<usize> = (0..before.len()).filter(|&node| before[node] == 0).collect();
        let mut is_left = vec![true; before.len()];
        while let Some(node) = free.pop() {
            is_left[node] = false;
            for &(to, _) in &self.edges[node] {
                before[to] -= 1;
                if before[to] == 0 {
                    free.push(to);
                }
            }
        }
        is_left
    }

    fn shortest_way_back(&self, start: usize, within: &[bool]) -> Option<Vec<(usize, Edge)>> {
        let mut came_from: BTreeMap<usize, (usize, Edge)> = BTreeMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(node) = next.pop_front() {
            for &(to, edge) in self.edges[node].iter().filter(|edge| within[edge.0]) {
                if came_from.contains_key(&to) {
                    continue;
                }
                came_from.insert(to, (node, edge));
                if to == start {
                    return Some(way(start, &came_from));
                }
                next.push_back(to);
            }
        }
        None
    }

    fn without_instants(&self, cycle: &[(usize, Edge)]) -> Vec<(usize, Edge)> {
        cycle.iter().copied().filter(|step| step.0 < self.ops).collect()
    }
}

/// Walks back from `start` to itself.
fn way(start: usize, came_from: &BTreeMap<usize, (usize, Edge)>) -> Vec<(usize, Edge)> {
    let mut way = vec![came_from[&start]];
    while way[way.len() - 1].0 != start {
        way.push(came_from[&way[way.len() - 1].0]);
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests;
