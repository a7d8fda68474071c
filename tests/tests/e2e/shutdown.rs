//! The end of a server: in order, to a bound, and with an exit code that says whether everything acknowledged is on the disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lacewing_tests::{Client, Server, until};
use tempfile::TempDir;

use crate::disk::faults::Faulty;
use crate::disk::field;

const LOGGED: [&str; 4] = ["--appendonly", "yes", "--pin", "no"];
const SAVED: [&str; 4] = ["--save", "3600 1000000", "--pin", "no"];
const FAILED: &str = "-ERR Errors trying to SHUTDOWN. Check logs.";

fn fill(client: &mut Client, keys: u32) {
    let commands: Vec<Vec<Vec<u8>>> = (0..keys)
        .map(|key| ["SET".to_owned(), format!("k{key}"), "v".repeat(200)].map(String::into_bytes).to_vec())
        .collect();
    client.pipeline(&commands);
}

fn sets(dir: &TempDir) -> usize {
    std::fs::read_dir(dir.path().join("snapshots")).map_or(0, |entries| {
        entries.filter_map(Result::ok).filter(|entry| entry.path().join("manifest").is_file()).count()
    })
}

/// Ends a server, and says how: its exit code, and how many sets there are.
#[track_caller]
fn check(settings: &[&str], end: fn(&Server), code: i32, expected_sets: usize, keys: &str) {
    let mut server = Server::with(settings);
    let dir = server.dir_handle();
    fill(&mut server.client(), 500);
    end(&server);
    assert_eq!(server.wait().code(), Some(code), "{}", server.log());
    assert_eq!(sets(&dir), expected_sets, "{}", server.log());
    let next = Server::on(dir, settings);
    assert_eq!(next.client().line("DBSIZE"), keys);
}

#[test]
fn what_was_acknowledged_is_there_after_an_orderly_end() {
    check(&LOGGED, |server| server.signal("TERM"), 0, 0, ":500");
    check(&LOGGED, |server| server.client().send_line("SHUTDOWN"), 0, 0, ":500");
    check(&LOGGED, |server| server.client().send_line("SHUTDOWN NOSAVE"), 0, 0, ":500");
    check(&LOGGED, |server| server.client().send_line("SHUTDOWN SAVE NOW"), 0, 1, ":500");
    check(&SAVED, |server| server.signal("INT"), 0, 1, ":500");
    check(&SAVED, |server| server.client().send_line("SHUTDOWN"), 0, 1, ":500");
    check(&SAVED, |server| server.client().send_line("SHUTDOWN NOSAVE FORCE"), 0, 0, ":0");
    check(&["--pin", "no"], |server| server.client().send_line("SHUTDOWN"), 0, 0, ":0");
}

/// What is being loaded is on the disk: nothing is saved, and nobody waits for the load.
#[test]
fn while_data_is_loaded_every_shutdown_ends_the_server_at_once() {
    let mut old = Server::with(&LOGGED);
    let dir = old.dir_handle();
    fill(&mut old.client(), 5000);
    old.kill();
    for line in ["SHUTDOWN SAVE", "SHUTDOWN", "SHUTDOWN NOSAVE NOW", "SHUTDOWN SAVE FORCE"] {
        for cores in ["1", "2"] {
            let settings =
                [&LOGGED[..], &["--save", "3600 1", "--key-load-delay", "2000", "--cores", cores]].concat();
            let mut new = Server::loading(Arc::clone(&dir), &settings, &[]);
            let mut client = new.client();
            assert_eq!(client.line("SHUTDOWN ABORT"), "-ERR No shutdown in progress.");
            client.send_line(line);
            client.expect_closed();
            assert_eq!(new.wait().code(), Some(0), "{line}: {}", new.log());
            assert_eq!(sets(&dir), 0, "{line}");
        }
    }
    let next = Server::on(dir, &LOGGED);
    assert_eq!(next.client().line("DBSIZE"), ":5000");
}

/// Makes snapshots fail.
fn block_snapshots(dir: &TempDir) {
    let path = dir.path().join("snapshots");
    let _ = std::fs::remove_dir_all(&path);
    std::fs::write(path, "in the way").expect("the directory is writable");
}

