//! Clients with long pipelines of slow commands leave others their turn.

use lacewing_tests::{Client, Server, until};
use std::collections::BTreeSet;

/// A pipeline that fits one read, each part of which takes long and then counts itself.
fn slow_pipeline() -> Vec<u8> {
    let mut part = Vec::new();
    resp::encode_command(&["BITCOUNT", "{k}slow"], &mut part);
    resp::encode_command(&["INCR", "{k}done"], &mut part);
    part.repeat(PARTS)
}

/// Has `heavy` clients send slow pipelines, and others watch how far these have come: each must be answered many times
/// meanwhile.
fn check(cores: &str, heavy: usize, watchers: usize) {
    let server = Server::with(&["--cores", cores]);
    let mut clients: Vec<Client> = (0..heavy).map(|_| server.client()).collect();
    let mut watchers: Vec<Client> = (0..watchers).map(|_| server.client()).collect();
    assert_eq!(watchers[0].line(&format!("SETBIT {{k}}slow {} 1", SLOW_BYTES * 8 - 1)), ":0");
    let all = (heavy * PARTS) as u64;
    for client in &mut clients {
        client.send_bytes(&slow_pipeline());
    }
    for watcher in &mut watchers {
        let mut seen = BTreeSet::new();
        until("a client is answered between the commands of others", || {
            let done = watcher.line("GET {k}done");
            let done: u64 = done.trim_matches('"').parse().unwrap_or(0);
            assert!(done < all, "the pipelines have ended, and {seen:?} were seen on the way");
            seen.insert(done);
            (seen.len() > SEEN).then_some(())
        });
    }
}

#[test]
fn slow_commands_of_one_client_do_not_starve_others_of_its_core() {
    check("1", 1, 2);
}

#[test]
fn slow_commands_of_clients_of_all_cores_do_not_starve_others() {
    check("2", 4, 4);
}

/// Both commands so often take less than the 64 KiB that are read at a time.
const PARTS: usize = 1000;
/// What BITCOUNT counts, in bytes: for a millisecond or two.
const SLOW_BYTES: usize = 16 << 20;
/// In how many states a watcher is to see the pipelines.
const SEEN: usize = 20;
