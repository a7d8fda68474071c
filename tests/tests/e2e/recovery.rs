//! Starting on what an earlier server left: all that was acknowledged is there, on any number of cores, or nothing is served and
//! the server says why.

mod meanwhile;
mod places;
mod refused;
mod saved;
mod sets;
mod several;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use lacewing_tests::{Client, Server, until};
use stdx::rng::Rng;
use tempfile::TempDir;

use crate::dump::fill;
use crate::journal::load;
use crate::journal::replay::{Reading, reading};

fn directory() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary directory can be made"))
}

/// What a server that writes a log is started with.
const LOGGING: [&str; 8] =
    ["--appendonly", "yes", "--pin", "no", "--databases", "3", "--enable-debug-command", "yes"];

/// A server with a log in this directory, which may hold one.
#[track_caller]
fn server(dir: &Arc<TempDir>, cores: u16, args: &[&str]) -> Server {
    Server::on(Arc::clone(dir), &[&LOGGING[..], &["--cores", &cores.to_string()], args].concat())
}

/// The logs of a generation, by name.
fn logs(dir: &TempDir, generation: u64) -> Vec<PathBuf> {
    let directory = dir.path().join(format!("log/{generation:010}"));
    let entries = std::fs::read_dir(directory).expect("there is such a generation");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths
}

/// Where the last record of a log ends: behind it are zeros only.
fn end_of(log: &Path) -> usize {
    let bytes = std::fs::read(log).expect("it can be read");
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("it is later than 1970").as_millis() as i64
}

/// How a server ended.
enum End {
    Killed,
    Stopped,
}

/// Fills servers one after the other, on so many cores each, and compares what each finds with what the one before it had.
#[track_caller]
fn check(cores: &[u16], how: End, mut change: impl FnMut(&mut Client, usize)) {
    let dir = directory();
    let mut before: Option<(Reading, String)> = None;
    for (round, &cores) in cores.iter().enumerate() {
        let mut server = server(&dir, cores, &[]);
        let mut client = server.client();
        let found = (reading(&mut client), client.line("DEBUG DIGEST"));
        if let Some(before) = before {
            assert_eq!(found, before, "round {round}, {cores} cores");
        }
        change(&mut client, round);
        before = Some((reading(&mut client), client.line("DEBUG DIGEST")));
        match how {
            End::Killed => server.kill(),
            End::Stopped => assert!(server.stop().success()),
        }
    }
}

/// Commands of one line each, parted by ` | `.
fn run(client: &mut Client, lines: &str) {
    for line in lines.split(" | ") {
        let reply = client.line(line);
        assert!(!reply.starts_with("-ERR"), "{line}: {reply}");
    }
}

#[test]
fn values_of_every_kind_survive_a_kill() {
    check(&[2, 2, 2], End::Killed, |client, round| match round {
        0 => drop(fill(client)),
        _ => run(client, "APPEND string:0 x | RPUSH list:few y | HSET hash:many n 1 | ZADD zset:few 7 z"),
    });
}

#[test]
fn the_number_of_cores_may_change_at_every_start() {
    for cores in [&[1, 2, 1, 3][..], &[2, 3, 2, 1], &[5, 2, 2]] {
        check(cores, End::Killed, |client, round| {
            if round == 0 {
                fill(client);
            }
            run(
                client,
                &format!(
                    "SET a{round} 1 | MSET b{round} 2 c 3 d{round} 4 | INCR n | SELECT 2 | SET a {round}"
                ),
            );
            run(client, "RENAME a b | SELECT 0 | SUNIONSTORE set:u set:few set:many | COPY n m REPLACE");
            run(client, "MULTI | SET x 1 | INCR y | SELECT 1 | LPUSH l a b | EXEC | SELECT 0");
            run(client, "EVAL 'redis.call(\"SET\", KEYS[1], 1) redis.call(\"APPEND\", KEYS[2], 2)' 2 q r");
        });
    }
}

/// When an entry was delivered is kept, wherever the key is.
#[test]
fn who_waits_for_entries_of_streams_waits_as_long_as_before() {
    let dir = directory();
    let mut old = server(&dir, 1, &[]);
    let mut client = old.client();
    for stream in 0..8 {
        run(
            &mut client,
            &format!(
                "XADD s{stream} 1-1 a b | XGROUP CREATE s{stream} g 0 | XREADGROUP GROUP g c STREAMS s{stream} >"
            ),
        );
    }
    old.kill();
    for cores in [2, 3, 1] {
        let new = server(&dir, cores, &[]);
        let mut client = new.client();
        for stream in 0..8 {
            let pending = client.line(&format!("XPENDING s{stream} g IDLE 600000 - + 10"));
            assert_eq!(pending, "[]", "{cores} cores: none was delivered ten minutes ago");
            assert_ne!(client.line(&format!("XPENDING s{stream} g - + 10")), "[]");
        }
        drop(new);
    }
}

