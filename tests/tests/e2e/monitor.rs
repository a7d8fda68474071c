//! MONITOR over real connections.

use super::tracking::info;
use lacewing_tests::{Client, RedisServer, Server, show, until};
use resp::Value;
use std::net::SocketAddr;

/// Runs `test` against a server of one core, and of four.
fn on_one_core_and_four(args: &[&str], test: impl Fn(&Server)) {
    for cores in ["1", "4"] {
        test(&Server::with(&[&["--cores", cores, "--pin", "no"], args].concat()));
    }
}

/// A client that is shown all commands.
#[track_caller]
fn monitor(addr: SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    assert_eq!(client.line("MONITOR"), "+OK");
    client
}

/// The next line, without its time and its client.
#[track_caller]
fn next(monitor: &mut Client) -> String {
    let Value::Simple(line) = monitor.read_push() else { panic!("a line of MONITOR") };
    let line = String::from_utf8(line).expect("it is quoted");
    let (time, rest) = line.split_once(' ').unwrap_or_else(|| panic!("a line of MONITOR: {line}"));
    let (seconds, micros) = time.split_once('.').expect("a time");
    assert!(seconds.parse::<u64>().is_ok() && micros.len() == 6, "{line}");
    let (source, command) = rest.split_once("] ").expect("a client");
    assert!(source.contains("127.0.0.1:") || source.ends_with("lua"), "{line}");
    let db = source.trim_start_matches('[').split(' ').next().expect("a database");
    format!("{db} {command}")
}

/// What a monitor is shown while another client sends these lines.
fn shown(addr: SocketAddr, lines: &[&str]) -> Vec<String> {
    let mut monitor = monitor(addr);
    let mut client = Client::connect(addr);
    for line in lines {
        client.line(line);
    }
    client.line("ECHO the-end");
    let mut shown = Vec::new();
    loop {
        match next(&mut monitor) {
            line if line.contains("the-end") => return shown,
            line => shown.push(line),
        }
    }
}

#[test]
fn commands_are_shown_as_redis_shows_them() {
    const LINES: &[&str] = &[
        "SET k v",
        "get k",
        r#"SET "a b" "\x00\r\n\t\"\\\xff""#,
        "SELECT 9",
        "MSET a 1 b 2 c 3 d 4",
        "MGET a b c d",
        "RENAME a b",
        "CONFIG GET maxmemory",
        "CLIENT ID",
        "CLIENT LIST",
        "HELLO 3 AUTH default secret",
        "AUTH secret",
        "NOPE",
        "GET",
        "DBSIZE",
        "FLUSHALL",
        "INCR a",
        "LPUSH a x",
        "SCAN 0",
        "PUBLISH c m",
        "BLPOP missing 0.01",
        "MULTI",
        "SET a 1",
        "MGET a b c d",
        "EXEC",
        "MULTI",
        "SET a 2",
        "DISCARD",
        "EXEC",
        "DEBUG SLEEP 0",
        r#"EVAL "return{redis.call('set',KEYS[1],1),redis.pcall('nope'),redis.call('select',3),redis.call('get','a')}" 1 k"#,
        "EVAL_RO return(1) 0",
        "EVAL nonsense 0",
        "EVALSHA 0000000000000000000000000000000000000000 0",
        "SCRIPT EXISTS x",
        "MULTI",
        "GET before",
        r#"EVAL "return redis.call('incr','n')" 0"#,
        "PING",
        "GET after",
        "eXeC",
        "WATCH a b c d",
        "SET a 1",
        "MULTI",
        "MGET a b c d",
        "EXEC",
        "RESET",
    ];
    let Some(redis) = RedisServer::start() else { return };
    let expected = shown(redis.addr(), LINES);
    assert!(expected.len() > 20, "{expected:?}");
    on_one_core_and_four(&[], |server| assert_eq!(shown(server.addr(), LINES), expected));
}

