//! Scripts that run commands.

use crate::replica::tests::facts;
use crate::testing::{World, check, check_effects};
use config::MasterAddress;
use replication::role::LinkState;

#[test]
fn scripts_run_commands() {
    check(&["EVAL \"return redis.call('SET', KEYS[1], ARGV[1])\" 1 k v", "GET k"], "$1 v");
    check(
        &["EVAL \"redis.call('RPUSH', 'l', 1, 2.5, 'x') return redis.call('LRANGE', 'l', 0, -1)\" 0"],
        "*3 $1 1 $3 2.5 $1 x",
    );
    check(&["EVAL \"return redis.call('HGETALL', 'h')\" 0"], "*0");
    check(&["HSET h f v", "EVAL \"redis.setresp(3) return redis.call('HGETALL', 'h').map.f\" 0"], "$1 v");
    check(
        &[
            "EVAL \"return {redis.call('DBSIZE'), redis.call('SET', 'a', 1), redis.call('DBSIZE'), #redis.call('KEYS', '*')}\" 0",
        ],
        "*4 :0 +OK :1 :1",
    );
    check(&["EVAL \"return redis.call('SCAN', 0)\" 0"], "*2 $1 0 *0");
    check(&["EVAL \"return redis.call('PING')\" 0"], "+PONG");
    check(&["EVAL \"return #redis.call('TIME')\" 0"], ":2");
    check(&["EVAL \"return redis.call('INFO', 'server'):sub(1, 8)\" 0"], "$8 # Server");
    check(&["EVAL_RO \"return redis.call('EXISTS', 'x')\" 0"], ":0");
    check(&["EVAL \"return redis.call('BLPOP', KEYS[1], 0)\" 1 l"], "$-1");
    check(&["RPUSH l a", "EVAL \"return redis.call('BLPOP', KEYS[1], 0)\" 1 l"], "*2 $1 l $1 a");
    check(&["EVAL \"return redis.call('BLMOVE', 'l', 'm', 'LEFT', 'LEFT', 0)\" 0"], "$-1");
    check(&["EVAL \"return redis.call('BZPOPMIN', 'z', 0)\" 0"], "$-1");
    check(&["EVAL \"return redis.call('BLMPOP', 0, 1, 'l', 'LEFT')\" 0"], "$-1");
    check(&["SADD s c a b", "EVAL \"return redis.call('SORT', 's', 'BY', 'x')\" 0"], "*3 $1 a $1 b $1 c");
}

#[test]
fn what_scripts_may_not_run_is_refused() {
    let refused = |call: &str, why: &str| {
        check(&[&format!("EVAL \"return redis.pcall({call})\" 0")], &format!("-ERR {why}"));
    };
    refused("'NOSUCH'", "Unknown Redis command called from script");
    refused("'OBJECT', 'NOSUCH', 'k'", "Unknown Redis command called from script");
    refused("'GET'", "Wrong number of args calling Redis command from script");
    refused("'MSET', 'a', 'b', 'c'", "wrong number of arguments for 'mset' command");
    refused("'EVAL', 'return 1', '0'", "This Redis command is not allowed from script");
    refused("'CLIENT', 'ID'", "This Redis command is not allowed from script");
    refused("'CLUSTER', 'RESET'", "This Redis command is not allowed from script");
    check(
        &["EVAL_RO \"return redis.pcall('SET', 'a', 'b')\" 0"],
        "-ERR Write commands are not allowed from read-only scripts.",
    );
    check(
        &["EVAL \"#!lua flags=no-writes\\nreturn redis.pcall('SET', 'a', 'b')\" 0"],
        "-ERR Write commands are not allowed from read-only scripts.",
    );
    check(
        &["EVAL_RO \"return redis.pcall('PFCOUNT', 'a')\" 0"],
        "-ERR Write commands are not allowed from read-only scripts.",
    );
    check(
        &["EVAL_RO \"#!lua\\nreturn 1\" 0"],
        "-ERR Can not execute a script with write flag using *_ro command.",
    );
    check(&["EVAL_RO \"#!lua flags=no-writes\\nreturn 1\" 0"], ":1");
}

#[test]
fn keys_are_counted() {
    check(&["EVAL 'return 1' x"], "-ERR value is not an integer or out of range");
    check(&["EVAL 'return 1' 1"], "-ERR Number of keys can't be greater than number of args");
    check(&["EVAL 'return 1' -1"], "-ERR Number of keys can't be negative");
    check(&["EVAL 'return {#KEYS, #ARGV}' 2 a b c"], "*2 :2 :1");
    check(&["EVALSHA x 9"], "-NOSCRIPT No matching script. Please use EVAL.");
    check(&[&format!("EVALSHA {} x", "0".repeat(40))], "-ERR value is not an integer or out of range");
    check(&[&format!("EVALSHA {} 0", "0".repeat(40))], "-NOSCRIPT No matching script. Please use EVAL.");
}

