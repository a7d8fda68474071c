use super::*;

fn text(argument: &Argument) -> String {
    match argument {
        Argument::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Argument::Key => "<key>".into(),
        Argument::One => "<one>".into(),
        Argument::Keys => "<keys>".into(),
        Argument::Any => "<any>".into(),
    }
}

/// The calls that are found, `|` between them; `?` when they are not known.
#[track_caller]
fn check(script: &str, expected: &str) {
    let shape = scan(script.as_bytes());
    let shown = shape.calls.map(|calls| {
        let calls = calls.iter().map(|call| call.args.iter().map(text).collect::<Vec<_>>().join(" "));
        calls.collect::<Vec<_>>().join(" | ")
    });
    assert_eq!(shown.as_deref().unwrap_or("?"), expected, "{script}");
}

#[test]
fn calls_are_found_with_their_arguments() {
    check("return 1", "");
    check("return redis.call('GET', KEYS[1])", "GET <key>");
    check("return redis.pcall(\"SET\", KEYS[ 1 ], ARGV[1], 'EX', 10)", "SET <key> <one> EX 10");
    check("redis.call([[GET]], KEYS[#KEYS]) -- redis.call('X')\nredis.call('TIME')", "GET <key> | TIME");
    check("redis.call('INCRBY', KEYS[1], redis.call('GET', KEYS[2]))", "INCRBY <key> <any> | GET <key>");
    check("redis.call('SET', KEYS[1], x(1, 2), 'NX')", "SET <key> <one> NX");
    check("redis.call('DEL', unpack(KEYS))", "DEL <keys>");
    check("redis.call('RPUSH', KEYS[1], unpack(ARGV))", "RPUSH <key> <any>");
    check("redis.call('RPUSH', KEYS[1], ...)", "RPUSH <key> <any>");
    check("redis.call('RPUSH', KEYS[1], f'x')", "RPUSH <key> <any>");
    check("redis.call('GET', (function() return 1, 2 end)())", "GET <any>");
    check("redis.call('GET', KEYS[1] .. ':x')", "GET <one>");
    check("redis.call('GET', 'name')", "GET name");
    check("redis.call('GET', 'na\\\\me')", "GET <one>");
    check("return redis.sha1hex('x') .. redis.REDIS_VERSION", "");
    check(
        "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('TTL', KEYS[1]) end",
        "EXISTS <key> | TTL <key>",
    );
}

#[test]
fn calls_are_found_by_the_word_of_valkey() {
    check("return server.call('GET', KEYS[1])", "GET <key>");
    check(
        "local call = server.pcall return call('GET', redis.call('GET', KEYS[1]))",
        "GET <any> | GET <key>",
    );
    check("return x.server", "");
    check("local s = server s.call('GET', KEYS[1])", "?");
    // A variable, or not, by where it stands: it is not looked for.
    check("local server = 1 return server", "?");
}

#[test]
fn variables_stand_for_keys_and_calls() {
    check("local k = KEYS[1] redis.call('GET', k)", "GET <key>");
    check("local a, b = KEYS[1], KEYS[2]\nredis.call('RENAME', a, b)", "RENAME <key> <key>");
    check("local a, n, b = KEYS[1], 5, KEYS[2] redis.call('RENAME', a, b)", "RENAME <key> <key>");
    check("local a, b = f(), KEYS[2] redis.call('GET', b)", "GET <one>");
    check("for i, key in ipairs(KEYS) do redis.call('DEL', key) end", "DEL <key>");
    check("for key, i in ipairs(KEYS) do redis.call('DEL', key) end", "DEL <one>");
    check("local call = redis.call return call('GET', KEYS[1])", "GET <key>");
    check(
        "local call, pcall = redis.call, redis.pcall return call('GET', pcall('TIME'))",
        "GET <any> | TIME",
    );
    check("local key = KEYS[1] key = 'x' redis.call('GET', key)", "GET <one>");
    check("local key = KEYS[1] local function f(key) redis.call('GET', key) end", "GET <one>");
    check("local key = KEYS[1] local t = {key = 1} redis.call('GET', key)", "GET <key>");
    check("local key = KEYS[1] local t = {a = key, key = 1} redis.call('GET', key)", "GET <key>");
    check("local key = KEYS[1] .. 'x' redis.call('GET', key)", "GET <one>");
    check("local key = KEYS[1]\nlocal n = 1\na, key = 1, 2 redis.call('GET', key)", "GET <one>");
    check("local key = KEYS[1] if x then key, a = 1, 2 end redis.call('GET', key)", "GET <one>");
    check("local key = KEYS[1] for key = 1, 2 do end redis.call('GET', key)", "GET <one>");
}

#[test]
fn what_could_hide_a_call_is_told_nothing_of() {
    for script in [
        "local r = redis return r.call('GET', 'x')",
        "return redis['call']('GET', 'x')",
        "return redis.call(name, KEYS[1])",
        "return redis.call('GE' .. 'T', KEYS[1])",
        "return redis.call'PING'",
        "return pcall(redis.call, 'GET', 'x')",
        "local call = redis.call f(call)",
        "local call = redis.call call = x",
        "local call = redis.call local x = {call = 1}",
        "call = redis.call return call('GET', 'x')",
        "local t = {redis.call} return t[1]('GET', 'x')",
        "return loadstring(ARGV[1])()",
        "return load(f)()",
        "return _G.redis.call('GET', 'x')",
        "return getmetatable(_G)",
        "local redis = {}",
        "KEYS[1] = 'x' redis.call('GET', KEYS[1])",
        "KEYS[1], KEYS[2] = KEYS[2], 'x'",
        "local x = 1 a, KEYS[1], b = 1, 2, 3",
        "table.insert(KEYS, 'x')",
        "local k = KEYS k[1] = 'x'",
        "rawset(KEYS, 1, 'x')",
        "local unpack = f redis.call('DEL', unpack(KEYS))",
        "local KEYS = {'x'} redis.call('GET', KEYS[1])",
        "function KEYS() end",
        "redis.call('GET', function() return 1, 2 end)",
        "return \"unfinished",
        "return [[unfinished",
        "--[[ unfinished",
    ] {
        check(script, "?");
    }
}

#[test]
fn tables_that_are_only_read_are_told() {
    let check = |script: &str, expected: bool| {
        assert_eq!(scan(script.as_bytes()).reads_arguments_only, expected, "{script}");
    };
    check("return {KEYS[1], ARGV[2], #KEYS, #ARGV}", true);
    check("for i, v in ipairs(ARGV) do x(v) end return unpack(KEYS, 2)", true);
    check("return KEYS[1]:upper()", true);
    check("return f(ARGV[1], ARGV[2], ARGV[3])", true);
    check("local a, b, c = KEYS[1], ARGV[1], ARGV[2]", true);
    check("return ARGV", false);
    check("local n, t = pairs(ARGV) t[1] = 1", false);
    check("for i, v in pairs(ARGV), f do end", false);
    check("return f(ARGV)", false);
    check("ARGV[1] = 1", false);
    check("local x = ARGV", false);
    check("t.unpack(ARGV)", false);
    check("a.b, ARGV[1] = 1, 2", false);
    check("ARGV[1], a = 1, 2", false);
    check("return table.concat(ARGV, ',')", false);
}
