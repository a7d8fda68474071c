//! What an interpreter and the Rust around it share: memory accounting, the call under way, why the script stopped.

use std::cell::{Cell, RefCell};
use stdx::args::Span;

use crate::host::Hooks;
use crate::registry::Loading;

/// One interpreter's. Lua keeps a pointer to it as its allocator's user data, so every native finds it fast.
pub(crate) struct Context {
    /// What the server lends: a clock and a log.
    pub(crate) hooks: Hooks,
    pub(crate) memory: Memory,
    /// The redis.call under way: its arguments, then its reply.
    pub(crate) request: RefCell<Request>,
    pub(crate) reply: RefCell<Vec<u8>>,
    /// Whether the reply is to be RESP3 (redis.setresp).
    pub(crate) resp3: Cell<bool>,
    /// What redis.set_repl chose; the default is everywhere.
    pub(crate) repl: Cell<u8>,
    pub(crate) watch: Watch,
    /// A library that is being loaded.
    pub(crate) loading: RefCell<Option<Loading>>,
    /// The text of an error about to be raised.
    pub(crate) message: RefCell<Vec<u8>>,
    /// For natives that put strings together.
    pub(crate) scratch: RefCell<Vec<u8>>,
    pub(crate) random: Cell<u64>,
    /// Where natives suspend; null while no script runs.
    pub(crate) yielder: Cell<*const super::Yielder>,
}

/// How much memory the interpreter has and may have.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) used: Cell<usize>,
    pub(crate) max: Cell<usize>,
    /// How many natives are under way: those get what they ask for, for they could not be left in the middle.
    pub(crate) natives: Cell<u32>,
    /// Whether a native got more than `max`: it is told when it ends.
    pub(crate) is_over: Cell<bool>,
}

/// What redis.call was given.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) kind: RequestKind,
}

/// What a script asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RequestKind {
    /// redis.call or redis.pcall: run the command.
    #[default]
    Call,
    /// redis.acl_check_cmd: answer `:1` or `:0`, or an error when there is no such command.
    MayRun,
}

/// What is looked at every few thousand instructions.
pub(crate) struct Watch {
    /// When to give the core back to others, by the clock of [`Hooks`].
    pub(crate) pause_at: Cell<u64>,
    /// When the loading of a library is given up; 0 while a script runs.
    pub(crate) load_until: Cell<u64>,
    pub(crate) killed: Cell<bool>,
    pub(crate) instructions: Cell<u64>,
    /// 0 for no bound.
    pub(crate) instructions_max: Cell<u64>,
    /// An error was raised that the script is not to survive.
    pub(crate) is_over: Cell<bool>,
}

impl Context {
    pub(crate) fn new(hooks: Hooks, bytes_max: usize, seed: u64) -> Self {
        let memory = Memory::default();
        memory.max.set(bytes_max);
        Self {
            hooks,
            memory,
            request: RefCell::default(),
            reply: RefCell::default(),
            resp3: Cell::new(false),
            repl: Cell::new(crate::env::redis::REPL_ALL),
            watch: Watch {
                pause_at: Cell::new(u64::MAX),
                load_until: Cell::new(0),
                killed: Cell::new(false),
                instructions: Cell::new(0),
                instructions_max: Cell::new(0),
                is_over: Cell::new(false),
            },
            loading: RefCell::new(None),
            message: RefCell::default(),
            scratch: RefCell::default(),
            random: Cell::new(seed),
            yielder: Cell::new(std::ptr::null()),
        }
    }
}
