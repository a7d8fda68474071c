//! Connections as clients make them: many, slow, rude, half closed, gone in the middle of a command.
//!
//! `LACEWING_LONG=1` runs what is large at its full size: a pipeline of 1 GB, values of 512 MB.

mod answers;
mod churn;
mod control;
mod ending;
mod fair;
mod large;
mod limits;
mod listeners;
mod pause;
mod shared;

use lacewing_tests::{Client, Process, until};
use stdx::Slot;

/// A field of INFO.
#[track_caller]
fn info(client: &mut Client, field: &str) -> u64 {
    let text = client.call(&["INFO", "everything"]);
    let resp::Value::Bulk(text) = text else { panic!("INFO was answered {text:?}") };
    let text = String::from_utf8(text).expect("INFO is text");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let value = line.unwrap_or_else(|| panic!("INFO has no {field}:\n{text}"));
    value.parse().unwrap_or_else(|_| panic!("{field} is {value}"))
}

/// Waits until this client is the only one.
#[track_caller]
fn alone(client: &mut Client) {
    until("the other clients have gone", || (info(client, "connected_clients") == 1).then_some(()));
}

/// Waits until a server's memory is back within `slack_mib` of what it was.
#[track_caller]
fn memory_returns(server: &Process, before_mib: u64, slack_mib: u64) {
    until("memory returns", || (server.rss_mib() <= before_mib + slack_mib).then_some(()));
}

/// Whether the long variants are wanted.
fn is_long() -> bool {
    std::env::var_os("LACEWING_LONG").is_some()
}

/// A key of the shard of core `core`, of two.
fn key_of(core: usize, prefix: &str) -> String {
    let mut keys = (0..).map(|number| format!("{prefix}{number}"));
    keys.find(|key| Slot::of(key.as_bytes()).index() / 8192 == core).expect("there are keys everywhere")
}
