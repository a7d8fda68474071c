//! Flows between Lacewings, from the master's side: a replica that is written here asks for them, reads, stalls and comes back.

mod batches;
mod kept;
mod pairs;
mod published;
mod replica;
mod sessions;
mod stalled;

use lacewing_tests::{Client, Server, show};
use std::sync::Arc;
use tempfile::TempDir;

/// What every master here is started with.
const ARGS: &[&str] = &[
    "--pin",
    "no",
    "--cores",
    "2",
    "--appendonly",
    "yes",
    "--repl-ping-replica-period",
    "1",
    "--repl-flows",
    "yes",
];

fn master(args: &[&str]) -> Server {
    Server::with(&[ARGS, args].concat())
}

/// The same on a directory that may have data.
fn master_on(dir: Arc<TempDir>, args: &[&str]) -> Server {
    Server::on(dir, &[ARGS, args].concat())
}

/// A field of INFO replication.
#[track_caller]
fn field(client: &mut Client, name: &str) -> String {
    let info = client.call(&["INFO", "replication"]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

#[track_caller]
fn ok(client: &mut Client, words: &[&str]) {
    let reply = show(&client.call(words));
    assert!(!reply.starts_with('-'), "{words:?}: {reply}");
}
