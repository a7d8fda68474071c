//! MULTI, EXEC, DISCARD, WATCH: on one core, and over several.

mod concurrent;
mod telling;
mod waiting;
mod watching;
mod whole;

use lacewing_tests::{Client, Server, show, until};
use resp::Value;

/// Servers of one core and of four.
fn servers() -> [Server; 2] {
    ["1", "4"].map(|cores| {
        Server::with(&["--cores", cores, "--pin", "no", "--enable-debug-command", "yes", "--databases", "16"])
    })
}

/// Plays `lines`, one by one on one server and at once on the next, and compares the last reply.
#[track_caller]
fn check(lines: &[&str], expected: &str) {
    for server in servers() {
        let mut client = server.client();
        let replies: Vec<String> = lines.iter().map(|line| client.line(line)).collect();
        assert_eq!(replies.last().map(String::as_str), Some(expected), "{lines:?}: {replies:?}");
        client.line("DISCARD");
        client.line("SELECT 0");
        client.line("FLUSHALL");
        let commands: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
        let replies: Vec<String> = client.pipeline(&commands).iter().map(show).collect();
        assert_eq!(replies.last().map(String::as_str), Some(expected), "at once, {lines:?}: {replies:?}");
    }
}

#[track_caller]
pub(crate) fn info(client: &mut Client, field: &str) -> u64 {
    let Value::Bulk(text) = client.call(&["INFO", "everything"]) else { panic!("INFO answers text") };
    let text = String::from_utf8(text).expect("INFO is text");
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in {text}")).parse().expect("a number")
}

#[test]
fn replies_come_in_the_order_of_the_queue() {
    check(
        &["MULTI", "SET a 1", "SET b 2", "INCR a", "GET b", "SET c 3", "MGET a b c d", "DEL a b c d", "EXEC"],
        "[+OK, +OK, :2, \"2\", +OK, [\"2\", \"2\", \"3\", nil], :3]",
    );
    check(&["MULTI", "PING", "GET a", "ECHO x", "GET b", "PING", "EXEC"], "[+PONG, nil, \"x\", nil, +PONG]");
    check(&["MULTI", "EXEC"], "[]");
}

#[test]
fn commands_over_several_shards_work_inside() {
    check(
        &["MULTI", "MSET a 1 b 2 c 3", "RENAME a z", "COPY b y", "MSETNX q 1 c 2", "MGET z y c q a", "EXEC"],
        "[+OK, +OK, :1, :0, [\"1\", \"2\", \"3\", nil, nil]]",
    );
    check(
        &["MULTI", "SADD a 1 2", "SADD b 2 3", "SINTERSTORE c a b", "SUNIONSTORE d a b", "SCARD d", "EXEC"],
        "[:2, :2, :1, :3, :3]",
    );
    check(
        &["MULTI", "RPUSH l 1 2 3", "MSET w_1 3 w_2 2 w_3 1", "SORT l BY w_* GET # GET w_*", "EXEC"],
        "[:3, +OK, [\"3\", \"1\", \"2\", \"2\", \"1\", \"3\"]]",
    );
}

#[test]
fn commands_over_all_keys_work_inside() {
    check(
        &[
            "MSET a 1 b 2 c 3",
            "MULTI",
            "DBSIZE",
            "DEL a",
            "DBSIZE",
            "FLUSHALL",
            "DBSIZE",
            "SET x 1",
            "KEYS *",
            "EXEC",
        ],
        "[:3, :1, :2, +OK, :0, +OK, [\"x\"]]",
    );
    check(
        &["SET a 1", "MULTI", "SWAPDB 0 1", "GET a", "SELECT 1", "GET a", "EXEC"],
        "[+OK, nil, +OK, \"1\"]",
    );
    check(
        &["MULTI", "SET a 1", "CONFIG SET maxmemory-samples 7", "CONFIG GET maxmemory-samples", "EXEC"],
        "[+OK, +OK, [\"maxmemory-samples\", \"7\"]]",
    );
    check(&["SET a 1", "MULTI", "SCAN 0 COUNT 100", "EXEC"], "[[\"0\", [\"a\"]]]");
}

