//! Lua itself: the only part of this crate, and of what stands below the sans-IO line, with `unsafe` in it.
//!
//! An [`Interpreter`] is a Lua state on a stack of its own. What a script asks of the world outside suspends that stack and
//! gives the control back to whoever resumed it, so scripts hold no reference to anything: the caller looks at the request,
//! writes a reply, and resumes, now or much later.
//!
//! Why this is sound, where types do not say it:
//! - One thread uses an interpreter: it is neither `Send` nor `Sync`.
//! - Errors leave C frames and trampolines only. A native says what it wants raised and has ended when that is done, is
//!   given all the memory it asks for, reads and writes tables raw, and no finalizer of a script ever runs
//!   (`newproxy` is not there), so nothing inside of one raises.
//! - Between runs the suspended stack holds [`Interpreter`]'s own loop alone, which owns nothing.
#![allow(unsafe_code)]

mod alloc;
mod context;
pub(crate) mod guard;
mod handler;
mod hook;
mod interpreter;
mod matcher;
mod native;
pub(crate) mod patterns;
mod stack;

pub use context::RequestKind;
pub(crate) use context::{Context, Request};
pub(crate) use interpreter::{Interpreter, Library, Signal, suspend};
pub(crate) use native::{Answer, Native, Raise, push_error, to_integer};
pub(crate) use stack::{Fixed, GLOBALS, Kind, Ref, Stack, UPVALUE_1, upvalue};

/// How natives get back to the stack of the caller.
pub(crate) type Yielder = corosensei::Yielder<(), Signal>;
