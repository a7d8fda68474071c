//! Scripts that run for long: who is answered meanwhile, and how they end.

use super::server;
use lacewing_tests::{Client, Server, show, until};

/// Runs until it is killed.
const ENDLESS: &str = "while true do end";
const ENDLESS_LIBRARY: &str = "#!lua name=endless\n\
    redis.register_function('endless', function() while true do end end)\n\
    redis.register_function('write_endlessly', function(keys) redis.call('SET', keys[1], 1) while true do end end)";
const BUSY: &str = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str =
    "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
/// As in Redis the words are the same for functions.
const KILLED: &str = "-ERR Script killed by user with SCRIPT KILL... script: ";

/// A server where scripts are soon busy.
fn impatient(cores: &str) -> Server {
    let server = server(cores);
    assert_eq!(server.client().line("CONFIG SET busy-reply-threshold 20"), "+OK");
    server
}

/// Asks for the key until its shard is busy. Who has come for it before that is told so too.
#[track_caller]
fn wait_until_busy(client: &mut Client, key: &str) -> String {
    until("the shard is busy", || {
        let reply = client.line(&format!("GET {key}"));
        reply.starts_with("-BUSY ").then_some(reply)
    })
}

fn killed_on(cores: &str) {
    let server = impatient(cores);
    let (mut runner, mut others) = (server.client(), [server.client(), server.client(), server.client()]);
    for round in 0..4 {
        let key = format!("key:{round}");
        runner.send(&["EVAL", ENDLESS, "1", &key]);
        let killer = &mut others[round % 3];
        assert_eq!(wait_until_busy(killer, &key), BUSY, "{cores} cores, round {round}");
        assert_eq!(killer.line("FUNCTION KILL"), BUSY, "{cores} cores");
        assert_eq!(killer.line("SCRIPT KILL"), "+OK", "{cores} cores");
        let reply = show(&runner.read());
        assert!(reply.starts_with(KILLED), "{reply}");
        for client in &mut others {
            assert_eq!(client.line(&format!("GET {key}")), "nil");
            assert_eq!(client.line("SCRIPT KILL"), "-NOTBUSY No scripts in execution right now.");
        }
        assert_eq!(runner.line("PING"), "+PONG");
    }
}

#[test]
fn an_endless_script_is_killed() {
    killed_on("1");
}

#[test]
fn an_endless_script_is_killed_from_any_core() {
    killed_on("4");
}

#[test]
fn keys_of_other_shards_are_served_meanwhile() {
    let server = impatient("4");
    let (mut runner, mut client) = (server.client(), server.client());
    runner.send(&["EVAL", ENDLESS, "1", "key"]);
    assert_eq!(wait_until_busy(&mut client, "key"), BUSY);
    let replies: Vec<String> = (0..40).map(|key| client.line(&format!("SET other:{key} 1"))).collect();
    let (busy, served): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| *reply == BUSY);
    assert!(served.iter().all(|reply| reply == "+OK"), "{served:?}");
    assert!(served.len() >= 20 && !busy.is_empty(), "{} are served, {} busy", served.len(), busy.len());
    assert_eq!(client.line("SCRIPT KILL"), "+OK");
    runner.read();
}

/// Before the threshold whoever comes for the script's keys waits for it, and so does whoever has come then.
#[test]
fn a_long_script_is_waited_for() {
    let server = server("1");
    let (mut runner, mut client, mut pinged) = (server.client(), server.client(), server.client());
    let script = "local n = 0 for i = 1, 3e7 do n = n + i end return redis.call('INCR', KEYS[1])";
    runner.send(&["EVAL", script, "1", "counter"]);
    client.send(&["INCR", "counter"]);
    assert_eq!(pinged.line("PING"), "+PONG");
    assert_eq!([show(&runner.read()), show(&client.read())].concat().len(), ":1:2".len());
    assert_eq!(client.line("GET counter"), "\"2\"");
}

fn unkillable_on(cores: &str) {
    let mut server = impatient(cores);
    let (mut runner, mut client) = (server.client(), server.client());
    runner.send(&["EVAL", "redis.call('SET', KEYS[1], 1) while true do end", "1", "key"]);
    assert_eq!(wait_until_busy(&mut client, "key"), BUSY);
    assert_eq!(
        client.line("SCRIPT KILL"),
        "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the \
         script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
    );
    client.send(&["SHUTDOWN", "NOSAVE"]);
    assert!(server.wait().success());
}

