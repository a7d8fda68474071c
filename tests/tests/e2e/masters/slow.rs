//! Replicas that do not read, or say nothing: they cost no more than they may, and are cut off.

use super::{check_same, linked, master, number, replica_of};
use lacewing_tests::{Server, until};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Begins to follow, and reads the payload.
pub(super) fn follower(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr()).expect("it accepts");
    stream.write_all(b"REPLCONF capa psync2\r\nPSYNC ? -1\r\n").expect("it takes it");
    let mut byte = [0];
    let mut line = |stream: &mut TcpStream| -> String {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            stream.read_exact(&mut byte).expect("there is more");
            line.push(char::from(byte[0]));
        }
        line.trim().to_owned()
    };
    assert_eq!(line(&mut stream), "+OK");
    let full = line(&mut stream);
    assert!(full.starts_with("+FULLRESYNC "), "{full}");
    let len: usize = line(&mut stream)[1..].parse().expect("a length");
    let mut payload = vec![0; len];
    stream.read_exact(&mut payload).expect("it is whole");
    assert!(payload.starts_with(b"REDIS00"));
    stream
}

#[test]
fn one_that_does_not_read_is_cut_off_at_its_bound_and_memory_comes_back() {
    let server = master(&["--client-output-buffer-limit", "replica 16mb 0 0"]);
    let mut client = server.client();
    let stream = follower(&server);
    until("it is online", || (number(&mut client, "connected_slaves") == 1).then_some(()));
    client.fill(2);
    let before = server.rss_peak_mib();
    client.fill(60);
    until("it is cut off", || (number(&mut client, "connected_slaves") == 0).then_some(()));
    let grown = server.rss_peak_mib() - before;
    assert!(grown < 120, "{grown} MiB for a ring of 16");
    until("the ring is as small as it was", || {
        (number(&mut client, "repl_backlog_size") == 1 << 20).then_some(())
    });
    drop(stream);
}

#[test]
fn one_that_is_slow_for_too_long_is_cut_off_at_the_soft_bound() {
    let server = master(&["--client-output-buffer-limit", "replica 0 8mb 1"]);
    let mut client = server.client();
    let _stream = follower(&server);
    client.fill(30);
    until("it is cut off", || (number(&mut client, "connected_slaves") == 0).then_some(()));
}

#[test]
fn one_that_is_silent_is_cut_off_and_one_that_reads_is_not() {
    let server = master(&["--repl-timeout", "2"]);
    let mut client = server.client();
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    let _silent = follower(&server);
    until("both follow", || (number(&mut client, "connected_slaves") == 2).then_some(()));
    until("the silent one is cut off", || (number(&mut client, "connected_slaves") == 1).then_some(()));
    check_same(&server, &replica);
}

/// A full sync while much is written: the ring grows for it, and shrinks again.
#[test]
fn what_is_written_during_a_full_sync_is_not_lost() {
    let server = master(&["--repl-backlog-size", "64kb"]);
    let mut client = server.client();
    client.fill(4);
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    client.fill(40);
    linked(&replica);
    check_same(&server, &replica);
    until("the ring is as small as it was", || {
        (number(&mut client, "repl_backlog_size") == 64 << 10).then_some(())
    });
}
