//! A disk that is full: a small file system of memory, which only the server sees.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use lacewing_tests::{Client, RedisServer, Server, run, show, skipped, until};
use resp::Value;
use tempfile::TempDir;

use super::{directory, field, logging, refusal};

/// Whether a process may have file systems of its own.
fn may_mount() -> bool {
    let may = run(Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]), b"");
    if !may.status.success() {
        skipped("file systems cannot be mounted in a namespace");
    }
    may.status.success()
}

/// A server whose directory is a file system of 6 MB, of which a file `filler` has 3.
fn server(dir: &Arc<TempDir>, policy: &str) -> Server {
    let path = dir.path().display();
    let mount = format!(
        "mount -t tmpfs -o size=6m tmpfs {path} && head -c 3145728 /dev/zero > {path}/filler && exec \"$0\" \"$@\""
    );
    let args = [&logging("2", policy)[..], &["--log-segment-size", "262144"]].concat();
    Server::under(Arc::clone(dir), &["unshare", "-rm", "sh", "-c", &mount], &args)
}

/// Where the server's directory is as the test sees it.
fn seen_from_here(server: &Server, dir: &TempDir) -> PathBuf {
    let inside = dir.path().strip_prefix("/").expect("temporary paths are absolute");
    PathBuf::from(format!("/proc/{}/root", server.pid())).join(inside)
}

fn set(client: &mut Client, number: usize) -> Value {
    client.call(&["SET", &format!("k{number}"), &format!("{number}-{}", "x".repeat(900))])
}

const REFUSED: &str = "MISCONF Errors writing to the AOF file: No space left on device";

/// Fills the disk. Returns how many keys were written.
fn fill(client: &mut Client) -> usize {
    let mut written = 0;
    let refusal = until("the disk is full", || {
        // Some at a time, so that the bound of the wait is one of time.
        for _ in 0..200 {
            match set(client, written) {
                Value::Error(text) => return Some(text),
                reply => assert!(!reply.is_error()),
            }
            written += 1;
        }
        None
    });
    assert_eq!(String::from_utf8_lossy(&refusal), REFUSED);
    assert!(written > 1000, "full after {written}");
    written
}

