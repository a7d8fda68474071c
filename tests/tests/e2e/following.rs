//! A master's stream that is applied: by hand (DEBUG STREAM), so that the test is the master.

use std::sync::Arc;

use lacewing_tests::{Client, Server, show, until};
use resp::encode_command;
use stdx::rng::Rng;
use tempfile::TempDir;

use crate::disk::directory;

fn server(dir: &Arc<TempDir>, cores: u16, args: &[&str]) -> Server {
    let cores = cores.to_string();
    let own = ["--pin", "no", "--save", "", "--enable-debug-command", "yes", "--cores", &cores];
    Server::on(Arc::clone(dir), &[&own, args].concat())
}

/// The master's history.
fn replid() -> String {
    "a".repeat(40)
}

/// A stream from its beginning, and where it is.
#[derive(Default)]
struct Stream(Vec<u8>);

impl Stream {
    fn say(&mut self, line: &str) {
        encode_command(&line.split(' ').collect::<Vec<_>>(), &mut self.0);
    }

    fn of(lines: &[&str]) -> Self {
        let mut stream = Self::default();
        lines.iter().for_each(|line| stream.say(line));
        stream
    }
}

fn begin(client: &mut Client, offset: u64, db: u16) {
    let reply = client.line(&format!("DEBUG STREAM FROM {} {offset} {db}", replid()));
    assert!(reply.starts_with('"'), "{reply}");
}

fn feed(client: &mut Client, bytes: &[u8]) {
    for piece in bytes.chunks(100_000) {
        client.send(&[b"DEBUG", b"STREAM".as_slice(), b"FEED", piece]);
        let _ = client.read();
    }
}

/// The offset and the database up to which the stream was applied, if the data is a master's.
fn position(client: &mut Client) -> Option<(u64, u16)> {
    let reply = client.line("DEBUG STREAM");
    let text = reply.trim_matches('"');
    let mut words = text.split(' ');
    if text == "none" {
        return None;
    }
    assert_eq!(words.next(), Some(replid().as_str()), "{reply}");
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).expect("a number");
    Some((number(), number() as u16))
}

#[track_caller]
fn until_applied(client: &mut Client, offset: usize) {
    until("the stream is applied", || {
        position(client).is_some_and(|(at, _)| at == offset as u64).then_some(())
    });
}

/// Has a server apply the stream, and compares what it answers.
#[track_caller]
fn check(stream: &[&str], expected: &[(&str, &str)]) {
    for cores in [1, 3] {
        let server = server(&directory(), cores, &[]);
        let (mut client, stream) = (server.client(), Stream::of(stream));
        begin(&mut client, 0, 0);
        feed(&mut client, &stream.0);
        until_applied(&mut client, stream.0.len());
        for (line, expected) in expected {
            assert_eq!(client.line(line), *expected, "{line}, {cores} cores");
        }
    }
}

