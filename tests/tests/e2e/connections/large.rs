//! Large arguments and large replies: each byte for byte, wherever the key lives, and memory that comes when bytes come and
//! goes when they go.

use super::{info, key_of, memory_returns};
use lacewing_tests::{Client, Server, show, until};
use resp::{Value, encode_command};

/// `len` bytes that differ from their neighbours and from those of another `seed`.
fn value(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(0x9E37_79B1).to_le_bytes()[3] ^ seed).collect()
}

#[track_caller]
fn holds(client: &mut Client, key: &str, wanted: &[u8]) {
    assert!(client.call(&["GET", key]) == Value::Bulk(wanted.to_vec()), "{key} was changed on the way");
    assert_eq!(client.line(&format!("STRLEN {key}")), format!(":{}", wanted.len()));
}

#[test]
fn large_values_arrive_as_they_were_sent() {
    let server = Server::start();
    let mut client = server.client();
    for core in [0, 1] {
        let key = key_of(core, "key");
        let key = key.as_bytes();
        for len in [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20] {
            let (one, other) = (value(1, len), value(2, len));
            assert_eq!(show(&client.call(&[&b"SET"[..], key, &one])), "+OK");
            holds(&mut client, std::str::from_utf8(key).unwrap(), &one);
            assert_eq!(show(&client.call(&[&b"SET"[..], key, &other, b"NX"])), "nil");
            assert!(
                client.call(&[&b"SET"[..], key, &other, b"XX", b"GET", b"EX", b"100"])
                    == Value::Bulk(one.clone())
            );
            holds(&mut client, std::str::from_utf8(key).unwrap(), &other);
            assert!(matches!(client.call(&[&b"TTL"[..], key]), Value::Int(99..=100)));
            assert!(client.call(&[&b"GETSET"[..], key, &one]) == Value::Bulk(other.clone()));
            assert_eq!(show(&client.call(&[&b"SETEX"[..], key, b"100", &other])), "+OK");
            assert_eq!(show(&client.call(&[&b"SET"[..], key, &one, b"KEEPTTL"])), "+OK");
            assert!(matches!(client.call(&[&b"TTL"[..], key]), Value::Int(99..=100)));
            assert_eq!(show(&client.call(&[&b"APPEND"[..], key, &other])), format!(":{}", 2 * len));
            holds(&mut client, std::str::from_utf8(key).unwrap(), &[&one[..], &other].concat());
            assert_eq!(show(&client.call(&[&b"SET"[..], key, &one, b"FOO"])), "-ERR syntax error");
            assert_eq!(show(&client.call(&[&b"DEL"[..], key])), ":1");
            assert_eq!(show(&client.call(&[&b"SETNX"[..], key, &other])), ":1");
            assert_eq!(show(&client.call(&[&b"OBJECT"[..], b"ENCODING", key])), "\"raw\"");
            assert_eq!(show(&client.call(&[&b"RPUSH"[..], key, &one])).split(' ').next(), Some("-WRONGTYPE"));
            assert_eq!(show(&client.call(&[&b"UNLINK"[..], key])), ":1");
            assert_eq!(show(&client.call(&[&b"RPUSH"[..], key, b"short", &one, &other, b"short"])), ":4");
            let Value::Array(elements) = client.call(&[&b"LRANGE"[..], key, b"0", b"-1"]) else {
                panic!("no list")
            };
            let wanted = [&b"short"[..], &one, &other, b"short"].map(|bytes| Value::Bulk(bytes.to_vec()));
            assert!(elements == wanted, "elements were changed on the way");
            assert_eq!(show(&client.call(&[&b"DEL"[..], key])), ":1");
        }
    }
}

