//! An interpreter with its environment, and what has been compiled in it.

use crate::env;
use crate::errors;
use crate::host::Hooks;
use crate::lua::{Context, Fixed, GLOBALS, Interpreter, Kind, Ref, Signal, Stack};
use crate::registry::{Loading, Registered};
use crate::store::{Library, Store};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use stdx::args::Args;

/// One interpreter. It runs one script at a time.
pub(crate) struct Vm {
    interpreter: Interpreter,
    /// Compiled scripts, at the places that the engine's cache gives them.
    scripts: Vec<Compiled>,
    /// Which libraries are loaded: their ids, and their functions by name in lower case.
    libraries: HashMap<u64, Vec<Ref>>,
    functions: HashMap<String, Ref>,
    version: Option<u64>,
    /// How many values the shared KEYS and ARGV have, and whether they are the globals.
    shared: [i32; 2],
    has_shared: bool,
    is_for_libraries: bool,
}

#[derive(Clone, Copy)]
struct Compiled {
    /// Which script it is, of those that have been at this place.
    id: u64,
    function: Ref,
}

/// How long and how much a script may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of one interpreter, in bytes.
    pub bytes_max: usize,
    /// Instructions of one run; 0 for no bound.
    pub instructions_max: u64,
}

impl Vm {
    pub(crate) fn new(hooks: Hooks, limits: Limits, seed: u64) -> io::Result<Self> {
        let interpreter = Interpreter::new(Context::new(hooks, limits.bytes_max, seed))?;
        env::install(&interpreter);
        Ok(Self {
            interpreter,
            scripts: Vec::new(),
            libraries: HashMap::new(),
            functions: HashMap::new(),
            version: None,
            shared: [0; 2],
            has_shared: false,
            is_for_libraries: false,
        })
    }

    #[inline]
    pub(crate) fn context(&self) -> &Context {
        self.interpreter.context()
    }

