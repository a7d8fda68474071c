//! RDB files between this project and redis-server, both ways: what Redis wrote is read, written anew, and loaded by
//! another Redis, which then must tell the same of every key. No server of ours takes part.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use datatypes::Limits;
use lacewing_tests::{Client, RedisServer, installed, run, show};
use rdb::file::{Access, Attributes, Base, End, Event, Options, Reader, Sum, Writer};
use rdb::{Budget, Version};

use crate::dump::{fill, reading};

/// Settings under which Redis chooses other encodings, and what then is written of when keys were used.
const SETTINGS: &[&str] = &[
    "",
    "--hash-max-listpack-entries 100000 --hash-max-listpack-value 100000 --zset-max-listpack-entries 100000 \
     --zset-max-listpack-value 100000 --set-max-intset-entries 100000 --list-max-listpack-size -1 \
     --stream-node-max-entries 0 --stream-node-max-bytes 0",
    "--hash-max-listpack-entries 0 --zset-max-listpack-entries 0 --set-max-intset-entries 0 \
     --list-max-listpack-size 1 --list-compress-depth 1 --rdbcompression no --stream-node-max-entries 3 \
     --maxmemory-policy allkeys-lru",
    "--rdbchecksum no --maxmemory-policy allkeys-lfu",
];

#[test]
fn files_of_redis_are_read_and_what_is_written_of_them_is_loaded_by_redis() {
    for settings in SETTINGS {
        let args: Vec<&str> = settings.split_whitespace().collect();
        let Some(redis) = RedisServer::with(&args) else { return };
        let mut client = redis.client();
        let keys = filled(&mut client, settings);
        // From here on its values have the encodings that loading gives them.
        assert_eq!(client.line("DEBUG RELOAD"), "+OK");
        assert_eq!(client.line("SAVE"), "+OK");
        let file = std::fs::read(redis.dir().join("dump.rdb")).expect("a file that was saved");
        for slices in [false, true] {
            let (written, end) = written_anew(&file, slices, limits(settings));
            let no_sum = settings.contains("rdbchecksum no");
            assert!(if no_sum { end.sum == Sum::Zero } else { matches!(end.sum, Sum::Verified(_)) });
            assert_eq!((end.bytes, end.keys), (file.len() as u64, keys.len() as u64 + 2));
            loaded_by_redis(&written, &args, &mut client, &keys);
        }
    }
}

