//! Links that break, and partial resyncs.

use super::{check_same, linked, master, ok, replica_of, stat};
use lacewing_tests::{Proxy, until};

#[test]
fn a_replica_goes_on_where_it_was_when_its_link_was_cut() {
    let server = master(&["--repl-backlog-size", "8mb"]);
    let proxy = Proxy::to(server.port());
    let Some(replica) = replica_of(proxy.port, &[]) else { return };
    linked(&replica);
    let mut client = server.client();
    for round in 0..5 {
        for number in 0..2000 {
            client.send_line(&format!("SET r{round}:{number} {number}"));
            if number == 1000 {
                proxy.cut();
            }
        }
        (0..2000).for_each(|_| drop(client.read()));
        until("it goes on", || (stat(&mut client, "sync_partial_ok") > round).then_some(()));
        check_same(&server, &replica);
    }
    assert_eq!(stat(&mut client, "sync_full"), 1);
}

#[test]
fn one_that_was_away_for_longer_than_the_ring_begins_anew() {
    let server = master(&["--repl-backlog-size", "16kb"]);
    let proxy = Proxy::to(server.port());
    let Some(replica) = replica_of(proxy.port, &[]) else { return };
    linked(&replica);
    assert_eq!(replica.client().line("REPLICAOF NO ONE"), "+OK");
    let mut client = server.client();
    until("it is gone", || (super::number(&mut client, "connected_slaves") == 0).then_some(()));
    let long = "x".repeat(1000);
    for number in 0..100 {
        ok(&mut client, &["SET", &format!("k{number}"), &long]);
    }
    assert_eq!(replica.client().line(&format!("REPLICAOF 127.0.0.1 {}", proxy.port)), "+OK");
    linked(&replica);
    check_same(&server, &replica);
    assert_eq!(stat(&mut client, "sync_full"), 2);
    assert_eq!(stat(&mut client, "sync_partial_ok"), 0);
}
