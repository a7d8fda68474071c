//! Whether a master's data may take the place of this node's.

use crate::ids::{Position, ReplId};
use crate::role::Reason;

/// Where a node's data stands: in which history, and in which it stood before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Now; `None` for data that no stream can go on from.
    pub current: Option<Position>,
    /// The history that it shares up to this offset.
    pub second: Option<Position>,
}

impl History {
    /// The same data from here on under another name.
    pub fn shift(&mut self, replid: ReplId) {
        if let Some(current) = &mut self.current {
            self.second = Some(*current);
            current.replid = replid;
        }
    }

    /// Whether a master at `theirs` has all that this node has of the same history. Of an unknown one nothing can be said.
    pub(super) fn judge_position(&self, theirs: Position, accepts_less: bool) -> Result<(), Reason> {
        let ours =
            [self.current, self.second].into_iter().flatten().find(|ours| ours.replid == theirs.replid);
        match ours {
            Some(ours) if theirs.offset < ours.offset && !accepts_less => Err(Reason::Older { theirs, ours }),
            _ => Ok(()),
        }
    }
}

/// What was found in a payload that was read to its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Keys in it.
    pub keys: u64,
    /// Keys that this node has.
    pub own_keys: u64,
}

impl Report {
    /// Whether it may be taken. `knows` is what this node knows of the history that it is of.
    pub(super) fn judge(&self, knows: Known) -> Result<(), Reason> {
        let Self { keys, own_keys } = *self;
        match knows {
            _ if own_keys == 0 => Ok(()),
            _ if keys == 0 => Err(Reason::Empty { own_keys }),
            Known::BeganEmpty => Err(Reason::Fewer { keys, own_keys }),
            Known::Replaces if keys < own_keys / FEWER => Err(Reason::Fewer { keys, own_keys }),
            _ => Ok(()),
        }
    }
}

/// What is known of the history of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing that speaks against it.
    Nothing,
    /// The master had no keys in it when it was asked before: it has what was written since.
    BeganEmpty,
    /// It takes the place of the one that this node followed, and nobody has told this node anything anew.
    Replaces,
}

/// A master that was started again has about what it had. One with less than this part of the keys has lost the others.
const FEWER: u64 = 2;
