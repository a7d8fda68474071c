//! Calls to the disk that fail: writes and syncs, in a library that is loaded before the server's own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use lacewing_tests::{Client, Server, installed, run, until};
use resp::Value;
use stdx::rng::Rng;
use tempfile::TempDir;

use super::{Told, asked, check_found, count, directory, field, field_asked, logging, refusal};

/// A server whose disk fails on demand.
pub(crate) struct Faulty {
    pub(crate) server: Server,
    dir: Arc<TempDir>,
    faults: TempDir,
}

impl Faulty {
    /// `None` where there is no compiler for the library.
    pub(crate) fn start(cores: &str, policy: &str, args: &[&str]) -> Option<Self> {
        let library = library()?;
        let (dir, faults) = (directory(), tempfile::tempdir().expect("a temporary directory"));
        let text = |path: &std::path::Path| path.to_str().expect("temporary paths are UTF-8").to_owned();
        let (library, place) = (text(&library), text(faults.path()));
        let env = [("LD_PRELOAD", library.as_str()), ("DISK_FAULTS", place.as_str())];
        let args = [&logging(cores, policy)[..], &["--log-segment-size", "1mb"], args].concat();
        Some(Self { server: Server::on_with_env(Arc::clone(&dir), &args, &env), dir, faults })
    }

    /// These calls fail from now on: `write`, `sync`.
    pub(crate) fn fail(&self, call: &str) {
        std::fs::write(self.faults.path().join(call), "5").expect("a fault can be planted");
    }

    pub(crate) fn mend(&self, call: &str) {
        std::fs::remove_file(self.faults.path().join(call)).expect("it was planted");
    }

    /// Ends the server in order, and starts one on what it leaves.
    pub(crate) fn stopped(mut self, cores: &str, args: &[&str]) -> Server {
        assert!(self.server.stop().success(), "{}", self.server.log());
        Server::on(self.dir, &[&logging(cores, "everysec")[..], args].concat())
    }

    /// Kills the server, and starts one on what it leaves.
    fn restarted(mut self, cores: &str, policy: &str) -> Server {
        self.server.kill();
        Server::on(self.dir, &logging(cores, policy))
    }
}

fn library() -> Option<PathBuf> {
    if !installed("cc") {
        return None;
    }
    let made = TempDir::new().expect("a temporary directory").keep().join("disk_faults.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/disk_faults.c");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&made).args([source, "-ldl"]);
    let ended = run(&mut command, b"");
    assert!(ended.status.success(), "{}", ended.stderr);
    Some(made)
}

const REFUSED: &str = "MISCONF Errors writing to the AOF file: Input/output error";

/// Whether a reply has come.
fn has_answer(client: &mut Client) -> Option<Value> {
    client.timeout(Some(Duration::from_millis(20))).expect("a bound can be set");
    let reply = client.read_any().ok().flatten();
    client.timeout(None).expect("it can be taken back");
    reply
}

/// Keys of their own for so many clients, each written once.
fn write_one_each(server: &Server, clients: usize) -> Vec<Client> {
    let mut writers: Vec<Client> = (0..clients).map(|_| server.client()).collect();
    for (number, writer) in writers.iter_mut().enumerate() {
        writer.send(&["SET", &format!("w{number}"), "x"]);
    }
    writers
}

#[test]
fn records_that_the_disk_does_not_take_are_kept_and_what_tells_of_them_waits() {
    for policy in ["everysec", "no", "always"] {
        let Some(faulty) = Faulty::start("2", policy, &[]) else { return };
        let mut client = faulty.server.client();
        for number in 0..50 {
            client.line(&format!("SET k{number} v{number}"));
        }
        faulty.fail("write");
        let mut writers = write_one_each(&faulty.server, 12);
        assert_eq!(refusal(&faulty.server), REFUSED);
        for number in 0..50 {
            // Under `always` nothing is shown that may not be on the disk.
            let expected = if policy == "always" {
                Value::Error(REFUSED.into())
            } else {
                Value::Bulk(format!("v{number}").into())
            };
            assert_eq!(asked(&faulty.server, &["GET", &format!("k{number}")]), expected, "{policy}");
        }
        assert_eq!(field_asked(&faulty.server, "aof_last_write_status"), "err");
        let answers: Vec<Option<Value>> = writers.iter_mut().map(has_answer).collect();
        let refused = |answer: &Option<Value>| answer.as_ref().is_none_or(Value::is_error);
        assert!(answers.iter().all(refused), "{policy}: acknowledged without a log: {answers:?}");
        let held = answers.iter().filter(|answer| answer.is_none()).count();
        assert!(held > 0, "none of the writes was under way");
        faulty.mend("write");
        until("writes are taken again", || (client.line("SET a 1") == "+OK").then_some(()));
        for (number, (writer, answer)) in writers.iter_mut().zip(&answers).enumerate() {
            let written = if answer.is_none() {
                let reply = writer.read();
                reply == Value::Simple("OK".into())
            } else {
                false
            };
            let found = client.line(&format!("EXISTS w{number}"));
            assert_eq!(found == ":1", written, "{policy}: {number} is as it was told");
        }
        let before: Vec<String> = (0..12).map(|number| client.line(&format!("GET w{number}"))).collect();
        let server = faulty.restarted("3", policy);
        let mut client = server.client();
        let after: Vec<String> = (0..12).map(|number| client.line(&format!("GET w{number}"))).collect();
        assert_eq!(after, before, "{policy}");
        assert_eq!(client.line("GET k49"), "\"v49\"");
    }
}

