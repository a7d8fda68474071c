//! Loading at start: a file of Redis becomes all of the data, or nothing is served and the server says why.

mod append_only;
mod kept;
mod meanwhile;
mod refused;

use std::path::Path;
use std::sync::Arc;

use lacewing_tests::{Client, RedisServer, Server, show};
use stdx::{DbIndex, UnixMs};
use tempfile::TempDir;

use crate::dump::{fill, reading};
use rdb::Version;
use rdb::file::{Attributes, Base, Writer};

/// Counters of use that do not fall as minutes pass.
const LFU: [&str; 4] = ["--maxmemory-policy", "allkeys-lfu", "--lfu-decay-time", "0"];

/// A server that has loaded `dump.rdb` of this directory.
#[track_caller]
fn imported(dir: Arc<TempDir>, args: &[&str]) -> Server {
    Server::on(dir, &[&["--import", "dump.rdb"], args].concat())
}

fn directory() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary directory can be made"))
}

/// Writes a file with `keys` small keys, `k0` and so on.
fn write_small_keys(path: &Path, keys: usize) {
    let mut writer = Writer::new(Version::V10, false);
    // Redis says that it loads when it knows who wrote it.
    writer.base(&Base { redis_version: "7.0.15", ..Base::default() });
    for number in 0..keys {
        let (key, value) = (format!("k{number}"), datatypes::StringRef::Int(number as i64));
        let value = datatypes::ValueRef::String(value);
        writer.keys().key(DbIndex(0), key.as_bytes(), Attributes::default(), value);
    }
    std::fs::write(path, writer.end().0).expect("the directory is writable");
}

fn field(client: &mut Client, section: &str, name: &str) -> Option<String> {
    let info = client.call(&["INFO", section]);
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.map(str::to_owned)
}

