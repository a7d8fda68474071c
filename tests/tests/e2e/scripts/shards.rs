//! Scripts over several shards: they are one step, whatever they touch, and others see all of it or nothing.

use super::server;
use lacewing_tests::{Client, Server, show, until};
use resp::Value;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use stdx::Rng;

/// Every kind of command, on keys of all shards, declared or not; the replies are those of one shard.
#[test]
fn scripts_touch_keys_of_all_shards() {
    const SCRIPTS: &[&str] = &[
        "return redis.call('MSET', 'a', 1, 'b', 2, 'c', 3, 'd', 4)",
        "return redis.call('MGET', 'a', 'b', 'c', 'd', 'none')",
        "return {redis.call('INCR', 'a'), redis.call('INCR', 'b'), redis.call('INCR', 'c')}",
        "local sum = 0 for _, key in ipairs({'a', 'b', 'c', 'd'}) do sum = sum + redis.call('GET', key) end return sum",
        "for i = 1, 50 do redis.call('RPUSH', 'list:' .. i % 7, i) end return redis.call('LRANGE', 'list:3', 0, -1)",
        "return redis.call('RENAME', 'a', 'z')",
        "return redis.call('SUNIONSTORE', 'u', 's', 't')",
        "redis.call('SADD', 's', 1, 2) redis.call('SADD', 't', 2, 3) return redis.call('SUNIONSTORE', 'u', 's', 't')",
        "local all = redis.call('SMEMBERS', 'u') table.sort(all) return all",
        "return redis.call('DBSIZE')",
        "local keys = redis.call('KEYS', '*') table.sort(keys) return keys",
        "local seen, cursor = 0, '0' repeat local page = redis.call('SCAN', cursor, 'COUNT', 3) cursor = page[1] \
         seen = seen + #page[2] until cursor == '0' return seen",
        "redis.call('SELECT', 3) redis.call('MSET', 'a', 1, 'b', 2) return redis.call('DBSIZE')",
        "return redis.call('DBSIZE')",
        "return redis.pcall('LPUSH', 'b', 1)",
        "redis.call('SET', 'x', 1) redis.call('LPUSH', 'x', 1)",
        "return redis.call('GET', 'x')",
        "redis.setresp(3) redis.call('HSET', 'hash', 'f', 'v') return redis.call('HGETALL', 'hash')",
        "return redis.call('TYPE', 'hash')",
        "return redis.call('PING')",
        "return redis.call('SORT', 'list:3', 'BY', 'weight:*', 'DESC')",
        "return redis.call('EXISTS', 'a', 'b', 'c', 'hash', 'none')",
        "return redis.call('OBJECT', 'ENCODING', 'hash')",
        "return redis.call('DEL', 'a', 'b', 'c', 'hash', 'none')",
        "redis.call('FLUSHDB') return redis.call('DBSIZE')",
        "return redis.call('PUBLISH', 'nobody', 1)",
        "return redis.pcall('NOSUCH')",
        "return redis.pcall('GET')",
        "return redis.call('RANDOMKEY')",
        "redis.call('XADD', 'stream', '1-1', 'f', 'v') redis.call('XADD', 'other', '2-1', 'f', 'v') \
         return redis.call('XREAD', 'STREAMS', 'stream', 'other', 0, 0)",
        "return redis.call('COPY', 'stream', 'copied')",
    ];
    let (one, four) = (server("1"), server("4"));
    for declared in ["0", "2 a b", "1 stream"] {
        let (mut alone, mut spread) = (one.client(), four.client());
        assert_eq!([alone.line("FLUSHALL"), spread.line("FLUSHALL")], ["+OK", "+OK"]);
        for script in SCRIPTS {
            let mut call = vec!["EVAL", script];
            call.extend(declared.split(' '));
            let (want, got) = (show(&alone.call(&call)), show(&spread.call(&call)));
            assert_eq!(got, want, "{script}, {declared}");
        }
    }
}

