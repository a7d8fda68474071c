//! Append-only files of Redis: what a Redis had that was killed, an import has.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use lacewing_tests::{Client, RedisServer, Server, until};
use stdx::rng::Rng;
use tempfile::TempDir;

use super::refused::{check_path, file};
use super::{directory, field};
use crate::dump::{fill, has_same_values, reading};
use crate::journal::load::work;

/// A server that has imported what is at `path`.
#[track_caller]
fn imported(path: &Path, args: &[&str]) -> Server {
    let path = path.to_str().expect("a name in UTF-8");
    Server::on(
        directory(),
        &[&["--import", path, "--enable-debug-command", "yes", "--pin", "no"], args].concat(),
    )
}

fn digest(client: &mut Client) -> String {
    let digest = client.line("DEBUG DIGEST");
    assert_eq!(digest.len(), 41, "{digest}");
    digest
}

/// Rewrites the log, and waits until that is over.
fn rewrite(client: &mut Client) {
    assert!(client.line("BGREWRITEAOF").starts_with('+'));
    until("the rewrite ends", || {
        let mut is = |name, value: &str| field(client, "persistence", name).as_deref() == Some(value);
        (is("aof_rewrite_in_progress", "0") && is("aof_rewrite_scheduled", "0")).then_some(())
    });
    assert_eq!(field(client, "persistence", "aof_last_bgrewrite_status").as_deref(), Some("ok"));
}

/// A Redis on which three clients work, before, while and after its log is rewritten, and that is killed then. Returns its
/// directory, the keys that it has besides, and its digest.
fn killed(args: &[&str], seed: u64) -> Option<(Arc<TempDir>, Vec<String>, String)> {
    let mut redis = RedisServer::with(&[&["--appendonly", "yes"], args].concat())?;
    let mut client = redis.client();
    let is_over = AtomicBool::new(false);
    let mut rng = Rng::new(seed);
    thread::scope(|scope| {
        for _ in 0..3 {
            let (client, rng, is_over) = (redis.client(), rng.fork(), &is_over);
            scope.spawn(move || work(client, rng, is_over));
        }
        for _ in 0..2 {
            let before = done(&mut client);
            until("they work", || (done(&mut client) > before + 20_000).then_some(()));
            rewrite(&mut client);
        }
        let before = done(&mut client);
        until("they work on", || (done(&mut client) > before + 20_000).then_some(()));
        is_over.store(true, Relaxed);
    });
    assert_eq!(client.line("SELECT 0"), "+OK");
    let library = "#!lua name=lib\nredis.register_function('answer', function() return 42 end)";
    assert!(!client.call(&["FUNCTION", "LOAD", library]).is_error());
    let keys = fill(&mut client);
    let digest = digest(&mut client);
    redis.kill();
    Some((redis.dir_handle(), keys, digest))
}

