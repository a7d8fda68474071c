//! A snapshot under load is the data of one instant: of each client all that it had been told was done before some moment, and
//! nothing after it.

use super::{field, sets, snapshot};
use lacewing_tests::{Client, Server, show, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use stdx::Rng;

/// The `number`th thing that a client does, to keys of its own on both shards, in one transaction that also says the number.
fn step(client: usize, number: u64) -> Vec<String> {
    let mut rng = Rng::new(client as u64 * 1_000_003 + number);
    let key = |kind: &str, rng: &mut Rng| format!("{kind}:{client}:{}", rng.below(30));
    let mut commands =
        vec![format!("SET step:{client} {number}"), format!("SET other:{client}:{{x}} {number}")];
    for _ in 0..1 + rng.below(4) {
        let word = "w".repeat(rng.index(200));
        commands.push(match rng.below(14) {
            0 => format!("SET {} {word}{number}", key("string", &mut rng)),
            1 => format!("APPEND {} {number}", key("string", &mut rng)),
            2 => format!("RPUSH {} {number} {word}x", key("list", &mut rng)),
            3 => format!("LPOP {}", key("list", &mut rng)),
            4 => format!("HSET {} f{} {word}{number}", key("hash", &mut rng), number % 50),
            5 => format!("HDEL {} f{}", key("hash", &mut rng), number % 7),
            6 => format!("SADD {} {number} m{}", key("set", &mut rng), number % 40),
            7 => format!("ZADD {} {number} m{}", key("zset", &mut rng), number % 40),
            8 => format!("XADD {} {}-1 n {number}", key("stream", &mut rng), number + 1),
            9 => format!("DEL {} {}", key("list", &mut rng), key("set", &mut rng)),
            10 => format!("RENAMENX {} {}", key("string", &mut rng), key("string", &mut rng)),
            11 => format!("PEXPIREAT {} 4000000000000", key("hash", &mut rng)),
            12 => format!(
                "RPUSH large:{client}:{} {}",
                rng.below(2),
                vec![&*format!("e{number}{word}"); 50].join(" ")
            ),
            _ => format!("COPY {} {} REPLACE", key("zset", &mut rng), key("zset", &mut rng)),
        });
    }
    commands
}

/// Does a step. What fails does so everywhere (there is no key to rename).
fn take(client: &mut Client, of: usize, number: u64) {
    let commands = step(of, number);
    client.send_line("MULTI");
    commands.iter().for_each(|command| client.send_line(command));
    client.send_line("EXEC");
    for _ in 0..=commands.len() {
        assert!(!client.read().is_error());
    }
    let done = client.read();
    assert!(!done.is_error(), "{}", show(&done));
}

#[test]
fn a_snapshot_under_load_is_of_one_instant() {
    let server = Server::with(&["--enable-debug-command", "yes", "--save", ""]);
    let mut client = server.client();
    // So that the walk takes some time.
    assert_eq!(client.line("DEBUG POPULATE 200000 filling 50"), "+OK");
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..CLIENTS)
        .map(|of| {
            let (mut client, over) = (server.client(), Arc::clone(&over));
            std::thread::spawn(move || {
                let mut number = 0;
                while !over.load(Relaxed) {
                    number += 1;
                    take(&mut client, of, number);
                }
            })
        })
        .collect();
    for round in 0..3 {
        let before = client.line("GET step:0");
        until("it is in full swing", || (client.line("GET step:0") != before).then_some(()));
        snapshot(&mut client);
        assert!(sets(&server).len() >= round.min(2), "sets are kept");
    }
    assert_eq!(field(&mut client, "rdb_consecutive_failures"), "0");
    over.store(true, Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("no writer fails"));
    for set in sets(&server) {
        check(&set);
    }
}

/// Loads a set alone, and compares it with what its clients had done by then, done again.
fn check(set: &std::path::Path) {
    let dir = Arc::new(tempfile::tempdir().expect("a directory"));
    let snapshots = dir.path().join("snapshots").join(set.file_name().expect("a number"));
    std::fs::create_dir_all(&snapshots).expect("it can be made");
    for file in std::fs::read_dir(set).expect("it is there") {
        let file = file.expect("an entry");
        std::fs::copy(file.path(), snapshots.join(file.file_name())).expect("it can be copied");
    }
    // Without lacewing.id, which would say that there was more.
    let debug = ["--enable-debug-command", "yes", "--save", "", "--appendonly", "no"];
    let loaded = Server::on(dir, &debug);
    let again = Server::with(&debug);
    let (mut loaded, mut again) = (loaded.client(), again.client());
    assert_eq!(again.line("DEBUG POPULATE 200000 filling 50"), "+OK");
    for of in 0..CLIENTS {
        let number = loaded.line(&format!("GET step:{of}"));
        assert_eq!(
            loaded.line(&format!("GET other:{of}:{{x}}")),
            number,
            "a transaction is whole or not there"
        );
        let number: u64 = number.trim_matches('"').parse().expect("it had begun");
        (1..=number).for_each(|number| take(&mut again, of, number));
    }
    if loaded.line("DEBUG DIGEST") == again.line("DEBUG DIGEST") {
        return;
    }
    let resp::Value::Array(keys) = again.call(&["KEYS", "*:*"]) else { panic!("no keys") };
    assert_eq!(loaded.line("DBSIZE"), again.line("DBSIZE"));
    for key in keys.iter().map(|key| show(key).trim_matches('"').to_owned()) {
        let digest = format!("DEBUG DIGEST-VALUE {key}");
        assert_eq!(loaded.line(&digest), again.line(&digest), "{key}");
    }
    panic!("another digest of all, and of no key");
}

const CLIENTS: usize = 6;
