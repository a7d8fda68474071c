//! Replies come in order, whole, and to the end, wherever the commands ran.

use super::{alone, key_of};
use lacewing_tests::{Server, show};
use resp::Value;
use stdx::rng::Rng;

/// Sends `bytes` in one piece and shows the replies.
#[track_caller]
fn replies(server: &Server, bytes: &[u8], count: usize) -> Vec<String> {
    let mut client = server.client();
    client.send_bytes(bytes);
    (0..count).map(|_| show(&client.read())).collect()
}

#[test]
fn pipeline_of_everything_is_answered_in_order() {
    let server = Server::start();
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    let text = format!(
        "SET {a} 1\r\nSET {b} 2\r\n*2\r\n$3\r\nGET\r\n${}\r\n{a}\r\nGET {b}\r\nMSET {a} 3 {b} 4\r\nMGET {a} {b} none\r\n\
         INCR {a}\r\nNOSUCH\r\nINCR {b}\r\nGET\r\nPING\r\nMSETNX {a} 9 new 9\r\nDEL {a} {b}\r\nECHO end\r\n",
        a.len()
    );
    let expected = [
        "+OK",
        "+OK",
        "\"1\"",
        "\"2\"",
        "+OK",
        "[\"3\", \"4\", nil]",
        ":4",
        r"-ERR unknown command \'NOSUCH\', with args beginning with: ",
        ":5",
        r"-ERR wrong number of arguments for \'get\' command",
        "+PONG",
        ":0",
        ":2",
        "\"end\"",
    ];
    for _ in 0..20 {
        assert_eq!(replies(&server, text.as_bytes(), expected.len()), expected);
    }
}

/// Commands over several shards one behind the other, from several clients: each must be taken up when the one before
/// it is done.
#[test]
fn pipelines_of_multi_shard_commands_do_not_stall() {
    let server = Server::start();
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    let mut clients: Vec<_> = (0..8).map(|_| server.client()).collect();
    for round in 0..20 {
        for client in &mut clients {
            for number in 0..32 {
                client.send(&["MSET", &a, &format!("{round}.{number}"), &b, &format!("{round}.{number}")]);
                client.send(&["MGET", &a, &b]);
            }
        }
        for client in &mut clients {
            for _ in 0..32 {
                assert_eq!(show(&client.read()), "+OK");
                let Value::Array(pair) = client.read() else { panic!("MGET is an array") };
                assert_eq!(pair[0], pair[1], "half an MSET was seen");
            }
        }
    }
}

#[test]
fn strict_order_is_kept_between_shards() {
    let server = Server::with(&["--pipeline-order", "strict"]);
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    let mut writer = server.client();
    let mut reader = server.client();
    for number in 0..200 {
        let value = number.to_string();
        for key in [&a, &b, &a, &b] {
            writer.send(&["SET", key, &value]);
        }
        // A reader that has seen the later write sees the earlier one.
        reader.send(&["GET", &b]);
        reader.send(&["GET", &a]);
        let (late, early) = (number_in(reader.read()), number_in(reader.read()));
        assert!(early >= late, "{a} is {early} after {b} was {late}");
        (0..4).for_each(|_| assert_eq!(show(&writer.read()), "+OK"));
    }
}

fn number_in(value: Value) -> i64 {
    match value {
        Value::Bulk(text) => String::from_utf8_lossy(&text).parse().expect("a number"),
        _ => -1,
    }
}

#[test]
fn half_closed_client_gets_all_its_answers_and_then_the_end() {
    let server = Server::start();
    let mut bytes = Vec::new();
    let count = 5_000;
    for number in 0..count {
        match number % 5 {
            4 => bytes.extend_from_slice(format!("MSET k{number} 1 l{number} 2\r\n").as_bytes()),
            _ => bytes.extend_from_slice(format!("SET k{number} {number}\r\n").as_bytes()),
        }
    }
    for _ in 0..4 {
        let mut client = server.client();
        client.send_bytes(&bytes);
        client.shutdown_write();
        for _ in 0..count {
            assert_eq!(show(&client.read()), "+OK");
        }
        client.expect_closed();
    }
}

#[test]
fn half_a_command_and_the_end_is_the_end() {
    let server = Server::start();
    let mut client = server.client();
    client.send_bytes(b"PING\r\n*2\r\n$3\r\nGET\r\n$10\r\nabc");
    client.shutdown_write();
    assert_eq!(show(&client.read()), "+PONG");
    client.expect_closed();
}

#[test]
fn quit_answers_what_came_before_it_and_nothing_after() {
    let server = Server::start();
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    for _ in 0..20 {
        let mut client = server.client();
        client.send_bytes(format!("SET {a} 1\r\nSET {b} 1\r\nQUIT\r\nSET {a} 2\r\n").as_bytes());
        (0..3).for_each(|_| assert_eq!(show(&client.read()), "+OK"));
        client.expect_closed();
    }
    assert_eq!(server.client().line(&format!("GET {a}")), "\"1\"");
}

