//! What servers journal: run again on an empty server it gives the same data, whatever happened, on however many cores; and
//! what was answered is in it, even if the server was killed.

pub(crate) mod load;
pub(crate) mod replay;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use lacewing_tests::{Client, Server, until};
use load::work;
use replay::{Reading, reading, replay};
use stdx::rng::Rng;
use tempfile::TempDir;

/// A server that writes logs, in this directory.
fn journalling(dir: &Arc<TempDir>, cores: &str, policy: &str) -> Server {
    let args = ["--cores", cores, "--pin", "no", "--databases", "3", "--appendonly", "yes"];
    // The whole log is read afterwards: no snapshot is to take the place of its beginning.
    let whole = ["--auto-aof-rewrite-percentage", "0"];
    Server::on(Arc::clone(dir), &[&args[..], &["--appendfsync", policy], &whole].concat())
}

/// What the journals of a server make of an empty one.
fn replayed(dir: &Path, cores: u16) -> Reading {
    replayed_until(dir, cores, None).0
}

/// The same up to a cut, and the cuts that were passed.
fn replayed_until(dir: &Path, cores: u16, until: Option<u64>) -> (Reading, Vec<u64>) {
    let copy = Server::with(&["--cores", "2", "--pin", "no", "--databases", "3"]);
    let mut client = copy.client();
    let cuts = replay(&dir.join("log/0000000001"), cores, until, &mut client);
    (reading(&mut client), cuts)
}

/// Runs commands, on so many cores, and compares what they leave with what the journal makes of an empty server. Each case
/// is a line of commands, parted by ` | `.
#[track_caller]
fn check(lines: &str) {
    for cores in [1, 2, 5] {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let mut server = journalling(&dir, &cores.to_string(), "everysec");
        let mut client = server.client();
        for line in lines.split(" | ") {
            let reply = client.line(line);
            assert!(!reply.starts_with("-ERR"), "{line}: {reply}");
        }
        let before = reading(&mut client);
        assert!(server.stop().success());
        assert_eq!(replayed(dir.path(), cores), before, "{cores} cores: {lines}");
    }
}

#[test]
fn single_commands_come_back() {
    check("SET a 1 | SET b 2 EX 1000 | APPEND a 2 | INCR n | INCRBYFLOAT n 0.5 | SETRANGE a 5 x | GETDEL b");
    check("RPUSH l a b c | LPOP l | LMOVE l m LEFT RIGHT | SADD s 1 2 3 | SPOP s | SMOVE s t 1");
    check("HSET h f 1 g 2 | HINCRBYFLOAT h f 1.5 | HEXPIRE h 1000 FIELDS 1 g | HGETDEL h FIELDS 1 f");
    check("ZADD z 1 a 2 b | ZPOPMIN z | ZINCRBY z 2 b | GEOADD g 13 38 p | PFADD p 1 2 3");
    check(
        "XADD x 1-1 a b | XGROUP CREATE x g 0 | XREADGROUP GROUP g c STREAMS x > | XACK x g 1-1 | XADD x * c d",
    );
    check("SELECT 2 | SET a 1 | SELECT 0 | SET a 2 | MOVE a 1 | SELECT 1 | SET b 1 | COPY b c DB 2");
}

#[test]
fn keys_that_expire_are_gone() {
    for cores in [1, 2, 5] {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let mut server = journalling(&dir, &cores.to_string(), "everysec");
        let mut client = server.client();
        for key in 0..40 {
            client.line(&format!("SET k{key} v PX {}", 1 + key));
            client.line(&format!("HSET h{key} f 1 g 2"));
            client.line(&format!("HPEXPIRE h{key} {} FIELDS 1 f", 1 + key));
        }
        until("all keys have expired, unasked", || (client.line("DBSIZE") == ":40").then_some(()));
        let fields = |client: &mut Client| (0..40).all(|key| client.line(&format!("HLEN h{key}")) == ":1");
        until("all fields have expired", || fields(&mut client).then_some(()));
        client.line("SET k1 again");
        let before = reading(&mut client);
        assert!(server.stop().success());
        assert_eq!(replayed(dir.path(), cores), before, "{cores} cores");
    }
}

