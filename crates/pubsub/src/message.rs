//! A message on its way to its subscribers.

use crate::Kind;

/// A channel and what is published there, or a line for monitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    kind: Kind,
    channel_len: usize,
    /// The channel, then what is published.
    bytes: Box<[u8]>,
}

impl Message {
    /// `sharded` says whether `channel` is a shard channel.
    pub fn new(sharded: bool, channel: &[u8], payload: &[u8]) -> Self {
        let kind = if sharded { Kind::Shard } else { Kind::Channel };
        let bytes = [channel, payload].concat().into_boxed_slice();
        Self { kind, channel_len: channel.len(), bytes }
    }

    /// A line for monitors, as they are sent it.
    pub fn line(line: &[u8]) -> Self {
        Self { kind: Kind::Monitor, channel_len: 0, bytes: line.into() }
    }

    /// What its channel is: a channel, a shard channel, or that of monitors.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The channel; empty for a line.
    pub fn channel(&self) -> &[u8] {
        &self.bytes[..self.channel_len]
    }

    /// How much memory it takes, nearly.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }

    /// What is published.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.channel_len..]
    }
}