    #[inline]
    pub(crate) fn stack(&self) -> Stack<'_> {
        self.interpreter.stack()
    }

    /// Memory of the interpreter, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.context().memory.used.get()
    }

    /// Compiles a script that has no function here yet. Errors: what Lua says of it.
    pub(crate) fn compile(&mut self, place: usize, id: u64, source: &[u8]) -> Result<(), String> {
        if self.scripts.get(place).is_some_and(|known| known.id == id) {
            return Ok(());
        }
        self.take_globals(false);
        let stack = self.stack();
        if !stack.compile(source, c"@user_script") {
            let text = String::from_utf8_lossy(stack.text(-1).unwrap_or_default()).into_owned();
            stack.pop(1);
            return Err(text);
        }
        let function = stack.keep();
        if self.scripts.len() <= place {
            self.scripts.resize(place + 1, Compiled { id: 0, function: Ref::NONE });
        }
        let old = std::mem::replace(&mut self.scripts[place], Compiled { id, function });
        self.stack().forget(old.function);
        Ok(())
    }

    /// Runs the compiled script at `place`. `reads_only`: it reads KEYS and ARGV and nothing more.
    #[inline]
    pub(crate) fn start_script(
        &mut self,
        place: usize,
        keys: Args<'_>,
        args: Args<'_>,
        reads_only: bool,
    ) -> Signal {
        self.take_globals(false);
        let function = self.scripts[place].function;
        if reads_only {
            self.share(keys, args);
        } else {
            self.give(keys, args);
        }
        self.stack().push_kept(function);
        self.interpreter.arm();
        self.interpreter.start(0)
    }

    /// Calls a function of a library that is loaded; `None` when there is none of this name.
    pub(crate) fn start_function(&mut self, name: &str, keys: Args<'_>, args: Args<'_>) -> Option<Signal> {
        let function = *self.functions.get(name)?;
        self.take_globals(true);
        let stack = self.stack();
        stack.push_kept(function);
        push_array(stack, keys);
        push_array(stack, args);
        self.interpreter.arm();
        Some(self.interpreter.start(2))
    }

    #[inline]
    pub(crate) fn resume(&mut self) -> Signal {
        self.interpreter.resume()
    }

    /// Puts KEYS and ARGV into tables that scripts before have used.
    fn share(&mut self, keys: Args<'_>, args: Args<'_>) {
        let stack = self.stack();
        let mut shared = self.shared;
        let of = [(Fixed::SharedKeys, keys), (Fixed::SharedArgv, args)];
        for ((fixed, values), old) in of.into_iter().zip(&mut shared) {
            let len = values.len() as i32;
            if len == 0 && *old == 0 {
                continue;
            }
            stack.push_fixed(fixed);
            for (index, value) in (1..).zip(values.iter()) {
                stack.push_bytes(value);
                stack.set_item(-2, index);
            }
            for index in len + 1..=*old {
                stack.push_nil();
                stack.set_item(-2, index);
            }
            stack.pop(1);
            *old = len;
        }
        if !self.has_shared {
            stack.push_fixed(Fixed::GlobalsTable);
            for (name, table) in [(Fixed::KeysName, Fixed::SharedKeys), (Fixed::ArgvName, Fixed::SharedArgv)]
            {
                stack.push_fixed(name);
                stack.push_fixed(table);
                stack.set(-3);
            }
            stack.pop(1);
        }
        self.shared = shared;
        self.has_shared = true;
    }

    /// Puts KEYS and ARGV into tables of the script's own.
    fn give(&mut self, keys: Args<'_>, args: Args<'_>) {
        self.has_shared = false;
        let stack = self.stack();
        stack.push_fixed(Fixed::GlobalsTable);
        for (name, values) in [(Fixed::KeysName, keys), (Fixed::ArgvName, args)] {
            stack.push_fixed(name);
            push_array(stack, values);
            stack.set(-3);
        }
        stack.pop(1);
    }

    /// What is loaded from strings has the globals of what loads it.
    #[inline]
    fn take_globals(&mut self, of_libraries: bool) {
        if self.is_for_libraries != of_libraries {
            let stack = self.stack();
            stack.push_fixed(if of_libraries { Fixed::LibraryGlobals } else { Fixed::Globals });
            stack.replace(GLOBALS);
            self.is_for_libraries = of_libraries;
        }
    }

    /// Runs a library's code, to have it register its functions. Errors: what is wrong with it, without a code.
    pub(crate) fn run_library(&mut self, code: &[u8], nanos_max: u64) -> Result<Vec<Registered>, String> {
        self.take_globals(true);
        env::set_loading(self.stack(), true);
        let result = self.run_loading(code, nanos_max);
        env::set_loading(self.stack(), false);
        let loading = self.context().loading.take().unwrap_or_default();
        if result.is_err() {
            self.forget_all(&loading);
        }
        result.map(|()| loading.functions)
    }

    fn run_loading(&mut self, code: &[u8], nanos_max: u64) -> Result<(), String> {
        let stack = self.stack();
        if !stack.compile(code, c"@user_function") {
            let text = String::from_utf8_lossy(stack.text(-1).unwrap_or_default()).into_owned();
            stack.pop(1);
            return Err(format!("Error compiling function: {text}"));
        }
        let context = self.context();
        let watch = &context.watch;
        context.loading.replace(Some(Loading::default()));
        watch.load_until.set((context.hooks.nanos)().saturating_add(nanos_max));
        watch.instructions.set(0);
        watch.killed.set(false);
        watch.is_over.set(false);
        self.interpreter.arm();
        let signal = self.interpreter.start(0);
        self.context().watch.load_until.set(0);
        let Signal::Ended { well } = signal else { unreachable!("a library that loads asks for nothing") };
        let result =
            if well { Ok(()) } else { Err(format!("Error registering functions: {}", self.raised())) };
        self.stack().set_top(BOTTOM);
        result
    }

    /// The text of what was raised, which is on top.
    fn raised(&self) -> String {
        let stack = self.stack();
        let failure = stack.is(-1, Kind::Table).then(|| errors::of_table(stack)).flatten();
        match failure {
            Some(failure) => failure.text().into_owned(),
            None => String::from_utf8_lossy(stack.text(-1).unwrap_or_default()).into_owned(),
        }
    }

    fn forget_all(&self, loading: &Loading) {
        loading.functions.iter().for_each(|function| self.stack().forget(function.function));
    }

    /// Has this interpreter know the libraries of `store`. One that does not load here is left out: it did where it was
    /// loaded first, so its code does not always do the same.
    pub(crate) fn follow(&mut self, store: &Store) {
        if self.version == Some(store.version()) {
            return;
        }
        let (libraries, version) = store.libraries();
        let gone: Vec<u64> = {
            let is_there = |id: &u64| libraries.iter().any(|library| library.id == *id);
            self.libraries.keys().filter(|id| !is_there(id)).copied().collect()
        };
        for id in gone {
            let functions = self.libraries.remove(&id).unwrap_or_default();
            self.functions.retain(|_, function| !functions.contains(function));
            functions.into_iter().for_each(|function| self.stack().forget(function));
        }
        for library in libraries {
            if !self.libraries.contains_key(&library.id) {
                self.load(&library);
            }
        }
        self.version = Some(version);
    }

    fn load(&mut self, library: &Arc<Library>) {
        let registered = self.run_library(library.source(), FOLLOWING_NANOS_MAX).unwrap_or_default();
        let functions = registered.iter().map(|one| one.function).collect();
        self.libraries.insert(library.id, functions);
        let named = registered.into_iter().map(|one| (one.name.to_ascii_lowercase(), one.function));
        self.functions.extend(named);
    }

    /// After a run: nothing of it stays on the stack, and little of its garbage.
    #[inline]
    pub(crate) fn clean(&mut self) {
        let stack = self.stack();
        stack.set_top(BOTTOM);
        if self.bytes() > GARBAGE_BYTES_MAX {
            stack.collect();
        }
    }
}

fn push_array(stack: Stack<'_>, values: Args<'_>) {
    stack.push_table(values.len(), 0);
    for (index, value) in (1..).zip(values.iter()) {
        stack.push_bytes(value);
        stack.set_item(-2, index);
    }
}

/// The handler of errors, which is always on the stack.
const BOTTOM: i32 = 1;
/// How much memory an interpreter keeps after a run without having its garbage collected at once.
const GARBAGE_BYTES_MAX: usize = 16 << 20;
/// How long a library may take to load on further cores, in nanoseconds: longer than where it was loaded first.
const FOLLOWING_NANOS_MAX: u64 = 2_000_000_000;
