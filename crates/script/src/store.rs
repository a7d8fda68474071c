//! The scripts and libraries that all cores know.
//!
//! One table for the whole process behind one lock, an exception to the rule that cores share nothing but messages: a
//! script that one client had loaded is there for every client from that moment on, on whichever core. The lock is taken
//! when a core meets a script for the first time and for SCRIPT and FUNCTION; a core that knows a script asks
//! [`Store::generation`] alone, which is an atomic number.

use crate::flags::ScriptFlags;
use crate::sha::{self, Sha};
use crate::tame::Shape;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A script that compiles.
#[derive(Debug)]
pub struct Script {
    /// Its digest.
    pub sha: Sha,
    /// Its digest in hexadecimal, by which errors name it.
    pub name: [u8; 40],
    /// Its text.
    pub body: Box<[u8]>,
    /// What its first line says.
    pub flags: ScriptFlags,
    /// Where its code begins: at the end of such a line, so that lines have the numbers that they have in the text.
    start: usize,
    /// What can be told of its commands and their keys without running it.
    pub shape: Shape,
    /// Whether it keeps to its keys, by its shape and the commands there are: for whoever runs it to judge, once.
    pub is_tame: OnceLock<bool>,
    /// Whether it was loaded by SCRIPT LOAD, and so stays.
    loaded: AtomicBool,
}

/// A library of functions.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its text, with the first line.
    pub code: Box<[u8]>,
    /// Where that line ends.
    start: usize,
    /// Its functions, in the order of their registration.
    pub functions: Vec<Function>,
    /// Unlike that of any other, before or after.
    pub(crate) id: u64,
}

/// A function of a library.
#[derive(Debug, Clone)]
pub struct Function {
    /// By which FCALL calls it.
    pub name: String,
    /// What it says of itself.
    pub description: Option<Vec<u8>>,
    /// What it says that it does.
    pub flags: ScriptFlags,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Store {
    /// Grows with each SCRIPT FLUSH.
    generation: AtomicU64,
    /// Grows with each change of the libraries.
    version: AtomicU64,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    scripts: HashMap<Sha, Arc<Script>>,
    /// Scripts that EVAL brought, the oldest first; some may have been loaded since.
    passing: VecDeque<Sha>,
    script_bytes: usize,
    evicted: u64,
    libraries: BTreeMap<String, Arc<Library>>,
    next_library: u64,
}

/// What INFO tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreGauges {
    /// Scripts that can be called by their digest.
    pub scripts: usize,
    /// What they take, in bytes.
    pub script_bytes: usize,
    /// Scripts of EVAL that made room for others.
    pub evicted_scripts: u64,
    /// Libraries.
    pub libraries: usize,
    /// Functions of all libraries.
    pub functions: usize,
    /// What the libraries' texts take, in bytes.
    pub library_bytes: usize,
}

/// What FUNCTION RESTORE does with the libraries that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePolicy {
    /// They go.
    Flush,
    /// They stay, and it is an error when one has the name of a new one.
    Append,
    /// Those that have the name of a new one go.
    Replace,
}

impl Script {
    pub(crate) fn new(body: &[u8], flags: ScriptFlags, start: usize, shape: Shape) -> Self {
        let sha = sha::of(body);
        let (name, body) = (sha::to_hex(&sha), body.into());
        Self {
            sha,
            name,
            body,
            flags,
            start,
            shape,
            is_tame: OnceLock::new(),
            loaded: AtomicBool::new(false),
        }
    }

    /// Its code, without the line that says what it is.
    pub fn source(&self) -> &[u8] {
        &self.body[self.start..]
    }

    /// Whether SCRIPT LOAD brought it.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.body.len()
    }
}

impl Library {
    /// A library of this name that is not in the store yet.
    pub(crate) fn new(name: String, code: &[u8], start: usize, functions: Vec<Function>) -> Self {
        Self { name, code: code.into(), start, functions, id: 0 }
    }

    /// Its code, without the line that says what it is.
    pub(crate) fn source(&self) -> &[u8] {
        &self.code[self.start..]
    }
}

impl Store {
    /// How often all scripts were forgotten.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How often the libraries have changed.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The script with this digest.
    pub fn script(&self, sha: &Sha) -> Option<Arc<Script>> {
        self.tables().scripts.get(sha).cloned()
    }

    /// Enters a script that EVAL brought, or SCRIPT LOAD: then it stays. Returns the one that is in force.
    pub(crate) fn enter(&self, script: Script, loaded: bool) -> Arc<Script> {
        let mut tables = self.tables();
        let tables = &mut *tables;
        if let Some(known) = tables.scripts.get(&script.sha) {
            known.loaded.fetch_or(loaded, Ordering::Relaxed);
            return Arc::clone(known);
        }
        script.loaded.store(loaded, Ordering::Relaxed);
        let script = Arc::new(script);
        tables.script_bytes += script.bytes();
        tables.scripts.insert(script.sha, Arc::clone(&script));
        if !loaded {
            tables.passing.push_back(script.sha);
            tables.evict();
        }
        script
    }

