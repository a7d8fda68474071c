//! What the server can do. What it cannot is left out of the load, and said.

use coordinator::router::Router;
use lacewing_tests::Client;
use resp::Value as Reply;
use std::time::{Duration, Instant};

/// Which kinds of operations are part of the load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abilities {
    pub(super) transactions: bool,
    pub(super) scripts: bool,
    pub(super) blocking: bool,
    /// Whether who waits for keys of several shards waits at all, or is answered at once.
    pub(super) blocking_over_shards: bool,
}

impl Abilities {
    /// Asks with COMMAND INFO, and prints what is left out.
    pub(super) fn of(client: &mut Client, router: Router) -> Self {
        let mut has = |names: &[&str]| {
            let missing: Vec<&str> =
                names.iter().copied().filter(|name| !has_command(client, name)).collect();
            if !missing.is_empty() {
                println!("left out, for the server does not have it: {}", missing.join(", "));
            }
            missing.is_empty()
        };
        let blocking = has(&["BLPOP", "BRPOP", "BLMOVE", "BZPOPMIN", "BZPOPMAX", "CLIENT|UNBLOCK"]);
        Self {
            transactions: has(&["MULTI", "EXEC", "WATCH"]),
            scripts: has(&["EVAL"]),
            blocking,
            blocking_over_shards: blocking && waits_over_shards(client, router),
        }
    }
}

/// Whether BLPOP of keys on two shards lasts as long as it says.
fn waits_over_shards(client: &mut Client, router: Router) -> bool {
    let shard = |name: &String| router.shard_of_key(name.as_bytes());
    let mut names = (0..).map(|number| format!("never pushed:{number}"));
    let first = names.next().expect("there are many");
    if router.shards() == 1 {
        return true;
    }
    let other = names.find(|name| shard(name) != shard(&first)).expect("some are elsewhere");
    let started = Instant::now();
    client.call(&["BLPOP", &first, &other, "0.1"]);
    let waits = started.elapsed() > Duration::from_millis(90);
    if !waits {
        println!("who waits for keys of several shards is answered at once");
    }
    waits
}

/// Whether the server has a command of this name.
pub(super) fn has_command(client: &mut Client, name: &str) -> bool {
    match client.call(&["COMMAND", "INFO", name]) {
        Reply::Array(rows) => matches!(rows.as_slice(), [Reply::Array(row)] if !row.is_empty()),
        _ => false,
    }
}