#[test]
fn the_connection_changes_at_its_place() {
    check(
        &["MULTI", "SELECT 1", "SET a one", "SELECT 0", "GET a", "SELECT 1", "GET a", "EXEC"],
        "[+OK, +OK, +OK, nil, +OK, \"one\"]",
    );
    check(&["MULTI", "SELECT 5", "EXEC", "SET a 5", "SELECT 0", "GET a"], "nil");
    check(&["MULTI", "CLIENT SETNAME me", "SET a 1", "CLIENT GETNAME", "EXEC"], "[+OK, +OK, \"me\"]");
    for server in servers() {
        let mut client = server.client();
        for line in ["MULTI", "HGETALL h", "HELLO 3", "HGETALL h", "HGETALL g"] {
            client.line(line);
        }
        let Value::Array(replies) = client.call(&["EXEC"]) else { panic!("EXEC answers an array") };
        assert_eq!(show(&replies[0]), "[]");
        assert_eq!((show(&replies[2]), show(&replies[3])), ("{}".into(), "{}".into()));
    }
}

#[test]
fn what_cannot_be_queued_aborts_and_what_fails_does_not() {
    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
    for wrong in ["NOSUCH a b", "GET", "CLIENT NOSUCH", "SHUTDOWN NOSAVE"] {
        check(&["MULTI", "SET a 1", wrong, "SET b 1", "EXEC"], aborted);
        check(&["MULTI", "SET a 1", wrong, "EXEC", "MGET a b"], "[nil, nil]");
    }
    check(&["MULTI", "SHUTDOWN NOSAVE"], "-ERR Command not allowed inside a transaction");
    let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    check(
        &["SET a x", "MULTI", "LPUSH a 1", "SET b 2", "LPUSH a 2", "GET b", "EXEC"],
        &format!("[{wrong_type}, +OK, {wrong_type}, \"2\"]"),
    );
    let arity = r"-ERR wrong number of arguments for \'mset\' command";
    check(&["MULTI", "MSET a 1 b", "MSET c 1 d 2", "EXEC"], &format!("[{arity}, +OK]"));
    check(&["MULTI", "MULTI"], "-ERR MULTI calls can not be nested");
    check(&["MULTI", "MULTI", "SET a 1", "EXEC"], "[+OK]");
    check(&["MULTI", "WATCH a"], "-ERR WATCH inside MULTI is not allowed");
    check(&["MULTI", "WATCH a", "SET a 1", "EXEC"], "[+OK]");
    check(
        &["MULTI", "SET a 1", "EXEC now"],
        r"-EXECABORT Transaction discarded because of: wrong number of arguments for \'exec\' command",
    );
    check(&["MULTI", "SET a 1", "EXEC now", "EXEC"], "-ERR EXEC without MULTI");
}

#[test]
fn discard_and_reset_forget_the_queue() {
    check(&["MULTI", "SET a 1", "DISCARD"], "+OK");
    check(&["MULTI", "SET a 1", "DISCARD", "GET a"], "nil");
    check(&["MULTI", "SET a 1", "DISCARD", "EXEC"], "-ERR EXEC without MULTI");
    check(&["MULTI", "NOSUCH", "DISCARD", "MULTI", "PING", "EXEC"], "[+PONG]");
    check(&["MULTI", "SET a 1", "RESET", "GET a"], "nil");
    check(&["WATCH a", "SET a 1", "RESET", "MULTI", "GET a", "EXEC"], "[\"1\"]");
}

#[test]
fn replies_that_are_not_wanted_are_not_sent() {
    for server in servers() {
        for (lines, sent) in [
            (vec!["CLIENT REPLY OFF", "MULTI", "SET a 1", "SET b 2", "EXEC", "CLIENT REPLY ON"], vec!["+OK"]),
            (vec!["CLIENT REPLY SKIP", "MULTI", "MSET a 1 b 2", "EXEC"], vec!["+QUEUED", "[+OK]"]),
            // CLIENT REPLY has no reply, and the command after EXEC none either: as in Redis, ECHO's is taken for the last.
            (
                vec!["MULTI", "CLIENT REPLY SKIP", "SET a 1", "EXEC", "PING", "ECHO x"],
                vec!["+OK", "+QUEUED", "+QUEUED", "[+OK, \"x\"]"],
            ),
        ] {
            let mut client = server.client();
            for line in &lines {
                client.send(&line.split(' ').collect::<Vec<_>>());
            }
            let got: Vec<String> = sent.iter().map(|_| show(&client.read())).collect();
            assert_eq!(got, sent, "{lines:?}");
        }
    }
}