    /// Has a script stay that is known already; false when it is not.
    pub fn load(&self, sha: &Sha) -> bool {
        let tables = self.tables();
        let known = tables.scripts.get(sha);
        known.inspect(|script| script.loaded.store(true, Ordering::Relaxed)).is_some()
    }

    /// Forgets all scripts.
    pub fn flush_scripts(&self) {
        let mut tables = self.tables();
        tables.scripts.clear();
        tables.passing.clear();
        tables.script_bytes = 0;
        // Under the lock, so that what is entered next is of the new generation.
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The libraries in the order of their names, and the version that they are of.
    pub fn libraries(&self) -> (Vec<Arc<Library>>, u64) {
        let tables = self.tables();
        (tables.libraries.values().cloned().collect(), self.version())
    }

    /// Adds a library, in the place of the one of its name if `replace`. Errors: a name that is taken.
    pub(crate) fn add(&self, library: Library, replace: bool) -> Result<(), String> {
        let mut tables = self.tables();
        if !replace && tables.libraries.contains_key(&library.name) {
            return Err(format!("Library '{}' already exists", library.name));
        }
        tables.check_functions(&library, |other| other == library.name)?;
        tables.put(library);
        self.changed();
        Ok(())
    }

    /// Whether there is a library of this name.
    pub fn has_library(&self, name: &str) -> bool {
        self.tables().libraries.contains_key(name)
    }

    /// Adds libraries that were restored, all or none. Errors: a name that is taken.
    pub(crate) fn restore(&self, libraries: Vec<Library>, policy: RestorePolicy) -> Result<(), String> {
        let mut tables = self.tables();
        if policy == RestorePolicy::Flush {
            tables.libraries.clear();
        }
        let names: Vec<String> = libraries.iter().map(|library| library.name.clone()).collect();
        for library in &libraries {
            if policy == RestorePolicy::Append && tables.libraries.contains_key(&library.name) {
                return Err(format!("Library {} already exists", library.name));
            }
            tables.check_functions(library, |other| names.iter().any(|name| name == other))?;
        }
        libraries.into_iter().for_each(|library| tables.put(library));
        self.changed();
        Ok(())
    }

    /// Removes a library; false when there is none of this name.
    pub fn delete(&self, name: &str) -> bool {
        let is_gone = self.tables().libraries.remove(name).is_some();
        if is_gone {
            self.changed();
        }
        is_gone
    }

    /// Removes all libraries.
    pub fn flush_libraries(&self) {
        self.tables().libraries.clear();
        self.changed();
    }

    /// Takes the libraries of `other` in the place of its own, all at once.
    pub fn take_libraries(&self, other: &Self) {
        let libraries = std::mem::take(&mut other.tables().libraries);
        other.changed();
        let mut tables = self.tables();
        tables.libraries.clear();
        for library in libraries.into_values() {
            // Its number is this store's to give.
            let Library { name, code, start, functions, .. } = &*library;
            let (name, code) = (name.clone(), code.clone());
            tables.put(Library { name, code, start: *start, functions: functions.clone(), id: 0 });
        }
        self.changed();
    }

    /// What INFO tells.
    pub fn gauges(&self) -> StoreGauges {
        let tables = self.tables();
        StoreGauges {
            scripts: tables.scripts.len(),
            script_bytes: tables.script_bytes,
            evicted_scripts: tables.evicted,
            libraries: tables.libraries.len(),
            functions: tables.libraries.values().map(|library| library.functions.len()).sum(),
            library_bytes: tables.libraries.values().map(|library| library.code.len()).sum(),
        }
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // No one panics with the lock; were it so, the tables would be whole all the same.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// Forgets the oldest scripts that EVAL brought, past [`PASSING_MAX`].
    fn evict(&mut self) {
        while self.passing.len() > PASSING_MAX {
            let Some(sha) = self.passing.pop_front() else { return };
            if self.scripts.get(&sha).is_some_and(|script| !script.is_loaded())
                && let Some(script) = self.scripts.remove(&sha)
            {
                self.script_bytes -= script.bytes();
                self.evicted += 1;
            }
        }
    }

    /// Errors: a function's name is that of a function of another library than those that will go.
    fn check_functions(&self, library: &Library, goes: impl Fn(&str) -> bool) -> Result<(), String> {
        for other in self.libraries.values().filter(|other| !goes(&other.name)) {
            for function in &library.functions {
                if other.functions.iter().any(|known| known.name.eq_ignore_ascii_case(&function.name)) {
                    return Err(format!("Function {} already exists", function.name));
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, mut library: Library) {
        self.next_library += 1;
        library.id = self.next_library;
        self.libraries.insert(library.name.clone(), Arc::new(library));
    }
}

/// How many scripts that EVAL brought are kept for EVALSHA, as in Redis 7.4.
pub const PASSING_MAX: usize = 500;
