//! Looking at a data directory without serving it: what is there, whether it is whole, what a start would make of it, and
//! cutting off torn tails.
//!
//! Every byte is read: sets' files with their checksums and, through [`Watch::contents`], to their last key; logs record by
//! record and command by command; then the logs that a start would replay once more, all together. Nothing is changed.

mod counted;
mod logs;
mod needed;
mod repair;
mod together;

pub(crate) use logs::{fault, scan_generation};
pub use repair::{Repaired, repair};

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use aof::{BootId, Generation, Lsn};

use crate::disk::{Disk, list_sorted};
use crate::generation::BeginState;
use crate::layout::{self, QUARANTINE, SetNumber};
use crate::manifest::{DbKeys, Manifest};
use crate::recover::survey::Survey;
use crate::recover::{self, Options, Plan, Recovered};
use crate::refusal::Refusal;
use crate::sets::{self, Listed, SetFault, SetState};
use crate::store::{Places, SetStore};
use counted::Counted;
use stdx::{ShardId, UnixMs};

/// Who looks on, and knows what a set's files should hold.
pub trait Watch {
    /// The next part of the work begins, which reads about so many bytes; `read` says how many of them it has.
    fn phase(&mut self, what: &'static str, bytes: u64, read: &Arc<AtomicU64>);

    /// Who reads what is in a set's file of `bytes` bytes; `None`: its checksum is all that is looked at.
    fn contents(&mut self, name: &str, bytes: u64) -> Option<Box<dyn Contents>>;
}

/// Reads a set's file from its first byte to its last.
pub trait Contents {
    /// More bytes. Errors: what is wrong with them, and where.
    fn feed(&mut self, bytes: &[u8]) -> Result<(), String>;

    /// The keys that there were, by rising number of database. Errors: the file should have gone on.
    fn end(self: Box<Self>) -> Result<Vec<DbKeys>, String>;
}

/// All that was found.
#[derive(Debug)]
pub struct Report {
    /// Sets, then generations with their logs, each by rising number.
    pub rows: Vec<Row>,
    /// What is in quarantine: paths and bytes.
    pub quarantine: Vec<(String, u64)>,
    /// What a start would do.
    pub outcome: Outcome,
}

/// What a start would do.
#[derive(Debug)]
pub enum Outcome {
    /// Load this.
    Load(Box<Plan>),
    /// Begin with nothing.
    Empty,
    /// Nothing.
    Refuse(Refusal),
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub kind: Kind,
    /// The number of the set or the generation.
    pub number: u64,
    /// Where the set is, if not in the data directory.
    pub elsewhere: Option<String>,
    /// When its data is of, or when it was begun.
    pub time: Option<UnixMs>,
    /// Keys, of a set; records, of a log.
    pub count: Option<u64>,
    /// Bytes of its files, or of its records.
    pub bytes: u64,
    /// From where to where, of a log.
    pub lsns: Option<(Lsn, Lsn)>,
    /// Whether it is whole.
    pub verdict: Verdict,
    /// Whether a start would look at it, or miss it: not what is older than what it begins with.
    pub is_needed: bool,
}

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A snapshot set.
    Set,
    /// The beginning of a generation.
    Generation,
    /// A shard's log in a generation.
    Log(ShardId),
}

/// Whether something is what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Whole,
    /// An attempt that was not finished; it holds nothing that was promised.
    Unfinished,
    /// A set that was put into quarantine where it is; it is not looked into.
    Aside,
    /// A log with something behind its last record that a crash may leave.
    Torn {
        /// How many bytes.
        bytes: u64,
        /// What is there.
        what: String,
    },
    /// It is not.
    Damaged {
        /// Why.
        what: String,
        /// The exit code that a start would have for it.
        code: u8,
    },
}

impl Verdict {
    fn refused(refusal: &Refusal) -> Self {
        Self::Damaged { what: refusal.cause(), code: refusal.exit_code() }
    }
}

