//! A dataset that comes from elsewhere: kept aside while it comes and is verified, and then, in one step, the present.
//!
//! ```text
//!  sync/<writer>-<shard>.rdb      written, synced, read through      nothing that a start would take for data
//!  snapshots/<set>/...            moved there, names synced          no set yet
//!  snapshots/<set>/origin         which place of whose stream it is
//!  snapshots/<set>/manifest       renamed                            ◄── from here on a start finds the new data, before it the old
//! ```
//!
//! The set's position is the next generation's, without a log. Where one is to go on behind it, its files are made before the set is
//! committed, so that there is room for them ([`Source::log`]). A set that is newer than the newest generation is the present
//! ([`crate::recover`]), and no log of the old data leads past it. The caller sees to it that no snapshot of the old data is
//! under way or begins before the new data is in memory, and that the next generation, which continues this set alone, has begun before
//! anything is written behind it.
//!
//! Why it is so: docs/decisions/0024-replication.md.

use std::io;
use std::sync::Arc;

use aof::{Generation, NodeId};

use crate::disk::{
    Attempt, Disk, DiskError, File, Over, ensure_dir, list_sorted, read_small, write_all_at, write_small,
};
use crate::generation;
use crate::identity::Identity;
use crate::layout::{self, FLOW_ORIGIN, MANIFEST, ORIGIN, STAGING, SetNumber};
use crate::manifest::{Manifest, Position, SetFile};
use crate::sets::{self, FileWriter, Loaded, SetFault, verify_shape};
use crate::store::{Places, SetStore, Sink};
use stdx::envelope::{self, Content, Decode, Encode};
use stdx::{Rng, ShardId, UnixMs};

/// The files of a dataset that comes. There is one at a time; dropped, it stays behind as what is no data.
pub struct Staging {
    places: Places,
    writer: u64,
}

/// Which place of whose stream a set is: where a replica that loads it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Origin {
    /// The set's number.
    pub set: SetNumber,
    /// The history's name.
    pub replid: [u8; 40],
    /// Bytes of it that the set has.
    pub offset: u64,
    /// The database that is selected there.
    pub db: u16,
}

/// Beside an [`Origin`], if the data came in flows: where each of them goes on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct FlowOrigin {
    /// The set's number.
    pub set: SetNumber,
    /// The places, in the words of `replication`.
    pub places: String,
}

impl Content for Origin {
    const KIND: [u8; 4] = *b"orig";
    const VERSION: u16 = 1;
}

impl Content for FlowOrigin {
    const KIND: [u8; 4] = *b"orfl";
    const VERSION: u16 = 1;
}

