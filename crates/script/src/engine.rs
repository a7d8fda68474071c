//! One core's scripts: what it knows of them, its interpreters, and runs.

use crate::convert::write_reply;
use crate::errors::{self, Counted};
use crate::host::Hooks;
use crate::lua::{Request, RequestKind, Signal};
use crate::sha;
use crate::shebang;
use crate::store::{Function, Library, RestorePolicy, Script, Store};
use crate::tame;
use crate::vm::{Limits, Vm};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use resp::{Proto, Reply};
use std::cell::{Ref, RefMut};
use std::hash::BuildHasher;
use std::sync::Arc;
use stdx::args::Args;

/// See the module's documentation.
pub struct Engine {
    store: Arc<Store>,
    hooks: Hooks,
    limits: Limits,
    seed: u64,
    /// Interpreters without a script.
    #[allow(clippy::vec_box)] // runs carry them around
    idle: Vec<Box<Vm>>,
    cache: Cache,
}

/// Scripts that this core has met, at places that do not change while they are in it.
#[derive(Default)]
struct Cache {
    /// Of the store, when it was filled.
    generation: u64,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    by_text: HashTable<usize>,
    by_sha: HashTable<usize>,
    next_id: u64,
    /// Where the search for one to make room went to last.
    hand: usize,
}

struct Entry {
    script: Arc<Script>,
    id: u64,
    /// Whether it ran since the hand passed.
    used: bool,
}

/// A script that a core knows: valid until it looks for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found(usize);

/// Why there is nothing to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The text is no script: the error reply, with its code.
    #[error("{0}")]
    Wrong(String),
    /// There is no such script, or function.
    #[error("not known")]
    Unknown,
    /// There is no memory for an interpreter.
    #[error("no memory for an interpreter")]
    NoMemory,
}

/// What a script waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An answer: see [`Run::request`].
    Request,
    /// Its turn: it gave way, having run for as long as it was to.
    Pause,
    /// Nothing: it has ended.
    Ended,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a reply.
    Well,
    /// With an error, its text with its code: written already if it has been counted.
    Failed(Counted, Vec<u8>),
}

/// A script under way. To be driven to its end, or dropped, which gives it up.
pub struct Run {
    vm: Box<Vm>,
    signal: Signal,
    name: Name,
}

