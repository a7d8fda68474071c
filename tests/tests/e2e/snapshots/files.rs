//! What a snapshot's files are: RDB files that redis-server reads.

use super::{field, files, filled, plain, sets, snapshot};
use crate::dump::reading;
use lacewing_tests::{RedisServer, Server, show};
use std::sync::Arc;

#[test]
fn redis_server_reads_each_file_and_tells_the_same_of_every_key() {
    for settings in
        ["--snapshot-compression zstd", "--snapshot-compression no --maxmemory-policy allkeys-lru"]
    {
        let args: Vec<&str> = settings.split(' ').collect();
        let server = Server::with(&args);
        let mut client = server.client();
        let keys = filled(&mut client);
        let library = "#!lua name=lib\nredis.register_function('f', function() return 'hello' end)";
        assert_eq!(show(&client.call(&["FUNCTION", "LOAD", library])), r#""lib""#);
        assert_eq!(client.line("SELECT 9"), "+OK");
        assert_eq!(client.line("MSET 1 2 text value"), "+OK");
        assert_eq!(client.line("SELECT 0"), "+OK");
        snapshot(&mut client);
        assert_eq!(field(&mut client, "rdb_last_bgsave_keys"), (keys.len() + 2).to_string());
        let set = sets(&server).pop().expect("a set");
        let (mut found, mut others) = (0, Vec::new());
        for (shard, file) in files(&set).iter().enumerate() {
            let bytes = plain(file);
            assert_eq!(&bytes[..9], b"REDIS0010", "the oldest that has words for all of it");
            let dir = Arc::new(tempfile::tempdir().expect("a directory"));
            std::fs::write(dir.path().join("dump.rdb"), bytes).expect("it can be written");
            let Some(redis) = RedisServer::on(dir, &[]) else { return };
            let mut reader = redis.client();
            for key in &keys {
                if reader.line(&format!("EXISTS {key}")) == ":0" {
                    continue;
                }
                found += 1;
                assert!(reading(&mut reader, key) == reading(&mut client, key), "{key}");
                let ask = format!("PEXPIRETIME {key}");
                assert_eq!(reader.line(&ask), client.line(&ask), "{key}");
            }
            let libraries = reader.line("FCALL f 0");
            assert_eq!(libraries == r#""hello""#, shard == 0, "libraries are in the first: {libraries}");
            assert_eq!(reader.line("SELECT 9"), "+OK");
            others.push(reader.line("DBSIZE"));
        }
        assert_eq!(found, keys.len());
        others.sort();
        assert!(others == [":0", ":2"] || others == [":1", ":1"], "{others:?}");
    }
}

#[test]
fn what_expires_by_field_is_in_the_words_of_a_newer_version() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.line("HSET h f v g w"), ":2");
    assert_eq!(client.line("HPEXPIREAT h 4000000000000 FIELDS 1 f"), "[:1]");
    snapshot(&mut client);
    let set = sets(&server).pop().expect("a set");
    let mut versions: Vec<Vec<u8>> = files(&set).iter().map(|file| plain(file)[..9].to_vec()).collect();
    versions.sort();
    assert_eq!(versions, [b"REDIS0010", b"REDIS0012"]);
}

/// A value of 64 MB is written in pieces while commands go on, and takes no memory for a second one.
#[test]
fn hazard_34_a_huge_value_is_streamed() {
    let server = Server::with(&["--snapshot-compression", "no", "--rdbcompression", "no"]);
    let mut client = server.client();
    let element = "x".repeat(1000);
    let push: Vec<&str> = ["RPUSH", "list"].into_iter().chain(std::iter::repeat_n(&*element, 1000)).collect();
    (0..64).for_each(|_| client.send(&push));
    (0..64).for_each(|_| assert!(!client.read().is_error()));
    snapshot(&mut client);
    let extra: u64 = field(&mut client, "rdb_last_cow_size").parse().expect("a number");
    assert!(extra < 4 << 20, "{extra} bytes");
    let bytes: u64 = field(&mut client, "rdb_last_bgsave_bytes").parse().expect("a number");
    assert!(bytes > 64_000_000, "{bytes}");
    assert_eq!(super::keys_of(&sets(&server)[0]), 1);
}

/// Who changes a huge value while it is not written yet waits until it is, and nothing is copied for him.
#[test]
fn hazard_34_what_changes_a_huge_value_waits_rather_than_copies_it() {
    let server = Server::with(&[
        "--snapshot-compression",
        "no",
        "--rdbcompression",
        "no",
        "--enable-debug-command",
        "yes",
    ]);
    let (mut client, mut writer) = (server.client(), server.client());
    assert_eq!(client.line("DEBUG POPULATE 100000 filling 50"), "+OK");
    let element = "x".repeat(1000);
    let push: Vec<&str> = ["RPUSH", "list"].into_iter().chain(std::iter::repeat_n(&*element, 1000)).collect();
    (0..24).for_each(|_| client.send(&push));
    (0..24).for_each(|_| assert!(!client.read().is_error()));
    let ways: &[&[&str]] = &[
        &["RPUSH list x"],
        &["MULTI", "RPUSH list x", "EXEC"],
        &["MULTI", "RPUSH list x", "SET a 1", "SET b 2", "SET c 3", "EXEC"],
        &["EVAL \"return redis.call('rpush', KEYS[1], 'x')\" 1 list"],
        &[
            "EVAL \"redis.call('set', KEYS[2], 1) redis.call('set', KEYS[3], 1) return redis.call('rpush', KEYS[1], 'x')\" 3 list a b",
        ],
        &["LMOVE list other:1 LEFT RIGHT", "LMOVE list other:2 LEFT RIGHT", "LMOVE list other:3 LEFT RIGHT"],
        &["SORT list BY nosort LIMIT 0 1 STORE sorted", "RPUSH list y"],
        &["LSET list 0 x", "LTRIM list 1 -1", "LPOP list 2"],
    ];
    for way in ways {
        assert_eq!(client.line("BGSAVE"), "+Background saving started");
        while field(&mut client, "rdb_bgsave_in_progress") == "1" {
            for line in *way {
                let reply = writer.line(line);
                assert!(!reply.starts_with('-'), "{line}: {reply}");
            }
        }
        assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");
        let extra: u64 = field(&mut client, "rdb_last_cow_size").parse().expect("a number");
        assert!(extra < 12 << 20, "{extra} bytes for {way:?}");
    }
}
