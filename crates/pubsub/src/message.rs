//! A message on its way to its subscribers.

/// A channel and what is published there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    is_sharded: bool,
    channel_len: usize,
    /// The channel, then what is published.
    bytes: Box<[u8]>,
}

impl Message {
    /// `sharded` says whether `channel` is a shard channel.
    pub fn new(sharded: bool, channel: &[u8], payload: &[u8]) -> Self {
        let bytes = [channel, payload].concat().into_boxed_slice();
        Self { is_sharded: sharded, channel_len: channel.len(), bytes }
    }

    /// Whether its channel is a shard channel.
    pub fn is_sharded(&self) -> bool {
        self.is_sharded
    }

    /// The channel.
    pub fn channel(&self) -> &[u8] {
        &self.bytes[..self.channel_len]
    }

    /// What is published.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.channel_len..]
    }
}