#[test]
fn all_that_a_file_of_redis_has_is_there_on_any_number_of_cores() {
    let Some(redis) = RedisServer::with(&LFU) else { return };
    let mut original = redis.client();
    let mut keys = fill(&mut original);
    for (index, key) in keys.iter().enumerate().filter(|(index, _)| index % 3 == 0) {
        let at = 4_000_000_000_123 + index as u64;
        assert_eq!(original.line(&format!("PEXPIREAT {key} {at}")), ":1");
    }
    let payload = original.call(&["DUMP", "string:0"]);
    let restore: [&[u8]; 6] =
        [b"RESTORE", b"used", b"0", payload.as_bytes().expect("a payload"), b"FREQ", b"200"];
    assert_eq!(show(&original.call(&restore)), "+OK");
    keys.push("used".to_owned());
    for (name, answer) in [("a", "first"), ("b", "second")] {
        let library = format!(
            "#!lua name={name}\nredis.register_function('f{name}', function() return '{answer}' end)"
        );
        assert!(!original.call(&["FUNCTION", "LOAD", &library]).is_error());
    }
    for number in 0..3000 {
        original.send_line(&format!("SET many:{number} {number}"));
    }
    (0..3000).for_each(|_| assert_eq!(show(&original.read()), "+OK"));
    assert_eq!(original.line("SELECT 9"), "+OK");
    assert_eq!(original.line("MSET 1 2 text value"), "+OK");
    assert_eq!(original.line("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK");
    assert_eq!(original.line("SET gone x PX 1"), "+OK");
    assert_eq!(original.line("SELECT 0"), "+OK");
    assert_eq!(original.line("SAVE"), "+OK");
    for cores in ["1", "2", "3"] {
        let args = [&["--cores", cores, "--pin", "no"][..], &LFU].concat();
        let server = imported(redis.dir_handle(), &args);
        let mut client = server.client();
        assert_eq!(field(&mut client, "persistence", "loading").as_deref(), Some("0"));
        let changes = field(&mut client, "persistence", "rdb_changes_since_last_save");
        assert_eq!(changes.as_deref(), Some("0"));
        let loaded = field(&mut client, "persistence", "rdb_last_load_keys_loaded");
        assert_eq!(loaded, Some((keys.len() + 3000 + 2).to_string()));
        let expired = field(&mut client, "persistence", "rdb_last_load_keys_expired");
        assert_eq!(expired.as_deref(), Some("1"));
        for question in ["DBSIZE", "FCALL fa 0", "FCALL fb 0", "OBJECT FREQ used", "GET many:2999"] {
            assert_eq!(client.line(question), original.line(question), "{question} on {cores}");
        }
        for key in &keys {
            assert!(reading(&mut client, key) == reading(&mut original, key), "{key} on {cores}");
            let ask = format!("PEXPIRETIME {key}");
            assert_eq!(client.line(&ask), original.line(&ask), "{key} on {cores}");
        }
        for number in (0..3000).step_by(7) {
            assert_eq!(client.line(&format!("GET many:{number}")), format!("\"{number}\""));
        }
        assert_eq!(client.line("SELECT 9"), "+OK");
        assert_eq!(client.line("MGET 1 text gone"), r#"["2", "value", nil]"#);
        assert_eq!(client.line("DBSIZE"), ":2");
    }
}

#[test]
fn keys_of_nothing_are_left_out_and_told() {
    let dir = directory();
    let mut file = b"REDIS0009\xfe\x03".to_vec();
    file.extend_from_slice(b"\x01\x05empty\x00\x02\x04none\x00\x00\x04some\x05value\xff");
    file.extend_from_slice(&rdb::crc64(&file).to_le_bytes());
    std::fs::write(dir.path().join("dump.rdb"), file).expect("the directory is writable");
    let server = imported(dir, &[]);
    let line = server.wait_for_log("keys of this file were left out");
    for text in ["WARN", "keys=2", "first=empty", "db=3", "dump.rdb"] {
        assert!(line.contains(text), "no {text} in {line}");
    }
    let mut client = server.client();
    assert_eq!(client.line("SELECT 3"), "+OK");
    assert_eq!(client.line("KEYS *"), "[\"some\"]");
}

#[test]
fn hazard_9_data_that_does_not_fit_the_limit_is_loaded_and_said_loudly() {
    let dir = directory();
    write_small_keys(&dir.path().join("dump.rdb"), 50_000);
    let server = imported(dir, &["--maxmemory", "1mb"]);
    let line = server.wait_for_log("more memory than maxmemory allows");
    assert!(line.contains("ERROR") && line.contains("noeviction"), "{line}");
    let mut client = server.client();
    assert_eq!(client.line("DBSIZE"), ":50000");
    assert!(client.line("SET more 1").starts_with("-OOM"));
    assert_eq!(client.line("GET k49999"), "\"49999\"");
}

#[test]
fn a_value_in_many_pieces_and_one_of_many_megabytes_are_loaded() {
    let dir = directory();
    let mut writer = Writer::new(Version::V10, false);
    let elements: Vec<Vec<u8>> =
        (0..200_000).map(|number| format!("element {number}").into_bytes()).collect();
    let limits = datatypes::Limits::default();
    let list = datatypes::list::build(elements.iter().map(Vec::as_slice), &limits);
    let list = datatypes::Value::Object(list);
    let long = vec![b'x'; 20 << 20];
    let expiry = Some(UnixMs(4_000_000_000_000));
    let attributes = Attributes { expiry, ..Attributes::default() };
    writer.keys().key(DbIndex(0), b"list", Attributes::default(), list.as_ref());
    let text = datatypes::ValueRef::String(datatypes::StringRef::Bytes(&long));
    writer.keys().key(DbIndex(0), b"long", attributes, text);
    std::fs::write(dir.path().join("dump.rdb"), writer.end().0).expect("the directory is writable");
    let server = imported(dir, &[]);
    let mut client = server.client();
    assert_eq!(client.line("LLEN list"), ":200000");
    assert_eq!(client.line("LINDEX list -1"), "\"element 199999\"");
    assert_eq!(client.line("STRLEN long"), format!(":{}", 20 << 20));
    assert_eq!(client.line("PEXPIRETIME long"), ":4000000000000");
}
