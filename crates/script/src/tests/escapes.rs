//! Scripts that try to get out: of their environment, of their memory, of their stack, of being killed.

use super::*;

/// After each attempt the same engine still has the environment of before.
#[track_caller]
fn attempt(script: &str) -> String {
    let limits = Limits { bytes_max: 16 << 20, ..LIMITS };
    let mut engine = Engine::new(Arc::new(Store::default()), Hooks::default(), limits, 1);
    let reply = eval(&mut engine, script, &[], &[], Proto::Resp2);
    let probe = "return {tostring(rawget(_G, 'leak')), ('a'):upper(), tostring(string.leak), type(redis.call), \
        tostring(getmetatable('').__index == string), math.abs(-1), cjson.encode({1})}";
    let intact = eval(&mut engine, probe, &[], &[], Proto::Resp2);
    assert_eq!(intact, "*7 $3 nil $1 A $3 nil $8 function $4 true :1 $3 [1]", "after {script}");
    reply
}

#[track_caller]
fn fails(script: &str, with: &str) {
    let reply = attempt(script);
    assert!(reply.starts_with('-') && reply.contains(with), "{script}: {reply}");
}

#[test]
fn shared_tables_are_out_of_reach() {
    const READ_ONLY: &str = "Attempt to modify a readonly table";
    fails("getmetatable('').__index.upper = nil", READ_ONLY);
    fails("getmetatable('').__index = function() end", READ_ONLY);
    fails("string.upper = nil", READ_ONLY);
    fails("rawset(string, 'leak', 1)", READ_ONLY);
    fails("setmetatable(_G, nil)", READ_ONLY);
    fails("setmetatable(string, {})", READ_ONLY);
    fails("getmetatable(_G).__index = nil", READ_ONLY);
    fails("table.insert(redis, 1)", READ_ONLY);
    fails("leak = 1", READ_ONLY);
    fails("_G.leak = 1", READ_ONLY);
    fails("redis.call = nil", READ_ONLY);
    fails("for k, t in pairs(_G) do if type(t) == 'table' then t.leak = 1 end end", READ_ONLY);
    fails("local f = loadstring('leak = 1') f()", READ_ONLY);
    fails("coroutine.wrap(function() string.leak = 1 end)()", READ_ONLY);
    fails("return cjson.decode(cjson.encode(redis.x.y))", "attempt to index");
    attempt("pcall(function() for _, f in pairs({table.remove, table.sort}) do f(string) end end)");
    attempt("pcall(table.sort, _G) pcall(table.remove, math) pcall(table.foreach, string, function(k) end)");
}

#[test]
fn bytecode_is_not_taken() {
    fails("return loadstring(string.dump(function() return 1 end))()", "attempt to call a nil value");
    fails("return loadstring('\\27Lua')()", "attempt to call a nil value");
    fails("return load(function() return '\\27Lua' end)()", "attempt to call a nil value");
    let first = "local n = 0 return load(function() n = n + 1 return ({'', '\\27Lua'})[n] end)()";
    let reply = attempt(first);
    assert!(reply == "$-1" || reply.starts_with('-'), "{reply}");
}

#[test]
fn memory_bombs_go_off_within_the_bound() {
    for bomb in [
        "return ('x'):rep(2^40)",
        "return ('x'):rep(2^53)",
        "return ('xy'):rep(2^31)",
        "local t = {} for i = 1, 2^31 do t[i] = ('x'):rep(2^20) .. i end",
        "local s = ('x'):rep(2^20) local t = {} for i = 1, 4000 do t[i] = s end return table.concat(t)",
        "local s = ('x'):rep(2^20) local t = {} for i = 1, 4000 do t[i] = s end return cjson.encode(t)",
        "local s = ('x'):rep(2^20) local t = {} for i = 1, 4000 do t[i] = s end return cmsgpack.pack(t)",
        "local s = ('x'):rep(2^20) local t = {} for i = 1, 4000 do t[i] = s end return struct.pack(('s'):rep(4000), unpack(t))",
        "local s = ('x'):rep(2^20) return (s:gsub('x', s))",
        "return string.format(('%s'):rep(40), unpack((function() local t = {} for i = 1, 40 do t[i] = ('x'):rep(2^20) end return t end)()))",
        "return cjson.decode('[' .. ('[],'):rep(2^20) .. '1]')",
        "return cmsgpack.unpack(('\\145'):rep(15) .. ('\\220\\255\\255'):rep(100) .. ('\\144'):rep(2^22))",
        "local t = {} t[1], t[2] = t, t return cjson.encode(t)",
    ] {
        let reply = attempt(bomb);
        assert!(reply.starts_with('-') && reply.len() < 400, "{bomb}: {reply:.300}");
    }
    assert_eq!(attempt("return (''):rep(2^53)"), "$0 ");
    assert_eq!(attempt("return ('x'):rep(-1)"), "$0 ");
}

