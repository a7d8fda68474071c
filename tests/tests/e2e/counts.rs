//! What INFO counts, and the parameters that say what is counted and kept.

use lacewing_tests::{Client, Server, show, until};

/// The text of INFO's `section`.
#[track_caller]
fn info(client: &mut Client, section: &str) -> String {
    let resp::Value::Bulk(text) = client.call(&["INFO", section]) else { panic!("INFO answers text") };
    String::from_utf8(text).expect("INFO is text")
}

#[track_caller]
fn number(client: &mut Client, section: &str, field: &str) -> u64 {
    let text = info(client, section);
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in {text}")).parse().expect("a number")
}

#[test]
fn refused_commands_are_counted_as_redis_counts_them() {
    let server = Server::start();
    let mut client = server.client();
    for line in ["get", "nosuch", "client nosuch", "client", "config get", "mset a", "mset a 1 b"] {
        let reply = client.line(line);
        assert!(reply.starts_with("-ERR "), "{line}: {reply}");
    }
    let text = info(&mut client, "commandstats");
    for (command, calls, rejected, failed) in
        [("get", 0, 1, 0), ("client", 0, 1, 0), ("config|get", 0, 1, 0), ("mset", 1, 1, 1)]
    {
        let line = text.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:")));
        let line = line.unwrap_or_else(|| panic!("no {command} in {text}"));
        assert!(line.contains(&format!(":calls={calls},")), "{line}");
        assert!(line.ends_with(&format!("rejected_calls={rejected},failed_calls={failed}")), "{line}");
    }
    assert!(info(&mut client, "errorstats").contains("errorstat_ERR:count=7\r"));
    assert_eq!(client.line("CONFIG SET requirepass x"), "+OK");
    let mut stranger = server.client();
    assert!(stranger.line("GET").starts_with("-ERR wrong number of arguments"));
    assert_eq!(stranger.line("MSET a 1 b"), "-NOAUTH Authentication required.");
    assert!(info(&mut client, "errorstats").contains("errorstat_NOAUTH:count=1\r"));
}

/// On any number of cores, whichever of them fail.
#[test]
fn a_command_that_fails_on_several_cores_is_counted_once() {
    for cores in ["1", "2"] {
        let server = Server::with(&["--cores", cores, "--pin", "no"]);
        let mut client = server.client();
        // {a} and {b} are on two shards.
        assert_eq!(client.line("MSET {a} x {b} y"), "+OK");
        assert_eq!(client.line("CONFIG RESETSTAT"), "+OK");
        assert!(client.line("CONFIG SET maxclients none").starts_with("-ERR CONFIG SET failed"));
        assert!(client.line("SUNION {a} {b}").starts_with("-WRONGTYPE"));
        assert!(client.line("PFMERGE {a} {b}").starts_with("-WRONGTYPE"));
        let text = info(&mut client, "errorstats");
        assert!(text.contains("errorstat_ERR:count=1\r"), "{cores}: {text}");
        assert!(text.contains("errorstat_WRONGTYPE:count=2\r"), "{cores}: {text}");
        let text = info(&mut client, "commandstats");
        for command in ["config|set", "sunion", "pfmerge"] {
            let line = text.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:calls=1,")));
            assert!(line.is_some_and(|line| line.ends_with("failed_calls=1")), "{cores}: {text}");
        }
    }
}

#[test]
fn a_command_for_which_there_is_no_memory_did_not_run() {
    for cores in ["1", "2"] {
        let server = Server::with(&["--cores", cores, "--pin", "no"]);
        let mut client = server.client();
        assert_eq!(client.line("CONFIG SET maxmemory 1"), "+OK");
        for key in ["{a}", "{b}"] {
            assert!(client.line(&format!("SET {key} x")).starts_with("-OOM "));
        }
        let text = info(&mut client, "commandstats");
        let line = text.lines().find(|line| line.starts_with("cmdstat_set:calls=0,"));
        assert!(
            line.is_some_and(|line| line.ends_with("rejected_calls=2,failed_calls=0")),
            "{cores}: {text}"
        );
    }
}

/// A limit that is lowered applies before the next command.
#[test]
fn clients_over_a_lowered_limit_go_at_once() {
    let server = Server::with(&["--cores", "1", "--pin", "no"]);
    let mut admin = server.client();
    let mut greedy = server.client();
    greedy.send_bytes(b"*2\r\n$2000000\r\n");
    greedy.send_bytes(&[b'x'; 1_900_000]);
    until("all has been read", || admin.line("CLIENT LIST").contains(" qbuf=1900000 ").then_some(()));
    assert_eq!(admin.line("CONFIG SET maxmemory-clients 500kb"), "+OK");
    assert_eq!(number(&mut admin, "stats", "evicted_clients"), 1);
    greedy.expect_closed();
}

#[test]
fn latency_is_tracked_while_that_is_wanted() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.line("CONFIG SET latency-tracking no"), "+OK");
    assert_eq!(client.line("GET k"), "nil");
    assert_eq!(client.line("LATENCY HISTOGRAM get"), "[]");
    assert_eq!(info(&mut client, "latencystats"), "# Latencystats\r\n");
    assert_eq!(
        client.line("CONFIG SET latency-tracking yes latency-tracking-info-percentiles '50 99.99'"),
        "+OK"
    );
    assert_eq!(client.line("GET k"), "nil");
    assert!(client.line("LATENCY HISTOGRAM get").starts_with("[\"get\", [\"calls\", :1, "));
    let text = info(&mut client, "latencystats");
    let line = text.lines().find(|line| line.starts_with("latency_percentiles_usec_get:p50="));
    assert!(line.is_some_and(|line| line.contains(",p99.99=")), "{text}");
}

