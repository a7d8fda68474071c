//! FAILOVER: a replica becomes the master, and nothing that was acknowledged is lost.

use super::{field, linked, master, replica_of, stat};
use lacewing_tests::{Client, Process, Server, until};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// A Lacewing that follows what listens at `port`.
#[track_caller]
fn lacewing_of(port: u16) -> Server {
    let port = port.to_string();
    Server::with(&["--pin", "no", "--cores", "2", "--replicaof", "127.0.0.1", &port])
}

/// A master, a Lacewing that is sent its stream, and a client of the master.
#[track_caller]
fn pair() -> (Server, Server, Client) {
    let server = master(&["--cores", "2"]);
    let replica = lacewing_of(server.port());
    linked(&replica);
    let mut client = server.client();
    online(&mut client, 1);
    (server, replica, client)
}

/// Waits until all of them are read the stream.
#[track_caller]
fn online(client: &mut Client, count: usize) {
    until("they are online", || {
        let is_online =
            |n: usize| field(client, &format!("slave{n}")).is_some_and(|line| line.contains("state=online"));
        (0..count).all(is_online).then_some(())
    });
}

/// Waits until the master has ended its own reign, and asks its replica.
#[track_caller]
fn asked(client: &mut Client) {
    until("it is asked", || {
        (field(client, "master_failover_state").as_deref() == Some("failover-in-progress")).then_some(())
    });
}

#[track_caller]
fn ended(client: &mut Client) {
    until("it has ended", || {
        (field(client, "master_failover_state").as_deref() == Some("no-failover")).then_some(())
    });
}

/// How often each counter was incremented, by the answers: what the new master has must be no less.
struct Load {
    counts: Vec<u64>,
}

/// Increments counters on all shards for as long as the master takes it, while `what` is done.
fn under_load(addr: SocketAddr, what: impl FnOnce()) -> Load {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut client = Client::connect(addr);
                    let before = client.line(&format!("GET counter:{writer}"));
                    let mut count = before.trim_matches('"').parse().unwrap_or(0);
                    while !is_over.load(Relaxed) {
                        let reply = client.line(&format!("INCR counter:{writer}"));
                        if reply.starts_with("-READONLY") || reply.starts_with("-LOADING") {
                            break;
                        }
                        count += 1;
                        assert_eq!(reply, format!(":{count}"));
                    }
                    count
                })
            })
            .collect();
        what();
        is_over.store(true, Relaxed);
        Load { counts: writers.into_iter().map(|writer| writer.join().expect("it writes")).collect() }
    })
}

impl Load {
    #[track_caller]
    fn check(&self, node: &Process) {
        let mut client = node.client();
        for (writer, count) in self.counts.iter().enumerate() {
            assert!(*count > 0, "it has written");
            assert_eq!(client.line(&format!("GET counter:{writer}")), format!("\"{count}\""));
        }
    }
}

