//! Masters that are none, or that break off: the data of before is there, and served, whatever they do.

use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use lacewing_tests::{Client, RedisServer, Server, until};

use super::master::{Master, full, rdb, sized, until_gone};
use super::{expect_own, field, replicaof, until_field, until_up, with_data};

const REASON: &str = "master_link_last_error";
/// So long at most a master of a test waits for the test.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Follows a master that fails so, twice; the data stays, wherever the copy was to be.
#[track_caller]
fn check(port: u16, reason: &str) {
    for load in ["disabled", "swapdb"] {
        check_with(&["--repl-diskless-load", load], port, reason);
    }
}

#[track_caller]
fn check_with(args: &[&str], port: u16, reason: &str) {
    let server = with_data(&[&["--repl-timeout", "2"], args].concat());
    let mut client = server.client();
    replicaof(&mut client, port);
    until_field(&mut client, REASON, reason);
    expect_own(&mut client);
    assert_eq!(field(&mut client, "role").as_deref(), Some("slave"));
    assert_eq!(field(&mut client, "master_link_status").as_deref(), Some("down"));
    let again = || field(&mut client, "master_link_attempts").filter(|attempts| attempts != "1");
    until("it tries again", again);
    expect_own(&mut client);
    assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
    assert_eq!(client.line("SET later 1"), "+OK");
    assert_eq!(client.line("DBSIZE"), ":102");
}

#[test]
fn hazard_13_nobody_listens_and_the_data_stays() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it listens").port()
    };
    check(port, "cannot connect");
}

#[test]
fn hazard_13_a_host_that_is_not_there_and_the_data_stays() {
    let server = with_data(&[]);
    let mut client = server.client();
    assert_eq!(client.line("REPLICAOF no-such-host.invalid 6379"), "+OK");
    until_field(&mut client, REASON, "cannot connect");
    expect_own(&mut client);
}

#[test]
fn hazard_13_a_replica_of_itself_keeps_its_data() {
    let server = with_data(&[]);
    let mut client = server.client();
    replicaof(&mut client, server.port());
    until("it has found out", || field(&mut client, REASON));
    expect_own(&mut client);
    assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
    expect_own(&mut client);
}

#[test]
fn hazard_13_a_wrong_password_and_the_data_stays() {
    let Some(redis) = RedisServer::with(&["--requirepass", "right"]) else { return };
    check(redis.port(), "masterauth");
    let server = with_data(&["--masterauth", "wrong"]);
    let mut client = server.client();
    replicaof(&mut client, redis.port());
    until_field(&mut client, REASON, "WRONGPASS");
    expect_own(&mut client);
    assert_eq!(client.line("CONFIG SET masterauth right replica-accept-less yes"), "+OK");
    until_up(&mut client);
    assert_eq!(client.line("DBSIZE"), ":0");
}

#[test]
fn hazard_13_what_is_no_master_and_the_data_stays() {
    let ssh = Master::saying(&["SSH-2.0-OpenSSH_9.2"], |_, _| {});
    check(ssh.port(), "no master");
    let loading = Master::saying(&["-LOADING Redis is loading the dataset in memory"], |_, _| {});
    check(loading.port(), "cannot give its data now");
    let refuses = Master::start(|stream, _| drop(stream.write_all(b"-ERR not today\r\n")));
    check(refuses.port(), "not today");
    let silent = Master::start(|stream, _| until_gone(stream));
    check(silent.port(), "nothing was heard");
}

#[test]
fn hazard_14_the_master_goes_before_the_first_byte() {
    let master = Master::start(|stream, _| full(stream, 'a', 100));
    check(master.port(), "before the first byte");
    let announced = Master::start(|stream, _| {
        full(stream, 'a', 100);
        let _ = stream.write_all(b"\n\n$1000\r\n");
    });
    check(announced.port(), "before the first byte");
}

