//! What scripts may and may not do to what they share.

use super::*;

#[test]
fn keys_and_arguments_are_given() {
    let mut engine = engine();
    let mut run =
        |script: &str, keys: &[&str], args: &[&str]| eval(&mut engine, script, keys, args, Proto::Resp2);
    let script = "return {KEYS[1], KEYS[2], ARGV[1], #KEYS, #ARGV}";
    assert_eq!(run(script, &["a", "b"], &["x"]), "*5 $1 a $1 b $1 x :2 :1");
    assert_eq!(run(script, &["a", "b"], &["y"]), "*5 $1 a $1 b $1 y :2 :1");
    assert_eq!(run("return {#KEYS, #ARGV, KEYS[1] or 'none'}", &[], &[]), "*3 :0 :0 $4 none");
    assert_eq!(run("KEYS[1] = 'changed' ARGV.x = 1 return KEYS[1]", &["a"], &[]), "$7 changed");
    assert_eq!(run(script, &["a", "b"], &["x"]), "*5 $1 a $1 b $1 x :2 :1");
    assert_eq!(run("return ARGV.x", &[], &[]), "$-1");
}

#[test]
fn globals_are_neither_made_nor_changed() {
    let readonly = "-ERR user_script:1: Attempt to modify a readonly table @ @user_script:1.";
    for script in [
        "x = 1",
        "KEYS = {}",
        "redis = 1",
        "_G = {}",
        "_G.x = 1",
        "redis.call = 1",
        "redis.x = 1",
        "string.x = 1",
        "cjson.encode = 1",
        "math.random = 1",
        "getmetatable(_G).__index = 1",
        "getmetatable('').__index = 1",
        "bit.band = 1",
        "cmsgpack.pack = 1",
        "struct.pack = 1",
        "coroutine.wrap = 1",
        "os.clock = 1",
        "table.x = 1",
    ] {
        check(script, readonly);
    }
    let readonly = "-ERR Attempt to modify a readonly table @ @user_script:1.";
    for script in
        ["setmetatable(_G, {})", "rawset(_G, 'x', 1)", "rawset(redis, 'call', 1)", "table.insert(redis, 1)"]
    {
        check(script, readonly);
    }
    // They have no elements.
    check("return {table.sort(string), table.remove(math)}", "*0");
    let unknown = |name| {
        format!(
            "-ERR user_script:1: Script attempted to access nonexistent global variable '{name}' @ @user_script:1."
        )
    };
    for name in [
        "x", "print", "loadfile", "dofile", "require", "io", "debug", "newproxy", "getfenv", "setfenv",
        "package",
    ] {
        check(&format!("return {name}"), &unknown(name));
    }
    check("return _G.y", &unknown("y"));
    check(
        "return loadstring('return z')()",
        "-ERR [string \"return z\"]:1: Script attempted to access nonexistent global variable 'z' @ return z:1.",
    );
}

#[test]
fn shared_tables_look_like_tables() {
    check("local n = 0 for k in pairs(redis) do n = n + 1 end return n > 10", ":1");
    check("local k = next(bit) return type(k)", "$6 string");
    check("return type(rawget(redis, 'call'))", "$8 function");
    check("return rawget(redis, 'nosuch')", "$-1");
    check("return redis.nosuch", "$-1");
    check("return _G._G == _G and _G.redis == redis", ":1");
    check("return tostring(getmetatable(redis))", "$3 nil");
    check("return type(getmetatable(_G).__index)", "$8 function");
    check("return getmetatable('').__index == string", ":1");
    check("return ('x'):rep(3)", "$3 xxx");
    check(
        "local seen = 0 for k, v in pairs(_G) do if k == 'tostring' then seen = 1 end end return seen",
        ":1",
    );
    check(
        "local f, t = pairs(redis) t.x = 1",
        "-ERR user_script:1: Attempt to modify a readonly table @ @user_script:1.",
    );
    check("return cjson.encode({redis == nil})", "$7 [false]");
}

#[test]
fn what_is_written_for_valkey_runs() {
    check("return server == redis and _G.server == redis", ":1");
    check("return server.sha1hex('') == redis.sha1hex('')", ":1");
    check("return server.call('NO')", "-ERR unknown 'NO' @ @user_script:1.");
    check("server = 1", "-ERR user_script:1: Attempt to modify a readonly table @ @user_script:1.");
    check("local server = 'a name' return server", "$6 a name");
}

#[test]
fn what_a_script_leaves_behind_is_gone() {
    let mut engine = engine();
    check_in(&mut engine, "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1000) end return #t", ":100");
    check_in(&mut engine, "pcall(rawset, _G, 'leak', 1) return 1", ":1");
    check_in(&mut engine, "return rawget(_G, 'leak')", "$-1");
    check_in(&mut engine, "collectgarbage('stop') return collectgarbage('count') > 0", ":1");
}