#[test]
fn commands_over_several_shards_come_back() {
    check("MSET a 1 b 2 c 3 d 4 e 5 | DEL a c | UNLINK x b | MSETNX a 2 x 3 | MSET a 5 d 6");
    check("MSET a 1 b 2 c 3 | RENAME a z | COPY b y | RENAMENX c w | SELECT 1 | MSET a 1 b 2 c 3 d 4");
    check("SADD s 1 2 | SADD t 2 3 | SUNIONSTORE u s t | SINTERSTORE v s t | SMOVE s t 1 | SDIFFSTORE s u v");
    check(
        "RPUSH l 3 1 2 | SORT l STORE m | LMOVE l m LEFT LEFT | MSET w_1 2 w_2 1 w_3 0 | SORT l BY w_* STORE k",
    );
    check(
        "ZADD y 1 a | ZADD z 2 a 3 b | ZUNIONSTORE x 2 y z | ZRANGESTORE w z 0 0 | PFADD p 1 | PFADD q 2 | PFMERGE r p q",
    );
    check("MSET a 1 b 2 c 3 | FLUSHALL | MSET d 4 e 5 | SWAPDB 0 1 | SET f 6 | SELECT 1 | FLUSHDB | SET g 1");
    check("SET a 1 | BITOP NOT b a | BITOP OR c a b | LMPOP 2 x y LEFT | RPUSH y 1 2 3 | LMPOP 2 x y LEFT");
}

#[test]
fn transactions_and_scripts_come_back() {
    check("MULTI | SET a 1 | INCR b | MSET c 1 d 2 | SELECT 1 | SET e 1 | RENAME e f | EXEC | SET g 1");
    check(
        "MULTI | SET {t}a 1 | INCR {t}b | EXEC | MULTI | GET a | EXEC | MULTI | SET x 1 | SET y 2 | SET z 3 | EXEC",
    );
    check(
        "MULTI | SET a 1 | FLUSHALL | SET b 1 | SET c 1 | EXEC | MULTI | LPUSH l 1 | EVAL 'return redis.call(\"SET\", \"q\", 1)' 0 | EXEC",
    );
    check(
        "EVAL 'redis.call(\"SET\", KEYS[1], 1) redis.call(\"INCR\", KEYS[1])' 1 a | EVAL 'for i = 1, 20 do redis.call(\"SET\", \"k\" .. i, i) end' 0",
    );
    check(
        "EVAL 'redis.call(\"MSET\", KEYS[1], 1, KEYS[2], 2) redis.call(\"RENAME\", KEYS[1], KEYS[2]) redis.call(\"SET\", KEYS[1], 4)' 2 a b",
    );
    check(
        "EVAL 'redis.call(\"SET\", KEYS[1], 1) local i = 0 while i < 3000000 do i = i + 1 end redis.call(\"INCR\", KEYS[1])' 1 a | SET b 1",
    );
    check(
        "EVAL 'redis.call(\"SELECT\", 2) redis.call(\"SET\", \"a\", 1) redis.call(\"SET\", \"b\", 1)' 0 | SET c 1",
    );
}

#[test]
fn clients_that_were_served_took_what_they_got() {
    for cores in [1, 2, 5] {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let mut server = journalling(&dir, &cores.to_string(), "everysec");
        let mut client = server.client();
        let mut waiters: Vec<Client> = (0..12).map(|_| server.client()).collect();
        for (number, waiter) in waiters.iter_mut().enumerate() {
            let (one, other) = (format!("l{number}"), format!("m{number}"));
            match number % 3 {
                0 => waiter.send(&["BLPOP", &one, "0"]),
                1 => waiter.send(&["BLPOP", &other, &one, "0"]),
                _ => waiter.send(&["BLMOVE", &one, &other, "LEFT", "RIGHT", "0"]),
            }
        }
        until("all wait", || client.line("INFO clients").contains("blocked_clients:12").then_some(()));
        for number in 0..12 {
            let key = format!("l{number}");
            match number % 2 {
                0 => drop(client.call(&["RPUSH", &key, "a", "b"])),
                _ => {
                    ["MULTI", &format!("RPUSH {key} a b c"), "SET x 1", "EXEC"].iter().for_each(|line| {
                        client.line(line);
                    });
                }
            }
        }
        waiters.iter_mut().for_each(|waiter| drop(waiter.read()));
        let before = reading(&mut client);
        assert!(server.stop().success());
        assert_eq!(replayed(dir.path(), cores), before, "{cores} cores");
    }
}

#[test]
fn evicted_keys_are_gone() {
    let dir = Arc::new(TempDir::new().expect("a temporary directory"));
    let mut server = journalling(&dir, "2", "everysec");
    let mut client = server.client();
    let value = "x".repeat(1000);
    for key in 0..1000 {
        client.call(&["SET", &format!("k{key}"), &value]);
    }
    client.line("CONFIG SET maxmemory-policy allkeys-random");
    client.line("CONFIG SET maxmemory 700000");
    for key in 0..2000 {
        client.call(&["SET", &format!("k{key}"), &value]);
    }
    client.line("CONFIG SET maxmemory 0");
    let before = reading(&mut client);
    assert!(before.len() < 1500, "hardly anything was evicted");
    assert!(server.stop().success());
    assert_eq!(replayed(dir.path(), 2), before);
}

