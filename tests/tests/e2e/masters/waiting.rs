//! WAIT, and writes that are refused without replicas.

use super::slow::follower;
use super::{linked, master, number, ok, replica_of};
use lacewing_tests::{Server, until};
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn a_client_waits_until_replicas_have_what_it_wrote() {
    let server = master(&[]);
    let mut client = server.client();
    let start = Instant::now();
    assert_eq!(client.line("WAIT 1 200"), ":0", "nobody follows");
    // Times are told in milliseconds.
    assert!(start.elapsed() >= Duration::from_millis(190));
    assert_eq!(client.line("WAIT 0 0"), ":0");
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    let mut there = replica.client();
    // On each core's clients, with keys on all shards.
    let mut clients: Vec<_> = (0..8).map(|_| server.client()).collect();
    for round in 0..50 {
        for (index, client) in clients.iter_mut().enumerate() {
            ok(client, &["MSET", &format!("a{index}"), &round.to_string(), &format!("b{index}"), "1"]);
            ok(client, &["SET", &format!("c{index}"), &round.to_string()]);
            assert_eq!(client.line("WAIT 1 30000"), ":1");
            for key in ["a", "c"] {
                assert_eq!(there.line(&format!("GET {key}{index}")), format!("\"{round}\""));
            }
        }
    }
    assert_eq!(client.line("WAIT 2 50"), ":1", "there is no second");
    client.send_line("SET piped 1");
    client.send_line("WAIT 1 30000");
    assert_eq!(
        (client.read(), lacewing_tests::show(&client.read())),
        (resp::Value::Simple(b"OK".to_vec()), ":1".to_owned())
    );
    assert_eq!(there.line("GET piped"), "\"1\"");
}

