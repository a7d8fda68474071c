//! What is answered while a script runs for too long, on redis-server and on one core of Lacewing, to the letter: to single
//! commands, and to transactions that are begun, filled or ended before, meanwhile and after.

use super::server;
use crate::transactions::info;
use lacewing_tests::{Client, RedisServer, until};
use stdx::Slot;

/// One connection: what it says before the script is busy, while it is, and when it has ended.
type Talk = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

const TALKS: &[Talk] = &[
    (&[], &["PING", "GET key", "SET key 1", "MGET a b", "DEL a b"], &["PING"]),
    (&[], &["NOSUCH", "GET", "MSET a", "CLIENT NOSUCH", "SCRIPT NOSUCH", "DEBUG SLEEP 0"], &[]),
    (
        &[],
        &["EVAL 'return 1' 0", "EVALSHA 00 0", "FCALL none 0", "SCRIPT LOAD 'return 2'", "SCRIPT EXISTS 00"],
        &[],
    ),
    (&[], &["SCRIPT FLUSH", "FUNCTION LIST", "FUNCTION FLUSH", "FUNCTION KILL", "FLUSHALL", "DBSIZE"], &[]),
    (
        &[],
        &["SUBSCRIBE channel", "PUBLISH channel x", "BLPOP list 1", "XREAD BLOCK 1 STREAMS s $", "WAIT 0 0"],
        &[],
    ),
    (
        &[],
        &["CONFIG GET maxmemory", "CONFIG SET maxmemory 0", "CLIENT ID", "CLIENT LIST", "INFO", "TIME"],
        &[],
    ),
    (
        &[],
        &["COMMAND COUNT", "SELECT 1", "ECHO x", "SHUTDOWN NOSUCH", "CLIENT REPLY ON", "KEYS *"],
        &["GET key"],
    ),
    (&[], &["HELLO 9", "AUTH wrong", "RESET", "UNWATCH", "WATCH a", "EXEC", "DISCARD"], &["EXEC"]),
    (&[], &["MULTI", "SET key 2", "EXEC", "PING"], &["GET key", "EXEC"]),
    (&[], &["MULTI", "SET key 3"], &["SET key 4", "EXEC", "GET key"]),
    (&[], &["MULTI"], &["SET key 5", "EXEC", "GET key"]),
    (&[], &["MULTI", "DISCARD", "MULTI", "MULTI", "WATCH a", "DISCARD"], &["EXEC"]),
    (&[], &["MULTI", "UNWATCH", "EXEC", "EXEC"], &["EXEC"]),
    (&[], &["MULTI", "EXEC", "MULTI", "NOSUCH", "EXEC"], &["EXEC"]),
    (&["MULTI", "SET key 6"], &["EXEC", "EXEC"], &["GET key", "EXEC"]),
    (&["MULTI", "SET key 7"], &["SET key 8"], &["EXEC", "GET key"]),
    (&["MULTI", "SET key 9"], &["SET key 10", "EXEC"], &["GET key"]),
    (&["MULTI", "SET key 11"], &["DISCARD", "EXEC"], &["GET key"]),
    (&["MULTI", "SET key 12"], &["RESET"], &["EXEC", "GET key"]),
    (&["MULTI", "SET key 13"], &["UNWATCH", "FUNCTION KILL"], &["DISCARD"]),
    (&["MULTI", "PING"], &["EXEC"], &["PING"]),
    (&["MULTI"], &["EXEC"], &["PING"]),
    (&["MULTI", "NOSUCH"], &["EXEC"], &["EXEC"]),
    (&["WATCH watched"], &["MULTI"], &["SET other 1", "EXEC"]),
    (&[], &["WATCH watched", "MULTI"], &["GET other", "EXEC"]),
    (&["SUBSCRIBE channel"], &["SUBSCRIBE other", "PING", "GET key"], &["PING", "UNSUBSCRIBE channel other"]),
];