fn done(client: &mut Client) -> u64 {
    field(client, "stats", "total_commands_processed").and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn what_a_redis_had_that_was_killed_under_load_is_there_on_any_number_of_cores() {
    for (seed, args) in [
        (1, &["--aof-use-rdb-preamble", "yes"][..]),
        (2, &["--aof-use-rdb-preamble", "no"]),
        (3, &["--aof-timestamp-enabled", "yes", "--appenddirname", "log", "--appendfilename", "a b.aof"]),
    ] {
        let Some((dir, keys, had)) = killed(args, seed) else { return };
        for cores in ["1", "2", "3"] {
            let server = imported(dir.path(), &["--cores", cores]);
            let mut client = server.client();
            if !RedisServer::is_named() {
                assert_eq!(digest(&mut client), had, "seed {seed}, on {cores} cores");
            }
            assert_eq!(client.line("FCALL answer 0"), ":42");
            assert_eq!(
                field(&mut client, "persistence", "rdb_changes_since_last_save").as_deref(),
                Some("0")
            );
        }
        let again = [&["--appendonly", "yes"], args].concat();
        let redis = RedisServer::on(Arc::clone(&dir), &again).expect("it is installed");
        let (mut original, server) = (redis.client(), imported(dir.path(), &["--cores", "2"]));
        let mut client = server.client();
        for key in &keys {
            assert!(reading(&mut client, key) == reading(&mut original, key), "{key}");
        }
        assert!(!RedisServer::is_named() || has_same_values(&mut client, &mut original), "seed {seed}");
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp::encode_command(words, &mut bytes);
    bytes
}

#[track_caller]
fn check(bytes: &[u8], args: &[&str], question: &str, answer: &str) {
    let dir = directory();
    let path = dir.path().join("appendonly.aof");
    fs::write(&path, bytes).expect("the directory is writable");
    for named in [&path, dir.path()] {
        for cores in ["1", "3"] {
            let server = imported(named, &[&["--cores", cores], args].concat());
            assert_eq!(server.client().line(question), answer, "on {cores} cores");
        }
    }
}

/// What a Redis without a preamble of RDB has begun with.
#[test]
fn a_base_of_commands_may_be_empty_if_increments_follow() {
    let dir = directory();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).expect("it is writable");
    let manifest = "file a.1.base.aof seq 1 type b\nfile a.1.incr.aof seq 1 type i\n";
    write("a.manifest", manifest.as_bytes());
    write("a.1.base.aof", b"");
    write("a.1.incr.aof", &command(&["SET", "a", "1"]));
    assert_eq!(imported(dir.path(), &[]).client().line("GET a"), "\"1\"");
    // One of RDB has lost what it had.
    write("a.manifest", manifest.replace("base.aof", "base.rdb").as_bytes());
    write("a.1.base.rdb", b"");
    check_path(dir.path(), &[], 83, &["a.1.base.rdb", "the file ends here"]);
}

#[test]
fn a_single_file_of_an_older_redis_is_loaded() {
    let commands =
        [command(&["SELECT", "2"]), command(&["INCRBY", "some key", "7"]), command(&["SET", "a", "1"])];
    check(&commands.concat(), &[], "DBSIZE", ":0");
    let commands = [&file(&[0])[..], &command(&["APPEND", "some key", " more"])].concat();
    check(&commands, &[], "GET \"some key\"", "\"some value more\"");
    let commands = [command(&["set", "a", "1"]), b"#TS:1700000000\r\n".to_vec(), command(&["Incr", "a"])];
    check(&commands.concat(), &[], "GET a", "\"2\"");
}

#[test]
fn commands_over_several_shards_and_transactions_are_run_in_their_order() {
    let many: Vec<String> = (0..500).flat_map(|number| [format!("k{number}"), number.to_string()]).collect();
    let mut mset = vec!["MSET"];
    mset.extend(many.iter().map(String::as_str));
    let commands = [
        command(&mset),
        command(&["MULTI"]),
        command(&["RENAME", "k0", "k1"]),
        command(&["INCRBY", "k1", "10"]),
        command(&["SELECT", "1"]),
        command(&["SET", "k1", "other"]),
        command(&["EXEC"]),
        command(&["SELECT", "0"]),
        command(&["COPY", "k1", "k2", "REPLACE"]),
        command(&["DEL", "k3", "k4", "k5"]),
        command(&["SWAPDB", "0", "1"]),
        command(&["SELECT", "1"]),
        command(&["INCR", "k1"]),
    ];
    let commands = commands.concat();
    check(&commands, &[], "GET k1", "\"other\"");
    let dir = directory();
    fs::write(dir.path().join("appendonly.aof"), &commands).expect("the directory is writable");
    let server = imported(dir.path(), &["--cores", "3"]);
    let mut client = server.client();
    assert_eq!(client.line("SELECT 1"), "+OK");
    assert_eq!(client.line("MGET k1 k2 k3 k6"), r#"["11", "10", nil, "6"]"#);
    assert_eq!(client.line("DBSIZE"), ":496");
}

#[test]
fn a_key_whose_time_has_come_is_there_for_the_commands_that_follow() {
    let commands = [
        command(&["SET", "kept", "1", "PXAT", "1000"]),
        command(&["PERSIST", "kept"]),
        command(&["SET", "gone", "1", "PXAT", "1000"]),
        command(&["APPEND", "gone", "2"]),
    ];
    check(&commands.concat(), &[], "MGET kept gone", r#"["1", nil]"#);
}

#[test]
fn a_torn_end_is_left_out_and_told_or_refused() {
    let whole = command(&["SET", "a", "1"]);
    let torn = [&whole[..], &command(&["MULTI"]), &command(&["SET", "a", "2"])].concat();
    check(&torn, &[], "GET a", "\"1\"");
    let dir = directory();
    let path = dir.path().join("appendonly.aof");
    fs::write(&path, &torn).expect("the directory is writable");
    let server = imported(&path, &[]);
    let line = server.wait_for_log("the end of this file is left out");
    assert!(line.contains(&format!("at={}", whole.len())) && line.contains("WARN"), "{line}");
    check_path(&path, &["--aof-load-truncated", "no"], 83, &["incomplete", "aof-load-truncated"]);
}

#[test]
fn what_is_not_as_it_should_be_is_refused() {
    let refused = |bytes: &[u8], code, texts: &[&str]| {
        let dir = directory();
        let path = dir.path().join("appendonly.aof");
        fs::write(&path, bytes).expect("the directory is writable");
        check_path(&path, &[], code, texts);
    };
    let set = command(&["SET", "a", "1"]);
    refused(b"", 83, &["at byte 0", "ends here"]);
    refused(&[&set[..], b"nonsense"].concat(), 85, &["offset 27", "redis-check-aof"]);
    refused(
        &[&set[..], &command(&["LPUSH", "a", "1"])].concat(),
        103,
        &["LPUSH 'a'", "WRONGTYPE", "BGREWRITEAOF"],
    );
    refused(&command(&["NOSUCH", "a"]), 103, &["NOSUCH", "unknown command"]);
    for other in
        ["SAVE", "SHUTDOWN", "CONFIG SET hz 11", "CLIENT REPLY OFF", "WAIT 1 0", "SYNC", "DISCARD", "QUIT"]
    {
        let words: Vec<&str> = other.split(' ').collect();
        refused(&[&set[..], &command(&words)].concat(), 103, &["changes no data", "BGREWRITEAOF"]);
    }
    refused(&command(&["BLPOP", "l", "0"]), 103, &["BLPOP", "it waits"]);
    refused(&command(&["SELECT", "16"]), 88, &["database 16", "--databases 17"]);
    let dir = directory();
    let write =
        |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).expect("it can be written");
    write("a.manifest", b"file a.1 seq 1 type i\nfile a.2 seq 2 type i\n");
    write("a.2", &set);
    check_path(dir.path(), &[], 66, &["a.1", "no such file"]);
    write("a.1", &set[..20]);
    check_path(dir.path(), &[], 83, &["a.1", "incomplete", "only the last"]);
    write("a.1", b"");
    let server = imported(dir.path(), &[]);
    assert_eq!(server.client().line("GET a"), "\"1\"");
    write("a.manifest", b"file a.1 seq 1 type x\n");
    check_path(dir.path(), &[], 85, &["manifest", "line 1"]);
}
