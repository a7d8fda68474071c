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
    pub(super) fn judge(&self, accepts_less: bool) -> Result<(), Reason> {
        if self.keys == 0 && self.own_keys > 0 && !accepts_less {
            return Err(Reason::Empty { own_keys: self.own_keys });
        }
        Ok(())
    }
}