enum Name {
    Sha([u8; 40]),
    Function(String),
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("scripts", &self.cache.by_sha.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that knows what is in `store`. `seed` begins math.random.
    pub fn new(store: Arc<Store>, hooks: Hooks, limits: Limits, seed: u64) -> Self {
        Self { store, hooks, limits, seed, idle: Vec::new(), cache: Cache::default() }
    }

    /// What all cores know.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Sets what the server lends, and the bounds: for interpreters made from now on.
    pub fn set_hooks(&mut self, hooks: Hooks) {
        self.hooks = hooks;
        self.idle.clear();
    }

    /// Sets the bounds of the runs to come.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Memory of the interpreters that have no script at the moment, in bytes: none after a flush, until a script runs here.
    pub fn bytes(&self) -> usize {
        if self.store.generation() != self.cache.generation {
            return 0;
        }
        self.idle.iter().map(|vm| vm.bytes()).sum()
    }

    /// Periodic work: a core where no script runs gives back what a flush has left of no use.
    pub fn tend(&mut self) {
        self.notice_flush();
    }

    /// Finds the script that EVAL was given, or takes it in. Errors: it is none.
    #[inline]
    pub fn script(&mut self, body: &[u8]) -> Result<Found, Refusal> {
        self.notice_flush();
        match self.cache.by_text(body) {
            Some(place) => Ok(Found(place)),
            None => self.take_in(body, false),
        }
    }

    /// Finds a script by its digest in hexadecimal. Errors: it is not known.
    #[inline]
    pub fn script_by_sha(&mut self, sha: &[u8]) -> Result<Found, Refusal> {
        self.notice_flush();
        let sha = sha::from_hex(sha).ok_or(Refusal::Unknown)?;
        if let Some(place) = self.cache.by_sha(&sha) {
            return Ok(Found(place));
        }
        let script = self.store.script(&sha).ok_or(Refusal::Unknown)?;
        Ok(Found(self.enter(script)))
    }

    /// SCRIPT LOAD: takes a script in for good. Errors: it is none.
    pub fn load_script(&mut self, body: &[u8]) -> Result<Found, Refusal> {
        self.notice_flush();
        self.take_in(body, true)
    }

    /// The script that was found.
    #[inline]
    pub fn found(&self, found: Found) -> &Script {
        &self.cache.entries[found.0].as_ref().expect("it was found a moment ago").script
    }

    #[inline]
    fn notice_flush(&mut self) {
        let generation = self.store.generation();
        if generation != self.cache.generation {
            self.forget_scripts(generation);
        }
    }

    #[cold]
    fn forget_scripts(&mut self, generation: u64) {
        // Ids go on, so that functions of before are not taken for those of new scripts.
        let next_id = self.cache.next_id;
        self.cache = Cache { generation, next_id, ..Cache::default() };
        // As in Redis, the interpreters begin anew too.
        self.idle.clear();
    }

    #[cold]
    fn take_in(&mut self, body: &[u8], loaded: bool) -> Result<Found, Refusal> {
        let sha = sha::of(body);
        if let Some(known) = self.store.script(&sha) {
            if loaded {
                self.store.load(&sha);
            }
            let place = self.cache.by_sha(&sha).unwrap_or_else(|| self.enter(known));
            return Ok(Found(place));
        }
        let (flags, start) =
            shebang::of_script(body).map_err(|text| Refusal::Wrong(format!("ERR {text}")))?;
        let script = Script::new(body, flags, start, tame::scan(&body[start..]));
        self.compiles(script.source())?;
        let script = self.store.enter(script, loaded);
        Ok(Found(self.enter(script)))
    }

    /// Whether Lua takes the text for a script.
    fn compiles(&mut self, source: &[u8]) -> Result<(), Refusal> {
        let vm = self.vm()?;
        let stack = vm.stack();
        let result = if stack.compile(source, c"@user_script") {
            Ok(())
        } else {
            let text = String::from_utf8_lossy(stack.text(-1).unwrap_or_default());
            Err(Refusal::Wrong(format!("ERR Error compiling script (new function): {text}")))
        };
        stack.pop(1);
        self.put_back(vm);
        result
    }

    fn enter(&mut self, script: Arc<Script>) -> usize {
        self.cache.make_room();
        self.cache.insert(script)
    }

    /// Begins a run of a script that was found. It pauses when the clock says `pause_at`. Errors: no memory.
    #[inline]
    pub fn begin(
        &mut self,
        found: Found,
        keys: Args<'_>,
        args: Args<'_>,
        pause_at: u64,
    ) -> Result<Run, Refusal> {
        let mut vm = self.vm()?;
        let entry = self.cache.entries[found.0].as_mut().expect("it was found a moment ago");
        entry.used = true;
        let script = &*entry.script;
        let (id, name) = (entry.id, script.name);
        if let Err(text) = vm.compile(found.0, id, script.source()) {
            return Err(Refusal::Wrong(format!("ERR Error compiling script (new function): {text}")));
        }
        prepare(&vm, self.limits, pause_at);
        let signal = vm.start_script(found.0, keys, args, script.shape.reads_arguments_only);
        Ok(Run { vm, signal, name: Name::Sha(name) })
    }

    /// The function of this name, in any case, and what it says of itself.
    pub fn function(&self, name: &[u8]) -> Option<Function> {
        let name = std::str::from_utf8(name).ok()?;
        let (libraries, _) = self.store.libraries();
        let mut functions = libraries.iter().flat_map(|library| &library.functions);
        functions.find(|function| function.name.eq_ignore_ascii_case(name)).cloned()
    }

    /// Begins a run of a function. Errors: it is not known, no memory.
    pub fn begin_function(
        &mut self,
        name: &str,
        keys: Args<'_>,
        args: Args<'_>,
        pause_at: u64,
    ) -> Result<Run, Refusal> {
        let mut vm = self.vm()?;
        vm.follow(&self.store);
        prepare(&vm, self.limits, pause_at);
        let Some(signal) = vm.start_function(&name.to_ascii_lowercase(), keys, args) else {
            self.put_back(vm);
            return Err(Refusal::Unknown);
        };
        Ok(Run { vm, signal, name: Name::Function(name.to_owned()) })
    }

    /// FUNCTION LOAD: runs the library's code here and, when it is well, enters it for all cores. Returns its name. Errors:
    /// without a code.
    pub fn load_library(&mut self, code: &[u8], replace: bool) -> Result<String, String> {
        let store = Arc::clone(&self.store);
        let library = self.try_library(code, |name| {
            if replace || !store.has_library(name) {
                return Ok(());
            }
            Err(format!("Library '{name}' already exists"))
        })?;
        let name = library.name.clone();
        self.store.add(library, replace)?;
        Ok(name)
    }

    /// FUNCTION RESTORE: the same for several libraries, all or none. Errors: without a code.
    pub fn restore_libraries(&mut self, codes: &[&[u8]], policy: RestorePolicy) -> Result<(), String> {
        let mut libraries: Vec<Library> = Vec::new();
        for code in codes {
            let library = self.try_library(code, |name| {
                if libraries.iter().any(|known| known.name == name) {
                    return Err(format!("Library '{name}' already exists"));
                }
                Ok(())
            })?;
            let known = libraries.iter().flat_map(|library| &library.functions);
            for function in known {
                if library.functions.iter().any(|new| new.name.eq_ignore_ascii_case(&function.name)) {
                    return Err(format!("Function {} already exists", function.name));
                }
            }
            libraries.push(library);
        }
        self.store.restore(libraries, policy)
    }

    fn try_library(
        &mut self,
        code: &[u8],
        is_free: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<Library, String> {
        let header = shebang::of_library(code)?;
        is_free(&header.name)?;
        let mut vm = self.vm().map_err(|refusal| refusal.to_string())?;
        let registered = vm.run_library(&code[header.len..], LOAD_NANOS_MAX);
        let functions = registered.map(|registered| {
            let functions = registered.into_iter().map(|one| {
                vm.stack().forget(one.function);
                Function { name: one.name, description: one.description, flags: one.flags }
            });
            functions.collect::<Vec<_>>()
        });
        vm.clean();
        self.put_back(vm);
        let functions = functions?;
        if functions.is_empty() {
            return Err("No functions registered".to_owned());
        }
        Ok(Library::new(header.name, code, header.len, functions))
    }

    /// An interpreter without a script.
    #[inline]
    fn vm(&mut self) -> Result<Box<Vm>, Refusal> {
        match self.idle.pop() {
            Some(vm) => Ok(vm),
            None => self.new_vm(),
        }
    }

    #[cold]
    fn new_vm(&mut self) -> Result<Box<Vm>, Refusal> {
        self.seed = self.seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        let seed = self.seed >> 16;
        Vm::new(self.hooks, self.limits, seed).map(Box::new).map_err(|_| Refusal::NoMemory)
    }

    #[inline]
    fn put_back(&mut self, vm: Box<Vm>) {
        if self.idle.len() < IDLE_MAX {
            self.idle.push(vm);
        }
    }

    /// Ends a run that has ended: writes its reply, unless it is an error that is yet to be counted.
    #[inline]
    pub fn finish(&mut self, mut run: Run, out: &mut Reply<'_>) -> Ended {
        let Signal::Ended { well } = run.signal else { panic!("a run is finished when it has ended") };
        let stack = run.vm.stack();
        let failed = if well {
            let context = run.vm.context();
            write_reply(stack, context.resp3.get(), context.memory.max.get(), out)
        } else {
            Some(errors::of_raised(stack, run.name()))
        };
        run.vm.clean();
        self.put_back(run.vm);
        let Some((text, counted)) = failed else { return Ended::Well };
        if counted == Counted::Yes {
            out.error(&text);
        }
        Ended::Failed(counted, text)
    }
}

/// Before a run.
#[inline]
fn prepare(vm: &Vm, limits: Limits, pause_at: u64) {
    let context = vm.context();
    context.memory.max.set(limits.bytes_max);
    context.resp3.set(false);
    context.repl.set(crate::env::redis::REPL_ALL);
    let watch = &context.watch;
    watch.pause_at.set(pause_at);
    watch.killed.set(false);
    watch.is_over.set(false);
    watch.instructions.set(0);
    watch.instructions_max.set(limits.instructions_max);
}

impl Run {
    /// What it waits for.
    #[inline]
    pub fn step(&self) -> Step {
        match self.signal {
            Signal::Request => Step::Request,
            Signal::Pause => Step::Pause,
            Signal::Ended { .. } => Step::Ended,
        }
    }

    /// Goes on: after a request, with the answer that [`Run::answer`] has; after a pause, until the clock says `pause_at`.
    #[inline]
    pub fn resume(&mut self) -> Step {
        self.signal = self.vm.resume();
        self.step()
    }

    /// What it asks for.
    #[inline]
    pub fn request(&self) -> Asked<'_> {
        Asked(self.vm.context().request.borrow())
    }

    /// Whether replies are to be RESP3.
    #[inline]
    pub fn proto(&self) -> Proto {
        if self.vm.context().resp3.get() { Proto::Resp3 } else { Proto::Resp2 }
    }

    /// Where the answer goes: as RESP.
    #[inline]
    pub fn answer(&self) -> RefMut<'_, Vec<u8>> {
        self.vm.context().reply.borrow_mut()
    }

