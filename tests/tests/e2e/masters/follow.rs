//! A full sync, and the stream behind it.

use super::{check_same, field, linked, master, number, ok, replica_of, stat};
use crate::dump::{fill, reading};
use lacewing_tests::{Client, RedisServer, Server, show, until};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use stdx::Rng;

/// What each of several writers does until `is_over`: a bit of everything, with keys on all shards. One that waits does so now and then
/// until a replica has what it wrote.
fn write(mut client: Client, seed: u64, waits: bool, is_over: &AtomicBool) {
    let mut rng = Rng::new(seed);
    while !is_over.load(Relaxed) {
        if waits && rng.one_in(20) {
            client.line("WAIT 1 200");
        }
        let (a, b) = (rng.below(500), rng.below(500));
        let value = rng.below(1_000_000).to_string();
        let commands: &[String] = &match rng.below(12) {
            0 => vec![format!("SET k{a} {value}")],
            1 => vec![format!("INCR n{a}")],
            2 => vec![format!("MSET k{a} {value} k{b} {value}")],
            3 => vec![format!("LPUSH l{a} {value}"), format!("RPOPLPUSH l{a} l{b}")],
            4 => vec![format!("SADD s{a} {value} {b}"), format!("SPOP s{b}")],
            5 => vec![format!("HSET h{a} f{b} {value}"), format!("HINCRBYFLOAT h{a} x 0.1")],
            6 => vec![format!("ZADD z{a} {b} {value}"), format!("ZPOPMIN z{b}")],
            7 => vec![format!("MULTI"), format!("INCR m{a}"), format!("INCR m{b}"), format!("EXEC")],
            8 => vec![format!("DEL k{a} k{b} n{a}")],
            9 => vec![format!("SET k{a} {value} PX 20"), format!("PEXPIRE k{b} 100000")],
            10 => vec![format!("XADD x{a} * f {value}"), format!("RENAME k{a} k{b}")],
            _ => vec![
                format!("SELECT 3"),
                format!("SET k{a} {value}"),
                format!("MOVE k{b} 0"),
                format!("SELECT 0"),
            ],
        };
        for command in commands {
            client.send_line(command);
        }
        for _ in commands {
            client.read();
        }
    }
}

/// Runs writers on the master while `act` does something, and for a moment afterwards.
pub(crate) fn under_load(server: &Server, act: impl FnOnce()) {
    under(server, false, act);
}

/// The same with writers that do not leave the replica far behind.
pub(crate) fn under_waiting_load(server: &Server, act: impl FnOnce()) {
    under(server, true, act);
}

