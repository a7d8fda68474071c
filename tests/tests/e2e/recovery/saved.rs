//! What SAVE and BGSAVE have written is what a start begins with, with the log that goes on from it.

use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use lacewing_tests::{Client, WAIT_MAX, until};
use stdx::rng::Rng;

use super::sets::{flip, seconds, write_on};
use super::{CLIENTS, End, LENGTH, check, directory, now_ms, run, server};
use crate::dump::fill;
use crate::journal::load;
use crate::journal::replay::reading;

/// Files of the newest set of a directory.
fn newest(dir: &tempfile::TempDir) -> Vec<std::path::PathBuf> {
    let list = |path: &std::path::Path| {
        let entries =
            std::fs::read_dir(path).expect("it is there").map(|entry| entry.expect("an entry").path());
        let mut paths: Vec<_> = entries.collect();
        paths.sort();
        paths
    };
    let set = list(&dir.path().join("snapshots")).pop().expect("a set");
    list(&set).into_iter().filter(|path| !path.ends_with("manifest")).collect()
}

#[test]
fn a_set_and_the_log_behind_it_are_all_there_was() {
    for packed in ["SET x 1", "CONFIG SET snapshot-compression no"] {
        check(&[2, 2, 1, 3, 2], End::Killed, |client, round| {
            if round == 0 {
                run(client, packed);
                fill(client);
            }
            run(
                client,
                &format!("MSET a{round} 1 b{round} 2 c 3 | SELECT 2 | SET a {round} PX 10000000 | SELECT 0"),
            );
            run(
                client,
                "SAVE | APPEND string:0 x | RPUSH list:few y | HSET hash:many n 1 | RENAME c d | MSET e 1 f 2",
            );
            if round == 2 {
                // Two sets, and nothing behind the last.
                run(client, "SAVE");
            }
        });
    }
}

#[test]
fn without_a_log_a_set_alone_is_what_there_is() {
    let dir = directory();
    for (round, cores) in [2, 3, 1, 2].into_iter().enumerate() {
        let mut server = server(&dir, cores, &["--appendonly", "no"]);
        let mut client = server.client();
        assert_eq!(client.line("GET n"), if round == 0 { "nil".to_owned() } else { format!("\"{round}\"") });
        assert_eq!(client.line("EXISTS lost"), ":0");
        run(&mut client, "INCR n | SAVE | SET lost 1");
        server.kill();
    }
}

/// Whatever goes on while sets are taken: the newest, and the log from its cut on, are what was there.
#[test]
fn sets_taken_while_many_clients_write_are_exact() {
    for (seed, first, second) in [(21, 2, 2), (22, 2, 3), (23, 3, 1)] {
        let dir = directory();
        let mut rng = Rng::new(seed);
        let mut old = server(&dir, first, &[]);
        let is_over = AtomicBool::new(false);
        let saved = thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (client, rng, is_over) = (old.client(), rng.fork(), &is_over);
                scope.spawn(move || load::work(client, rng, is_over));
            }
            let (mut saver, started, mut saved) = (old.client(), Instant::now(), 0);
            while started.elapsed() < LENGTH || (saved < 3 && started.elapsed() < WAIT_MAX) {
                saved += u32::from(saver.line("BGSAVE").starts_with('+'));
                thread::park_timeout(Duration::from_millis(20));
            }
            is_over.store(true, Relaxed);
            saved
        });
        assert!(saved > 2, "sets are taken meanwhile: {saved}");
        let before = reading(&mut old.client());
        old.kill();
        let new = server(&dir, second, &[]);
        assert!(new.log().contains("snapshots/"), "it begins with a set: {}", new.log());
        let after = reading(&mut new.client());
        let differ: Vec<_> = before.iter().filter(|(key, value)| after.get(*key) != Some(value)).collect();
        assert_eq!(after, before, "seed {seed}, {first} cores, then {second}: {differ:#?}");
    }
}

/// With several sets and logs between them every time has its state: from the set before it, and the log from there.
#[test]
fn the_state_of_a_time_between_sets_can_be_had() {
    for cores in [2, 3, 1] {
        let dir = directory();
        let mut old = server(&dir, 2, &[]);
        let mut client = old.client();
        run(&mut client, "MSET a 1 b 1 | SAVE | MSET a 2 b 2");
        write_on(&mut client);
        let time = now_ms();
        run(&mut client, "FLUSHALL | SET late 1 | SAVE | SET later 1");
        write_on(&mut client);
        old.kill();
        let until = seconds(time);
        let mut then = server(&dir, cores, &["--recover-until", &until]);
        assert!(then.log().contains("snapshots/0000000001"), "{}", then.log());
        assert_eq!(then.client().line("MGET a b late later"), "[\"2\", \"2\", nil, nil]");
        run(&mut then.client(), "SET new 1 | SAVE");
        then.kill();
        assert!(dir.path().join("quarantine/0000000001/snapshots/0000000002/manifest").exists());
        // The number of a set that stands aside is not given again.
        assert!(dir.path().join("snapshots/0000000003/manifest").exists());
        let after = server(&dir, 2, &[]);
        assert_eq!(after.client().line("MGET a b new late"), "[\"2\", \"2\", \"1\", nil]");
    }
}

