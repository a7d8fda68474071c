//! What holds whenever, and on whichever cores, clients are connected.

use super::{arrived, server};
use lacewing_tests::{Client, RedisServer, show, until};
use std::net::SocketAddr;

/// Once a write is acknowledged, the next reply to whoever has read the key comes behind the news of it.
#[test]
fn who_asks_after_a_write_hears_of_it_first() {
    for cores in ["1", "2", "4"] {
        let server = server(cores);
        let mut readers: Vec<Client> = (0..4).map(|_| server.client().resp3()).collect();
        let mut all = server.client().resp3();
        all.line("CLIENT TRACKING ON BCAST");
        readers.iter_mut().for_each(|reader| assert_eq!(reader.line("CLIENT TRACKING ON"), "+OK"));
        let mut writers: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for round in 0..1_000 {
            let reader = &mut readers[round % 4];
            let key = format!("key:{}", round % 37);
            reader.line(&format!("GET {key}"));
            assert_eq!(writers[round / 4 % 4].line(&format!("SET {key} {round}")), "+OK");
            let news = format!(r#">["invalidate", ["{key}"]]"#);
            assert_eq!(arrived(reader), [news.as_str()], "round {round} on {cores} cores");
            assert_eq!(arrived(&mut all), [news.as_str()], "round {round} on {cores} cores");
        }
    }
}

/// The same of FLUSHALL, which all cores take part in, and of whom it is told once.
#[test]
fn a_flush_is_told_once_and_behind_all_that_was_read_before() {
    for cores in ["1", "4"] {
        let server = server(cores);
        let mut readers: Vec<Client> = (0..6).map(|_| server.client().resp3()).collect();
        readers.iter_mut().for_each(|reader| assert_eq!(reader.line("CLIENT TRACKING ON"), "+OK"));
        let mut writer = server.client();
        for round in 0..100 {
            readers.iter_mut().for_each(|reader| drop(reader.line("MGET a b c d e f g h")));
            assert_eq!(writer.line(["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"][round % 3]), "+OK");
            for reader in &mut readers {
                assert_eq!(arrived(reader), [r#">["invalidate", null]"#], "round {round} on {cores} cores");
            }
            assert_eq!(writer.line("MSET a 1 b 2 c 3 d 4"), "+OK");
            for reader in &mut readers {
                assert!(arrived(reader).is_empty(), "nothing that was read before is remembered");
            }
        }
    }
}

/// In one pipeline, on one connection: every message stands behind the reply of the command that it is of.
#[test]
fn what_a_client_changes_itself_comes_behind_its_reply() {
    for cores in ["1", "4"] {
        let server = server(cores);
        let mut client = server.client().resp3();
        client.line("CLIENT TRACKING ON");
        for round in 0..200 {
            let key = format!("key:{round}");
            let commands = [vec!["GET", &key], vec!["SET", &key, "1"], vec!["GET", &key], vec!["DEL", &key]];
            let mut bytes = Vec::new();
            commands.iter().for_each(|command| resp::encode_command(command, &mut bytes));
            client.send_bytes(&bytes);
            let got: Vec<String> = (0..6).map(|_| show(&client.read_push())).collect();
            let news = format!(r#">["invalidate", ["{key}"]]"#);
            let at = |message: &str| got.iter().position(|one| one == message).expect(message);
            assert_eq!(got.iter().filter(|one| **one == news).count(), 2, "{got:?}");
            assert!(at("null") < at("+OK") && at("+OK") < at(&news), "{got:?}");
            assert!(at(r#""1""#) < at(":1") && got.last() == Some(&news), "{got:?}");
        }
    }
}

/// What one client gets for a pipeline, replies and messages in their order.
fn answers(addr: SocketAddr, commands: &[&str]) -> Vec<String> {
    let mut client = Client::connect(addr).resp3();
    client.line("CLIENT TRACKING ON");
    let mut bytes = Vec::new();
    for command in commands {
        resp::encode_command(&command.split(' ').collect::<Vec<_>>(), &mut bytes);
    }
    client.send_bytes(&bytes);
    let mut got = Vec::new();
    while got.iter().filter(|one: &&String| !is_news(one)).count() < commands.len() {
        got.push(show(&client.read_push()));
    }
    got.extend(arrived(&mut client));
    got
}

fn is_news(message: &str) -> bool {
    message.starts_with(r#">["invalidate""#)
}

/// On one core as in Redis, message by message. On several the same messages come, none before the reply of what it is of.
#[test]
fn transactions_and_scripts_are_told_of_behind_their_replies() {
    const PIPELINES: &[&[&str]] = &[
        &["MULTI", "GET a", "SET a 1", "GET b", "DEL a", "SET b 1", "EXEC"],
        &["GET a", "GET b", "MULTI", "MSET a 2 b 2", "INCR a", "EXEC"],
        &["GET c", "GET d", "EVAL return{redis.call('set',KEYS[1],1),redis.call('get',KEYS[1])} 1 c"],
        &["EVAL return(redis.call('get',KEYS[1])) 1 d", "MSET d 1 e 1"],
        &["EVAL return{redis.call('get',KEYS[1]),redis.call('incr',KEYS[1])} 1 d", "SET d 3"],
        &["EVAL_RO return(1) 1 d", "SET d 2"],
        &["MGET d e", "MULTI", "EVAL return(redis.call('mset','d',1,'e',2)) 0", "PING", "EXEC"],
    ];
    let Some(redis) = RedisServer::start() else { return };
    let expected: Vec<_> = PIPELINES.iter().map(|pipeline| answers(redis.addr(), pipeline)).collect();
    assert!(expected.iter().flatten().filter(|message| is_news(message)).count() >= 6, "{expected:?}");
    for cores in ["1", "2", "4"] {
        let server = server(cores);
        for (pipeline, expected) in PIPELINES.iter().zip(&expected) {
            let mut got = answers(server.addr(), pipeline);
            if cores == "1" {
                assert_eq!(got, *expected, "{pipeline:?}");
                continue;
            }
            let replies =
                |all: &[String]| all.iter().filter(|one| !is_news(one)).cloned().collect::<Vec<_>>();
            assert_eq!(replies(&got), replies(expected), "{pipeline:?} on {cores} cores");
            let last = pipeline.iter().rposition(|one| one.starts_with("EXEC") || one.starts_with("EVAL "));
            let begins = got.iter().position(|one| is_news(one)).unwrap_or(got.len());
            assert!(last.is_none_or(|last| begins > last), "{got:?} to {pipeline:?} on {cores} cores");
            let mut expected = expected.clone();
            got.sort();
            expected.sort();
            assert_eq!(got, expected, "{pipeline:?} on {cores} cores");
        }
    }
}

/// On whichever shards its keys are. Looked up with redis-server, to which a script of single commands cannot say it.
#[test]
fn caching_said_inside_a_transaction_ends_with_it() {
    for cores in ["1", "4"] {
        let server = server(cores);
        let (mut reader, mut writer) = (server.client().resp3(), server.client());
        assert_eq!(reader.line("CLIENT TRACKING ON OPTIN"), "+OK");
        let queue =
            ["MULTI", "GET n", "CLIENT CACHING YES", "GET a", "GET b", "GET c", "EXEC", "GET d", "GET e"];
        let queue = queue.map(|line| line.split(' ').collect::<Vec<_>>());
        assert_eq!(reader.pipeline(&queue).len(), queue.len());
        assert_eq!(writer.line("MSET a 1 b 1 c 1 d 1 e 1 n 1"), "+OK");
        let mut news = arrived(&mut reader);
        news.sort();
        let of = |key: &str| format!(r#">["invalidate", ["{key}"]]"#);
        assert_eq!(news, ["a", "b", "c"].map(of), "{cores} cores");
    }
}

/// A client that waits for a key hears at once of others, before the reply to what it waits with.
#[test]
fn who_waits_hears_of_changes_meanwhile() {
    for cores in ["1", "2", "4"] {
        let server = server(cores);
        let (mut reader, mut writer) = (server.client().resp3(), server.client());
        reader.line("CLIENT TRACKING ON");
        for queues in ["q", "q1 q2 q3 q4"] {
            reader.line("MGET a b c");
            reader.send(&["BLPOP", queues, "0"].join(" ").split(' ').collect::<Vec<_>>());
            until("it waits", || {
                server.client().line("INFO clients").contains("blocked_clients:1").then_some(())
            });
            for key in ["a", "b", "c"] {
                writer.line(&format!("SET {key} 1"));
                assert_eq!(
                    show(&reader.read_push()),
                    format!(r#">["invalidate", ["{key}"]]"#),
                    "{cores} cores"
                );
            }
            let last = queues.split(' ').next_back().expect("a queue");
            writer.line(&format!("RPUSH {last} x"));
            assert_eq!(show(&reader.read_push()), format!(r#"["{last}", "x"]"#), "on {cores} cores");
        }
    }
}

/// Keys that expire, and those that have to go because memory is full, change by themselves.
#[test]
fn what_goes_by_itself_is_told() {
    for cores in ["1", "2", "4"] {
        let server = server(cores);
        let (mut reader, mut writer) = (server.client().resp3(), server.client());
        for mode in ["", "BCAST", "NOLOOP"] {
            reader.line(&format!("CLIENT TRACKING ON {mode}"));
            for key in 0..40 {
                // Long enough for all to be read before, on a busy machine too.
                writer.line(&format!("SET key:{key} v PX {}", if key % 2 == 0 { 1000 } else { 1_000_000 }));
            }
            arrived(&mut reader);
            (0..40).for_each(|key| drop(reader.line(&format!("GET key:{key}"))));
            let mut told = arrived(&mut reader);
            let mut wait_for = |count: usize| {
                until(&format!("{count} keys are told on {cores} cores"), || {
                    told.extend(arrived(&mut reader));
                    (told.join(" ").matches("key:").count() >= count).then_some(())
                });
            };
            wait_for(20);
            writer.line("CONFIG SET maxmemory-policy allkeys-random");
            writer.line("CONFIG SET maxmemory 1");
            wait_for(40);
            writer.line("CONFIG SET maxmemory 0");
            reader.line("CLIENT TRACKING OFF");
        }
    }
}
