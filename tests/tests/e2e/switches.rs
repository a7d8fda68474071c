//! `appendonly` and `appendfsync` that change while a server is busy, and what is there after it is killed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::Duration;

use lacewing_tests::{Client, Server, show, until};
use resp::Value;
use stdx::rng::Rng;
use tempfile::TempDir;

use crate::disk::{Told, check_found, count, directory, field};

fn server(dir: &Arc<TempDir>, cores: u16, args: &[&str]) -> Server {
    let cores = cores.to_string();
    Server::on(Arc::clone(dir), &[&["--pin", "no", "--save", "", "--cores", &cores], args].concat())
}

#[track_caller]
fn set(client: &mut Client, parameter: &str, value: &str) {
    assert_eq!(client.line(&format!("CONFIG SET {parameter} {value}")), "+OK");
}

/// Waits until what is written counts after a crash.
fn until_it_counts(client: &mut Client) {
    until("the log has begun", || (field(client, "aof_rewrite_in_progress") == "0").then_some(()));
}

/// Waits until writers have had more answers, or the server is gone.
fn until_more_is_written(client: &mut Client) {
    let answered = |client: &mut Client| -> Option<u64> {
        let info = asked(client, "INFO stats")?;
        let (_, count) = info.split_once("total_commands_processed:")?;
        count.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
    };
    let Some(before) = answered(client) else { return };
    until("more is written", || answered(client).is_none_or(|now| now > before + 500).then_some(()));
}

