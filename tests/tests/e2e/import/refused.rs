//! What cannot be loaded: the server names the file, the place and the remedy, serves nothing, and ends with a code for each.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use datatypes::{StringRef, ValueRef};
use lacewing_tests::{Server, run};
use rdb::Version;
use rdb::file::{Attributes, Writer};
use stdx::DbIndex;

use super::directory;

/// A file with some keys.
pub(super) fn file(databases: &[u16]) -> Vec<u8> {
    let mut writer = Writer::new(Version::V10, false);
    for &db in databases {
        let value = ValueRef::String(StringRef::Bytes(b"some value"));
        writer.keys().key(DbIndex(db), b"some key", Attributes::default(), value);
    }
    writer.end().0
}

/// The same with its checksum made anew over what `change` makes of it.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = file(&[0]);
    bytes.truncate(bytes.len() - 9);
    change(&mut bytes);
    bytes.push(0xFF);
    let sum = rdb::crc64(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// Tries to start with `path`.
#[track_caller]
pub(super) fn check_path(path: &Path, args: &[&str], code: i32, texts: &[&str]) {
    let dir = directory();
    let mut server = Command::new(Server::binary());
    server
        .args(["--appendonly", "no", "--cores", "2", "--port", "0", "--unixsocket"])
        .arg(dir.path().join("socket"));
    server.arg("--dir").arg(dir.path()).arg("--import").arg(path).args(args);
    let ended = run(&mut server, b"");
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap_or_default();
    let name = path.display().to_string();
    for text in texts.iter().copied().chain(["cannot load", &name, ";"]) {
        assert!(last.contains(text), "no {text:?} in {last}");
    }
    assert!(!ended.stdout.contains("ready to accept"), "{ended:?}");
    let pages = include_str!("../../../../docs/operations/exit-codes.md");
    assert!(pages.contains(&format!("\n| {code} | ")), "{code} is explained");
}

#[track_caller]
fn check(bytes: &[u8], code: i32, texts: &[&str]) {
    let dir = directory();
    let path = dir.path().join("dump.rdb");
    std::fs::write(&path, bytes).expect("the directory is writable");
    check_path(&path, &[], code, texts);
    assert_eq!(std::fs::read(&path).expect("it is there"), bytes, "nobody writes to it");
}

#[test]
fn a_file_that_is_not_there_is_not_an_empty_one() {
    let dir = directory();
    check_path(&dir.path().join("dump.rdb"), &[], 66, &["no such file", "mount"]);
    check_path(dir.path(), &[], 81, &["Redis keeps nothing"]);
}

#[test]
fn a_file_that_may_not_be_read_is_not_an_empty_one() {
    let dir = directory();
    let path = dir.path().join("dump.rdb");
    std::fs::write(&path, file(&[0])).expect("the directory is writable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("it is ours");
    if std::fs::File::open(&path).is_ok() {
        eprintln!("skipped: this user reads what nobody may");
        return;
    }
    check_path(&path, &[], 80, &["permission denied", "user"]);
}

#[test]
fn a_file_of_another_kind_is_refused() {
    check(b"", 83, &["at byte 0", "ends here", "copy it again"]);
    check(b"REDI", 83, &["at byte 4"]);
    check(b"PING\r\n\r\n\r\n", 81, &["at byte 9", "not an RDB file", "BGSAVE"]);
    check(b"REDIS0013\xff", 82, &["version 13", "7.4"]);
    check(b"VALKEY081\xff", 82, &["version 81 of Valkey", "Valkey 9.1 or older"]);
    check(b"VALKEY08\xff\xff", 81, &["not an RDB file"]);
    let with_more = [&file(&[0])[..], b"PING\r\n"].concat();
    let end = format!("at byte {}", file(&[0]).len());
    check(&with_more, 81, &[&end, "append-only", "truncate -s"]);
}

#[test]
fn a_damaged_file_is_refused() {
    let good = file(&[0]);
    check(&good[..good.len() - 12], 83, &["at byte", "ends here"]);
    let mut flipped = good.clone();
    let place = good.len() - 12;
    flipped[place] ^= 1;
    check(&flipped, 84, &["wrong checksum", "copy it again"]);
    check(&changed(|bytes| bytes.extend_from_slice(&[16, 1, b'k', 1, b'x'])), 85, &["at byte", "damaged"]);
    check(&changed(|bytes| bytes.push(200)), 86, &["got 200"]);
    let twice = changed(|bytes| {
        let key = bytes[11..].to_vec();
        bytes.extend_from_slice(&key);
    });
    check(&twice, 85, &["'some key' of database 0", "twice"]);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    // The id of module type "AAAAAAAAA", version 0.
    check(&changed(|bytes| bytes.extend_from_slice(&[7, 1, b'k', 0])), 87, &["AAAAAAAAA", "modules"]);
    check(&file(&[0, 16]), 88, &["database 16", "--databases 17"]);
    check(
        &changed(|bytes| bytes.extend_from_slice(b"\xF5\x08return 1")),
        89,
        &["library", "Missing library"],
    );
    check(&changed(|bytes| bytes.push(246)), 89, &["pre-release"]);
}
