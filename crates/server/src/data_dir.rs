//! The data directory: held for this process alone from before anything serves until the process has ended, and what is known
//! of it.
//!
//! Everything here but [`DataDir::open`] is called on threads of their own: it reads, writes and syncs.

use crate::clock::unix_ms;
use crate::load::LoadError;
use aof::{BootId, Generation, Lsn, NodeId};
use config::Config;
use durable::archive::{self, Unpacked};
use durable::disk::Attempt;
use durable::generation::{self, Beginning, LogEnd, Past, Waiting};
use durable::layout::SetNumber;
use durable::lock::LockError;
use durable::log::LogWriter;
use durable::manifest::DbKeys;
use durable::recover::{self, Empty, OnLoadFailure, Options, Plan, Recovered};
use durable::sets::Loaded;
use durable::{Disk, DiskError, Identity, Lock, Places, Refusal, Trouble};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use storage::{Directory, PlaceFailure};

/// The data directory of this process.
pub(crate) struct DataDir {
    /// The directory, and where its sets are.
    pub(crate) places: Places,
    /// The kernel's boot.
    pub(crate) boot: BootId,
    /// Whose it is, if it is the first who uses it.
    new_node: NodeId,
    /// How large a segment of the log is.
    segment_bytes: u64,
    /// Locked by threads for as long as they save, so never on a core.
    holding: Mutex<Holding>,
    /// The generation of the log that is written, 0 for none.
    generation: AtomicU64,
    /// That of the directory, and that of the place of its sets if there is one to be had. Given back when the process has ended.
    _locks: Mutex<Vec<Box<dyn Lock>>>,
}

/// What becomes known when the load was whole: all of it at once.
#[derive(Default)]
struct Holding {
    /// Whose directory it is.
    identity: Option<Identity>,
    /// Without it nothing is saved and nothing is removed.
    loaded: Option<Loaded>,
}

/// What may be saved and removed by: the directory's identity, and the proof that this process has all that was in it.
pub(crate) struct Held<'a>(MutexGuard<'a, Holding>);

impl Held<'_> {
    /// Both, to be changed by what is done with them.
    pub(crate) fn parts(&mut self) -> (&mut Identity, &mut Loaded) {
        let Holding { identity, loaded, .. } = &mut *self.0;
        let identity = identity.as_mut().expect("it is known since the load was whole");
        (identity, loaded.as_mut().expect("the load was whole"))
    }
}

impl DataDir {
    /// Opens the directory and takes it for this process. It is never made. `node` is whose it is, if it is nobody's yet.
    pub(crate) fn open(config: &Config, node: NodeId) -> Result<Self, LoadError> {
        let root = Path::new(&config.dir);
        let directory = Directory::open(root).trying("open", &config.dir).map_err(Refusal::directory)?;
        let boot = storage::boot_id().trying("read", "the kernel's boot id").map_err(Refusal::disk)?;
        let mut locks = vec![take(|note| durable::lock::take(&directory, note))?];
        let places = places(directory, config.snapshot_dir.as_deref())?;
        locks.extend(hold(&places)?);
        Ok(Self {
            places,
            boot: BootId(boot),
            new_node: node,
            segment_bytes: config.log_segment_bytes,
            holding: Mutex::default(),
            generation: AtomicU64::new(0),
            _locks: Mutex::new(locks),
        })
    }

    /// What there is, by reading it. Changes nothing, but for a directory that has nothing: that gets the log that was archived.
    pub(crate) fn recover(&self, options: &Options) -> Result<Recovered, Refusal> {
        let passes_faults = options.on_load_failure != OnLoadFailure::Refuse;
        if let Some(unpacked) = archive::unpack(&self.places, passes_faults)? {
            let Unpacked { generations, bytes, until, fault } = unpacked;
            if let Some(fault) = fault {
                tracing::error!("a part of the archived log is LOST: {fault}");
            }
            let until = until.map(stdx::utc);
            tracing::warn!(
                generations,
                bytes,
                until,
                "the data directory is empty: the log was restored from its archive"
            );
        }
        recover::recover(&self.places, options)
    }

    /// Begins with nothing.
    pub(crate) fn accept_empty(&self, empty: Empty) -> Result<(), Refusal> {
        let (identity, loaded) = empty.accept(&self.places, self.new_node, unix_ms())?;
        self.hold(identity, loaded);
        Ok(())
    }

    /// Takes for the dataset what was loaded by `plan`; `keys` is what each file of its set gave.
    pub(crate) fn accept(&self, plan: &Plan, keys: &[Vec<DbKeys>]) -> Result<(), Refusal> {
        let (identity, loaded) = plan.accept(&self.places, keys, unix_ms())?;
        self.hold(identity, loaded);
        Ok(())
    }

    /// Removes what a full sync has left that did not come to its end. It is no data, and in nobody's way.
    pub(crate) fn sweep_staged(&self) {
        if let Err(error) = durable::staging::sweep(self.places.disk()) {
            tracing::warn!(%error, "what a full sync has left cannot be removed");
        }
    }

