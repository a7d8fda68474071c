//! A client that is told of every key that changes (CLIENT TRACKING BCAST).

use lacewing_tests::{Client, show};
use resp::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;

pub(super) struct Watcher(Client);

impl Watcher {
    pub(super) fn new(addr: SocketAddr) -> Self {
        let mut client = Client::connect(addr).resp3();
        assert_eq!(client.line("CLIENT TRACKING ON BCAST"), "+OK");
        Self(client)
    }

    /// The keys that have changed since the last time. That all databases were flushed is not told here: Lacewing says so of
    /// SWAPDB, too.
    pub(super) fn changed(&mut self) -> Result<BTreeSet<String>, String> {
        self.0.send(&["PING"]);
        let mut changed = BTreeSet::new();
        loop {
            match self.0.read_any() {
                Ok(Some(Value::Push(parts))) => {
                    if let Some(Value::Array(keys)) = parts.get(1) {
                        changed.extend(keys.iter().map(show));
                    }
                }
                Ok(Some(_)) => return Ok(changed),
                _ => return Err("the watcher was cut".to_owned()),
            }
        }
    }
}