#[test]
fn hazard_31_a_full_disk_refuses_writes_and_loses_none() {
    if !may_mount() {
        return;
    }
    for policy in ["everysec", "always", "no"] {
        let dir = directory();
        let server = server(&dir, policy);
        let mut client = server.client();
        assert_eq!(client.line("SET short v PX 300"), "+OK");
        let written = fill(&mut client);
        let refused = format!("-{REFUSED}");
        for line in ["SET a 1", "DEL k0 k1 k2", "MSET a 1 b 2 c 3", "INCR n", "FLUSHALL", "PING", "RPUSH l 1"]
        {
            assert_eq!(client.line(line), refused, "{line}");
        }
        assert!(client.line("EVAL 'return redis.call(\"SET\", \"a\", 1)' 0").starts_with(&refused));
        assert_eq!(client.line("MULTI"), "+OK");
        assert_eq!(client.line("SET a 1"), refused);
        assert_eq!(client.line("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
        // Reads go on, on all shards, and see what was acknowledged and nothing else.
        assert_eq!(client.line("EXISTS a b c n l"), ":0");
        for number in (0..written).step_by(97) {
            let value = client.call(&["GET", &format!("k{number}")]);
            let text = value.as_bytes().unwrap_or_else(|| panic!("k{number} of {written} is lost"));
            assert!(text.starts_with(format!("{number}-").as_bytes()));
        }
        // Whose time has come is gone for those who ask, and the log need not be told.
        until("a key has expired", || (client.line("EXISTS short") == ":0").then_some(()));
        assert_eq!(field(&mut client, "aof_last_write_status"), "err");
        assert_eq!(
            field(&mut client, "aof_buffer_length"),
            "0",
            "nothing was done that the log was not told"
        );

        let here = seen_from_here(&server, &dir);
        std::fs::remove_file(here.join("filler")).expect("room can be made");
        until("writes are taken again", || (client.line("SET again 1") == "+OK").then_some(()));
        assert_eq!(field(&mut client, "aof_last_write_status"), "ok");
        for number in written..written + 100 {
            assert_eq!(set(&mut client, number), Value::Simple("OK".into()));
        }
        // The directory goes with the process: what a kill would leave is read before.
        server.signal("STOP");
        let copy = directory();
        let copied = run(Command::new("cp").arg("-r").arg(here.join(".")).arg(copy.path()), b"");
        assert!(copied.status.success(), "{}", copied.stderr);
        drop(server);
        let found = Server::on(copy, &["--appendonly", "yes"]);
        let mut client = found.client();
        // The log may not have been told that a key has expired.
        let all = format!(":{}", written + 101);
        until("all that was acknowledged is there", || (client.line("DBSIZE") == all).then_some(()));
        assert_eq!(client.line("GET again"), "\"1\"");
    }
}

#[test]
fn a_value_that_does_not_fit_is_kept_until_it_does() {
    if !may_mount() {
        return;
    }
    let dir = directory();
    let server = server(&dir, "everysec");
    let mut writer = server.client();
    // More than there is room for; the log learns of it when it has run.
    writer.send(&["SET", "large", &"x".repeat(4 << 20)]);
    let mut client = server.client();
    assert_eq!(refusal(&server), REFUSED);
    for number in 0..20 {
        assert_eq!(client.line(&format!("GET k{number}")), "nil");
    }
    let held: u64 = field(&mut client, "aof_buffer_length").parse().expect("a number");
    assert!(held > 4 << 20, "{held} bytes are kept");
    // A snapshot waits as well, and says so.
    let mut saver = server.client();
    saver.send(&["SAVE"]);
    server.wait_for_log("a snapshot is under way while the log cannot be written");
    std::fs::remove_file(seen_from_here(&server, &dir).join("filler")).expect("room can be made");
    assert_eq!(writer.read(), Value::Simple("OK".into()));
    assert_eq!(saver.read(), Value::Simple("OK".into()));
    until("writes are taken again", || (client.line("SET a 1") == "+OK").then_some(()));
    assert_eq!(client.line("STRLEN large"), format!(":{}", 4 << 20));
}

/// What the server says of its link to the master, in one line.
fn of_link(client: &mut Client, name: &str) -> String {
    let info = client.call(&["INFO", "replication"]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_default().to_owned()
}

#[test]
fn a_replica_whose_disk_is_full_says_so_and_has_acknowledged_nothing_of_what_it_lacks() {
    if !may_mount() {
        return;
    }
    for (flows, policy) in [("no", "everysec"), ("yes", "everysec"), ("yes", "always")] {
        let dir = directory();
        let by_flows = ["--repl-flows", flows];
        let master = Server::with(&[&logging("2", "everysec")[..], &by_flows].concat());
        let replica = server(&dir, policy);
        let (mut from, mut to) = (master.client(), replica.client());
        assert_eq!(to.line(&format!("CONFIG SET repl-flows {flows}")), "+OK");
        assert_eq!(to.line(&format!("REPLICAOF 127.0.0.1 {}", master.port())), "+OK");
        until("it follows", || (of_link(&mut to, "master_link_status") == "up").then_some(()));
        assert_eq!((from.line("SET first 1"), from.line("WAIT 1 30000")), ("+OK".into(), ":1".into()));
        assert_eq!(of_link(&mut to, "master_link_held_by"), "");
        // More than there is room for beside the filler, and less than without it, whatever the log takes besides.
        for number in 0..3600 {
            set(&mut from, number);
        }
        let held =
            || of_link(&mut to, "master_link_held_by").contains("No space left on device").then_some(());
        until("it says that its disk is full", held);
        assert_eq!(from.line("WAIT 1 300"), ":0", "flows {flows}, {policy}");
        std::fs::remove_file(seen_from_here(&replica, &dir).join("filler")).expect("room can be made");
        assert_eq!(from.line("DEL first"), ":1");
        assert_eq!(from.line("FLUSHALL"), "+OK");
        until("it has room", || of_link(&mut to, "master_link_held_by").is_empty().then_some(()));
        assert_eq!(from.line("WAIT 1 30000"), ":1", "flows {flows}, {policy}");
        assert_eq!(to.line("DBSIZE"), ":0");
    }
}

/// Asks about the server without a pause, over new connections too, until told to stop; every answer must come.
fn ask_all_the_time(server: &Server, is_over: &AtomicBool) -> usize {
    const QUESTIONS: [&[&str]; 6] = [
        &["TIME"],
        &["INFO"],
        &["HELLO", "2"],
        &["CONFIG", "GET", "maxmemory"],
        &["CONFIG", "SET", "maxmemory-samples", "7"],
        // Refused, as in Redis, and that is an answer.
        &["PING"],
    ];
    let mut asked = 0;
    while !is_over.load(Relaxed) {
        let mut client = server.client();
        client.timeout(Some(Duration::from_secs(10))).expect("a bound can be set");
        for question in QUESTIONS.iter().cycle().take(3 * QUESTIONS.len()) {
            client.send(question);
            let answer = client.read_any();
            assert!(matches!(answer, Ok(Some(_))), "{question:?} after {asked}: {answer:?}");
            asked += 1;
        }
    }
    asked
}

/// What is held back while the disk takes nothing tells of what the disk has not got; nobody else waits.
#[test]
fn what_tells_of_no_data_is_answered_while_the_disk_is_full() {
    if !may_mount() {
        return;
    }
    for policy in ["always", "everysec"] {
        let dir = directory();
        let server = server(&dir, policy);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let askers: Vec<_> =
                (0..6).map(|_| scope.spawn(|| ask_all_the_time(&server, &is_over))).collect();
            // More than there is room for, on both shards, beside transactions over both that are on their way then.
            let mut pairs: Vec<Client> = (0..8).map(|_| server.client()).collect();
            for (number, pair) in pairs.iter_mut().enumerate() {
                pair.send(&["MSET", &format!("l{number}"), "x", &format!("r{number}"), "x"]);
            }
            let mut writers: Vec<Client> = (0..4).map(|_| server.client()).collect();
            for (number, writer) in writers.iter_mut().enumerate() {
                writer.send(&["SET", &format!("large{number}"), &"x".repeat(3 << 20)]);
            }
            for (number, pair) in pairs.iter_mut().enumerate() {
                pair.send(&["MSET", &format!("l{number}"), "y", &format!("r{number}"), "y"]);
            }
            assert_eq!(refusal(&server), REFUSED);
            let held = || server.client().call(&["INFO", "persistence"]);
            until("something is held back", || {
                let info = held();
                let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
                (!text.contains("aof_buffer_length:0")).then_some(())
            });
            // Each asks on, on many connections, while others come and go.
            for number in 0..40 {
                let mut client = server.client();
                client.timeout(Some(Duration::from_millis(50))).expect("a bound can be set");
                client.send(&["MSET", &format!("l{number}"), "z", &format!("r{number}"), "z"]);
                let _ = client.read_any();
            }
            is_over.store(true, Relaxed);
            for asker in askers {
                assert!(asker.join().expect("every question was answered") > 0, "{policy}");
            }
            std::fs::remove_file(seen_from_here(&server, &dir).join("filler")).expect("room can be made");
        });
    }
}

#[test]
fn a_start_on_a_full_or_read_only_disk_says_what_to_do() {
    if !may_mount() {
        return;
    }
    for (mount, message, remedy) in [
        ("-o size=256k", "No space left on device", "Make room there"),
        ("-o size=6m,ro", "Read-only file system", "Remount it"),
    ] {
        let dir = directory();
        let script = format!("mount -t tmpfs {mount} tmpfs {} && exec \"$0\" \"$@\"", dir.path().display());
        let prefix = ["unshare", "-rm", "sh", "-c", &script];
        let refused = Server::try_under(Arc::clone(&dir), &prefix, &logging("2", "everysec"));
        let output = refused.err().expect("it cannot write there");
        assert!(output.contains(message) && output.contains(remedy), "{output}");
    }
}

/// The room that a full sync has taken in vain is there again when it has failed, not when the next one begins.
#[test]
fn a_full_sync_that_finds_no_room_leaves_none_of_it_behind() {
    if !may_mount() {
        return;
    }
    let fixed = ["--repl-diskless-sync-delay", "0", "--rdbcompression", "no"];
    let Some(redis) = RedisServer::with(&fixed) else { return };
    assert_eq!(redis.client().line("DEBUG POPULATE 100 key 100000"), "+OK");
    let dir = directory();
    let server = server(&dir, "everysec");
    let mut client = server.client();
    assert_eq!(client.line("SET own 1"), "+OK");
    assert_eq!(client.line(&format!("REPLICAOF 127.0.0.1 {}", redis.port())), "+OK");
    until("there is no room", || {
        let told = client.call(&["INFO", "replication"]);
        show(&told).contains("No space left on device").then_some(())
    });
    let staged = seen_from_here(&server, &dir).join("sync");
    let left = std::fs::read_dir(staged).map_or(0, Iterator::count);
    assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
    assert_eq!(left, 0, "files of the master's data");
    assert_eq!((client.line("GET own"), client.line("SET own 2")), ("\"1\"".to_owned(), "+OK".to_owned()));
}

/// What is to be written behind a full copy has its room before the copy replaces anything.
#[test]
fn a_full_sync_without_room_for_the_log_behind_it_replaces_nothing() {
    if !may_mount() {
        return;
    }
    let fixed = ["--repl-diskless-sync-delay", "0", "--rdbcompression", "no"];
    let Some(redis) = RedisServer::with(&fixed) else { return };
    assert_eq!(redis.client().line("DEBUG POPULATE 22 key 100000"), "+OK");
    for how in ["disabled", "swapdb"] {
        let dir = directory();
        let server = server(&dir, "everysec");
        let mut client = server.client();
        assert_eq!(client.line("SET own 1"), "+OK");
        assert_eq!(client.line(&format!("CONFIG SET repl-diskless-load {how}")), "+OK");
        assert_eq!(client.line(&format!("REPLICAOF 127.0.0.1 {}", redis.port())), "+OK");
        let why = until("there is no room", || {
            let why = of_link(&mut client, "master_link_last_error");
            why.contains("No space left on device").then_some(why)
        });
        assert!(why.contains("cannot reserve room for log/"), "{how}: {why}");
        assert_eq!(client.line("GET own"), "\"1\"", "{how}");
        assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
        let staged = seen_from_here(&server, &dir).join("sync");
        assert_eq!(
            std::fs::read_dir(staged).map_or(0, Iterator::count),
            0,
            "{how}: files of the master's data"
        );

        std::fs::remove_file(seen_from_here(&server, &dir).join("filler")).expect("room can be made");
        assert_eq!(client.line(&format!("REPLICAOF 127.0.0.1 {}", redis.port())), "+OK");
        until("it follows", || (of_link(&mut client, "master_link_status") == "up").then_some(()));
        assert_eq!((client.line("DBSIZE"), client.line("EXISTS own")), (":22".to_owned(), ":0".to_owned()));
        assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
        assert_eq!(client.line("SET mine 1"), "+OK");
    }
}
