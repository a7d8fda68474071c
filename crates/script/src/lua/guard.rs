//! Functions of Lua's own with something in front of them: what keeps scripts from changing the tables that all scripts
//! share, and from what Lua 5.1 does not check itself.
//!
//! A *proxy* stands for each shared table: an empty one, whose metatable leads reads to the real one and refuses writes.
//! What reads and writes tables without asking their metatables meets a guard: it is given the real table to read, and
//! refused to write.
//!
//! These are called by Lua directly, not through a trampoline, for they let errors pass: their frames own nothing.

use super::stack::{Fixed, Kind, Stack};
use mlua_sys as ffi;
use std::ffi::{c_char, c_int, c_void};

type Raw = ffi::lua_CFunction;

/// How one of Lua's functions is guarded.
#[derive(Clone, Copy)]
pub(crate) enum Guard {
    /// Its first argument is a table that it reads.
    Reads,
    /// Its first argument is a table that it changes.
    Writes,
    /// It has a function of its own here.
    By(Raw),
}

/// Replaces field `name` of the table on top, one of Lua's functions, by one with a guard in front.
pub(crate) fn put(stack: Stack<'_>, name: &str, guard: Guard) {
    stack.get_field(-1, name);
    assert!(stack.is_native(-1), "{name} is a function of Lua's own");
    // The function it guards is the guard's upvalue.
    let raw = match guard {
        Guard::Reads => reads as Raw,
        Guard::Writes => writes as Raw,
        Guard::By(raw) => raw,
    };
    // SAFETY: the state lives, and the upvalue is on top.
    unsafe { ffi::lua_pushcclosure(stack.raw(), raw, 1) };
    stack.set_field(-2, name);
}

/// Calls the function that is guarded, with the guard's own arguments.
unsafe fn pass_on(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the upvalue is one of Lua's functions: `put` saw to it.
    unsafe {
        let guarded = ffi::lua_tocfunction(state, ffi::lua_upvalueindex(1)).expect("a function is guarded");
        guarded(state)
    }
}

unsafe extern "C-unwind" fn reads(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls with its own state.
    unsafe {
        see_through(Stack::from_raw(state));
        pass_on(state)
    }
}

unsafe extern "C-unwind" fn writes(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above; the frame owns nothing.
    unsafe {
        let stack = Stack::from_raw(state);
        if push_real(stack, 1) {
            stack.push_bytes(READ_ONLY.as_bytes());
            ffi::lua_error(state);
        }
        pass_on(state)
    }
}

/// Puts the real table in the place of a proxy that is the first argument.
fn see_through(stack: Stack<'_>) {
    if push_real(stack, 1) {
        stack.replace(1);
    }
}

/// Pushes the table behind the proxy at `index`; false, and nothing is pushed, when it is none.
pub(crate) fn push_real(stack: Stack<'_>, index: i32) -> bool {
    if !stack.is(index, Kind::Table) || !stack.push_metatable(index) {
        return false;
    }
    stack.push_fixed(Fixed::ProxyMark);
    stack.get(-2);
    let is_proxy = !stack.is(-1, Kind::Nil);
    if is_proxy {
        stack.remove(-2);
    } else {
        stack.pop(2);
    }
    is_proxy
}

/// `getmetatable`: of a proxy, what the real table has, as a proxy; of strings a proxy too.
pub(crate) unsafe extern "C-unwind" fn getmetatable(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls with its own state.
    unsafe {
        let stack = Stack::from_raw(state);
        if stack.is(1, Kind::String) {
            stack.push_fixed(Fixed::StringMetatable);
            return 1;
        }
        if push_real(stack, 1) {
            stack.push_metatable(1);
            stack.get_field(-1, VISIBLE);
            return 1;
        }
        pass_on(state)
    }
}

/// `next`, which raises an error for a key that the table does not have.
pub(crate) unsafe extern "C-unwind" fn next(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe { reads(state) }
}

/// `unpack`, with a bound that is checked before it counts in a C `int`.
pub(crate) unsafe extern "C-unwind" fn unpack(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        let stack = Stack::from_raw(state);
        if stack.is(2, Kind::Number) || stack.is(3, Kind::Number) {
            let from = if stack.is(2, Kind::Number) { stack.number(2) } else { 1.0 };
            let to = if stack.is(3, Kind::Number) { stack.number(3) } else { stack.len(1) as f64 };
            let is_int = |number: f64| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
            if !is_int(from) || !is_int(to) || to - from > UNPACKED_MAX {
                return ffi::luaL_error(state, c"too many results to unpack".as_ptr());
            }
        }
        pass_on(state)
    }
}

/// `collectgarbage`: what would change how garbage is collected for all scripts does nothing.
pub(crate) unsafe extern "C-unwind" fn collectgarbage(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        let stack = Stack::from_raw(state);
        if let Some(b"stop" | b"restart" | b"setpause" | b"setstepmul") = stack.bytes(1) {
            stack.push_number(0.0);
            return 1;
        }
        pass_on(state)
    }
}

