//! Lacewing as a replica: what masters may do to it, and what it becomes of a real one.

mod bad;
mod beside;
mod crashes;
mod flow_master;
mod flows;
mod master;
mod promotion;
mod redis;
mod roles;

use lacewing_tests::{Client, Server, until};

/// A server with data of its own, in two databases.
#[track_caller]
fn with_data(args: &[&str]) -> Server {
    let server = Server::with(args);
    let mut client = server.client();
    for key in 0..100 {
        assert_eq!(client.line(&format!("SET own:{key} {key}")), "+OK");
    }
    assert_eq!(client.line("RPUSH list a b c"), ":3");
    server
}

/// It has what [`with_data`] gave it, and nothing else.
#[track_caller]
fn expect_own(client: &mut Client) {
    assert_eq!(client.line("DBSIZE"), ":101");
    assert_eq!(client.line("GET own:0"), "\"0\"");
    assert_eq!(client.line("GET own:99"), "\"99\"");
    assert_eq!(client.line("LRANGE list 0 -1"), r#"["a", "b", "c"]"#);
}

/// A field of INFO replication.
fn field(client: &mut Client, name: &str) -> Option<String> {
    let info = client.call(&["INFO", "replication"]);
    let resp::Value::Bulk(text) = info else { panic!("INFO answers a text: {info:?}") };
    let text = String::from_utf8(text).expect("INFO is text");
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::to_owned)
}

/// Waits until a field of INFO replication contains this.
#[track_caller]
fn until_field(client: &mut Client, name: &str, expected: &str) {
    let mut last = None;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(&format!("{name} contains {expected:?}"), || {
            last = field(client, name);
            last.as_ref().is_some_and(|value| value.contains(expected)).then_some(())
        });
    }));
    assert!(found.is_ok(), "{name} is {last:?}, not {expected:?}");
}

#[track_caller]
fn replicaof(client: &mut Client, port: u16) {
    assert_eq!(client.line(&format!("REPLICAOF 127.0.0.1 {port}")), "+OK");
}

/// Waits until the master is followed.
#[track_caller]
fn until_up(client: &mut Client) {
    until_field(client, "master_link_status", "up");
}