/// Sends all but the end of a SET of `bytes` bytes, and waits until the server has them in its buffer.
#[track_caller]
fn fill(client: &mut Client, admin: &mut Client, key: &str, bytes: usize) {
    let id = client.line("CLIENT ID").replace(':', "");
    let mut command = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${bytes}\r\n", key.len()).into_bytes();
    command.resize(command.len() + bytes, b'x');
    client.try_send_bytes(&command).expect("the server reads");
    until("the bytes are in the query buffer, or their client has gone", || {
        let list = admin.line(&format!("CLIENT LIST ID {id}"));
        let held = list.split(" qbuf=").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        held.is_none_or(|held| held >= bytes).then_some(())
    });
}

#[test]
fn the_largest_clients_go_when_all_take_too_much_but_for_exempt_ones() {
    let server = Server::start();
    let (mut admin, mut exempt) = (server.client(), server.client());
    for client in [&mut admin, &mut exempt] {
        assert_eq!(client.line("CLIENT NO-EVICT ON"), "+OK");
    }
    let mut small = server.client();
    let (mut large, mut larger) = (server.client(), server.client());
    fill(&mut exempt, &mut admin, "exempt", 2_000_000);
    fill(&mut large, &mut admin, "large", 1_000_000);
    fill(&mut larger, &mut admin, "larger", 1_500_000);
    assert_eq!(number(&mut admin, "stats", "evicted_clients"), 0);
    // What the exempt one takes counts; without the larger one the others fit.
    assert_eq!(admin.line("CONFIG SET maxmemory 40mb maxmemory-clients 10%"), "+OK");
    until("one was evicted", || (number(&mut admin, "stats", "evicted_clients") == 1).then_some(()));
    larger.expect_closed();
    for client in [&mut exempt, &mut large] {
        client.send_bytes(b"\r\n");
        assert_eq!(show(&client.read()), "+OK");
    }
    assert_eq!(small.line("PING"), "+PONG");
    assert_eq!(number(&mut admin, "stats", "evicted_clients"), 1);
}

#[test]
fn expired_keys_go_quickly_and_the_cycle_is_accounted_for() {
    let server = Server::with(&["--active-expire-effort", "10"]);
    let mut client = server.client();
    let keys: Vec<[String; 5]> = (0..20_000)
        .map(|key| ["SET".into(), format!("key:{key}"), "v".into(), "PX".into(), "1".into()])
        .collect();
    client.pipeline(&keys);
    until("all have expired", || (number(&mut client, "stats", "expired_keys") == 20_000).then_some(()));
    assert_eq!(client.line("DBSIZE"), ":0");
    let text = info(&mut client, "stats");
    assert!(
        text.contains("\nexpired_stale_perc:") && text.contains("\nexpire_cycle_cpu_milliseconds:"),
        "{text}"
    );
}

#[test]
fn fields_that_are_due_go_by_themselves_and_with_them_their_hashes() {
    let server = Server::with(&["--cores", "2"]);
    let mut client = server.client();
    for hash in 0..200 {
        client.line(&format!("HSETEX short:{hash} PX 5 FIELDS 2 a 1 b 2"));
        client.line(&format!("HSET long:{hash} a 1 b 2"));
        client.line(&format!("HPEXPIRE long:{hash} 5 FIELDS 1 a"));
        // To the other shard, or not: the expiry goes with the value.
        client.line(&format!("RENAME long:{hash} moved:{hash}"));
        client.line(&format!("COPY moved:{hash} copied:{hash}"));
    }
    until("all have expired", || info(&mut client, "keyspace").contains(",subexpiry=0").then_some(()));
    // Fields that went before their hash was copied did not go twice.
    assert!((600..=800).contains(&number(&mut client, "stats", "expired_subkeys")));
    assert_eq!(client.line("DBSIZE"), ":400");
    assert_eq!(client.line("HGETALL copied:7"), r#"["b", "2"]"#);
}

#[test]
fn memory_of_an_empty_server_is_its_startup_and_no_fragmentation() {
    let server = Server::start();
    let mut client = server.client();
    let ratio = |client: &mut Client| -> f64 {
        let text = info(client, "memory");
        let value = text.lines().find_map(|line| line.strip_prefix("mem_fragmentation_ratio:"));
        value.expect("INFO has it").parse().expect("a fraction")
    };
    let startup = number(&mut client, "memory", "used_memory_startup");
    assert!((1 << 20..512 << 20).contains(&startup), "{startup} bytes");
    assert!(startup <= number(&mut client, "memory", "used_memory_rss"));
    assert!((0.5..2.0).contains(&ratio(&mut client)), "{}", ratio(&mut client));
    let value = "x".repeat(1 << 20);
    (0..64).for_each(|key| drop(client.call(&["SET", &key.to_string(), &value])));
    assert_eq!(number(&mut client, "memory", "used_memory_startup"), startup, "it is of the start");
    until("what is resident is measured again", || {
        (number(&mut client, "memory", "used_memory_rss") > startup + (48 << 20)).then_some(())
    });
    assert!((0.5..2.0).contains(&ratio(&mut client)), "{}", ratio(&mut client));
}
