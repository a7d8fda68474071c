//! Long strings are sent from where they are kept: a reply is what it was when its command ran, whatever becomes of the key
//! before the client takes it.

use super::{alone, info, key_of, memory_returns};
use lacewing_tests::{Client, Server, show, until};
use resp::{Value, encode_command};

/// More than sockets take for a client that does not read.
const LEN: usize = 12 << 20;

/// A string of [`LEN`] bytes between `head` and `tail`.
fn long() -> Vec<u8> {
    let letters = (0..LEN - 8).map(|at| b'a' + (at % 23) as u8);
    b"head".iter().copied().chain(letters).chain(*b"tail").collect()
}

/// Bytes that wait for clients, as CLIENT LIST has it.
fn unsent(client: &mut Client) -> usize {
    let Value::Bulk(list) = client.call(&["CLIENT", "LIST"]) else { panic!("no list") };
    let list = String::from_utf8(list).expect("text");
    let waits = list.split(" omem=").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok());
    waits.sum()
}

/// A client that has been answered, and takes nothing yet.
fn answered(server: &Server, other: &mut Client, resp3: bool, command: &[&str]) -> Client {
    let client = server.client();
    let mut client = if resp3 { client.resp3() } else { client };
    let before = unsent(other);
    client.send(command);
    until("an answer waits for its client", || (unsent(other) > before).then_some(()));
    client
}

