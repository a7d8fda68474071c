//! SAVE RDB: one file with all data, which redis-server loads.

use super::{field, filled, sets};
use crate::dump::reading;
use lacewing_tests::{RedisServer, Server, show};
use std::path::Path;
use std::sync::Arc;

/// A directory of redis-server with this file.
fn of_redis(file: &Path) -> Arc<tempfile::TempDir> {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::copy(file, dir.path().join("dump.rdb")).expect("it can be copied");
    Arc::new(dir)
}

#[test]
fn redis_server_loads_it_and_tells_the_same_of_every_key() {
    let settings = [
        "--cores 3 --pin no --snapshot-compression zstd",
        "--cores 1 --snapshot-compression no --maxmemory-policy allkeys-lru",
        "--cores 2 --snapshot-compression no --rdbcompression no --maxmemory-policy allkeys-lfu",
    ];
    for settings in settings {
        let server = Server::with(&settings.split(' ').collect::<Vec<_>>());
        let mut client = server.client();
        let keys = filled(&mut client);
        for name in ["one", "two"] {
            let library = format!(
                "#!lua name={name}\nredis.register_function('{name}', function() return '{name}' end)"
            );
            assert_eq!(show(&client.call(&["FUNCTION", "LOAD", &library])), format!("\"{name}\""));
        }
        for db in 1..16 {
            assert_eq!(client.line(&format!("SELECT {db}")), "+OK");
            (0..db).for_each(|key| assert_eq!(client.line(&format!("SET k{key} {db}")), "+OK"));
        }
        assert_eq!(client.line("SELECT 0"), "+OK");
        let count = client.line("DBSIZE");
        assert_eq!(client.line("SAVE RDB"), "+OK");
        assert_eq!(sets(&server).len(), 1, "it is a snapshot, too");
        let file = server.dir().join("dump.rdb");
        assert_eq!(&std::fs::read(&file).expect("it is there")[..9], b"REDIS0010");
        let Some(redis) = RedisServer::on(of_redis(&file), &[]) else { return };
        let mut reader = redis.client();
        assert_eq!(reader.line("DBSIZE"), count);
        for key in &keys {
            assert!(reading(&mut reader, key) == reading(&mut client, key), "{key}");
            let ask = format!("PEXPIRETIME {key}");
            assert_eq!(reader.line(&ask), client.line(&ask), "{key}");
        }
        for name in ["one", "two"] {
            assert_eq!(reader.line(&format!("FCALL {name} 0")), format!("\"{name}\""));
        }
        for db in 1..16 {
            assert_eq!(reader.line(&format!("SELECT {db}")), "+OK");
            assert_eq!(reader.line("DBSIZE"), format!(":{db}"));
            assert_eq!(reader.line("GET k0"), format!("\"{db}\""));
        }
    }
}

/// It is a copy: nothing reads it at a start, each replaces the one before, and a failure leaves that alone.
#[test]
fn it_takes_the_place_of_the_one_before_and_is_not_read() {
    let logged = ["--appendonly", "yes", "--enable-protected-configs", "yes"];
    let mut server = Server::with(&logged);
    let dir = server.dir_handle();
    let mut client = server.client();
    let file = |name: &str| dir.path().join(name);
    assert_eq!(client.line("SET k 1"), "+OK");
    assert_eq!(client.line("SAVE RDB"), "+OK");
    let first = std::fs::read(file("dump.rdb")).expect("it is there");
    assert_eq!(client.line("SET more 1"), "+OK");
    assert_eq!(client.line("SAVE"), "+OK");
    assert!(std::fs::read(file("dump.rdb")).expect("it is there") == first, "only SAVE RDB writes it");
    std::fs::write(file("dump.rdb.new"), "left by a crash").expect("it can be written");
    assert_eq!(client.line("SAVE RDB"), "+OK");
    assert!(std::fs::read(file("dump.rdb")).expect("it is there") != first);
    assert!(!file("dump.rdb.new").exists());
    for name in ["lacewing.id", "../other.rdb", "", "log"] {
        assert_eq!(show(&client.call(&["CONFIG", "SET", "dbfilename", name])), "+OK");
        let said = client.line("SAVE RDB");
        assert!(
            said.starts_with("-ERR dbfilename is to be the name of a file that ends with .rdb"),
            "{said}"
        );
    }
    assert_eq!(client.line("CONFIG SET dbfilename other.rdb"), "+OK");
    assert_eq!(client.line("SAVE rdb"), "+OK");
    std::fs::create_dir(file("way.rdb")).expect("it can be made");
    assert_eq!(client.line("CONFIG SET dbfilename way.rdb"), "+OK");
    assert!(client.line("SAVE RDB").starts_with("-ERR cannot rename"), "a directory is in the way");
    assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok", "there is a snapshot all the same");
    assert_eq!(client.line("SAVE RDB x"), "-ERR wrong number of arguments for \\'save\\' command");
    assert_eq!(client.line("DEL more"), ":1");
    server.kill();
    let next = Server::on(Arc::clone(&dir), &logged);
    assert_eq!(next.client().line("DBSIZE"), ":1");
}