/// `pcall`. As in Redis an error that is a table with a text in `err` is given as that text.
pub(crate) unsafe extern "C-unwind" fn pcall(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        ffi::luaL_checkany(state, 1);
        let stack = Stack::from_raw(state);
        let well = ffi::lua_pcall(state, stack.top() - 1, ffi::LUA_MULTRET, 0) == ffi::LUA_OK;
        if !well && stack.is(-1, Kind::Table) {
            stack.get_field(-1, "err");
            if matches!(stack.kind(-1), Kind::String | Kind::Number) {
                stack.replace(-2);
            } else {
                stack.pop(1);
            }
        }
        // There is room: the function and its arguments are gone.
        ffi::luaL_checkstack(state, 1, c"no room for the results".as_ptr());
        stack.push_bool(well);
        stack.insert(1);
        stack.top()
    }
}

/// `xpcall`. While an error is raised that ends the script nothing looks after it, so no handler of its own is called then.
pub(crate) unsafe extern "C-unwind" fn xpcall(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        ffi::luaL_checkany(state, 2);
        let stack = Stack::from_raw(state);
        stack.set_top(2);
        ffi::lua_pushcclosure(state, handle_unless_over, 1);
        pass_on(state)
    }
}

/// Calls the handler that is its upvalue.
unsafe extern "C-unwind" fn handle_unless_over(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        let stack = Stack::from_raw(state);
        if stack.context().watch.is_over.get() {
            return 1;
        }
        stack.push_copy(super::UPVALUE_1);
        stack.insert(1);
        ffi::lua_call(state, stack.top() - 1, 1);
        1
    }
}

/// `loadstring(text, name)`.
pub(crate) unsafe extern "C-unwind" fn loadstring(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above; strings of Lua are terminated, and stay on the stack.
    unsafe {
        let mut len = 0;
        let text = ffi::luaL_checklstring(state, 1, &raw mut len);
        let name = ffi::luaL_optlstring(state, 2, text, std::ptr::null_mut());
        let stack = Stack::from_raw(state);
        let source = std::slice::from_raw_parts(text.cast::<u8>(), len);
        loaded(stack, stack.compile(source, std::ffi::CStr::from_ptr(name)))
    }
}

/// `load(reader, name)`.
pub(crate) unsafe extern "C-unwind" fn load(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above; the record of pieces is used while `lua_load` runs, and owns nothing.
    unsafe {
        let name = ffi::luaL_optlstring(state, 2, c"=(load)".as_ptr(), std::ptr::null_mut());
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        let stack = Stack::from_raw(state);
        // Piece and name stay reachable while the compiler works.
        stack.set_top(3);
        ffi::lua_pushstring_(state, name);
        let mut pieces = Pieces::First;
        let status = ffi::lua_load(state, piece, (&raw mut pieces).cast(), name);
        loaded(stack, status == ffi::LUA_OK)
    }
}

/// Where the source of a [`load`] is.
enum Pieces {
    First,
    More,
    Ended,
}

/// Gives the compiler what the script's function returns, until it returns nothing.
unsafe extern "C-unwind" fn piece(
    state: *mut ffi::lua_State,
    pieces: *mut c_void,
    size: *mut usize,
) -> *const c_char {
    // SAFETY: `load` gave its record; the piece stays on its stack, in the third place, until the next one.
    unsafe {
        let pieces = &mut *pieces.cast::<Pieces>();
        *size = 0;
        if matches!(pieces, Pieces::Ended) {
            return std::ptr::null();
        }
        ffi::luaL_checkstack(state, 2, c"too many nested functions".as_ptr());
        ffi::lua_pushvalue(state, 1);
        ffi::lua_call(state, 0, 1);
        let stack = Stack::from_raw(state);
        match stack.kind(-1) {
            Kind::Nil => return std::ptr::null(),
            Kind::String | Kind::Number => {}
            _ => {
                ffi::luaL_error(state, c"reader function must return a string".as_ptr());
            }
        }
        stack.replace(3);
        let text = ffi::lua_tolstring(state, 3, size);
        if *size > 0 && matches!(pieces, Pieces::First) {
            if *text as u8 == ffi::LUA_SIGNATURE[0] {
                *pieces = Pieces::Ended;
                *size = 2;
                return c" \x1b".as_ptr();
            }
            *pieces = Pieces::More;
        }
        text
    }
}

/// What `load` and `loadstring` return: the function on top, or nil and the error's text on top.
fn loaded(stack: Stack<'_>, well: bool) -> c_int {
    if well {
        return 1;
    }
    stack.push_nil();
    stack.insert(-2);
    2
}

/// What a write to a shared table is told.
pub(crate) const READ_ONLY: &str = "Attempt to modify a readonly table";
/// The field of a proxy's metatable that has what `getmetatable` gives.
pub(crate) const VISIBLE: &str = "__metatable";
/// A stack of Lua does not get larger than some 8,000 values.
const UNPACKED_MAX: f64 = 8000.0;
