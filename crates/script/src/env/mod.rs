//! The environment of scripts: Lua's libraries without what reaches outside, Redis's own, and walls between scripts.
//!
//! What scripts share they cannot change: they see each of those tables through a proxy ([`crate::lua::guard`]). Redis
//! has a patched Lua with read-only tables for this; here it is Lua as it is.
//!
//! ```text
//!   a script's globals, `_G`      the globals                   their metatable
//!   ┌───────────┐  __index  ┌──────────────────────┐  __index
//!   │ (nothing) ├──────────►│ tostring, KEYS, ..   ├──────────► error: nonexistent global variable
//!   └───────────┘           │ redis ──► (nothing) ─┼─ __index ─► { call, pcall, .. }
//!    __newindex: error      └──────────────────────┘
//! ```
//!
//! Function libraries have globals of their own: while one loads there is nothing but a `redis` to register functions
//! with, and while functions run there is all that EVAL has but KEYS and ARGV.

mod bit;
mod cjson;
mod cmsgpack;
mod format;
mod math;
mod os;
pub(crate) mod redis;
mod structs;

use crate::lua::guard::{self, Guard, READ_ONLY, VISIBLE};
use crate::lua::patterns;
use crate::lua::{Answer, Fixed, GLOBALS, Interpreter, Kind, Library, Raise, Stack, UPVALUE_1};

/// Makes the environment in a fresh interpreter.
pub(crate) fn install(interpreter: &Interpreter) {
    let stack = interpreter.stack();
    stack.reserve_fixed();
    stack.push_mark();
    stack.keep_fixed(Fixed::ProxyMark);
    for library in [Library::Base, Library::Table, Library::String, Library::Math] {
        interpreter.open(library);
    }
    stack.push_copy(GLOBALS);
    base(stack);
    for (name, push) in LIBRARIES {
        push(stack);
        stack.set_field(-2, name);
    }
    protect_fields(stack);
    redis::push_for_scripts(stack);
    wrap(stack);
    name_redis(stack);
    refuse_unknown(stack);
    let globals = stack.top();
    library_globals(stack, globals);
    script_globals(stack, globals);
    stack.set_top(globals - 1);
}

/// A library and what pushes its table.
type Pushed = (&'static str, fn(Stack<'_>));

/// Libraries that are not Lua's own.
const LIBRARIES: &[Pushed] = &[
    ("cjson", cjson::push),
    ("cmsgpack", cmsgpack::push),
    ("struct", structs::push),
    ("bit", bit::push),
    ("os", os::push),
];

/// Guards or removes what Lua's base libraries put into the globals, which are on top.
fn base(stack: Stack<'_>) {
    for name in REMOVED {
        stack.push_nil();
        stack.set_field(-2, name);
    }
    let guards: &[(&str, Guard)] = &[
        ("next", Guard::By(guard::next)),
        ("rawget", Guard::Reads),
        ("rawset", Guard::Writes),
        ("setmetatable", Guard::Writes),
        ("getmetatable", Guard::By(guard::getmetatable)),
        ("unpack", Guard::By(guard::unpack)),
        ("collectgarbage", Guard::By(guard::collectgarbage)),
        ("pcall", Guard::By(guard::pcall)),
        ("xpcall", Guard::By(guard::xpcall)),
        ("load", Guard::By(guard::load)),
        ("loadstring", Guard::By(guard::loadstring)),
    ];
    guards.iter().for_each(|(name, guard)| guard::put(stack, name, *guard));
    stack.get_field(-1, "next");
    stack.push_native(pairs, 1);
    stack.set_field(-2, "pairs");
    stack.get_field(-1, "table");
    guard::put(stack, "insert", Guard::Writes);
    // The shared tables have no elements that could be removed or sorted.
    for name in ["remove", "sort", "foreach", "foreachi", "getn", "maxn", "concat"] {
        guard::put(stack, name, Guard::Reads);
    }
    stack.pop(1);
    stack.get_field(-1, "string");
    patterns::replace(stack);
    add(stack, "rep", repeat);
    stack.pop(1);
    stack.get_field(-1, "math");
    math::replace_random(stack);
    stack.pop(1);
}

/// A buffer of natives up to this size is kept.
const SCRATCH_KEPT_BYTES: usize = 64 * 1024;
/// What reaches outside, what changes the environment of functions, and userdata with finalizers: those would run
/// scripts where there is none.
const REMOVED: &[&str] = &["dofile", "loadfile", "print", "getfenv", "setfenv", "newproxy"];

/// Puts proxies in the place of all tables in the globals, which are on top.
fn protect_fields(stack: Stack<'_>) {
    for name in ["string", "table", "math", "coroutine", "cjson", "cmsgpack", "struct", "bit", "os"] {
        stack.get_field(-1, name);
        wrap(stack);
        stack.set_field(-2, name);
    }
    // What scripts see of the metatable of strings.
    stack.push_table(0, 1);
    stack.get_field(-2, "string");
    stack.set_field(-2, "__index");
    wrap(stack);
    stack.keep_fixed(Fixed::StringMetatable);
}

/// Replaces the table on top by a proxy for it.
fn wrap(stack: Stack<'_>) {
    stack.push_table(0, 0);
    stack.push_table(0, 4);
    stack.push_copy(-3);
    stack.set_field(-2, "__index");
    stack.push_native(refuse_write, 0);
    stack.set_field(-2, "__newindex");
    stack.push_fixed(Fixed::ProxyMark);
    stack.push_copy(-4);
    stack.set(-3);
    if stack.push_metatable(-3) {
        wrap(stack);
        stack.set_field(-2, VISIBLE);
    }
    stack.set_metatable(-2);
    stack.remove(-2);
}

