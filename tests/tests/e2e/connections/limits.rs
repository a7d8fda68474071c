//! Large commands, long pipelines, slow readers, idle clients: each has its bound, and nobody else notices.

use super::{alone, info, is_long, key_of, memory_returns};
use lacewing_tests::{Client, Server, WAIT_MAX, show, until};
use resp::{Value, encode_command};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

#[track_caller]
fn set(client: &mut Client, name: &str, value: &str) {
    assert_eq!(show(&client.call(&["CONFIG", "SET", name, value])), "+OK");
}

/// A client that asks for `count` megabytes and reads nothing.
fn greedy(server: &Server, count: usize) -> Client {
    let mut client = server.client();
    // In one piece: it may be cut off as soon as some of it was read.
    client.send_bytes("GET megabyte\r\n".repeat(count).as_bytes());
    client
}

#[track_caller]
fn cut(client: &mut Client) {
    loop {
        match client.read_any() {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

#[test]
fn slow_reader_is_cut_at_its_limit_and_nobody_else() {
    let server = Server::start();
    let mut other = server.client();
    other.call(&["SET", "megabyte", &"x".repeat(1 << 20)]);
    let before = server.rss_mib();
    set(&mut other, "client-output-buffer-limit", "normal 20mb 0 0");
    let mut slow = greedy(&server, 100);
    until("it is cut", || {
        assert_eq!(other.line("PING"), "+PONG");
        (info(&mut other, "client_output_buffer_limit_disconnections") == 1).then_some(())
    });
    server.wait_for_log("reached its output buffer limit");
    cut(&mut slow);
    alone(&mut other);
    set(&mut other, "client-output-buffer-limit", "normal 0 10mb 1");
    let mut slow = greedy(&server, 50);
    until("it is cut after a second", || {
        (info(&mut other, "client_output_buffer_limit_disconnections") == 2).then_some(())
    });
    cut(&mut slow);
    alone(&mut other);
    memory_returns(&server, before, 96);
}

#[test]
fn client_list_shows_what_a_slow_reader_has_waiting() {
    let server = Server::start();
    let mut other = server.client();
    other.call(&["SET", "megabyte", &"x".repeat(1 << 20)]);
    let mut slow = greedy(&server, 40);
    until("its replies pile up", || {
        let list = other.line("CLIENT LIST");
        let omem = list.split("omem=").filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok()).max();
        (omem? > 1 << 20).then_some(())
    });
    for _ in 0..40 {
        assert!(matches!(slow.read(), Value::Bulk(value) if value.len() == 1 << 20));
    }
}

/// Writes a pipeline of SET and GET of `mib` MiB as a whole and then reads, or reads meanwhile; all replies come.
#[track_caller]
/// As in Redis, whatever the socket would take.
#[test]
fn replies_over_the_hard_limit_are_not_sent() {
    let server = Server::with(&["--cores", "1", "--pin", "no"]);
    let mut admin = server.client();
    assert_eq!(admin.line("SETRANGE k 199999 x"), ":200000");
    set(&mut admin, "client-output-buffer-limit", "normal 100000 0 0");
    let mut client = server.client();
    client.send(&["GET", "k"]);
    client.expect_closed();
    assert_eq!(info(&mut admin, "client_output_buffer_limit_disconnections"), 1);
    assert_eq!(admin.line("STRLEN k"), ":200000");
}

#[test]
fn client_list_shows_what_a_slow_subscriber_has_waiting() {
    let server = Server::with(&["--cores", "1", "--pin", "no"]);
    let mut admin = server.client();
    let mut subscriber = server.client();
    assert_eq!(subscriber.line("SUBSCRIBE news"), r#"["subscribe", "news", :1]"#);
    let message = "x".repeat(10_000);
    until("messages wait", || {
        admin.call(&["PUBLISH", "news", &message]);
        let list = admin.line("CLIENT LIST");
        let waiting = list.split("cmd=subscribe").next().and_then(|line| line.rsplit("omem=").next());
        let omem = waiting.and_then(|text| text.split(' ').next()).expect("a field");
        (omem.parse::<u64>().expect("a number") > 50_000).then_some(())
    });
}

fn long_pipeline(server: &Server, mib: usize, reads_meanwhile: bool) {
    let mut unit = Vec::new();
    for number in 0..1000 {
        let key = format!("key{number:04}");
        encode_command(&["SET", &key, "xyz"], &mut unit);
        encode_command(&["GET", &key], &mut unit);
    }
    let replies = b"+OK\r\n$3\r\nxyz\r\n".repeat(1000);
    let units = (mib << 20) / unit.len();
    let mut stream = TcpStream::connect(server.addr()).expect("the server accepts");
    stream.set_read_timeout(Some(WAIT_MAX)).expect("a timeout can be set");
    stream.set_write_timeout(Some(WAIT_MAX)).expect("a timeout can be set");
    let mut reading = stream.try_clone().expect("a socket can be duplicated");
    let mut read = move || {
        let mut got = vec![0; replies.len()];
        for unit in 0..units {
            reading.read_exact(&mut got).unwrap_or_else(|error| panic!("no replies to unit {unit}: {error}"));
            assert!(got == replies, "the replies to unit {unit} differ");
        }
    };
    let mut write = move || (0..units).for_each(|_| stream.write_all(&unit).expect("the server reads"));
    if reads_meanwhile {
        let reader = thread::spawn(read);
        write();
        reader.join().expect("the replies are right");
    } else {
        write();
        read();
    }
}

#[test]
fn pipeline_longer_than_any_limit_does_not_hang() {
    let server = Server::start();
    let mut other = server.client();
    let before = server.rss_mib();
    let mib = if is_long() { 1024 } else { 24 };
    long_pipeline(&server, mib, false);
    long_pipeline(&server, mib, true);
    alone(&mut other);
    memory_returns(&server, before, 160);
}

#[test]
fn largest_value_is_taken_and_one_byte_more_is_not() {
    let server = Server::start();
    let mut client = server.client();
    let mib = if is_long() { 512 } else { 16 };
    set(&mut client, "proto-max-bulk-len", &format!("{mib}mb"));
    let before = server.rss_mib();
    let value = vec![b'v'; mib << 20];
    for core in [0, 1] {
        let key = key_of(core, "large");
        assert_eq!(show(&client.call(&[b"SET", key.as_bytes(), &value])), "+OK");
        assert!(client.call(&["GET", &key]) == Value::Bulk(value.clone()), "the value came back changed");
        assert_eq!(show(&client.call(&["DEL", &key])), ":1");
    }
    client.send_bytes(format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n", (mib << 20) + 1).as_bytes());
    assert_eq!(show(&client.read()), "-ERR Protocol error: invalid bulk length");
    client.expect_closed();
    memory_returns(&server, before, 128);
}

#[test]
fn command_with_a_million_arguments_is_atomic_over_shards() {
    let server = Server::start();
    let keys: Vec<String> =
        (0..if is_long() { 500_000 } else { 50_000 }).map(|number| format!("k{number}")).collect();
    let (a, b) = (key_of(0, "k"), key_of(1, "k"));
    let mut client = server.client();
    let before = server.rss_mib();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut reader = server.client();
            while !is_over.load(Relaxed) {
                let Value::Array(pair) = reader.call(&["MGET", &a, &b]) else { panic!("MGET is an array") };
                assert_eq!(pair[0], pair[1], "half an MSET was seen");
            }
        });
        for value in ["1", "2", "3"] {
            let mut mset = vec!["MSET"];
            mset.extend(keys.iter().flat_map(|key| [key.as_str(), value]));
            assert_eq!(show(&client.call(&mset)), "+OK");
        }
        is_over.store(true, Relaxed);
    });
    let with =
        |name: &'static str| [name].into_iter().chain(keys.iter().map(String::as_str)).collect::<Vec<_>>();
    let Value::Array(values) = client.call(&with("MGET")) else { panic!("MGET is an array") };
    assert!(values.len() == keys.len() && values.iter().all(|value| *value == Value::Bulk(b"3".to_vec())));
    assert_eq!(show(&client.call(&with("DEL"))), format!(":{}", keys.len()));
    let pairs: Vec<&str> =
        ["MSETNX"].into_iter().chain(keys.iter().flat_map(|key| [key.as_str(), "4"])).collect();
    assert_eq!(show(&client.call(&pairs)), ":1");
    assert_eq!(show(&client.call(&pairs)), ":0");
    assert_eq!(show(&client.call(&with("UNLINK"))), format!(":{}", keys.len()));
    memory_returns(&server, before, 160);
}