#[test]
fn a_full_memory_is_told_at_queueing_and_at_exec() {
    for server in servers() {
        let (mut client, mut other) = (server.client(), server.client());
        let oom = r"OOM command not allowed when used memory > \'maxmemory\'.";
        other.line("SET fill 1234567890");
        client.line("MULTI");
        client.line("SET a 1");
        client.line("GET b");
        other.line("CONFIG SET maxmemory 1");
        assert_eq!(client.line("EXEC"), format!("-EXECABORT Transaction discarded because of: {oom}"));
        assert_eq!(client.line("MULTI"), "+OK");
        assert_eq!(client.line("GET fill"), format!("-{oom}"), "nothing is queued while memory is full");
        assert_eq!(client.line("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
        client.line("MULTI");
        other.line("CONFIG SET maxmemory 0");
        client.line("GET fill");
        client.line("GET a");
        other.line("CONFIG SET maxmemory 1");
        assert_eq!(client.line("EXEC"), "[\"1234567890\", nil]", "what only reads runs");
    }
}

#[test]
fn a_queue_counts_as_query_buffer_and_is_shown() {
    let server = Server::with(&["--client-query-buffer-limit", "1mb"]);
    let (mut client, mut other) = (server.client(), server.client());
    client.line("MULTI");
    client.line("SET a 1");
    client.line("SET b 1");
    let id = "flags=x db=0 sub=0 psub=0 ssub=0 multi=2 ";
    let list = show(&other.call(&["CLIENT", "LIST"]));
    assert!(list.contains(id), "{list}");
    client.line("DISCARD");
    assert!(!show(&other.call(&["CLIENT", "LIST"])).contains("flags=x"));
    client.line("MULTI");
    let value = "v".repeat(10_000);
    let mut sent = (0..10_000).map(|_| client.try_send_bytes(&command(&["SET", "a", &value])));
    assert!(sent.any(|sent| sent.is_err()), "it is closed");
    until("the client is gone", || (info(&mut other, "connected_clients") == 1).then_some(()));
    assert_eq!(info(&mut other, "client_query_buffer_limit_disconnections"), 1);
    assert_eq!(other.line("GET a"), "nil");
}

fn command(args: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp::encode_command(args, &mut bytes);
    bytes
}

#[test]
fn exec_and_what_it_ran_are_counted() {
    for server in servers() {
        let mut client = server.client();
        for line in ["MULTI", "SET a 1", "SET b 2", "INCR nosuch", "LPUSH a 1", "MGET a b", "EXEC"] {
            client.line(line);
        }
        let stats = show(&client.call(&["INFO", "commandstats"]));
        for (name, calls) in [("multi", 1), ("exec", 1), ("set", 2), ("incr", 1), ("lpush", 1), ("mget", 1)] {
            assert!(stats.contains(&format!("cmdstat_{name}:calls={calls},")), "{name}: {stats}");
        }
        assert!(stats.contains("failed_calls=1"), "{stats}");
    }
}

#[test]
fn exec_waits_for_the_end_of_a_pause_for_writes() {
    for server in servers() {
        let (mut client, mut other) = (server.client(), server.client());
        client.line("MULTI");
        client.line("SET a 1");
        client.line("SET b 2");
        other.line("CLIENT PAUSE 100000 WRITE");
        client.send(&["EXEC"]);
        until("it is held back", || (info(&mut other, "blocked_clients") == 1).then_some(()));
        assert_eq!(other.line("MGET a b"), "[nil, nil]");
        other.line("CLIENT UNPAUSE");
        assert_eq!(show(&client.read()), "[+OK, +OK]");
    }
}

#[test]
fn slow_commands_inside_are_in_the_slow_log_and_exec_is_not() {
    for server in servers() {
        let mut client = server.client();
        client.line("CONFIG SET slowlog-log-slower-than 0");
        client.line("SLOWLOG RESET");
        for line in ["MULTI", "SET a 1", "SET b 2", "EXEC"] {
            client.line(line);
        }
        let log = until("both are there", || {
            let log = show(&client.call(&["SLOWLOG", "GET", "128"]));
            (log.contains("\"SET\", \"a\"") && log.contains("\"SET\", \"b\"")).then_some(log)
        });
        assert!(!log.contains("\"EXEC\""), "{log}");
    }
}
