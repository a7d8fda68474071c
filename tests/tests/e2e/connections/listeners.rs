//! Where the server listens, and whom it lets in.

use lacewing_tests::{Client, Server, show};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// Runs a server that is expected to end at once.
fn refused(args: &[&str]) -> Output {
    let mut command = Command::new(Server::binary());
    command.args(["--cores", "2", "--dir", "/tmp"]).args(args).output().expect("the server can be started")
}

#[track_caller]
fn check_refused(args: &[&str], code: i32, part: &str) {
    let output = refused(args);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("lacewing: ")).collect();
    assert!(matches!(lines[..], [line] if line.contains(part)), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn unix_socket_has_its_permissions_serves_all_cores_and_is_removed() {
    let mut server = Server::with(&["--unixsocket", "s", "--unixsocketperm", "700"]);
    let path = server.dir().join("s");
    let mode = std::fs::metadata(&path).expect("the socket is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect_unix(&path)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.line(&format!("SET k{number} {number}")), "+OK");
        let info = client.line("CLIENT INFO");
        assert!(info.contains("flags=U ") && info.contains(" addr=s:0 laddr=s:0 "), "{info}");
    }
    check_refused(&["--port", "0", "--unixsocket", path.to_str().expect("it is text")], 75, "s");
    assert!(server.stop().success());
    assert!(!path.exists(), "the socket is left behind");
}

#[test]
fn ipv6_is_served() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return eprintln!("SKIPPED: there is no IPv6 here");
    }
    let server = Server::with(&["--bind", "127.0.0.1 ::1"]);
    let mut client = Client::connect(SocketAddr::from((Ipv6Addr::LOCALHOST, server.port())));
    assert_eq!(client.line("PING"), "+PONG");
    let info = client.line("CLIENT INFO");
    assert!(info.contains("addr=[::1]:"), "{info}");
    assert_eq!(server.client().line("PING"), "+PONG");
}

#[test]
fn addresses_that_are_not_there_are_refused_unless_optional() {
    let server = Server::with(&["--bind", "127.0.0.1 -192.0.2.77"]);
    assert_eq!(server.client().line("PING"), "+PONG");
    check_refused(&["--port", "0", "--bind", "127.0.0.1"], 78, "nothing to listen on");
    check_refused(&["--port", "1999", "--bind", "192.0.2.77"], 78, "192.0.2.77");
}

#[test]
fn taken_port_is_refused_in_one_line() {
    let server = Server::start();
    check_refused(&["--port", &server.port().to_string(), "--bind", "127.0.0.1"], 75, "is taken");
    assert_eq!(server.client().line("PING"), "+PONG");
}

#[test]
fn protected_mode_turns_others_away() {
    let server = Server::with(&["--bind", "0.0.0.0"]);
    // The address that this machine would use to reach another; nothing is sent.
    let probe = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let ip = match probe {
        Ok(addr) if !addr.ip().is_loopback() => addr.ip(),
        _ => return eprintln!("SKIPPED: this machine has a loopback address only"),
    };
    let outside = SocketAddr::new(ip, server.port());
    let mut client = Client::connect(outside);
    let reply = show(&client.read());
    assert!(reply.starts_with("-DENIED "), "{reply}");
    client.expect_closed();
    let mut local = Client::connect(SocketAddr::from(([127, 0, 0, 1], server.port())));
    assert_eq!(local.line("CONFIG SET protected-mode no"), "+OK");
    assert_eq!(Client::connect(outside).line("PING"), "+PONG");
}
