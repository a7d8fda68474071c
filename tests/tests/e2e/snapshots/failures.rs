//! What is there when a snapshot does not come about: all that was there before, and nothing that looks like a set.

use super::{directories, ended, field, keys_of, sets, snapshot};
use lacewing_tests::{Process, Server, installed, until};
use std::process::Command;

/// From now on files of the server may have so many bytes.
#[track_caller]
fn limit_files(server: &Process, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &server.pid().to_string(), &limit]).status();
    assert!(status.is_ok_and(|status| status.success()), "the limit is changed");
}

/// The disk takes no more in the middle of a file.
#[test]
fn hazard_10_a_disk_that_is_full_is_told_loudly_and_harms_nothing() {
    if !installed("prlimit") {
        return;
    }
    let args = ["--enable-debug-command", "yes", "--snapshot-compression", "no", "--save", "3600 1"];
    let server = Server::with(&args);
    let mut client = server.client();
    assert_eq!(client.line("DEBUG POPULATE 100000"), "+OK");
    snapshot(&mut client);
    assert_eq!(client.line("SET one more"), "+OK");
    limit_files(&server, "100000");
    let before = sets(&server);
    assert_eq!(client.line("BGSAVE"), "+Background saving started");
    assert_eq!(ended(&mut client), "err");
    let line = server.wait_for_log("NO SNAPSHOT was taken: cannot write snapshots/");
    assert!(line.contains("ERROR") && line.contains("too large"), "{line}");
    assert!(field(&mut client, "rdb_last_bgsave_error").starts_with("cannot write snapshots/"));
    assert_eq!(field(&mut client, "rdb_consecutive_failures"), "1");
    assert_eq!(field(&mut client, "rdb_changes_since_last_save"), "1");
    assert_eq!((sets(&server), directories(&server)), (before.clone(), before), "nothing was left behind");
    let saved = client.line("SAVE");
    assert!(saved.starts_with("-ERR cannot write snapshots/"), "{saved}");
    // Writes are refused, reads are not.
    let refused = "-MISCONF Redis is configured to save RDB snapshots, but it\\'s currently unable to persist to disk. \
                   Commands that may modify the data set are disabled, because this instance is configured to report \
                   errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check \
                   the Redis logs for details about the RDB error.";
    for line in ["SET a 1", "PING", "DEL key:1", "MSET a 1 b 2", "FLUSHALL"] {
        assert_eq!(client.line(line), refused, "{line}");
    }
    let script = "EVAL \"return redis.pcall('set', KEYS[1], 'x')\" 1 k";
    assert_eq!(client.line(script), refused);
    assert_eq!(client.line("MULTI"), "+OK");
    assert_eq!(client.line("SET a 1"), refused);
    assert!(client.line("EXEC").starts_with("-EXECABORT"));
    assert_eq!(client.line("GET one"), "\"more\"");
    assert_eq!(client.line("CONFIG SET stop-writes-on-bgsave-error no"), "+OK");
    assert_eq!(client.line("SET two more"), "+OK");
    assert_eq!(client.line("CONFIG SET stop-writes-on-bgsave-error yes"), "+OK");
    assert!(client.line("SET three more").starts_with("-MISCONF"));
    // The cause is gone.
    limit_files(&server, "unlimited");
    snapshot(&mut client);
    assert_eq!(client.line("SET three more"), "+OK");
    assert_eq!(keys_of(sets(&server).last().expect("a set")), 100_002);
    assert_eq!(field(&mut client, "rdb_consecutive_failures"), "0");
}

