//! What a subscriber is sent: encoded once, copied for each.

use crate::Message;
use resp::{Proto, Reply};

/// One push message in the form of RESP2. That of RESP3 differs in its first byte only.
#[derive(Debug, Default)]
pub struct Frame(Vec<u8>);

impl Frame {
    /// Appends it to what a client is sent.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>, proto: Proto) {
        let start = out.len();
        out.extend_from_slice(&self.0);
        if proto == Proto::Resp3 {
            out[start] = b'>';
        }
    }

    /// Its length, in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is in it yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For the subscribers of the message's channel.
    pub(crate) fn write_message(&mut self, message: &Message) {
        let word: &[u8] = if message.is_sharded() { b"smessage" } else { b"message" };
        self.write(&[word, message.channel(), message.payload()]);
    }

    /// For the subscribers of a pattern that the message's channel matches.
    pub(crate) fn write_pattern_message(&mut self, pattern: &[u8], message: &Message) {
        self.write(&[b"pmessage", pattern, message.channel(), message.payload()]);
    }

    fn write(&mut self, parts: &[&[u8]]) {
        self.0.clear();
        let mut reply = Reply::new(&mut self.0, Proto::Resp2);
        reply.push(parts.len());
        parts.iter().for_each(|part| reply.bulk(part));
    }
}
