//! What the role machine wants done.

use crate::flow::hello::{Announced, Session};
use crate::ids::{Attempt, Endpoint, Position, ReplId};
use crate::role::{History, Reason};

/// One thing to be done.
#[derive(Debug)]
pub enum Output {
    /// Connect, and tell [`Role::connected`](super::Role::connected) or [`Role::lost`](super::Role::lost).
    Connect {
        /// Whose.
        attempt: Attempt,
        /// Where to.
        to: Endpoint,
    },
    /// Send this.
    Send {
        /// On whose connection.
        attempt: Attempt,
        /// What.
        bytes: Vec<u8>,
    },
    /// Close the connection, or give up making it.
    Close {
        /// Whose.
        attempt: Attempt,
    },
    /// Open the flows of a session. Their payload, if one was announced, is staged and read to its last byte as it comes: tell
    /// [`Role::gathered`](super::Role::gathered), and [`Role::lost`](super::Role::lost) when one of them ends.
    Open {
        /// Whose.
        attempt: Attempt,
        /// The session.
        session: Session,
        /// What is to come before the logs.
        payload: Option<Announced>,
    },
    /// Begin to stage a payload, which comes as [`Piece::Payload`].
    Stage {
        /// Whose.
        attempt: Attempt,
    },
    /// All of the payload has come: make it safe, read it to its last byte, and tell [`Role::verified`](super::Role::verified) or
    /// [`Role::rejected`](super::Role::rejected).
    Verify {
        /// Whose.
        attempt: Attempt,
    },
    /// What was staged is not wanted.
    Discard {
        /// Whose.
        attempt: Attempt,
    },
    /// Replace the dataset with what was staged, and tell [`Role::replaced`](super::Role::replaced) or
    /// [`Role::not_replaced`](super::Role::not_replaced).
    Replace(ResyncGrant),
    /// The stream begins, and comes as [`Piece::Stream`].
    Follow {
        /// Whose.
        attempt: Attempt,
        /// Where it begins.
        position: Position,
        /// Whether the data is that which was there before the attempt.
        is_resumed: bool,
        /// Whether the history has a new name, which this node's own replicas must hear.
        is_renamed: bool,
    },
    /// The stream has ended: apply what has come, to its last whole command, and tell [`Role::drained`](super::Role::drained).
    Drain {
        /// Whose.
        attempt: Attempt,
    },
    /// This node is a master now.
    Promoted {
        /// The name of the history that begins.
        replid: ReplId,
        /// Where its data stands.
        history: History,
    },
    /// The replica that was to be the master has agreed ([`Role::hand_over`](super::Role::hand_over)).
    HandedOver,
    /// It has not, and this node is about to be a master again.
    NotHandedOver {
        /// Why.
        reason: Reason,
    },
    /// To be told to the operator; nothing is to be done.
    Failed {
        /// Whose.
        attempt: Attempt,
        /// Why.
        reason: Reason,
    },
}

/// Bytes that a connection had for others than the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Of the payload, to be staged behind what came before.
    Payload(&'a [u8]),
    /// Of the stream, to be applied behind what came before.
    Stream(&'a [u8]),
}

/// That a dataset may be replaced: the master has confirmed, and what it has sent was received whole, made safe, read to its last byte,
/// and judged. [`super::Role`] alone makes one, and one for each replacement.
#[derive(Debug)]
#[must_use = "a grant is carried out"]
pub struct ResyncGrant {
    attempt: Attempt,
    position: Position,
    keys: u64,
}

impl ResyncGrant {
    pub(super) fn new(attempt: Attempt, position: Position, keys: u64) -> Self {
        Self { attempt, position, keys }
    }

    /// Whose payload.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Where the new data stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// How many keys it has.
    pub fn keys(&self) -> u64 {
        self.keys
    }
}