/// Money is moved between accounts on all shards by scripts; whoever looks at all of them at once sees the same sum.
#[test]
fn nobody_sees_half_a_script() {
    const ACCOUNTS: usize = 12;
    const MOVE: &[&str] = &[
        // Its keys are known.
        "redis.call('DECRBY', KEYS[1], ARGV[1]) return redis.call('INCRBY', KEYS[2], ARGV[1])",
        // They are not.
        "for place, sign in ipairs({-1, 1}) do redis.call('INCRBY', KEYS[place], sign * ARGV[1]) end",
        "local from, to = ARGV[2], ARGV[3] redis.call('DECRBY', from, ARGV[1]) redis.call('INCRBY', to, ARGV[1])",
    ];
    const LOOK: &str =
        "local sum = 0 for n = 0, 11 do sum = sum + redis.call('GET', 'account:' .. n) end return sum";
    let server = server("4");
    let keys: Vec<String> = (0..ACCOUNTS).map(|account| format!("account:{account}")).collect();
    let mut client = server.client();
    keys.iter().for_each(|key| drop(client.call(&["SET", key, "100"])));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (server, keys, done) = (&server, &keys, &done);
        let movers: Vec<_> = (0..6)
            .map(|seed| {
                scope.spawn(move || {
                    let (mut client, mut rng) = (server.client(), Rng::new(seed));
                    for _ in 0..200 {
                        let (from, to) = (rng.pick(keys).as_str(), rng.pick(keys).as_str());
                        let amount = (1 + rng.below(50)).to_string();
                        let reply = show(&client.call(&[
                            "EVAL",
                            rng.pick::<&str>(MOVE),
                            "2",
                            from,
                            to,
                            &amount,
                            from,
                            to,
                        ]));
                        assert!(!reply.starts_with('-'), "{reply}");
                    }
                })
            })
            .collect();
        for reads_by_script in [false, true] {
            scope.spawn(move || {
                let mut client = server.client();
                while !done.load(Relaxed) {
                    let sum = if reads_by_script {
                        let Value::Int(sum) = client.call(&["EVAL", LOOK, "0"]) else { panic!("a number") };
                        sum
                    } else {
                        sum(&mut client, keys)
                    };
                    assert_eq!(sum, 100 * ACCOUNTS as i64, "by script: {reads_by_script}");
                }
            });
        }
        let results: Vec<_> = movers.into_iter().map(|mover| mover.join()).collect();
        done.store(true, Relaxed);
        results.into_iter().for_each(|result| result.expect("it moved all its money"));
    });
    assert_eq!(sum(&mut client, &keys), 100 * ACCOUNTS as i64);
}

fn sum(client: &mut Client, keys: &[String]) -> i64 {
    let mut command = vec!["MGET"];
    command.extend(keys.iter().map(String::as_str));
    let Value::Array(values) = client.call(&command) else { panic!("MGET answers an array") };
    let number = |value: &Value| std::str::from_utf8(value.as_bytes()?).ok()?.parse::<i64>().ok();
    values.iter().map(|value| number(value).expect("a number")).sum()
}