#[test]
fn hazard_15_the_payload_ends_half_way() {
    let master = Master::start(|stream, _| {
        full(stream, 'a', 100);
        let payload = rdb(&[("k", "v"), ("l", "w")]);
        let _ = stream.write_all(&sized(&payload)[..payload.len() - 3]);
    });
    check(master.port(), "the connection ended after");
    let marked = Master::start(|stream, _| {
        full(stream, 'a', 100);
        // More than the mark, which might be the end of it.
        let payload = rdb(&[("k", &"v".repeat(200))]);
        let _ = stream.write_all(&[b"$EOF:".as_slice(), &[b'm'; 40], b"\r\n", &payload].concat());
    });
    check(marked.port(), "the connection ended after");
    let stalled = Master::start(|stream, _| {
        full(stream, 'a', 100);
        let _ = stream.write_all(&sized(&rdb(&[("k", "v")]))[..20]);
        until_gone(stream);
    });
    check(stalled.port(), "nothing was heard");
}

/// A master whose payload is this.
fn giving(payload: Vec<u8>) -> Master {
    Master::start(move |stream, _| {
        full(stream, 'a', 100);
        let _ = stream.write_all(&sized(&payload));
        until_gone(stream);
    })
}

#[test]
fn hazard_15_the_payload_is_damaged() {
    let mut damaged = rdb(&[("k", "v")]);
    let end = damaged.len() - 1;
    damaged[end] = 7;
    check(giving(damaged).port(), "checksum");
    let mut later = rdb(&[("k", "v")]);
    later[5..9].copy_from_slice(b"9999");
    check(giving(later).port(), "cannot be used");
    check(giving([rdb(&[("k", "v")]), b"more".to_vec()].concat()).port(), "behind its end");
    check(giving(rdb(&[("k", "v")])[..12].to_vec()).port(), "cannot be used");
    check(giving(b"<html><body>404</body></html>".to_vec()).port(), "cannot be used");
    let mut foreign = rdb(&[("k", "v")]);
    foreign[10] = 99;
    check(giving(foreign).port(), "database");
    check(giving(rdb(&[("k", "v"), ("l", "w"), ("k", "x")])).port(), "there twice");
}