/// Has writers count while `change` is at work, which says with the number when answers promise nothing ([`count`]) and kills the
/// server in the end; and compares what the next one finds.
#[track_caller]
fn check(cores: u16, args: &[&str], change: impl FnOnce(&mut Server, &AtomicU64)) {
    let dir = directory();
    let mut server = server(&dir, cores, args);
    let (is_over, phase) = (AtomicBool::new(false), AtomicU64::new(0));
    let told: Vec<Told> = thread::scope(|scope| {
        let writers: Vec<_> = (0..6)
            .map(|number| {
                let (client, is_over, phase) = (server.client(), &is_over, &phase);
                scope.spawn(move || count(client, number, is_over, phase))
            })
            .collect();
        change(&mut server, &phase);
        is_over.store(true, Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("a writer does not panic")).collect()
    });
    check_found(&self::server(&dir, cores % 3 + 1, &["--appendonly", "yes"]), &told);
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_policies_change_under_load() {
    for (seed, cores) in [(1, 2), (2, 3), (3, 1)] {
        check(cores, &["--appendonly", "yes"], |server, _| {
            let (mut client, mut rng) = (server.client(), Rng::new(seed));
            for _ in 0..12 {
                let policy = ["everysec", "always", "no"][rng.below(3) as usize];
                set(&mut client, "appendfsync", policy);
                thread::park_timeout(Duration::from_millis(rng.below(60)));
            }
            server.kill();
        });
    }
}

#[test]
fn a_log_that_begins_under_load_has_all_from_its_snapshot_on() {
    for (cores, policy) in [(2, "everysec"), (3, "always"), (1, "no")] {
        check(cores, &["--appendonly", "no", "--appendfsync", policy], |server, phase| {
            let mut client = server.client();
            phase.store(1, SeqCst);
            until_more_is_written(&mut client);
            set(&mut client, "appendonly", "yes");
            assert_eq!(field(&mut client, "aof_enabled"), "1");
            until_it_counts(&mut client);
            phase.store(2, SeqCst);
            until_more_is_written(&mut client);
            server.kill();
        });
    }
}

/// The log ends and begins again, until the server is gone.
fn toggle(client: &mut Client, phase: &AtomicU64) {
    for round in 0.. {
        until_more_is_written(client);
        phase.store(2 * round + 1, SeqCst);
        let policy = ["everysec", "always", "no"][round as usize % 3];
        for line in ["appendonly no", &format!("appendfsync {policy}"), "appendonly yes"] {
            match asked(client, &format!("CONFIG SET {line}")) {
                Some(answer) => assert_eq!(answer, "+OK", "{line}"),
                None => return,
            }
        }
        loop {
            match asked(client, "INFO persistence") {
                Some(info) if info.contains("aof_rewrite_in_progress:0") => break,
                Some(_) => {}
                None => return,
            }
        }
        phase.store(2 * round + 2, SeqCst);
    }
}

/// What is answered, if anything is.
fn asked(client: &mut Client, line: &str) -> Option<String> {
    client.try_send_bytes(format!("{line}\r\n").as_bytes()).ok()?;
    client.read_any().ok().flatten().map(|value| show(&value))
}

/// `LACEWING_LONG_SWITCHES`: so many kills, each at a random moment, rather than a few.
#[test]
fn a_log_that_ends_and_begins_again_and_again_can_be_killed_at_any_moment() {
    let kills = std::env::var("LACEWING_LONG_SWITCHES").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    for seed in 0..kills {
        let mut rng = Rng::new(seed);
        let cores = [2, 3, 1][seed as usize % 3];
        check(cores, &["--appendonly", "yes"], |server, phase| {
            let mut operator = server.client();
            thread::scope(|scope| {
                let toggling = scope.spawn(move || toggle(&mut operator, phase));
                thread::park_timeout(Duration::from_millis(100 + rng.below(700)));
                server.kill();
                toggling.join().expect("it does not panic");
            });
        });
    }
}

/// What a start finds after `change` and a kill: `expected` is the value of `k`.
#[track_caller]
fn check_value(change: &[&str], appendonly: &str, expected: &str) {
    let dir = directory();
    let mut server = server(&dir, 2, &["--appendonly", "yes"]);
    let mut client = server.client();
    for line in change {
        assert_eq!(client.line(line), "+OK", "{line}");
        until_it_counts(&mut client);
    }
    server.kill();
    let server = self::server(&dir, 2, &["--appendonly", appendonly]);
    assert_eq!(server.client().line("GET k"), expected, "{change:?}");
}

/// HAZARDS 5: files of two histories side by side. Redis takes what the log had, whatever was saved since it was switched off.
#[test]
fn what_was_saved_after_the_log_had_ended_is_newer_than_the_log() {
    let off = ["SET k 1", "CONFIG SET appendonly no", "SET k 2"];
    for appendonly in ["yes", "no"] {
        check_value(&off, appendonly, "\"1\"");
        check_value(&[&off[..], &["SAVE"]].concat(), appendonly, "\"2\"");
        check_value(&[&off[..], &["SAVE", "SET k 3"]].concat(), appendonly, "\"2\"");
        check_value(&[&off[..], &["CONFIG SET appendonly yes"]].concat(), appendonly, "\"2\"");
        check_value(&[&off[..], &["CONFIG SET appendonly yes", "SET k 3"]].concat(), appendonly, "\"3\"");
    }
}

#[test]
fn a_log_whose_snapshot_was_not_whole_counts_for_nothing() {
    let dir = directory();
    let mut server = server(&dir, 2, &["--appendonly", "no", "--enable-debug-command", "yes"]);
    let mut client = server.client();
    assert_eq!(client.line("DEBUG POPULATE 1000000"), "+OK");
    set(&mut client, "appendonly", "yes");
    assert_eq!(client.line("SET k v"), "+OK");
    assert_eq!(field(&mut client, "aof_rewrite_in_progress"), "1");
    assert_eq!(client.call(&["WAITAOF", "1", "0", "50"]), Value::Array(vec![Value::Int(0), Value::Int(0)]));
    server.kill();
    assert!(has_waiting(dir.path()), "the log was not begun");
    let server = self::server(&dir, 2, &["--appendonly", "yes"]);
    let mut client = server.client();
    assert_eq!(client.line("DBSIZE"), ":0");
    assert_eq!(client.line("SET k w"), "+OK");
    assert_eq!(client.call(&["WAITAOF", "1", "0", "0"]), Value::Array(vec![Value::Int(1), Value::Int(0)]));
}

fn has_waiting(dir: &Path) -> bool {
    let Ok(generations) = std::fs::read_dir(dir.join("log")) else { return false };
    generations.flatten().any(|generation| generation.path().join("waiting").exists())
}