#[test]
fn a_script_that_wrote_ends_with_the_server() {
    unkillable_on("1");
    unkillable_on("4");
}

#[test]
fn an_endless_function_is_killed() {
    for cores in ["1", "4"] {
        let server = impatient(cores);
        let (mut runner, mut client) = (server.client(), server.client());
        assert_eq!(show(&client.call(&["FUNCTION", "LOAD", ENDLESS_LIBRARY])), "\"endless\"");
        runner.send(&["FCALL", "endless", "1", "key", "argument"]);
        assert_eq!(wait_until_busy(&mut client, "key"), BUSY_FUNCTION);
        let stats = client.line("FUNCTION STATS");
        assert!(stats.contains(r#""command", ["FCALL", "endless", "1", "key", "argument"]"#), "{stats}");
        assert_eq!(client.line("SCRIPT KILL"), BUSY_FUNCTION);
        assert_eq!(client.line("FUNCTION KILL"), "+OK");
        let reply = show(&runner.read());
        assert!(reply.starts_with(KILLED), "{reply}");
        runner.send(&["FCALL", "write_endlessly", "1", "key"]);
        assert_eq!(wait_until_busy(&mut client, "key"), BUSY_FUNCTION);
        assert!(client.line("FUNCTION KILL").starts_with("-UNKILLABLE "));
    }
}

/// A client that goes leaves its script, which goes on.
#[test]
fn a_script_outlives_its_client() {
    let server = impatient("1");
    let (mut runner, mut client) = (server.client(), server.client());
    runner.send(&["EVAL", ENDLESS, "1", "key"]);
    assert_eq!(wait_until_busy(&mut client, "key"), BUSY);
    drop(runner);
    assert_eq!(client.line("GET key"), BUSY);
    assert_eq!(client.line("SCRIPT KILL"), "+OK");
    until("the key is free", || (client.line("GET key") == "nil").then_some(()));
}

/// Scripts that give way in their middle, and commands that come meanwhile: each is one step.
#[test]
fn long_scripts_of_one_key_lose_nothing() {
    const CLIENTS: usize = 5;
    const ROUNDS: usize = 12;
    // Some milliseconds between reading and writing.
    const SLOW_INCR: &str = "local n = redis.call('GET', KEYS[1]) or 0 for i = 1, 6e5 do end \
        redis.call('SET', KEYS[1], n + 1) return n + 1";
    // The same with a key that is not declared.
    const UNDECLARED: &str = "local n = redis.call('GET', ARGV[1]) or 0 for i = 1, 6e5 do end \
        redis.call('SET', ARGV[1], n + 1) return n + 1";
    for cores in ["1", "4"] {
        let server = server(cores);
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let server = &server;
                scope.spawn(move || {
                    let mut client = server.client();
                    for round in 0..ROUNDS {
                        let reply = match (number + round) % 4 {
                            0 => client.call(&["EVAL", SLOW_INCR, "1", "counter"]),
                            1 => client.call(&["EVAL", UNDECLARED, "0", "counter"]),
                            2 => {
                                client.line("MULTI");
                                client.call(&["EVAL", SLOW_INCR, "1", "counter"]);
                                client.call(&["EXEC"])
                            }
                            _ => client.call(&["INCR", "counter"]),
                        };
                        assert!(!show(&reply).contains('-'), "{cores} cores: {}", show(&reply));
                    }
                });
            }
        });
        let reply = server.client().line("GET counter");
        assert_eq!(reply, format!("\"{}\"", CLIENTS * ROUNDS), "{cores} cores");
    }
}

