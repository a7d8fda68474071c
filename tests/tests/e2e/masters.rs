//! This server as a master: a real redis-server follows it, through full syncs, links that break, and load.

mod ending;
mod failover;
pub(crate) mod follow;
mod proxy;
mod slow;
mod waiting;
mod words;

use crate::dump::has_same_values;
use lacewing_tests::{Client, Process, RedisServer, Server, show, until};

/// A master on two cores, whose data can be compared.
fn master(args: &[&str]) -> Server {
    Server::with(
        &[&["--pin", "no", "--enable-debug-command", "yes", "--repl-ping-replica-period", "1"], args]
            .concat(),
    )
}

/// A redis-server that follows what listens at `port`.
#[track_caller]
fn replica_of(port: u16, args: &[&str]) -> Option<RedisServer> {
    let port = port.to_string();
    RedisServer::with(&[&["--replicaof", "127.0.0.1", &port, "--repl-timeout", "60"], args].concat())
}

/// A field of INFO replication, or nothing.
fn field(client: &mut Client, name: &str) -> Option<String> {
    let info = client.call(&["INFO", "replication"]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::to_owned)
}

#[track_caller]
fn number(client: &mut Client, name: &str) -> u64 {
    let field = field(client, name).unwrap_or_else(|| panic!("no {name}"));
    field.parse().unwrap_or_else(|_| panic!("{name} is {field}"))
}

/// A field of INFO stats.
#[track_caller]
pub(crate) fn stat(client: &mut Client, name: &str) -> u64 {
    let info = client.call(&["INFO", "stats"]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}

/// Waits until the replica's link is up.
#[track_caller]
pub(crate) fn linked(replica: &Process) {
    let mut client = replica.client();
    until("the link is up", || {
        (field(&mut client, "master_link_status").as_deref() == Some("up")).then_some(())
    });
}

/// Waits until the replica has all that the master has, and compares the data.
#[track_caller]
pub(crate) fn check_same(master: &Process, replica: &Process) {
    let (mut from, mut to) = (master.client(), replica.client());
    // Others may have it too.
    assert_ne!(from.line("WAIT 1 30000"), ":0");
    // Keys whose time has come are gone here before they are gone there.
    until("the replica has the same data", || {
        let sent = number(&mut from, "master_repl_offset");
        let is_level = number(&mut to, "slave_repl_offset") >= sent;
        let mut is_same = |what: &str| from.line(what) == to.line(what);
        let has_same = is_level && is_same("DBSIZE");
        let has_same_digest = has_same && is_same("DEBUG DIGEST");
        let by_value = has_same && RedisServer::is_named();
        (has_same_digest || (by_value && has_same_values(&mut from, &mut to))).then_some(())
    });
}

#[track_caller]
fn ok(client: &mut Client, words: &[&str]) {
    let reply = show(&client.call(words));
    assert!(!reply.starts_with('-'), "{words:?}: {reply}");
}
