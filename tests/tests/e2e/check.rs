//! `lacewing check`: what it prints, and what it ends with.

mod redis;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lacewing_tests::{Ended, RedisServer, Server, run, until};
use serde_json::Value;

/// Looks at a path.
fn check(path: &Path, args: &[&str]) -> Ended {
    run(Command::new(Server::binary()).arg("check").arg(path).args(args), b"")
}

/// Looks at a path, and takes what programs are told. The exit code is in it too.
#[track_caller]
fn found(path: &Path) -> Value {
    let ended = check(path, &["--json"]);
    let found: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    assert_eq!(found["code"].as_i64(), ended.status.code().map(i64::from), "{ended:?}");
    found
}

/// What is said of each item: its name, and what was found.
fn verdicts(found: &Value) -> Vec<String> {
    let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let items = found["items"].as_array().expect("a list");
    items.iter().map(|item| format!("{} {}", text(item, "what"), text(item, "verdict"))).collect()
}

#[test]
fn what_cannot_be_looked_at_is_said_on_one_line() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let fails = |path: &Path, args: &[&str], code: i32, text: &str| {
        let ended = check(path, args);
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(code), ""), "{ended:?}");
        let is_told = ended.stderr.contains(text) && ended.stderr.lines().count() == 1;
        assert!(is_told, "no {text:?} in {}", ended.stderr);
    };
    fails(&directory.path().join("no"), &[], 66, "No such file");
    fails(Path::new("s4://bucket/prefix"), &[], 78, "is no place");
    fails(directory.path(), &["--fix"], 78, "unexpected argument '--fix'");
    fails(directory.path(), &["--repair"], 78, "only the logs in a data directory");
    std::fs::write(directory.path().join("text"), "text").expect("it can be written");
    fails(directory.path(), &[], 81, "keeps nothing");
}

#[test]
fn of_a_part_of_a_data_directory_it_is_said_what_to_give() {
    let server = Server::with(&["--appendonly", "yes"]);
    assert_eq!(server.client().line("SET a 1"), "+OK");
    for part in ["log", "log/0000000001"] {
        for args in [&[][..], &["--repair"]] {
            let ended = check(&server.dir().join(part), args);
            assert_eq!(ended.status.code(), Some(78), "{ended:?}");
            let whole = server.dir().canonicalize().expect("it is there");
            let text = format!("is a part of the data directory {}: give that", whole.display());
            assert!(ended.stderr.contains(&text), "no {text:?} in {}", ended.stderr);
        }
    }
}

#[test]
fn an_empty_directory_holds_no_data_and_stays_empty() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let found = found(directory.path());
    assert_eq!((&found["start"]["outcome"], found["code"].as_i64()), (&Value::from("empty"), Some(0)));
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0);
}

/// A master may write its data without a checksum of its own; the manifest has one.
#[test]
fn what_a_master_gave_without_a_checksum_is_whole() {
    let fixed = ["--rdbchecksum", "no", "--repl-diskless-sync-delay", "0"];
    let Some(redis) = RedisServer::with(&fixed) else { return };
    assert_eq!(redis.client().line("SET theirs 1"), "+OK");
    let dir = crate::disk::directory();
    let mut server = Server::on(Arc::clone(&dir), &["--appendonly", "yes"]);
    let mut client = server.client();
    assert_eq!(client.line(&format!("REPLICAOF 127.0.0.1 {}", redis.port())), "+OK");
    until("it has the data", || (client.line("GET theirs") == "\"1\"").then_some(()));
    drop(client);
    assert_eq!(server.stop().code(), Some(0));
    let found = found(dir.path());
    assert_eq!(found["code"].as_i64(), Some(0), "{found}");
    assert!(verdicts(&found).iter().any(|set| set == "snapshots/0000000001 whole"), "{found}");
}
