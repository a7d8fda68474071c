//! Snapshots in a bucket: a real server, and a real store of S3's protocol behind a proxy that plants faults.

mod archive;
mod failing;
mod hazards;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lacewing_tests::stores::Far;
use lacewing_tests::{Client, Ended, Server, run};
use tempfile::TempDir;

use crate::snapshots::{ended, field, snapshot};

fn directory() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary directory can be made"))
}

/// What a server is started with whose snapshots go to `place`.
fn args(place: &str) -> [&str; 4] {
    ["--enable-debug-command", "yes", "--snapshot-dir", place]
}

/// A server in a directory, with its snapshots at `place`.
#[track_caller]
fn server(dir: &Arc<TempDir>, place: &str, more: &[&str]) -> Server {
    Server::on(Arc::clone(dir), &[&args(place)[..], more].concat())
}

/// Starts a server that should end by itself.
#[track_caller]
fn start(dir: &Path, place: &str, more: &[&str]) -> Ended {
    let mut command = Command::new(Server::binary());
    command.args(["--appendonly", "no", "--save", "", "--cores", "2", "--port", "0"]);
    command.args(["--unixsocket", "socket", "--dir"]).arg(dir).args(args(place)).args(more);
    run(&mut command, b"")
}

/// A start that is refused with this code, and with these words on its last line; the directory stays as it was.
#[track_caller]
fn refused(dir: &Path, place: &str, more: &[&str], code: i32, texts: &[&str]) {
    let ended = start(dir, place, more);
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap_or_default();
    for text in texts {
        assert!(last.contains(text), "no {text:?} in {last}");
    }
    assert!(!ended.stdout.contains("ready to accept"), "{ended:?}");
    let page = include_str!("../../../docs/operations/exit-codes.md");
    assert!(page.contains(&format!("\n| {code} | ")), "{code} is explained");
}

/// Fills a server, and says what is in it.
#[track_caller]
fn fill(client: &mut Client) -> String {
    assert_eq!(client.line("DEBUG POPULATE 50000 key 100"), "+OK");
    assert_eq!(client.line("RPUSH list a b c"), ":3");
    assert_eq!(client.line("HSET hash f v"), ":1");
    client.line("DEBUG DIGEST")
}

#[test]
fn snapshots_go_to_the_bucket_and_another_machine_starts_with_them() {
    let Some(far) = Far::new() else { return };
    let place = far.place("retry=20&timeout=10");
    let dir = directory();
    let mut one = server(&dir, &place, &["--snapshot-keep", "2"]);
    let mut client = one.client();
    let digest = fill(&mut client);
    for _ in 0..3 {
        snapshot(&mut client);
    }
    let objects = far.objects();
    assert!(objects.iter().all(|name| !name.starts_with("0000000001/")), "two are kept: {objects:?}");
    let manifests = objects.iter().filter(|name| name.ends_with("/manifest")).count();
    assert_eq!((manifests, objects.len()), (2, 6), "a file for each core, and a manifest: {objects:?}");
    assert!(!dir.path().join("snapshots").exists(), "nothing is in the data directory");
    assert_eq!(client.line("CONFIG GET snapshot-dir"), format!("[\"snapshot-dir\", \"{place}\"]"));
    one.kill();

    // Another machine, with another number of cores.
    let two = server(&directory(), &place, &["--cores", "3", "--pin", "no"]);
    let mut client = two.client();
    assert_eq!(client.line("DEBUG DIGEST"), digest);
    snapshot(&mut client);
    assert_eq!(field(&mut client, "rdb_last_bgsave_set"), "4", "it goes on counting");
}

#[test]
fn snapshots_go_to_another_directory() {
    let place = directory();
    let text = format!("dir:{}", place.path().display());
    let mut one = server(&directory(), &text, &[]);
    let mut client = one.client();
    let digest = fill(&mut client);
    snapshot(&mut client);
    assert!(place.path().join("0000000001/manifest").exists());
    one.kill();
    let two = server(&directory(), &text, &[]);
    assert_eq!(two.client().line("DEBUG DIGEST"), digest);
}

/// With a log: the bucket has the snapshot, and the data directory what came after it.
#[test]
fn a_snapshot_in_the_bucket_and_the_log_here_are_all_there_is() {
    let Some(far) = Far::new() else { return };
    let (place, dir) = (far.place("retry=20&timeout=10"), directory());
    let logging = ["--appendonly", "yes", "--snapshot-keep", "1", "--log-segment-size", "65536"];
    let mut one = server(&dir, &place, &logging);
    let mut client = one.client();
    fill(&mut client);
    snapshot(&mut client);
    assert_eq!(client.line("MSET after 1 too 2 it 3"), "+OK");
    let digest = client.line("DEBUG DIGEST");
    one.kill();
    let mut two = server(&dir, &place, &logging);
    assert_eq!(two.client().line("DEBUG DIGEST"), digest);
    two.kill();
    // Without the bucket the log lacks what the snapshot has.
    let ended = start(dir.path(), "", &logging);
    assert_eq!(ended.status.code(), Some(99), "{ended:?}");
}

#[test]
fn a_check_looks_into_the_bucket() {
    let Some(far) = Far::new() else { return };
    let place = far.place("retry=5&timeout=5");
    let one = server(&directory(), &place, &[]);
    let mut client = one.client();
    fill(&mut client);
    snapshot(&mut client);
    let check = |more: &[&str]| run(Command::new(Server::binary()).args(["check", &place]).args(more), b"");
    let found = check(&[]);
    assert_eq!(found.status.code(), Some(0), "{found:?}");
    let name = format!("s3://{}/data/0000000001", far.name);
    assert!(found.stdout.contains(&name) && found.stdout.contains("50002 keys"), "{found:?}");
    assert_eq!(check(&["--repair"]).status.code(), Some(78));
    let file = far.objects().into_iter().find(|name| name.contains("00001.rdb")).expect("a file");
    far.direct("DELETE", &file, b"");
    let found = check(&["--json"]);
    assert_eq!(found.status.code(), Some(96), "{found:?}");
    assert!(found.stdout.contains("is missing"), "{found:?}");
}
