//! The log's generations: how each begins, and what it continues.
//!
//! A generation continues a *past*: what recovery had put together when it began. The past is a set, or logs up to certain
//! positions, or nothing. Walking back from the newest generation, one finds every place from which the present can be
//! reached; logs that no walk reaches belong to a past that was left.

use std::sync::Arc;

use aof::{BootId, Generation, HEADER_LEN, LogId, Lsn, NodeId};

use crate::disk::{
    Attempt, Disk, DiskError, Over, ensure_dir, list_sorted, read_full_at, read_small, write_small,
};
use crate::identity::Identity;
use crate::layout::{self, BEGIN, LOGS, SETS, SetNumber};
use crate::log::{self, LogWriter};
use crate::refusal::Refusal;
use crate::sets::crc64;
use crate::sets::{self, Loaded, SetState};
use crate::store::Places;
use stdx::envelope::{self, Content, Decode, Encode};
use stdx::{ShardId, UnixMs};

/// What `begin` says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Begin {
    /// The generation, which is its directory's name.
    pub generation: Generation,
    /// Who writes it.
    pub node: NodeId,
    /// In which boot of the kernel.
    pub boot: BootId,
    /// The server's version, for people.
    pub version: String,
    /// When, in milliseconds since 1970.
    pub made_ms: i64,
    /// How many logs it has.
    pub shards: u16,
    /// What it continues.
    pub past: Past,
}

impl Content for Begin {
    const KIND: [u8; 4] = *b"begi";
    const VERSION: u16 = 1;
}

/// What a generation continues. Neither a set nor logs: the empty dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Past {
    /// The set that was loaded. With `log`, the log's replay followed it; without, it is all there was.
    pub set: Option<SetNumber>,
    /// The last generation that was replayed, and how far.
    pub log: Option<LogEnd>,
}

/// Where the logs of a generation end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct LogEnd {
    /// The generation.
    pub generation: Generation,
    /// For each of its shards the position behind the last record that counts.
    pub ends: Vec<Lsn>,
}

/// What `end` says: that a generation has ended in order, and where. The logs say so themselves, by a record at the end of each; this
/// is what misses a log that has lost its end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Ended {
    /// Who wrote it.
    pub node: NodeId,
    /// The generation, and where its logs end.
    pub log: LogEnd,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Content for Ended {
    const KIND: [u8; 4] = *b"ende";
    const VERSION: u16 = 1;
}

/// One directory of `log`.
#[derive(Debug)]
pub struct ListedGeneration {
    /// The number that it has as its name.
    pub generation: Generation,
    /// How it begins.
    pub begin: BeginState,
}

/// What a generation's directory says of its beginning.
#[derive(Debug)]
pub enum BeginState {
    /// As it should.
    Begun(Begin),
    /// No `begin`: the start ended before it had one, and nothing was written; or what it waited for never came, and nothing that was
    /// written counts.
    Unbegun,
    /// A `begin` that makes no sense.
    Damaged(String),
    /// It cannot be read.
    Unreadable(DiskError),
}

/// Every generation there is, by rising number.
pub fn list(disk: &dyn Disk) -> Result<Vec<ListedGeneration>, DiskError> {
    let entries = list_sorted(disk, LOGS)?;
    let numbers =
        entries.iter().filter(|entry| entry.is_dir).filter_map(|entry| layout::parse_directory(&entry.name));
    numbers
        .map(Generation)
        .map(|generation| Ok(ListedGeneration { generation, begin: read(disk, generation)? }))
        .collect()
}

fn read(disk: &dyn Disk, generation: Generation) -> Result<BeginState, DiskError> {
    let entries = list_sorted(disk, &layout::generation(generation))?;
    if !entries.iter().any(|entry| entry.name == BEGIN) {
        if entries.iter().any(|entry| entry.name == layout::WAITING) {
            return Ok(BeginState::Unbegun);
        }
        let missing = "there are records, and the file is missing";
        let has_records = has_records(disk, generation)?;
        return Ok(if has_records { BeginState::Damaged(missing.to_owned()) } else { BeginState::Unbegun });
    }
    let bytes = match read_small(disk, &layout::begin(generation), BYTES_MAX) {
        Err(error) => return Ok(BeginState::Unreadable(error)),
        Ok(bytes) => bytes,
    };
    Ok(match envelope::open::<Begin>(&bytes) {
        Err(error) => BeginState::Damaged(error.to_string()),
        Ok(begin) => match begin.fault(generation) {
            Some(fault) => BeginState::Damaged(fault),
            None => BeginState::Begun(begin),
        },
    })
}