fn under(server: &Server, waits: bool, act: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in 1..=4 {
            let (client, is_over) = (server.client(), &is_over);
            scope.spawn(move || write(client, seed, waits, is_over));
        }
        // They end though it fails.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        is_over.store(true, Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Waits until so many commands more have run.
pub(crate) fn busy(server: &Server, commands: u64) {
    let mut client = server.client();
    let start = stat(&mut client, "total_commands_processed");
    until("commands run", || {
        (stat(&mut client, "total_commands_processed") > start + commands).then_some(())
    });
}

#[test]
fn a_redis_has_all_types_after_a_full_sync() {
    let server = master(&[]);
    let mut client = server.client();
    fill(&mut client);
    ok(
        &mut client,
        &["FUNCTION", "LOAD", "#!lua name=one\nredis.register_function('one', function() return 'one' end)"],
    );
    ok(&mut client, &["SELECT", "7"]);
    ok(&mut client, &["SET", "there", "1", "PX", "10000000"]);
    // One that was never active, which a Redis 7.0 has no words for.
    for words in ["XADD stream 1-1 a b", "XGROUP CREATE stream g 0", "XGROUP CREATECONSUMER stream g idle"] {
        ok(&mut client, &words.split(' ').collect::<Vec<_>>());
    }
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    check_same(&server, &replica);
    assert_eq!(replica.client().line("FUNCTION LIST").matches("\"one\"").count(), 2);
    assert!(field(&mut client, "slave0").expect("it is told of").contains("state=online"));
    assert_eq!((stat(&mut client, "sync_full"), number(&mut client, "connected_slaves")), (1, 1));
    let list = client.line("CLIENT LIST TYPE replica");
    assert!(list.contains("flags=S") && list.contains("cmd=psync"), "{list}");
    let role = client.line("ROLE");
    assert!(role.contains(&format!("\"127.0.0.1\", \"{}\"", replica.port())), "{role}");
}

/// In the payload, and in the stream behind it.
#[test]
fn fields_that_expire_come_to_who_knows_of_them() {
    let server = master(&[]);
    let mut client = server.client();
    let give = |client: &mut Client, key: &str| {
        let (field, gone) = (["FIELDS", "1", "f"], ["FIELDS", "1", "gone"]);
        ok(client, &["HSET", key, "f", "v", "gone", "v", "stays", "v"]);
        ok(client, &[&["HPEXPIREAT", key, "4000000000123"][..], &field].concat());
        ok(client, &[&["HPEXPIRE", key, "500"][..], &gone].concat());
    };
    give(&mut client, "small");
    for number in 0..1000 {
        ok(&mut client, &["HSET", "large", &number.to_string(), "value"]);
    }
    give(&mut client, "large");
    let Some(replica) = RedisServer::start() else { return };
    if !replica.has_fields_that_expire() {
        return;
    }
    let mut there = replica.client();
    assert_eq!(there.line(&format!("REPLICAOF 127.0.0.1 {}", server.port())), "+OK");
    linked(&replica);
    give(&mut client, "later");
    for key in ["small", "large", "later"] {
        until("the field has expired here", || {
            (client.line(&format!("HEXISTS {key} gone")) == ":0").then_some(())
        });
        assert_eq!(client.line("WAIT 1 30000"), ":1");
        until("it has gone there", || (there.line(&format!("HEXISTS {key} gone")) == ":0").then_some(()));
        assert_eq!(there.line(&format!("HPEXPIRETIME {key} FIELDS 2 f stays")), "[:4000000000123, :-1]");
        assert_eq!(there.line(&format!("HLEN {key}")), client.line(&format!("HLEN {key}")));
    }
    check_same(&server, &replica);
    assert_eq!(there.line("REPLICAOF NO ONE"), "+OK");
    let values = reading(&mut client, "large");
    assert_eq!(reading(&mut there, "large"), values);
}

/// Whatever changes fields that expire, or when they do, where these commands are known.
#[test]
fn what_is_written_to_fields_that_expire_comes_to_who_knows_of_them() {
    let server = master(&[]);
    let mut client = server.client();
    let Some(replica) = RedisServer::start() else { return };
    if !replica.has_fields_that_expire() {
        return;
    }
    let write = |client: &mut Client, key: &str| {
        for line in [
            "HSET {} a 1 b 2 c 3 d 4 e 5 past 6 gone 7",
            "HEXPIRE {} 100000 FIELDS 3 a b c",
            "HPEXPIRE {} 300 FIELDS 1 gone",
            "HPERSIST {} FIELDS 2 b d",
            "HINCRBY {} a 5",
            "HINCRBYFLOAT {} c 0.5",
            "HPEXPIREAT {} 4000000000000 GT FIELDS 2 c d",
            "HPEXPIREAT {} 4000000000001 NX FIELDS 2 c d",
            "HPEXPIREAT {} 1 FIELDS 1 past",
            "HSET {} a new",
            "HSETEX {} EX 100000 FIELDS 3 f 1 g 2 h 3",
            "HSETEX {} KEEPTTL FIELDS 1 f 4",
            "HSETEX {} FIELDS 1 g 4",
            "HSETEX {} PXAT 1 FIELDS 1 h 4",
            "HGETEX {} PX 90000000 FIELDS 2 e none",
            "HGETEX {} PERSIST FIELDS 1 f",
            "HGETDEL {} FIELDS 1 g",
            "COPY {} {}:copy",
        ] {
            let line = line.replace("{}", key);
            ok(client, &line.split(' ').collect::<Vec<_>>());
        }
    };
    write(&mut client, "before");
    let mut there = replica.client();
    assert_eq!(there.line(&format!("REPLICAOF 127.0.0.1 {}", server.port())), "+OK");
    linked(&replica);
    write(&mut client, "before");
    write(&mut client, "behind");
    for key in ["before", "before:copy", "behind", "behind:copy"] {
        until("the field has expired here", || {
            (client.line(&format!("HEXISTS {key} gone")) == ":0").then_some(())
        });
        assert_eq!(client.line("WAIT 1 30000"), ":1");
        let names = "FIELDS 6 a b c d e f";
        for ask in [format!("HPEXPIRETIME {key} {names}"), format!("HLEN {key}")] {
            until("it is the same there", || (there.line(&ask) == client.line(&ask)).then_some(()));
        }
    }
    check_same(&server, &replica);
}

#[test]
fn it_follows_under_load_with_and_without_a_log() {
    let settings: [&[&str]; 3] = [
        &["--cores", "2"],
        &["--cores", "3", "--appendonly", "yes"],
        &["--cores", "1", "--appendonly", "yes", "--appendfsync", "always"],
    ];
    for args in settings {
        let server = master(args);
        let mut replica = None;
        under_load(&server, || {
            busy(&server, 500);
            replica = replica_of(server.port(), &[]);
            if let Some(replica) = &replica {
                linked(replica);
                busy(&server, 3000);
            }
        });
        let Some(replica) = replica else { return };
        check_same(&server, &replica);
        assert_eq!(stat(&mut server.client(), "sync_full"), 1, "{args:?}");
    }
}

#[test]
fn what_is_written_comes_as_it_was_done() {
    let server = master(&[]);
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    let mut client = server.client();
    ok(
        &mut client,
        &[
            "EVAL",
            "redis.call('SET', KEYS[1], 'a') redis.call('INCR', KEYS[2]) return 1",
            "2",
            "{t}a",
            "{t}b",
        ],
    );
    ok(
        &mut client,
        &[
            "FUNCTION",
            "LOAD",
            "#!lua name=two\nredis.register_function('two', function(keys) return redis.call('INCR', keys[1]) end)",
        ],
    );
    ok(&mut client, &["FCALL", "two", "1", "counted"]);
    let mut listening = replica.client();
    ok(&mut listening, &["SUBSCRIBE", "news"]);
    assert_eq!(client.line("PUBLISH news told"), ":0");
    assert_eq!(show(&listening.read()), r#"["message", "news", "told"]"#);
    ok(&mut client, &["SET", "gone", "1", "PX", "30"]);
    ok(&mut client, &["MSET", "a", "1", "b", "2", "c", "3", "d", "4"]);
    ok(&mut client, &["SINTERSTORE", "to", "a1", "b1"]);
    ok(&mut client, &["SELECT", "5"]);
    ok(&mut client, &["SET", "five", "5"]);
    ok(&mut client, &["SWAPDB", "5", "6"]);
    ok(&mut client, &["SELECT", "0"]);
    until("it has expired", || (client.line("EXISTS gone") == ":0").then_some(()));
    check_same(&server, &replica);
    let mut there = replica.client();
    assert_eq!(there.line("EXISTS gone"), ":0");
    assert_eq!(there.line("GET counted"), "\"1\"");
    ok(&mut client, &["FLUSHALL"]);
    ok(&mut client, &["SET", "after", "1"]);
    check_same(&server, &replica);
    assert_eq!(there.line("DBSIZE"), ":1");
}

/// Whoever hears of something at a replica that was published in a transaction finds it done there.
#[test]
fn messages_of_a_transaction_are_a_part_of_it() {
    let server = master(&[]);
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    let (mut client, mut monitor) = (server.client(), replica.client());
    ok(&mut monitor, &["MONITOR"]);
    let mut check = |commands: &[&[&str]], expected: &str| {
        commands.iter().for_each(|words| ok(&mut client, words));
        assert_eq!(client.line("WAIT 1 30000"), ":1");
        ok(&mut client, &["SET", "end", "1"]);
        let mut seen: Vec<String> = Vec::new();
        while seen.last().is_none_or(|line| line != "SET end 1") {
            let line = show(&monitor.read());
            let (_, words) = line.split_once("] ").expect("a line of MONITOR");
            let words = words.replace(['"', '\\'], "");
            if !["PING", "SELECT", "REPLCONF"].iter().any(|word| words.starts_with(*word)) {
                seen.push(words);
            }
        }
        seen.pop();
        assert_eq!(seen.join(" | "), expected, "{commands:?}");
    };
    let publish = |message| ["PUBLISH", "news", message];
    check(
        &[&["MULTI"], &publish("1"), &["SET", "a", "1"], &publish("2"), &["EXEC"]],
        "MULTI | PUBLISH news 1 | SET a 1 | PUBLISH news 2 | EXEC",
    );
    check(
        &[&["MULTI"], &["SET", "a", "2"], &publish("3"), &["SET", "b", "2"], &["EXEC"]],
        "MULTI | SET a 2 | PUBLISH news 3 | SET b 2 | EXEC",
    );
    check(&[&["MULTI"], &["GET", "a"], &publish("4"), &["GET", "b"], &["EXEC"]], "PUBLISH news 4");
    const SCRIPT: &str = "for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1]) end redis.call('PUBLISH', 'news', '5')";
    check(&[&["EVAL", SCRIPT, "1", "a", "5"]], "MULTI | SET a 5 | PUBLISH news 5 | EXEC");
    check(&[&["EVAL", SCRIPT, "2", "a", "b", "5"]], "MULTI | SET a 5 | SET b 5 | PUBLISH news 5 | EXEC");
    // One that runs in slices: replicas hear of it when it is over.
    const LONG: &str = "redis.call('PUBLISH', 'news', '6') redis.call('SET', KEYS[1], '6') local n = 0 while n < 2e7 do n = n + 1 end";
    check(&[&["EVAL", LONG, "1", "a"]], "MULTI | SET a 6 | PUBLISH news 6 | EXEC");
}

/// A transaction over several shards is seen whole: its keys are always equal.
#[test]
fn transactions_over_shards_are_whole_on_the_replica() {
    let server = master(&[]);
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    let is_over = AtomicBool::new(false);
    let keys = ["w0", "w1", "w2", "w3", "w4"];
    thread::scope(|scope| {
        let (mut writer, is_over) = (server.client(), &is_over);
        scope.spawn(move || {
            let mut round = 0;
            while !is_over.load(Relaxed) {
                round += 1;
                let words: Vec<String> =
                    keys.iter().flat_map(|key| [(*key).to_owned(), round.to_string()]).collect();
                let command: Vec<&str> =
                    std::iter::once("MSET").chain(words.iter().map(String::as_str)).collect();
                ok(&mut writer, &command);
            }
        });
        let mut reader = replica.client();
        let mut seen = std::collections::BTreeSet::new();
        until("it has seen many", || {
            let values = reader.line("MGET w0 w1 w2 w3 w4");
            let first = values.trim_matches(['[', ']']).split(", ").next().expect("one").to_owned();
            assert_eq!(values, format!("[{}]", [first.as_str(); 5].join(", ")));
            seen.insert(first);
            (seen.len() > 200).then_some(())
        });
        is_over.store(true, Relaxed);
    });
    check_same(&server, &replica);
}

#[test]
fn two_that_come_together_share_a_full_sync_and_one_that_is_killed_harms_nobody() {
    let server = master(&[]);
    fill(&mut server.client());
    let Some(one) = replica_of(server.port(), &[]) else { return };
    let Some(two) = replica_of(server.port(), &[]) else { return };
    linked(&one);
    linked(&two);
    let mut client = server.client();
    until("both are online", || (client.line("WAIT 2 1000") == ":2").then_some(()));
    check_same(&server, &one);
    let mut one: RedisServer = one;
    one.kill();
    until("it is gone", || (number(&mut client, "connected_slaves") == 1).then_some(()));
    check_same(&server, &two);
    assert_eq!(client.line("CLIENT KILL TYPE replica"), ":1");
    ok(&mut client, &["SET", "meanwhile", "1"]);
    until("it is back", || (client.line("WAIT 1 1000") == ":1").then_some(()));
    check_same(&server, &two);
    assert!(stat(&mut client, "sync_partial_ok") >= 1);
}

#[test]
fn nothing_is_kept_when_nobody_has_followed_for_long() {
    let server = master(&["--repl-backlog-ttl", "1"]);
    let mut client = server.client();
    assert_eq!(number(&mut client, "repl_backlog_active"), 0);
    let Some(mut replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    assert_eq!(number(&mut client, "repl_backlog_active"), 1);
    let named = field(&mut client, "master_replid");
    replica.kill();
    until("it is over", || (number(&mut client, "repl_backlog_active") == 0).then_some(()));
    ok(&mut client, &["SET", "unseen", "1"]);
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    check_same(&server, &replica);
    assert_ne!(field(&mut client, "master_replid"), named, "nobody resumes across the gap");
}

/// The log is switched on and off while replicas follow: they are sent everything all the same.
#[test]
fn a_log_that_begins_and_ends_leaves_replicas_alone() {
    let server = master(&[]);
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    under_load(&server, || {
        let mut client = server.client();
        for _ in 0..3 {
            for value in ["yes", "no"] {
                assert_eq!(client.line(&format!("CONFIG SET appendonly {value}")), "+OK");
                busy(&server, 500);
            }
        }
    });
    check_same(&server, &replica);
    assert_eq!(stat(&mut server.client(), "sync_full"), 1);
}
