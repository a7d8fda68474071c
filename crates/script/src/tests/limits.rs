//! What keeps scripts within bounds.

use super::*;
use std::cell::Cell;

thread_local!(static NANOS: Cell<u64> = const { Cell::new(0) });

/// A clock by which each look takes a millisecond.
fn ticking() -> u64 {
    NANOS.set(NANOS.get() + 1_000_000);
    NANOS.get()
}

fn ticking_engine(limits: Limits) -> Engine {
    let hooks = Hooks { nanos: ticking, ..Hooks::default() };
    Engine::new(Arc::new(Store::default()), hooks, limits, 1)
}

fn begin(engine: &mut Engine, script: &str, pause_at: u64) -> Run {
    let none = OwnedArgs::default();
    let found = engine.script(script.as_bytes()).expect("a script");
    engine.begin(found, none.as_args(), none.as_args(), pause_at).expect("memory")
}

#[test]
fn a_long_script_gives_way_and_goes_on() {
    let mut engine = ticking_engine(LIMITS);
    let mut run = begin(&mut engine, "local n = 0 for i = 1, 1e6 do n = n + 1 end return n", 0);
    let mut pauses = 0;
    while run.step() == Step::Pause {
        pauses += 1;
        // Others run meanwhile.
        check_in(&mut engine, "return 7", ":7");
        run.resume();
    }
    assert!(pauses > 50, "{pauses} pauses");
    assert_eq!(drive(&mut engine, run, Proto::Resp2), ":1000000");
}

#[test]
fn a_script_that_is_killed_cannot_save_itself() {
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() pcall(f) f() end f()",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "local function spin() while true do end end while true do pcall(coroutine.wrap(spin)) end",
        "local f = coroutine.wrap(function() while true do pcall(coroutine.yield) end end) while true do pcall(f) end",
        "while true do pcall(string.gsub, ('x'):rep(100), '.', function() while true do end end) end",
        "while true do pcall(table.sort, {1, 2, 3}, function() while true do end end) end",
        "repeat local ok = pcall(error, 'again') until ok",
        "local n = 40 return (('a'):rep(n):find(('a?'):rep(n) .. ('a'):rep(n) .. 'b'))",
        "while true do pcall(string.gsub, ('a'):rep(1e6), '.-.-.-b', '') end",
        "for w in ('x'):rep(1e6):gmatch('.*.*.*y') do end",
        "local t = setmetatable({}, {__index = function(t, k) while true do end end}) while true do pcall(function() return t.x end) end",
    ] {
        let mut engine = ticking_engine(LIMITS);
        let mut run = begin(&mut engine, script, 0);
        assert_eq!(run.step(), Step::Pause);
        run.kill();
        assert_eq!(run.resume(), Step::Ended, "{script}");
        let reply = drive(&mut engine, run, Proto::Resp2);
        assert!(reply.starts_with("-ERR Script killed by user with SCRIPT KILL... script: "), "{reply}");
        check_in(&mut engine, "for i = 1, 10 do end return 1", ":1");
    }
}

#[test]
fn a_run_that_is_given_up_takes_its_interpreter_along() {
    let mut engine = ticking_engine(LIMITS);
    drop(begin(&mut engine, "local t = {} while true do t[#t + 1] = {} end", 0));
    drop(begin(&mut engine, "redis.call('ECHO', 'x')", u64::MAX));
    check_in(&mut engine, "return 1", ":1");
}

#[test]
fn memory_is_bounded() {
    let limits = Limits { bytes_max: 4 << 20, ..LIMITS };
    let mut engine = Engine::new(Arc::new(Store::default()), Hooks::default(), limits, 1);
    let mut check = |script: &str| {
        let reply = eval(&mut engine, script, &[], &[], Proto::Resp2);
        assert!(reply.contains("not enough memory"), "{script}: {reply}");
        assert_eq!(eval(&mut engine, "return 1", &[], &[], Proto::Resp2), ":1");
    };
    check("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end");
    check("return #('x'):rep(1e8)");
    check("local s = 'x' while true do s = s .. s end");
    check("return cjson.decode('[' .. ('[],'):rep(100000) .. '1]')");
    check("return redis.call('ECHO', ('x'):rep(3e6))");
    check("local ok, e = pcall(function() return ('x'):rep(1e8) end) return e");
}