/// With sets as the server takes them, and the log pruned behind them.
#[test]
fn hazard_9_behind_a_damaged_newest_set_is_an_older_one_and_the_log_between_them() {
    let dir = directory();
    let mut old = server(&dir, 2, &["--snapshot-keep", "2"]);
    let mut client = old.client();
    for round in 0..4 {
        run(&mut client, &format!("MSET a{round} 1 b{round} 2 | SAVE"));
    }
    run(&mut client, "SET last 1");
    let pruned = || (!dir.path().join("snapshots/0000000002").exists()).then_some(());
    until("sets that nobody needs go", pruned);
    let before = client.line("DEBUG DIGEST");
    old.kill();
    for file in newest(&dir) {
        flip(&file, std::fs::metadata(&file).expect("it is there").len() as usize / 2);
    }
    let new = server(&dir, 2, &[]);
    new.wait_for_log("snapshot set 4 cannot be loaded");
    assert_eq!(new.client().line("DEBUG DIGEST"), before);
}

/// Before the load was whole nothing is saved, and nothing goes.
#[test]
fn hazard_1_nothing_is_saved_and_nothing_removed_while_data_is_loaded() {
    let dir = directory();
    let mut old = server(&dir, 2, &[]);
    let mut client = old.client();
    let commands: Vec<Vec<Vec<u8>>> = (0..5000)
        .map(|number| ["SET".into(), format!("k{number}"), "v".repeat(100)].map(String::into_bytes).to_vec())
        .collect();
    client.pipeline(&commands);
    run(&mut client, "SAVE | SET more 1");
    old.kill();
    let files = |what: &str| {
        let entries = std::fs::read_dir(dir.path().join(what)).expect("it is there");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    let before = (files("snapshots"), files("log"));
    let slow = ["--key-load-delay", "300", "--save", "1 1", "--snapshot-keep", "1"];
    let args = [&super::LOGGING[..], &["--cores", "2"], &slow].concat();
    let mut new = lacewing_tests::Server::loading(dir.clone(), &args, &[]);
    let mut client: Client = new.client();
    for command in ["SAVE", "BGSAVE", "BGSAVE SCHEDULE", "BGREWRITEAOF", "FLUSHALL", "DEBUG RELOAD"] {
        let reply = client.line(command);
        assert!(reply.starts_with("-LOADING"), "{command}: {reply}");
    }
    // An end that would save, for there are save points.
    new.signal("TERM");
    assert_eq!(new.wait().code(), Some(0));
    assert_eq!((files("snapshots"), files("log")), before);
    let whole = server(&dir, 2, &[]);
    assert_eq!(whole.client().line("DBSIZE"), ":5001");
}

/// Begins a start, and kills it somewhere on its way, or a little later.
fn cut_off(dir: &tempfile::TempDir, rng: &mut Rng, args: &[&str]) {
    let cores = ["1", "2", "3"][rng.below(3) as usize];
    let mut command = Command::new(lacewing_tests::Server::binary());
    command.args(super::LOGGING).args([
        "--cores",
        cores,
        "--port",
        "0",
        "--unixsocket",
        "socket",
        "--save",
        "",
    ]);
    command.arg("--dir").arg(dir.path()).args(args).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it can be started");
    thread::park_timeout(Duration::from_millis(rng.below(250)));
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
}

#[test]
fn starts_that_are_killed_at_any_moment_lose_nothing() {
    let dir = directory();
    let mut old = server(&dir, 2, &[]);
    let mut client = old.client();
    fill(&mut client);
    run(&mut client, "SAVE | MSET a 1 b 2 c 3 | RENAME a d");
    let before = client.line("DEBUG DIGEST");
    old.kill();
    let mut rng = Rng::new(31);
    for round in 0..5 {
        (0..6).for_each(|_| cut_off(&dir, &mut rng, &[]));
        let mut whole = server(&dir, 2, &[]);
        assert_eq!(whole.client().line("DEBUG DIGEST"), before, "round {round}");
        if round % 2 == 0 {
            run(&mut whole.client(), "SAVE");
        }
        whole.kill();
    }
    assert!(!dir.path().join("quarantine").exists(), "nothing was given up");
}

/// There is the state of before, or that of the time, whoever asks; nothing between.
#[test]
fn starts_that_take_the_data_back_may_be_killed_at_any_moment() {
    let first = directory();
    let mut old = server(&first, 2, &[]);
    let mut client = old.client();
    run(&mut client, "MSET a 1 b 1");
    write_on(&mut client);
    let until = seconds(now_ms());
    run(&mut client, "MSET a 2 b 2 | SAVE");
    write_on(&mut client);
    old.kill();
    let mut second = server(&first, 3, &[]);
    run(&mut second.client(), "MSET a 3 b 3 | SAVE | MSET a 4 b 4");
    second.kill();
    let mut rng = Rng::new(32);
    for round in 0..12 {
        let dir = directory();
        let copied = Command::new("cp").arg("-a").arg(first.path().join(".")).arg(dir.path()).status();
        assert!(copied.expect("there is cp").success());
        cut_off(&dir, &mut rng, &["--recover-until", &until]);
        let has_begun = dir.path().join("quarantine").exists();
        let then = server(&dir, 2, &[]);
        let found = then.client().line("MGET a b");
        let is_there = found == "[\"1\", \"1\"]" || (found == "[\"4\", \"4\"]" && !has_begun);
        assert!(is_there, "round {round}: {found}, {has_begun}");
    }
}
