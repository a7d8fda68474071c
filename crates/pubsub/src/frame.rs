//! What a subscriber is sent: encoded once, copied for each.

use crate::{Kind, Message};
use resp::{Proto, Reply};

/// One push message in the form of RESP2. That of RESP3 differs in its first byte only; a line for monitors does not.
#[derive(Debug, Default)]
pub struct Frame {
    bytes: Vec<u8>,
    is_line: bool,
}

impl Frame {
    /// Appends it to what a client is sent.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>, proto: Proto) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        if proto == Proto::Resp3 && !self.is_line {
            out[start] = b'>';
        }
    }

    /// Its length, in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is in it yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// For the subscribers of the message's channel.
    pub(crate) fn write_message(&mut self, message: &Message) {
        let word: &[u8] = match message.kind() {
            Kind::Shard => b"smessage",
            Kind::Monitor => return self.write_line(message.payload()),
            _ => b"message",
        };
        self.write(&[word, message.channel(), message.payload()]);
    }

    /// For the subscribers of a pattern that the message's channel matches.
    pub(crate) fn write_pattern_message(&mut self, pattern: &[u8], message: &Message) {
        self.write(&[b"pmessage", pattern, message.channel(), message.payload()]);
    }

    fn write(&mut self, parts: &[&[u8]]) {
        self.bytes.clear();
        self.is_line = false;
        let mut reply = Reply::new(&mut self.bytes, Proto::Resp2);
        reply.push(parts.len());
        parts.iter().for_each(|part| reply.bulk(part));
    }

    fn write_line(&mut self, line: &[u8]) {
        self.bytes.clear();
        self.is_line = true;
        self.bytes.extend_from_slice(line);
    }
}