/// A failover under load from a Lacewing to this replica of it.
#[track_caller]
fn fails_over(from: &Server, to: &Process) {
    let mut client = from.client();
    online(&mut client, 1);
    let load = under_load(from.addr(), || {
        let before = stat(&mut client, "total_commands_processed");
        until("much was written", || {
            (stat(&mut client, "total_commands_processed") > before + 500).then_some(())
        });
        assert_eq!(client.line(&format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 20000", to.port())), "+OK");
        ended(&mut client);
        assert!(client.line("ROLE").contains("slave"), "{}", client.line("ROLE"));
        until("the replica is the master", || to.client().line("ROLE").contains("master").then_some(()));
    });
    load.check(to);
    linked(from);
    let mut there = to.client();
    assert_eq!(there.line("SET after 1"), "+OK");
    until("it follows", || (client.line("GET after") == "\"1\"").then_some(()));
    load.check(from);
}

#[test]
fn a_failover_to_a_lacewing_under_load_loses_nothing() {
    let server = master(&["--cores", "2"]);
    let replica = lacewing_of(server.port());
    linked(&replica);
    fails_over(&server, &replica);
    // And back.
    fails_over(&replica, &server);
}

#[test]
fn a_failover_to_a_redis_server_under_load_loses_nothing_and_goes_on_where_it_was() {
    let server = master(&["--cores", "2"]);
    let Some(replica) = replica_of(server.port(), &[]) else { return };
    linked(&replica);
    fails_over(&server, &replica);
    assert_eq!(field(&mut server.client(), "master_full_syncs").as_deref(), Some("0"));
    // And back, by redis-server.
    let mut there = replica.client();
    online(&mut there, 1);
    let load = under_load(replica.addr(), || {
        assert_eq!(there.line("FAILOVER TIMEOUT 20000"), "+OK");
        ended(&mut there);
        until("it is the master", || server.client().line("ROLE").contains("master").then_some(()));
    });
    drop(load);
    linked(&replica);
    assert_eq!(server.client().line("SET back 1"), "+OK");
    until("it follows", || (there.line("GET back") == "\"1\"").then_some(()));
}

#[test]
fn what_a_failover_refuses() {
    let server = master(&["--cores", "2"]);
    let mut client = server.client();
    let mut check = |line: &str, expected: &str| assert_eq!(client.line(line), expected, "{line}");
    check("FAILOVER", "-ERR FAILOVER requires connected replicas.");
    check("FAILOVER ABORT", "-ERR No failover in progress.");
    check("FAILOVER TO 127.0.0.1", "-ERR syntax error");
    check("FAILOVER TO 127.0.0.1 x", "-ERR value is not an integer or out of range");
    check("FAILOVER TIMEOUT 0", "-ERR FAILOVER timeout must be greater than 0");
    check("FAILOVER ABORT TIMEOUT 1", "-ERR syntax error");
    let replica = lacewing_of(server.port());
    linked(&replica);
    online(&mut server.client(), 1);
    let port = replica.port();
    let forced = "-ERR FAILOVER with force option requires both a timeout and target HOST and IP.";
    check("FAILOVER FORCE", forced);
    check("FAILOVER FORCE TIMEOUT 100", forced);
    check(&format!("FAILOVER TO 127.0.0.1 {port} FORCE"), forced);
    check("FAILOVER TO 127.0.0.1 1", "-ERR FAILOVER target HOST and PORT is not a replica.");
    let promotes = format!("PSYNC {} 1 FAILOVER", "a".repeat(40));
    check(&promotes, r"-ERR PSYNC FAILOVER can\'t be sent to a master.");
    let mut there = replica.client();
    assert_eq!(there.line("FAILOVER"), "-ERR FAILOVER is not valid when server is a replica.");
    assert_eq!(there.line(&promotes), "-ERR PSYNC FAILOVER replid must match my replid.");
}

#[test]
fn a_failover_that_waits_can_be_taken_back_and_ends_when_its_time_is_up() {
    let (server, replica, mut client) = pair();
    let mut writer = server.client();
    let to = format!("FAILOVER TO 127.0.0.1 {}", replica.port());
    replica.signal("STOP");
    assert_eq!(client.line("SET case 1"), "+OK");
    assert_eq!(client.line(&format!("{to} TIMEOUT 60000")), "+OK");
    assert_eq!(field(&mut client, "master_failover_state").as_deref(), Some("waiting-for-sync"));
    assert_eq!(client.line("GET case"), "\"1\"");
    assert_eq!(client.line("FAILOVER"), "-ERR FAILOVER already in progress.");
    assert_eq!(client.line("REPLICAOF 127.0.0.1 1"), "-ERR REPLICAOF not allowed while failing over.");
    assert_eq!(client.line("PSYNC ? -1"), r"-NOMASTERLINK Can\'t SYNC while failing over");
    // UNPAUSE is of CLIENT PAUSE alone.
    assert_eq!(client.line("CLIENT UNPAUSE"), "+OK");
    writer.send_line("SET case 2");
    writer.timeout(Some(Duration::from_millis(200))).expect("a bound");
    assert!(writer.read_any().is_err(), "writes wait");
    writer.timeout(Some(Duration::from_secs(30))).expect("a bound");
    assert_eq!(client.line("FAILOVER ABORT"), "+OK");
    assert_eq!(field(&mut client, "master_failover_state").as_deref(), Some("no-failover"));
    assert_eq!(lacewing_tests::show(&writer.read()), "+OK");
    assert_eq!(client.line(&format!("{to} TIMEOUT 100")), "+OK");
    ended(&mut client);
    assert_eq!(client.line("SET case 3"), "+OK");
    assert!(client.line("ROLE").contains("master"));
    replica.signal("CONT");
    until("it follows", || (replica.client().line("GET case") == "\"3\"").then_some(()));
    assert_eq!(stat(&mut client, "sync_full"), 1);
}

#[test]
fn a_failover_by_force_does_not_wait_longer() {
    let (_server, replica, mut client) = pair();
    replica.signal("STOP");
    assert_eq!(client.line("SET unseen 1"), "+OK");
    let to = format!("FAILOVER TO 127.0.0.1 {} FORCE TIMEOUT 100", replica.port());
    assert_eq!(client.line(&to), "+OK");
    asked(&mut client);
    assert!(client.line("ROLE").contains("slave"));
    // Taken back: it is a master again.
    assert_eq!(client.line("FAILOVER ABORT"), "+OK");
    until("it is a master", || client.line("ROLE").contains("master").then_some(()));
    assert_eq!(client.line("SET seen 1"), "+OK");
    replica.signal("CONT");
}

#[test]
fn a_target_that_was_behind_takes_over_by_force() {
    let (server, replica, mut client) = pair();
    let mut there = replica.client();
    assert_eq!(client.line("SET case 1"), "+OK");
    assert_eq!(client.line("WAIT 1 30000"), ":1");
    replica.signal("STOP");
    assert_eq!(client.line("SET unseen 1"), "+OK");
    let to = format!("FAILOVER TO 127.0.0.1 {} FORCE TIMEOUT 100", replica.port());
    assert_eq!(client.line(&to), "+OK");
    asked(&mut client);
    replica.signal("CONT");
    ended(&mut client);
    until("it is the master", || there.line("ROLE").contains("master").then_some(()));
    linked(&server);
    assert_eq!(there.line("SET case 2"), "+OK");
    assert!(client.line("SET case 3").starts_with("-READONLY"));
    // Whether it had read what it had not seen when it was stopped: both have the same.
    until("it follows", || (client.line("GET case") == "\"2\"").then_some(()));
    assert_eq!(client.line("GET unseen"), there.line("GET unseen"));
}

#[test]
fn a_target_that_does_not_answer_is_asked_until_that_is_taken_back() {
    let (_server, mut replica, mut client) = pair();
    replica.signal("STOP");
    let to = format!("FAILOVER TO 127.0.0.1 {} FORCE TIMEOUT 100", replica.port());
    assert_eq!(client.line(&to), "+OK");
    asked(&mut client);
    replica.kill();
    until("it is asked again", || {
        let attempts = field(&mut client, "master_link_attempts").and_then(|text| text.parse::<u64>().ok());
        (attempts? >= 2).then_some(())
    });
    assert_eq!(field(&mut client, "master_failover_state").as_deref(), Some("failover-in-progress"));
    assert!(client.line("SET case 1").starts_with("-READONLY"), "two masters would be worse");
    assert_eq!(client.line("FAILOVER ABORT"), "+OK");
    until("it is a master", || client.line("ROLE").contains("master").then_some(()));
    assert_eq!(client.line("SET case 1"), "+OK");
}