#[test]
fn select_is_for_the_script_alone() {
    let mut world = World::new(1);
    world.check(
        &["EVAL \"redis.call('SELECT', 3) redis.call('SET', 'k', 'v') return redis.call('DBSIZE')\" 0"],
        ":1",
    );
    world.check(&["DBSIZE"], ":0");
    world.check(&["EVAL \"return redis.pcall('SELECT', 99)\" 0"], "-ERR DB index is out of range");
    world.check(&["SELECT 3", "GET k"], "$1 v");
    world.check(&["EVAL \"return redis.call('GET', 'k')\" 0"], "$1 v");
}

#[test]
fn the_effects_are_those_of_the_commands() {
    check_effects(
        &[
            "EVAL \"redis.call('SET', 'a', 1) redis.call('INCRBYFLOAT', 'a', 0.5) return redis.call('GET', 'a')\" 0",
        ],
        "SET a 1 | SET a 1.5 KEEPTTL",
    );
    check_effects(&["EVAL \"redis.call('SELECT', 1) return redis.call('DEL', 'none')\" 0"], "");
}

#[test]
fn commands_and_errors_are_counted_once() {
    let mut world = World::new(1);
    world.run("EVAL \"redis.call('GET', 'a') redis.call('GET', 'a')\" 0");
    world.run("EVAL \"redis.pcall('INCR', 'a', 'b') redis.pcall('NOSUCH') redis.pcall('EVAL', '', 0)\" 0");
    world.run("SET s x");
    world.run("EVAL \"redis.call('LPUSH', 's', 1)\" 0");
    let counted = |world: &World, name: &str| {
        let index = crate::table::by_name(name.as_bytes()).expect("a command").index;
        let found = world.cores[0].stats.commands().find(|(at, _)| *at == index);
        found.map_or((0, 0, 0), |(_, stats)| (stats.calls, stats.rejected, stats.failed))
    };
    assert_eq!(counted(&world, "get"), (2, 0, 0));
    assert_eq!(counted(&world, "incr"), (0, 1, 0));
    assert_eq!(counted(&world, "eval"), (0, 1, 1));
    assert_eq!(counted(&world, "lpush"), (1, 0, 1));
    let errors: Vec<_> =
        world.cores[0].stats.errors.iter().map(|(code, count)| (code.to_owned(), count)).collect();
    assert_eq!(errors, [("ERR".to_owned(), 3), ("WRONGTYPE".to_owned(), 1)]);
}

#[test]
fn memory_is_asked_for_before_the_first_write() {
    let mut world = World::new(1);
    world.cores[0].config.maxmemory = 1;
    world.cores[0].make_room = |_, _| false;
    let oom = "OOM command not allowed when used memory > 'maxmemory'.";
    world.check(&["EVAL \"return redis.pcall('SET', 'a', 'b')\" 0"], &format!("-{oom}"));
    world.check(&["EVAL \"return redis.call('GET', 'a')\" 0"], "$-1");
    world.check(&["EVAL \"redis.call('DEL', 'a') return redis.call('SET', 'a', 'b')\" 0"], "+OK");
    world.check(&["EVAL \"#!lua\\nreturn 1\" 0"], &format!("-{oom}"));
    world.check(&["EVAL \"#!lua flags=no-writes\\nreturn 1\" 0"], ":1");
    world.check(&["EVAL \"#!lua flags=allow-oom\\nreturn redis.call('SET', 'c', 'd')\" 0"], "+OK");
}

#[test]
fn a_script_that_runs_long_is_left_to_the_server() {
    use std::cell::Cell;
    thread_local!(static NANOS: Cell<u64> = const { Cell::new(0) });
    let mut world = World::new(1);
    world.cores[0].nanos = || NANOS.replace(NANOS.get() + 2_000_000);
    let hooks = script::Hooks { nanos: world.cores[0].nanos, ..script::Hooks::default() };
    world.cores[0].scripts.set_hooks(hooks);
    world.check(&["EVAL \"local n = 0 for i = 1, 1e6 do n = n + 1 end return n\" 0"], "");
    let core = &mut world.cores[0];
    let mut paused = core.paused.take().expect("it is paused");
    assert_eq!(paused.running.args.as_args().at(0), b"EVAL");
    while matches!(paused.execution.advance(core, |_, _| true), super::Progress::Paused) {
        paused.execution.go_on(core, 10_000_000);
    }
    let (mut out, args) = (Vec::new(), paused.running.args);
    paused
        .execution
        .finish(core, args.as_args(), &mut resp::Reply::new(&mut out, resp::Proto::Resp2))
        .expect("it ends well");
    assert_eq!(out, b":1000000\r\n");
}

#[test]
fn a_replica_refuses_scripts_that_say_that_they_write_as_it_refuses_writes() {
    let mut world = World::new(1);
    let master = MasterAddress { host: "10.0.0.1".to_owned(), port: 6379 };
    world.cores[0].shared.replica.tell(Some(master), facts(LinkState::Connected), 0);
    let refused = "-READONLY You can't write against a read only replica.";
    world.check(&["EVAL \"#!lua\nreturn 1\" 0"], refused);
    world.check(&["EVAL_RO \"#!lua\nreturn 1\" 0"], refused);
    world.check(&["EVAL \"#!lua flags=no-writes\nreturn 1\" 0"], ":1");
    world.check(&["EVAL \"return 1\" 0"], ":1");
}
