//! Thousands of connections that come and go in every rude way.

use super::{alone, memory_returns};
use lacewing_tests::{Client, Server};
use std::io::{Read, Write};
use std::net::TcpStream;

/// What a connection does before it is dropped.
const MANNERS: [fn(&mut TcpStream); 6] =
    [says_nothing, half_a_command, resets, garbage, asks_and_goes, asks_and_stays];

fn says_nothing(_: &mut TcpStream) {}

fn half_a_command(stream: &mut TcpStream) {
    stream.write_all(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$100\r\nabc").expect("it fits the socket's buffer");
}

/// Closing a socket that has something unread resets the connection.
fn resets(stream: &mut TcpStream) {
    stream.write_all(b"MSET a 1 b 2 c 3 d 4\r\n*2\r\n$3\r\nGET\r\n$1").expect("it fits the socket's buffer");
    assert_eq!(stream.peek(&mut [0]).expect("it is answered"), 1);
}

fn garbage(stream: &mut TcpStream) {
    stream
        .write_all(b"\x16\x03\x01\x02\x00\x01\x00\r\n*7\r\nGET / HTTP/1.1\r\n")
        .expect("it fits the socket's buffer");
}

fn asks_and_goes(stream: &mut TcpStream) {
    stream
        .write_all(b"MSET a 1 b 2 c 3 d 4\r\nMGET a b c d\r\nRENAME a b\r\n")
        .expect("it fits the socket's buffer");
}

fn asks_and_stays(stream: &mut TcpStream) {
    stream.write_all(b"PING\r\n").expect("it fits the socket's buffer");
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).expect("it is answered");
    assert_eq!(&reply, b"+PONG\r\n");
}

#[test]
fn ten_thousand_connections_come_and_go() {
    let server = Server::start();
    let mut other = server.client();
    assert_eq!(other.line("SET k v"), "+OK");
    let before = server.rss_mib();
    for round in 0..100 {
        let mut streams: Vec<TcpStream> =
            (0..100).map(|_| TcpStream::connect(server.addr()).expect("the server accepts")).collect();
        for (number, stream) in streams.iter_mut().enumerate() {
            MANNERS[(round + number) % MANNERS.len()](stream);
        }
        assert_eq!(other.line("GET k"), "\"v\"", "in round {round}");
        drop(streams);
    }
    alone(&mut other);
    eprintln!("resident before {before} MiB, after {} MiB", server.rss_mib());
    memory_returns(&server, before, 48);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn many_connections_at_once_are_all_served() {
    let server = Server::start();
    let before = server.rss_mib();
    let mut clients: Vec<Client> = (0..400).map(|_| server.client()).collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            (0..16).for_each(|key| client.send(&["SET", &format!("k{number}.{key}"), &round.to_string()]));
        }
        for client in &mut clients {
            (0..16).for_each(|_| assert_eq!(lacewing_tests::show(&client.read()), "+OK"));
        }
    }
    clients.truncate(1);
    alone(&mut clients[0]);
    memory_returns(&server, before, 64);
}