    /// When it is to pause next, by the clock of [`Hooks`].
    pub fn pause_at(&self, nanos: u64) {
        self.vm.context().watch.pause_at.set(nanos);
    }

    /// Has it end with an error as soon as it goes on.
    pub fn kill(&self) {
        self.vm.context().watch.killed.set(true);
    }

    /// Whether effects go to the log and to replicas, as redis.set_repl has it: all, for now.
    pub fn repl(&self) -> u8 {
        self.vm.context().repl.get()
    }

    /// The script's digest or the function's name, by which errors name it.
    pub fn name(&self) -> &[u8] {
        match &self.name {
            Name::Sha(name) => name,
            Name::Function(name) => name.as_bytes(),
        }
    }
}

/// What a script asks for.
pub struct Asked<'a>(Ref<'a, Request>);

impl Asked<'_> {
    /// A command and its arguments.
    #[inline]
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.0.bytes, &self.0.spans)
    }

    /// What is wanted of it.
    #[inline]
    pub fn kind(&self) -> RequestKind {
        self.0.kind
    }
}

impl Cache {
    #[inline]
    fn by_text(&self, body: &[u8]) -> Option<usize> {
        let is_it =
            |place: &usize| self.entries[*place].as_ref().is_some_and(|one| *one.script.body == *body);
        self.by_text.find(hash_text(body), is_it).copied()
    }