/// One that calls commands all the time, on keys of all shards, is killed too; and who waited for it is told.
#[test]
fn an_endless_script_over_all_shards_is_killed() {
    const CALLS: &str = "local n = 0 while true do n = n + 1 redis.pcall('GET', 'key:' .. n % 100) end";
    for cores in ["1", "4"] {
        let server = impatient(cores);
        let (mut runner, mut killer) = (server.client(), server.client());
        let mut waiting: Vec<Client> = (0..8).map(|_| server.client()).collect();
        let mut transaction = server.client();
        for command in ["MULTI", "SET a 1", "SET b 1", "SET c 1"] {
            transaction.line(command);
        }
        runner.send(&["EVAL", CALLS, "0"]);
        // Some of these come before it is busy, some after.
        for (number, client) in waiting.iter_mut().enumerate() {
            match number % 4 {
                0 => client.send(&["MSET", "a", "1", "b", "2", "c", "3", "d", "4"]),
                1 => client.send(&["GET", "key:1"]),
                2 => client.send(&["EVAL", "return redis.call('SET', 'x', 1)", "0"]),
                _ => client.send(&["RENAME", "a", "b"]),
            }
        }
        transaction.send(&["EXEC"]);
        assert_eq!(wait_until_busy(&mut killer, "key:7"), BUSY, "{cores} cores");
        for client in &mut waiting {
            let reply = show(&client.read());
            let is_done = !reply.starts_with('-') || reply == "-ERR no such key";
            assert!(is_done || reply == BUSY, "{cores} cores: {reply}");
        }
        let reply = show(&transaction.read());
        assert!(
            reply.starts_with("-EXECABORT Transaction discarded because of: BUSY") || reply.starts_with('['),
            "{cores} cores: {reply}"
        );
        assert_eq!(killer.line("SCRIPT KILL"), "+OK", "{cores} cores");
        assert!(show(&runner.read()).starts_with(KILLED), "{cores} cores");
        for client in &mut waiting {
            assert_eq!(client.line("SET key:1 v"), "+OK", "{cores} cores");
        }
    }
}

/// A client that waits for keys, one of which is kept from it by commands that stand behind a script, is served as soon as
/// those are refused.
#[test]
fn who_waits_is_served_when_those_before_it_are_refused() {
    // Behind a script of `{T}locked`, and before a client that waits for `{T}awaited`.
    const BEFORE: &[&[&str]] = &[
        &["MSET {T}locked 1 {T}awaited 1"],
        &["MSET {T}locked 1 {T}awaited 1 {U}other 1"],
        &["MSETNX {T}locked 1 {T}awaited 1 {U}other 1"],
        &["MULTI", "SET {T}locked 1", "SET {T}awaited 1", "EXEC"],
        &["MULTI", "SET {T}locked 1", "SET {T}awaited 1", "SET {U}other 1", "EXEC"],
        &["EVAL \"return redis.call('MSET', KEYS[1], 1, KEYS[2], 1)\" 2 {T}locked {T}awaited"],
        &[
            "EVAL \"return redis.call('MSET', KEYS[1], 1, KEYS[2], 1, KEYS[3], 1)\" 3 {T}locked {T}awaited {U}other",
        ],
    ];
    let server = server("4");
    for (commands, tags) in BEFORE.iter().flat_map(|one| [(one, ["{a}", "{b}"]), (one, ["{b}", "{a}"])]) {
        let tagged = |text: &str| text.replace("{T}", tags[0]).replace("{U}", tags[1]);
        let [mut runner, mut waiting, mut before, mut client] = [(); 4].map(|()| server.client());
        assert_eq!(client.line("CONFIG SET busy-reply-threshold 0"), "+OK");
        waiting.send_line(&tagged("BLPOP {T}awaited {T}ready 0"));
        until("it waits", || client.line("INFO clients").contains("blocked_clients:1").then_some(()));
        runner.send(&["EVAL", ENDLESS, "1", &tagged("{T}locked")]);
        until("the script runs", || client.line("FUNCTION STATS").starts_with("-BUSY").then_some(()));
        let (last, queued) = commands.split_last().expect("there is one");
        for command in queued {
            before.line(&tagged(command));
        }
        before.send_line(&tagged(last));
        // Every core has answered since, so it stands in line there.
        (0..8).for_each(|_| drop(client.line("FUNCTION STATS")));
        assert_eq!(client.line(&tagged("LPUSH {T}ready element")), ":1");
        assert_eq!(client.line("CONFIG SET busy-reply-threshold 20"), "+OK");
        let refused = show(&before.read());
        assert!(refused.contains("BUSY Redis is busy"), "{last}: {refused}");
        let served = show(&waiting.read());
        assert_eq!(served, tagged(r#"["{T}ready", "element"]"#), "{last}");
        assert_eq!(client.line("SCRIPT KILL"), "+OK");
        assert!(show(&runner.read()).starts_with(KILLED));
    }
}
