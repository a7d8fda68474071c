//! Natives: the functions of the environment that are written in Rust.
//!
//! A native is an ordinary Rust function from a [`Stack`] to an [`Answer`]. Lua raises errors by leaving the frames of
//! functions behind (`longjmp`), which Rust's frames do not survive when they own something; so a native only says
//! what is to be raised, and the trampoline, which owns nothing, raises it.

use super::stack::Stack;
use mlua_sys as ffi;
use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

/// How many of the topmost values are the results, or what is raised.
pub(crate) type Answer = Result<i32, Raise>;

/// An error that a native raises.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Raise {
    /// The topmost value.
    Top,
    /// This text, after the place where the native was called.
    Text(&'static str),
    /// The text in the context's `message`, after the place where the native was called.
    Message,
    /// `bad argument #n to 'function' (..)`.
    Argument(i32, &'static CStr),
    /// The same with the text in the context's `message`.
    ArgumentMessage(i32),
    /// Argument `n` should have been of this kind.
    Kind(i32, &'static CStr),
    /// A table with the field `err`, as redis.call raises them: `ERR` and this text.
    Redis(&'static str),
}

/// A native: a function item, which takes no space.
pub(crate) trait Native: Fn(Stack<'_>) -> Answer + Copy + 'static {}

impl<F: Fn(Stack<'_>) -> Answer + Copy + 'static> Native for F {}

/// The function that Lua calls for `native`.
pub(crate) fn trampoline<N: Native>(_native: N) -> ffi::lua_CFunction {
    const { assert!(size_of::<N>() == 0, "a native is a function item: it captures nothing") };
    enter::<N>
}

unsafe extern "C-unwind" fn enter<N: Native>(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: a type without size has one value, which a function item is; Lua calls with its own state.
    let (native, stack) = unsafe { (*NonNull::<N>::dangling().as_ref(), Stack::from_raw(state)) };
    let memory = &stack.context().memory;
    let depth = memory.natives.get();
    memory.natives.set(depth + 1);
    let answer = native(stack);
    memory.natives.set(depth);
    match answer {
        Ok(results) if !memory.is_over.get() => results,
        Ok(_) => {
            memory.is_over.set(false);
            stack.push_bytes(b"not enough memory");
            // SAFETY: this frame owns nothing.
            unsafe { ffi::lua_error(state) }
        }
        // SAFETY: as above.
        Err(raise) => unsafe { throw(state, raise) },
    }
}

/// Raises. Nothing that the callers have on their stacks is dropped.
///
/// # Safety
/// No frame up to the last call from Lua owns anything.
unsafe fn throw(state: *mut ffi::lua_State, raise: Raise) -> c_int {
    // SAFETY: Lua calls with its own state; the texts are terminated, and Lua copies them.
    unsafe {
        let stack = Stack::from_raw(state);
        // The text is borrowed while Lua copies it: no error may come in between.
        let natives = &stack.context().memory.natives;
        let depth = natives.get();
        natives.set(depth + 1);
        match raise {
            Raise::Top => {}
            Raise::Text(text) => {
                ffi::luaL_where(state, 1);
                stack.push_bytes(text.as_bytes());
                ffi::lua_concat(state, 2);
            }
            Raise::Message => {
                ffi::luaL_where(state, 1);
                push_message(stack);
                ffi::lua_concat(state, 2);
            }
            Raise::Argument(index, text) => {
                natives.set(depth);
                return ffi::luaL_argerror(state, index, text.as_ptr());
            }
            Raise::ArgumentMessage(index) => {
                push_message(stack);
                natives.set(depth);
                let text = ffi::lua_tolstring(state, -1, std::ptr::null_mut());
                return ffi::luaL_argerror(state, index, text);
            }
            Raise::Kind(index, kind) => {
                natives.set(depth);
                return ffi::luaL_typerror(state, index, kind.as_ptr());
            }
            Raise::Redis(text) => push_error_parts(stack, "ERR", text),
        }
        natives.set(depth);
        ffi::lua_error(state)
    }
}

fn push_message(stack: Stack<'_>) {
    stack.push_bytes(&stack.context().message.borrow());
}

fn push_error_parts(stack: Stack<'_>, code: &str, text: &str) {
    let mut message = stack.context().message.borrow_mut();
    message.clear();
    message.extend_from_slice(code.as_bytes());
    message.push(b' ');
    message.extend_from_slice(text.as_bytes());
    push_error(stack, &message);
}

/// Pushes a table whose field `err` is `text`.
pub(crate) fn push_error(stack: Stack<'_>, text: &[u8]) {
    stack.push_table(0, 1);
    stack.push_bytes(text);
    stack.set_field(-2, "err");
}

impl Raise {
    /// What a native raises that would put more together than the interpreter may have.
    pub(crate) const NO_MEMORY: Self = Self::Text("not enough memory");
}

impl<'s> Stack<'s> {
    /// Whether `bytes` more, which a native puts together outside of Lua, would be within the bound. Natives that make much
    /// of little ask as they go, for nothing else stops them.
    #[inline]
    pub(crate) fn has_room(self, bytes: usize) -> bool {
        let memory = &self.context().memory;
        memory.used.get().saturating_add(bytes) <= memory.max.get()
    }

    /// Writes the text of an error that is raised next.
    pub(crate) fn message(self, write: std::fmt::Arguments<'_>) {
        use std::io::Write;
        let mut message = self.context().message.borrow_mut();
        message.clear();
        message.write_fmt(write).expect("a Vec takes what is written");
    }

    /// An error with the place where the native was called.
    pub(crate) fn error(self, text: std::fmt::Arguments<'_>) -> Raise {
        self.message(text);
        Raise::Message
    }

    /// Argument `index` as a string: a string, or a number.
    pub(crate) fn check_bytes(self, index: i32) -> Result<&'s [u8], Raise> {
        self.text(index).ok_or(Raise::Kind(index, c"string"))
    }

    /// Argument `index` as a number: a number, or a string that is one.
    pub(crate) fn check_number(self, index: i32) -> Result<f64, Raise> {
        let number = self.number(index);
        if number == 0.0 && !self.is_numeric(index) { Err(Raise::Kind(index, c"number")) } else { Ok(number) }
    }

    /// Argument `index` as an integer, cut as C cuts it.
    pub(crate) fn check_integer(self, index: i32) -> Result<i64, Raise> {
        self.check_number(index).map(to_integer)
    }

    /// The same, with a value for an argument that is nil or missing.
    pub(crate) fn optional_integer(self, index: i32, default: i64) -> Result<i64, Raise> {
        match self.kind(index) {
            super::stack::Kind::None | super::stack::Kind::Nil => Ok(default),
            _ => self.check_integer(index),
        }
    }
}

/// A number as the processor makes an integer of it: cut, and the lowest one for all that do not fit.
#[inline]
pub(crate) fn to_integer(number: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&number) { number as i64 } else { i64::MIN }
}