/// What every connection is answered.
fn answers(connect: impl Fn() -> Client) -> Vec<String> {
    let (mut runner, mut client) = (connect(), connect());
    assert_eq!(client.line("FLUSHALL"), "+OK");
    assert_eq!(client.line("CONFIG SET busy-reply-threshold 20"), "+OK");
    let mut clients: Vec<Client> = TALKS.iter().map(|_| connect()).collect();
    let mut answers = Vec::new();
    let mut say = |when: &str, which: fn(&Talk) -> &'static [&'static str]| {
        for (number, (client, talk)) in clients.iter_mut().zip(TALKS).enumerate() {
            for line in which(talk) {
                answers.push(format!("{when} {number} {line}: {}", client.line(line)));
            }
        }
    };
    say("before", |talk| talk.0);
    runner.send(&["EVAL", "while true do end", "0"]);
    until("the script is busy", || client.line("PING").starts_with("-BUSY").then_some(()));
    say("meanwhile", |talk| talk.1);
    assert_eq!(client.line("SCRIPT KILL"), "+OK");
    runner.read();
    say("after", |talk| talk.2);
    answers
}

#[test]
fn a_busy_server_answers_as_redis_does() {
    let Some(redis) = RedisServer::start() else { return };
    let lacewing = server("1");
    let (theirs, ours) = (answers(|| redis.client()), answers(|| lacewing.client()));
    let differs = |(theirs, ours): &(String, String)| theirs != ours;
    let differences: Vec<_> = theirs.into_iter().zip(ours).filter(differs).collect();
    let shown = |(theirs, ours): &(String, String)| format!("redis:    {theirs}\nlacewing: {ours}\n");
    assert!(differences.is_empty(), "{}", differences.iter().map(shown).collect::<String>());
}

/// A key of the shard of core `core`, of two.
fn key_of(core: usize) -> String {
    let mut keys = (0..).map(|number| format!("key:{number}"));
    keys.find(|key| Slot::of(key.as_bytes()).index() / 8192 == core).expect("there are keys everywhere")
}

#[test]
fn an_exec_that_waits_for_a_shard_which_becomes_busy_ends_its_watches() {
    let server = server("2");
    let keys = [key_of(0), key_of(1)];
    let mut other = server.client();
    assert_eq!(other.line("CONFIG SET busy-reply-threshold 200"), "+OK");
    for (watches, changes) in [(&keys[..1], &keys[..1]), (&keys[..1], &keys[1..]), (&keys[..], &keys[..])] {
        let (mut runner, mut client) = (server.client(), server.client());
        assert_eq!(client.line(&format!("WATCH {}", watches.join(" "))), "+OK");
        assert_eq!(client.line("MULTI"), "+OK");
        changes.iter().for_each(|key| assert_eq!(client.line(&format!("INCR {key}")), "+QUEUED"));
        runner.send(&["EVAL", "while true do end", "1", &keys[0]]);
        until("the script runs", || other.line("CLIENT LIST").contains("cmd=eval").then_some(()));
        let reply = client.line("EXEC");
        assert!(reply.starts_with("-EXECABORT") && reply.contains("BUSY"), "{reply}");
        assert_eq!(other.line("SCRIPT KILL"), "+OK");
        runner.read();
        until("nothing is watched", || (info(&mut other, "total_watched_keys") == 0).then_some(()));
    }
}

#[test]
fn an_exec_that_watches_a_key_of_a_busy_shard_is_told_so() {
    let server = server("2");
    let [busy, free] = [key_of(0), key_of(1)];
    let (mut runner, mut client, mut other) = (server.client(), server.client(), server.client());
    assert_eq!(other.line("CONFIG SET busy-reply-threshold 20"), "+OK");
    runner.send(&["EVAL", "while true do end", "1", &busy]);
    until("the shard is busy", || other.line(&format!("GET {busy}")).starts_with("-BUSY").then_some(()));
    assert_eq!(client.line(&format!("WATCH {busy}")), "+OK");
    assert_eq!(client.line("MULTI"), "+OK");
    assert_eq!(client.line(&format!("INCR {free}")), "+QUEUED");
    let reply = client.line("EXEC");
    assert!(reply.starts_with("-EXECABORT") && reply.contains("BUSY"), "{reply}");
    assert_eq!(other.line("SCRIPT KILL"), "+OK");
    runner.read();
    assert_eq!(client.line(&format!("GET {free}")), "nil");
}