/// What is done to the key `K` of a long string while a reply with it is on its way, and how that is answered: `LONG` stands for
/// the string. `T` is a key of another core, `S` another of the same.
const CHANGES: &[&[(&str, &str)]] = &[
    &[
        ("APPEND K more", ":12582916"),
        ("GETRANGE K -8 -1", r#""tailmore""#),
        ("GETRANGE K 0 4", r#""heada""#),
    ],
    &[("SETRANGE K 0 HEAD", ":12582912"), ("GETRANGE K 0 4", r#""HEADa""#), ("STRLEN K", ":12582912")],
    &[("SETRANGE K 12582914 z", ":12582915"), ("GETRANGE K -5 -1", r#""il\x00\x00z""#)],
    &[("SETBIT K 7 1", ":0"), ("GETRANGE K 0 3", r#""iead""#), ("GETBIT K 7", ":1")],
    &[("SETBIT K 7 0", ":0"), ("GETRANGE K 0 3", r#""head""#)],
    &[("BITFIELD K SET u8 8 65 GET u8 0", "[:101, :104]"), ("GETRANGE K 0 3", r#""hAad""#)],
    &[("SET K short", "+OK"), ("GET K", r#""short""#)],
    &[("SET K OTHER", "+OK"), ("GETRANGE K 0 3", r#""HEAD""#), ("STRLEN K", ":12582912")],
    &[("SETEX K 100 OTHER", "+OK"), ("APPEND K more", ":12582916")],
    &[("GETSET K OTHER", "LONG"), ("GETRANGE K 0 3", r#""HEAD""#)],
    &[("SET K short GET", "LONG"), ("GET K", r#""short""#)],
    &[("GETEX K EX 100", "LONG"), ("PERSIST K", ":1"), ("APPEND K more", ":12582916")],
    &[("GETDEL K", "LONG"), ("EXISTS K", ":0")],
    &[("DEL K", ":1"), ("EXISTS K", ":0")],
    &[("UNLINK K", ":1"), ("SET K OTHER", "+OK"), ("DEL K T", ":1")],
    &[("FLUSHALL", "+OK"), ("DBSIZE", ":0")],
    &[("FLUSHALL SYNC", "+OK"), ("SET K OTHER", "+OK")],
    &[("FLUSHDB ASYNC", "+OK"), ("EXISTS K", ":0")],
    &[("PEXPIREAT K 1", ":1"), ("GET K", "nil")],
    &[
        ("EXPIRE K 100", ":1"),
        ("APPEND K more", ":12582916"),
        ("PERSIST K", ":1"),
        ("GETRANGE K 0 3", r#""head""#),
    ],
    &[("RENAME K T", "+OK"), ("GET T", "LONG"), ("APPEND T more", ":12582916"), ("EXISTS K", ":0")],
    &[("RENAME K S", "+OK"), ("SETRANGE S 0 HEAD", ":12582912"), ("EXISTS K", ":0")],
    &[("SET T there", "+OK"), ("RENAMENX K T", ":0"), ("APPEND K more", ":12582916")],
    &[
        ("COPY K T", ":1"),
        ("APPEND T more", ":12582916"),
        ("GET K", "LONG"),
        ("SETRANGE K 0 HEAD", ":12582912"),
    ],
    &[
        ("COPY K S", ":1"),
        ("SETRANGE K 0 HEAD", ":12582912"),
        ("GET S", "LONG"),
        ("DEL K", ":1"),
        ("GET S", "LONG"),
    ],
    &[("MOVE K 1", ":1"), ("SELECT 1", "+OK"), ("APPEND K more", ":12582916"), ("SELECT 0", "+OK")],
    &[("SWAPDB 0 1", "+OK"), ("SELECT 1", "+OK"), ("SETRANGE K 0 HEAD", ":12582912"), ("SELECT 0", "+OK")],
    &[("BITOP OR K K T", ":12582912"), ("GET K", "LONG"), ("BITOP NOT T K", ":12582912")],
    &[("MSETNX K short T short", ":0"), ("GET K", "LONG"), ("MSET K short T short", "+OK")],
    &[("MGET K T S", "[LONG, nil, nil]"), ("APPEND K more", ":12582916")],
    &[
        ("OBJECT ENCODING K", r#""raw""#),
        ("TYPE K", "+string"),
        ("INCR K", "-ERR value is not an integer or out of range"),
    ],
    &[("LPUSH K x", "-WRONGTYPE Operation against a key holding the wrong kind of value"), ("GET K", "LONG")],
];

/// A reply, in which a string of many bytes is named.
fn shown(reply: &Value, long: &[u8]) -> String {
    match reply {
        Value::Bulk(bytes) if bytes == long => "LONG".to_owned(),
        Value::Bulk(bytes) if bytes.len() > 100 => format!("{} other bytes", bytes.len()),
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(|one| shown(one, long)).collect::<Vec<_>>().join(", "))
        }
        other => show(other),
    }
}

#[test]
fn replies_are_what_they_were_when_their_command_ran() {
    let server = Server::start();
    let (mut other, long) = (server.client(), long());
    let mut changed = long.clone();
    changed[..4].copy_from_slice(b"HEAD");
    let base = info(&mut other, "used_memory");
    for (number, changes) in CHANGES.iter().enumerate() {
        for core in [0, 1] {
            let keys = [key_of(core, "key"), key_of(1 - core, "target"), key_of(core, "second")];
            let key = keys[0].as_str();
            assert_eq!(show(&other.call(&[b"SET", key.as_bytes(), &long])), "+OK");
            let (command, wanted) = match number % 3 {
                0 => (vec!["MGET", key, &keys[2], key], "[LONG, NONE, LONG]"),
                _ => (vec!["GET", key], "LONG"),
            };
            let mut clients = [(false, "nil"), (true, "null")]
                .map(|(resp3, none)| (none, answered(&server, &mut other, resp3, &command)));
            for (line, reply) in *changes {
                let words: Vec<&[u8]> = line
                    .split(' ')
                    .map(|word| match word {
                        "K" => key.as_bytes(),
                        "T" => keys[1].as_bytes(),
                        "S" => keys[2].as_bytes(),
                        "OTHER" => &changed,
                        word => word.as_bytes(),
                    })
                    .collect();
                assert_eq!(shown(&other.call(&words), &long), *reply, "{line}, core {core}");
            }
            for (none, client) in &mut clients {
                let wanted = wanted.replace("NONE", none);
                assert_eq!(shown(&client.read(), &long), wanted, "{changes:?}, core {core}");
                assert_eq!(show(&client.call(&["PING"])), "+PONG");
            }
            drop(clients);
            assert_eq!(other.line("FLUSHALL"), "+OK");
            alone(&mut other);
            until("memory is back where it was", || {
                (info(&mut other, "used_memory") <= base + (64 << 10)).then_some(())
            });
        }
    }
}

/// Evicted, and expired by the periodic work.
#[test]
fn replies_outlive_keys_that_the_server_removes() {
    let server = Server::with(&["--maxmemory-policy", "allkeys-lru"]);
    let (mut other, long) = (server.client(), long());
    let before = server.rss_mib();
    for core in [0, 1] {
        let (key, small) = (key_of(core, "key"), key_of(core, "small"));
        let gone = |other: &mut Client| show(&other.call(&["EXISTS", &key])) == ":0";
        other.call(&[b"SET", key.as_bytes(), &long]);
        let mut client = answered(&server, &mut other, core == 1, &["GET", &key]);
        assert_eq!(other.line("CONFIG SET maxmemory 4mb"), "+OK");
        until("it is evicted", || {
            assert_eq!(other.line(&format!("SET {small} x")), "+OK");
            gone(&mut other).then_some(())
        });
        assert!(client.read() == Value::Bulk(long.clone()));
        // What a client has not taken counts as its own: no key goes because of it.
        assert_eq!(other.line("CONFIG SET maxmemory 16mb"), "+OK");
        other.call(&[b"SET", key.as_bytes(), &long]);
        let evicted = info(&mut other, "evicted_keys");
        let mut clients: Vec<Client> =
            (0..4).map(|_| answered(&server, &mut other, false, &["GET", &key])).collect();
        assert_eq!(other.line(&format!("SET {small} y")), "+OK");
        assert_eq!(info(&mut other, "evicted_keys"), evicted);
        assert_eq!(other.line(&format!("PEXPIRE {key} 1")), ":1");
        until("it has expired", || (other.line("DBSIZE") == ":1").then_some(()));
        for client in &mut clients {
            assert!(client.read() == Value::Bulk(long.clone()));
        }
        drop((client, clients));
        assert_eq!(other.line("FLUSHALL"), "+OK");
        assert_eq!(other.line("CONFIG SET maxmemory 0"), "+OK");
    }
    memory_returns(&server, before, 24);
}

#[test]
fn clients_that_go_leave_nothing_of_what_they_had_asked_for() {
    let server = Server::start();
    let (mut other, long) = (server.client(), long());
    // The tables stay when their keys have gone.
    for core in [0, 1] {
        let key = key_of(core, "key");
        assert_eq!(other.line(&format!("SET {key} x")), "+OK");
        assert_eq!(other.line(&format!("DEL {key}")), ":1");
    }
    let (base, before) = (info(&mut other, "used_memory"), server.rss_mib());
    for core in [0, 1] {
        let key = key_of(core, "key");
        for round in 0..2 {
            other.call(&[b"SET", key.as_bytes(), &long]);
            let kept = server.rss_mib();
            let clients: Vec<Client> =
                (0..6).map(|_| answered(&server, &mut other, true, &["MGET", &key, &key, &key])).collect();
            // Sockets hold some; a copy for each would be 216 MiB.
            assert!(server.rss_mib() < kept + 48, "{} MiB, {kept} before", server.rss_mib());
            if round == 0 {
                assert_eq!(other.line(&format!("DEL {key}")), ":1");
            }
            drop(clients);
            alone(&mut other);
            if round == 1 {
                assert!(other.call(&["GET", &key]) == Value::Bulk(long.clone()));
                assert_eq!(other.line(&format!("APPEND {key} more")), format!(":{}", LEN + 4));
                assert_eq!(other.line(&format!("DEL {key}")), ":1");
            }
            until("memory is back where it was", || {
                (info(&mut other, "used_memory") <= base + (64 << 10)).then_some(())
            });
            memory_returns(&server, before, 24);
        }
    }
}

/// Each GET of a pipeline has the string of its moment, though none was taken before the last was made.
#[test]
fn a_pipeline_sees_each_state_of_a_string() {
    let server = Server::start();
    for core in [0, 1] {
        let key = key_of(core, "key");
        let mut value = long();
        let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
        encode_command(&[b"SET", key.as_bytes(), &value], &mut bytes);
        wanted.push(Value::Simple("OK".into()));
        for round in 0..6u8 {
            let letter = [b'A' + round];
            let at = usize::from(round) * 1_000_000;
            value[at] = letter[0];
            encode_command(&[b"SETRANGE", key.as_bytes(), at.to_string().as_bytes(), &letter], &mut bytes);
            wanted.push(Value::Int(value.len() as i64));
            encode_command(&[b"GET", key.as_bytes()], &mut bytes);
            wanted.push(Value::Bulk(value.clone()));
            value.push(letter[0]);
            encode_command(&[b"APPEND", key.as_bytes(), &letter], &mut bytes);
            wanted.push(Value::Int(value.len() as i64));
            encode_command(&[b"MGET", key.as_bytes(), key.as_bytes()], &mut bytes);
            wanted.push(Value::Array(vec![Value::Bulk(value.clone()), Value::Bulk(value.clone())]));
        }
        encode_command(&[b"GETDEL", key.as_bytes()], &mut bytes);
        wanted.push(Value::Bulk(value.clone()));
        encode_command(&[b"GET", key.as_bytes()], &mut bytes);
        wanted.push(Value::NullBulk);
        let mut client = server.client();
        client.send_bytes(&bytes);
        let mut other = server.client();
        until("all of it has run", || (other.line(&format!("EXISTS {key}")) == ":0").then_some(()));
        for (number, wanted) in wanted.iter().enumerate() {
            assert!(client.read() == *wanted, "reply {number} is another, core {core}");
        }
    }
}

/// In a transaction too, and where a reply waits for every core to know of a subscription.
#[test]
fn a_transaction_answers_with_each_state_of_a_string() {
    let server = Server::start();
    let (mut other, long) = (server.client(), long());
    // A subscriber would be cut while so much waits for it.
    assert_eq!(show(&other.call(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"])), "+OK");
    for core in [0, 1] {
        let (key, far) = (key_of(core, "key"), key_of(1 - core, "key"));
        for middle in ["PING", "SUBSCRIBE channel", &format!("SET {far} x")] {
            other.call(&[b"SET", key.as_bytes(), &long]);
            let mut client = server.client().resp3();
            let lines = [
                "MULTI",
                &format!("GET {key}"),
                middle,
                &format!("APPEND {key} more"),
                &format!("MGET {key} {key}"),
                &format!("GETDEL {key}"),
                &format!("GET {key}"),
                "EXEC",
                "PING",
            ];
            let mut bytes = Vec::new();
            for line in lines {
                encode_command(&line.split(' ').collect::<Vec<_>>(), &mut bytes);
            }
            client.send_bytes(&bytes);
            until("all of it has run", || (other.line(&format!("EXISTS {key}")) == ":0").then_some(()));
            assert_eq!(show(&client.read()), "+OK");
            (1..lines.len() - 2).for_each(|_| assert_eq!(show(&client.read()), "+QUEUED"));
            let Value::Array(replies) = client.read() else { panic!("no array") };
            let mut more = long.clone();
            more.extend_from_slice(b"more");
            let more = Value::Bulk(more);
            let replies: Vec<&Value> =
                replies.iter().filter(|reply| !matches!(reply, Value::Push(_))).collect();
            let rest = &replies[replies.len() - 4..];
            assert!(
                *replies[0] == Value::Bulk(long.clone()) && *rest[0] == Value::Int(LEN as i64 + 4),
                "{middle}"
            );
            assert!(
                *rest[1] == Value::Array(vec![more.clone(), more.clone()]) && *rest[2] == more,
                "{middle}"
            );
            assert_eq!((rest[3], show(&client.read()).as_str()), (&Value::Null, "+PONG"), "{middle}");
        }
    }
}

#[test]
fn what_is_told_about_a_string_does_not_depend_on_who_reads_it() {
    let server = Server::start();
    let (mut other, long) = (server.client(), long());
    for core in [0, 1] {
        let key = key_of(core, "key");
        other.call(&[b"SET", key.as_bytes(), &long]);
        let told = |other: &mut Client| {
            let Value::Int(usage) = other.call(&["MEMORY", "USAGE", &key]) else { panic!("no number") };
            let dump = other.call(&["DUMP", &key]);
            (usage, info(other, "used_memory_dataset"), other.line(&format!("OBJECT ENCODING {key}")), dump)
        };
        let before = told(&mut other);
        let clients: Vec<Client> =
            (0..3).map(|_| answered(&server, &mut other, false, &["GET", &key])).collect();
        let meanwhile = told(&mut other);
        drop(clients);
        alone(&mut other);
        let after = told(&mut other);
        for now in [meanwhile, after] {
            assert!(now.0.abs_diff(before.0) < 128, "MEMORY USAGE: {} and {}", now.0, before.0);
            assert!(now.1.abs_diff(before.1) < 4096, "dataset: {} and {}", now.1, before.1);
            assert!(now.2 == before.2 && now.3 == before.3, "OBJECT ENCODING, DUMP");
        }
        let Value::Bulk(dump) = before.3 else { panic!("no payload") };
        let client = answered(&server, &mut other, false, &["GET", &key]);
        assert_eq!(show(&other.call(&[b"RESTORE", key.as_bytes(), b"0", &dump, b"REPLACE"])), "+OK");
        assert!(other.call(&["GET", &key]) == Value::Bulk(long.clone()));
        drop(client);
        assert_eq!(other.line(&format!("DEL {key}")), ":1");
    }
}