#[test]
fn a_stream_is_run_as_its_master_ran_it() {
    check(
        &[
            "SELECT 0",
            "SET a 1",
            "MULTI",
            "INCR a",
            "SET b 2",
            "SELECT 3",
            "SET c 3",
            "EXEC",
            "SET d 4",
            "PING",
            "SELECT 0",
            "MSET e 5 f 6 g 7",
            "RENAME e h",
            "REPLCONF GETACK *",
            "LPUSH list x y",
            "SWAPDB 0 3",
        ],
        &[
            ("SELECT 3", "+OK"),
            ("MGET a b e f g h", r#"["2", "2", nil, "6", "7", "5"]"#),
            ("LRANGE list 0 -1", r#"["y", "x"]"#),
            ("DBSIZE", ":6"),
            ("SELECT 0", "+OK"),
            ("MGET c d", r#"["3", "4"]"#),
        ],
    );
    check(
        &["SELECT 0", "SET a 1", "SET b 1", "FLUSHALL", "SET c 1"],
        &[("DBSIZE", ":1"), ("GET c", "\"1\"")],
    );
}

#[test]
fn functions_and_scripts_come_with_the_stream() {
    let mut stream = Stream::of(&["SELECT 0"]);
    let code = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    encode_command(&["FUNCTION", "LOAD", code], &mut stream.0);
    let script = "redis.call('SET', KEYS[1], 'v') return redis.call('INCR', KEYS[1])";
    encode_command(&["EVAL", script, "1", "k"], &mut stream.0);
    stream.say("PUBLISH channel message");
    stream.say("SET last 1");
    for cores in [1, 2] {
        let server = server(&directory(), cores, &[]);
        let mut client = server.client();
        begin(&mut client, 0, 0);
        feed(&mut client, &stream.0);
        until_applied(&mut client, stream.0.len());
        assert_eq!(client.line("FCALL f 0"), ":7");
        // It failed there as well, after what it had done.
        assert_eq!(client.line("MGET k last"), r#"["v", "1"]"#);
    }
}

#[test]
fn keys_go_when_the_master_says_so() {
    let stream = Stream::of(&["SELECT 0", "SET k v PXAT 1000", "SET other v PXAT 1000", "SET stays v"]);
    let more = Stream::of(&["PERSIST k", "DEL other"]);
    let server = server(&directory(), 2, &[]);
    let mut client = server.client();
    begin(&mut client, 0, 0);
    feed(&mut client, &stream.0);
    until_applied(&mut client, stream.0.len());
    assert_eq!(client.line("EXISTS k other stays"), ":1");
    assert_eq!(client.line("DBSIZE"), ":3");
    feed(&mut client, &more.0);
    until_applied(&mut client, stream.0.len() + more.0.len());
    assert_eq!(client.line("MGET k other stays"), r#"["v", nil, "v"]"#);
    assert_eq!(client.line("DEBUG STREAM END")[..1], *"\"");
    until("the data is the node's own", || position(&mut client).is_none().then_some(()));
    assert_eq!(client.line("SET brief v PX 1"), "+OK");
    until("a key expires again", || (client.line("DBSIZE") == ":2").then_some(()));
}

#[test]
fn no_limit_of_memory_holds_a_master_up() {
    let server = server(&directory(), 2, &["--maxmemory", "1"]);
    let (mut client, stream) = (server.client(), Stream::of(&["SELECT 0", "SET a 1", "SET b 1"]));
    assert!(client.line("SET own 1").starts_with("-OOM"));
    begin(&mut client, 0, 0);
    feed(&mut client, &stream.0);
    until_applied(&mut client, stream.0.len());
    assert_eq!(client.line("MGET a b"), r#"["1", "1"]"#);
}

#[test]
fn nothing_behind_what_cannot_be_run_is_applied() {
    let server = server(&directory(), 2, &[]);
    let mut client = server.client();
    let good = Stream::of(&["SELECT 0", "SET a 1"]);
    begin(&mut client, 0, 0);
    feed(&mut client, &good.0);
    until_applied(&mut client, good.0.len());
    feed(&mut client, &Stream::of(&["NOSUCH x", "SET a 2"]).0);
    server.wait_for_log("cannot be applied");
    assert_eq!(client.line("GET a"), "\"1\"");
    assert_eq!(position(&mut client), Some((good.0.len() as u64, 0)), "it is where it was");
}

/// A master that lies: none of it is done, and whoever wants to be a master again is.
#[test]
fn hazard_18_what_no_master_says_is_not_done() {
    for said in [
        "DISCARD",
        "RESET",
        "QUIT",
        "WATCH a",
        "CLIENT REPLY OFF",
        "REPLICAOF NO ONE",
        "CONFIG SET hz 11",
        "WAIT 1 0",
    ] {
        let server = server(&directory(), 2, &[]);
        let mut client = server.client();
        begin(&mut client, 0, 0);
        let good = Stream::of(&["SELECT 0", "SET a 1"]);
        feed(&mut client, &good.0);
        until_applied(&mut client, good.0.len());
        feed(&mut client, &Stream::of(&["INCR a", said, "INCR a"]).0);
        server.wait_for_log("cannot be applied");
        assert_eq!(position(&mut client), Some((good.0.len() as u64, 0)), "{said}");
        assert_eq!(client.line("GET a"), "\"1\"", "{said}");
        assert_eq!(client.line("CONFIG GET hz"), "[\"hz\", \"10\"]");
    }
}

#[test]
fn data_that_is_not_the_masters_has_no_position() {
    let server = server(&directory(), 2, &[]);
    let mut client = server.client();
    begin(&mut client, 0, 0);
    feed(&mut client, &Stream::of(&["SELECT 0", "SET a 1", "LPUSH a x"]).0);
    server.wait_for_log("cannot be applied");
    assert_eq!(position(&mut client), None);
}

#[test]
fn clients_do_not_know_the_position() {
    let server = server(&directory(), 1, &[]);
    let mut client = server.client();
    let line = format!("LACEWING.POSITION \"\" {} 1 0", replid());
    assert!(client.line(&line).starts_with("-ERR unknown command"), "{}", client.line(&line));
    assert_eq!(client.line("MULTI"), "+OK");
    assert!(client.line(&line).starts_with("-ERR unknown command"));
    assert!(client.line("EXEC").starts_with("-EXECABORT"));
    assert_eq!(client.line("COMMAND INFO lacewing.position"), "[nil]");
    assert_eq!(position(&mut client), None);
}

/// A stream that counts, and what it has counted in the end: each command that is left out, or run twice, is seen.
fn counting(seed: u64, units: u64) -> (Stream, Vec<u64>) {
    let (mut stream, mut rng, mut counts) = (Stream::default(), Rng::new(seed), vec![0u64; 2 * KEYS]);
    let mut db = usize::MAX;
    for _ in 0..units {
        if db == usize::MAX || rng.below(200) == 0 {
            db = rng.index(2);
            stream.say(&format!("SELECT {db}"));
        }
        let several = rng.below(8) == 0;
        if rng.below(50) == 0 {
            stream.say("PING");
        }
        if several {
            stream.say("MULTI");
        }
        for _ in 0..if several { rng.below(5) } else { 1 } {
            let key = rng.index(KEYS);
            counts[db * KEYS + key] += 1;
            stream.say(&format!("INCR k{key}"));
        }
        if several {
            stream.say("EXEC");
        }
    }
    (stream, counts)
}

#[track_caller]
fn check_counts(client: &mut Client, counts: &[u64], what: &str) {
    for (db, counts) in counts.chunks(KEYS).enumerate() {
        assert_eq!(client.line(&format!("SELECT {db}")), "+OK");
        let keys = (0..KEYS).map(|key| format!("k{key}"));
        let words: Vec<String> = std::iter::once("MGET".to_owned()).chain(keys).collect();
        let shown: Vec<String> = counts
            .iter()
            .map(|&count| if count == 0 { "nil".into() } else { format!("\"{count}\"") })
            .collect();
        assert_eq!(show(&client.call(&words)), format!("[{}]", shown.join(", ")), "{what}, database {db}");
    }
}

const KEYS: usize = 40;

/// A server that applies a stream is killed again and again, and goes on where it says that it is.
#[track_caller]
fn check_killed(seed: u64, args: &[&str], others: &[&str]) {
    let (dir, mut rng) = (directory(), Rng::new(seed));
    // What was a master's stays so while one is to be followed, though nobody is there.
    let args = &[args, &["--replicaof", "127.0.0.1", "1"]].concat();
    let (stream, counts) = counting(seed, 40_000);
    let mut at = Some((0, 0));
    for round in 0..5 {
        let mut server = server(&dir, [2, 2, 3, 1, 2][round], args);
        let mut client = server.client();
        if round > 0 {
            at = position(&mut client);
        }
        let (offset, db) = at.unwrap_or((0, 0));
        assert!(round == 0 || offset > 0, "seed {seed}: a part of the stream was applied in round {round}");
        begin(&mut client, offset, db);
        let rest = &stream.0[offset as usize..];
        if round == 4 {
            feed(&mut client, rest);
            until_applied(&mut client, stream.0.len());
            check_counts(&mut client, &counts, &format!("seed {seed}"));
            return;
        }
        // Most of what comes is applied when the server goes, and some of it is not.
        let len = (stream.0.len() / 6 + rng.index(10_000)).min(rest.len());
        feed(&mut client, &rest[..len / 2]);
        until("some of it is applied", || {
            position(&mut client).filter(|(at, _)| *at > offset + len as u64 / 4)
        });
        if let Some(other) = others.get(round) {
            let _ = client.line(other);
        }
        feed(&mut client, &rest[len / 2..len]);
        server.kill();
    }
}

#[test]
fn a_server_that_is_killed_has_applied_exactly_what_it_says() {
    for (seed, policy) in [(1, "everysec"), (2, "always"), (3, "no")] {
        check_killed(seed, &["--appendonly", "yes", "--appendfsync", policy], &[]);
    }
}

#[test]
fn snapshots_that_logs_continue_have_the_position_too() {
    check_killed(4, &["--appendonly", "yes"], &["BGREWRITEAOF", "BGSAVE", "BGREWRITEAOF", "BGSAVE"]);
}

#[test]
fn snapshots_have_the_position_where_there_is_no_log() {
    check_killed(5, &["--appendonly", "no"], &["SAVE", "SAVE", "SAVE", "SAVE"]);
}