/// Clients that wait for keys, and subscribers, hear of what a script does when it has ended.
#[test]
fn scripts_wake_those_who_wait() {
    for cores in ["1", "4"] {
        let server = server(cores);
        let (mut waiting, mut subscriber, mut client) = (server.client(), server.client(), server.client());
        subscriber.send(&["SUBSCRIBE", "news"]);
        subscriber.read_any().expect("it is subscribed");
        for (round, keys) in [vec![], vec!["list"], vec!["list", "other"]].into_iter().enumerate() {
            waiting.send(&["BLPOP", "list", "0"]);
            wait_for_blocked(&server);
            let script = "redis.call('RPUSH', 'list', 'a', 'b') redis.call('PUBLISH', 'news', 'pushed') \
                return redis.call('LPOP', 'list')";
            let count = keys.len().to_string();
            let mut call = vec!["EVAL", script, &count];
            call.extend(&keys);
            assert_eq!(show(&client.call(&call)), "\"a\"", "{cores} cores, round {round}");
            assert_eq!(show(&waiting.read()), r#"["list", "b"]"#, "{cores} cores, round {round}");
            let news = subscriber.read_any().expect("news").expect("a message");
            assert_eq!(show(&news), r#"["message", "news", "pushed"]"#, "{cores} cores, round {round}");
        }
    }
}

#[track_caller]
fn wait_for_blocked(server: &Server) {
    let mut client = server.client();
    until("a client waits", || client.line("INFO clients").contains("blocked_clients:1").then_some(()));
}

/// Every command that there is, called by scripts that run at home, on another shard and over all of them.
#[test]
fn no_command_of_a_script_ends_the_server() {
    const TAME: &str = "return redis.pcall('NAME', KEYS[1])";
    const CALLS: &[&str] = &[
        "return #{redis.pcall(ARGV[1])}",
        "return #{redis.pcall(ARGV[1], KEYS[1])}",
        "return #{redis.pcall(ARGV[1], KEYS[1], KEYS[2])}",
        "return #{redis.pcall(ARGV[1], KEYS[1], '1', '2')}",
        "return #{redis.pcall(ARGV[1], ARGV[2], KEYS[1], KEYS[2], '1')}",
        "return #{redis.pcall(ARGV[1], '2', KEYS[1], KEYS[2], '1')}",
    ];
    for cores in ["1", "4"] {
        let server = server(cores);
        let mut client = server.client();
        let Value::Array(names) = client.call(&["COMMAND", "LIST"]) else { panic!("names") };
        for name in &names {
            let name = String::from_utf8_lossy(name.as_bytes().expect("a name")).into_owned();
            // Those are meant to.
            if ["shutdown", "debug", "sleep"].contains(&name.as_str()) {
                continue;
            }
            let mut words = name.split('|');
            let (command, subcommand) = (words.next().unwrap_or_default(), words.next().unwrap_or("help"));
            for (first, second) in [("a", "b"), ("c", "d"), ("{a}1", "{a}2"), ("{b}1", "{b}2")] {
                for script in CALLS {
                    client.call(&["EVAL", script, "2", first, second, command, subcommand]);
                }
                client.call(&["EVAL", &TAME.replace("NAME", command), "1", first]);
            }
            assert_eq!(client.line("PING"), "+PONG", "{cores} cores, after {name}");
        }
    }
}

#[test]
fn scripts_run_inside_transactions() {
    for cores in ["1", "4"] {
        let server = server(cores);
        let mut client = server.client();
        for command in ["SET a 1", "SET b 2", "MULTI", "INCR a"] {
            client.line(command);
        }
        let both = "return {redis.call('INCR', 'a'), redis.call('INCR', 'b')}";
        client.call(&["EVAL", both, "0"]);
        client.call(&["EVAL", "return redis.call('GET', KEYS[1])", "1", "b"]);
        client.call(&["EVAL", "return redis.call('LPUSH', KEYS[1], 1)", "1", "b"]);
        client.line("SELECT 3");
        client.call(&["EVAL", "return redis.call('DBSIZE')", "0"]);
        client.call(&["EVALSHA", &"0".repeat(40), "0"]);
        let reply = show(&client.call(&["EXEC"]));
        let start = r#"[:2, [:3, :3], "3", -WRONGTYPE "#;
        assert!(reply.starts_with(start), "{cores} cores: {reply}");
        let end = "+OK, :0, -NOSCRIPT No matching script. Please use EVAL.]";
        assert!(reply.ends_with(end), "{cores} cores: {reply}");
        client.line("SELECT 0");
        assert_eq!([client.line("GET a"), client.line("GET b")], [r#""3""#, r#""3""#]);
    }
}

/// A script has one time, that of its beginning, wherever it runs.
#[test]
fn time_stands_still_in_a_script() {
    const SCRIPT: &str = "local before = redis.call('TIME') for i = 1, 3e6 do end local after = redis.call('TIME') \
        return {before[1] == after[1] and before[2] == after[2] and 'still' or 'moved', before[1]}";
    for cores in ["1", "4"] {
        let server = server(cores);
        let mut client = server.client();
        let calls: [&[&str]; 5] = [&["0"], &["1", "a"], &["1", "b"], &["1", "c"], &["2", "a", "b"]];
        for keys in calls {
            let call = [&["EVAL", SCRIPT], keys].concat();
            let Value::Array(reply) = client.call(&call) else { panic!("an array") };
            assert_eq!(show(&reply[0]), "\"still\"", "{cores} cores, {keys:?}");
            let seconds = std::str::from_utf8(reply[1].as_bytes().expect("a text")).expect("digits");
            let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
            let age = now - seconds.parse::<u64>().expect("seconds");
            assert!(age < 30, "{cores} cores, {keys:?}: {age} seconds old");
        }
    }
}