/// Whether anything was ever appended to a log of this generation.
fn has_records(disk: &dyn Disk, generation: Generation) -> Result<bool, DiskError> {
    for name in log::segments(disk, generation)? {
        let path = layout::segment(generation, name);
        let file = disk.open(&path).trying("open", &path)?;
        let mut first = [0; 32];
        let read = read_full_at(file.as_ref(), HEADER_LEN as u64, &mut first).trying("read", &path)?;
        if name.base > Lsn(0) || first[..read].iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Begin {
    /// What tells this generation from another that has its number and its node: a copy of the directory that was put back begins
    /// the same numbers anew.
    pub fn birth(&self) -> u64 {
        let mut digest = crc64();
        digest.update(&self.node.0);
        digest.update(&self.generation.0.to_le_bytes());
        digest.update(&self.boot.0);
        digest.update(&self.made_ms.to_le_bytes());
        digest.finalize()
    }

    fn fault(&self, generation: Generation) -> Option<String> {
        if self.generation != generation {
            return Some(format!("it is the beginning of generation {}", self.generation));
        }
        if self.shards == 0 {
            return Some("it has no shards".to_owned());
        }
        let is_later = self.past.log.as_ref().is_some_and(|log| log.generation >= generation);
        is_later.then(|| "it continues a later generation".to_owned())
    }
}

/// What a generation begins with, but for its number.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// In which boot of the kernel.
    pub boot: BootId,
    /// The server's version.
    pub version: String,
    /// The time.
    pub now: UnixMs,
    /// How many logs.
    pub shards: u16,
    /// What it continues: what recovery gave, or a set that was written since.
    pub past: Past,
    /// Bytes of a segment.
    pub segment_bytes: u64,
}

/// Begins the next generation, and returns the writers of its logs, by shard. After success its logs and its beginning survive a
/// power loss, and the directory is one that holds data. Nothing may be written before, and the caller has made safe
/// what it continues: logs up to their ends, or the set.
///
/// The logs are made first, so that a generation that has begun has a log of every shard, or has lost it.
pub fn begin(
    places: &Places,
    beginning: Beginning,
    identity: &mut Identity,
    _loaded: &Loaded,
) -> Result<(Begin, Vec<LogWriter>), DiskError> {
    let generation = unused(places, identity)?;
    let (begin, writers) = make(places, beginning, identity, generation)?;
    put(places.disk(), &begin, identity)?;
    Ok((begin, writers))
}

/// A generation whose logs are written while what it continues is not there yet: a set that is being written. Until it is begun
/// nothing of it counts, and a start passes it over.
#[derive(Debug)]
pub struct Waiting(Begin);

/// Makes the logs of the next generation, to be begun later, and returns their writers.
pub fn begin_later(
    places: &Places,
    beginning: Beginning,
    identity: &Identity,
) -> Result<(Waiting, Vec<LogWriter>), DiskError> {
    let generation = unused(places, identity)?;
    let disk = places.disk();
    let directory = layout::generation(generation);
    ensure_dir(disk, LOGS)?;
    ensure_dir(disk, &directory)?;
    let waiting = layout::waiting(generation);
    write_small(disk, &waiting, b"", Over::Nothing)?;
    disk.sync_dir(&directory).trying("sync", &directory)?;
    let (begin, writers) = make(places, beginning, identity, generation)?;
    Ok((Waiting(begin), writers))
}

impl Waiting {
    /// Which it is.
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// Begins it: it continues `set`, which is whole, and whose cut was the first moment that its logs have. Errors: it has not
    /// begun; the caller may try again.
    pub fn begin(
        &mut self,
        places: &Places,
        set: SetNumber,
        identity: &mut Identity,
    ) -> Result<(), DiskError> {
        self.0.past = Past { set: Some(set), log: None };
        let disk = places.disk();
        put(disk, &self.0, identity)?;
        // Beside a `begin` it says nothing.
        let _ = disk.remove(&layout::waiting(self.0.generation));
        Ok(())
    }

    /// Removes what was made: it will not begin. If an attempt has got as far as its `begin`, a start may count it as begun, so it
    /// stays as it is.
    pub fn give_up(self, places: &Places) -> Result<(), DiskError> {
        let disk = places.disk();
        let directory = layout::generation(self.0.generation);
        let mut entries = list_sorted(disk, &directory)?;
        if entries.iter().any(|entry| entry.name == BEGIN) {
            return Ok(());
        }
        // Last goes what says that the others do not count, and on the device too.
        entries.sort_by_key(|entry| entry.name == layout::WAITING);
        for entry in entries {
            if entry.name == layout::WAITING {
                disk.sync_dir(&directory).trying("sync", &directory)?;
            }
            let path = format!("{directory}/{}", entry.name);
            disk.remove(&path).trying("remove", &path)?;
        }
        disk.remove_dir(&directory).trying("remove", &directory)
    }
}

/// Makes the logs of a generation.
fn make(
    places: &Places,
    beginning: Beginning,
    identity: &Identity,
    generation: Generation,
) -> Result<(Begin, Vec<LogWriter>), DiskError> {
    let disk = places.shared_disk();
    let begin = Begin {
        generation,
        node: identity.node,
        boot: beginning.boot,
        version: beginning.version,
        made_ms: beginning.now.0,
        shards: beginning.shards,
        past: beginning.past,
    };
    if let Some(fault) = begin.fault(generation) {
        panic!("generation {generation} cannot begin so: {fault}");
    }
    // A set that went into quarantine is not to come back behind this, and the start that moved it may have been killed before that was
    // safe. Generations are in the directory that is synced below.
    match disk.sync_dir(SETS) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).trying("sync", SETS)?,
        _ => {}
    }
    let directory = layout::generation(generation);
    ensure_dir(disk.as_ref(), LOGS)?;
    ensure_dir(disk.as_ref(), &directory)?;
    let log = |shard| LogId { node: begin.node, generation, shard: ShardId(shard), shards: begin.shards };
    let segment_bytes = beginning.segment_bytes;
    let options = |shard| log::Options { log: log(shard), boot: begin.boot, segment_bytes };
    let writers: Vec<LogWriter> = (0..begin.shards)
        .map(|shard| LogWriter::create(Arc::clone(disk), options(shard), beginning.now))
        .collect::<Result<_, _>>()?;
    disk.sync_dir(&directory).trying("sync", &directory)?;
    Ok((begin, writers))
}

