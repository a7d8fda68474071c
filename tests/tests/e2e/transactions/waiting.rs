//! Clients that wait for keys, and transactions: they are served after the whole, and nothing waits inside.

use super::{check, info, servers};
use lacewing_tests::{Client, Server, show, until};

/// Keys on all shards, so that each of a few queues is on home's shard, on another, and on several.
const TAGS: [&str; 4] = ["a", "b", "c", "d"];

/// Clients that wait, each with its command, in this order; `TAG` in lines is replaced.
fn waiting(server: &Server, lines: &[String]) -> Vec<Client> {
    let mut other = server.client();
    let mut clients = Vec::new();
    for line in lines {
        let mut client = server.client();
        client.send(&line.split(' ').collect::<Vec<_>>());
        clients.push(client);
        until("it waits", || (info(&mut other, "blocked_clients") == clients.len() as u64).then_some(()));
    }
    clients
}

/// With clients that `wait`, plays a transaction. `{t}` stands for a tag: with one for all, every key is on one shard.
/// `others` are commands put in front of the queue, over all shards. Compares EXEC's reply without theirs, and what each
/// client that waited was answered; one of whom `still` is expected is then served by that.
#[track_caller]
fn check_served(wait: &[&str], queue: &[&str], reply: &str, served: &[&str]) {
    for server in servers() {
        for (tag, is_spread) in TAGS.iter().flat_map(|tag| [(tag, false), (tag, true)]) {
            let line = |line: &&str| line.replace("{t}", &format!("{{{tag}}}"));
            let lines: Vec<String> = wait.iter().map(line).collect();
            let mut waiting = waiting(&server, &lines);
            let mut client = server.client();
            let spread = ["SET a 1", "SET b 1", "SET c 1", "SET d 1"];
            let before = if is_spread { &spread[..] } else { &[] };
            client.line("MULTI");
            for line in before.iter().map(|line| (*line).to_owned()).chain(queue.iter().map(line)) {
                assert_eq!(client.line(&line), "+QUEUED", "{line}");
            }
            let got = client.line("EXEC");
            let got = before.iter().fold(got, |got, _| got.replacen("+OK, ", "", 1));
            let tagged = |text: &&str| text.replace("{t}", &format!("{{{tag}}}"));
            assert_eq!(got, tagged(&reply), "{queue:?}, tag {tag}, spread: {is_spread}");
            for (client, reply) in waiting.iter_mut().zip(served) {
                assert_eq!(show(&client.read()), tagged(reply), "{wait:?}, {queue:?}, tag {tag}");
            }
            client.line("FLUSHALL");
            waiting.clear();
            until("they have gone", || (info(&mut client, "connected_clients") == 1).then_some(()));
        }
    }
}

