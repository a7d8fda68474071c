//! Looks at a running script every few thousand instructions: time to give way, to give up, or was it killed.

use super::context::Context;
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
    count(context);
    if let Some(text) = why_over(context) {
        // SAFETY: this frame owns nothing.
        unsafe { raise(state, text) };
    }
}

/// For natives that work for long, to be asked now and then: others have their turn when it is time. False when the script
/// is over; then [`end`] it.
pub(super) fn goes_on(context: &Context) -> bool {
    count(context);
    why_over(context).is_none()
}

/// Ends a script that is over.
///
/// # Safety
/// No frame up to the last call from Lua owns anything.
pub(super) unsafe fn end(state: *mut ffi::lua_State) -> ! {
    // SAFETY: the state lives, and the caller owns nothing.
    unsafe {
        let text = why_over(Stack::from_raw(state).context());
        raise(state, text.unwrap_or(KILLED))
    }
}

fn count(context: &Context) {
    let instructions = &context.watch.instructions;
    instructions.set(instructions.get() + INSTRUCTIONS as u64);
}

/// Has others have their turn when it is time. Says why the script is over, if it is.
fn why_over(context: &Context) -> Option<&'static [u8]> {
    let watch = &context.watch;
    let most = watch.instructions_max.get();
    if most != 0 && watch.instructions.get() > most {
        return Some(b"ERR Script ran more instructions than lua-instructions-max allows");
    }
    let now = (context.hooks.nanos)();
    let until = watch.load_until.get();
    if until != 0 {
        return (now > until).then_some(b"ERR FUNCTION LOAD timeout");
    }
    if !watch.killed.get() && now >= watch.pause_at.get() {
        suspend_in(context, Signal::Pause);
    }
    watch.killed.get().then_some(KILLED)
}

/// Ends the script. From now on every line that it goes on to ends it again, so that no `pcall` of its own saves it.
unsafe fn raise(state: *mut ffi::lua_State, text: &[u8]) -> ! {
    // SAFETY: the state lives, and the caller owns nothing.
    unsafe {
        ffi::lua_sethook(state, Some(look), ffi::LUA_MASKLINE, 0);
        let stack = Stack::from_raw(state);
        stack.context().watch.is_over.set(true);
        push_error(stack, text);
        ffi::lua_error(state)
    }
}

const KILLED: &[u8] = b"ERR Script killed by user with SCRIPT KILL...";
/// So many instructions pass between two looks: some 100 us.
const INSTRUCTIONS: i32 = 10_000;
