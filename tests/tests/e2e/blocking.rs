//! Clients that wait for keys, on several cores.

mod order;
mod stress;

use lacewing_tests::{Client, Process, Server, show, until};
use resp::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Keys `{a}..`, `{b}..`, `{c}..` are on three shards.
const THREE: &[&str] = &["--cores", "3", "--pin", "no"];

/// A field of INFO's section `clients`.
#[track_caller]
fn gauge(client: &mut Client, field: &str) -> usize {
    let Value::Bulk(text) = client.call(&["INFO", "clients"]) else { panic!("INFO answers text") };
    let text = String::from_utf8(text).expect("INFO is text");
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in {text}")).parse().expect("a number")
}

#[track_caller]
fn until_gauge(client: &mut Client, field: &str, wanted: usize) {
    until(&format!("{field} is {wanted}"), || (gauge(client, field) == wanted).then_some(()));
}

/// The names of the clients that wait, as CLIENT LIST tells.
#[track_caller]
fn waiting(client: &mut Client) -> BTreeSet<String> {
    let Value::Bulk(text) = client.call(&["CLIENT", "LIST"]) else { panic!("CLIENT LIST answers text") };
    let text = String::from_utf8(text).expect("names are text");
    let field = |line: &str, name: &str| {
        let found = line.split(' ').find_map(|field| field.strip_prefix(name).map(str::to_owned));
        found.unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    text.lines().filter(|line| field(line, "flags=").contains('b')).map(|line| field(line, "name=")).collect()
}

/// A client with a name.
#[track_caller]
fn named(server: &Process, name: &str) -> Client {
    let mut client = server.client();
    assert_eq!(client.line(&format!("CLIENT SETNAME {name}")), "+OK");
    client
}

/// Sends a command that is to wait, and sees that it does.
#[track_caller]
fn park(server: &Process, control: &mut Client, line: &str) -> Client {
    let before = gauge(control, "blocked_clients");
    let mut client = server.client();
    let words: Vec<&str> = line.split(' ').collect();
    client.send(&words);
    until_gauge(control, "blocked_clients", before + 1);
    client
}

/// Several clients that wait for the same keys on several shards: each push serves whoever came first.
#[test]
fn a_push_to_any_shard_serves_whoever_came_first() {
    let server = Server::with(THREE);
    let mut control = server.client();
    for (wait, push, replies) in [
        ("BLPOP {a} {b} {c} 0", "RPUSH {KEY} x y", r#"["{KEY}", "x"]|["{KEY}", "y"]"#),
        ("BRPOP {a} {b} {c} 0", "RPUSH {KEY} x y", r#"["{KEY}", "y"]|["{KEY}", "x"]"#),
        ("BLMPOP 0 3 {a} {b} {c} LEFT", "RPUSH {KEY} x y", r#"["{KEY}", ["x"]]|["{KEY}", ["y"]]"#),
        ("BZPOPMIN {a} {b} {c} 0", "ZADD {KEY} 1 x 2 y", r#"["{KEY}", "x", "1"]|["{KEY}", "y", "2"]"#),
        ("BZPOPMAX {a} {b} {c} 0", "ZADD {KEY} 1 x 2 y", r#"["{KEY}", "y", "2"]|["{KEY}", "x", "1"]"#),
        (
            "BZMPOP 0 3 {a} {b} {c} MIN",
            "ZADD {KEY} 1 x 2 y",
            r#"["{KEY}", [["x", "1"]]]|["{KEY}", [["y", "2"]]]"#,
        ),
    ] {
        for key in ["{a}", "{b}", "{c}"] {
            let mut waiters: Vec<Client> = (0..2).map(|_| park(&server, &mut control, wait)).collect();
            assert_eq!(gauge(&mut control, "total_blocking_keys"), 3);
            assert_eq!(control.line(&push.replace("{KEY}", key)), ":2");
            for (waiter, reply) in waiters.iter_mut().zip(replies.replace("{KEY}", key).split('|')) {
                assert_eq!(show(&waiter.read()), reply, "{wait}, {push}");
            }
            until_gauge(&mut control, "blocked_clients", 0);
            assert_eq!(gauge(&mut control, "total_blocking_keys"), 0);
            assert_eq!(control.line("EXISTS {a} {b} {c}"), ":0");
        }
    }
}

#[test]
fn a_move_waits_for_a_source_on_another_shard() {
    let server = Server::with(THREE);
    let mut control = server.client();
    for (source, destination) in [("{a}", "{b}"), ("{b}", "{a}"), ("{c}", "{a}"), ("{a}", "{c}")] {
        let mut first = park(&server, &mut control, &format!("BLMOVE {source} {destination} LEFT RIGHT 0"));
        let mut second = park(&server, &mut control, &format!("BRPOPLPUSH {source} {destination} 0"));
        assert_eq!(gauge(&mut control, "total_blocking_keys"), 1);
        assert_eq!(control.line(&format!("RPUSH {source} x y")), ":2");
        assert_eq!((show(&first.read()), show(&second.read())), ("\"x\"".into(), "\"y\"".into()));
        assert_eq!(control.line(&format!("LRANGE {destination} 0 -1")), r#"["y", "x"]"#);
        assert_eq!(control.line(&format!("DEL {source} {destination}")), ":1");
    }
    // What it makes serves others, on whichever shard.
    let mut chain = [
        park(&server, &mut control, "BLMOVE {a} {b} LEFT LEFT 0"),
        park(&server, &mut control, "BLMOVE {b} {c} LEFT LEFT 0"),
        park(&server, &mut control, "BLPOP {c} {a}2 0"),
    ];
    assert_eq!(control.line("RPUSH {a} x"), ":1");
    assert_eq!(chain.each_mut().map(|client| show(&client.read())), ["\"x\"", "\"x\"", r#"["{c}", "x"]"#]);
    // A destination of the wrong type is an error when the time has come, and the element stays.
    assert_eq!(control.line("SET {b} v"), "+OK");
    let mut mover = park(&server, &mut control, "BLMOVE {a} {b} LEFT LEFT 0");
    let mut popper = park(&server, &mut control, "BLPOP {c} {a} 0");
    assert_eq!(control.line("RPUSH {a} x"), ":1");
    assert!(show(&mover.read()).starts_with("-WRONGTYPE"));
    assert_eq!(show(&popper.read()), r#"["{a}", "x"]"#);
}

#[test]
fn readers_of_streams_on_several_shards() {
    let server = Server::with(THREE);
    let mut control = server.client();
    for key in ["{a}", "{b}", "{c}"] {
        control.line(&format!("XADD {key} 1-1 f v"));
        assert_eq!(control.line(&format!("XGROUP CREATE {key} g $")), "+OK");
    }
    let mut readers: Vec<Client> =
        (0..3).map(|_| park(&server, &mut control, "XREAD BLOCK 0 STREAMS {a} {b} {c} $ $ $")).collect();
    let group = "XREADGROUP GROUP g NAME COUNT 1 BLOCK 0 STREAMS {a} {b} {c} > > >";
    let mut consumers: Vec<Client> =
        ["x", "y"].map(|name| park(&server, &mut control, &group.replace("NAME", name))).into();
    assert_eq!(control.line("XADD {b} 2-1 f v"), r#""2-1""#);
    let entry = |key: &str, id: &str| format!(r#"[["{key}", [["{id}", ["f", "v"]]]]]"#);
    for reader in &mut readers {
        assert_eq!(show(&reader.read()), entry("{b}", "2-1"));
    }
    assert_eq!(show(&consumers[0].read()), entry("{b}", "2-1"));
    until_gauge(&mut control, "blocked_clients", 1);
    assert_eq!(control.line("XADD {c} 2-1 f v"), r#""2-1""#);
    assert_eq!(show(&consumers[1].read()), entry("{c}", "2-1"));
    assert_eq!(control.line("XPENDING {b} g"), r#"[:1, "2-1", "2-1", [["x", "1"]]]"#);
    assert_eq!(control.line("XPENDING {c} g"), r#"[:1, "2-1", "2-1", [["y", "1"]]]"#);
}

#[test]
fn consumers_of_one_shard_wait_beside_each_other() {
    let server = Server::with(THREE);
    let mut control = server.client();
    for key in ["{a}", "{b}", "{c}"] {
        assert_eq!(control.line(&format!("XGROUP CREATE {key} g $ MKSTREAM")), "+OK");
        let wait = |name: usize| format!("XREADGROUP GROUP g c{name} BLOCK 0 STREAMS {key} >");
        let mut consumers: Vec<Client> =
            (0..8).map(|name| park(&server, &mut control, &wait(name))).collect();
        for (at, consumer) in consumers.iter_mut().enumerate() {
            let id = format!("{}-1", at + 1);
            assert_eq!(control.line(&format!("XADD {key} {id} f v")), format!("\"{id}\""));
            assert_eq!(show(&consumer.read()), format!(r#"[["{key}", [["{id}", ["f", "v"]]]]]"#));
        }
    }
}

/// What EXEC makes is served after the whole of it, wherever its keys are.
#[test]
fn a_transaction_serves_when_it_is_over() {
    let server = Server::with(THREE);
    let mut control = server.client();
    for (commands, reply) in [
        (["RPUSH {a} x", "RPUSH {b} y", "DEL {a}"], r#"["{b}", "y"]"#),
        (["RPUSH {b} x", "LPUSH {b} y", "RPUSH {c} z"], r#"["{b}", "y"]"#),
        (["RPUSH {d} x", "RENAME {d} {a}", "LPUSH {a} w"], r#"["{a}", "w"]"#),
        (["RPUSH {b} x", "BLPOP {a} {b} {c} 0", "RPUSH {a} z"], r#"["{a}", "z"]"#),
    ] {
        let mut waiter = park(&server, &mut control, "BLPOP {a} {b} {c} 0");
        assert_eq!(control.line("MULTI"), "+OK");
        for line in commands {
            assert_eq!(control.line(line), "+QUEUED");
        }
        assert!(control.line("EXEC").starts_with('['));
        assert_eq!(show(&waiter.read()), reply, "{commands:?}");
        control.line("FLUSHALL");
    }
    // Nothing is left of it, and nobody is woken.
    let mut waiter = park(&server, &mut control, "BLPOP {a} {b} 0");
    assert_eq!(control.line("MULTI"), "+OK");
    for line in ["RPUSH {a} x", "RPUSH {b} x", "DEL {a} {b}"] {
        assert_eq!(control.line(line), "+QUEUED");
    }
    assert_eq!(control.line("EXEC"), "[:1, :1, :2]");
    assert_eq!(gauge(&mut control, "blocked_clients"), 1);
    assert_eq!(control.line("RPUSH {b} y"), ":1");
    assert_eq!(show(&waiter.read()), r#"["{b}", "y"]"#);
}

#[test]
fn consumers_hear_that_their_group_or_stream_has_gone() {
    let server = Server::with(THREE);
    let mut control = server.client();
    let none = "-NOGROUP No such key '{b}' or consumer group 'g' in XREADGROUP with GROUP option";
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    for (line, error) in [
        ("XGROUP DESTROY {b} g", none),
        ("DEL {b}", none),
        ("DEL {b} {c}", none),
        ("RENAME {b} {c}2", none),
        ("FLUSHALL", none),
        ("SET {b} v", wrong),
        ("RENAME {c}list {b}", wrong),
    ] {
        control.line("FLUSHALL");
        control.line("RPUSH {c}list x");
        for key in ["{a}", "{b}"] {
            assert_eq!(control.line(&format!("XGROUP CREATE {key} g $ MKSTREAM")), "+OK");
        }
        let group = "XREADGROUP GROUP g NAME BLOCK 0 STREAMS {a} {b} > >";
        let mut consumers = ["x", "y"].map(|name| park(&server, &mut control, &group.replace("NAME", name)));
        assert_eq!(gauge(&mut control, "total_blocking_keys_on_nokey"), 2);
        control.line(line);
        let replies = consumers.each_mut().map(|client| show(&client.read()).replace('\\', ""));
        // FLUSHALL takes both keys; which one is missed first is the order of the command.
        let error = if line == "FLUSHALL" { error.replace("{b}", "{a}") } else { error.to_owned() };
        assert_eq!(replies, [error.clone(), error], "{line}");
    }
    until_gauge(&mut control, "total_blocking_keys_on_nokey", 0);
}

#[test]
fn time_is_up_after_fractions_of_seconds() {
    let server = Server::with(THREE);
    let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
    let start = Instant::now();
    for (client, line) in clients.iter_mut().zip([
        "BLPOP {a} {b} 0.05",
        "BZPOPMIN {a} {b} {c} 0.051",
        "BLMOVE {a} {b} LEFT LEFT 0.052",
        "BLMPOP 0.053 2 {a} {c} LEFT",
        "XREAD BLOCK 54 STREAMS {a} {c} 0 0",
        "BLPOP {a} {b} 1e-9",
    ]) {
        client.send(&line.split(' ').collect::<Vec<_>>());
    }
    for client in &mut clients[..5] {
        assert_eq!(show(&client.read()), "nil[]");
        // Clocks of milliseconds are up to one behind.
        assert!(start.elapsed() >= Duration::from_millis(48));
    }
    assert_eq!(show(&clients[5].read()), "nil[]");
    for (line, error) in [
        ("BLPOP {a} {b} -0.1", "-ERR timeout is negative"),
        ("BLPOP {a} {b} x", "-ERR timeout is not a float or out of range"),
        ("XREAD BLOCK -1 STREAMS {a} {b} 0 0", "-ERR timeout is negative"),
    ] {
        assert_eq!(clients[0].line(line), error);
    }
    let mut control = server.client();
    assert_eq!(gauge(&mut control, "blocked_clients"), 0);
    assert_eq!(gauge(&mut control, "clients_in_timeout_table"), 0);
    assert_eq!(gauge(&mut control, "total_blocking_keys"), 0);
}

#[test]
fn client_unblock_ends_a_wait_at_several_shards() {
    let server = Server::with(THREE);
    let mut control = server.client();
    for (how, reply) in
        [("", "nil[]"), (" TIMEOUT", "nil[]"), (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK")]
    {
        let mut client = server.client();
        let Value::Int(id) = client.call(&["CLIENT", "ID"]) else { panic!("an id is a number") };
        client.send(&["BLPOP", "{a}", "{b}", "{c}", "100"]);
        until_gauge(&mut control, "blocked_clients", 1);
        assert_eq!(gauge(&mut control, "clients_in_timeout_table"), 1);
        assert_eq!(control.line(&format!("CLIENT UNBLOCK {id}{how}")), ":1");
        assert_eq!(show(&client.read()), reply);
        assert_eq!(control.line(&format!("CLIENT UNBLOCK {id}{how}")), ":0");
        until_gauge(&mut control, "total_blocking_keys", 0);
        // It is out of line, and can go on.
        assert_eq!(control.line("RPUSH {b} x"), ":1");
        assert_eq!(client.line("LPOP {b}"), "\"x\"");
    }
}

#[test]
fn a_client_that_goes_leaves_its_place_to_the_next() {
    let server = Server::with(THREE);
    let mut control = server.client();
    for key in ["{a}", "{b}", "{c}"] {
        for cut in [false, true] {
            let mut gone = server.client();
            let Value::Int(id) = gone.call(&["CLIENT", "ID"]) else { panic!("an id is a number") };
            gone.send(&["BLPOP", "{a}", "{b}", "{c}", "0"]);
            until_gauge(&mut control, "blocked_clients", 1);
            let mut next = park(&server, &mut control, &format!("BLPOP {key} 0"));
            if cut {
                assert_eq!(control.line(&format!("CLIENT KILL ID {id}")), ":1");
            } else {
                drop(gone);
            }
            until_gauge(&mut control, "blocked_clients", 1);
            assert_eq!(control.line(&format!("RPUSH {key} x")), ":1");
            assert_eq!(show(&next.read()), format!(r#"["{key}", "x"]"#));
        }
    }
    until_gauge(&mut control, "total_blocking_keys", 0);
}

/// What a client sends while it waits runs when it no longer does, and CLIENT REPLY OFF keeps its answer to itself.
#[test]
fn what_follows_in_the_pipeline_waits_too() {
    let server = Server::with(THREE);
    let mut control = server.client();
    let mut client = server.client();
    client.send_bytes(b"BLPOP {a} {b} 0\r\nINCR {c}\r\nINCR {a}2\r\n");
    until_gauge(&mut control, "blocked_clients", 1);
    assert_eq!(control.line("EXISTS {c} {a}2"), ":0");
    assert_eq!(control.line("RPUSH {b} x"), ":1");
    let replies: Vec<String> = (0..3).map(|_| show(&client.read())).collect();
    assert_eq!(replies, [r#"["{b}", "x"]"#, ":1", ":1"]);
    client.send_bytes(b"CLIENT REPLY OFF\r\nBLPOP {a} {b} 0\r\nCLIENT REPLY ON\r\nINCR {c}\r\n");
    until_gauge(&mut control, "blocked_clients", 1);
    assert_eq!(control.line("RPUSH {a} x"), ":1");
    assert_eq!((show(&client.read()), show(&client.read())), ("+OK".into(), ":2".into()));
    assert_eq!(control.line("EXISTS {a} {b}"), ":0");
}

/// A client that comes later does not overtake one that waits at several shards, even while that is being served.
#[test]
fn nobody_overtakes_who_waits_at_several_shards() {
    let server = Server::with(THREE);
    let mut control = server.client();
    for round in 0..200 {
        let mut first = park(&server, &mut control, "BLPOP {c} {b} {a} 0");
        let mut later: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let key = ["{a}", "{b}", "{c}"][round % 3];
        // All at once: a push of one element, and clients that come for it as it is there.
        control.send(&["RPUSH", key, "x"]);
        for client in &mut later {
            client.send(&["BLPOP", key, "{a}9", "0.001"]);
        }
        assert_eq!(show(&control.read()), ":1");
        let reply = show(&first.read());
        assert_eq!(reply, format!(r#"["{key}", "x"]"#), "round {round}");
        for client in &mut later {
            assert_eq!(show(&client.read()), "nil[]", "round {round}");
        }
    }
}

/// The commands in the slow log, which takes all, the newest first: `blpop {a}x 0 | set k v`.
#[track_caller]
fn slow_commands(control: &mut Client) -> String {
    let Value::Array(entries) = control.call(&["SLOWLOG", "GET", "-1"]) else { panic!("an array") };
    let words = |value: &Value| match value {
        Value::Array(words) => {
            let texts = words
                .iter()
                .map(|word| String::from_utf8_lossy(word.as_bytes().expect("a word")).into_owned());
            texts.collect::<Vec<_>>().join(" ")
        }
        other => panic!("a command line, not {other:?}"),
    };
    let lines = entries.iter().map(|entry| match entry {
        Value::Array(fields) => words(&fields[3]),
        other => panic!("an entry, not {other:?}"),
    });
    lines.collect::<Vec<_>>().join(" | ")
}

/// As in Redis, the slow log tells of one that waited when it is served, wherever it waited.
#[test]
fn the_slow_log_tells_of_who_waited_when_it_is_served() {
    for servers in [&["--cores", "1"][..], THREE] {
        let server = Server::with(servers);
        let mut control = server.client();
        assert_eq!(control.line("CONFIG SET slowlog-log-slower-than 0"), "+OK");
        for (wait, push) in [
            ("BLPOP {a}x 0", "RPUSH {a}x 1"),
            ("BLPOP {b}x 0", "RPUSH {b}x 1"),
            ("BLPOP {c}x 0", "RPUSH {c}x 1"),
            ("BLPOP {a}x {b}x {c}x 0", "RPUSH {b}x 1"),
        ] {
            let mut waiter = park(&server, &mut control, wait);
            assert_eq!(control.line("SLOWLOG RESET"), "+OK");
            assert_eq!(slow_commands(&mut control), "SLOWLOG RESET", "{wait}");
            assert_eq!(control.line(push), ":1");
            waiter.read();
            until("it is in the slow log", || slow_commands(&mut control).contains(wait).then_some(()));
        }
    }
}

/// What a transaction made and what has expired when it ends is for nobody.
#[test]
fn what_expires_before_the_transaction_ends_serves_nobody() {
    for cores in ["1", "3"] {
        let server = Server::with(&["--cores", cores, "--pin", "no", "--enable-debug-command", "yes"]);
        let mut control = server.client();
        for (wait, push, again, reply) in [
            ("BLPOP {b} 0", "RPUSH {b} x", "RPUSH {b} y", r#"["{b}", "y"]"#),
            ("BZPOPMIN {c} 0", "ZADD {c} 1 x", "ZADD {c} 1 y", r#"["{c}", "y", "1"]"#),
        ] {
            let mut waiter = park(&server, &mut control, wait);
            let key = wait.split(' ').nth(1).expect("a key");
            for line in ["MULTI", push, &format!("PEXPIRE {key} 20"), "DEBUG SLEEP 0.05"] {
                control.line(line);
            }
            assert_eq!(control.line("EXEC"), "[:1, :1, +OK]");
            assert_eq!(gauge(&mut control, "blocked_clients"), 1);
            control.line(again);
            assert_eq!(show(&waiter.read()), reply);
        }
    }
}
