//! Lists: the longest one read tells the order of all appends before its end.

use super::anomaly::Anomaly;
use super::graph::{Graph, Why};
use super::history::{Fate, History, Value};
use super::index::{ListKey, find};

/// The order of a list's appends, as far as it was seen.
pub(super) struct Order<'a> {
    values: &'a [Value],
    /// By place in the key's reads: whether it is a prefix of `values`.
    is_prefix: Vec<bool>,
}

/// Finds the order. What does not fit it is noted, and takes no further part.
pub(super) fn order<'a>(list: &ListKey<'a>, anomalies: &mut Vec<Anomaly>) -> Order<'a> {
    let Some(&(witness, longest)) = list.reads.iter().max_by_key(|read| read.1.len()) else {
        return Order { values: &[], is_prefix: Vec::new() };
    };
    find_bad_values(list, witness, longest, anomalies);
    let mut is_prefix = Vec::with_capacity(list.reads.len());
    for &(op, seen) in &list.reads {
        let fits = longest.starts_with(seen);
        if !fits && !find_bad_values(list, op, seen, anomalies) {
            anomalies.push(Anomaly::IncompatibleOrder { ops: [op, witness], key: list.key });
        }
        is_prefix.push(fits);
        find_intermediate(list, op, seen, anomalies);
    }
    Order { values: longest, is_prefix }
}

/// Values that nobody may see, or twice; whether there are any.
fn find_bad_values(list: &ListKey<'_>, op: usize, seen: &[Value], anomalies: &mut Vec<Anomaly>) -> bool {
    let (key, before) = (list.key, anomalies.len());
    for &value in seen {
        match find(&list.writes, value) {
            None => anomalies.push(Anomaly::Invented { op, key, value }),
            Some(write) if write.fate == Fate::Failed => {
                anomalies.push(Anomaly::AbortedRead { op, key, value, writer: write.op });
            }
            Some(_) => {}
        }
    }
    let mut sorted = seen.to_vec();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        anomalies.push(Anomaly::Duplicate { op, key, value: pair[0] });
    }
    anomalies.len() > before
}

fn find_intermediate(list: &ListKey<'_>, op: usize, seen: &[Value], anomalies: &mut Vec<Anomaly>) {
    let Some(write) = seen.last().and_then(|&value| find(&list.writes, value)) else { return };
    if !write.is_last && write.op != op {
        let (key, value, writer) = (list.key, write.value, write.op);
        anomalies.push(Anomaly::IntermediateRead { op, key, value, writer });
    }
}

/// What was seen took effect, whatever its client knows.
pub(super) fn find_effective(list: &ListKey<'_>, order: &Order<'_>, effective: &mut [bool]) {
    for write in order.values.iter().filter_map(|&value| find(&list.writes, value)) {
        effective[write.op] = true;
    }
}

/// Edges between those who appended and those who saw.
pub(super) fn add_edges(
    list: &ListKey<'_>,
    order: &Order<'_>,
    effective: &[bool],
    history: &History,
    graph: &mut Graph,
    anomalies: &mut Vec<Anomaly>,
) {
    let key = list.key;
    let writers: Vec<Option<usize>> =
        order.values.iter().map(|&value| find(&list.writes, value).map(|write| write.op)).collect();
    for pair in writers.windows(2) {
        if let [Some(from), Some(to)] = *pair {
            graph.add(from, to, Why::Ww(key));
        }
    }
    let fitting = || list.reads.iter().zip(&order.is_prefix).filter(|one| *one.1).map(|one| *one.0);
    for (op, seen) in fitting() {
        if let Some(&Some(writer)) = seen.len().checked_sub(1).and_then(|last| writers.get(last)) {
            graph.add(writer, op, Why::Wr(key));
        }
        if let Some(&Some(writer)) = writers.get(seen.len()) {
            graph.add(op, writer, Why::Rw(key));
        }
    }
    let unseen = unseen(list, order, effective);
    if unseen.is_empty() {
        return;
    }
    let mut whole: Vec<usize> =
        fitting().filter(|read| read.1.len() == order.values.len()).map(|read| read.0).collect();
    whole.sort_unstable_by_key(|&op| std::cmp::Reverse(history.ops[op].invoked));
    whole.truncate(READERS_MAX);
    for (value, writer) in unseen {
        if let Some(&Some(last)) = writers.last() {
            graph.add(last, writer, Why::Ww(key));
        }
        whole.iter().for_each(|&reader| graph.add(reader, writer, Why::Rw(key)));
        let answered = history.ops[writer].returned.filter(|_| history.ops[writer].fate == Fate::Done);
        let later = |&&reader: &&usize| answered.is_some_and(|at| at < history.ops[reader].invoked);
        if let Some(&reader) = whole.iter().find(later) {
            anomalies.push(Anomaly::Lost { op: writer, key, value, reader });
        }
    }
}

/// Appends that took effect, and that no read shows: they come after all that was seen.
fn unseen(list: &ListKey<'_>, order: &Order<'_>, effective: &[bool]) -> Vec<(Value, usize)> {
    let mut seen = order.values.to_vec();
    seen.sort_unstable();
    let is_unseen = |value| seen.binary_search(value).is_err();
    let writes = list.writes.iter().filter(|write| effective[write.op] && is_unseen(&write.value));
    writes.map(|write| (write.value, write.op)).collect()
}

/// Of those who read all there is to see of a list, so many of the last are set against appends that nobody saw; the
/// earlier ones add nothing but edges.
const READERS_MAX: usize = 16;
