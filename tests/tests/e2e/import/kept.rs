//! What was imported is there after the server has ended, however that was, or nothing ever was.

use std::path::Path;
use std::sync::Arc;

use lacewing_tests::{Server, until};
use tempfile::TempDir;

use super::{directory, field, write_small_keys};

const KEYS: usize = 20_000;
const IMPORT: [&str; 2] = ["--import", "dump.rdb"];
const LOGGED: [&str; 6] = ["--appendonly", "yes", "--log-segment-size", "64kb", "--pin", "no"];
const SAVED: [&str; 4] = ["--appendonly", "no", "--save", "3600 1"];

/// A directory with a file of Redis.
fn with_file() -> Arc<TempDir> {
    let dir = directory();
    write_small_keys(&dir.path().join("dump.rdb"), KEYS);
    dir
}

#[track_caller]
fn server(dir: &Arc<TempDir>, args: &[&[&str]]) -> Server {
    Server::on(Arc::clone(dir), &args.concat())
}

/// What a start says that is refused, with the code of a wrong configuration.
#[track_caller]
fn refused(dir: &Arc<TempDir>, args: &[&[&str]]) {
    let log = Server::try_on(Arc::clone(dir), &args.concat()).err().expect("it is refused");
    assert!(log.contains("cannot import") && log.contains("holds data; start without `import`"), "{log}");
}

fn names(path: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    entries.map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn what_was_imported_is_there_after_a_kill_and_what_was_written_since() {
    for policy in ["everysec", "always"] {
        let (dir, kind) = (with_file(), &LOGGED);
        let policy = ["--appendfsync", policy];
        let mut first = server(&dir, &[&IMPORT, kind, &policy, &["--cores", "2"]]);
        let mut client = first.client();
        assert_eq!(client.line("INCR k41"), ":42");
        assert_eq!(client.line("DEL k7"), ":1");
        assert_ne!(field(&mut client, "persistence", "aof_base_size").as_deref(), Some("0"));
        first.kill();
        refused(&dir, &[&IMPORT, kind, &policy]);
        let mut second = server(&dir, &[kind, &policy, &["--cores", "3"]]);
        let mut client = second.client();
        assert_eq!(client.line("DBSIZE"), format!(":{}", KEYS - 1));
        assert_eq!(client.line("MGET k41 k7 k19999"), r#"["42", nil, "19999"]"#);
        assert_eq!(client.line("SET mine 1"), "+OK");
        assert!(second.stop().success());
        let third = server(&dir, &[kind, &policy]);
        assert_eq!(third.client().line("DBSIZE"), format!(":{KEYS}"));
    }
}

#[test]
fn without_a_log_what_was_imported_is_in_a_set() {
    let dir = with_file();
    let mut first = server(&dir, &[&IMPORT, &SAVED]);
    assert_eq!(first.client().line("DBSIZE"), format!(":{KEYS}"));
    first.kill();
    refused(&dir, &[&IMPORT, &SAVED]);
    let second = server(&dir, &[&SAVED]);
    assert_eq!(second.client().line("DBSIZE"), format!(":{KEYS}"));
}

#[test]
fn without_log_and_save_points_nothing_is_kept_and_the_server_says_so() {
    let dir = with_file();
    for _ in 0..2 {
        let mut server = server(&dir, &[&IMPORT, &["--appendonly", "no", "--save", ""]]);
        server.wait_for_log("kept in memory ALONE");
        assert_eq!(server.client().line("DBSIZE"), format!(":{KEYS}"));
        assert!(server.stop().success());
        assert_eq!(names(&dir.path().join("snapshots")), [""; 0]);
    }
}

#[test]
fn a_crash_before_the_server_serves_is_as_if_nothing_had_been_imported_or_all() {
    let dir = with_file();
    let mut kept = 0;
    for _ in 0..12 {
        let path = dir.path().to_owned();
        let mut server =
            Server::starting(Arc::clone(&dir), &[&IMPORT[..], &LOGGED].concat()).expect("it says something");
        until("it has come so far", || {
            let sets = names(&path.join("snapshots"));
            (!sets.is_empty() || server.log().contains("ready to accept")).then_some(())
        });
        server.kill();
        if path.join("snapshots/0000000001/manifest").exists() {
            kept += 1;
            refused(&dir, &[&IMPORT, &LOGGED]);
            let server = self::server(&dir, &[&LOGGED]);
            assert_eq!(server.client().line("DBSIZE"), format!(":{KEYS}"));
            break;
        }
    }
    if kept == 0 {
        // Nothing is in the way of the start that is left alone.
        let server = self::server(&dir, &[&IMPORT, &LOGGED]);
        assert_eq!(server.client().line("DBSIZE"), format!(":{KEYS}"));
    }
}

#[test]
fn what_cannot_be_kept_is_not_served() {
    let dir = with_file();
    std::fs::write(dir.path().join("snapshots"), b"in the way").expect("the directory is writable");
    let log = Server::try_on(Arc::clone(&dir), &[&IMPORT[..], &LOGGED].concat()).err().expect("it ends");
    assert!(!log.contains("ready to accept"), "{log}");
    std::fs::remove_file(dir.path().join("snapshots")).expect("it is there");
    let server = server(&dir, &[&IMPORT, &LOGGED]);
    assert_eq!(server.client().line("DBSIZE"), format!(":{KEYS}"));
}