    fn hold(&self, identity: Identity, loaded: Loaded) {
        let mut holding = self.holding.lock().expect("nobody panics with it");
        holding.identity = Some(identity);
        holding.loaded = Some(loaded);
    }

    /// What may be saved and removed by; `None` before the load was whole.
    pub(crate) fn held(&self) -> Option<Held<'_>> {
        let holding = self.holding.lock().expect("nobody panics with it");
        holding.loaded.is_some().then_some(Held(holding))
    }

    /// The generation of the log that is written, if one is.
    pub(crate) fn generation(&self) -> Option<Generation> {
        Some(self.generation.load(Acquire)).filter(|number| *number != 0).map(Generation)
    }

    /// Begins the next generation of the log, which continues `past`, and gives a writer for each shard. Panics before the
    /// load was whole. Errors: no log is written then.
    pub(crate) fn begin(&self, shards: u16, past: Past) -> Result<Vec<LogWriter>, DiskError> {
        let mut held = self.held().expect("the load was whole");
        let (identity, loaded) = held.parts();
        let beginning = self.beginning(shards, past);
        let (begin, writers) = generation::begin(&self.places, beginning, identity, loaded)?;
        self.generation.store(begin.generation.0, Release);
        Ok(writers)
    }

    /// Makes the logs of the next generation, which is to begin when the set is there that it continues. Panics before the load was
    /// whole.
    pub(crate) fn begin_later(&self, shards: u16) -> Result<(Waiting, Vec<LogWriter>), DiskError> {
        let mut held = self.held().expect("the load was whole");
        let (identity, _) = held.parts();
        generation::begin_later(&self.places, self.beginning(shards, Past::default()), identity)
    }

    /// Has such a generation begin behind its set. Panics before the load was whole. Errors: it has not begun.
    pub(crate) fn begin_behind(&self, set: SetNumber, waiting: &mut Waiting) -> Result<(), DiskError> {
        let mut held = self.held().expect("the load was whole");
        let (identity, _) = held.parts();
        waiting.begin(&self.places, set, identity)?;
        self.begun(waiting.generation());
        Ok(())
    }

    /// This generation has begun.
    pub(crate) fn begun(&self, generation: Generation) {
        self.generation.store(generation.0, Release);
    }

    /// The generation that is written, if one is, has ended in order: each log is synced, and ends here. `None` for a log that is
    /// not, and then nothing is said of any.
    pub(crate) fn ended(&self, ends: &[Option<Lsn>]) -> Result<(), DiskError> {
        let (Some(generation), Some(held)) = (self.generation(), &mut self.held()) else { return Ok(()) };
        let Some(ends) = ends.iter().copied().collect::<Option<Vec<Lsn>>>() else { return Ok(()) };
        let (identity, _) = held.parts();
        generation::end(&self.places, LogEnd { generation, ends }, identity, unix_ms())
    }

    /// No log is written any more.
    pub(crate) fn end_log(&self) {
        self.generation.store(0, Release);
    }

    fn beginning(&self, shards: u16, past: Past) -> Beginning {
        Beginning {
            boot: self.boot,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: unix_ms(),
            shards,
            past,
            segment_bytes: self.segment_bytes,
        }
    }
}

impl std::fmt::Debug for DataDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataDir").field("disk", &self.places.disk().name()).finish_non_exhaustive()
    }
}

/// Where sets are: `elsewhere` too, if that is a place.
fn places(directory: Directory, elsewhere: Option<&str>) -> Result<Places, LoadError> {
    let disk = Arc::new(directory);
    let Some(place) = elsewhere else { return Ok(Places::local(disk)) };
    let store =
        storage::open_sets(place, Some(".".into()), reactor::cores::unpin).map_err(LoadError::SnapshotDir)?;
    if store.name() == disk.name() {
        return Err(LoadError::SnapshotDir(PlaceFailure::DataDirectory));
    }
    Ok(Places::with(disk, store))
}

/// Takes the lock of the place where sets are, if that is another one than the data directory.
fn hold(places: &Places) -> Result<Option<Box<dyn Lock>>, Refusal> {
    match take(|note| places.target().hold(note)) {
        // Nothing can be written there, and nothing removed, so nobody is to be kept out: a place to load from.
        Err(Refusal::Forbidden(error)) if error.trouble() == Trouble::ReadOnly => {
            tracing::warn!(%error, "no snapshot can be written to snapshot-dir");
            Ok(None)
        }
        other => other,
    }
}

/// Takes a lock, and waits up to [`PREDECESSOR_MAX`] for a predecessor that is just ending.
fn take<T>(lock: impl Fn(&str) -> Result<T, LockError>) -> Result<T, Refusal> {
    let note = format!("lacewing {}, process {}", env!("CARGO_PKG_VERSION"), std::process::id());
    let start = Instant::now();
    loop {
        match lock(&note) {
            Err(LockError::Held { .. }) if start.elapsed() < PREDECESSOR_MAX => {
                std::thread::sleep(PREDECESSOR_STEP);
            }
            other => return Ok(other?),
        }
    }
}

const PREDECESSOR_MAX: Duration = Duration::from_secs(1);
const PREDECESSOR_STEP: Duration = Duration::from_millis(10);