#[test]
fn instructions_are_bounded() {
    let limits = Limits { instructions_max: 100_000, ..LIMITS };
    let mut engine = Engine::new(Arc::new(Store::default()), Hooks::default(), limits, 1);
    let over = "-ERR Script ran more instructions than lua-instructions-max allows @ @user_script:1.";
    check_in(&mut engine, "while true do end", over);
    check_in(&mut engine, "while true do pcall(function() while true do end end) end", over);
    check_in(&mut engine, "for i = 1, 10000 do end return 1", ":1");
}

#[test]
fn a_library_loads_in_half_a_second_or_not_at_all() {
    let mut engine = ticking_engine(LIMITS);
    let code = b"#!lua name=l\nlocal n = 0 while true do n = n + 1 end";
    assert_eq!(
        engine.load_library(code, false),
        Err("Error registering functions: ERR FUNCTION LOAD timeout".to_owned())
    );
    check_in(&mut engine, "return 1", ":1");
}

#[test]
fn calls_within_calls_are_bounded() {
    check(
        "local function f() return 1 + f() end return f()",
        "-ERR user_script:1: stack overflow @ @user_script:1.",
    );
    check(
        "return (('x'):rep(300):gsub('x', function() return (('x'):gsub('x', string.upper)) end)):len()",
        ":300",
    );
    let deep = "local function f(s) return (s:gsub('.', f)) end return f('x')";
    let reply = eval(&mut engine(), deep, &[], &[], Proto::Resp2);
    assert!(reply.contains("C stack overflow"), "{reply}");
    check("return select('#', unpack({}, 1, 7000))", ":7000");
    check("return unpack({}, 1, 1e8)", "-ERR user_script:1: too many results to unpack @ @user_script:1.");
    check(
        "return unpack({}, -2^31, 2^31 - 1)",
        "-ERR user_script:1: too many results to unpack @ @user_script:1.",
    );
    let parser = format!("return {}1{}", "(".repeat(300), ")".repeat(300));
    assert!(engine().script(parser.as_bytes()).is_err());
}

#[test]
fn scripts_of_eval_make_room_for_others() {
    let mut engine = engine();
    let loaded = engine.load_script(b"return 'stays'").expect("a script");
    let loaded = engine.found(loaded).name;
    for n in 0..crate::PASSING_MAX + 10 {
        check_in(&mut engine, &format!("return {n}"), &format!(":{n}"));
    }
    let gauges = engine.store().gauges();
    assert_eq!((gauges.scripts, gauges.evicted_scripts), (crate::PASSING_MAX + 1, 10));
    let mut other = Engine::new(Arc::clone(engine.store()), Hooks::default(), LIMITS, 1);
    assert!(other.script_by_sha(&loaded).is_ok());
    assert_eq!(other.script_by_sha(&crate::sha::hex(b"return 3")), Err(crate::Refusal::Unknown));
    assert!(other.script_by_sha(&crate::sha::hex(b"return 30")).is_ok());
    engine.store().flush_scripts();
    assert_eq!(other.script_by_sha(&loaded), Err(crate::Refusal::Unknown));
    assert_eq!(engine.store().gauges().scripts, 0);
}

#[test]
fn interpreters_of_before_a_flush_are_given_back_on_every_core() {
    let mut engine = engine();
    let mut other = Engine::new(Arc::clone(engine.store()), Hooks::default(), LIMITS, 1);
    check_in(&mut engine, "return 1", ":1");
    check_in(&mut other, "return 1", ":1");
    let empty = engine.bytes();
    assert!(empty > 0);
    engine.store().flush_scripts();
    assert_eq!((engine.bytes(), other.bytes()), (0, 0));
    other.tend();
    assert_eq!(other.bytes(), 0);
    check_in(&mut engine, "return 1", ":1");
    assert_eq!((engine.bytes(), other.bytes()), (empty, 0));
}

#[test]
fn a_core_keeps_a_bounded_number_of_scripts() {
    let mut engine = engine();
    for n in 0..3000 {
        check_in(&mut engine, &format!("return {n}"), &format!(":{n}"));
    }
    assert!(engine.bytes() < 4 << 20, "{} bytes", engine.bytes());
}