impl FlowOrigin {
    /// That of a set, if it came in flows. What is damaged is none: a replica then asks for everything.
    pub fn read(places: &Places, set: SetNumber) -> Result<Option<Self>, DiskError> {
        match read_small(places.disk(), &flow_origin(set), FLOW_ORIGIN_BYTES_MAX) {
            Ok(bytes) => Ok(envelope::open::<Self>(&bytes).ok().filter(|origin| origin.set == set)),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Origin {
    /// That of a set, if it came from a master. What is damaged is none: a replica then asks for everything.
    pub fn read(places: &Places, set: SetNumber) -> Result<Option<Self>, DiskError> {
        match read_small(places.disk(), &origin(set), ORIGIN_BYTES_MAX) {
            Ok(bytes) => Ok(envelope::open::<Self>(&bytes).ok().filter(|origin| origin.set == set)),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What a commit adds to the files.
#[derive(Clone, Debug)]
pub struct Source {
    /// The history's name, and how much of it this is.
    pub replid: [u8; 40],
    /// See `replid`.
    pub offset: u64,
    /// The database that is selected there.
    pub db: u16,
    /// If it came in flows: the place of each, in the words of `replication`.
    pub flows: Option<String>,
    /// Whose the data is from now on: this node.
    pub node: NodeId,
    /// The log that goes on behind it, if one is made already ([`generation::begin_later`]).
    pub log: Option<Generation>,
    /// The server's version.
    pub version: String,
    /// The time now, which is that of the data as far as this node can tell.
    pub now: UnixMs,
}

/// Why the data is not the present.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The disk failed, or what was written is not there. The old data is the present, now and after any crash.
    #[error(transparent)]
    Unchanged(#[from] SetFault),
    /// The disk failed after the manifest was written, and again when it was to be taken back: nobody knows what the next
    /// start will find. It will be whole, either way; so the process is to end, and to tell nobody of either before.
    #[error("the new data may be the present or may not: {0}")]
    InDoubt(DiskError),
}

impl From<DiskError> for StagingError {
    fn from(error: DiskError) -> Self {
        Self::Unchanged(error.into())
    }
}

impl Staging {
    /// Begins, and removes what earlier ones have left.
    pub fn begin(places: &Places, rng: &mut Rng) -> Result<Self, DiskError> {
        let disk = places.disk();
        ensure_dir(disk, STAGING)?;
        sweep(disk)?;
        Ok(Self { places: places.clone(), writer: rng.next_u64() })
    }

    /// What its files are made with.
    pub fn files(&self) -> Files {
        Files { places: self.places.clone(), writer: self.writer }
    }

    /// Makes it the present. `files` has one of each shard, in any order, finished and read through. After success it survives a
    /// power loss, and the data that was the present before is a past.
    pub fn commit(
        self,
        source: Source,
        mut files: Vec<SetFile>,
        identity: &mut Identity,
        loaded: &mut Loaded,
    ) -> Result<Manifest, StagingError> {
        files.sort_by_key(|file| file.shard);
        let generation = match source.log {
            Some(generation) => generation,
            None => generation::next(&self.places)?,
        };
        let number = sets::next_number(&self.places, loaded)?;
        let manifest = Manifest {
            number,
            node: source.node,
            version: source.version,
            cut_ms: source.now.0,
            written_ms: source.now.0,
            shards: files.len().try_into().expect("there are at most 65,535 shards"),
            position: Position { generation, cut: 0, lsns: Vec::new() },
            files,
        };
        if let Some(fault) = manifest.fault(number) {
            panic!("a dataset was committed that makes no sense: {fault}");
        }
        let store = self.places.own().as_ref();
        let Source { replid, offset, db, flows, .. } = source;
        let origin = Origin { set: number, replid, offset, db };
        let flows = flows.map(|places| FlowOrigin { set: number, places });
        let moved = self.move_files(number, &manifest.files, (&origin, flows.as_ref()), store);
        let ready = moved.map_err(SetFault::from).and_then(|()| verify_shape(store, &manifest));
        let made = ready.and_then(|()| Ok(store.commit(number, &envelope::seal(&manifest))?));
        if let Err(fault) = made {
            return Err(take_back(store, number, fault));
        }
        // What fails here does not undo what was done, and says less than there is.
        identity.saved(self.places.disk(), &manifest).map_err(StagingError::InDoubt)?;
        loaded.committed(number);
        Ok(manifest)
    }

    fn move_files(
        &self,
        set: SetNumber,
        files: &[SetFile],
        (from, flows): (&Origin, Option<&FlowOrigin>),
        store: &dyn SetStore,
    ) -> Result<(), DiskError> {
        store.begin(set)?;
        let disk = self.places.disk();
        for file in files {
            let to = format!("{}/{}", layout::set(set), file.name);
            disk.rename(&staged(&file.name), &to).trying("rename to", &to)?;
        }
        write_small(disk, &origin(set), &envelope::seal(from), Over::Nothing)?;
        if let Some(flows) = flows {
            write_small(disk, &flow_origin(set), &envelope::seal(flows), Over::Nothing)?;
        }
        disk.sync_dir(STAGING).trying("sync", STAGING)
    }

    /// Gives up, and removes what was written, and nothing of who may have begun since. Errors leave some of it behind, which is in
    /// nobody's way.
    pub fn discard(self) -> Result<(), DiskError> {
        let own = layout::set_file_prefix(self.writer);
        remove_staged(self.places.disk(), |name| name.starts_with(&own))
    }
}

/// Makes files of a dataset that comes, on any thread.
#[derive(Clone)]
pub struct Files {
    places: Places,
    writer: u64,
}

impl Files {
    /// Begins the file of one shard of whoever sends. `compressed`: whether it comes as a zstd frame.
    pub fn file(&self, shard: ShardId, compressed: bool) -> Result<FileWriter, DiskError> {
        let name = layout::set_file_name(self.writer, shard, compressed);
        let path = staged(&name);
        let file = self.places.disk().create_new(&path).trying("create", &path)?;
        Ok(FileWriter::new(Box::new(StagedFile { file, path, bytes: 0 }), shard, name))
    }

    /// Opens a finished file, for reading it through.
    pub fn open(&self, file: &SetFile) -> Result<Arc<dyn File>, DiskError> {
        let path = staged(&file.name);
        self.places.disk().open(&path).trying("open", &path)
    }
}

/// Removes whatever is staged. A start does so once it has loaded everything.
pub fn sweep(disk: &dyn Disk) -> Result<(), DiskError> {
    remove_staged(disk, |_| true)
}

fn remove_staged(disk: &dyn Disk, is_meant: impl Fn(&str) -> bool) -> Result<(), DiskError> {
    let entries = list_sorted(disk, STAGING)?;
    for entry in entries.iter().filter(|entry| !entry.is_dir && is_meant(&entry.name)) {
        let path = staged(&entry.name);
        disk.remove(&path).trying("remove", &path)?;
    }
    Ok(())
}

/// There may be a manifest or not: there is none, or it is in doubt.
fn take_back(store: &dyn SetStore, set: SetNumber, fault: SetFault) -> StagingError {
    match store.remove(set, &[MANIFEST]) {
        Ok(()) => StagingError::Unchanged(fault),
        // Before there was a directory, there was no manifest either.
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => StagingError::Unchanged(fault),
        Err(error) => StagingError::InDoubt(error),
    }
}

fn origin(set: SetNumber) -> String {
    format!("{}/{ORIGIN}", layout::set(set))
}

fn flow_origin(set: SetNumber) -> String {
    format!("{}/{FLOW_ORIGIN}", layout::set(set))
}

const ORIGIN_BYTES_MAX: usize = 1024;
/// Enough for places of as many flows as there may be shards.
const FLOW_ORIGIN_BYTES_MAX: usize = 128 << 10;

fn staged(name: &str) -> String {
    format!("{STAGING}/{name}")
}

struct StagedFile {
    file: Arc<dyn File>,
    path: String,
    bytes: u64,
}

impl Sink for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        write_all_at(self.file.as_ref(), self.bytes, bytes).trying("write", &self.path)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), DiskError> {
        self.file.sync().trying("sync", &self.path)
    }
}
