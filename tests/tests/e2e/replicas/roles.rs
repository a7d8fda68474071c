//! What a replica tells, and what it refuses to clients.

use std::net::TcpListener;

use lacewing_tests::{Server, until};

use super::{field, replicaof, until_field, with_data};

/// A port at which nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it listens").port()
}

const READ_ONLY: &str = "-READONLY You can\\'t write against a read only replica.";
const MASTER_DOWN: &str =
    "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to \\'no\\'.";

#[track_caller]
fn check(found: &str, expected: &str) {
    assert_eq!(found.replace("\\'", "'"), expected.replace("\\'", "'"));
}

#[test]
fn a_replica_takes_no_writes_of_clients() {
    let server = with_data(&[]);
    let (mut client, port) = (server.client(), closed_port());
    replicaof(&mut client, port);
    check(&client.line("SET own:0 1"), READ_ONLY);
    check(&client.line("MSET own:0 1 own:1 2"), READ_ONLY);
    assert!(
        client
            .line("EVAL \"return redis.pcall('SET', KEYS[1], 1)\" 1 own:0")
            .starts_with("-READONLY You can")
    );
    assert_eq!(client.line("MULTI"), "+OK");
    check(&client.line("SET own:0 1"), READ_ONLY);
    assert!(client.line("EXEC").starts_with("-EXECABORT"));
    assert_eq!(client.line("GET own:0"), "\"0\"");
    assert_eq!(client.line("EVAL \"return redis.call('GET', KEYS[1])\" 1 own:0"), "\"0\"");
    assert_eq!(client.line("CONFIG SET replica-read-only no"), "+OK");
    assert_eq!(client.line("SET own:0 1"), "+OK");
    assert_eq!(client.line("CONFIG SET replica-read-only yes replica-serve-stale-data no"), "+OK");
    check(&client.line("GET own:0"), MASTER_DOWN);
    check(&client.line("PING"), MASTER_DOWN);
    assert!(client.line("INFO replication").contains("role:slave"));
    assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
    assert_eq!(client.line("GET own:0"), "\"1\"");
    // What was queued is judged by what the server is when it runs.
    let to = format!("REPLICAOF 127.0.0.1 {}", closed_port());
    for (queued, is_refused) in [("GET own:0", true), ("INFO replication", false)] {
        assert_eq!((client.line("MULTI"), client.line(queued)), ("+OK".to_owned(), "+QUEUED".to_owned()));
        assert_eq!(server.client().line(&to), "+OK");
        let reply = client.line("EXEC");
        assert_eq!(reply.starts_with("-EXECABORT"), is_refused, "{queued}: {reply}");
        assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
    }
    assert_eq!(client.line("SET own:0 0"), "+OK");
}

#[test]
fn a_transaction_that_was_begun_before_is_refused() {
    let server = with_data(&[]);
    let (mut client, mut other) = (server.client(), server.client());
    assert_eq!(client.line("MULTI"), "+OK");
    assert_eq!(client.line("SET own:0 1"), "+QUEUED");
    replicaof(&mut other, closed_port());
    check(&client.line("EXEC"), &format!("-EXECABORT Transaction discarded because of: {}", &READ_ONLY[1..]));
    assert_eq!(other.line("GET own:0"), "\"0\"");
}

