//! Disks that fill up and fail under a server that writes a log: writes are refused with the reason, reads go on, nothing that
//! was acknowledged is lost, and service returns by itself.

mod full;

use std::sync::Arc;
use std::time::Duration;

use lacewing_tests::{Client, Server, until};
use resp::Value;
use tempfile::TempDir;

fn directory() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary directory can be made"))
}

/// What a server with a log is started with.
fn logging<'a>(cores: &'a str, policy: &'a str) -> Vec<&'a str> {
    vec!["--appendonly", "yes", "--pin", "no", "--cores", cores, "--appendfsync", policy]
}

/// A field of INFO persistence.
fn field(client: &mut Client, name: &str) -> String {
    let info = client.call(&["INFO", "persistence"]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

/// Waits until writes are refused, and says how. Of clients that ask too early the disk's failure holds the answer back: then it is
/// asked by another one.
fn refusal(server: &Server) -> String {
    until("writes are refused", || {
        let mut client = server.client();
        client.timeout(Some(Duration::from_millis(100))).expect("a bound can be set");
        client.send(&["SET", "a", "1"]);
        match client.read_any().ok().flatten()? {
            Value::Error(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            _ => None,
        }
    })
}