#[test]
fn who_waits_gets_what_is_left_after_the_whole() {
    check_served(
        &["BLPOP {t}l 0"],
        &["RPUSH {t}l a b", "LPOP {t}l", "LLEN {t}l"],
        "[:2, \"a\", :1]",
        &[r#"["{t}l", "b"]"#],
    );
    check_served(
        &["BLPOP {t}l 0", "BRPOP {t}l 0", "BLPOP {t}l 0"],
        &["RPUSH {t}l a", "RPUSH {t}l b c", "LREM {t}l 0 b"],
        "[:1, :3, :1]",
        &[r#"["{t}l", "a"]"#, r#"["{t}l", "c"]"#],
    );
    check_served(
        &["BZPOPMIN {t}z 0", "BZPOPMAX {t}z 0"],
        &["ZADD {t}z 5 five", "ZADD {t}z 1 one 3 three", "ZREM {t}z one"],
        "[:1, :2, :1]",
        &[r#"["{t}z", "three", "3"]"#, r#"["{t}z", "five", "5"]"#],
    );
}

#[test]
fn what_is_gone_at_the_end_wakes_nobody() {
    for change in ["DEL {t}l", "LPOP {t}l", "RENAME {t}l {t}m", "LTRIM {t}l 1 0"] {
        let queue = ["RPUSH {t}l a", change, "RPUSH {t}other x"];
        for server in servers() {
            for tag in TAGS {
                let line = |line: &str| line.replace("{t}", &format!("{{{tag}}}"));
                let mut waiting = waiting(&server, &[line("BLPOP {t}l 0")]);
                let mut client = server.client();
                client.line("MULTI");
                queue.iter().for_each(|one| drop(client.line(&line(one))));
                client.line("EXEC");
                assert_eq!(info(&mut client, "blocked_clients"), 1, "{change}");
                assert_eq!(client.line(&line("RPUSH {t}l z")), ":1");
                assert_eq!(show(&waiting[0].read()), line(r#"["{t}l", "z"]"#));
                client.line("FLUSHALL");
            }
        }
    }
}

#[test]
fn one_who_is_served_serves_the_next() {
    check_served(
        &["BLPOP {t}m 0", "BLMOVE {t}l {t}m LEFT LEFT 0"],
        &["RPUSH {t}l a", "RPUSH {t}other 1"],
        "[:1, :1]",
        &[r#"["{t}m", "a"]"#, "\"a\""],
    );
}

#[test]
fn one_that_waits_for_several_keys_takes_the_first_that_it_named() {
    // As in Redis 7.2, which runs its command anew; 7.0 gave it the key that was ready first.
    check_served(
        &["BLPOP {t}k {t}l 0", "BLPOP {t}l {t}k 0"],
        &["RPUSH {t}l 1", "RPUSH {t}k 2"],
        "[:1, :1]",
        &[r#"["{t}k", "2"]"#, r#"["{t}l", "1"]"#],
    );
}

#[test]
fn nothing_waits_inside() {
    check(&["MULTI", "BLPOP a b c 0", "RPUSH b 1", "EXEC"], "[nil[], :1]");
    check(
        &["RPUSH b 1 2", "MULTI", "BLPOP a b c 0", "BRPOP c d b 0", "BLPOP b 0", "EXEC"],
        r#"[["b", "1"], ["b", "2"], nil[]]"#,
    );
    check(
        &[
            "RPUSH a 1",
            "MULTI",
            "BLMOVE a b LEFT RIGHT 0",
            "BLMOVE a b LEFT RIGHT 0",
            "BRPOPLPUSH b c 0",
            "BLMPOP 0 3 a b c LEFT COUNT 2",
            "BLMPOP 0 3 a b c LEFT",
            "EXEC",
        ],
        r#"["1", nil, "1", ["c", ["1"]], nil[]]"#,
    );
    check(
        &["ZADD d 1 m", "MULTI", "BZPOPMIN a b 0", "BZPOPMAX c d 0", "BZMPOP 0 2 a b MIN", "EXEC"],
        r#"[nil[], ["d", "m", "1"], nil[]]"#,
    );
    check(
        &[
            "XADD s 1-1 f v",
            "XGROUP CREATE s g $",
            "MULTI",
            "XREAD BLOCK 0 STREAMS s t $ $",
            "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
            "XREAD BLOCK 0 STREAMS s 0",
            "EXEC",
        ],
        r#"[nil[], nil[], [["s", [["1-1", ["f", "v"]]]]]]"#,
    );
}

#[test]
fn what_a_waiter_takes_is_a_change_for_who_watches() {
    for server in servers() {
        for key in ["a", "b", "c", "d"] {
            let (mut client, mut other) = (server.client(), server.client());
            let mut waiting = waiting(&server, &[format!("BLPOP {key} 0")]);
            client.line(&format!("WATCH {key}"));
            assert_eq!(other.line(&format!("RPUSH {key} 1")), ":1");
            waiting[0].read();
            client.line("MULTI");
            client.line("PING");
            assert_eq!(client.line("EXEC"), "nil[]", "{key}");
        }
    }
}

#[test]
fn a_transaction_that_fails_wakes_nobody() {
    for server in servers() {
        let mut waiting = waiting(&server, &["BLPOP b 0".to_owned()]);
        let (mut client, mut other) = (server.client(), server.client());
        client.line("WATCH a b");
        other.line("SET a 1");
        client.line("MULTI");
        client.line("RPUSH b 1");
        assert_eq!(client.line("EXEC"), "nil[]");
        assert_eq!(info(&mut other, "blocked_clients"), 1);
        other.line("RPUSH b 2");
        assert_eq!(show(&waiting[0].read()), r#"["b", "2"]"#);
    }
}