/// Has a generation begin whose logs are there.
fn put(disk: &dyn Disk, begin: &Begin, identity: &mut Identity) -> Result<(), DiskError> {
    let directory = layout::generation(begin.generation);
    // What an attempt has left that failed behind this says the same.
    let over = if disk.open(&layout::begin(begin.generation)).is_ok() { Over::Old } else { Over::Nothing };
    write_small(disk, &layout::begin(begin.generation), &envelope::seal(begin), over)?;
    disk.sync_dir(&directory).trying("sync", &directory)?;
    identity.begun(disk, begin.generation)
}

/// The same, and above all that this node has ever begun: in a directory that became another one under a running server (a disk that was
/// mounted over a failed one) a log of before may still be mended, by its path.
fn unused(places: &Places, identity: &Identity) -> Result<Generation, DiskError> {
    Ok(next(places)?.max(Generation(identity.newest.generation.0 + 1)))
}

/// Ends a generation in order: all its logs have their end records and are synced, up to here. Nothing is appended to them after this.
pub fn end(places: &Places, log: LogEnd, identity: &Identity, now: UnixMs) -> Result<(), DiskError> {
    let disk = places.disk();
    let generation = log.generation;
    let ended = Ended { node: identity.node, log, at_ms: now.0 };
    write_small(disk, &layout::end(generation), &envelope::seal(&ended), Over::Nothing)?;
    let directory = layout::generation(generation);
    disk.sync_dir(&directory).trying("sync", &directory)
}

/// Where the logs of a generation end, if it has ended in order.
pub(crate) fn ended(disk: &dyn Disk, begin: &Begin) -> Result<Option<Ended>, Refusal> {
    let path = layout::end(begin.generation);
    let damaged = |what| Refusal::LogDamaged {
        generation: begin.generation,
        what: format!("what says where it ends ({path}): {what}"),
    };
    let bytes = match read_small(disk, &path, BYTES_MAX) {
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let ended: Ended = envelope::open(&bytes).map_err(|error| damaged(error.to_string()))?;
    let Ended { node, log, .. } = &ended;
    if *node != begin.node || log.generation != begin.generation || log.ends.len() != begin.shards.into() {
        return Err(damaged("it is that of another generation".to_owned()));
    }
    Ok(Some(ended))
}

/// The number of the generation that would begin next: above all that there are or were, and not below what a set waits for.
pub fn next(places: &Places) -> Result<Generation, DiskError> {
    let disk = places.disk();
    let mut next = 1;
    for listed in list(disk)? {
        // A start that did not come to its end has left files there.
        next = next.max(listed.generation.0 + 1);
    }
    next = next.max(1 + sets::highest_in_quarantine(disk, LOGS)?);
    for listed in sets::list(places)? {
        if let SetState::Set(manifest) = listed.state {
            let position = manifest.position;
            next = next.max(position.generation.0 + u64::from(!position.lsns.is_empty()));
        }
    }
    Ok(Generation(next))
}

const BYTES_MAX: usize = 1 << 20;
