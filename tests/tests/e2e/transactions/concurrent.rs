//! Transactions of many clients at once, over four shards.

use lacewing_tests::{Client, Server, WAIT_MAX};
use resp::Value;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Instant;
use stdx::Rng;

fn server() -> Server {
    Server::with(&["--cores", "4", "--pin", "no"])
}

fn int(value: &Value) -> i64 {
    let text = value.as_bytes().unwrap_or_else(|| panic!("{} is a number", lacewing_tests::show(value)));
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("a number")
}

/// Money is moved between accounts on all shards; whoever looks at all of them at once sees the same sum.
#[test]
fn nobody_sees_half_a_transfer() {
    const ACCOUNTS: usize = 12;
    let server = server();
    let keys: Vec<String> = (0..ACCOUNTS).map(|account| format!("account:{account}")).collect();
    let mut client = server.client();
    keys.iter().for_each(|key| drop(client.call(&["SET", key, "100"])));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (server, keys, done) = (&server, &keys, &done);
        let movers: Vec<_> =
            (0..6).map(|seed| scope.spawn(move || transfer(&mut server.client(), keys, seed))).collect();
        for reads_by_exec in [false, true] {
            scope.spawn(move || {
                let mut client = server.client();
                while !done.load(Relaxed) {
                    let balances =
                        if reads_by_exec { read_by_exec(&mut client, keys) } else { read(&mut client, keys) };
                    assert_eq!(balances.iter().sum::<i64>(), 100 * ACCOUNTS as i64, "{balances:?}");
                }
            });
        }
        let results: Vec<_> = movers.into_iter().map(|mover| mover.join()).collect();
        done.store(true, Relaxed);
        results.into_iter().for_each(|result| result.expect("it moved all its money"));
    });
    assert_eq!(read(&mut client, &keys).iter().sum::<i64>(), 100 * ACCOUNTS as i64);
}

fn transfer(client: &mut Client, keys: &[String], seed: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..300 {
        let (from, to, amount) = (rng.pick(keys), rng.pick(keys), (1 + rng.below(50)).to_string());
        let commands =
            [vec!["MULTI"], vec!["DECRBY", from, &amount], vec!["INCRBY", to, &amount], vec!["EXEC"]];
        let replies = if rng.one_in(2) {
            client.pipeline(&commands)
        } else {
            commands.iter().map(|command| client.call(command)).collect()
        };
        assert!(matches!(&replies[3], Value::Array(both) if both.len() == 2), "{replies:?}");
    }
}

fn read(client: &mut Client, keys: &[String]) -> Vec<i64> {
    let mut command = vec!["MGET"];
    command.extend(keys.iter().map(String::as_str));
    let Value::Array(values) = client.call(&command) else { panic!("MGET answers an array") };
    values.iter().map(int).collect()
}

fn read_by_exec(client: &mut Client, keys: &[String]) -> Vec<i64> {
    let mut commands = vec![vec!["MULTI"]];
    commands.extend(keys.iter().map(|key| vec!["GET", key]));
    commands.push(vec!["EXEC"]);
    let replies = client.pipeline(&commands);
    let Some(Value::Array(values)) = replies.last() else { panic!("EXEC answers an array") };
    values.iter().map(int).collect()
}

/// Read, add one, write if nobody else has: no increment is lost, whichever shards the counters are on.
#[test]
fn optimistic_locking_loses_no_increment() {
    const CLIENTS: usize = 8;
    const TIMES: i64 = 40;
    let server = server();
    for keys in [["{x}one", "{x}two"], ["p", "q"], ["b", "d"]] {
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = server.client();
                    (0..TIMES).for_each(|_| increment(&mut client, keys));
                });
            }
        });
        let mut client = server.client();
        for key in keys {
            assert_eq!(int(&client.call(&["GET", key])), CLIENTS as i64 * TIMES, "{key}");
        }
    }
}

fn increment(client: &mut Client, keys: [&str; 2]) {
    let start = Instant::now();
    loop {
        client.call(&["WATCH", keys[0], keys[1]]);
        let next: Vec<String> = keys
            .iter()
            .map(|key| match client.call(&["GET", key]) {
                Value::NullBulk => "1".to_owned(),
                value => (int(&value) + 1).to_string(),
            })
            .collect();
        let commands =
            [vec!["MULTI"], vec!["SET", keys[0], &next[0]], vec!["SET", keys[1], &next[1]], vec!["EXEC"]];
        match client.pipeline(&commands).pop() {
            Some(Value::Array(_)) => return,
            Some(Value::NullArray) => assert!(start.elapsed() < WAIT_MAX, "others always come first"),
            other => panic!("EXEC answers {other:?}"),
        }
    }
}