#[test]
fn a_directory_that_cannot_be_written_is_told() {
    let server = Server::with(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    // A file in the place of the directory of all sets.
    std::fs::write(server.dir().join("snapshots"), "in the way").expect("it can be made");
    assert_eq!(client.line("BGSAVE"), "+Background saving started");
    assert_eq!(ended(&mut client), "err");
    server.wait_for_log("NO SNAPSHOT was taken");
    std::fs::remove_file(server.dir().join("snapshots")).expect("it is there");
    snapshot(&mut client);
}

/// Whatever takes keys away tells the open snapshot.
#[test]
fn hazard_33_what_goes_while_it_is_written_is_in_it() {
    let server = Server::with(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    for goes in ["FLUSHALL", "FLUSHALL ASYNC", "SWAPDB 0 1", "FLUSHDB"] {
        assert_eq!(client.line("DEBUG POPULATE 200000 key 40"), "+OK");
        assert_eq!(client.line("SELECT 1"), "+OK");
        assert_eq!(client.line("DEBUG POPULATE 1000 other 10"), "+OK");
        assert_eq!(client.line("SELECT 0"), "+OK");
        assert_eq!(client.line("BGSAVE"), "+Background saving started");
        until("it has begun", || (field(&mut client, "current_save_keys_total") == "201000").then_some(()));
        assert_eq!(client.line(goes), "+OK");
        assert_eq!(ended(&mut client), "ok");
        assert_eq!(keys_of(sets(&server).last().expect("a set")), 201_000, "{goes}");
        assert_eq!(client.line("FLUSHALL"), "+OK");
    }
}

/// Killed at any moment, there is a set or nothing that looks like one.
#[test]
fn hazard_5_a_server_that_is_killed_leaves_whole_sets_alone() {
    let mut server = Server::with(&["--enable-debug-command", "yes", "--snapshot-keep", "3"]);
    let mut client = server.client();
    assert_eq!(client.line("DEBUG POPULATE 200000"), "+OK");
    snapshot(&mut client);
    assert_eq!(client.line("BGSAVE"), "+Background saving started");
    until("it has begun", || (directories(&server).len() > 1).then_some(()));
    server.kill();
    for set in sets(&server) {
        assert_eq!(keys_of(&set), 200_000);
    }
    let again = Server::on(server.dir_handle(), &["--enable-debug-command", "yes"]);
    let mut client = again.client();
    assert_eq!(client.line("DBSIZE"), ":200000");
    snapshot(&mut client);
    assert_eq!(directories(&again), sets(&again), "what was not finished is removed");
}

/// With a log: what was acknowledged is there, be it in the snapshot or after it, and what the log has of the time before goes.
#[test]
fn a_snapshot_and_the_log_after_it_are_all_there_is() {
    let args = ["--appendonly", "yes", "--snapshot-keep", "1", "--log-segment-size", "65536"];
    let mut server = Server::with(&args);
    for round in 0..3 {
        let (mut client, mut other) = (server.client(), server.client());
        let mut number = 0;
        let mut write = |client: &mut lacewing_tests::Client| {
            assert_eq!(
                client.line(&format!(
                    "MSET k:{round}:{number} {number} l:{round}:{number} {}",
                    "x".repeat(200)
                )),
                "+OK"
            );
            number += 1;
        };
        (0..300).for_each(|_| write(&mut client));
        assert_eq!(other.line("BGSAVE"), "+Background saving started");
        while field(&mut other, "rdb_bgsave_in_progress") == "1" {
            write(&mut client);
        }
        assert_eq!(ended(&mut other), "ok");
        assert_eq!(sets(&server).len(), 1);
        (0..300).for_each(|_| write(&mut client));
        let size = client.line("DBSIZE");
        server.kill();
        let logs: u64 = log_bytes(server.dir());
        assert!(logs < 1 << 20, "{logs} bytes of log are left");
        server = Server::on(server.dir_handle(), &args);
        let mut client = server.client();
        assert_eq!(client.line("DBSIZE"), size);
        for index in 0..number {
            assert_eq!(client.line(&format!("GET k:{round}:{index}")), format!("\"{index}\""));
        }
    }
}

/// Bytes of all segments.
fn log_bytes(dir: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir.join("log")) else { return 0 };
    let generations = entries.map(|entry| entry.expect("an entry").path());
    let files = generations.flat_map(|path| std::fs::read_dir(path).expect("a generation"));
    files.map(|file| file.expect("a file").metadata().expect("it is there").len()).sum()
}

#[test]
fn a_server_that_ends_gives_the_snapshot_up() {
    let mut server = Server::with(&["--enable-debug-command", "yes"]);
    let (mut client, mut saver) = (server.client(), server.client());
    assert_eq!(client.line("DEBUG POPULATE 1000000"), "+OK");
    saver.send_line("SAVE");
    until("it has begun", || (field(&mut client, "current_save_keys_total") == "1000000").then_some(()));
    let began = std::time::Instant::now();
    server.signal("TERM");
    server.wait_for_log("bye");
    assert!(began.elapsed().as_secs() < 5, "it waits for nothing");
    assert!(server.wait().success());
    for set in sets(&server) {
        assert_eq!(keys_of(&set), 1_000_000);
    }
}