/// Fills a server with keys of every kind, in two databases, and functions; the keys of the first database.
fn filled(client: &mut Client, settings: &str) -> Vec<String> {
    let mut keys = fill(client);
    for (index, key) in keys.iter().enumerate().filter(|(index, _)| index % 3 == 0) {
        let at = 4_000_000_000_123 + index as u64;
        assert_eq!(client.line(&format!("PEXPIREAT {key} {at}")), ":1");
    }
    let payload = client.call(&["DUMP", "string:0"]);
    let payload = payload.as_bytes().expect("a payload");
    let used: &[&[u8]] = if settings.contains("lfu") { &[b"FREQ", b"77"] } else { &[b"IDLETIME", b"5000"] };
    let command: [&[u8]; 4] = [b"RESTORE", b"used", b"0", payload];
    assert_eq!(show(&client.call(&[&command[..], used].concat())), "+OK");
    keys.push("used".to_owned());
    let library = "#!lua name=lib\nredis.register_function('f', function() return 'hello' end)";
    assert_eq!(show(&client.call(&["FUNCTION", "LOAD", library])), r#""lib""#);
    assert_eq!(client.line("SELECT 9"), "+OK");
    assert_eq!(client.line("MSET 1 2 text value"), "+OK");
    assert_eq!(client.line("SELECT 0"), "+OK");
    keys
}

/// A score of -0 becomes 0 when a sorted set becomes compact, in Redis too: it may not where it is not there.
fn limits(settings: &str) -> Limits {
    let mut limits = Limits::default();
    if settings.contains("--zset-max-listpack-entries 0") {
        limits.zset_max_listpack_entries = 0;
    }
    limits
}

/// Reads a file in pieces and writes what it says into another, values as a whole or in slices.
fn written_anew(file: &[u8], slices: bool, limits: Limits) -> (Vec<u8>, End) {
    let mut reader = Reader::new(Options { size: Some(file.len() as u64), limits, ..Options::default() });
    let mut writer = Writer::new(Version::V10, !slices);
    writer.base(&Base { redis_version: "7.0.15", ..Base::default() });
    writer.aux(rdb::file::aux::SHARD, b"0/1");
    let (mut written, mut at) = (Vec::new(), 0);
    loop {
        match reader.next().unwrap_or_else(|error| panic!("{error}")) {
            Some(Event::Key(key)) => {
                let access = match (key.idle_s, key.freq) {
                    (Some(seconds), _) => Access::Idle(seconds),
                    (_, Some(counter)) => Access::Freq(counter),
                    _ => Access::Unknown,
                };
                let attributes = Attributes { expiry: key.expiry, access };
                let (keys, value) = (writer.keys(), key.value.as_ref());
                if slices {
                    let mut place = keys.begin(key.db, attributes, value);
                    let budget = Budget { bytes: 1000, elements: 10 };
                    while !keys.slice(&mut place, &key.key, value, budget) {}
                } else {
                    keys.key(key.db, &key.key, attributes, value);
                }
                written.append(&mut writer.take(Vec::new()));
            }
            Some(Event::Library(code)) => writer.library(&code),
            Some(Event::ResizeDb { keys, expiring }) => assert!(keys > 1 && expiring < keys),
            Some(Event::End(end)) => {
                assert_eq!(writer.keys().needed(), Version::V10);
                written.append(&mut writer.end().0);
                return (written, end);
            }
            Some(_) => {}
            None => {
                let next = (at + 4096).min(file.len());
                reader.feed(&file[at..next]);
                at = next;
            }
        }
    }
}

/// Redis takes the file, and tells the same of all that is in it as `original` does.
fn loaded_by_redis(file: &[u8], args: &[&str], original: &mut Client, keys: &[String]) {
    let dir = Arc::new(tempfile::tempdir().expect("a directory"));
    let path = dir.path().join("written.rdb");
    std::fs::write(&path, file).expect("a file that is written");
    checked_by_redis(&path);
    let args = [args, &["--dbfilename", "written.rdb"]].concat();
    let redis = RedisServer::on(dir, &args).expect("the same redis-server as before");
    let mut client = redis.client();
    for question in ["DBSIZE", "FUNCTION LIST WITHCODE", "FCALL f 0", "OBJECT FREQ used"] {
        assert_eq!(client.line(question), original.line(question), "{question}");
    }
    if args.contains(&"allkeys-lru") {
        let idle: u64 = client.line("OBJECT IDLETIME used")[1..].parse().expect("seconds");
        assert!((5000..5100).contains(&idle), "{idle}");
    }
    for key in keys {
        let (now, then) = (reading(&mut client, key), reading(original, key));
        assert!(now == then, "{key} with {args:?}: {now:.500} was {then:.500}");
        let ask = format!("PEXPIRETIME {key}");
        assert_eq!(client.line(&ask), original.line(&ask), "{key}");
        let no_ints = args.windows(2).any(|pair| pair == ["--set-max-intset-entries", "0"]);
        let is_unsure = key.starts_with("set") || no_ints && key.starts_with("ints");
        if !is_unsure {
            // Which of the encodings a set without a threshold has depends on the order of its members, and since Redis 7.2 on
            // whether it was loaded.
            let ask = format!("OBJECT ENCODING {key}");
            assert_eq!(client.line(&ask), original.line(&ask), "{key}");
        }
    }
    assert_eq!(client.line("DEBUG DIGEST"), original.line("DEBUG DIGEST"));
}

fn checked_by_redis(path: &Path) {
    if installed(CHECK) {
        let ended = run(Command::new(CHECK).arg(path), b"");
        assert!(ended.stdout.contains("RDB looks OK!"), "{ended:?}");
    }
}

const CHECK: &str = "redis-check-rdb";