/// Commands before, between and behind large ones, in one pipeline, in the order in which they were sent; some of them
/// wait for what comes before them.
#[test]
fn large_values_keep_their_place_in_a_pipeline() {
    let server = Server::start();
    let mut client = server.client();
    let large = value(3, 2 << 20);
    let (here, there) = (key_of(0, "k"), key_of(1, "k"));
    let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
    for round in 0..5u8 {
        for key in [&here, &there] {
            let mut say = |args: &[&[u8]], reply: Value| {
                encode_command(args, &mut bytes);
                wanted.push(reply);
            };
            let mine = [&large[..], &[round]].concat();
            say(&[b"SET", key.as_bytes(), b"short"], Value::Simple("OK".into()));
            say(&[b"SET", key.as_bytes(), &mine], Value::Simple("OK".into()));
            say(&[b"GET", key.as_bytes()], Value::Bulk(mine.clone()));
            say(
                &[b"LPUSH", b"list", b"x"],
                Value::Int(i64::from(round) * 2 + if key == &here { 1 } else { 2 }),
            );
            say(&[b"MSET", here.as_bytes(), &mine, there.as_bytes(), &mine], Value::Simple("OK".into()));
            say(&[b"STRLEN", key.as_bytes()], Value::Int(mine.len() as i64));
            say(&[b"SET", key.as_bytes(), &mine, b"EX", b"100"], Value::Simple("OK".into()));
            say(&[b"ECHO", b"between"], Value::Bulk(b"between".to_vec()));
        }
    }
    let mut sending = server.client();
    std::thread::scope(|scope| {
        scope.spawn(|| sending.send_bytes(&bytes));
    });
    for (number, wanted) in wanted.iter().enumerate() {
        assert!(sending.read() == *wanted, "reply {number} is another");
    }
    assert_eq!(client.line("PING"), "+PONG");
}

#[test]
fn announced_bytes_take_no_memory_before_they_come() {
    let server = Server::start();
    let mut other = server.client();
    let before = server.rss_mib();
    let mut clients: Vec<Client> = (0..40).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let mut head = format!("*3\r\n$3\r\nSET\r\n$5\r\nkey{number:02}\r\n$536870912\r\n").into_bytes();
        head.resize(head.len() + 100_000, b'x');
        client.send_bytes(&head);
    }
    until("their bytes have come", || {
        let list = other.line("CLIENT LIST");
        let waiting = list.matches("qbuf=1000").count();
        (waiting == 40).then_some(())
    });
    for line in other.line("CLIENT LIST").lines().filter(|line| line.contains("qbuf=1000")) {
        let field = |name: &str| -> usize {
            let rest = line.split(name).nth(1).expect("a field of CLIENT LIST");
            rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
        };
        assert!(field(" qbuf-free=") <= 64 << 10 && field(" tot-mem=") < 300_000, "{line}");
    }
    assert!(server.rss_mib() < before + 64, "{} MiB, {before} before", server.rss_mib());
    drop(clients);
    memory_returns(&server, before, 16);
}

#[test]
fn memory_follows_the_data() {
    let server = Server::start();
    let mut client = server.client();
    let before = server.rss_mib();
    let large = value(4, 64 << 20);
    for (set, unset) in [("SET", "DEL"), ("SET", "UNLINK"), ("SET", "FLUSHALL"), ("RPUSH", "DEL")] {
        for core in [0, 1] {
            let key = key_of(core, "k");
            assert!(!show(&client.call(&[set.as_bytes(), key.as_bytes(), &large])).contains("ERR"));
        }
        assert!(server.rss_mib() >= before + 128 && info(&mut client, "used_memory") > 128 << 20);
        for core in [0, 1] {
            let key = key_of(core, "k");
            let words = if unset == "FLUSHALL" { vec![unset] } else { vec![unset, &key] };
            client.call(&words);
        }
        memory_returns(&server, before, 24);
    }
    // One that goes away in the middle leaves nothing either.
    let mut half = server.client();
    let mut bytes = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n".to_vec();
    bytes.extend_from_slice(&large);
    half.send_bytes(&bytes);
    until("it has come", || (server.rss_mib() >= before + 60).then_some(()));
    drop(half);
    memory_returns(&server, before, 24);
}

/// Many small keys, whose pages the allocator shares between them, removed by a flush and one by one.
#[test]
fn memory_of_many_small_keys_is_given_back() {
    let server = Server::start();
    let mut client = server.client();
    let before = server.rss_mib();
    for by_flush in [true, false] {
        for command in ["SET", "DEL"] {
            if by_flush && command == "DEL" {
                assert_eq!(client.line("FLUSHALL"), "+OK");
                continue;
            }
            for from in (0..500_000).step_by(10_000) {
                let commands: Vec<Vec<String>> = (from..from + 10_000)
                    .map(|number| {
                        let mut words = vec![command.to_owned(), format!("key:{number:010}")];
                        words.extend(
                            (command == "SET").then(|| "a value of some thirty-two bytes".to_owned()),
                        );
                        words
                    })
                    .collect();
                client.pipeline(&commands);
            }
        }
        memory_returns(&server, before, 16);
    }
}
