//! Offsets of logs: one number for how far a replica is, for INFO, ROLE and Sentinel.
//!
//! The offset of a place is that of the generation's beginning and the bytes of all its logs up to there. Generations follow one another
//! without a gap. A replica counts by itself from what it was told when its session began; one that comes back tells what it had, and if
//! this node has restarted and counts lower, it goes on from that.
//!
//! While a stream is made as well, for replicas of other kinds, its offsets are shown, and those who follow by flows as far behind them as they
//! are behind the logs. The stream's bytes are others than the logs', so the two kinds of replicas count differently among themselves.

use super::Session;
use crate::node::Node;
use aof::{Generation, Lsn};
use replication::{Position, Source};
use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

/// Core 0: how offsets are counted.
#[derive(Debug, Default)]
pub(super) struct Count {
    generation: Cell<Generation>,
    /// The offset of that generation's beginning.
    base: Cell<u64>,
}

/// What was before `generation` has `before` bytes, as far as is known; a replica tells that a place has at least the offset `told`, and
/// here it is so many bytes from that generation's beginning: negative ones before it. Returns the offset of the place.
pub(super) fn place(node: &Node, generation: Generation, before: u64, from_base: i64, told: u64) -> u64 {
    let count = &node.flows.count;
    if count.generation.replace(generation) != generation {
        let shown = node.masters.stream_end().max(node.masters.logs_end());
        count.base.set(before.max(shown));
    }
    let at = |base: u64| base.saturating_add_signed(from_base);
    if at(count.base.get()) < told {
        count.base.set(count.base.get() + (told - at(count.base.get())));
    }
    at(count.base.get())
}

/// The offset of the end of all logs, if anybody is sent them.
pub(crate) fn end_of_logs(node: &Node) -> Option<u64> {
    if !super::are_any(node) {
        return None;
    }
    let count = &node.flows.count;
    let ends = node.control.flows.edges.of(count.generation.get())?;
    let end = count.base.get() + sum(&ends);
    let stream = node.masters.stream_end();
    if !node.masters.makes_stream() && end < stream {
        // A stream was made meanwhile, and has gone further.
        count.base.set(count.base.get() + (stream - end));
        return Some(stream);
    }
    Some(end)
}

/// How far a session's replica is.
pub(super) fn of(node: &Node, session: &Session) -> u64 {
    let ends = node.control.flows.edges.of(node.flows.count.generation.get()).unwrap_or_default();
    (node.flows.count.base.get() + sum(&ends)).saturating_sub(session.behind(&ends))
}

/// The offset that is shown for one who follows by flows and is at `offset` of `logs_end`, where the node shows `end`.
pub(crate) fn shown(offset: u64, logs_end: u64, end: u64) -> u64 {
    end.saturating_sub(logs_end.saturating_sub(offset))
}

/// A stream begins: behind all offsets that were shown.
pub(crate) fn before_stream(node: &Node, source: &mut Source) {
    let end = node.masters.logs_end();
    let backlog = source.backlog_mut();
    if end > backlog.end() {
        backlog.reset(Position { replid: backlog.replid(), offset: end });
    }
}

fn sum(lsns: &[Lsn]) -> u64 {
    lsns.iter().map(|lsn| lsn.0).sum()
}

/// Bytes that a replica was sent (INFO total_net_repl_output_bytes).
pub(super) fn sent(node: &Node, bytes: usize) {
    node.state.borrow().core.shared.masters.sent_bytes.fetch_add(bytes as u64, Relaxed);
}
