//! The server ends when it is told to, however busy, and another can start in its place.

use lacewing_tests::{Client, Server};
use std::net::SocketAddr;
use std::thread;

/// Keeps its connections busy until the server is gone.
fn keep_busy(addr: SocketAddr, connections: usize) {
    let mut clients: Vec<_> = (0..connections).filter_map(|_| Client::try_connect(addr).ok()).collect();
    let text = "SET a 1\r\nSET b 2\r\nMSET a 1 b 2 c 3 d 4\r\nMGET a b c d\r\nGET c\r\n".repeat(5);
    loop {
        let sent = clients.iter_mut().all(|client| client.try_send_bytes(text.as_bytes()).is_ok());
        let answered =
            clients.iter_mut().all(|client| (0..25).all(|_| matches!(client.read_any(), Ok(Some(_)))));
        if !sent || !answered {
            return;
        }
    }
}

#[track_caller]
fn check(end: fn(&Server)) {
    let mut server = Server::start();
    let addr = server.addr();
    let busy: Vec<_> = (0..8).map(|_| thread::spawn(move || keep_busy(addr, 25))).collect();
    let mut client = server.client();
    lacewing_tests::until("all are busy", || {
        (super::info(&mut client, "connected_clients") == 201).then_some(())
    });
    end(&server);
    let status = server.wait();
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(!server.log().contains("panicked"), "{}", server.log());
    let next = Server::with(&["--port", &addr.port().to_string()]);
    assert_eq!(next.addr(), addr);
    assert_eq!(next.client().line("PING"), "+PONG");
    busy.into_iter().for_each(|thread| thread.join().expect("clients see errors, and no more"));
}

#[test]
fn sigterm_ends_a_busy_server() {
    check(|server| server.signal("TERM"));
}

#[test]
fn sigint_ends_a_busy_server() {
    check(|server| server.signal("INT"));
}

#[test]
fn shutdown_ends_a_busy_server() {
    check(|server| server.client().send(&["SHUTDOWN", "NOSAVE"]));
}
