//! Why an attempt has ended, for the operator.

use std::fmt;

use crate::ids::Position;
use crate::psync::PayloadError;

/// Why this node does not follow its master now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No connection.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The connection ended.
    #[error("the connection ended {during}: {why}")]
    Lost {
        /// When.
        during: During,
        /// In the system's words.
        why: String,
    },
    /// The payload is not whole.
    #[error("the connection ended {}: {why}", Received(*received, *len))]
    Truncated {
        /// Bytes that came.
        received: u64,
        /// Bytes that were announced, if any number was.
        len: Option<u64>,
        /// In the system's words.
        why: String,
    },
    /// Nothing was heard for too long.
    #[error("nothing was heard for {} s {during}", silent_ms / 1000)]
    TimedOut {
        /// When.
        during: During,
        /// For how long.
        silent_ms: u64,
    },
    /// The master does not let this node in: `masteruser`, `masterauth`.
    #[error("the master lets nobody in who is not known to it (masterauth, masteruser): {0}")]
    Denied(String),
    /// The master refuses, in its words.
    #[error("the master refuses: {0}")]
    Refused(String),
    /// The master cannot now, in its words.
    #[error("the master cannot give its data now: {0}")]
    Later(String),
    /// It is no master that speaks there, or one of a version that is not understood.
    #[error("what answers is no master that this version understands: it said '{0}'")]
    Garbage(String),
    /// The master is this node.
    #[error("the master is this node itself")]
    Itself,
    /// The master follows this node.
    #[error("the master follows this node, or is to: one of them must be told REPLICAOF NO ONE")]
    Cycle,
    /// The master has less of the same history.
    #[error(
        "the master is at {theirs} and this node has the same history up to {}: the master has lost data, or is an older \
         copy. To take its data all the same: CONFIG SET replica-accept-less yes",
        ours.offset
    )]
    Older {
        /// Where the master is.
        theirs: Position,
        /// What this node has.
        ours: Position,
    },
    /// The master has less of its own log than this node has of it.
    #[error(
        "the master has less of its log than this node has of it: it has lost data, or is an older copy ({0}). To take its data \
         all the same: CONFIG SET replica-accept-less yes"
    )]
    OlderLog(String),
    /// The master has no keys, and this node has; or neither has, and this node alone has functions.
    #[error(
        "the master has no keys{} and this node has {}: the master has lost its data, or is the wrong one. To take its \
         emptiness all the same: CONFIG SET replica-accept-less yes",
        Nothing(*over, *own_keys == 0), Own(*own_keys, *own_libraries)
    )]
    Empty {
        /// Keys that it has whose time is over.
        over: u64,
        /// Keys that this node has.
        own_keys: u64,
        /// Libraries of functions that it has.
        own_libraries: u64,
    },
    /// The master has begun anew, with much less than this node has.
    #[error(
        "the master has begun anew, with {keys} keys where this node has {}: the master has lost its data, or is the wrong \
         one. To take its data all the same: CONFIG SET replica-accept-less yes",
        Own(*own_keys, *own_libraries)
    )]
    Fewer {
        /// How many it has.
        keys: u64,
        /// How many this node has.
        own_keys: u64,
        /// Libraries of functions that it has.
        own_libraries: u64,
    },
    /// There is no payload.
    #[error(transparent)]
    Payload(PayloadError),
    /// The payload is no dataset.
    #[error("the master's data cannot be used: {0}")]
    Rejected(String),
    /// The payload cannot be kept.
    #[error("the master's data cannot be kept here: {0}")]
    Staging(String),
    /// The dataset could not be replaced.
    #[error("the data could not be replaced, and is the old one: {0}")]
    Replacing(String),
    /// The stream is not what it should be.
    #[error("the master's stream makes no sense: {0}")]
    Stream(String),
}

impl Reason {
    /// Whether the master's data was found to be less than this node's. A new attempt changes that seldom.
    pub fn is_judgement(&self) -> bool {
        matches!(
            self,
            Self::Older { .. }
                | Self::OlderLog(_)
                | Self::Empty { .. }
                | Self::Fewer { .. }
                | Self::Itself
                | Self::Cycle
        )
    }
}

/// At what point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// Before there was a connection.
    Connecting,
    /// In the handshake.
    Greeting,
    /// In the payload of a full sync.
    Payload,
    /// While the new data was loaded.
    Loading,
    /// In the stream.
    Stream,
}

impl fmt::Display for During {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "while connecting",
            Self::Greeting => "in the handshake",
            Self::Payload => "in the full sync",
            Self::Loading => "after the full sync",
            Self::Stream => "in the stream",
        })
    }
}

/// What "no keys" leaves to be said: keys whose time is over, and whether functions were looked for.
struct Nothing(u64, bool);

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 {
            write!(f, " but {} whose time is over", self.0)?;
        }
        if self.1 { f.write_str(" and no functions") } else { Ok(()) }
    }
}

/// What this node has: keys, or if it has none libraries.
struct Own(u64, u64);

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(0, 1) => f.write_str("a library of functions"),
            Self(0, libraries) => write!(f, "{libraries} libraries of functions"),
            Self(keys, _) => write!(f, "{keys}"),
        }
    }
}

struct Received(u64, Option<u64>);

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (0, _) => f.write_str("before the first byte of the full sync"),
            (received, Some(len)) => write!(f, "after {received} of {len} bytes of the full sync"),
            (received, None) => write!(f, "after {received} bytes of the full sync"),
        }
    }
}
