//! Transactions that arrive whole, in one piece, are what they are when they arrive command by command.

use super::{info, servers};
use lacewing_tests::{Client, Server, show, until};

/// Sends `lines` one by one, or at once. Returns all replies.
fn play(client: &mut Client, lines: &[&str], at_once: bool) -> Vec<String> {
    if !at_once {
        return lines.iter().map(|line| client.line(line)).collect();
    }
    let commands: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    client.pipeline(&commands).iter().map(show).collect()
}

/// What others see of `lines`: those who listen, who wait for a list, who monitor, and who count.
fn seen(server: &Server, tag: &str, lines: &[&str], at_once: bool) -> (Vec<String>, Vec<String>) {
    let lines: Vec<String> = lines.iter().map(|line| line.replace("{t}", &format!("{{{tag}}}"))).collect();
    let mut other = server.client();
    other.line("FLUSHALL");
    other.line("CONFIG RESETSTAT");
    other.line("CONFIG SET notify-keyspace-events EA");
    let (mut listener, mut waiting, mut client) = (server.client(), server.client(), server.client());
    listener.send(&["PSUBSCRIBE", "*"]);
    listener.read();
    waiting.send(&["BLPOP", &format!("{{{tag}}}waited"), "0"]);
    until("it waits", || (info(&mut other, "blocked_clients") == 1).then_some(()));
    let before = info(&mut other, "rdb_changes_since_last_save");
    let replies = play(&mut client, &lines.iter().map(String::as_str).collect::<Vec<_>>(), at_once);
    let mut seen = vec![show(&waiting.read())];
    client.line("PUBLISH the end");
    loop {
        let message = show(&listener.read());
        if message.contains("the") {
            break;
        }
        seen.push(message);
    }
    let stats = other.line("INFO commandstats");
    for command in ["multi", "exec", "set", "get", "incr", "lpush", "discard", "watch"] {
        let calls = |field: &str| {
            let line = stats.split(&format!("cmdstat_{command}:")).nth(1)?;
            line.split(&format!("{field}=")).nth(1)?.split([',', '\\']).next()
        };
        let fields = ["calls", "rejected_calls", "failed_calls"].map(calls);
        seen.push(format!("{command}: {fields:?}"));
    }
    seen.push(format!("{} changes", info(&mut other, "rdb_changes_since_last_save") - before));
    (replies, seen)
}

#[track_caller]
fn check(lines: &[&str]) {
    let served = ["LPUSH {t}waited 1"];
    let lines = [lines, &served].concat();
    for server in servers() {
        for tag in ["a", "b", "c"] {
            let (piecewise, whole) = (seen(&server, tag, &lines, false), seen(&server, tag, &lines, true));
            assert_eq!(piecewise, whole, "{lines:?}, tag {tag}");
        }
    }
}

#[test]
fn others_see_the_same() {
    check(&["MULTI", "SET {t}k 1", "INCR {t}k", "GET {t}k", "LPUSH {t}waited 2", "EXEC"]);
    check(&["MULTI", "EXEC", "MULTI", "SET {t}k 1", "EXEC", "GET {t}k", "MULTI", "GET {t}k", "EXEC"]);
    check(&["SET {t}k v", "MULTI", "INCR {t}k", "LPUSH {t}k 1", "SET {t}k 5", "INCR {t}k", "EXEC"]);
}

#[test]
fn what_goes_wrong_goes_wrong_in_the_same_way() {
    check(&["MULTI", "SET {t}k 1", "SET {t}k", "INCR {t}k", "EXEC", "GET {t}k"]);
    check(&["MULTI", "SET {t}k 1", "NOSUCH {t}k", "EXEC", "GET {t}k"]);
    check(&["MULTI", "MULTI", "SET {t}k 1", "EXEC", "EXEC", "GET {t}k"]);
    check(&["MULTI", "SET {t}k 1", "DISCARD", "EXEC", "GET {t}k"]);
    check(&["EXEC", "MULTI", "SET {t}k 1", "WATCH {t}k", "EXEC", "GET {t}k"]);
}

#[test]
fn watched_keys_are_looked_at() {
    check(&["WATCH {t}k", "SET {t}k 1", "MULTI", "SET {t}k 2", "EXEC", "GET {t}k"]);
    check(&["WATCH {t}k", "MULTI", "SET {t}k 2", "EXEC", "MULTI", "SET {t}k 3", "EXEC", "GET {t}k"]);
    for server in servers() {
        let (mut client, mut other) = (server.client(), server.client());
        client.line("WATCH k");
        play(&mut other, &["MULTI", "SET k 1", "EXEC"], true);
        assert_eq!(play(&mut client, &["MULTI", "GET k", "EXEC"], true), ["+OK", "+QUEUED", "nil[]"]);
        assert_eq!(play(&mut client, &["MULTI", "GET k", "EXEC"], true), ["+OK", "+QUEUED", "[\"1\"]"]);
    }
}

#[test]
fn clients_in_other_states_are_answered_as_ever() {
    for server in servers() {
        let (mut client, mut other) = (server.client(), server.client());
        let block = ["MULTI", "SET k 1", "GET k", "EXEC"];
        let off = [&["CLIENT REPLY OFF"], &block[..], &["CLIENT REPLY ON", "GET k"]].concat();
        off.iter().for_each(|line| client.send_line(line));
        assert_eq!([(); 2].map(|()| show(&client.read())), ["+OK", "\"1\""]);
        let skip = [&["CLIENT REPLY SKIP"], &block[..]].concat();
        skip.iter().for_each(|line| client.send_line(line));
        assert_eq!([(); 3].map(|()| show(&client.read())), ["+QUEUED", "+QUEUED", "[+OK, \"1\"]"]);
        let mut monitor = server.client();
        assert_eq!(monitor.line("MONITOR"), "+OK");
        play(&mut other, &block, true);
        let lines: Vec<String> = block.iter().map(|_| show(&monitor.read())).collect();
        for (line, word) in lines.iter().zip(["multi", "set", "get", "exec"]) {
            assert!(line.to_lowercase().contains(word), "{lines:?}");
        }
    }
}

#[test]
fn nothing_is_admitted_that_was_not_before() {
    let server = Server::with(&["--requirepass", "secret", "--cores", "1"]);
    let replies = play(&mut server.client(), &["MULTI", "SET k 1", "EXEC"], true);
    assert!(replies.iter().all(|reply| reply.contains("NOAUTH")), "{replies:?}");
    let server = Server::with(&["--maxmemory", "1", "--maxmemory-policy", "noeviction", "--cores", "1"]);
    let replies = play(&mut server.client(), &["MULTI", "SET k 1", "EXEC"], true);
    assert!(replies[1].starts_with("-OOM") && replies[2].starts_with("-EXECABORT"), "{replies:?}");
}
