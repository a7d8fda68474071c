//! WAIT, and writes that are refused without replicas.

use super::{linked, master, ok, replica_of};
use lacewing_tests::until;
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