/// Gives the table on top a metatable that makes reading what is not there an error.
fn refuse_unknown(stack: Stack<'_>) {
    stack.push_table(0, 1);
    stack.push_native(unknown, 0);
    stack.set_field(-2, "__index");
    stack.set_metatable(-2);
}

/// `pairs`: with the `next` that sees through proxies; never the table behind one.
fn pairs(stack: Stack<'_>) -> Answer {
    if !stack.is(1, Kind::Table) {
        return Err(Raise::Kind(1, c"table"));
    }
    stack.push_copy(UPVALUE_1);
    stack.push_copy(1);
    stack.push_nil();
    Ok(3)
}

/// `string.rep`, which in Lua goes through every repetition, of nothing too.
fn repeat(stack: Stack<'_>) -> Answer {
    let text = stack.check_bytes(1)?;
    let times = usize::try_from(stack.check_integer(2)?).unwrap_or(0);
    let len = text.len().saturating_mul(times);
    if len > 0 && !stack.has_room(len) {
        return Err(Raise::NO_MEMORY);
    }
    let mut out = stack.context().scratch.borrow_mut();
    out.clear();
    if len > 0 {
        out.reserve_exact(len);
        (0..times).for_each(|_| out.extend_from_slice(text));
    }
    stack.push_bytes(&out);
    if out.capacity() > SCRATCH_KEPT_BYTES {
        *out = Vec::new();
    }
    Ok(1)
}

fn refuse_write(_: Stack<'_>) -> Answer {
    Err(Raise::Text(READ_ONLY))
}

fn unknown(stack: Stack<'_>) -> Answer {
    if stack.top() != 2 {
        return Err(Raise::Text("Wrong number of arguments to luaProtectedTableError"));
    }
    let Some(name) = stack.text(2) else {
        return Err(Raise::Text("Second argument to luaProtectedTableError must be a string or number"));
    };
    let name = String::from_utf8_lossy(name);
    Err(stack.error(format_args!("Script attempted to access nonexistent global variable '{name}'")))
}

/// What scripts have for their globals, in front of the table at `globals`.
fn script_globals(stack: Stack<'_>, globals: i32) {
    stack.push_copy(globals);
    stack.keep_fixed(Fixed::GlobalsTable);
    stack.push_copy(globals);
    wrap(stack);
    stack.push_copy(-1);
    stack.set_field(globals, "_G");
    stack.push_copy(-1);
    stack.keep_fixed(Fixed::Globals);
    stack.replace(GLOBALS);
    for (fixed, name) in [(Fixed::KeysName, "KEYS"), (Fixed::ArgvName, "ARGV")] {
        stack.push_bytes(name.as_bytes());
        stack.keep_fixed(fixed);
    }
    for fixed in [Fixed::SharedKeys, Fixed::SharedArgv] {
        stack.push_table(8, 0);
        stack.keep_fixed(fixed);
    }
}

/// What function libraries have, made from the globals of scripts at `globals`.
fn library_globals(stack: Stack<'_>, globals: i32) {
    stack.push_table(0, 40);
    let table = stack.top();
    stack.push_nil();
    while stack.next(globals) {
        stack.push_copy(-2);
        stack.insert(-2);
        stack.set(table);
    }
    redis::push_for_functions(stack);
    wrap(stack);
    name_redis(stack);
    refuse_unknown(stack);
    stack.push_copy(table);
    wrap(stack);
    stack.set_field(table, "_G");
    stack.push_copy(table);
    stack.keep_fixed(Fixed::RunTable);
    // One that leads to the above, or, while a library loads, to what follows: see `set_loading`.
    stack.push_copy(table);
    wrap(stack);
    stack.keep_fixed(Fixed::LibraryGlobals);
    stack.push_table(0, 1);
    redis::push_for_loading(stack);
    refuse_unknown(stack);
    wrap(stack);
    name_redis(stack);
    refuse_unknown(stack);
    stack.keep_fixed(Fixed::LoadTable);
}

/// Gives what is on top its names in the table below it. Valkey has it as `server` too, and what is written for Valkey says that.
fn name_redis(stack: Stack<'_>) {
    stack.push_copy(-1);
    stack.set_field(-3, "redis");
    stack.set_field(-2, "server");
}

/// Has the globals of libraries be those of loading, or those of running.
pub(crate) fn set_loading(stack: Stack<'_>, on: bool) {
    stack.push_fixed(Fixed::LibraryGlobals);
    let is_proxy = stack.push_metatable(-1);
    assert!(is_proxy, "the globals of libraries are a proxy");
    stack.push_fixed(if on { Fixed::LoadTable } else { Fixed::RunTable });
    stack.set_field(-2, "__index");
    stack.pop(2);
}

/// Adds a native to the table on top.
fn add<N: crate::lua::Native>(stack: Stack<'_>, name: &str, native: N) {
    stack.push_native(native, 0);
    stack.set_field(-2, name);
}

fn add_text(stack: Stack<'_>, name: &str, text: &str) {
    stack.push_bytes(text.as_bytes());
    stack.set_field(-2, name);
}

fn add_number(stack: Stack<'_>, name: &str, value: f64) {
    stack.push_number(value);
    stack.set_field(-2, name);
}

/// Whether there is an argument, nil included.
fn is_given(stack: Stack<'_>, index: i32) -> bool {
    !stack.is(index, Kind::None)
}
