//! All that a script can see, listed on redis-server and on Lacewing: every name, what it is, what it refers to, what has
//! which metatable, and what every function says when it is called without arguments.

use lacewing_tests::{Client, RedisServer, Server, show};
use resp::Value;

/// Lists from `_G` on, line by line.
const LIST: &str = "
local function list()
    local seen, lines = {}, {}
    local silent = {['os.clock'] = 1, ['math.random'] = 1, collectgarbage = 1, gcinfo = 1, error = 1}
    local function add(...) lines[#lines + 1] = table.concat({...}, ' ') end
    local function call(f)
        local results = {pcall(f)}
        for i = 1, 4 do
            local result = results[i]
            local is_plain = type(result) ~= 'table' and type(result) ~= 'function'
            results[i] = is_plain and tostring(result) or type(result)
        end
        return table.concat(results, ', ', 1, 4)
    end
    local function walk(path, value)
        local kind = type(value)
        if kind == 'function' then
            local known = seen[value]
            seen[value] = known or path
            return add(path, known or (silent[path:gsub('^_G%.', '')] and 'function' or call(value)))
        elseif kind ~= 'table' then
            return add(path, kind, kind == 'userdata' and '' or tostring(value))
        elseif seen[value] then
            return add(path, 'is', seen[value])
        end
        seen[value] = path
        add(path, 'table', tostring(#value), type(getmetatable(value)))
        local names = {}
        for name in pairs(value) do names[#names + 1] = tostring(name) end
        table.sort(names)
        for _, name in ipairs(names) do walk(path .. '.' .. name, value[name]) end
        local metatable = getmetatable(value)
        if metatable ~= nil then walk(path .. '()', metatable) end
    end
    local function try(name, get)
        local is_there, value = pcall(get)
        if is_there then walk(name, value) else add(name, value) end
    end
    try('_G', function() return _G end)
    NAMES
    walk('string()', getmetatable(''))
    walk('number()', getmetatable(1))
    walk('nil()', getmetatable(nil))
    walk('function()', getmetatable(walk))
    walk('null()', getmetatable(cjson.null))
    walk('true()', getmetatable(true))
    return lines
end
";

/// What is looked for by its name, for a library that loads has no `_G`.
const NAMES: &str = "_VERSION assert collectgarbage coroutine debug dofile error gcinfo getfenv getmetatable io ipairs load \
    loadfile loadstring math module newproxy next os package pairs pcall print rawequal rawget rawset redis require select \
    server setfenv setmetatable string struct table tonumber tostring type unpack xpcall bit cjson cmsgpack KEYS ARGV";

/// What differs, and is meant to: what says which server it is; Redis 7.0's handler of errors, a function of Lua that all
/// scripts see; `os.clock` and `set_repl` as Redis 7.2 has them; `pcall` of nothing, an error in Lua; and `server`, which is `redis` as in Valkey.
const MEANT: &[&str] = &[
    "REDIS_VERSION",
    "_COPYRIGHT",
    "__redis__err__handler",
    "_G.os ",
    "_G.os.clock ",
    "os ",
    "set_repl ",
    "_G.pcall ",
    "_G.server ",
    SERVER,
];

/// Valkey's name for `redis`.
const SERVER: &str = "server ";

/// The lines of a listing.
fn lines(reply: &Value) -> Vec<String> {
    let Value::Array(lines) = reply else { panic!("no listing: {}", show(reply)) };
    assert!(lines.len() > 100, "only {} lines", lines.len());
    let is_alike = |line: &String| {
        !MEANT.iter().any(|meant| {
            line.trim_start_matches('"').starts_with(meant) || line.contains(&format!(".{meant}"))
        })
    };
    lines.iter().map(show).filter(is_alike).collect()
}

/// A listing each from a script and from a function that runs.
fn listings(client: &mut Client) -> [Vec<String>; 2] {
    let try_name = |name| format!("try('{name}', function() return {name} end) ");
    let list = LIST.replace("NAMES", &NAMES.split_whitespace().map(try_name).collect::<String>());
    let script = client.call(&["EVAL", &format!("{list} return list()"), "2", "a", "b", "c"]);
    let library = format!(
        "#!lua name=listing\nredis.register_function('list', function(KEYS, ARGV) {list} return list() end)"
    );
    assert_eq!(show(&client.call(&["FUNCTION", "LOAD", &library])), "\"listing\"");
    [lines(&script), lines(&client.call(&["FCALL", "list", "0"]))]
}

#[test]
fn scripts_see_what_they_see_in_redis() {
    let Some(redis) = RedisServer::start() else { return };
    let lacewing = Server::with(&["--cores", "1"]);
    let (theirs, ours) = (listings(&mut redis.client()), listings(&mut lacewing.client()));
    let mut differences = String::new();
    for ((place, theirs), ours) in ["a script", "a function"].iter().zip(theirs).zip(ours) {
        let missing = theirs.iter().filter(|line| !ours.contains(line)).map(|line| format!("- {line}\n"));
        let added = ours.iter().filter(|line| !theirs.contains(line)).map(|line| format!("+ {line}\n"));
        let lines: Vec<String> = missing.chain(added).collect();
        if !lines.is_empty() {
            differences += &format!("in {place}:\n{}", lines.concat());
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// What a library finds while it loads: each name, and each field of `redis`, by itself.
#[test]
fn libraries_see_what_they_see_in_redis_while_they_load() {
    const FIELDS: &str = "call pcall error_reply status_reply log sha1hex setresp set_repl breakpoint debug \
        register_function acl_check_cmd replicate_commands LOG_WARNING LOG_DEBUG REPL_ALL REPL_NONE nosuch";
    let Some(redis) = RedisServer::start() else { return };
    let lacewing = Server::with(&["--cores", "1"]);
    let (mut theirs, mut ours) = (redis.client(), lacewing.client());
    let fields = FIELDS.split_whitespace().map(|field| format!("redis.{field}"));
    let names = NAMES.split_whitespace().filter(|name| *name != SERVER.trim_end());
    for name in names.map(str::to_owned).chain(fields) {
        for code in ["local x = NAME x.y()", "local x = NAME x()", "NAME = 1"] {
            let library = format!(
                "#!lua name=l\n{} redis.register_function('f', function() end)",
                code.replace("NAME", &name)
            );
            let call = ["FUNCTION", "LOAD", "REPLACE", &library];
            assert_eq!(show(&ours.call(&call)), show(&theirs.call(&call)), "{library}");
        }
    }
}
