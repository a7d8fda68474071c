//! What is done on each shard at a cut.

use crate::node::{Node, State};
use crate::snapshot;
use aof::Lsn;
use std::sync::Arc;
use stdx::UnixMs;

/// What is done on each shard, under the locks of a cut, besides its record in the journal. None of it may wait, nor let
/// anything leave the core.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Nothing.
    Log,
    /// This snapshot's capture is opened.
    Capture(Arc<snapshot::Job>),
}

/// A cut as one shard sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    /// Its number, from 1 on.
    pub(crate) number: u64,
    /// When it is.
    pub(crate) at: UnixMs,
    /// The place in the shard's journal behind its record; `None` when nothing is journalled.
    pub(crate) lsn: Option<Lsn>,
}

impl Deed {
    /// The cut's claim is about to be entered here: what comes from now on, and conflicts with it, runs after the cut. It may
    /// be said twice of one cut.
    pub(super) fn enter(&self, _: &Node, state: &mut State) {
        match self {
            Self::Log => {}
            Self::Capture(_) => snapshot::arm(state),
        }
    }

    /// This is the cut: all shards are locked, and its record is in the journal.
    pub(super) fn perform(&self, node: &Node, state: &mut State, cut: Instant) {
        match self {
            Self::Log => {}
            Self::Capture(job) => snapshot::open(node, state, job, cut.at),
        }
    }

    /// The claim is taken back, and nothing was done.
    pub(super) fn give_up(&self, node: &Node, state: &mut State) {
        match self {
            Self::Log => {}
            Self::Capture(_) => snapshot::disarm(node, state),
        }
    }
}