/// Clients that vanish in the middle of whatever they do leave nothing that others would wait for.
#[test]
fn clients_that_vanish_leave_no_locks() {
    let server = server();
    let keys: Vec<String> = (0..8).map(|key| format!("key:{key}")).collect();
    thread::scope(|scope| {
        for seed in 0..6 {
            let (server, keys) = (&server, &keys);
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                for _ in 0..60 {
                    let pick = |rng: &mut Rng| rng.pick(keys).as_str();
                    let mut bytes = Vec::new();
                    let mut add = |command: &[&str]| resp::encode_command(command, &mut bytes);
                    add(&["WATCH", pick(&mut rng), pick(&mut rng)]);
                    add(&["MULTI"]);
                    (0..rng.below(6)).for_each(|_| add(&["INCR", pick(&mut rng)]));
                    if rng.one_in(3) {
                        add(&["RENAME", pick(&mut rng), pick(&mut rng)]);
                    }
                    add(&["EXEC"]);
                    add(&["MSET", pick(&mut rng), "1", pick(&mut rng), "2"]);
                    bytes.truncate(bytes.len() - rng.index(30));
                    // Gone without having read anything.
                    let _ = server.client().try_send_bytes(&bytes);
                }
            });
        }
    });
    let mut client = server.client();
    lacewing_tests::until("all of them have gone", || {
        let info = lacewing_tests::show(&client.call(&["INFO", "clients"]));
        info.contains("connected_clients:1\\r").then_some(())
    });
    assert!(matches!(client.call(&["FLUSHALL"]), Value::Simple(_)));
    let mut command = vec!["MGET"];
    command.extend(keys.iter().map(String::as_str));
    assert!(matches!(client.call(&command), Value::Array(values) if values.len() == keys.len()));
    for key in &keys {
        assert_eq!(client.call(&["INCR", key]), Value::Int(1), "{key} is not locked");
    }
    lacewing_tests::until("all watches have ended", || {
        let info = lacewing_tests::show(&client.call(&["INFO", "clients"]));
        info.contains("total_watched_keys:0").then_some(())
    });
}

/// Everything at once on few keys: every reply comes in time. (A client panics when one does not.)
#[test]
fn contended_transactions_of_all_kinds_do_not_wait_for_each_other_for_ever() {
    let server = server();
    let keys: Vec<String> = (0..6).map(|key| format!("k{key}")).collect();
    thread::scope(|scope| {
        for seed in 0..12 {
            let (server, keys) = (&server, &keys);
            scope.spawn(move || {
                let (mut rng, mut client) = (Rng::new(seed), server.client());
                for _ in 0..120 {
                    random_block(&mut rng, &mut client, keys);
                }
            });
        }
    });
    let mut server = server;
    assert!(server.stop().success());
}

fn random_block(rng: &mut Rng, client: &mut Client, keys: &[String]) {
    let mut commands: Vec<Vec<String>> = Vec::new();
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    if rng.one_in(3) {
        commands.push(words(format!("WATCH {} {}", rng.pick(keys), rng.pick(keys))));
    }
    commands.push(words("MULTI".into()));
    for _ in 0..rng.below(5) {
        let (one, other) = (rng.pick(keys).clone(), rng.pick(keys).clone());
        commands.push(words(match rng.below(9) {
            0 => format!("MGET {one} {other}"),
            1 => format!("MSET {one} 1 {other} 2"),
            2 => format!("RENAMENX {one} {other}"),
            3 => "PING".to_owned(),
            4 if rng.one_in(6) => "DBSIZE".to_owned(),
            5 if rng.one_in(10) => "FLUSHALL".to_owned(),
            _ => format!("INCR {one}"),
        }));
    }
    let queued = commands.iter().rev().take_while(|command| command[0] != "MULTI").count();
    commands.push(words(if rng.one_in(10) { "DISCARD".into() } else { "EXEC".into() }));
    commands.push(words(format!("MGET {} {}", rng.pick(keys), rng.pick(keys))));
    commands.push(words(format!("GET {}", rng.pick(keys))));
    let replies = client.pipeline(&commands);
    match &replies[replies.len() - 3] {
        Value::Array(replies) => assert_eq!(replies.len(), queued, "{commands:?}"),
        Value::NullArray | Value::Simple(_) => {}
        other => panic!("{commands:?} is answered {other:?}"),
    }
}

/// Keys expire while transactions that read them twice are under way, and others look at them all the time.
#[test]
fn no_key_expires_in_the_middle_of_a_transaction() {
    const KEYS: usize = 8;
    let server = server();
    let keys: Vec<String> = (0..KEYS).map(|key| format!("key:{key}")).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (server, keys, done) = (&server, &keys, &done);
        for _ in 0..4 {
            scope.spawn(move || {
                let gets: Vec<[&str; 2]> = keys.iter().map(|key| ["GET", key]).collect();
                let mut client = server.client();
                while !done.load(Relaxed) {
                    client.pipeline(&gets);
                }
            });
        }
        scope.spawn(move || {
            let sets: Vec<[&str; 5]> = keys.iter().map(|key| ["SET", key, "v", "PX", "2"]).collect();
            let mut client = server.client();
            while !done.load(Relaxed) {
                client.pipeline(&sets);
                thread::yield_now();
            }
        });
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let mut alive = 0;
        for round in 0..4000 {
            // Something about the connection between the two, so that they are stages of their own.
            let get = ["GET", &*keys[round % KEYS]];
            let queue: [&[&str]; 5] = [&["MULTI"], &get, &["PING"], &get, &["EXEC"]];
            let replies = clients[round % 4].pipeline(&queue);
            let Some(Value::Array(seen)) = replies.last() else { panic!("{replies:?}") };
            if seen[0] != seen[2] {
                done.store(true, Relaxed);
                panic!("{seen:?}");
            }
            alive += usize::from(seen[0].as_bytes().is_some());
        }
        done.store(true, Relaxed);
        assert!(alive > 0, "some were alive");
    });
}
