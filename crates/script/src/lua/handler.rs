//! The handler of errors: notes where an error was raised, while the calls that led there are still known.

use super::guard::push_real;
use super::native::push_error;
use super::stack::{Kind, Stack};
use mlua_sys as ffi;
use std::ffi::c_int;
use std::io::Write;

/// Turns what was raised into a table with `err`, and adds `source` and `line`: those of the function that raised it or,
/// when that is not the script's, of the one that called it.
pub(super) unsafe extern "C-unwind" fn handle(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls with its own state.
    let stack = unsafe { Stack::from_raw(state) };
    // It is given all the memory that it asks for, for an error in here would leave what it has borrowed.
    let natives = &stack.context().memory.natives;
    natives.set(natives.get() + 1);
    note_place(stack);
    natives.set(natives.get() - 1);
    1
}

fn note_place(stack: Stack<'_>) {
    // Were there no room for what follows, that would be an error within the handler of errors, which Lua survives.
    stack.reserve(ROOM);
    if !stack.is(1, Kind::Table) {
        push_text(stack);
    }
    stack.set_top(if stack.is(1, Kind::Table) { 1 } else { 2 });
    if push_real(stack, -1) {
        // It is one that all scripts share.
        return;
    }
    let place = stack.place(1);
    let place = if place.as_ref().is_some_and(|place| place.is_native) { stack.place(2) } else { place };
    if let Some(place) = place {
        stack.push_bytes(place.source);
        stack.set_field(-2, "source");
        stack.push_number(f64::from(place.line));
        stack.set_field(-2, "line");
    }
}

/// Pushes an error table for what is no table.
fn push_text(stack: Stack<'_>) {
    let context = stack.context();
    let mut message = context.message.borrow_mut();
    message.clear();
    message.extend_from_slice(b"ERR ");
    match stack.kind(1) {
        Kind::String | Kind::Number => message.extend_from_slice(stack.text(1).unwrap_or_default()),
        Kind::Boolean if stack.boolean(1) => message.extend_from_slice(b"true"),
        Kind::Boolean => message.extend_from_slice(b"false"),
        Kind::Nil | Kind::None => message.extend_from_slice(b"nil"),
        kind => write!(message, "{}: {:#018x}", kind.name(), stack.address(1)).expect("a Vec takes it"),
    }
    push_error(stack, &message);
}

/// Values that the handler has on the stack at once, at most.
const ROOM: i32 = 10;
