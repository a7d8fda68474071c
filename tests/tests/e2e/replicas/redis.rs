//! A real redis-server as the master.

use lacewing_tests::{Client, RedisServer, Server, show, until, until_within};
use std::time::Duration;

use super::{field, replicaof, until_field, until_up, with_data};

/// One of every type, in two databases, and a library.
const EVERYTHING: &[&str] = &[
    "SET s text",
    "SET n 1234567",
    "APPEND long 0123456789012345678901234567890123456789012345678901234567890123456789",
    "RPUSH l 1 2 3 four",
    "SADD ints 1 2 3",
    "SADD set a b c",
    "ZADD z 1 one 2.5 two",
    "HSET h f v g w",
    "XADD x 1-1 k v",
    "XGROUP CREATE x grp 0",
    "XREADGROUP GROUP grp me COUNT 1 STREAMS x >",
    "PFADD hll a b c d",
    "SETBIT bits 1000 1",
    "GEOADD geo 13.361389 38.115556 Palermo",
    "SET expires v PX 10000000",
    "SELECT 3",
    "SET other db",
    "SELECT 0",
    "FUNCTION LOAD \"#!lua name=lib\\nredis.register_function{function_name='f', callback=function() return 'called' end, flags={'no-writes'}}\"",
];

const ASKED: &[&str] = &[
    "GET s",
    "GET n",
    "GET long",
    "LRANGE l 0 -1",
    "SMEMBERS ints",
    "SORT_RO set ALPHA",
    "ZRANGE z 0 -1 WITHSCORES",
    "HGET h g",
    "XRANGE x - +",
    "XPENDING x grp",
    "PFCOUNT hll",
    "BITCOUNT bits",
    "GEOPOS geo Palermo",
    "DBSIZE",
];

