//! Connections that may end at any time.

use lacewing_tests::Client;
use resp::{Value as Reply, encode_command};
use std::io;

/// Reading and calling: `None` when the connection has ended.
pub(super) trait TryCall {
    /// Panics when nothing comes for long: a command that is never answered.
    fn try_read(&mut self) -> Option<Reply>;

    /// One command, and its reply.
    fn try_call<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Option<Reply>;
}

impl TryCall for Client {
    fn try_read(&mut self) -> Option<Reply> {
        match self.read_any() {
            Ok(reply) => reply,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("no reply for long: {error}"),
            Err(error) if error.kind() == io::ErrorKind::Other => panic!("a strange reply: {error}"),
            Err(_) => None,
        }
    }

    fn try_call<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Option<Reply> {
        let mut bytes = Vec::new();
        encode_command(command, &mut bytes);
        self.try_send_bytes(&bytes).ok()?;
        self.try_read()
    }
}
