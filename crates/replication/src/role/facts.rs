//! What INFO and ROLE say of a replica.

use crate::ids::{Attempt, Endpoint, ReplId};
use crate::role::{Reason, Role, STEADY_MS, State};

/// Everything there is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whom the node follows; `None` for a master.
    pub master: Option<Endpoint>,
    /// How far it is with that.
    pub state: LinkState,
    /// Milliseconds since the master was heard of, while it is followed.
    pub last_io_ms: Option<u64>,
    /// The name of the history that the data is of.
    pub replid: Option<ReplId>,
    /// Bytes of the stream that were read and that were applied, in the history's count.
    pub read: Option<u64>,
    /// See `read`.
    pub applied: Option<u64>,
    /// The payload that comes, if one does.
    pub transfer: Option<Transfer>,
    /// Since when the master is not followed, if ever it was or was to be.
    pub down_since_ms: Option<u64>,
    /// Milliseconds until the next attempt, if none is under way.
    pub next_attempt_ms: Option<u64>,
    /// The number of the attempt that is under way, or was last.
    pub attempt: Attempt,
    /// Attempts since the master was named.
    pub attempts: u64,
    /// Full syncs that were begun since then.
    pub full_syncs: u64,
    /// Streams that were resumed since then.
    pub partial_syncs: u64,
    /// Streams that could not be applied to their end since then; behind each of them everything is asked for.
    pub stream_failures: u64,
    /// Why the last attempt has ended that has ended without success. Gone when the master is followed, unless its stream made no sense:
    /// then it stays until the stream has gone well for a while.
    pub last_reason: Option<Reason>,
    /// The names of those Lacewings that the node follows, its master first, and of the histories that they are in: as they were when it
    /// began to.
    pub upstream: Vec<ReplId>,
}

impl Facts {
    /// Whether the master is followed now.
    pub fn is_up(&self) -> bool {
        self.state == LinkState::Connected
    }
}

/// A payload that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its length, if the master has told.
    pub len: Option<u64>,
    /// Bytes that came.
    pub received: u64,
    /// Milliseconds since the last of them.
    pub last_io_ms: u64,
}

/// The words of ROLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It is a master.
    None,
    /// It waits for the next attempt.
    Connect,
    /// It connects.
    Connecting,
    /// It has connected, and does not have data yet.
    Handshake,
    /// Data comes, or is verified or loaded.
    Sync,
    /// It follows.
    Connected,
}

impl LinkState {
    /// As ROLE writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Connect => "connect",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::Sync => "sync",
            Self::Connected => "connected",
        }
    }
}

/// What is counted since a master was named.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) attempts: u64,
    pub(super) full_syncs: u64,
    pub(super) partial_syncs: u64,
    pub(super) stream_failures: u64,
    pub(super) received: u64,
    pub(super) last_reason: Option<Reason>,
    pub(super) down_since_ms: Option<u64>,
    pub(super) upstream: Vec<ReplId>,
}

impl Counters {
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    pub(super) fn failed(&mut self, reason: Reason, now_ms: u64) {
        self.last_reason = Some(reason);
        self.down_since_ms.get_or_insert(now_ms);
    }

    pub(super) fn follows(&mut self) {
        self.down_since_ms = None;
        self.last_reason.take_if(|reason| !matches!(reason, Reason::Stream(_)));
    }
}

impl Role {
    /// What there is to tell.
    pub fn facts(&self, now_ms: u64) -> Facts {
        let since_io_ms = now_ms.saturating_sub(self.last_io_ms);
        let transfer = match &self.state {
            State::Receiving { payload, .. } => Some(Transfer {
                len: payload.announced(),
                received: payload.received(),
                last_io_ms: since_io_ms,
            }),
            State::Gathering { received, len, .. } => {
                Some(Transfer { len: Some(*len), received: *received, last_io_ms: since_io_ms })
            }
            State::Verifying { .. } | State::Replacing { .. } => {
                let received = self.facts.received;
                Some(Transfer { len: Some(received), received, last_io_ms: since_io_ms })
            }
            _ => None,
        };
        let is_following = self.is_following();
        let applied = self.history.current.map(|current| current.offset);
        Facts {
            master: self.master.clone(),
            state: self.link_state(),
            last_io_ms: is_following.then_some(since_io_ms),
            replid: self.history.current.map(|current| current.replid),
            read: if is_following { Some(self.read) } else { applied },
            applied,
            transfer,
            down_since_ms: self.facts.down_since_ms,
            next_attempt_ms: match self.state {
                State::Waiting { until_ms } => Some(until_ms.saturating_sub(now_ms)),
                _ => None,
            },
            attempt: self.attempt,
            attempts: self.facts.attempts,
            full_syncs: self.facts.full_syncs,
            partial_syncs: self.facts.partial_syncs,
            stream_failures: self.facts.stream_failures,
            last_reason: self.facts.last_reason.clone().filter(|_| !self.is_steady(now_ms)),
            upstream: self.facts.upstream.clone(),
        }
    }

    /// Whether a stream is followed that has gone well for a while.
    pub(super) fn is_steady(&self, now_ms: u64) -> bool {
        self.is_following() && now_ms.saturating_sub(self.followed_since_ms) >= STEADY_MS
    }

    fn link_state(&self) -> LinkState {
        match self.state {
            State::Master => LinkState::None,
            State::Waiting { .. } | State::Draining => LinkState::Connect,
            State::Connecting => LinkState::Connecting,
            State::Greeting(_) => LinkState::Handshake,
            State::Receiving { .. }
            | State::Gathering { .. }
            | State::Verifying { .. }
            | State::Replacing { .. } => LinkState::Sync,
            State::Following => LinkState::Connected,
        }
    }
}