#[test]
fn query_over_its_limit_is_cut() {
    let server = Server::start();
    let mut other = server.client();
    set(&mut other, "client-query-buffer-limit", "1mb");
    let mut client = server.client();
    let mut bytes = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000000\r\n".to_vec();
    bytes.resize(4 << 20, b'x');
    // It may be cut before all is written.
    let _ = client.try_send_bytes(&bytes);
    cut(&mut client);
    assert_eq!(info(&mut other, "client_query_buffer_limit_disconnections"), 1);
    server.wait_for_log("client-query-buffer-limit");
    alone(&mut other);
}

#[test]
fn idle_clients_are_closed_and_others_are_not() {
    let server = Server::with(&["--timeout", "1"]);
    let mut idle: Vec<_> = (0..4).map(|_| server.client()).collect();
    let (mut busy, mut subscriber, mut monitor) = (server.client(), server.client(), server.client());
    assert_eq!(subscriber.line("SUBSCRIBE news"), r#"["subscribe", "news", :1]"#);
    assert_eq!(monitor.line("MONITOR"), "+OK");
    until("the idle ones are closed", || (info(&mut busy, "connected_clients") == 3).then_some(()));
    idle.iter_mut().for_each(Client::expect_closed);
    // Who listens has nothing to say.
    assert_eq!(busy.line("PUBLISH news old"), ":1");
    assert_eq!(show(&subscriber.read()), r#"["message", "news", "old"]"#);
    assert!(matches!(monitor.read(), Value::Simple(_)));
}

#[test]
fn clients_beyond_the_limit_are_told_and_places_are_free_again() {
    let server = Server::with(&["--maxclients", "5"]);
    let mut admin = server.client();
    let mut clients: Vec<_> = (0..4).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.line("PING"), "+PONG"));
    for _ in 0..3 {
        let mut refused = server.client();
        assert_eq!(show(&refused.read()), "-ERR max number of clients reached");
        refused.expect_closed();
    }
    assert_eq!(info(&mut admin, "rejected_connections"), 3);
    clients.pop();
    until("a place is free", || {
        let mut client = server.client();
        // A refused client is answered the refusal, or nothing when its command crosses it.
        let _ = client.try_send_bytes(b"PING\r\n");
        matches!(client.read_any(), Ok(Some(Value::Simple(_)))).then_some(())
    });
    set(&mut admin, "maxclients", "100");
    let mut more: Vec<_> = (0..20).map(|_| server.client()).collect();
    more.iter_mut().for_each(|client| assert_eq!(client.line("PING"), "+PONG"));
}