#[test]
fn a_snapshot_that_fails_keeps_the_server_from_ending() {
    let mut server = Server::with(&SAVED);
    let mut client = server.client();
    fill(&mut client, 10);
    block_snapshots(&server.dir_handle());
    for line in ["SHUTDOWN", "SHUTDOWN SAVE", "SHUTDOWN SAVE NOW"] {
        assert_eq!(client.line(line), FAILED, "{line}");
    }
    server.signal("TERM");
    until("the signal is taken back too", || {
        (server.log().matches("the server does not end").count() == 4).then_some(())
    });
    assert_eq!(client.line("GET k1").len(), 202);
    assert_eq!(client.line("CONFIG SET stop-writes-on-bgsave-error no"), "+OK");
    assert_eq!(client.line("SET k1 1"), "+OK", "writes go on");
    client.send_line("SHUTDOWN FORCE");
    assert_eq!(server.wait().code(), Some(110), "{}", server.log());
}

#[test]
fn a_signal_ends_a_server_that_has_a_log_whatever_becomes_of_the_snapshot() {
    let mut server = Server::with(&LOGGED);
    let mut client = server.client();
    fill(&mut client, 10);
    block_snapshots(&server.dir_handle());
    assert_eq!(client.line("SHUTDOWN SAVE"), FAILED);
    client.send_line("SHUTDOWN SAVE FORCE");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}

/// A server whose script holds up the snapshot before the end.
fn held_up() -> (Server, Client) {
    let server = Server::with(&[&SAVED[..], &["--busy-reply-threshold", "600000"]].concat());
    let mut script = server.client();
    script.send(&["EVAL", "while true do redis.call('GET', 'n') end", "1", "n"]);
    let mut client = server.client();
    until("the script runs", || {
        (!client.line("FUNCTION STATS").contains("\"running_script\", nil")).then_some(())
    });
    (server, script)
}

#[test]
fn a_shutdown_is_taken_back() {
    let (server, _script) = held_up();
    let mut ends = server.client();
    ends.send_line("SHUTDOWN SAVE");
    server.wait_for_log("a snapshot is taken before the end");
    let mut client = server.client();
    assert_eq!(client.line("SHUTDOWN ABORT"), "+OK");
    assert_eq!(lacewing_tests::show(&ends.read()), FAILED);
    assert_eq!(client.line("SHUTDOWN ABORT"), "-ERR No shutdown in progress.");
    assert_eq!(ends.line("PING"), "+PONG");
    assert_eq!(client.line("SCRIPT KILL"), "+OK");
    assert_eq!(client.line("SET other 1"), "+OK", "writes go on");
}

#[test]
fn a_second_signal_waits_for_nothing() {
    let (mut server, _script) = held_up();
    let began = Instant::now();
    server.signal("TERM");
    server.wait_for_log("a snapshot is taken before the end");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(110), "{}", server.log());
    assert!(began.elapsed() < Duration::from_secs(4), "{}", server.log());
}

/// A server that has switched its log on with so much to save first that it does not count yet.
fn with_log_that_has_not_begun() -> (Server, Client) {
    let args = ["--appendonly", "no", "--pin", "no", "--save", "", "--enable-debug-command", "yes"];
    let server = Server::with(&args);
    let mut client = server.client();
    assert_eq!(client.line("DEBUG POPULATE 1000000"), "+OK");
    assert_eq!(client.line("CONFIG SET appendonly yes"), "+OK");
    assert_eq!(client.line("SET k v"), "+OK");
    assert_eq!(field(&mut client, "aof_rewrite_in_progress"), "1");
    (server, client)
}

#[test]
fn a_log_that_has_not_begun_is_made_up_for_by_a_snapshot() {
    let ends: [fn(&Server); 2] =
        [|server| server.signal("TERM"), |server| server.client().send_line("SHUTDOWN")];
    for end in ends {
        let (mut server, _) = with_log_that_has_not_begun();
        let dir = server.dir_handle();
        end(&server);
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        let next = Server::on(dir, &LOGGED);
        assert_eq!(next.client().line("DBSIZE"), ":1000001");
    }
}

/// The operator has asked for a log, and been told that there is one.
#[test]
fn an_end_before_the_log_has_begun_and_without_a_snapshot_says_so() {
    let (mut server, mut client) = with_log_that_has_not_begun();
    let dir = server.dir_handle();
    client.send_line("SHUTDOWN NOSAVE");
    assert_eq!(server.wait().code(), Some(110), "{}", server.log());
    assert!(server.log().contains("has not begun"), "{}", server.log());
    let next = Server::on(dir, &LOGGED);
    assert_eq!(next.client().line("DBSIZE"), ":0");
}