#[test]
fn a_client_that_waits_may_be_let_go() {
    let server = master(&[]);
    let (mut waiting, mut client) = (server.client(), server.client());
    let id = waiting.line("CLIENT ID");
    waiting.send_line("WAIT 1 0");
    until("it waits", || (client.line(&format!("CLIENT UNBLOCK {} ERROR", &id[1..])) == ":1").then_some(()));
    assert_eq!(lacewing_tests::show(&waiting.read()), "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
    assert_eq!(waiting.line("PING"), "+PONG");
    waiting.send_line("WAIT 1 0");
    drop(waiting);
    assert_eq!(client.line("WAIT 1 10"), ":0");
}

/// A Lacewing that follows what listens at `port`.
#[track_caller]
fn lacewing_of(port: u16, args: &[&str]) -> Server {
    let port = port.to_string();
    let follows = ["--pin", "no", "--cores", "2", "--replicaof", "127.0.0.1", &port];
    let server = Server::with(&[&follows, args].concat());
    linked(&server);
    server
}

#[test]
fn a_client_waits_until_it_is_on_disks() {
    // What is said in the stream.
    let server = master(&["--appendonly", "yes", "--repl-flows", "no"]);
    let mut client = server.client();
    let replica = lacewing_of(server.port(), &["--appendonly", "yes"]);
    let without_log = lacewing_of(server.port(), &["--appendonly", "no"]);
    for number in 0..3 {
        ok(&mut client, &["MSET", "a", &number.to_string(), "b", "1", "c", "2"]);
        assert_eq!(client.line("WAITAOF 1 1 30000"), "[:1, :1]");
        assert_eq!(replica.client().line("GET a"), format!("\"{number}\""));
    }
    assert_eq!(client.line("WAIT 2 30000"), ":2");
    assert_eq!(client.line("WAITAOF 1 2 1500"), "[:1, :1]", "the other has no log");
    // One that gets a log counts from then on, and no longer when it has none.
    assert_eq!(without_log.client().line("CONFIG SET appendonly yes"), "+OK");
    ok(&mut client, &["SET", "a", "9"]);
    assert_eq!(client.line("WAITAOF 0 2 30000").rsplit(' ').next(), Some(":2]"));
    assert_eq!(replica.client().line("CONFIG SET appendonly no"), "+OK");
    ok(&mut client, &["SET", "a", "10"]);
    assert_eq!(client.line("WAITAOF 1 2 1500"), "[:1, :1]");
}

#[test]
fn under_always_what_a_replica_has_is_on_its_disk() {
    for flows in ["no", "yes"] {
        let server = master(&["--appendonly", "yes", "--appendfsync", "always", "--repl-flows", flows]);
        let mut client = server.client();
        let _replica = lacewing_of(server.port(), &["--appendonly", "yes", "--appendfsync", "always"]);
        // Of all cores' clients.
        let mut clients: Vec<_> = (0..4).map(|_| server.client()).collect();
        for client in &mut clients {
            ok(client, &["SET", "a", "1"]);
            assert_eq!(client.line("WAITAOF 1 1 30000"), "[:1, :1]");
        }
        // In a transaction nobody waits.
        assert_eq!(
            (client.line("MULTI"), client.line("WAITAOF 1 1 0")),
            ("+OK".to_owned(), "+QUEUED".to_owned())
        );
        assert_eq!(client.line("EXEC"), "[[:1, :1]]");
    }
}

#[test]
fn replicas_that_follow_by_flows_say_what_is_on_their_disks() {
    let server = master(&["--appendonly", "yes", "--repl-flows", "yes"]);
    let mut client = server.client();
    let args = ["--appendonly", "yes", "--repl-flows", "yes"];
    let replica = lacewing_of(server.port(), &args);
    for number in 0..3 {
        ok(&mut client, &["MSET", "a", &number.to_string(), "b", "1", "c", "2"]);
        assert_eq!(client.line("WAITAOF 1 1 30000"), "[:1, :1]");
        assert_eq!(replica.client().line("GET a"), format!("\"{number}\""));
    }
    assert_eq!(replica.client().line("CONFIG SET appendonly no"), "+OK");
    ok(&mut client, &["SET", "a", "10"]);
    assert_eq!(client.line("WAITAOF 1 1 1500"), "[:1, :0]");
}

/// A Redis does so from 7.2 on, and only one with a log.
#[test]
fn a_redis_says_what_is_on_its_disk() {
    let server = master(&["--appendonly", "yes"]);
    let Some(replica) = replica_of(server.port(), &["--appendonly", "yes"]) else { return };
    if !replica.can(7, 2) {
        return;
    }
    linked(&replica);
    let (mut client, mut there) = (server.client(), replica.client());
    for number in 0..3 {
        ok(&mut client, &["MSET", "a", &number.to_string(), "b", "1", "c", "2"]);
        assert_eq!(client.line("WAITAOF 1 1 30000"), "[:1, :1]");
        assert_eq!(there.line("GET a"), format!("\"{number}\""));
    }
    assert_eq!(there.line("CONFIG SET appendonly no"), "+OK");
    ok(&mut client, &["SET", "a", "10"]);
    assert_eq!(client.line("WAITAOF 1 1 1500"), "[:1, :0]");
}

/// A replica that is written here, so that it is known what it has said.
#[test]
fn it_counts_what_a_replica_says_of_its_disk() {
    let server = master(&[]);
    let mut client = server.client();
    let mut peer = follower(&server);
    until("it is online", || (number(&mut client, "connected_slaves") == 1).then_some(()));
    ok(&mut client, &["SET", "a", "1"]);
    let end = number(&mut client, "master_repl_offset");
    let (behind, ahead) = (end - 1, end + 100_000);
    let mut say = |words: &str| peer.write_all(format!("REPLCONF {words}\r\n").as_bytes()).expect("it reads");
    say(&format!("ACK {ahead}"));
    assert_eq!(client.line("WAIT 1 30000"), ":1");
    assert_eq!(client.line("WAITAOF 0 1 100"), "[:0, :0]", "it has not said it");
    say(&format!("ACK {ahead} FACK {behind}"));
    assert_eq!(client.line("WAITAOF 0 1 100"), "[:0, :0]", "a byte is missing");
    client.send_line("WAITAOF 0 1 0");
    say(&format!("ACK {ahead} FACK {ahead}"));
    assert_eq!(lacewing_tests::show(&client.read()), "[:0, :1]");
    let off = "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    assert_eq!(client.line("WAITAOF 1 1 0"), off);
}

#[test]
fn a_client_that_waits_for_disks_may_be_let_go() {
    let server = master(&["--appendonly", "yes"]);
    let (mut waiting, mut client) = (server.client(), server.client());
    let id = waiting.line("CLIENT ID");
    for (how, told) in [("ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"), ("TIMEOUT", "[:0, :0]")]
    {
        waiting.send_line("WAITAOF 1 1 0");
        let unblock = format!("CLIENT UNBLOCK {} {how}", &id[1..]);
        until("it waits", || (client.line(&unblock) == ":1").then_some(()));
        assert_eq!(lacewing_tests::show(&waiting.read()), told);
    }
    waiting.send_line("WAITAOF 1 1 0");
    until("it waits", || client.line("CLIENT LIST").contains("cmd=waitaof").then_some(()));
    assert_eq!(client.line("CONFIG SET appendonly no"), "+OK");
    let told = lacewing_tests::show(&waiting.read());
    assert_eq!(told, "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
    assert_eq!(waiting.line("PING"), "+PONG");
}

#[test]
fn writes_are_refused_without_enough_replicas() {
    let server = master(&["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"]);
    let mut client = server.client();
    let refused = "-NOREPLICAS Not enough good replicas to write.";
    until("it is looked at", || (client.line("SET a 1") == refused).then_some(()));
    assert_eq!((client.line("GET a"), client.line("PING")), ("nil".to_owned(), "+PONG".to_owned()));
    let Some(mut replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    until("it counts", || (client.line("SET a 1") == "+OK").then_some(()));
    assert_eq!(super::field(&mut client, "min_slaves_good_slaves").as_deref(), Some("1"));
    replica.kill();
    until("it counts no more", || (client.line("SET a 2") == refused).then_some(()));
    assert_eq!(client.line("CONFIG SET min-replicas-to-write 0"), "+OK");
    until("it is looked at", || (client.line("SET a 2") == "+OK").then_some(()));
}