#[track_caller]
fn fill(redis: &mut Client) {
    for line in EVERYTHING {
        let reply = redis.line(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
}

#[track_caller]
fn expect_same(redis: &mut Client, ours: &mut Client) {
    for line in ASKED {
        assert_eq!(ours.line(line), redis.line(line), "{line}");
    }
    assert_eq!(ours.line("FCALL f 0"), "\"called\"");
    assert_eq!(ours.line("SELECT 3"), "+OK");
    assert_eq!(ours.line("GET other"), "\"db\"");
    assert_eq!(ours.line("SELECT 0"), "+OK");
    let left: i64 = ours.line("PTTL expires").trim_start_matches(':').parse().expect("a number");
    assert!((1..=10_000_000).contains(&left), "{left}");
}

/// Waits until the replica has all that the master has said.
#[track_caller]
fn until_level(redis: &mut Client, ours: &mut Client) {
    let at = field(redis, "master_repl_offset").expect("a master has it");
    let at: u64 = at.parse().expect("a number");
    until("the replica has all of the stream", || {
        let own = field(ours, "slave_repl_offset")?.parse::<u64>().ok()?;
        (own >= at).then_some(())
    });
}

#[track_caller]
fn check(redis_args: &[&str], own_args: &[&str]) {
    let Some(redis) = RedisServer::with(redis_args) else { return };
    let server = with_data(own_args);
    let (mut master, mut ours) = (redis.client(), server.client());
    fill(&mut master);
    replicaof(&mut ours, redis.port());
    until_up(&mut ours);
    expect_same(&mut master, &mut ours);
    assert_eq!(ours.line("EXISTS own:0"), ":0");
    assert_eq!(field(&mut ours, "master_full_syncs").as_deref(), Some("1"));

    for line in
        ["INCR n", "RPUSH l five", "MULTI", "SET a 1", "SET b 2", "INCR n", "EXEC", "DEL s", "SELECT 3"]
    {
        master.line(line);
    }
    assert_eq!(master.line("SET other changed"), "+OK");
    assert_eq!(master.line("SELECT 0"), "+OK");
    assert_eq!(master.line("SET soon gone PX 50"), "+OK");
    until("the master expires it", || (master.line("EXISTS soon") == ":0").then_some(()));
    until_level(&mut master, &mut ours);
    for line in ["GET n", "LRANGE l 0 -1", "MGET a b", "GET s", "DBSIZE", "EXISTS soon"] {
        assert_eq!(ours.line(line), master.line(line), "{line}");
    }
    let slaves = field(&mut master, "slave0").expect("it knows its replica");
    assert!(
        slaves.contains("state=online") && slaves.contains(&format!("port={}", server.port())),
        "{slaves}"
    );
    assert_eq!(show(&master.call(&["WAIT", "1", "5000"])), ":1");

    assert_eq!(ours.line("REPLICAOF NO ONE"), "+OK");
    assert_eq!(ours.line("SET own 1"), "+OK");
    assert_eq!(master.line("SET theirs 1"), "+OK");
    assert_eq!(ours.line("EXISTS theirs"), ":0");
    assert_eq!(ours.line("GET n"), master.line("GET n"));
}

#[test]
fn everything_comes_with_a_payload_that_a_mark_ends() {
    check(&["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"], &[]);
}

#[test]
fn everything_comes_with_a_payload_from_a_file() {
    check(&["--repl-diskless-sync", "no"], &["--appendonly", "yes"]);
}

#[test]
fn everything_is_loaded_while_it_comes() {
    let beside = ["--repl-diskless-load", "swapdb", "--pin", "no", "--cores"];
    let diskless = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"];
    check(&diskless, &[&beside[..], &["1"]].concat());
    check(&diskless, &[&beside[..], &["2", "--appendonly", "yes", "--appendfsync", "always"]].concat());
    check(&["--repl-diskless-sync", "no"], &[&beside[..], &["3"]].concat());
}

#[test]
fn everything_comes_under_always_and_on_one_core() {
    check(
        &["--repl-diskless-sync-delay", "0"],
        &["--appendonly", "yes", "--appendfsync", "always", "--cores", "1"],
    );
}

#[test]
fn a_link_that_was_cut_goes_on_where_it_ended() {
    let Some(redis) = RedisServer::with(&["--repl-diskless-sync-delay", "0"]) else { return };
    let server = Server::with(&["--appendonly", "yes"]);
    let (mut master, mut ours) = (redis.client(), server.client());
    fill(&mut master);
    replicaof(&mut ours, redis.port());
    until_up(&mut ours);
    for round in 1..=3 {
        assert_eq!(master.line("CLIENT KILL TYPE replica"), ":1");
        assert_eq!(master.line("INCR n"), format!(":{}", 1_234_567 + round));
        until_field(&mut ours, "master_partial_syncs", &round.to_string());
        until_up(&mut ours);
        until_level(&mut master, &mut ours);
        assert_eq!(ours.line("GET n"), master.line("GET n"));
    }
    assert_eq!(field(&mut ours, "master_full_syncs").as_deref(), Some("1"));
}

#[test]
fn a_replica_that_was_started_again_goes_on_where_it_was() {
    let Some(redis) = RedisServer::with(&["--repl-diskless-sync-delay", "0"]) else { return };
    let of = redis.port().to_string();
    let args = ["--appendonly", "yes", "--replicaof", "127.0.0.1", &of];
    let mut server = Server::with(&args);
    let (mut master, mut ours) = (redis.client(), server.client());
    fill(&mut master);
    until_up(&mut ours);
    until_level(&mut master, &mut ours);
    for kills in [false, true] {
        if kills {
            server.kill();
        } else {
            assert!(server.stop().success());
        }
        assert!(master.line("INCR n").starts_with(':'));
        server = Server::on(server.dir_handle(), &args);
        ours = server.client();
        until_up(&mut ours);
        until_level(&mut master, &mut ours);
        assert_eq!(ours.line("GET n"), master.line("GET n"));
        assert_eq!(field(&mut ours, "master_full_syncs").as_deref(), Some("0"));
        assert_eq!(field(&mut ours, "master_partial_syncs").as_deref(), Some("1"));
    }
    // Nobody's replica any more: its data is its own, and takes writes.
    assert!(server.stop().success());
    server = Server::on(server.dir_handle(), &["--appendonly", "yes"]);
    ours = server.client();
    until("it takes writes", || (ours.line("SET own 1") == "+OK").then_some(()));
    assert_eq!(ours.line("GET n"), master.line("GET n"));
}

#[test]
fn writes_go_on_while_the_data_comes() {
    let Some(redis) = RedisServer::with(&["--repl-diskless-sync-delay", "0"]) else { return };
    let mut master = redis.client();
    assert_eq!(master.line("DEBUG POPULATE 200000 key 100"), "+OK");
    let server = with_data(&["--appendonly", "yes"]);
    let mut ours = server.client();
    replicaof(&mut ours, redis.port());
    let mut count = 0;
    until_within(Duration::from_secs(60), "the replica follows", || {
        let replies = master.pipeline(&vec![["INCR", "counter"]; 50]);
        count += replies.len();
        (field(&mut ours, "master_link_status").as_deref() == Some("up")).then_some(())
    });
    until_level(&mut master, &mut ours);
    assert_eq!(ours.line("GET counter"), format!("\"{count}\""));
    assert_eq!(ours.line("DBSIZE"), master.line("DBSIZE"));
    assert_eq!(ours.line("GET key:199999"), master.line("GET key:199999"));
}

/// Redis asks for it from 7.2 on.
#[test]
fn a_master_is_told_what_is_on_the_disk() {
    let Some(redis) = RedisServer::with(&["--repl-diskless-sync-delay", "0"]) else { return };
    if !redis.can(7, 2) {
        return;
    }
    let server = Server::with(&["--appendonly", "yes"]);
    let (mut master, mut ours) = (redis.client(), server.client());
    replicaof(&mut ours, redis.port());
    until_up(&mut ours);
    for number in 0..3 {
        assert_eq!(master.line(&format!("MSET a {number} b 1 c 2")), "+OK");
        assert_eq!(master.line("WAITAOF 0 1 30000"), "[:0, :1]");
        assert_eq!(ours.line("GET a"), format!("\"{number}\""));
    }
    assert_eq!(ours.line("CONFIG SET appendonly no"), "+OK");
    assert_eq!(master.line("SET a 10"), "+OK");
    assert_eq!(master.line("WAITAOF 0 1 1500"), "[:0, :0]");
    assert_eq!(master.line("WAIT 1 30000"), ":1");
}

/// In the payload, and in the stream behind it.
#[test]
fn fields_that_expire_come_from_a_redis_that_has_them() {
    let Some(redis) = RedisServer::with(&["--repl-diskless-sync-delay", "0"]) else { return };
    if !redis.has_fields_that_expire() {
        return;
    }
    let mut master = redis.client();
    let give = |master: &mut Client, key: &str| {
        for line in [
            "HSET {} f v gone v stays v",
            "HPEXPIREAT {} 4000000000123 FIELDS 1 f",
            "HPEXPIRE {} 500 FIELDS 1 gone",
        ] {
            let reply = master.line(&line.replace("{}", key));
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
    };
    give(&mut master, "small");
    for number in 0..1000 {
        assert_eq!(master.line(&format!("HSET large {number} value")), ":1");
    }
    give(&mut master, "large");
    let server = with_data(&[]);
    let mut ours = server.client();
    replicaof(&mut ours, redis.port());
    until_up(&mut ours);
    give(&mut master, "later");
    for (key, stay) in [("small", 2), ("large", 1002), ("later", 2)] {
        // A Valkey counts those whose time has come until it has removed them.
        until("the field is removed there", || {
            (master.line(&format!("HLEN {key}")) == format!(":{stay}")).then_some(())
        });
        until_level(&mut master, &mut ours);
        for line in ["HEXISTS {} gone", "HPEXPIRETIME {} FIELDS 2 f stays", "HLEN {}"] {
            let line = line.replace("{}", key);
            assert_eq!(ours.line(&line), master.line(&line), "{line}");
        }
    }
}

/// Its scripts have `server` for `redis`.
#[test]
fn libraries_that_are_written_for_valkey_come_too() {
    let Some(valkey) = RedisServer::with(&["--repl-diskless-sync-delay", "0"]) else { return };
    if !valkey.is_valkey() {
        return;
    }
    let library = |name: &str| {
        format!(
            "#!lua name={name}\nserver.register_function('{name}', function(keys) return server.call('INCR', keys[1]) end)"
        )
    };
    let mut master = valkey.client();
    assert_eq!(master.line("SET n 0"), "+OK");
    assert_eq!(show(&master.call(&["FUNCTION", "LOAD", &library("one")])), "\"one\"");
    let server = with_data(&[]);
    let mut ours = server.client();
    replicaof(&mut ours, valkey.port());
    until_up(&mut ours);
    assert_eq!(show(&master.call(&["FUNCTION", "LOAD", &library("two")])), "\"two\"");
    assert_eq!(master.line("FCALL two 1 n"), ":1");
    until_level(&mut master, &mut ours);
    assert_eq!(ours.line("REPLICAOF NO ONE"), "+OK");
    assert_eq!((ours.line("FCALL one 1 n"), ours.line("FCALL two 1 n")), (":2".to_owned(), ":3".to_owned()));
}
