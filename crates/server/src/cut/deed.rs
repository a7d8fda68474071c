//! What is done on each shard at a cut.

use crate::node::{Node, State};
use crate::snapshot;
use aof::Lsn;
use config::AppendFsync;
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
    /// The cut is brought to the disk soon, whatever the policy.
    Sync,
    /// From now on the log is synced by this policy.
    Policy(AppendFsync),
    /// The data is replaced by another, which takes its time: all locks stay until that is done, see [`crate::replica`].
    Replace(Meanwhile),
    /// The journals are tapped for replicas from here on, or no longer.
    Tap(bool),
}

/// What becomes of commands while the data is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// They are answered that data is being loaded.
    Refused,
    /// They wait for the locks.
    Wait,
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
    /// Whether the cut is to be brought to the disk soon even where nobody asks that of the log (`appendfsync no`).
    pub(super) fn needs_disk(&self) -> bool {
        match self {
            Self::Log | Self::Replace(_) | Self::Tap(_) => false,
            // A set that says where the log goes on is not to be there before the log is.
            Self::Sync | Self::Policy(_) | Self::Capture(_) => true,
        }
    }

    /// Whether it has to be there, on all shards, before any of them is let go.
    pub(super) fn waits_for_disk(&self, node: &Node) -> bool {
        match self {
            Self::Log | Self::Sync | Self::Capture(_) | Self::Replace(_) | Self::Tap(_) => false,
            Self::Policy(policy) => super::policy::waits_for_disk(node, *policy),
        }
    }

    /// Whether its part at home is over when [`super::go_on`] says so, and the locks stay until then.
    pub(super) fn takes_long(&self) -> bool {
        matches!(self, Self::Replace(_))
    }

    /// The cut's claim is about to be entered here: what comes from now on, and conflicts with it, runs after the cut. It may
    /// be said twice of one cut.
    pub(super) fn enter(&self, _: &Node, state: &mut State) {
        match self {
            Self::Log | Self::Sync | Self::Policy(_) | Self::Replace(_) | Self::Tap(_) => {}
            Self::Capture(_) => snapshot::arm(state),
        }
    }

    /// This is the cut: all shards are locked, and its record is in the journal.
    pub(super) fn perform(&self, node: &Node, state: &mut State, cut: Instant) {
        match self {
            Self::Log | Self::Sync | Self::Policy(_) => {}
            Self::Replace(meanwhile) => crate::replica::stand_still(node, state, *meanwhile),
            Self::Tap(is_on) => node.journal.set_tap(&mut state.core, *is_on),
            Self::Capture(job) => {
                snapshot::open(node, state, job, cut.at);
                if let Some(logs) = job.logs() {
                    logs.start(node, &mut state.core, cut.number);
                }
            }
        }
    }

    /// All shards have done their part, and the locks are about to go.
    pub(super) fn end(&self, node: &Node, _: &mut State) {
        match self {
            Self::Log | Self::Sync | Self::Capture(_) | Self::Replace(_) | Self::Tap(_) => {}
            Self::Policy(policy) => node.journal.set_policy(*policy),
        }
    }

    /// The claim is taken back, and nothing was done; or a shard could not bring the cut to its disk.
    pub(super) fn give_up(&self, node: &Node, state: &mut State) {
        match self {
            Self::Log | Self::Sync | Self::Policy(_) | Self::Replace(_) | Self::Tap(_) => {}
            Self::Capture(_) => snapshot::disarm(node, state),
        }
    }
}
