//! When snapshots are taken, and what commands answer about them.

use super::{ended, field, sets, snapshot};
use lacewing_tests::{RedisServer, Server, show, until};

#[test]
fn answers_are_those_of_redis() {
    let Some(redis) = RedisServer::start() else { return };
    let server = Server::start();
    let (mut ours, mut theirs) = (server.client(), redis.client());
    for line in [
        "BGSAVE now",
        "BGSAVE SCHEDULE x",
        "BGSAVE",
        "SAVE x",
        "LASTSAVE x",
        "CONFIG SET save '60 x'",
        "CONFIG SET save '60'",
        "CONFIG SET save '0 1'",
        "CONFIG SET save '60 10 300 1'",
        "CONFIG GET save",
        "CONFIG SET save ''",
        "CONFIG GET save",
        "CONFIG GET stop-writes-on-bgsave-error",
        "MULTI",
        "SAVE",
        "DISCARD",
        "EVAL \"return redis.call('bgsave')\" 0",
    ] {
        assert_eq!(ours.line(line), theirs.line(line), "{line}");
    }
    assert_eq!(ended(&mut ours), "ok");
    assert_eq!(ended(&mut theirs), "ok");
    for line in ["SAVE", "MULTI", "BGSAVE", "BGREWRITEAOF", "EXEC"] {
        assert_eq!(ours.line(line), theirs.line(line), "{line}");
    }
    until("both were taken", || (field(&mut ours, "rdb_saves") == "3").then_some(()));
    until("both were taken", || (field(&mut ours, "aof_rewrites") == "1").then_some(()));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let last: u64 = ours.line("LASTSAVE").trim_start_matches(':').parse().expect("a number");
    assert!(last <= now && last + 60 > now, "{last} {now}");
}

#[test]
fn save_waits_for_a_snapshot_and_others_are_served() {
    // Keys that take some time to write.
    let server = Server::with(&["--enable-debug-command", "yes", "--snapshot-keep", "1"]);
    let (mut saver, mut other) = (server.client(), server.client());
    assert_eq!(other.line("DEBUG POPULATE 400000 key 100"), "+OK");
    assert_eq!(field(&mut other, "rdb_changes_since_last_save"), "400000");
    saver.send_line("SAVE");
    saver.send_line("DBSIZE");
    until("it is under way", || (field(&mut other, "current_save_keys_total") == "400000").then_some(()));
    assert_eq!(other.line("BGSAVE"), "-ERR Background save already in progress");
    let mut written = 0;
    while field(&mut other, "rdb_bgsave_in_progress") == "1" {
        assert_eq!(other.line(&format!("SET new:{written} x")), "+OK");
        written += 1;
    }
    assert!(written > 0, "nobody was served meanwhile");
    assert_eq!(show(&saver.read()), "+OK");
    // The snapshot may have ended between the last look at it and the last SET.
    let size = show(&saver.read());
    let sizes = [written - 1, written].map(|written| format!(":{}", 400_000 + written));
    assert!(sizes.contains(&size), "{size} of {sizes:?}");
    assert_eq!(field(&mut other, "rdb_changes_since_last_save"), written.to_string());
    assert_eq!(super::keys_of(&sets(&server)[0]), 400_000);
    // Only one is kept.
    snapshot(&mut other);
    assert_eq!(sets(&server).len(), 1);
    assert_eq!(super::keys_of(&sets(&server)[0]), 400_000 + written);
}

#[test]
fn clients_that_say_save_at_once_are_all_answered() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| client.send_line("SAVE"));
    clients.iter_mut().for_each(|client| assert_eq!(show(&client.read()), "+OK"));
    let saves: usize = field(&mut clients[0], "rdb_saves").parse().expect("a number");
    assert!((1..=20).contains(&saves), "{saves}");
}

#[test]
fn a_save_point_is_reached() {
    let server = Server::with(&["--save", "1 3"]);
    let mut client = server.client();
    assert_eq!(client.line("MSET a 1 b 2"), "+OK");
    assert_eq!(field(&mut client, "rdb_saves"), "0");
    assert_eq!(client.line("SET c 3"), "+OK");
    until("a snapshot is taken", || (field(&mut client, "rdb_saves") == "1").then_some(()));
    assert_eq!(field(&mut client, "rdb_changes_since_last_save"), "0");
    server.wait_for_log("3 changes in 1 seconds");
    assert_eq!(super::keys_of(&sets(&server)[0]), 3);
}

#[test]
fn the_schedule_has_snapshots_taken_without_changes() {
    let server = Server::with(&["--save", "", "--snapshot-schedule", "* * * * *"]);
    let mut client = server.client();
    // The minute in which it starts counts.
    until("a snapshot is taken", || (field(&mut client, "rdb_saves") == "1").then_some(()));
    assert_eq!(
        client.line("CONFIG SET snapshot-schedule '* * * *'").split(" - ").nth(1).map(str::to_owned),
        Some("a schedule has five fields: minute hour day-of-month month day-of-week".to_owned())
    );
}

#[test]
fn a_snapshot_is_given_up_and_the_next_one_is_whole() {
    let server = Server::with(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    assert_eq!(client.line("DEBUG POPULATE 300000"), "+OK");
    snapshot(&mut client);
    assert_eq!(
        client.line("BGSAVE CANCEL"),
        "-ERR Background saving is currently not in progress or scheduled"
    );
    for _ in 0..5 {
        assert_eq!(client.line("BGSAVE"), "+Background saving started");
        // It may be over already.
        let answer = client.line("BGSAVE CANCEL");
        assert!(answer == "+Background saving cancelled" || answer.starts_with("-ERR Back"), "{answer}");
        assert_eq!(ended(&mut client), "ok");
    }
    snapshot(&mut client);
    assert_eq!(super::keys_of(sets(&server).last().expect("a set")), 300_000);
    assert_eq!(super::directories(&server).len(), sets(&server).len(), "what was given up is removed");
}