/// Looks at all of a directory. The directory's lock is held, or nobody else can have it. Errors: the directory cannot be
/// read at all.
pub fn check(places: &Places, boot: BootId, watch: &mut dyn Watch) -> Result<Report, Refusal> {
    let disk = places.disk();
    let survey = Survey::of(places)?;
    let mut options = Options::new(boot);
    let mut rows = Vec::new();
    let read = phase(watch, "snapshot sets", survey.manifests().map(Manifest::bytes).sum());
    for listed in &survey.sets {
        rows.push(set_row(&read, listed, watch, &mut options));
    }
    let all = logs_bytes(disk, survey.generations.iter().map(|one| one.generation))?;
    let logs = counted(places, &phase(watch, "logs", all));
    for one in &survey.generations {
        let bytes = bytes_of(disk, &layout::begin(one.generation));
        let plain = |verdict| Row { bytes, ..row(Kind::Generation, one.generation.0, verdict) };
        match &one.begin {
            BeginState::Unbegun => rows.push(plain(Verdict::Unfinished)),
            BeginState::Begun(begin) => {
                rows.push(Row { time: Some(UnixMs(begin.made_ms)), ..plain(Verdict::Whole) });
                rows.extend(logs::rows(&logs, &survey, begin, boot)?);
            }
            BeginState::Damaged(what) => {
                let refusal = Refusal::BeginDamaged { generation: one.generation, what: what.clone() };
                rows.push(plain(Verdict::refused(&refusal)));
            }
            BeginState::Unreadable(error) => {
                rows.push(plain(Verdict::refused(&Refusal::disk(error.copy()))));
            }
        }
    }
    let outcome = outcome(places, &survey, &options, watch)?;
    if let Outcome::Load(plan) = &outcome {
        needed::mark(disk, &survey, plan, &mut rows)?;
    }
    Ok(Report { rows, quarantine: quarantine(disk)?, outcome })
}

