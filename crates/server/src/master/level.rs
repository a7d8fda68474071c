//! Replicas that get what they lack before the server ends, while writes are held back.

use super::{Marks, now_ms, pump};
use crate::node::Node;
use std::rc::Rc;

/// The end of the stream when nothing is written any more, which the replicas are to reach. On core 0, when all cores have said that no
/// writes are under way.
#[derive(Default)]
pub(crate) struct Level {
    marks: Option<Marks>,
}

impl Level {
    /// Whether all replicas have all there is.
    pub(crate) fn is_reached(&mut self, node: &Rc<Node>) -> bool {
        hold_stream(node, true);
        pump(node);
        let source = node.masters.source.borrow();
        let marks = self.marks.get_or_insert_with(|| Marks::now(node, &source));
        let is_merged = marks.are_merged(&source);
        drop(source);
        is_merged && lagging(node, marks).is_empty()
    }

    /// Writes to the log who has it, and who has not.
    pub(crate) fn tell(&self, node: &Node) {
        let now = || Marks::now(node, &node.masters.source.borrow());
        let lagging = lagging(node, &self.marks.clone().unwrap_or_else(now));
        let all = node.masters.peers.borrow().len();
        let in_sync = all - lagging.len();
        for line in lagging {
            tracing::warn!("{line}");
        }
        if all > 0 {
            tracing::info!("{in_sync} of {all} replicas are in sync when shutting down.");
        }
    }
}

/// Whether there are replicas.
pub(crate) fn is_followed(node: &Node) -> bool {
    !node.masters.peers.borrow().is_empty()
}

/// Has the stream stand still, but for what nobody takes this node for dead without, or not any more.
pub(crate) fn hold_stream(node: &Node, is_held: bool) {
    node.masters.is_held.set(is_held);
}

/// The replicas that lack something, and what.
fn lagging(node: &Node, marks: &Marks) -> Vec<String> {
    let stream_end = node.masters.stream_end();
    let logs_end = crate::flows::end_of_logs(node).unwrap_or_default();
    let peers = node.masters.peers.borrow();
    let lagging = peers.iter().filter_map(|peer| {
        if marks.are_with(peer, stream_end) {
            return None;
        }
        let end = if peer.session().is_some() { logs_end } else { stream_end };
        let follower = peer.follower.borrow();
        let host = follower.ip_address.as_ref().unwrap_or(&peer.address);
        let (port, behind) = (follower.listening_port, end.saturating_sub(follower.acknowledged()));
        let lag = if follower.is_online() { follower.lag_ms(now_ms()) / 1000 } else { 0 };
        let state = follower.state().map_or("", |state| state.as_str());
        Some(format!(
            "Lagging replica {host}:{port} reported offset {behind} behind master, lag={lag}, state={state}."
        ))
    });
    lagging.collect()
}
