//! Links that break: a proxy between the two, and partial resyncs.

use super::{check_same, linked, master, ok, replica_of, stat};
use lacewing_tests::until;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes on what is said between replicas and the master.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub(crate) fn to(master: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
        let port = listener.local_addr().expect("it is bound").port();
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let shared = Arc::clone(&streams);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", master)) else { return };
                let mut all = shared.lock().expect("nobody panics with it");
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().expect("a copy"), to.try_clone().expect("a copy"));
                    all.push(from.try_clone().expect("a copy"));
                    thread::spawn(move || pass(from, to));
                }
            }
        });
        Self { port, streams }
    }

    /// Cuts one link: the last that was made, the one before it, or so on.
    pub(crate) fn cut_one(&self, before_last: usize) {
        let streams = self.streams.lock().expect("nobody panics with it");
        let links = streams.len() / 2;
        let _ = streams[2 * (links - 1 - before_last)].shutdown(Shutdown::Both);
    }

    /// Cuts all links.
    pub(crate) fn cut(&self) {
        for stream in self.streams.lock().expect("nobody panics with it").drain(..) {
            // It may be cut already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16384];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

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