#[test]
fn an_orderly_end_loses_nothing_either() {
    check(&[2, 1, 2], End::Stopped, |client, round| {
        run(client, &format!("SET a{round} 1 | MSET b 2 c{round} 3 d 4 | LPUSH l {round}"));
    });
}

#[test]
fn flushes_and_exchanges_of_databases_survive() {
    check(&[2, 1, 3, 2], End::Killed, |client, round| {
        run(client, &format!("MSET a 1 b 2 c {round} | SWAPDB 0 1 | SET d 1 | FLUSHDB | MSET e 1 f {round}"));
        run(client, "SELECT 2 | MSET a 1 b 2 | FLUSHALL | MSET c 1 d 2 | SELECT 0 | MSET g 1 h 2");
    });
}

#[test]
fn functions_survive() {
    let library = |name: &str, what: u32| {
        format!(
            "FUNCTION LOAD REPLACE \"#!lua name={name}\\nredis.register_function('{name}', function() return {what} end)\""
        )
    };
    check(&[2, 1, 2], End::Killed, |client, round| {
        run(client, &library("one", round as u32));
        run(client, &library(&format!("other{round}"), 1));
        assert_eq!(client.line("FCALL one 0"), format!(":{round}"));
        if round == 1 {
            run(client, "FUNCTION DELETE other0");
        }
    });
}

#[test]
fn what_many_clients_did_at_once_is_there_on_another_number_of_cores() {
    for (seed, first, second) in [(11, 2, 2), (12, 2, 3), (13, 3, 1), (14, 1, 2)] {
        let dir = directory();
        let mut rng = Rng::new(seed);
        let mut old = server(&dir, first, &[]);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (client, rng, is_over) = (old.client(), rng.fork(), &is_over);
                scope.spawn(move || load::work(client, rng, is_over));
            }
            let started = Instant::now();
            while started.elapsed() < LENGTH {
                thread::park_timeout(Duration::from_millis(20));
            }
            is_over.store(true, Relaxed);
        });
        let before = reading(&mut old.client());
        old.kill();
        let new = server(&dir, second, &[]);
        let after = reading(&mut new.client());
        let differ: Vec<_> = before.iter().filter(|(key, value)| after.get(*key) != Some(value)).collect();
        assert_eq!(after, before, "seed {seed}, {first} cores, then {second}: {differ:#?}");
    }
}

#[test]
fn what_was_answered_is_there_after_a_kill_and_no_transaction_is_cut_in_two() {
    for (first, second) in [(2, 2), (3, 2)] {
        let dir = directory();
        let mut old = server(&dir, first, &[]);
        let is_over = AtomicBool::new(false);
        let told: Vec<(u64, u64)> = thread::scope(|scope| {
            let counters: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (client, is_over) = (old.client(), &is_over);
                    scope.spawn(move || load::count(client, number, is_over))
                })
                .collect();
            let started = Instant::now();
            while started.elapsed() < LENGTH / 2 {
                thread::park_timeout(Duration::from_millis(10));
            }
            load::until_all_have_counted(&mut old.client(), CLIENTS);
            is_over.store(true, Relaxed);
            old.kill();
            counters.into_iter().map(|counter| counter.join().expect("a counter does not panic")).collect()
        });
        let new = server(&dir, second, &[]);
        let after = reading(&mut new.client());
        for (number, (single, pair)) in told.into_iter().enumerate() {
            let value = |key: String| after.get(&(0, key)).map_or(0, |text| load::number_in(text));
            let [found, left, right] =
                ["single", "left", "right"].map(|what| value(format!("{what}{number}")));
            assert!(found >= single && single > 0, "counted to {single}, found {found}");
            assert!(left == right && left >= pair, "{pair} pairs, found {left} and {right}");
        }
    }
}

