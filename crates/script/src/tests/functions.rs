//! Libraries of functions.

use super::*;
use crate::{RestorePolicy, ScriptFlags};

fn call(engine: &mut Engine, name: &str, keys: &[&str], args: &[&str]) -> String {
    let (keys, args) = (OwnedArgs::new(keys), OwnedArgs::new(args));
    match engine.begin_function(name, keys.as_args(), args.as_args(), u64::MAX) {
        Ok(run) => drive(engine, run, Proto::Resp2),
        Err(refusal) => refusal.to_string(),
    }
}

#[track_caller]
fn check_load(code: &str, expected: Result<&str, &str>) {
    let loaded = engine().load_library(code.as_bytes(), false);
    assert_eq!(loaded, expected.map(str::to_owned).map_err(str::to_owned), "{code}");
}

const LIBRARY: &str = "#!lua name=lib
local calls = 0
local function helper(n) calls = calls + 1 return n * 2 end
redis.register_function('double', function(keys, args) return helper(args[1]) end)
redis.register_function{function_name = 'Where', callback = function(keys, args) return {keys[1], #args, calls} end, flags = {'no-writes', 'allow-oom'}, description = 'tells'}
redis.register_function('bad', function() return redis.call('NO') end)
redis.register_function('globals', function() return {type(redis.call), type(redis.register_function), type(string.rep), type(rawget(_G, 'KEYS'))} end)
redis.register_function('load', function() return loadstring('return type(redis.breakpoint)')() end)
";

#[test]
fn functions_are_called_with_keys_and_arguments() {
    let mut engine = engine();
    assert_eq!(engine.load_library(LIBRARY.as_bytes(), false), Ok("lib".to_owned()));
    assert_eq!(call(&mut engine, "double", &[], &["21"]), ":42");
    assert_eq!(call(&mut engine, "DOUBLE", &[], &["4"]), ":8");
    assert_eq!(call(&mut engine, "where", &["k"], &["a", "b"]), "*3 $1 k :2 :2");
    assert_eq!(call(&mut engine, "bad", &[], &[]), "-ERR unknown 'NO' script: bad, on @user_function:6.");
    assert_eq!(call(&mut engine, "globals", &[], &[]), "*4 $8 function $3 nil $8 function $3 nil");
    assert_eq!(call(&mut engine, "load", &[], &[]), "$3 nil");
    assert_eq!(call(&mut engine, "nosuch", &[], &[]), "not known");
    let function = engine.function(b"WHERE").expect("it is registered");
    assert_eq!(function.flags, ScriptFlags::NO_WRITES.or(ScriptFlags::ALLOW_OOM));
    assert_eq!(function.description.as_deref(), Some(&b"tells"[..]));
    check_in(&mut engine, "return type(redis.breakpoint)", "$8 function");
}

#[test]
fn a_library_that_is_written_for_valkey_loads() {
    let mut engine = engine();
    let code = "#!lua name=lib
local function first() return server.call('NO') end
server.register_function('first', first)
server.register_function{function_name='second', callback=function() return {type(server.call), type(server.register_function)} end}
";
    assert_eq!(engine.load_library(code.as_bytes(), false), Ok("lib".to_owned()));
    assert_eq!(call(&mut engine, "first", &[], &[]), "-ERR unknown 'NO' script: first, on @user_function:2.");
    assert_eq!(call(&mut engine, "second", &[], &[]), "*2 $8 function $3 nil");
}

#[test]
fn every_engine_of_a_store_follows_its_libraries() {
    let store = Arc::new(Store::default());
    let new = || Engine::new(Arc::clone(&store), Hooks::default(), LIMITS, 1);
    let (mut one, mut other) = (new(), new());
    one.load_library(LIBRARY.as_bytes(), false).expect("it loads");
    assert_eq!(call(&mut other, "double", &[], &["21"]), ":42");
    let changed = "#!lua name=lib\nredis.register_function('triple', function(k, a) return a[1] * 3 end)";
    assert_eq!(other.load_library(changed.as_bytes(), false), Err("Library 'lib' already exists".to_owned()));
    other.load_library(changed.as_bytes(), true).expect("it replaces");
    assert_eq!(call(&mut one, "triple", &[], &["2"]), ":6");
    assert_eq!(call(&mut one, "double", &[], &["2"]), "not known");
    assert!(store.delete("lib") && !store.delete("lib"));
    assert_eq!(call(&mut other, "triple", &[], &["2"]), "not known");
}

#[test]
fn libraries_of_another_store_take_the_place_of_all_that_there_are() {
    let (store, other) = (Arc::new(Store::default()), Arc::new(Store::default()));
    let mut one = Engine::new(Arc::clone(&store), Hooks::default(), LIMITS, 1);
    one.load_library(LIBRARY.as_bytes(), false).expect("it loads");
    assert_eq!(call(&mut one, "double", &[], &["21"]), ":42");
    let changed = "#!lua name=lib\nredis.register_function('triple', function(k, a) return a[1] * 3 end)";
    Engine::new(Arc::clone(&other), Hooks::default(), LIMITS, 1)
        .load_library(changed.as_bytes(), false)
        .expect("it loads");
    store.take_libraries(&other);
    assert_eq!(call(&mut one, "triple", &[], &["2"]), ":6");
    assert_eq!(call(&mut one, "double", &[], &["2"]), "not known");
    assert_eq!(other.gauges().libraries, 0);
    one.load_library(LIBRARY.as_bytes(), true).expect("it replaces");
    assert_eq!(call(&mut one, "double", &[], &["2"]), ":4");
}

#[test]
fn what_is_wrong_with_a_library_is_told() {
    let lib = |code: &str| format!("#!lua name=lib\n{code}");
    let fails =
        |code: &str, why: &str| check_load(&lib(code), Err(&format!("Error registering functions: {why}")));
    let register =
        |args: &str, why: &str| fails(&format!("redis.register_function({args})"), &format!("ERR {why}"));
    check_load(
        &lib("return 1 +"),
        Err("Error compiling function: user_function:2: unexpected symbol near '<eof>'"),
    );
    check_load(&lib("return 1"), Err("No functions registered"));
    fails(
        "error('x')",
        "ERR user_function:2: Script attempted to access nonexistent global variable 'error'",
    );
    fails(
        "return string.rep",
        "ERR user_function:2: Script attempted to access nonexistent global variable 'string'",
    );
    fails(
        "redis.call('PING')",
        "ERR user_function:2: Script attempted to access nonexistent global variable 'call'",
    );
    fails("x = 1", "ERR user_function:2: Attempt to modify a readonly table");
    fails("redis.x = 1", "ERR user_function:2: Attempt to modify a readonly table");
    register("", "wrong number of arguments to redis.register_function");
    register("1, 2, 3", "wrong number of arguments to redis.register_function");
    register(
        "'f'",
        "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
    );
    register("{}, function() end", "first argument to redis.register_function must be a string");
    register("'f', 1", "second argument to redis.register_function must be a function");
    register("'a-b', function() end", crate::shebang::BAD_NAME);
    register("{1}", "named argument key given to redis.register_function is not a string");
    register("{x = 1}", "unknown argument given to redis.register_function");
    register(
        "{function_name = {}}",
        "function_name argument given to redis.register_function must be a string",
    );
    register("{description = {}}", "description argument given to redis.register_function must be a string");
    register("{callback = 1}", "callback argument given to redis.register_function must be a function");
    register(
        "{flags = 1}",
        "flags argument to redis.register_function must be a table representing function flags",
    );
    register("{flags = {'x'}}", "unknown flag given");
    register("{function_name = 'f'}", "redis.register_function must get a callback argument");
    register("{callback = function() end}", "redis.register_function must get a function name argument");
    fails(
        "local f = function() end redis.register_function('f', f) redis.register_function('f', f)",
        "ERR Function already exists in the library",
    );
}

#[test]
fn functions_have_one_name_in_all_libraries() {
    let mut engine = engine();
    let lib = |name: &str, function: &str| {
        format!("#!lua name={name}\nredis.register_function('{function}', function() return 1 end)")
    };
    engine.load_library(lib("a", "f").as_bytes(), false).expect("it loads");
    assert_eq!(
        engine.load_library(lib("b", "F").as_bytes(), false),
        Err("Function F already exists".to_owned())
    );
    assert_eq!(engine.store().gauges().functions, 1);
    let (b, a) = (lib("b", "g"), lib("a", "g2"));
    let codes = [b.as_bytes(), a.as_bytes()];
    assert_eq!(
        engine.restore_libraries(&codes, RestorePolicy::Append),
        Err("Library a already exists".to_owned())
    );
    assert_eq!(engine.store().gauges().libraries, 1);
    assert_eq!(engine.restore_libraries(&codes, RestorePolicy::Replace), Ok(()));
    assert_eq!(engine.store().gauges().libraries, 2);
    let c = lib("c", "g");
    assert_eq!(
        engine.restore_libraries(&[c.as_bytes()], RestorePolicy::Append),
        Err("Function g already exists".to_owned())
    );
    assert_eq!(engine.restore_libraries(&[c.as_bytes()], RestorePolicy::Flush), Ok(()));
    assert_eq!(engine.store().gauges().libraries, 1);
    assert_eq!(call(&mut engine, "g", &[], &[]), ":1");
    assert_eq!(call(&mut engine, "f", &[], &[]), "not known");
}

#[test]
fn what_registers_is_no_use_later() {
    let mut engine = engine();
    let code = "#!lua name=l\nlocal register = redis.register_function redis.register_function('f', function() register('g', function() end) end)";
    engine.load_library(code.as_bytes(), false).expect("it loads");
    let reply = call(&mut engine, "f", &[], &[]);
    assert_eq!(
        reply,
        "-ERR redis.register_function can only be called on FUNCTION LOAD command script: f, on @user_function:2."
    );
}