/// Has clients do `work`, each on its own seed, and compares what it leaves with what the journal makes of an empty server.
fn many(seed: u64, (cores, policy): (u16, &str), setup: &[&str], work: fn(Client, Rng, &AtomicBool)) {
    let dir = Arc::new(TempDir::new().expect("a temporary directory"));
    let mut server = journalling(&dir, &cores.to_string(), policy);
    let is_over = AtomicBool::new(false);
    let mut rng = Rng::new(seed);
    setup.iter().for_each(|line| assert_eq!(server.client().line(line), "+OK"));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (client, rng, is_over) = (server.client(), rng.fork(), &is_over);
            scope.spawn(move || work(client, rng, is_over));
        }
        let started = Instant::now();
        while started.elapsed() < LENGTH {
            thread::park_timeout(Duration::from_millis(20));
        }
        is_over.store(true, Relaxed);
    });
    server.client().line("CONFIG SET maxmemory 0");
    let before = reading(&mut server.client());
    assert!(before.len() > 5, "hardly anything to compare");
    assert!(server.stop().success());
    let after = replayed(dir.path(), cores);
    let differ: Vec<_> = before.iter().filter(|(key, value)| after.get(*key) != Some(value)).collect();
    assert_eq!(after, before, "seed {seed}, {cores} cores: {differ:#?}");
}

#[test]
fn whatever_many_clients_do_at_once_comes_back() {
    for (seed, cores, policy) in
        [(1, 1, "everysec"), (2, 2, "everysec"), (3, 5, "everysec"), (4, 3, "always")]
    {
        many(seed, (cores, policy), &[], work);
    }
}

/// A key that a transaction has locked is evicted after it, or its deletion would stand before the transaction in the journal.
#[test]
fn keys_of_transactions_are_evicted_after_them() {
    let setup = ["CONFIG SET maxmemory-policy allkeys-random", "CONFIG SET maxmemory 700000"];
    for (seed, cores) in [(1, 2), (2, 3)] {
        many(seed, (cores, "everysec"), &setup, load::fill);
    }
}

#[test]
fn changes_of_libraries_keep_their_order() {
    for (seed, cores) in [(1, 2), (2, 5)] {
        many(seed, (cores, "everysec"), &[], load::libraries);
    }
}

#[test]
fn what_was_answered_survives_a_kill() {
    for (cores, policy) in [(2, "everysec"), (3, "always")] {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let mut server = journalling(&dir, &cores.to_string(), policy);
        let is_over = AtomicBool::new(false);
        let told: Vec<(u64, u64)> = thread::scope(|scope| {
            let counters: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (client, is_over) = (server.client(), &is_over);
                    scope.spawn(move || load::count(client, number, is_over))
                })
                .collect();
            let started = Instant::now();
            while started.elapsed() < LENGTH / 2 {
                thread::park_timeout(Duration::from_millis(10));
            }
            load::until_all_have_counted(&mut server.client(), CLIENTS);
            is_over.store(true, Relaxed);
            server.kill();
            counters.into_iter().map(|counter| counter.join().expect("a counter does not panic")).collect()
        });
        let after = replayed(dir.path(), cores);
        for (number, (single, pair)) in told.into_iter().enumerate() {
            let value = |key: String| after.get(&(0, key)).map_or(0, |text| load::number_in(text));
            let [found, left, right] =
                ["single", "left", "right"].map(|what| value(format!("{what}{number}")));
            assert!(found >= single && single > 0, "{cores} cores: counted to {single}, found {found}");
            assert!(left == right && left >= pair, "{cores} cores: {pair} pairs, found {left} and {right}");
        }
    }
}

/// Pairs are written by MSET, whose halves are on several shards; so what is before a cut has both halves, or none.
#[test]
fn cuts_stand_in_all_journals_and_never_in_a_transaction() {
    for (cores, policy) in [(1, "everysec"), (2, "everysec"), (3, "everysec"), (2, "always")] {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let mut server = journalling(&dir, &cores.to_string(), policy);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 0..COUNTERS {
                let (client, is_over) = (server.client(), &is_over);
                scope.spawn(move || load::count(client, number, is_over));
            }
            let started = Instant::now();
            while started.elapsed() < LENGTH * 3 / 2 {
                thread::park_timeout(Duration::from_millis(20));
            }
            is_over.store(true, Relaxed);
        });
        assert!(server.stop().success());
        let (last, cuts) = replayed_until(dir.path(), cores, None);
        assert!(cuts.len() >= 3, "{cores} cores, {policy}: cuts {cuts:?}");
        assert_eq!(cuts, (1..=cuts.len() as u64).collect::<Vec<_>>(), "{cores} cores, {policy}");
        let pairs = |reading: &Reading| -> Vec<u64> {
            let value = |key: String| reading.get(&(0, key)).map_or(0, |text| load::number_in(text));
            let pair = |number: usize| {
                let [left, right] = ["left", "right"].map(|what| value(format!("{what}{number}")));
                assert_eq!(left, right, "{cores} cores, {policy}: half of a pair");
                left
            };
            (0..COUNTERS).map(pair).collect()
        };
        let mut before = vec![0; COUNTERS];
        for cut in cuts {
            let (reading, passed) = replayed_until(dir.path(), cores, Some(cut));
            assert_eq!(passed.last(), Some(&cut));
            let now = pairs(&reading);
            assert!(now.iter().zip(&before).all(|(now, before)| now >= before), "{before:?}, then {now:?}");
            before = now;
        }
        let end = pairs(&last);
        assert!(end.iter().zip(&before).all(|(end, before)| end >= before && *before > 0), "{before:?}");
    }
}

