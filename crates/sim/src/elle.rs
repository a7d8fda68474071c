//! Is a history strictly serializable? Asks only whether there is an explanation, and shows the cycle if there is none.
//!
//! After Kingsbury and Alvaro: "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 2020. Clients
//! append values that are never used twice to lists, and write such values to registers. So what is read tells which
//! writes it has seen, and from that follows which operation must come before which:
//!
//! | edge | from | to |
//! |---|---|---|
//! | ww | who wrote a version of a key | who wrote the next |
//! | wr | who wrote what was seen | who saw it |
//! | rw | who saw a version | who wrote the next |
//! | pipeline | an earlier command of a connection | a later one that must keep its order |
//! | time | who was answered | whoever was sent later |
//!
//! A cycle has no explanation, and its edges give it a name ([`Anomaly::name`]). What needs no cycle to be wrong (a value
//! from nowhere, a read of what failed, an acknowledged append that is gone) is named before that.
//!
//! The order of a list's versions is that of the longest list that was read; of a register's, it is what reads before
//! writes in one operation say, and time ([`registers`]). Time counts for a register because each of its versions
//! was there at one stretch.
//!
//! It takes time and memory in proportion to the history, but for sorting. It is sound: what it finds is an anomaly. It
//! is complete for lists that are read at the end; of registers the order of some versions may remain unknown.

mod anomaly;
mod cycles;
mod explain;
mod graph;
mod history;
mod index;
mod lists;
mod registers;

pub use anomaly::{Anomaly, Step};
pub use graph::Why;
pub use history::{Access, Fate, History, Key, OBSERVER, Op, Value};

use graph::Graph;
use index::Index;

/// What became of a check.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What was found, the simplest first; empty when the history has an explanation. At most one cycle is shown of
    /// operations that are all on cycles with each other.
    pub anomalies: Vec<Anomaly>,
    /// Operations that took effect: all that are done, and those of unknown fate that were seen.
    pub effective: usize,
    /// Edges by kind: ww, wr, rw. A history without any proves nothing.
    pub edges: [usize; 3],
}

impl Verdict {
    /// Whether nothing was found.
    pub fn is_fine(&self) -> bool {
        self.anomalies.is_empty()
    }

    /// All that was found, for people: each anomaly with its operations and why each must come before the next.
    pub fn explain(&self, history: &History) -> String {
        self.explain_with(history, &|key| format!("key {key}"))
    }

    /// The same, with the keys called by their names.
    pub fn explain_with(&self, history: &History, name: &dyn Fn(Key) -> String) -> String {
        let found = self.anomalies.iter().map(|anomaly| explain::explain(anomaly, history, name));
        found.collect::<Vec<_>>().join("\n")
    }
}

/// Checks a whole history. Panics when the history itself is not one: a value written twice to a key, or a key that is
/// both a list and a register.
pub fn check(history: &History) -> Verdict {
    let mut anomalies = Vec::new();
    let mut index = Index::of(history, &mut anomalies);
    let orders: Vec<_> = index.lists.iter().map(|list| lists::order(list, &mut anomalies)).collect();
    for (list, order) in index.lists.iter().zip(&orders) {
        lists::find_effective(list, order, &mut index.effective);
    }
    for register in &index.registers {
        registers::find_effective(register, &mut index.effective);
    }
    let mut graph = Graph::new(history.ops.len());
    for (list, order) in index.lists.iter().zip(&orders) {
        lists::add_edges(list, order, &index.effective, history, &mut graph, &mut anomalies);
    }
    for register in &index.registers {
        registers::add_edges(register, &index.effective, history, &mut graph, &mut anomalies);
    }
    let edges = graph.counts();
    graph.add_pipelines(history, &index.effective);
    graph.add_time(history, &index.effective);
    cycles::find(&graph.finish(), &mut anomalies);
    anomalies.sort_by_key(Anomaly::weight);
    let effective = index.effective.iter().filter(|&&one| one).count();
    Verdict { anomalies, effective, edges }
}

#[cfg(test)]
mod tests;
