//! Looks at a running script every few thousand instructions: time to give way, to give up, or was it killed.

use super::interpreter::{Signal, suspend_in};
use super::native::push_error;
use super::stack::Stack;
use mlua_sys as ffi;

/// Sets the hook as scripts begin with it.
pub(super) fn arm(state: *mut ffi::lua_State) {
    // SAFETY: the state lives.
    unsafe { ffi::lua_sethook(state, Some(look), ffi::LUA_MASKCOUNT, INSTRUCTIONS) };
}

unsafe extern "C-unwind" fn look(state: *mut ffi::lua_State, _record: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls with its own state.
    let stack = unsafe { Stack::from_raw(state) };
    let context = stack.context();
    let watch = &context.watch;
    watch.instructions.set(watch.instructions.get() + INSTRUCTIONS as u64);
    let most = watch.instructions_max.get();
    if most != 0 && watch.instructions.get() > most {
        // SAFETY: this frame owns nothing.
        unsafe { raise(state, b"ERR Script ran more instructions than lua-instructions-max allows") };
    }
    let now = (context.hooks.nanos)();
    let until = watch.load_until.get();
    if until != 0 {
        if now > until {
            // SAFETY: as above.
            unsafe { raise(state, b"ERR FUNCTION LOAD timeout") };
        }
        return;
    }
    if !watch.killed.get() && now >= watch.pause_at.get() {
        suspend_in(context, Signal::Pause);
    }
    if watch.killed.get() {
        // SAFETY: as above.
        unsafe { raise(state, b"ERR Script killed by user with SCRIPT KILL...") };
    }
}

/// Ends the script. From now on every line that it goes on to ends it again, so that no `pcall` of its own saves it.
unsafe fn raise(state: *mut ffi::lua_State, text: &[u8]) -> ! {
    // SAFETY: the state lives, and the caller owns nothing.
    unsafe {
        ffi::lua_sethook(state, Some(look), ffi::LUA_MASKLINE, 0);
        push_error(Stack::from_raw(state), text);
        ffi::lua_error(state)
    }
}

/// So many instructions pass between two looks: some 100 us.
const INSTRUCTIONS: i32 = 10_000;
