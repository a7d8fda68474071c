//! The harness itself, tried on the reference server.

use lacewing_tests::{Client, RedisServer, Server};
use resp::Value;

#[test]
fn redis_starts_answers_and_stops() {
    let Some(mut redis) = RedisServer::start() else { return };
    let mut client = redis.client();
    assert_eq!(client.line("PING"), "+PONG");
    assert_eq!(client.line(r#"SET k "a\x00 b""#), "+OK");
    assert_eq!(client.line("GET k"), r#""a\x00 b""#);
    assert_eq!(client.line("GET none"), "nil");
    assert!(redis.log().contains("Ready to accept connections"));
    assert!(redis.stop().success());
    client.expect_closed();
    assert!(Client::try_connect(redis.addr()).is_err());
}

#[test]
fn lacewing_starts_answers_and_stops() {
    let mut server = Server::start();
    let mut client = server.client();
    assert_eq!(client.line("PING"), "+PONG");
    assert_eq!(client.line(r#"SET k "a\x00 b""#), "+OK");
    assert_eq!(client.line("GET k"), r#""a\x00 b""#);
    server.wait_for_log("ready to accept connections");
    assert!(server.stop().success());
    client.expect_closed();
}

#[test]
fn resp3_types_and_push_messages_are_read() {
    let Some(redis) = RedisServer::start() else { return };
    let mut client = redis.client().resp3();
    assert_eq!(client.line("GET none"), "null");
    assert!(matches!(client.call(&["CONFIG", "GET", "port"]), Value::Map(pairs) if pairs.len() == 1));
    client.send(&["SUBSCRIBE", "channel"]);
    client.send(&["PING"]);
    assert_eq!(lacewing_tests::show(&client.read()), "+PONG");
    assert_eq!(lacewing_tests::show(&client.read_push()), r#">["subscribe", "channel", :1]"#);
}

#[test]
fn pipelines_and_half_closed_connections_get_their_answers() {
    let Some(redis) = RedisServer::start() else { return };
    let mut client = redis.client();
    let replies = client.pipeline(&[vec!["SET", "k", "1"], vec!["INCR", "k"], vec!["GET", "k"]]);
    assert_eq!(replies.iter().map(lacewing_tests::show).collect::<Vec<_>>(), ["+OK", ":2", "\"2\""]);
    client.send(&["PING"]);
    client.shutdown_write();
    assert_eq!(client.read(), Value::Simple(b"PONG".to_vec()));
    client.expect_closed();
}

#[test]
fn server_that_refuses_to_start_is_an_error_with_its_log() {
    if RedisServer::start().is_none() {
        return;
    }
    let started = std::panic::catch_unwind(|| RedisServer::with(&["--no-such-setting", "1"]));
    let message = started.err().and_then(|panic| panic.downcast::<String>().ok()).expect("it did not start");
    assert!(message.contains("no-such-setting"), "{message}");
}