    #[inline]
    fn by_sha(&self, sha: &sha::Sha) -> Option<usize> {
        let is_it = |place: &usize| self.entries[*place].as_ref().is_some_and(|one| one.script.sha == *sha);
        self.by_sha.find(hash_sha(sha), is_it).copied()
    }

    fn insert(&mut self, script: Arc<Script>) -> usize {
        self.next_id += 1;
        let entry = Entry { script, id: self.next_id, used: true };
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        let (text, sha) = (hash_text(&entry.script.body), hash_sha(&entry.script.sha));
        self.entries[place] = Some(entry);
        let entries = &self.entries;
        let of = |place: &usize| &entries[*place].as_ref().expect("a hashed entry is there").script;
        self.by_text.insert_unique(text, place, |place| hash_text(&of(place).body));
        self.by_sha.insert_unique(sha, place, |place| hash_sha(&of(place).sha));
        place
    }

    /// Takes one out that EVAL brought and that has not run for a while, when there are too many of them.
    fn make_room(&mut self) {
        if self.by_sha.len() < CACHED_MAX {
            return;
        }
        // Twice round: the first may find all of them used.
        for _ in 0..self.entries.len() * 2 {
            self.hand = (self.hand + 1) % self.entries.len();
            let Some(entry) = &mut self.entries[self.hand] else { continue };
            if !entry.script.is_loaded() && !std::mem::take(&mut entry.used) {
                return self.remove(self.hand);
            }
        }
    }

    fn remove(&mut self, place: usize) {
        let Some(entry) = self.entries[place].take() else { return };
        let found = self.by_text.find_entry(hash_text(&entry.script.body), |other| *other == place);
        found.expect("an entry is hashed by its text").remove();
        let found = self.by_sha.find_entry(hash_sha(&entry.script.sha), |other| *other == place);
        found.expect("an entry is hashed by its digest").remove();
        self.free.push(place);
    }
}

#[inline]
fn hash_text(body: &[u8]) -> u64 {
    FixedState::with_seed(HASH_SEED).hash_one(body)
}

#[inline]
fn hash_sha(sha: &sha::Sha) -> u64 {
    u64::from_le_bytes(sha[..8].try_into().expect("a digest has more than eight bytes"))
}

const HASH_SEED: u64 = 0x7363_7269_7074_7321;
/// Interpreters that are kept for the next script.
const IDLE_MAX: usize = 4;
/// Scripts that a core keeps compiled, those of SCRIPT LOAD not counted once there are so many.
const CACHED_MAX: usize = 1000;
/// How long a library may take to load, in nanoseconds.
const LOAD_NANOS_MAX: u64 = 500_000_000;