/// What a start would do, with the sets that were found to be damaged known.
fn outcome(
    places: &Places,
    survey: &Survey,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<Outcome, Refusal> {
    let disk = places.disk();
    let head = survey.head().map(|head| head.generation);
    let read = phase(watch, "where the logs end", logs_bytes(disk, head.into_iter())?);
    let last = places.read_through(Arc::new(counted(places, &read)));
    let plan = match recover::recover(&last, options) {
        Err(refusal) => return Ok(Outcome::Refuse(refusal)),
        Ok(Recovered::Empty(_)) => return Ok(Outcome::Empty),
        Ok(Recovered::Whole(plan)) => plan,
    };
    let replayed = logs_bytes(disk, plan.replays.iter().map(|one| one.generation))?;
    let logs = counted(places, &phase(watch, "the logs together", replayed));
    let met = plan.replays.iter().try_for_each(|replay| together::meet(&logs, replay));
    Ok(met.map_or_else(Outcome::Refuse, |()| Outcome::Load(plan)))
}

/// Begins a part of the work, and returns where it counts what it has read.
fn phase(watch: &mut dyn Watch, what: &'static str, bytes: u64) -> Arc<AtomicU64> {
    let read = Arc::default();
    watch.phase(what, bytes, &read);
    read
}

fn counted(places: &Places, read: &Arc<AtomicU64>) -> Counted {
    Counted::new(places.shared_disk(), read)
}

fn row(kind: Kind, number: u64, verdict: Verdict) -> Row {
    Row {
        kind,
        number,
        elsewhere: None,
        time: None,
        count: None,
        bytes: 0,
        lsns: None,
        verdict,
        is_needed: true,
    }
}

/// The size of a file, 0 if it has none that can be told.
fn bytes_of(disk: &dyn Disk, path: &str) -> u64 {
    disk.open(path).and_then(|file| file.size()).unwrap_or(0)
}

fn set_row(read: &AtomicU64, listed: &Listed, watch: &mut dyn Watch, options: &mut Options) -> Row {
    let elsewhere = (!listed.is_own).then(|| listed.store.name());
    let plain = |verdict| Row { elsewhere: elsewhere.clone(), ..row(Kind::Set, listed.number, verdict) };
    let manifest = match &listed.state {
        SetState::Set(manifest) => manifest,
        SetState::Unfinished => return plain(Verdict::Unfinished),
        SetState::Aside => return plain(Verdict::Aside),
        SetState::Damaged(fault) => {
            return plain(Verdict::refused(&Refusal::manifest(listed.number, fault.clone())));
        }
        SetState::Unreadable(error) => return plain(Verdict::refused(&Refusal::disk(error.copy()))),
    };
    let verdict = match set(listed.store.as_ref(), manifest, read, watch) {
        Ok(()) => Verdict::Whole,
        Err(fault) => {
            let refusal = Refusal::set(manifest.number, fault.copy());
            options.distrusted.insert(manifest.number, fault);
            Verdict::refused(&refusal)
        }
    };
    Row {
        time: Some(UnixMs(manifest.cut_ms)),
        count: Some(manifest.keys()),
        bytes: manifest.bytes(),
        ..plain(verdict)
    }
}

/// That a set is what its manifest says, key by key where somebody can read them.
fn set(
    store: &dyn SetStore,
    manifest: &Manifest,
    read: &AtomicU64,
    watch: &mut dyn Watch,
) -> Result<(), SetFault> {
    sets::verify_shape(store, manifest)?;
    for file in &manifest.files {
        let mut contents = watch.contents(&file.name, file.bytes);
        let mut wrong = None;
        sets::verify_file(store, manifest, file, &mut |piece| {
            read.fetch_add(piece.len() as u64, Relaxed);
            if let (None, Some(contents)) = (&wrong, &mut contents) {
                wrong = contents.feed(piece).err();
            }
        })?;
        let unreadable = |what| SetFault::Contents { path: store.path(manifest.number, &file.name), what };
        match (wrong, contents) {
            (Some(what), _) => return Err(unreadable(what)),
            (None, Some(contents)) => {
                sets::check_counts(store, manifest, file, &contents.end().map_err(unreadable)?)?;
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// Bytes of all files of some generations.
fn logs_bytes(disk: &dyn Disk, generations: impl Iterator<Item = Generation>) -> Result<u64, Refusal> {
    let mut bytes = 0;
    for generation in generations {
        bytes +=
            list_sorted(disk, &layout::generation(generation))?.iter().map(|entry| entry.bytes).sum::<u64>();
    }
    Ok(bytes)
}

fn quarantine(disk: &dyn Disk) -> Result<Vec<(String, u64)>, Refusal> {
    let mut found = Vec::new();
    for round in list_sorted(disk, QUARANTINE)? {
        let path = format!("{QUARANTINE}/{}", round.name);
        let bytes = tree_bytes(disk, &path, DEPTH_MAX)?;
        found.push((path, bytes));
    }
    Ok(found)
}

fn tree_bytes(disk: &dyn Disk, path: &str, depth: usize) -> Result<u64, Refusal> {
    let mut bytes = 0;
    for entry in list_sorted(disk, path)? {
        bytes += match entry.is_dir {
            true if depth > 0 => tree_bytes(disk, &format!("{path}/{}", entry.name), depth - 1)?,
            _ => entry.bytes,
        };
    }
    Ok(bytes)
}

impl Report {
    /// 0 if a start would load everything that it needs, and all that is newer; else the code that tells best what is wrong.
    pub fn code(&self) -> u8 {
        if let Outcome::Refuse(refusal) = &self.outcome {
            return refusal.exit_code();
        }
        let code = |row: &Row| match row.verdict {
            Verdict::Whole | Verdict::Unfinished | Verdict::Aside => None,
            Verdict::Damaged { code, .. } => Some(code),
            Verdict::Torn { .. } => Some(TORN_TAIL),
        };
        let codes = self.rows.iter().filter(|row| row.is_needed).filter_map(code);
        // Damage before what a crash may leave.
        codes.min().unwrap_or(0)
    }

    /// The set that a start would load.
    pub fn set(&self) -> Option<SetNumber> {
        match &self.outcome {
            Outcome::Load(plan) => plan.set.as_ref().map(|set| set.number),
            Outcome::Empty | Outcome::Refuse(_) => None,
        }
    }
}

impl Row {
    /// What it is called in a table.
    pub fn name(&self) -> String {
        match self.kind {
            Kind::Set => match &self.elsewhere {
                None => layout::set(self.number),
                Some(place) => format!("{place}/{}", layout::set_directory(self.number)),
            },
            Kind::Generation => layout::begin(Generation(self.number)),
            Kind::Log(shard) => format!("{} shard {}", layout::generation(Generation(self.number)), shard.0),
        }
    }
}

/// The exit code of [`Refusal::TornTail`].
const TORN_TAIL: u8 = 101;
/// Directories within each other, in quarantine.
const DEPTH_MAX: usize = 4;