#[test]
fn hazard_15_who_is_told_again_whom_to_follow_tries_at_once() {
    let master = giving(rdb(&[("k", "v"), ("k", "w")]));
    let server = with_data(&[]);
    let mut client = server.client();
    replicaof(&mut client, master.port());
    until_field(&mut client, REASON, "there twice");
    // Each attempt waits longer than the one before; these do not wait.
    for _ in 0..5 {
        let number = |client: &mut Client, name| field(client, name)?.parse::<u64>().ok();
        until("it says when it tries again", || number(&mut client, "master_link_next_attempt_seconds"));
        let before = number(&mut client, "master_link_attempts");
        let answer = client.line(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
        assert_eq!(answer, "+OK Already connected to specified master");
        until("it tries", || (number(&mut client, "master_link_attempts") > before).then_some(()));
    }
    expect_own(&mut client);
}

/// Of a payload whose first bytes are no dataset's the others are not waited for.
#[test]
fn hazard_15_what_cannot_be_data_is_not_fetched() {
    let wrong = Master::start(|stream, _| {
        full(stream, 'a', 100);
        let begins = [&b"$400000000\r\nREDIS0080"[..], &vec![0; 2 << 20]].concat();
        let _ = stream.write_all(&begins);
        until_gone(stream);
    });
    check(wrong.port(), "RDB version 80 is not known");
}

#[test]
fn hazard_16_an_empty_master_replaces_nothing_unless_told_to() {
    let master = giving(rdb(&[]));
    let server = with_data(&["--appendonly", "yes"]);
    let mut client = server.client();
    replicaof(&mut client, master.port());
    until_field(&mut client, REASON, "the master has no keys and this node has 101");
    expect_own(&mut client);
    assert_eq!(client.line("CONFIG SET replica-accept-less yes"), "+OK");
    until_up(&mut client);
    assert_eq!(client.line("DBSIZE"), ":0");
}

/// What is to be in database 0 of a payload: keys whose time was over long ago, keys that stay, and libraries of functions.
fn holding(over: u64, keys: u64, libraries: u64) -> Vec<u8> {
    let text = |text: String| [&[text.len() as u8], text.as_bytes()].concat();
    let mut bytes = b"REDIS0010".to_vec();
    for number in 0..libraries {
        bytes.push(0xF5);
        bytes.extend(text(library(number)));
    }
    bytes.extend_from_slice(&[0xFE, 0]);
    for number in 0..over + keys {
        if number < over {
            bytes.push(0xFC);
            bytes.extend_from_slice(&1_000_000_u64.to_le_bytes());
        }
        bytes.push(0);
        bytes.extend([text(format!("k{number}")), text("v".to_owned())].concat());
    }
    bytes.push(0xFF);
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

fn library(number: u64) -> String {
    let code = format!("#!lua name=l{number}\nredis.register_function('f{number}',function() end)");
    assert!(code.len() < 64, "its length is one byte of a payload");
    code
}

#[test]
fn hazard_16_keys_whose_time_is_over_are_no_data_of_a_master() {
    for load in ["disabled", "swapdb"] {
        let (master, other) = (giving(holding(2, 0, 0)), giving(holding(2, 1, 0)));
        let server = with_data(&["--repl-diskless-load", load]);
        let mut client = server.client();
        replicaof(&mut client, master.port());
        let refused = "the master has no keys but 2 whose time is over and this node has 101";
        until_field(&mut client, REASON, refused);
        expect_own(&mut client);
        // One that stays is data, and an operator has named the master.
        replicaof(&mut client, other.port());
        until_up(&mut client);
        assert_eq!(client.line("GET k2"), "\"v\"");
    }
}

#[test]
fn hazard_16_a_master_that_has_functions_alone_replaces_no_keys() {
    let master = giving(holding(0, 0, 1));
    let server = with_data(&[]);
    let mut client = server.client();
    replicaof(&mut client, master.port());
    until_field(&mut client, REASON, "the master has no keys and this node has 101");
    expect_own(&mut client);
    assert_eq!(client.line("CONFIG SET replica-accept-less yes"), "+OK");
    until_up(&mut client);
    assert_eq!(client.line("DBSIZE"), ":0");
}

/// A server that has a library of functions, and no keys.
fn with_functions(args: &[&str]) -> Server {
    let server = Server::with(args);
    let loaded = server.client().call(&["FUNCTION", "LOAD", &library(7)]);
    assert_eq!(loaded, resp::Value::Bulk(b"l7".to_vec()));
    server
}

fn has_library(client: &mut Client, name: &str) -> bool {
    client.line(&format!("FUNCTION LIST LIBRARYNAME {name}")).contains(name)
}

#[test]
fn hazard_16_functions_are_data_that_an_empty_master_does_not_replace() {
    for load in ["disabled", "swapdb", "on-empty-db"] {
        let masters = [giving(holding(0, 0, 0)), giving(holding(3, 0, 0))];
        let server = with_functions(&["--repl-diskless-load", load]);
        let mut client = server.client();
        for master in &masters {
            replicaof(&mut client, master.port());
            let refused = "and no functions and this node has a library of functions: the master has lost";
            until_field(&mut client, REASON, refused);
            assert!(has_library(&mut client, "l7"), "{load}");
        }
        assert_eq!(client.line("CONFIG SET replica-accept-less yes"), "+OK");
        until_up(&mut client);
        assert!(!has_library(&mut client, "l7"), "{load}");
    }
    // What has anything else is a master as any other.
    for (keys, libraries) in [(1, 0), (0, 1)] {
        let master = giving(holding(0, keys, libraries));
        let server = with_functions(&[]);
        let mut client = server.client();
        replicaof(&mut client, master.port());
        until_up(&mut client);
        assert!(!has_library(&mut client, "l7"));
        assert_eq!(has_library(&mut client, "l0"), libraries == 1);
    }
}

#[test]
fn hazard_16_a_master_that_began_anew_with_much_less_replaces_nothing_unless_told_to() {
    let master = {
        let mut is_first = true;
        Master::start(move |stream, _| {
            let all: Vec<String> = (0..10).map(|number| format!("k{number}")).collect();
            let count = if is_first { all.len() } else { 4 };
            let keys: Vec<(&str, &str)> = all[..count].iter().map(|key| (key.as_str(), "v")).collect();
            full(stream, if is_first { 'a' } else { 'b' }, 5000);
            let _ = stream.write_all(&sized(&rdb(&keys)));
            is_first = false;
            // The first link lasts until the replica has it.
            until_ack(stream);
        })
    };
    let of = format!("127.0.0.1 {}", master.port());
    let args = ["--appendonly", "yes", "--replicaof", of.as_str()];
    let mut server = Server::with(&args);
    until("it follows", || (server.client().line("DBSIZE") == ":10").then_some(()));
    for is_started_again in [false, true] {
        let mut client = server.client();
        until_field(&mut client, REASON, "with 4 keys where this node has 10");
        assert_eq!(client.line("DBSIZE"), ":10");
        if !is_started_again {
            assert!(server.stop().success());
            server = Server::on(server.dir_handle(), &args);
        }
    }
    let mut client = server.client();
    assert_eq!(client.line("CONFIG SET replica-accept-less yes"), "+OK");
    until("it is taken", || (client.line("DBSIZE") == ":4").then_some(()));
}

#[test]
fn hazard_16_an_older_state_of_the_same_history_replaces_nothing() {
    let master = {
        let mut offset = 5000;
        Master::start(move |stream, _| {
            full(stream, 'a', offset);
            let _ = stream.write_all(&sized(&rdb(&[("k", &offset.to_string())])));
            offset = 100;
            // The first link lasts until the replica has it.
            until_ack(stream);
        })
    };
    let server = with_data(&[]);
    let mut client = server.client();
    replicaof(&mut client, master.port());
    until("the data is the master's", || (client.line("GET k") == "\"5000\"").then_some(()));
    until_field(&mut client, REASON, "the same history up to 5000");
    assert_eq!(client.line("GET k"), "\"5000\"");
    assert!(master.syncs() > 1);
}

/// Reads until the replica says that it follows.
fn until_ack(stream: &mut std::net::TcpStream) {
    let mut reader = std::io::BufReader::new(stream);
    while let Some(command) = super::master::read_command(&mut reader) {
        if command.iter().any(|word| word == "ACK") {
            return;
        }
    }
}

#[test]
fn hazard_17_a_configured_replica_loads_its_own_data_first() {
    let mut server = with_data(&["--appendonly", "yes"]);
    assert!(server.stop().success());
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it listens").port()
    };
    let of = port.to_string();
    let args = ["--appendonly", "yes", "--replicaof", "127.0.0.1", &of];
    let mut server = Server::on(server.dir_handle(), &args);
    let mut client = server.client();
    until_field(&mut client, REASON, "cannot connect");
    expect_own(&mut client);
    assert!(client.line("SET a 1").starts_with("-READONLY"));
    assert!(server.stop().success());
    let again = Server::on(server.dir_handle(), &["--appendonly", "yes"]);
    expect_own(&mut again.client());
}

#[test]
fn hazard_18_a_stream_that_makes_no_sense_ends_the_link_alone() {
    let master = Master::start(|stream, _| {
        full(stream, 'a', 100);
        let _ = stream.write_all(&sized(&rdb(&[("k", "v")])));
        let _ = stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nl\r\n$1\r\nw\r\n*x\r\n");
        until_gone(stream);
    });
    let server = with_data(&[]);
    let mut client = server.client();
    replicaof(&mut client, master.port());
    until_field(&mut client, REASON, "makes no sense");
    assert_eq!(client.line("GET k"), "\"v\"");
    assert_eq!(client.line("GET l"), "\"w\"");
    until("everything is asked for again", || (master.syncs() > 1).then_some(()));
    assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
    assert_eq!(client.line("SET k own"), "+OK");
}

#[test]
fn data_is_read_all_the_time_while_a_full_sync_stalls() {
    let (goes_on, may_go_on) = mpsc::channel();
    let master = Master::start(move |stream, _| {
        full(stream, 'a', 100);
        let payload = sized(&rdb(&[("k", "v")]));
        let _ = stream.write_all(&payload[..15]);
        // It lives, and gives nothing until all was read.
        may_go_on.recv_timeout(STALL_MAX).expect("the old data was read");
        let _ = stream.write_all(&payload[15..]);
        until_gone(stream);
    });
    let server = with_data(&[]);
    let mut client = server.client();
    replicaof(&mut client, master.port());
    until_field(&mut client, "master_sync_in_progress", "1");
    for _ in 0..50 {
        expect_own(&mut client);
    }
    assert_eq!(field(&mut client, "master_sync_in_progress").as_deref(), Some("1"));
    goes_on.send(()).expect("the master waits");
    until_up(&mut client);
    assert_eq!(client.line("GET k"), "\"v\"");
    assert_eq!(client.line("DBSIZE"), ":1");
}