#[test]
fn hazard_30_after_a_failed_sync_what_was_in_doubt_is_written_anew() {
    for policy in ["everysec", "always"] {
        let Some(faulty) = Faulty::start("2", policy, &[]) else { return };
        let mut client = faulty.server.client();
        for number in 0..50 {
            client.line(&format!("SET k{number} v{number}"));
        }
        faulty.fail("sync");
        let mut writers = write_one_each(&faulty.server, 12);
        assert_eq!(refusal(&faulty.server), REFUSED);
        if policy == "everysec" {
            for number in 0..50 {
                let found = asked(&faulty.server, &["GET", &format!("k{number}")]);
                assert_eq!(found, Value::Bulk(format!("v{number}").into()));
            }
        }
        faulty.server.wait_for_log("writes are refused");
        // Nothing makes it well while the disk fails.
        let still = Instant::now();
        while still.elapsed() < Duration::from_millis(500) {
            assert_eq!(asked(&faulty.server, &["SET", "a", "1"]), Value::Error(REFUSED.into()));
        }
        faulty.mend("sync");
        until("writes are taken again", || (client.line("SET a 1") == "+OK").then_some(()));
        writers.iter_mut().for_each(|writer| drop(writer.read()));
        let before: Vec<String> = (0..12).map(|number| client.line(&format!("GET w{number}"))).collect();
        assert_eq!(field(&mut client, "aof_last_write_status"), "ok");
        let server = faulty.restarted("2", policy);
        let mut client = server.client();
        let after: Vec<String> = (0..12).map(|number| client.line(&format!("GET w{number}"))).collect();
        assert_eq!(after, before, "{policy}");
    }
}

/// The way out where the disk will not get well.
#[test]
fn a_log_that_cannot_be_written_can_be_given_up_and_begun_anew() {
    for (call, policy) in [("write", "everysec"), ("write", "always"), ("sync", "always"), ("sync", "no")] {
        let Some(faulty) = Faulty::start("2", policy, &[]) else { return };
        let mut client = faulty.server.client();
        for number in 0..50 {
            client.line(&format!("SET k{number} v{number}"));
        }
        faulty.fail(call);
        let mut writers = write_one_each(&faulty.server, 12);
        let mut both: Vec<Client> = (0..6).map(|_| faulty.server.client()).collect();
        for (number, client) in both.iter_mut().enumerate() {
            client.send(&["MSET", &format!("l{number}"), "x", &format!("r{number}"), "x"]);
        }
        if policy == "no" {
            // Nobody has it synced but who waits for that.
            client.send(&["WAITAOF", "1", "0", "0"]);
        }
        assert_eq!(refusal(&faulty.server), REFUSED);
        assert_eq!(field_asked(&faulty.server, "aof_last_write_status"), "err", "{call}, {policy}");
        let off = asked(&faulty.server, &["CONFIG", "SET", "appendonly", "no"]);
        assert_eq!(off, Value::Simple("OK".into()), "{call}, {policy}");
        let mut operator = faulty.server.client();
        assert_eq!(field(&mut operator, "aof_last_write_status"), "ok");
        for client in writers.iter_mut().chain(&mut both) {
            client.read();
        }
        assert_eq!(operator.line("SET a 1"), "+OK");
        faulty.mend(call);
        assert_eq!(operator.line("CONFIG SET appendonly yes"), "+OK");
        until("the log has begun", || (field(&mut operator, "aof_rewrite_in_progress") == "0").then_some(()));
        assert_eq!(operator.line("SET a 2"), "+OK");
        let keys = operator.line("DBSIZE");
        let server = faulty.restarted("2", policy);
        let mut client = server.client();
        assert_eq!(client.line("DBSIZE"), keys, "{call}, {policy}");
        assert_eq!(client.line("GET a"), "\"2\"");
    }
}

#[test]
fn a_disk_that_fails_now_and_then_loses_nothing_that_was_acknowledged() {
    for (seed, cores, policy) in [(1, "2", "everysec"), (2, "3", "always"), (3, "1", "no")] {
        let Some(faulty) = Faulty::start(cores, policy, &[]) else { return };
        let is_over = AtomicBool::new(false);
        let mut rng = Rng::new(seed);
        let told: Vec<Told> = thread::scope(|scope| {
            let writers: Vec<_> = (0..6)
                .map(|number| {
                    let (client, is_over) = (faulty.server.client(), &is_over);
                    scope.spawn(move || count(client, number, is_over, &AtomicU64::new(0)))
                })
                .collect();
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(3) {
                thread::park_timeout(Duration::from_millis(100 + rng.below(300)));
                let call = if rng.one_in(2) { "write" } else { "sync" };
                faulty.fail(call);
                thread::park_timeout(Duration::from_millis(rng.below(400)));
                faulty.mend(call);
            }
            let mut client = faulty.server.client();
            until("writes are taken again", || (client.line("SET a 1") == "+OK").then_some(()));
            is_over.store(true, Relaxed);
            writers.into_iter().map(|writer| writer.join().expect("a writer does not panic")).collect()
        });
        faulty.server.wait_for_log("writes are refused");
        assert!(told.iter().all(|told| told.counted > 0), "{policy}: {told:?}");
        check_found(&faulty.restarted("2", policy), &told);
    }
}
