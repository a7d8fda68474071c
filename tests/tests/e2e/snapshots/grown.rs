//! A log that has grown: a snapshot takes its place by itself (`auto-aof-rewrite-percentage`, `auto-aof-rewrite-min-size`).

use super::{directories, field};
use lacewing_tests::{Client, Server, until};
use resp::Value;
use std::path::Path;
use std::sync::Arc;

fn number(client: &mut Client, name: &str) -> u64 {
    field(client, name).parse().expect("a number")
}

/// Bytes of all files of the log.
fn log_bytes(dir: &Path) -> u64 {
    let list =
        |dir: &Path| std::fs::read_dir(dir).map(|entries| entries.flatten().collect()).unwrap_or_default();
    let generations: Vec<std::fs::DirEntry> = list(&dir.join("log"));
    let files =
        generations.iter().flat_map(|generation| -> Vec<std::fs::DirEntry> { list(&generation.path()) });
    // One may go meanwhile.
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}

#[test]
fn a_log_that_has_grown_is_replaced_and_its_old_part_goes() {
    let dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
    let args = ["--appendonly", "yes", "--pin", "no", "--cores", "2", "--save", "", "--snapshot-keep", "1"];
    let sizes = ["--log-segment-size", "256kb", "--auto-aof-rewrite-min-size", "1mb"];
    let args = [&args[..], &sizes].concat();
    let mut server = Server::on(Arc::clone(&dir), &args);
    let mut client = server.client();
    assert_eq!(number(&mut client, "aof_base_size"), 0);
    // The same hundred keys over and over: the data stays small.
    let value = "x".repeat(1000);
    let mut written = 0;
    until("the log was replaced three times", || {
        for _ in 0..500 {
            written += 1;
            let key = format!("key{}", written % 100);
            assert_eq!(
                client.call(&["SET", &key, &format!("{written}-{value}")]),
                Value::Simple("OK".into())
            );
        }
        (number(&mut client, "aof_rewrites") >= 3).then_some(())
    });
    until("none is under way", || (field(&mut client, "aof_rewrite_in_progress") == "0").then_some(()));
    assert_eq!(field(&mut client, "aof_last_bgrewrite_status"), "ok");
    assert_eq!(field(&mut client, "aof_rewrite_scheduled"), "0");
    // Uncompressed, for the log is: its keys are alike, and a snapshot's file is a small part of that.
    let (base, current) = (number(&mut client, "aof_base_size"), number(&mut client, "aof_current_size"));
    assert!(base > 100 * 1000 && base < 200 * 1000 && current >= base, "{base} of {current}");
    assert_eq!(directories(&server).len(), 1);
    // What is written now is all there is; else it would have to be some 1.5 MB for each of them.
    let segments = 2 * 3 * (256 << 10);
    until("the old part is gone", || (log_bytes(dir.path()) <= current + segments).then_some(()));
    let values = |client: &mut Client| -> Vec<Value> {
        (0..100).map(|key| client.call(&["GET", &format!("key{key}")])).collect()
    };
    let before = values(&mut client);
    server.kill();
    let server = Server::on(dir, &args);
    let mut client = server.client();
    assert_eq!(values(&mut client), before);
    // A start goes on from the same snapshot.
    let found = number(&mut client, "aof_base_size");
    assert!(
        (base..base + 2000).contains(&found),
        "{found}, {base} before: what stands before the keys counts, too"
    );
    assert!(number(&mut client, "aof_current_size") >= current, "the log that was replayed counts");
}

#[test]
fn a_log_is_left_alone_where_that_was_asked_for() {
    let dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
    let args = ["--appendonly", "yes", "--pin", "no", "--cores", "1", "--save", ""];
    let sizes = ["--auto-aof-rewrite-min-size", "1kb", "--auto-aof-rewrite-percentage", "0"];
    let server = Server::on(dir, &[&args[..], &sizes].concat());
    let mut client = server.client();
    assert_eq!(client.call(&["SET", "k", &"x".repeat(100_000)]), Value::Simple("OK".into()));
    // It is looked at once a second, and for snapshots in the same moment.
    assert_eq!(client.line("CONFIG SET save '1 1'"), "+OK");
    until("it was looked at", || (field(&mut client, "rdb_saves") == "1").then_some(()));
    assert_eq!(field(&mut client, "aof_rewrites"), "0");
    assert_eq!(client.line("CONFIG SET save '' auto-aof-rewrite-percentage 1"), "+OK");
    assert_eq!(client.call(&["SET", "k", &"x".repeat(200_000)]), Value::Simple("OK".into()));
    until("it is replaced", || (field(&mut client, "aof_rewrites") == "1").then_some(()));
}