/// A client that has said SAVE waits for a snapshot, as the end does: neither waits for the other.
#[test]
fn who_waits_for_a_snapshot_does_not_hold_up_the_end() {
    for _ in 0..5 {
        let mut server = Server::with(&[&SAVED[..], &["--enable-debug-command", "yes"]].concat());
        let dir = server.dir_handle();
        let mut client = server.client();
        assert_eq!(client.line("DEBUG POPULATE 100000 key 50"), "+OK");
        client.send_line("SAVE");
        until("it is begun", || {
            server.client().line("INFO persistence").contains("rdb_bgsave_in_progress:1").then_some(())
        });
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        assert!(!server.log().contains("does not end"), "{}", server.log());
        let next = Server::on(dir, &SAVED);
        assert_eq!(next.client().line("DBSIZE"), ":100000");
    }
}

#[test]
fn many_clients_may_ask_for_the_end_at_once() {
    for line in ["SHUTDOWN NOSAVE", "SHUTDOWN"] {
        for settings in [&LOGGED[..], &SAVED[..]] {
            let mut server = Server::with(&[settings, &["--cores", "3"]].concat());
            let mut clients: Vec<Client> = (0..12).map(|_| server.client()).collect();
            clients.iter_mut().for_each(|client| assert_eq!(client.line("PING"), "+PONG"));
            clients.iter_mut().for_each(|client| {
                // It may have ended already.
                let _ = client.try_send_bytes(format!("{line}\r\n").as_bytes());
            });
            assert_eq!(server.wait().code(), Some(0), "{}", server.log());
            assert!(!server.log().contains("given up"), "{}", server.log());
        }
    }
}

/// Whoever takes part in a transaction ends behind it, and not only after its client was answered.
#[test]
fn transactions_over_shards_are_in_all_logs_after_the_end() {
    let settings = ["--appendonly", "yes", "--pin", "no", "--cores", "3", "--appendfsync", "always"];
    let mut server = Server::with(&settings);
    let dir = server.dir_handle();
    for _ in 0..ROUNDS {
        let addr = server.addr();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                std::thread::spawn(move || {
                    let Ok(mut client) = Client::try_connect(addr) else { return };
                    let line = format!("MSET a{writer} 1 b{writer} 2 c{writer} 3 d{writer} 4\r\n");
                    while client.try_send_bytes(line.as_bytes()).is_ok()
                        && matches!(client.read_any(), Ok(Some(_)))
                    {}
                })
            })
            .collect();
        until("something was written", || (server.client().line("DBSIZE") == ":16").then_some(()));
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        writers.into_iter().for_each(|writer| writer.join().expect("no writer fails"));
        server = Server::on(Arc::clone(&dir), &settings);
    }
}

#[test]
fn who_waits_for_a_policy_to_change_does_not_hold_up_the_end() {
    let mut server = Server::with(&LOGGED);
    let dir = server.dir_handle();
    for _ in 0..ROUNDS {
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut clients {
            for policy in ["always", "everysec", "always", "no", "always", "everysec"] {
                client.send_line(&format!("CONFIG SET appendfsync {policy}"));
            }
        }
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        assert!(!server.log().contains("given up: nothing"), "{}", server.log());
        server = Server::on(Arc::clone(&dir), &LOGGED);
    }
}

/// Half of what belongs together is never there: what is under way when the server is asked to end comes to its end.
#[test]
fn scripts_and_transactions_under_way_are_whole_after_the_end() {
    let scripts = [
        "for i = 1, 300000 do redis.call('INCR', KEYS[1]) end redis.call('SET', KEYS[2], 'done')",
        "for i = 1, 30000 do redis.call('INCR', ARGV[1]) end redis.call('SET', ARGV[2], 'done')",
    ];
    for (script, keys) in scripts.into_iter().zip([["2", "{k}n", "{k}last"], ["0", "n", "last"]]) {
        let mut server = Server::with(&LOGGED);
        let dir = server.dir_handle();
        let mut runs = server.client();
        runs.send(&["EVAL", script, keys[0], keys[1], keys[2]]);
        let mut client = server.client();
        until("the script runs", || {
            (!client.line("FUNCTION STATS").contains("\"running_script\", nil")).then_some(())
        });
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        let next = Server::on(dir, &LOGGED);
        let mut client = next.client();
        assert_eq!(client.line(&format!("GET {}", keys[2])), "\"done\"", "{}", server.log());
        assert_ne!(client.line(&format!("GET {}", keys[1])), "nil");
    }
}

