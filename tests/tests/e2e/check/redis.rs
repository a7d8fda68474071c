//! Files of Redis, looked at.

use std::fs;
use std::path::Path;

use datatypes::{StringRef, ValueRef};
use lacewing_tests::RedisServer;
use rdb::Version;
use rdb::file::{Attributes, Writer};
use stdx::DbIndex;
use tempfile::TempDir;

use super::{check, found, verdicts};

/// An RDB file with two keys.
fn rdb() -> Vec<u8> {
    let mut writer = Writer::new(Version::V10, false);
    for key in [&b"one"[..], b"two"] {
        let value = ValueRef::String(StringRef::Bytes(b"some value"));
        writer.keys().key(DbIndex(0), key, Attributes::default(), value);
    }
    writer.end().0
}

fn scratch() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// What is found in a file of these bytes: its verdict and the exit code.
#[track_caller]
fn file(bytes: &[u8], verdict: &str, code: i64) -> String {
    let scratch = scratch();
    let path = scratch.path().join("file");
    fs::write(&path, bytes).expect("it can be written");
    let found = found(&path);
    assert_eq!((verdicts(&found), found["code"].as_i64()), (vec![format!("file {verdict}")], Some(code)));
    found["items"][0]["reason"].as_str().unwrap_or_default().to_owned()
}

const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";

#[test]
fn an_rdb_file_is_read_to_its_last_byte() {
    let whole = rdb();
    assert_eq!(file(&whole, "whole", 0), "");
    file(&whole[..whole.len() - 1], "damaged", 83);
    let mut flipped = whole.clone();
    let value = whole.windows(4).position(|bytes| bytes == b"some").expect("a value");
    flipped[value] ^= 1;
    assert!(file(&flipped, "damaged", 84).contains("wrong checksum"));
    let mut unsummed = whole;
    let sum = unsummed.len() - 8;
    unsummed[sum..].fill(0);
    assert!(file(&unsummed, "whole", 0).contains("no checksum"));
}

#[test]
fn commands_are_read_to_the_last_one() {
    file(&[SET, SET].concat(), "whole", 0);
    assert!(file(&[SET, &SET[..9]].concat(), "torn", 101).starts_with("9 bytes from byte 27 on"));
    assert!(file(&[SET, MULTI, SET].concat(), "torn", 101).contains("from byte 27 on"));
    assert!(file(&[SET, b"nonsense"].concat(), "damaged", 85).contains("offset 27"));
    file(&[&rdb()[..], SET].concat(), "whole", 0);
    file(&[&rdb()[..], &SET[..5]].concat(), "torn", 101);
    // As an import would end.
    assert!(file(&[&rdb()[..], b"?"].concat(), "damaged", 81).contains("the RDB file ends here"));
}

#[test]
fn a_command_that_no_server_would_run_is_found() {
    let unknown = b"*2\r\n$8\r\nJSON.SET\r\n$1\r\nk\r\n";
    let why = file(&[SET, unknown].concat(), "damaged", 103);
    assert!(why.starts_with("command 2, JSON.SET: ERR unknown command"), "{why}");
    let short = b"*2\r\n$3\r\nSET\r\n$1\r\nk\r\n";
    assert!(file(short, "damaged", 103).contains("wrong number of arguments"));
}

#[test]
fn only_the_last_file_of_a_manifest_may_be_torn() {
    let scratch = scratch();
    let write =
        |name: &str, bytes: &[u8]| fs::write(scratch.path().join(name), bytes).expect("it can be written");
    write("a.manifest", b"file a.1.base.rdb seq 1 type b\nfile a.1 seq 1 type i\nfile a.2 seq 2 type i\n");
    write("a.1.base.rdb", &rdb());
    write("a.1", SET);
    write("a.2", &SET[..7]);
    let torn = found(scratch.path());
    assert_eq!(verdicts(&torn), ["a.1.base.rdb whole", "a.1 whole", "a.2 torn"]);
    assert_eq!(torn["code"], 101);
    write("a.1", &SET[..7]);
    let damaged = found(scratch.path());
    assert_eq!((verdicts(&damaged)[1].as_str(), &damaged["code"]), ("a.1 damaged", &83.into()));
    fs::remove_file(scratch.path().join("a.1")).expect("it is there");
    let ended = check(scratch.path(), &[]);
    assert_eq!(ended.status.code(), Some(66), "{ended:?}");
}

/// A table with all that is in a directory of a real Redis, which was killed.
#[test]
fn a_directory_of_redis_is_looked_at() {
    let args = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut redis) = RedisServer::with(&args) else { return };
    let mut client = redis.client();
    for number in 0..100 {
        assert_eq!(client.line(&format!("RPUSH list{number} a b c")), ":3");
    }
    redis.kill();
    let ended = check(redis.dir(), &[]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let line = |name: &str| {
        let line = ended.stdout.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {}", ended.stdout)).to_owned()
    };
    assert!(line("appendonly.aof.1.base.rdb").ends_with("whole"));
    // SELECT comes first.
    assert!(line("appendonly.aof.1.incr.aof").contains(" 101 commands"), "{}", ended.stdout);
    assert!(line("what").ends_with("verdict"));
    let manifest = redis.dir().join("appendonlydir/appendonly.aof.manifest");
    assert_eq!(found(&manifest)["items"], found(redis.dir())["items"]);
    assert!(!Path::new(&redis.dir().join("lock")).exists(), "nothing is left behind");
}
