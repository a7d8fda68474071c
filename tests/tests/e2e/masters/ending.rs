//! A server that ends: its replicas have all that was acknowledged.

use super::{linked, master, replica_of};
use lacewing_tests::{Server, until};
use std::thread;
use std::time::{Duration, Instant};

#[track_caller]
fn online(server: &Server) {
    let mut client = server.client();
    until("it is online", || {
        super::field(&mut client, "slave0").is_some_and(|line| line.contains("state=online")).then_some(())
    });
}

#[test]
fn replicas_have_all_before_the_end() {
    for by_signal in [false, true] {
        let mut server = master(&["--cores", "2", "--shutdown-timeout", "30"]);
        let Some(replica) = replica_of(server.port(), &[]) else { return };
        linked(&replica);
        online(&server);
        replica.signal("STOP");
        let mut client = server.client();
        for number in 0..100 {
            assert_eq!(client.line(&format!("SET key:{number} {number}")), "+OK");
        }
        let mut other = server.client();
        if by_signal {
            server.signal("TERM");
        } else {
            other.send_line("SHUTDOWN NOSAVE");
        }
        server.wait_for_log("waiting for replicas before the end");
        assert_eq!(client.line("GET key:1"), "\"1\"", "reads go on");
        replica.signal("CONT");
        assert!(server.wait().success());
        assert!(server.log().contains("1 of 1 replicas are in sync when shutting down."));
        assert_eq!(replica.client().line("GET key:99"), "\"99\"");
    }
}

#[test]
fn a_replica_that_does_not_come_is_waited_for_no_longer_than_was_said() {
    let mut server = master(&["--cores", "2", "--shutdown-timeout", "1"]);
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    online(&server);
    replica.signal("STOP");
    let mut client = server.client();
    assert_eq!(client.line("SET key 1"), "+OK");
    let began = Instant::now();
    client.send_line("SHUTDOWN NOSAVE");
    assert!(server.wait().success());
    assert!(began.elapsed() >= Duration::from_millis(990));
    let log = server.log();
    assert!(log.contains("Lagging replica 127.0.0.1:"), "{log}");
    assert!(log.contains("0 of 1 replicas are in sync when shutting down."), "{log}");
    replica.signal("CONT");
}

#[test]
fn the_wait_for_replicas_can_be_taken_back_or_left_out() {
    let mut server = master(&["--cores", "2", "--shutdown-timeout", "1000"]);
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    online(&server);
    replica.signal("STOP");
    let (mut client, mut other) = (server.client(), server.client());
    assert_eq!(client.line("SET key 1"), "+OK");
    other.send_line("SHUTDOWN NOSAVE");
    server.wait_for_log("waiting for replicas before the end");
    let writer = thread::spawn({
        let mut writer = server.client();
        move || writer.line("SET key 2")
    });
    assert_eq!(client.line("SHUTDOWN ABORT"), "+OK");
    assert_eq!(lacewing_tests::show(&other.read()), "-ERR Errors trying to SHUTDOWN. Check logs.");
    assert_eq!(writer.join().expect("it writes"), "+OK");
    client.send_line("SHUTDOWN NOSAVE NOW");
    assert!(server.wait().success());
    replica.signal("CONT");
}

#[test]
fn keys_expire_also_while_there_are_too_few_replicas_for_writes() {
    let server = master(&["--cores", "1"]);
    let mut client = server.client();
    assert_eq!(client.line("SET gone 1 PX 300"), "+OK");
    assert_eq!(client.line("CONFIG SET min-replicas-to-write 1"), "+OK");
    until("writes are refused", || client.line("SET a 1").starts_with("-NOREPLICAS").then_some(()));
    until("it has gone", || (client.line("DBSIZE") == ":0").then_some(()));
}
