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

/// What was found in a payload that was read to its last byte, and what this node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Keys in it, those too whose time is over.
    pub keys: u64,
    /// Whether the time of all of them is over: whoever takes them has none.
    pub are_over: bool,
    /// Libraries of functions in it.
    pub libraries: u64,
    /// Keys that this node has. Its master ends them, so all count: those whose time is over too.
    pub own_keys: u64,
    /// Libraries of functions that it has.
    pub own_libraries: u64,
}

impl Report {
    /// Whether it may be taken. `knows` is what this node knows of the history that it is of.
    pub(super) fn judge(&self, knows: Known) -> Result<(), Reason> {
        let Self { keys, own_keys, own_libraries, .. } = *self;
        match knows {
            _ if own_keys == 0 && own_libraries == 0 => Ok(()),
            _ if self.is_empty() => Err(Reason::Empty { over: keys, own_keys, own_libraries }),
            Known::BeganEmpty => Err(Reason::Fewer { keys, own_keys, own_libraries }),
            Known::Replaces if keys < own_keys / FEWER => {
                Err(Reason::Fewer { keys, own_keys, own_libraries })
            }
            _ => Ok(()),
        }
    }

    /// Whether it has nothing to give to this node. What a node has are its keys: functions take the place of functions alone.
    fn is_empty(&self) -> bool {
        let has_keys = self.keys > 0 && !self.are_over;
        !has_keys && (self.own_keys > 0 || self.libraries == 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether what has so many keys, of which so many are over, and so many libraries, takes the place of what has these.
    fn check(theirs: (u64, u64, u64), ours: (u64, u64), knows: Known, refusal: &str) {
        let ((keys, over, libraries), (own_keys, own_libraries)) = (theirs, ours);
        let report = Report { keys, are_over: keys == over, libraries, own_keys, own_libraries };
        let said = report.judge(knows).err().map(|reason| reason.to_string()).unwrap_or_default();
        assert_eq!(said.split(": ").next(), Some(refusal), "{report:?}, {knows:?}");
    }

    #[test]
    fn what_takes_the_place_of_what() {
        use Known::{BeganEmpty, Nothing, Replaces};
        for knows in [Nothing, BeganEmpty, Replaces] {
            check((0, 0, 0), (0, 0), knows, "");
            check((0, 0, 0), (5, 1), knows, "the master has no keys and this node has 5");
            check(
                (2, 2, 0),
                (5, 0),
                knows,
                "the master has no keys but 2 whose time is over and this node has 5",
            );
            check((0, 0, 9), (5, 9), knows, "the master has no keys and this node has 5");
            check(
                (0, 0, 0),
                (0, 1),
                knows,
                "the master has no keys and no functions and this node has a library of functions",
            );
            let refusal = "the master has no keys but 1 whose time is over and no functions and this node has 2 libraries of functions";
            check((1, 1, 0), (0, 2), knows, refusal);
        }
        check((1, 0, 0), (5, 1), Nothing, "");
        check((0, 0, 1), (0, 5), Nothing, "");
        check((1, 0, 0), (0, 5), Nothing, "");
        let refusal = "the master has begun anew, with 4 keys where this node has 10";
        check((4, 0, 0), (10, 0), Replaces, refusal);
        check((4, 0, 0), (10, 0), BeganEmpty, refusal);
        check((5, 4, 0), (10, 0), Replaces, "");
        check((1, 0, 0), (0, 5), Replaces, "");
        check(
            (1, 0, 0),
            (0, 5),
            BeganEmpty,
            "the master has begun anew, with 1 keys where this node has 5 libraries of functions",
        );
    }
}