#[test]
fn every_monitor_is_shown_the_commands_of_all_cores() {
    on_one_core_and_four(&[], |server| {
        let mut monitors: Vec<Client> = (0..4).map(|_| monitor(server.addr())).collect();
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let mut expected = Vec::new();
        for round in 0..100 {
            for (index, client) in clients.iter_mut().enumerate() {
                assert_eq!(client.line(&format!("SET key:{round}:{index} v")), "+OK");
                expected.push(format!(r#"0 "SET" "key:{round}:{index}" "v""#));
            }
        }
        expected.sort();
        for monitor in &mut monitors {
            let mut got: Vec<String> = (0..expected.len()).map(|_| next(monitor)).collect();
            let own = |line: &String| line.contains(":3\"");
            let in_order: Vec<String> = got.iter().filter(|line| own(line)).cloned().collect();
            let rounds = (0..100).map(|round| format!(r#"0 "SET" "key:{round}:3" "v""#));
            assert_eq!(in_order, rounds.collect::<Vec<_>>(), "each client's commands are in order");
            got.sort();
            assert_eq!(got, expected);
        }
        for monitor in &mut monitors {
            monitor.send(&["RESET"]);
            // Behind what it is shown of the others' RESET.
            while show(&monitor.read_push()) != "+RESET" {}
        }
        clients[0].line("SET unseen v");
        for monitor in &mut monitors {
            assert_eq!(monitor.line("PING"), "+PONG", "after RESET nothing is shown");
        }
    });
}

#[test]
fn a_monitor_may_do_other_things_and_sees_them() {
    on_one_core_and_four(&[], |server| {
        let mut client = monitor(server.addr());
        for word in ["a", "b", "c", "d"] {
            client.send(&["ECHO", word]);
            assert_eq!(show(&client.read_push()), format!("{word:?}"));
            assert_eq!(next(&mut client), format!(r#"0 "ECHO" "{word}""#));
        }
        let mut other = server.client();
        assert!(other.line("CLIENT LIST").contains(" flags=O "));
        client.send(&["QUIT"]);
        assert_eq!(show(&client.read_push()), "+OK");
        until("it has gone", || (!other.line("CLIENT LIST").contains(" flags=O ")).then_some(()));
    });
}

/// What Redis says of replicas it says of monitors.
#[test]
fn a_monitor_neither_reads_nor_writes_keys() {
    const REFUSED: &[&str] =
        &["GET a", "SET a 1", "MGET a b c d", "DBSIZE", "SCAN 0", "EVAL return(1) 0", "PUBLISH x m"];
    on_one_core_and_four(&[], |server| {
        let mut client = monitor(server.addr());
        for line in REFUSED {
            client.send_line(line);
            assert_eq!(
                show(&client.read_push()),
                r"-ERR Replica can\'t interact with the keyspace",
                "{line}"
            );
        }
        client.send_line("MULTI");
        assert_eq!(show(&client.read_push()), "+OK");
        assert_eq!(next(&mut client), r#"0 "MULTI""#);
        client.send_line("GET a");
        assert_eq!(show(&client.read_push()), r"-ERR Replica can\'t interact with the keyspace");
        client.send_line("EXEC");
        assert_eq!(show(&client.read_push()), "-EXECABORT Transaction discarded because of previous errors.");
    });
}

/// A monitor that does not read is cut at the limit of those who listen. Until then nobody waits for it, another monitor is
/// shown everything, and no more memory is held than the limit says.
#[test]
fn a_slow_monitor_neither_grows_memory_nor_stalls_others() {
    on_one_core_and_four(&["--client-output-buffer-limit", "pubsub 1mb 0 0"], |server| {
        let (_slow, mut quick) = (monitor(server.addr()), monitor(server.addr()));
        let mut client = server.client();
        let value = "x".repeat(100_000);
        let before = info(&mut client, "used_memory");
        next(&mut quick);
        let mut cut = false;
        for _ in 0..ROUNDS_MAX {
            assert_eq!(show(&client.call(&["SET", "k", &value])), "+OK");
            assert!(next(&mut quick).len() > value.len());
            let used = info(&mut client, "used_memory");
            assert!(used < before + MEMORY_MAX, "{used} bytes, {before} before");
            cut = info(&mut client, "client_output_buffer_limit_disconnections") == 1;
            (0..2).for_each(|_| drop(next(&mut quick)));
            if cut {
                break;
            }
        }
        assert!(cut, "it is cut");
    });
}

/// Without reading, what the kernel takes and the limit allows is far less than so many values.
const ROUNDS_MAX: usize = 1_000;
/// The limit, buffers of twice that capacity, and some more.
const MEMORY_MAX: u64 = 8 << 20;