/// A web page can have a browser send its reader's own server a request with commands in it.
#[test]
fn http_is_cut_off_before_what_follows_it_runs() {
    let server = Server::start();
    for request in [
        "POST / HTTP/1.1\r\nSET k v\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nSET k v\r\n",
        "host: x\r\nSET k v\r\n",
    ] {
        let mut client = server.client();
        client.send_bytes(request.as_bytes());
        // Not even the lines before it are answered: GET takes one key, and has two.
        client.expect_closed();
    }
    assert_eq!(server.client().line("EXISTS k"), ":0");
}

/// The whole of what was answered before it, then the error, then the end.
#[test]
fn protocol_errors_are_answered_and_the_connection_closed() {
    let server = Server::start();
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    let check = |bad: &[u8], expected: &str| {
        let mut client = server.client();
        client.send_bytes(&[format!("SET {a} 1\r\nSET {b} 1\r\n").as_bytes(), bad].concat());
        (0..2).for_each(|_| assert_eq!(show(&client.read()), "+OK"));
        assert_eq!(show(&client.read()), format!("-ERR Protocol error: {expected}"));
        client.expect_closed();
    };
    check(b"*1\r\nPING\r\n", r"expected \'$\', got \'P\'");
    check(b"*x\r\n", "invalid multibulk length");
    check(b"*2147483648\r\n", "invalid multibulk length");
    check(b"*1\r\n$-1\r\n", "invalid bulk length");
    check(b"*1\r\n$x\r\n", "invalid bulk length");
    check(b"*1\r\n$536870913\r\n", "invalid bulk length");
    check(b"*1\r\n\xff\r\n", r"expected \'$\', got \'\xff\'");
    check(b"\0PING\r\n", "unexpected NUL byte");
    check(b"SET \"a\r\n", "unbalanced quotes in request");
    check(&[b'a'; 70_000], "too big inline request");
    check(&[&b"*1"[..], &[b'1'; 70_000]].concat(), "too big mbulk count string");
}

#[test]
fn clients_that_vanish_leave_no_lock_behind() {
    let server = Server::start();
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    let mut client = server.client();
    for round in 0..200 {
        let mut gone = server.client();
        for number in 0..1 + round % 7 {
            gone.send(&["MSET", &a, &number.to_string(), &b, &number.to_string()]);
            gone.send(&["RENAME", &a, &b]);
        }
        drop(gone);
        assert_eq!(client.line(&format!("MSET {a} x {b} x")), "+OK");
    }
    // Whatever they had sent may have run after all that went before here.
    alone(&mut client);
    assert_eq!(client.line(&format!("MSET {a} x {b} x")), "+OK");
    assert_eq!(client.line(&format!("RENAME {a} {b}")), "+OK");
}

/// Whatever comes, the server answers others and lives on.
#[test]
fn garbage_harms_nobody() {
    let server = Server::start();
    let seed = std::env::var("LACEWING_SEED").map_or(1, |text| text.parse().expect("a number"));
    eprintln!("LACEWING_SEED={seed}");
    let mut rng = Rng::new(seed);
    let mut other = server.client();
    let rounds = if super::is_long() { 20_000 } else { 1_500 };
    for round in 0..rounds {
        let mut client = server.client();
        // The server may have closed the connection already.
        let _ = client.try_send_bytes(&garbage(&mut rng));
        if round % 2 == 0 {
            client.shutdown_write();
            while let Ok(Some(_)) = client.read_any() {}
        }
        drop(client);
        if round % 50 == 0 {
            assert_eq!(other.line("PING"), "+PONG");
        }
    }
    alone(&mut other);
}

/// Pieces of the protocol and of commands, in no sensible order, with noise.
fn garbage(rng: &mut Rng) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"*1\r\n$4\r\nPING\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"*2\r\n$3\r\nGET\r\n$1\r\nb\r\n",
        b"MSET a 1 b 2 c 3 d 4\r\n",
        b"DEL a b c d\r\n",
        b"MGET a b c d\r\n",
        b"RENAME a b\r\n",
        b"SCAN 0\r\n",
        b"RANDOMKEY\r\n",
        b"HELLO 3\r\n",
        b"HELLO 2\r\n",
        b"CLIENT REPLY OFF\r\n",
        b"CLIENT REPLY SKIP\r\n",
        b"CLIENT LIST\r\n",
        b"RESET\r\n",
        b"SELECT 3\r\n",
        b"INFO\r\n",
        b"*",
        b"$",
        b"\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*3\r\n$3\r\n",
        b"$100\r\n",
        b"*100000\r\n",
        b"\0\0\0",
        b"\"",
        b"\xff\xfe",
        b"QUIT\r\n",
    ];
    let mut bytes = Vec::new();
    for _ in 0..1 + rng.below(12) {
        bytes.extend_from_slice(PIECES[rng.below(PIECES.len() as u64) as usize]);
        if rng.below(6) == 0 {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.below(256) as u8;
        }
        if rng.below(10) == 0 {
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
        }
        if bytes.is_empty() {
            bytes.push(b'\n');
        }
    }
    bytes
}