#[test]
fn code_is_compiled_from_text_only() {
    check("return loadstring('return 1 + 1')()", ":2");
    check(
        "local f, e = loadstring('return +') return e",
        "$49 [string \"return +\"]:1: unexpected symbol near '+'",
    );
    check(
        "local f, e = loadstring(string.dump(function() end)) return e:match('unexpected symbol.*')",
        "$33 unexpected symbol near 'char(27)'",
    );
    check("local n = 0 return load(function() n = n + 1 return ({'return ', '4', '2'})[n] end)()", ":42");
    check(
        "local f, e = load(function() return {} end) return e",
        "-ERR user_script:1: reader function must return a string",
    );
    check(
        "local b = string.dump(function() end) local f, e = load(function() local x = b b = nil return x end) return e:match('unexpected.*')",
        "$33 unexpected symbol near 'char(27)'",
    );
    check(
        "return load('x')",
        "-ERR user_script:1: bad argument #1 to 'load' (function expected, got string) @ @user_script:1.",
    );
}

#[test]
fn errors_are_caught_as_redis_has_them() {
    check("return {pcall(error, {err = 'E x'})}", "*2 $-1 $3 E x");
    check("return {pcall(error, 'text', 0)}", "*2 $-1 $4 text");
    check("return select(2, pcall(error, {1, 2}))", "*2 :1 :2");
    check("return {pcall(function(...) return ... end, 1, 2)}", "*3 :1 :1 :2");
    check("pcall()", "-ERR user_script:1: bad argument #1 to 'pcall' (value expected) @ @user_script:1.");
    check("return {xpcall(function() error('x', 0) end, function(e) return e .. '!' end)}", "*2 $-1 $2 x!");
    check("error('boom')", "-ERR user_script:1: boom @ @user_script:1.");
    check("error('boom', 0)", "-ERR boom @ @user_script:1.");
    check("error({err = 'MY thing'})", "-MY thing @ @user_script:1.");
    check("error()", "-ERR nil @ @user_script:1.");
    check("error({})", "-ERR unknown error");
    check(
        "local x = nil + 1",
        "-ERR user_script:1: attempt to perform arithmetic on a nil value @ @user_script:1.",
    );
    check(
        "return 1 +",
        "ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'",
    );
}

#[test]
fn the_api_checks_what_it_is_given() {
    let at = "@ @user_script:1.";
    check("return redis.error_reply('boo')", "-ERR boo");
    check("return redis.error_reply('-boo hoo')", "-boo hoo");
    check("return redis.error_reply('MY own')", "-MY own");
    check("return redis.error_reply(1)", "-ERR wrong number or type of arguments");
    check("return redis.status_reply('x')", "+x");
    check("return redis.status_reply()", "-ERR wrong number or type of arguments");
    check("return redis.sha1hex('')", "$40 da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check("return redis.sha1hex()", &format!("-ERR wrong number of arguments {at}"));
    check("return redis.log(1)", &format!("-ERR redis.log() requires two arguments or more. {at}"));
    check("return redis.log('x', 'y')", &format!("-ERR First argument must be a number (log level). {at}"));
    check("return redis.log(9, 'y')", &format!("-ERR Invalid debug level. {at}"));
    check("return redis.log(redis.LOG_NOTICE, 'y', 1)", "$-1");
    check("redis.set_repl(redis.REPL_AOF) return redis.REPL_ALL", ":3");
    check(
        "redis.set_repl(9)",
        &format!("-ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE. {at}"),
    );
    check("return {redis.replicate_commands(), redis.breakpoint(), redis.debug('x')}", "*2 :1 $-1");
    check("return redis.acl_check_cmd('get', 'k')", ":1");
    check(
        "return redis.acl_check_cmd('nosuch')",
        &format!("-ERR Invalid command passed to redis.acl_check_cmd() {at}"),
    );
    check("return {redis.REDIS_VERSION, redis.REDIS_VERSION_NUM}", "*2 $5 7.2.5 :459269");
}

#[test]
fn messages_are_logged() {
    use std::sync::Mutex;
    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let hooks = Hooks {
        log: |level, line| LINES.lock().unwrap().push(format!("{level:?} {}", String::from_utf8_lossy(line))),
        ..Hooks::default()
    };
    let mut engine = Engine::new(Arc::new(Store::default()), hooks, LIMITS, 1);
    check_in(&mut engine, "redis.log(redis.LOG_WARNING, 'a', 1, {}, 'b')", "$-1");
    assert_eq!(*LINES.lock().unwrap(), ["Warning a 1 b"]);
}

#[test]
fn random_numbers_follow_from_the_seed() {
    check(
        "math.randomseed(10) return {math.random(100), math.random(100), math.random(5, 6)}",
        "*3 :88 :80 :5",
    );
    check("math.randomseed(10) return tostring(math.random())", "$16 0.87885112309775");
    check(
        "math.random(0)",
        "-ERR user_script:1: bad argument #1 to 'random' (interval is empty) @ @user_script:1.",
    );
    check(
        "math.random(2, 1)",
        "-ERR user_script:1: bad argument #2 to 'random' (interval is empty) @ @user_script:1.",
    );
    check("math.random(1, 2, 3)", "-ERR user_script:1: wrong number of arguments @ @user_script:1.");
    let mut engine = engine();
    let first = eval(&mut engine, "return tostring(math.random())", &[], &[], Proto::Resp2);
    let second = eval(&mut engine, "return tostring(math.random())", &[], &[], Proto::Resp2);
    assert_ne!(first, second);
}