/// What scripts say of themselves is what they are admitted by, when they are queued and when EXEC runs them.
#[test]
fn a_transaction_with_scripts_is_refused_for_what_they_say() {
    let server = with_data(&[]);
    let (mut client, mut other) = (server.client(), server.client());
    let writes = r##"EVAL "#!lua\nreturn redis.call('SET', KEYS[1], 1)" 1 own:0"##;
    let reads = r##"EVAL "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])" 1 own:0"##;
    let says_nothing = r#"EVAL "return redis.call('GET', KEYS[1])" 1 own:0"#;
    let refused = |text: &str| format!("-EXECABORT Transaction discarded because of: {}", &text[1..]);
    let to = format!("REPLICAOF 127.0.0.1 {}", closed_port());
    let mut cases = Vec::new();
    for (stale, expected) in [
        ("yes", [refused(READ_ONLY), "[\"0\"]".to_owned(), "[\"0\"]".to_owned()]),
        ("no", [refused(READ_ONLY), refused(MASTER_DOWN), format!("[{MASTER_DOWN}]")]),
    ] {
        cases.extend([writes, reads, says_nothing].into_iter().zip(expected).map(|case| (stale, case)));
    }
    for (stale, (script, expected)) in cases {
        assert_eq!(client.line(&format!("CONFIG SET replica-serve-stale-data {stale}")), "+OK");
        assert_eq!((client.line("MULTI"), client.line(script)), ("+OK".to_owned(), "+QUEUED".to_owned()));
        assert_eq!(other.line(&to), "+OK");
        check(&client.line("EXEC"), &expected);
        if expected.starts_with("-EXECABORT") {
            assert_eq!(client.line("MULTI"), "+OK");
            assert!(expected.ends_with(&client.line(script)[1..]), "{script}, queued");
            check(&client.line("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
        }
        assert_eq!(other.line("REPLICAOF NO ONE"), "+OK");
        assert_eq!(other.line("GET own:0"), "\"0\"");
    }
}

#[test]
fn it_tells_whom_it_follows() {
    let server = with_data(&["--replica-priority", "7"]);
    let (mut client, port) = (server.client(), closed_port());
    assert_eq!(client.line("ROLE"), r#"["master", :0, []]"#);
    assert_eq!(client.line("CONFIG GET replicaof"), r#"["replicaof", ""]"#);
    replicaof(&mut client, port);
    let mut connecting = || {
        let role = client.line("ROLE");
        let waits = format!(r#"["slave", "127.0.0.1", :{port}, "connect", :-1]"#);
        (role == waits).then_some(())
    };
    until("it waits for the next attempt", &mut connecting);
    for (name, expected) in [
        ("role", "slave"),
        ("master_host", "127.0.0.1"),
        ("master_port", &port.to_string()),
        ("master_link_status", "down"),
        ("slave_priority", "7"),
        ("slave_read_only", "1"),
        ("connected_slaves", "0"),
    ] {
        assert_eq!(field(&mut client, name).as_deref(), Some(expected), "{name}");
    }
    assert!(client.line("HELLO 2").contains(r#""role", "replica""#));
    let again = client.line(&format!("REPLICAOF 127.0.0.1 {port}"));
    assert_eq!(again, "+OK Already connected to specified master");
    let configured = format!(r#"["replicaof", "127.0.0.1 {port}"]"#);
    assert_eq!(client.line("CONFIG GET replicaof"), configured);
    // Every core has it.
    for _ in 0..8 {
        assert_eq!(server.client().line("CONFIG GET replicaof"), configured);
    }
    assert_eq!(client.line("SLAVEOF no one"), "+OK");
    assert_eq!(client.line("ROLE"), r#"["master", :0, []]"#);
    assert_eq!(client.line("CONFIG GET replicaof"), r#"["replicaof", ""]"#);
    assert_eq!(field(&mut client, "role").as_deref(), Some("master"));
}

#[test]
fn the_configuration_file_gets_whom_it_follows() {
    let dir = crate::disk::directory();
    std::fs::write(dir.path().join("a.conf"), "hz 20\n").expect("it can be written");
    let server = Server::from_file_in(std::sync::Arc::clone(&dir), "a.conf", &[]);
    let (mut client, port) = (server.client(), closed_port());
    replicaof(&mut client, port);
    assert_eq!(client.line("CONFIG REWRITE"), "+OK");
    let text = std::fs::read_to_string(dir.path().join("a.conf")).expect("it is there");
    assert!(text.contains(&format!("replicaof 127.0.0.1 {port}\n")), "{text}");
    assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
    assert_eq!(client.line("CONFIG REWRITE"), "+OK");
    let text = std::fs::read_to_string(dir.path().join("a.conf")).expect("it is there");
    assert!(!text.contains("replicaof 127"), "{text}");
}

#[test]
fn who_waits_for_a_key_is_told_that_the_server_is_a_replica_now() {
    let server = with_data(&[]);
    let mut waits = server.client();
    waits.send_line("BLPOP nothing 0");
    let mut client = server.client();
    until("it waits", || client.line("INFO clients").contains("blocked_clients:1").then_some(()));
    replicaof(&mut client, closed_port());
    let told = lacewing_tests::show(&waits.read());
    assert!(told.starts_with("-UNBLOCKED force unblock from blocking operation"), "{told}");
}

#[test]
fn another_master_takes_the_place_of_one_that_does_not_answer() {
    let server = with_data(&[]);
    let mut client = server.client();
    let (first, second) = (closed_port(), closed_port());
    replicaof(&mut client, first);
    replicaof(&mut client, second);
    until_field(&mut client, "master_port", &second.to_string());
    super::expect_own(&mut client);
}

#[test]
fn a_master_is_named_inside_a_transaction() {
    let server = with_data(&[]);
    let mut client = server.client();
    assert_eq!(client.line("MULTI"), "+OK");
    assert_eq!(client.line(&format!("REPLICAOF 127.0.0.1 {}", closed_port())), "+QUEUED");
    assert_eq!(client.line("EXEC"), "[+OK]");
    assert!(client.line("ROLE").starts_with(r#"["slave""#));
    assert_eq!(client.line("GET own:0"), "\"0\"");
}

#[test]
fn the_link_to_the_master_is_a_client_that_can_be_killed() {
    for flows in ["no", "yes"] {
        let args = ["--pin", "no", "--cores", "2", "--appendonly", "yes", "--repl-flows", flows];
        let (master, replica) = (Server::with(&args), Server::with(&args));
        let mut client = replica.client();
        assert_eq!(client.line("CLIENT LIST TYPE master"), "\"\"");
        replicaof(&mut client, master.port());
        until_field(&mut client, "master_link_status", "up");
        for _ in 0..4 {
            let list = replica.client().line("CLIENT LIST TYPE master");
            assert_eq!(list.matches("id=").count(), 1, "{list}");
            assert!(list.contains(&format!(" addr=127.0.0.1:{} ", master.port())), "{list}");
            assert!(list.contains(" flags=M "), "{list}");
            // Nobody else is connected.
            let normal = replica.client().line("CLIENT LIST TYPE normal");
            assert!(!normal.contains("addr=master"), "{normal}");
        }
        for round in 1..=3 {
            assert_eq!(replica.client().line("CLIENT KILL TYPE master"), ":1");
            until_field(&mut client, "master_partial_syncs", &round.to_string());
            until_field(&mut client, "master_link_status", "up");
            assert_eq!(master.client().line("SET a 1"), "+OK");
            until("it has it", || (client.line("GET a") == "\"1\"").then_some(()));
            assert_eq!(master.client().line("DEL a"), ":1");
            until("it has it", || (client.line("GET a") == "nil").then_some(()));
        }
        assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
        assert_eq!(client.line("CLIENT LIST TYPE master"), "\"\"");
    }
}

#[test]
fn offsets_go_on_when_a_replica_becomes_a_master() {
    let master = Server::with(&["--pin", "no", "--cores", "2"]);
    let replica = with_data(&["--pin", "no", "--cores", "2"]);
    let (mut from, mut to) = (master.client(), replica.client());
    assert_eq!(from.line("SET first 1"), "+OK");
    replicaof(&mut to, master.port());
    until_field(&mut to, "master_link_status", "up");
    assert_eq!(from.line("SET second 1"), "+OK");
    assert_eq!(from.line("WAIT 1 30000"), ":1");
    let offset = |client: &mut lacewing_tests::Client, name: &str| -> u64 {
        field(client, name).expect("it is there").parse().expect("a number")
    };
    let before = offset(&mut to, "slave_repl_offset");
    assert!(before > 0);
    assert_eq!(to.line("REPLICAOF NO ONE"), "+OK");
    let after = offset(&mut to, "master_repl_offset");
    assert!(after >= before, "{after} behind {before}");
    // And when somebody follows it.
    replicaof(&mut from, replica.port());
    until_field(&mut from, "master_link_status", "up");
    assert!(offset(&mut to, "master_repl_offset") > after);
    assert_eq!(from.line("GET second"), "\"1\"");
}