#[test]
fn the_policy_changes_at_one_cut_in_all_journals() {
    for cores in [1, 2, 3] {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let mut server = journalling(&dir, &cores.to_string(), "everysec");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 0..COUNTERS {
                let (client, is_over) = (server.client(), &is_over);
                scope.spawn(move || load::count(client, number, is_over));
            }
            let mut client = server.client();
            for policy in ["everysec", "always", "everysec", "always", "no", "everysec"] {
                assert_eq!(client.line(&format!("CONFIG SET appendfsync {policy}")), "+OK");
                // In all logs something is written by this policy.
                (0..30).for_each(|key| drop(client.line(&format!("INCR n{key}"))));
            }
            is_over.store(true, Relaxed);
        });
        assert!(server.stop().success());
        let logs = dir.path().join("log/0000000001");
        let changes = replay::policies(&logs, 0);
        let policies: Vec<bool> = changes.iter().map(|change| change.1).collect();
        assert_eq!(policies, [false, true, false, true, false], "{cores} cores: {changes:?}");
        for shard in 1..cores {
            assert_eq!(replay::policies(&logs, shard), changes, "{cores} cores");
        }
    }
}

/// Without writes there are no cuts.
#[test]
fn cuts_are_made_only_while_something_is_written() {
    let dir = Arc::new(TempDir::new().expect("a temporary directory"));
    let mut server = journalling(&dir, "2", "everysec");
    let mut client = server.client();
    let logs = dir.path().join("log/0000000001");
    let cuts = |count: usize| {
        let lens = [0, 1].map(|shard| replay::cuts(&logs, shard).len());
        (lens == [count; 2]).then_some(())
    };
    client.line("SET a 1");
    until("the first cut", || cuts(1));
    let waited = Instant::now();
    while waited.elapsed() < LENGTH {
        assert_eq!(client.line("GET a"), "\"1\"");
        assert_eq!(cuts(1), Some(()), "nothing was written");
    }
    client.line("SET b 1");
    until("the second cut", || cuts(2));
    assert!(server.stop().success());
    let durable: Vec<u64> = (0..2).flat_map(|shard| replay::cuts(&logs, shard)).collect();
    assert_eq!(durable, [0, 1, 0, 1], "the second says that the first is on the disk everywhere");
}

/// A script that runs in slices holds its keys' locks for long. A cut that stood in line behind it would keep all others
/// waiting, so it comes afterwards.
#[test]
fn nobody_waits_for_a_cut_that_has_to_wait_for_a_script() {
    for keys in ["a {a}stop", "a {a}stop b c"] {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let mut server = journalling(&dir, "2", "everysec");
        let (mut client, mut script) = (server.client(), server.client());
        let cuts = || replay::cuts(&dir.path().join("log/0000000001"), 0).len();
        let count = keys.split(' ').count();
        script.send_line(&format!(
            "EVAL 'redis.call(\"INCR\", KEYS[1]) while redis.call(\"EXISTS\", KEYS[2]) == 0 do end' {count} {keys}"
        ));
        until("the script holds its locks", || {
            let mut probe = server.client();
            probe.timeout(Some(Duration::from_millis(200))).expect("a socket has a timeout");
            probe.send_line("GET a");
            probe.read_any().is_err().then_some(())
        });
        let (began, before) = (Instant::now(), cuts());
        while began.elapsed() < LENGTH {
            // On either shard. Who waited for the script would be told that it is busy, in the end.
            for key in 0..10 {
                let reply = client.line(&format!("INCR free{key}"));
                assert!(reply.starts_with(':'), "{keys}: {reply}");
            }
        }
        assert!(cuts() <= before + 1, "{keys}: no cut while it runs");
        server.kill();
    }
}

/// Clients at once, and for how long.
const CLIENTS: usize = 6;
/// Who count, where all that they did is run again several times.
const COUNTERS: usize = 2;
const LENGTH: Duration = Duration::from_secs(2);
