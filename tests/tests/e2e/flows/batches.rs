//! Transactions over shards on their way through flows: run together, never seen by halves, and there before their master ends.

use super::pairs::{FIXED, master, node, node_on, partial, replicaof};
use crate::masters::{check_same, linked};
use lacewing_tests::{Client, Proxy, Server, show, until};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

/// Pairs of keys, most of which are on two shards: both always have the same number.
const PAIRS: u64 = 16;

/// Writes both keys of pairs, again and again, until `is_over`; one in three times by a transaction of two commands.
fn write_pairs(mut client: Client, writer: u64, is_over: &AtomicBool) {
    for number in 0.. {
        if is_over.load(Relaxed) {
            return;
        }
        let pair = (writer + number * 4) % PAIRS;
        let commands = if number % 3 == 0 {
            vec![
                "MULTI".to_owned(),
                format!("SET a{pair} {number}"),
                format!("SET b{pair} {number}"),
                "EXEC".to_owned(),
            ]
        } else {
            vec![format!("MSET a{pair} {number} b{pair} {number}"), format!("INCR single{writer}")]
        };
        commands.iter().for_each(|command| client.send_line(command));
        commands.iter().for_each(|_| drop(client.read()));
    }
}

/// Reads pairs until `is_over`; how many it has found written.
fn read_pairs(mut client: Client, is_over: &AtomicBool) -> u64 {
    let mut found = 0;
    for pair in (0..PAIRS).cycle().take_while(|_| !is_over.load(Relaxed)) {
        let values = show(&client.call(&["MGET", &format!("a{pair}"), &format!("b{pair}")]));
        let mut words = values.trim_matches(['[', ']']).split(", ");
        let (one, other) = (words.next(), words.next());
        assert!(one.is_some() && one == other, "half of a transaction: {values}");
        found += u64::from(one != Some("nil"));
    }
    found
}

#[test]
fn hazard_32_no_reader_sees_half_a_transaction_while_links_are_cut() {
    for others in ["2", "3"] {
        let (from, to) = (master("2"), node(others, &["--appendonly", "yes"]));
        let proxy = Proxy::to(from.port());
        replicaof(&to, proxy.port);
        let is_over = &AtomicBool::new(false);
        thread::scope(|scope| {
            for writer in 0..4 {
                let client = from.client();
                scope.spawn(move || write_pairs(client, writer, is_over));
            }
            let readers: Vec<_> = (0..2).map(|_| to.client()).collect();
            let readers: Vec<_> =
                readers.into_iter().map(|client| scope.spawn(move || read_pairs(client, is_over))).collect();
            let cuts = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let mut client = from.client();
                for round in 0..6 {
                    assert_eq!(client.line("WAIT 1 30000"), ":1", "all flows stand");
                    proxy.cut_one(round % 3);
                    until("it goes on", || (partial(&to) > round as u64).then_some(()));
                }
            }));
            is_over.store(true, Relaxed);
            for reader in readers {
                assert!(reader.join().expect("it sees no half") > 0);
            }
            cuts.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        check_same(&from, &to);
    }
}

#[track_caller]
fn write_many(server: &Server, count: u64) {
    let mut client = server.client();
    for number in 0..count {
        client.send_line(&format!("MSET a{} {number} b{} {number}", number % 7, number % 11));
        client.send_line(&format!("LPUSH list{} {number}", number % 3));
    }
    (0..2 * count).for_each(|_| drop(client.read()));
}

/// How many transactions a server has run.
#[track_caller]
fn execs(server: &Server) -> u64 {
    let info = server.client().call(&["INFO", "commandstats"]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let calls = text.lines().find_map(|line| line.strip_prefix("cmdstat_exec:calls=")?.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[test]
fn transactions_that_have_come_together_are_run_together() {
    for others in ["2", "1", "3"] {
        let from = master("2");
        let port = from.port().to_string();
        let args = ["--appendonly", "yes", "--replicaof", "127.0.0.1", &port];
        let mut to = node(others, &args);
        linked(&to);
        to.kill();
        write_many(&from, 3000);
        let to = node_on(to.dir_handle(), others, &args);
        linked(&to);
        check_same(&from, &to);
        let execs = execs(&to);
        assert!((1..300).contains(&execs), "{execs} for 3000, on {others} cores");
    }
}

#[test]
fn what_a_master_has_said_before_its_end_is_there() {
    let mut from = master("2");
    let dir = from.dir_handle();
    let to = node("2", &["--appendonly", "yes"]);
    replicaof(&to, from.port());
    for round in 0..3 {
        write_many(&from, 1000 << round);
    }
    from.client().send_line("SHUTDOWN");
    assert!(from.wait().success());
    assert!(from.log().contains("1 of 1 replicas are in sync when shutting down."), "{}", from.log());
    // Elsewhere, so that the replica has nothing from it.
    let from = Server::on(Arc::clone(&dir), &[FIXED, &["--cores", "2", "--appendonly", "yes"]].concat());
    for what in ["DEBUG DIGEST", "DBSIZE"] {
        assert_eq!(to.client().line(what), from.client().line(what), "{what}");
    }
}