/// A script that may never end is not waited for, and nothing of what it wrote counts.
#[test]
fn what_is_given_up_leaves_nothing() {
    for keys in [["1", "n", ""], ["0", "", "n"]] {
        let mut server = Server::with(&[&LOGGED[..], &["--busy-reply-threshold", "200"]].concat());
        let dir = server.dir_handle();
        assert_eq!(server.client().line("SET before 1"), "+OK");
        let mut runs = server.client();
        runs.send(&[
            "EVAL",
            "while true do redis.call('INCR', KEYS[1] or ARGV[2]) end",
            keys[0],
            keys[1],
            keys[2],
        ]);
        server.wait_for_log("slow script");
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        let next = Server::on(dir, &LOGGED);
        assert_eq!(next.client().line("MGET before n"), "[\"1\", nil]", "{}", server.log());
    }
}

#[test]
fn hazard_27_who_does_not_take_what_is_sent_to_him_does_not_hold_up_the_end() {
    for settings in [&LOGGED[..], &SAVED[..]] {
        let mut server = Server::with(settings);
        let mut client = server.client();
        client.call(&["SET", "large", &"x".repeat(30_000_000)]);
        let mut slow: Vec<Client> = (0..4).map(|_| server.client()).collect();
        // Nobody reads these replies.
        slow.iter_mut().for_each(|client| (0..3).for_each(|_| client.send(&["GET", "large"])));
        until("replies wait", || client.line("CLIENT LIST").contains("cmd=get").then_some(()));
        let began = Instant::now();
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        assert!(began.elapsed() < Duration::from_secs(8), "{}", server.log());
    }
}

/// The walk stands still in its middle, for the disk takes nothing of the snapshot, when what it stands on goes.
#[test]
fn hazard_28_what_a_walk_stands_on_may_go_meanwhile() {
    for (ending, last) in
        [("FLUSHALL", ":1"), ("SWAPDB 0 1", ":1"), ("FLUSHDB ASYNC", ":1"), ("BGSAVE CANCEL", ":20001")]
    {
        let plain = ["--snapshot-compression", "no", "--rdbcompression", "no"];
        let more = ["--databases", "2", "--enable-debug-command", "yes"];
        let Some(faulty) = Faulty::start("2", "everysec", &[&plain[..], &more].concat()) else { return };
        let server = &faulty.server;
        let mut client = server.client();
        assert_eq!(client.line("DEBUG POPULATE 20000 key 1000"), "+OK");
        faulty.fail("stallset");
        assert_eq!(client.line("BGSAVE"), "+Background saving started");
        let walked = |client: &mut Client| -> u64 {
            field(client, "current_save_keys_processed").parse().expect("a number")
        };
        until("the walk has begun, and waits for the disk", || {
            let before = walked(&mut client);
            client.line("PING");
            (before > 0 && walked(&mut client) == before).then_some(())
        });
        assert!(walked(&mut client) < 20_000, "all is captured, though the disk takes nothing");
        assert!(!client.line(ending).starts_with('-'), "{ending}");
        if ending != "BGSAVE CANCEL" {
            assert_eq!(field(&mut client, "rdb_bgsave_in_progress"), "1", "{ending}");
        }
        assert_eq!(client.line("SET last 1"), "+OK");
        faulty.mend("stallset");
        until("it is over", || (field(&mut client, "rdb_bgsave_in_progress") == "0").then_some(()));
        let saved = if ending == "BGSAVE CANCEL" { "0" } else { "20000" };
        assert_eq!(field(&mut client, "rdb_last_bgsave_keys"), saved, "{ending}");
        let next = faulty.stopped("3", &["--databases", "2"]);
        assert_eq!(next.client().line("DBSIZE"), last, "{ending}");
    }
}

const ROUNDS: usize = 6;

#[test]
fn hazard_29_what_is_cancelled_before_it_began_is_not_heard_of_again() {
    let server = Server::with(&LOGGED);
    let mut client = server.client();
    fill(&mut client, 300);
    for round in 0..40 {
        assert_eq!(client.pipeline(&[["BGSAVE", "SCHEDULE"], ["BGSAVE", "CANCEL"]]).len(), 2);
        assert_eq!(client.line(&format!("SET k{round} changed")), "+OK");
        assert_eq!(client.line(&format!("DEL k{}", round + 100)), ":1");
    }
    until("none is under way", || {
        client.line("INFO persistence").contains("rdb_bgsave_in_progress:0").then_some(())
    });
    assert_eq!(client.line("SAVE"), "+OK");
    let dir: Arc<TempDir> = server.dir_handle();
    drop(server);
    let next = Server::on(dir, &LOGGED);
    assert_eq!(next.client().line("DBSIZE"), ":260");
}