#[test]
fn replies_and_arguments_are_bounded() {
    const TOO_LARGE: &str = "the script's reply is larger than lua-memory-max";
    fails("local s = ('x'):rep(2^20) local t = {} for i = 1, 4000 do t[i] = s end return t", TOO_LARGE);
    fails("local t = {} t[1], t[2] = t, t return t", TOO_LARGE);
    fails("local t = {} t.map = {t, t, t} return t", TOO_LARGE);
    fails(
        "local s = ('x'):rep(2^20) local t = {} for i = 1, 4000 do t[i] = s end return redis.call('ECHO', unpack(t))",
        "arguments are too long",
    );
}

#[test]
fn the_stack_is_not_used_up() {
    let long = "local a, p = ('a'):rep(2^20), ('a?'):rep(2^19) return ";
    for call in ["a:find(p)", "a:match(p)", "a:gsub(p, '')", "a:gmatch(p)()"] {
        fails(&format!("{long}{call}"), "pattern too complex");
    }
    // The longest that is taken.
    assert_eq!(attempt("return (('a'):rep(9000):find(('a?'):rep(1000)))"), ":1");
    assert_eq!(attempt("return (('a'):rep(9000):find(('a*'):rep(1000)))"), ":1");
    assert_eq!(attempt("return (('a'):rep(9000):find(('a-'):rep(1000)))"), ":1");
    fails("local f f = function() return coroutine.wrap(f)() end return f()", "C stack overflow");
    fails("local f f = function() return (('x'):gsub('x', f)) end return f()", "stack overflow");
    fails("local f f = function() return f() + 1 end return f()", "stack overflow");
    fails("local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x", "loop in gettable");
    fails(
        "local f f = function(a, b) table.sort({1, 2, 3}, f) return a < b end return f(1, 2)",
        "stack overflow",
    );
    let nested = |options: &str, depth: usize| {
        let script = format!(
            "{options} local ok, e = pcall(cjson.decode, ('['):rep({depth}) .. (']'):rep({depth})) return tostring(ok)"
        );
        attempt(&script)
    };
    assert_eq!(nested("", 1000), "$4 true");
    assert_eq!(nested("", 1001), "$5 false");
    assert_eq!(nested("cjson.decode_max_depth(2^31 - 1)", 100_000), "$5 false");
    let deep = "local t = {} local at = t for i = 1, 100000 do at[1] = {} at = at[1] end ";
    fails(&format!("cjson.encode_max_depth(2^31 - 1) {deep} return cjson.encode(t)"), "excessive nesting");
    assert!(attempt(&format!("{deep} return #cmsgpack.pack(t)")).starts_with(':'));
    let reply = attempt(&format!("{deep} return t"));
    assert!(reply.contains("-ERR reached lua stack limit"), "{reply:.100}");
    let arrays = "return (pcall(cmsgpack.unpack, ('\\145'):rep(100000)))";
    assert_eq!(attempt(arrays), "$-1");
}

#[test]
fn what_is_suspended_in_odd_places_goes_on() {
    check("return (('abc'):gsub('.', function(c) return redis.call('ECHO', c .. c) end))", "$6 aabbcc");
    check(
        "local t = {3, 1, 2} table.sort(t, function(a, b) redis.call('ECHO', 'x') return a < b end) return t",
        "*3 :1 :2 :3",
    );
    check("return coroutine.wrap(function() return redis.call('ECHO', 'in') end)()", "$2 in");
    check(
        "local c = coroutine.wrap(function() coroutine.yield(redis.call('ECHO', 1)) return redis.call('ECHO', 2) end) \
         return {c(), c()}",
        "*2 $1 1 $1 2",
    );
    check("return select(2, pcall(redis.call, 'ECHO', 'x'))", "$1 x");
    check("return select(2, xpcall(function() return redis.call('ECHO', 'x') end, error))", "$1 x");
    check(
        "local t = setmetatable({}, {__index = function(_, k) return redis.call('ECHO', k) end}) return t.key",
        "$3 key",
    );
    check("return load(function() redis.call('ECHO', 'x') return nil end) and 1", ":1");
}
