//! What must hold although keys live on several shards: memory limits, scans, monitors.

use lacewing_tests::{Client, Server};

/// `key=value` of INFO's `section`.
fn info(client: &mut Client, section: &str, field: &str) -> u64 {
    let text = client.line(&format!("INFO {section}"));
    let start = text.find(&format!("{field}:")).unwrap_or_else(|| panic!("no {field} in {text}"));
    let digits = text[start + field.len() + 1..].chars().take_while(char::is_ascii_digit).collect::<String>();
    digits.parse().expect("a number")
}

const LIMIT_BYTES: u64 = 8 << 20;

/// A limit, a policy, and many multi-shard writes: each shard evicts what its own part needs.
#[test]
fn multi_shard_writes_go_on_while_keys_can_be_evicted() {
    let server = Server::with(&["--maxmemory", "8mb"]);
    let mut client = server.client();
    let value = "x".repeat(500);
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        assert_eq!(client.line("FLUSHALL"), "+OK");
        assert_eq!(client.line(&format!("CONFIG SET maxmemory-policy {policy}")), "+OK");
        for batch in 0..5_000 {
            let keys: Vec<String> = (0..4).map(|key| format!("key:{batch}:{key}")).collect();
            let mut command = vec!["MSET"];
            command.extend(keys.iter().flat_map(|key| [key.as_str(), value.as_str()]));
            let reply = lacewing_tests::show(&client.call(&command));
            assert_eq!(reply, "+OK", "{policy}, batch {batch}");
        }
        let used = info(&mut client, "memory", "used_memory");
        assert!(used < LIMIT_BYTES + (1 << 20), "{policy}: {used} bytes used");
        assert!(info(&mut client, "stats", "evicted_keys") > 0, "{policy}");
    }
}

/// Many clients fill both shards; what the cores do not know of each other is a small part of the limit.
#[test]
fn memory_stays_near_its_limit_while_many_clients_write() {
    let server = Server::with(&["--maxmemory", "16mb"]);
    let mut client = server.client();
    let limit = 16 << 20;
    for policy in ["noeviction", "allkeys-lru"] {
        assert_eq!(client.line("FLUSHALL"), "+OK");
        assert_eq!(client.line(&format!("CONFIG SET maxmemory-policy {policy}")), "+OK");
        std::thread::scope(|scope| {
            let server = &server;
            let writers: Vec<_> =
                (0..8).map(|writer| scope.spawn(move || fill(writer, server.client()))).collect();
            let mut used_max = 0;
            while writers.iter().any(|writer| !writer.is_finished()) {
                used_max = used_max.max(info(&mut client, "memory", "used_memory"));
            }
            // The shards are asked one after the other, so the sum is of two moments.
            assert!(used_max < limit + limit / 20, "{policy}: {used_max} bytes");
        });
        let used = info(&mut client, "memory", "used_memory")
            - info(&mut client, "memory", "mem_not_counted_for_evict");
        assert!(used > limit / 10 * 9, "{policy}: {used} bytes are not full");
        assert!(used < limit + limit / 64, "{policy}: {used} bytes");
    }
}

/// Writes twice the limit of keys of its own, in pipelines.
fn fill(writer: usize, mut client: Client) {
    let value = "x".repeat(1000);
    for batch in 0..64 {
        let keys: Vec<String> = (0..64).map(|key| format!("{writer}:{batch}:{key}")).collect();
        let sets: Vec<_> = keys.iter().map(|key| ["SET", key, &value]).collect();
        client.pipeline(&sets);
    }
}

/// All keys that may be evicted are on one shard, all writes go to the other.
#[test]
fn writes_to_one_shard_go_on_while_another_can_evict() {
    let server = Server::start();
    let mut client = server.client();
    let value = "x".repeat(1000);
    for key in 0..2_000 {
        client.call(&["SET", &format!("{{a}}{key}"), &value, "EX", "1000"]);
    }
    client.call(&["SET", "{b}0", &value]);
    let used = info(&mut client, "memory", "used_memory");
    assert_eq!(client.line("CONFIG SET maxmemory-policy volatile-lru"), "+OK");
    assert_eq!(client.line(&format!("CONFIG SET maxmemory {used}")), "+OK");
    for key in 1..500 {
        let reply = lacewing_tests::show(&client.call(&["SET", &format!("{{b}}{key}"), &value]));
        assert_eq!(reply, "+OK", "key {key}");
    }
    assert!(info(&mut client, "memory", "used_memory") < used + (200 << 10));
}

#[test]
fn scan_patterns_may_be_words_of_its_options() {
    let server = Server::start();
    let mut client = server.client();
    for key in 0..200 {
        client.call(&["SET", &format!("key:{key}"), "v"]);
    }
    client.line("SET count v");
    let reply = lacewing_tests::show(&client.call(&["SCAN", "0", "MATCH", "count", "COUNT", "1000"]));
    assert!(reply.contains("count") && !reply.contains("ERR"), "{reply}");
    let reply = lacewing_tests::show(&client.call(&["SCAN", "0", "COUNT", "1000", "TYPE", "count"]));
    assert!(!reply.contains("syntax"), "{reply}");
}

#[test]
fn slow_commands_are_latency_events_wherever_they_ran() {
    let server = Server::with(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    assert_eq!(client.line("CONFIG SET latency-monitor-threshold 5"), "+OK");
    assert_eq!(client.line("DEBUG SLEEP 0.02"), "+OK");
    let word = "a".repeat(6_000);
    for key in ["{a}1", "{a}2", "{b}1", "{b}2"] {
        client.call(&["SET", key, &word]);
    }
    for (first, second) in [("{a}1", "{a}2"), ("{b}1", "{b}2")] {
        client.call(&["LCS", first, second, "LEN"]);
    }
    let latest = lacewing_tests::show(&client.call(&["LATENCY", "LATEST"]));
    assert!(latest.contains("command"), "{latest}");
}