/// So many clients that no machine has the descriptors for them, so that root cannot raise the limit either.
const CLIENTS_OUT_OF_REACH: &str = "4000000000";

#[test]
fn too_few_descriptors_lower_the_limit_on_clients() {
    let server = Server::with_open_files(120, &["--maxclients", CLIENTS_OUT_OF_REACH]);
    let mut admin = server.client();
    let Value::Array(pair) = admin.call(&["CONFIG", "GET", "maxclients"]) else { panic!("an array") };
    let maxclients: usize = show(&pair[1]).trim_matches('"').parse().expect("a number");
    assert!((5..100).contains(&maxclients), "{maxclients} clients with 120 descriptors");
    let line = server.wait_for_log("fewer file descriptors than maxclients needs");
    assert!(line.contains(&format!("maxclients={maxclients}")), "{line}");
    let mut clients: Vec<_> = (1..maxclients).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.line("PING"), "+PONG"));
    for _ in 0..50 {
        let mut refused = server.client();
        assert_eq!(show(&refused.read()), "-ERR max number of clients reached");
        refused.expect_closed();
    }
    assert_eq!(info(&mut admin, "rejected_connections"), 50);
    for client in &mut clients {
        assert_eq!(client.line("MSET a 1 b 2 c 3"), "+OK");
    }
    clients.clear();
    alone(&mut admin);
    assert_eq!(server.client().line("PING"), "+PONG");
}

#[test]
fn more_clients_than_descriptors_are_refused_at_run_time_and_nothing_changes() {
    let server = Server::with_open_files(200, &["--maxclients", "10"]);
    let mut client = server.client();
    let refusal = show(&client.call(&["CONFIG", "SET", "hz", "50", "maxclients", CLIENTS_OUT_OF_REACH]));
    let wanted = "-ERR CONFIG SET failed (possibly related to argument \\'maxclients\\') - The operating system is not \
                  able to handle the specified number of clients, try with ";
    let fits = refusal.strip_prefix(wanted).unwrap_or_else(|| panic!("{refusal}"));
    // Every connection sees the configuration of the core that it came to.
    for _ in 0..20 {
        assert_eq!(server.client().line("CONFIG GET maxclients"), "[\"maxclients\", \"10\"]");
        assert_eq!(server.client().line("CONFIG GET hz"), "[\"hz\", \"10\"]");
    }
    set(&mut client, "maxclients", fits);
}

#[test]
fn keepalive_is_set_on_connections() {
    let server = Server::with(&["--tcp-keepalive", "60"]);
    let mut client = server.client();
    assert_eq!(client.line("PING"), "+PONG");
    let filter = format!("sport = :{}", server.port());
    let Ok(output) = std::process::Command::new("ss").args(["-tnoH", &filter]).output() else {
        return eprintln!("SKIPPED: ss is not installed");
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("timer:(keepalive,"), "{text}");
}