/// A key expires when the journal says so: what was done to it before counts, and what came after too.
#[test]
fn keys_that_expired_stay_gone_and_those_that_were_kept_stay() {
    for second in [2, 3] {
        let dir = directory();
        let mut old = server(&dir, 2, &[]);
        let mut client = old.client();
        for key in 0..30 {
            run(
                &mut client,
                &format!("SET gone{key} v PX 1500 | SET kept{key} v PX 1500 | PERSIST kept{key}"),
            );
            run(
                &mut client,
                &format!("SET again{key} v PX 1500 | HSET h{key} f 1 g 2 | HPEXPIRE h{key} 1500 FIELDS 1 f"),
            );
            run(
                &mut client,
                &format!(
                    "SET moved{key} v PX 1500 | RENAME moved{key} late{key} | PEXPIRE late{key} 1000000"
                ),
            );
        }
        let is_gone = |client: &mut Client| {
            (0..30).all(|key| client.line(&format!("EXISTS gone{key} again{key}")) == ":0")
        };
        until("keys expire", || is_gone(&mut client).then_some(()));
        for key in 0..30 {
            run(&mut client, &format!("SETNX again{key} new"));
        }
        until("fields expire", || {
            (0..30).all(|key| client.line(&format!("HLEN h{key}")) == ":1").then_some(())
        });
        let before = reading(&mut client);
        old.kill();
        let new = server(&dir, second, &[]);
        let mut client = new.client();
        assert_eq!(reading(&mut client), before);
        assert_eq!(client.line("GET kept7"), "\"v\"");
        assert_eq!(client.line("GET again7"), "\"new\"");
        assert_eq!(client.line("GET gone7"), "nil");
    }
}

/// Keys whose time comes while no server runs are gone at the start.
#[test]
fn keys_whose_time_came_meanwhile_are_not_seen() {
    let dir = directory();
    let mut old = server(&dir, 2, &[]);
    let mut client = old.client();
    run(&mut client, "SET a 1 PX 300 | SET b 1 | SET c 1 PX 300 | APPEND c 2 | MSET d 1 e 2 | PEXPIRE d 300");
    let at = Instant::now();
    old.kill();
    until("their time comes", || (at.elapsed() > Duration::from_millis(300)).then_some(()));
    let new = server(&dir, 2, &[]);
    let mut client = new.client();
    assert_eq!(client.line("EXISTS a b c d e"), ":2");
    until("they are removed, unasked", || (client.line("DBSIZE") == ":2").then_some(()));
}

/// What is past its time when it is read back is still what later records build on.
#[test]
fn what_was_kept_in_time_is_kept_though_its_first_time_has_passed() {
    let dir = directory();
    let mut old = server(&dir, 2, &[]);
    let mut client = old.client();
    run(
        &mut client,
        "SET a 1 PX 200 | APPEND a 2 | PERSIST a | RPUSH l x | PEXPIRE l 200 | LPUSH l y | COPY l m | PERSIST m",
    );
    old.kill();
    let at = Instant::now();
    until("the first time passes", || (at.elapsed() > Duration::from_millis(250)).then_some(()));
    for cores in [2, 3] {
        let mut new = server(&dir, cores, &[]);
        let mut client = new.client();
        assert_eq!(client.line("GET a"), "\"12\"");
        assert_eq!(client.line("LRANGE m 0 -1"), "[\"y\", \"x\"]");
        assert_eq!(client.line("EXISTS l"), ":0");
        new.kill();
    }
}

#[test]
fn without_a_log_to_write_the_log_that_is_there_is_read() {
    let dir = directory();
    let mut first = server(&dir, 2, &[]);
    run(&mut first.client(), "MSET a 1 b 2 c 3");
    first.kill();
    let mut second = server(&dir, 2, &["--appendonly", "no"]);
    assert_eq!(second.client().line("MGET a b c"), "[\"1\", \"2\", \"3\"]");
    run(&mut second.client(), "SET a 7");
    second.kill();
    // What the second did was in memory only, as it was told.
    let third = server(&dir, 2, &[]);
    assert_eq!(third.client().line("MGET a b c"), "[\"1\", \"2\", \"3\"]");
}

/// Segments of the least size: every few records begin one, and large records have one each.
#[test]
fn logs_of_many_segments_are_read_through() {
    let dir = directory();
    let small = ["--log-segment-size", "4096"];
    let mut old = server(&dir, 2, &small);
    let mut client = old.client();
    for number in 0..400 {
        run(
            &mut client,
            &format!("SET k{number} {} | MSET a {number} b {number} c {number}", "x".repeat(number + 1)),
        );
    }
    run(&mut client, &format!("SET large {}", "y".repeat(100_000)));
    let before = (reading(&mut client), client.line("DEBUG DIGEST"));
    old.kill();
    assert!(logs(&dir, 1).len() > 40, "{:?}", logs(&dir, 1));
    for cores in [2, 1] {
        let mut new = server(&dir, cores, &small);
        let mut client = new.client();
        assert_eq!((reading(&mut client), client.line("DEBUG DIGEST")), before);
        new.kill();
    }
}

/// Clients at once, and for how long.
const CLIENTS: usize = 6;
const LENGTH: Duration = Duration::from_secs(2);
