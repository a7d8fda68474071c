//! WATCH: every change of a key counts, wherever the key is, and nothing else does.

use super::{check, info, servers};
use lacewing_tests::{Client, Server, until};

/// Runs `before`, watches keys on several shards, has another client run `change`, and says what EXEC answers.
fn exec_after(server: &Server, before: &[&str], watch: &str, change: &[&str]) -> String {
    let (mut client, mut other) = (server.client(), server.client());
    client.line("FLUSHALL");
    before.iter().for_each(|line| drop(client.line(line)));
    client.line("SELECT 0");
    assert_eq!(client.line(watch), "+OK");
    for line in change {
        let reply = other.line(line);
        assert!(!reply.starts_with("-ERR"), "{line}: {reply}");
    }
    client.line("MULTI");
    client.line("SET out 1");
    client.line("EXEC")
}

#[track_caller]
fn check_change(before: &[&str], watch: &str, change: &[&str], is_seen: bool) {
    let expected = if is_seen { "nil[]" } else { "[+OK]" };
    for server in servers() {
        let reply = exec_after(&server, before, watch, change);
        assert_eq!(reply, expected, "{before:?}, {watch}, {change:?}");
    }
}

#[test]
fn changes_of_any_kind_are_seen() {
    let before = ["MSET a 1 b 2 c 3 d 4 x2 1", "RPUSH l 1 2"];
    for change in [
        "SET a 1",
        "DEL d",
        "APPEND b x",
        "EXPIRE c 100",
        "MSET x 1 b 2",
        "DEL x c",
        "RENAME a q",
        "RENAME x2 d",
        "COPY x2 a REPLACE",
        "LMOVE l a2 LEFT LEFT",
        "FLUSHALL",
        "FLUSHDB",
        "SWAPDB 0 1",
        "GETDEL c",
        "SORT l STORE b",
    ] {
        check_change(&before, "WATCH a b c d a2", &[change], true);
    }
}

#[test]
fn what_is_restored_or_moved_here_is_seen() {
    for server in servers() {
        let mut client = server.client();
        client.line("SET source value");
        let resp::Value::Bulk(dump) = client.call(&["DUMP", "source"]) else { panic!("DUMP answers bytes") };
        for watched in ["a", "b", "c", "d"] {
            assert_eq!(client.line(&format!("WATCH {watched}")), "+OK");
            let mut other = server.client();
            other.call(&[b"RESTORE".as_slice(), watched.as_bytes(), b"0", &dump]);
            client.line("MULTI");
            client.line("PING");
            assert_eq!(client.line("EXEC"), "nil[]", "{watched}");
        }
    }
    check_change(&["SELECT 1", "SET a 1"], "WATCH a b", &["SELECT 1", "MOVE a 0"], true);
}

#[test]
fn what_changes_nothing_is_not_seen() {
    let before = ["MSET a 1 b 2", "SELECT 1", "SET a 9", "SET c 9"];
    for change in
        [&["GET a"][..], &["SET x 1"], &["SELECT 1", "SET a 2"], &["DEL c"], &["PERSIST a"], &["TOUCH b"]]
    {
        check_change(&before, "WATCH a b c", change, false);
    }
    check_change(&["SET x 1"], "WATCH a b c", &["FLUSHALL", "SWAPDB 0 1"], false);
}

#[test]
fn a_change_by_the_client_itself_is_seen_too() {
    check(&["WATCH a b c", "SET b 1", "MULTI", "GET b", "EXEC"], "nil[]");
    check(&["WATCH a b c", "RENAME x y", "MULTI", "GET b", "EXEC"], "[nil]");
    check(&["SET a 1", "WATCH a b", "RENAME a b", "MULTI", "GET b", "EXEC"], "nil[]");
    check(&["SET a 1", "RENAME a b", "WATCH a b", "MULTI", "GET b", "EXEC"], "[\"1\"]");
}

#[test]
fn after_exec_unwatch_discard_or_a_failed_exec_nothing_is_watched() {
    check(&["WATCH a b", "MULTI", "EXEC", "SET a 1", "MULTI", "GET a", "EXEC"], "[\"1\"]");
    check(&["WATCH a b", "SET a 1", "UNWATCH", "MULTI", "GET a", "EXEC"], "[\"1\"]");
    check(&["WATCH a b", "SET a 1", "MULTI", "DISCARD", "MULTI", "GET a", "EXEC"], "[\"1\"]");
    check(&["WATCH a b", "SET a 1", "MULTI", "NOSUCH", "EXEC", "MULTI", "GET a", "EXEC"], "[\"1\"]");
    check(&["WATCH a b", "SET a 1", "MULTI", "EXEC", "MULTI", "GET a", "EXEC"], "[\"1\"]");
    check(&["WATCH a", "SET a 1", "WATCH b", "MULTI", "GET a", "EXEC"], "nil[]");
}

#[test]
fn an_expiry_is_a_change_unless_it_came_before() {
    for server in servers() {
        let mut client = server.client();
        for keys in ["a b", "c d", "e"] {
            client.line(&format!("SET {} 1 PX 200", &keys[..1]));
            client.line(&format!("WATCH {keys}"));
            let mut other = server.client();
            until("it expires", || (other.line(&format!("PTTL {}", &keys[..1])) == ":-2").then_some(()));
            client.line("MULTI");
            client.line("SET out 1");
            assert_eq!(client.line("EXEC"), "nil[]", "{keys}");
        }
        client.line("DEBUG SET-ACTIVE-EXPIRE 0");
        client.line("SET z 1 PX 1");
        let mut other = server.client();
        until("its time has passed", || (other.line("OBJECT ENCODING z") == "nil").then_some(()));
        client.line("WATCH z y");
        other.line("DEL z");
        other.line("FLUSHALL");
        client.line("MULTI");
        client.line("SET out 1");
        assert_eq!(client.line("EXEC"), "[+OK]", "it had expired when it was watched");
    }
}

#[test]
fn an_eviction_is_a_change() {
    for server in servers() {
        let (mut client, mut other) = (server.client(), server.client());
        let value = "v".repeat(2_000);
        for key in ["a", "b", "c", "d"] {
            client.call(&["SET", key, &value]);
        }
        client.line("WATCH a b c d");
        other.line("CONFIG SET maxmemory-policy allkeys-random");
        other.line("CONFIG SET maxmemory 1");
        until("one is evicted", || (info(&mut other, "evicted_keys") > 0).then_some(()));
        other.line("CONFIG SET maxmemory 0");
        client.line("MULTI");
        client.line("PING");
        assert_eq!(client.line("EXEC"), "nil[]");
    }
}

#[test]
fn watches_are_counted_and_end_with_their_connection() {
    for server in servers() {
        let (mut client, mut other) = (server.client(), server.client());
        let counts =
            |other: &mut Client| (info(other, "watching_clients"), info(other, "total_watched_keys"));
        client.line("WATCH a b c d e f g h");
        client.line("WATCH a b");
        let mut third = server.client();
        third.line("WATCH a x");
        assert_eq!(counts(&mut other), (2, 9));
        let list = lacewing_tests::show(&other.call(&["CLIENT", "LIST"]));
        assert!(list.contains("watch=8") && list.contains("watch=2") && list.contains("watch=0"), "{list}");
        drop(client);
        until("its watches are gone", || (counts(&mut other) == (1, 2)).then_some(()));
        third.line("UNWATCH");
        until("all are gone", || (counts(&mut other) == (0, 0)).then_some(()));
    }
}
