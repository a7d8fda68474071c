//! A Lua state, and the stack that it runs on.

use super::Yielder;
use super::alloc::allocate;
use super::context::Context;
use super::hook;
use super::stack::Stack;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use mlua_sys as ffi;
use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::rc::Rc;

/// Why a script gave the control back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It asks for something: see [`Context::request`].
    Request,
    /// It has run for as long as it was to run in one go.
    Pause,
    /// It has ended; its one result is on top, or what was raised.
    Ended {
        /// False when an error was raised.
        well: bool,
    },
}

/// One Lua state with its own stack.
pub(crate) struct Interpreter {
    state: NonNull<ffi::lua_State>,
    context: Box<Context>,
    run: Rc<Run>,
    coroutine: Coroutine<(), Signal, ()>,
    /// It stays on its thread.
    _thread: PhantomData<*const ()>,
}

/// What is to be run.
#[derive(Default)]
struct Run {
    arguments: Cell<i32>,
    is_active: Cell<bool>,
}

impl Interpreter {
    /// A state without libraries. Errors: there is no memory for its stack.
    pub(crate) fn new(context: Context) -> io::Result<Self> {
        let context = Box::new(context);
        context.memory.natives.set(1);
        let data = (&raw const *context).cast_mut().cast();
        // SAFETY: the context stays where it is, and is dropped after the state.
        let state = NonNull::new(unsafe { ffi::lua_newstate(allocate, data) })
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let run = Rc::new(Run::default());
        let coroutine = Coroutine::with_stack(DefaultStack::new(STACK_BYTES)?, {
            let run = Rc::clone(&run);
            let context = NonNull::from(&*context);
            move |yielder: &Yielder, ()| serve(state, context, &run, yielder)
        });
        let mut interpreter = Self { state, context, run, coroutine, _thread: PhantomData };
        // SAFETY: the state lives.
        unsafe { ffi::lua_atpanic(state.as_ptr(), panicked) };
        let stack = interpreter.stack();
        stack.push_raw(super::handler::handle);
        assert_eq!(stack.top(), HANDLER, "the handler of errors stays at the bottom");
        assert!(!interpreter.resume_to(Signal::Pause), "the loop waits for its first run");
        Ok(interpreter)
    }

    /// The values of the state. While a script is suspended they are its own and not to be touched.
    #[inline]
    pub(crate) fn stack(&self) -> Stack<'_> {
        // SAFETY: the state lives as long as the interpreter.
        unsafe { Stack::from_raw(self.state.as_ptr()) }
    }

    #[inline]
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Opens one of Lua's own libraries.
    pub(crate) fn open(&self, library: Library) {
        let (open, name) = library.opener();
        let stack = self.stack();
        stack.push_raw(open);
        stack.push_bytes(name);
        // SAFETY: opening a library into a fresh state raises nothing.
        unsafe { ffi::lua_call(self.state.as_ptr(), 1, 0) };
    }

    /// Runs the function on the stack with the `arguments` above it, to the first signal.
    #[inline]
    pub(crate) fn start(&mut self, arguments: i32) -> Signal {
        assert!(!self.run.is_active.replace(true), "one script at a time");
        self.run.arguments.set(arguments);
        self.context.memory.is_over.set(false);
        self.step()
    }

    /// Goes on after a signal that was not the end.
    #[inline]
    pub(crate) fn resume(&mut self) -> Signal {
        assert!(self.run.is_active.get(), "there is a script to go on with");
        self.step()
    }

    #[inline]
    fn step(&mut self) -> Signal {
        let CoroutineResult::Yield(signal) = self.coroutine.resume(()) else {
            unreachable!("an interpreter's loop does not end")
        };
        if matches!(signal, Signal::Ended { .. }) {
            self.run.is_active.set(false);
        }
        signal
    }

    /// Runs the loop to where it waits; whether it gave another signal than the expected one.
    fn resume_to(&mut self, expected: Signal) -> bool {
        self.step() != expected
    }

    /// Has the hook look after the script, or line by line after one that was killed.
    pub(crate) fn arm(&self) {
        hook::arm(self.state.as_ptr());
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        // SAFETY: the frames on that stack are the loop's, which owns nothing, or those of a script that is given up with
        // its state: Lua's own, and natives that wait for an answer. What is closed is used no more.
        unsafe {
            self.coroutine.force_reset();
            self.context.memory.natives.set(1);
            ffi::lua_close(self.state.as_ptr());
        }
    }
}

/// What runs on the interpreter's own stack, for ever.
fn serve(state: NonNull<ffi::lua_State>, context: NonNull<Context>, run: &Run, yielder: &Yielder) {
    // SAFETY: both live as long as the interpreter, and this does not go on after it.
    let context = unsafe { context.as_ref() };
    context.yielder.set(std::ptr::from_ref(yielder));
    let mut signal = Signal::Pause;
    loop {
        yielder.suspend(signal);
        context.memory.natives.set(0);
        // SAFETY: the function and its arguments were pushed, and the handler is where it always is.
        let status = unsafe { ffi::lua_pcall(state.as_ptr(), run.arguments.get(), 1, HANDLER) };
        context.memory.natives.set(1);
        signal = Signal::Ended { well: status == ffi::LUA_OK };
    }
}

/// Gives the control back to whoever resumed the interpreter, until it is resumed again. To be called from within a
/// script alone.
pub(super) fn suspend_in(context: &Context, signal: Signal) {
    let yielder = context.yielder.get();
    assert!(!yielder.is_null(), "an interpreter's loop runs before any script");
    // SAFETY: the loop's frame, which has the yielder, is below every script's.
    unsafe { (*yielder).suspend(signal) };
}

/// The same from a native.
pub(crate) fn suspend(stack: Stack<'_>, signal: Signal) {
    suspend_in(stack.context(), signal);
}

/// An error where nothing catches it: our own broken invariant, for scripts run protected.
unsafe extern "C-unwind" fn panicked(state: *mut ffi::lua_State) -> std::ffi::c_int {
    // SAFETY: Lua calls with its own state.
    let text = unsafe { Stack::from_raw(state) }.text(-1).unwrap_or_default();
    panic!("a Lua error outside of any script: {}", String::from_utf8_lossy(text));
}

/// Libraries of Lua's own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Library {
    Base,
    Table,
    String,
    Math,
}

impl Library {
    fn opener(self) -> (ffi::lua_CFunction, &'static [u8]) {
        match self {
            Self::Base => (ffi::luaopen_base, b""),
            Self::Table => (ffi::luaopen_table, b"table"),
            Self::String => (ffi::luaopen_string, b"string"),
            Self::Math => (ffi::luaopen_math, b"math"),
        }
    }
}

/// Where the handler of errors is on every state's stack.
const HANDLER: i32 = 1;

/// The stack that scripts run on, in bytes; pages that are not touched cost nothing. Lua allows 200 C calls within each
/// other, the largest of which (`string.gsub` and its kin) take some 10 KiB; the last may match a long pattern, or read
/// deep JSON.
const STACK_BYTES: usize = 8 << 20;
