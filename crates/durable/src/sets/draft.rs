//! Writing a set.

use std::io;

use aof::NodeId;

use crate::disk::DiskError;
use crate::identity::Identity;
use crate::layout::{self, SetNumber};
use crate::manifest::{DbKeys, Manifest, Position, SetFile};
use crate::sets::{Loaded, SetFault, verify_shape};
use crate::store::{Places, Sink};
use crc_fast::{CrcAlgorithm, Digest};
use stdx::{Rng, ShardId, UnixMs, envelope};

/// A set that is being written. Dropped without a commit it stays behind as what is no set, which the next
/// [`Loaded::sweep`] removes; [`Draft::abort`] removes it at once.
pub struct Draft {
    places: Places,
    number: SetNumber,
    /// Drawn at random, so that no two attempts write the same file.
    writer: u64,
}

/// What a commit adds to the files.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Who writes.
    pub node: NodeId,
    /// The server's version.
    pub version: String,
    /// When the cut was.
    pub cut: UnixMs,
    /// The time now.
    pub now: UnixMs,
    /// Where in the log the cut was.
    pub position: Position,
}

/// Why there is no new set.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another writer was first with this number. What was written is of no use.
    #[error("another writer has made set {0}")]
    Taken(SetNumber),
    /// What was written is not what is there.
    #[error("the files that were written are not there as written: {0}")]
    Lost(SetFault),
    /// The disk or store failed. Whether there is a set cannot be known if the error came after the manifest; it is whole then.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Draft {
    /// Begins the next set. Nothing may be saved before the load was whole.
    pub fn begin(places: &Places, loaded: &Loaded, rng: &mut Rng) -> Result<Self, DiskError> {
        let number = super::next_number(places, loaded)?;
        places.target().begin(number)?;
        Ok(Self { places: places.clone(), number, writer: rng.next_u64() })
    }

    /// The number that the set will have.
    pub fn number(&self) -> SetNumber {
        self.number
    }

    /// Begins the file of one shard, on any thread.
    pub fn file(&self, shard: ShardId, compressed: bool) -> Result<FileWriter, DiskError> {
        let name = layout::set_file_name(self.writer, shard, compressed);
        let sink = self.places.target().create(self.number, &name)?;
        Ok(FileWriter::new(sink, shard, name))
    }

    /// Makes it a set. After success it survives a power loss. `files` has one file of each shard, in any order; the
    /// identity is made to say that there is data.
    pub fn commit(
        self,
        commit: Commit,
        mut files: Vec<SetFile>,
        identity: &mut Identity,
        loaded: &mut Loaded,
    ) -> Result<Manifest, CommitError> {
        files.sort_by_key(|file| file.shard);
        let manifest = Manifest {
            number: self.number,
            node: commit.node,
            version: commit.version,
            cut_ms: commit.cut.0,
            written_ms: commit.now.0,
            shards: files.len().try_into().expect("there are at most 65,535 shards"),
            position: commit.position,
            files,
        };
        if let Some(fault) = manifest.fault(self.number) {
            panic!("a set was committed that makes no sense: {fault}");
        }
        let store = self.places.target().as_ref();
        match verify_shape(store, &manifest) {
            Err(SetFault::Disk(error)) => return Err(error.into()),
            other => other.map_err(CommitError::Lost)?,
        }
        loaded.attempted(self.number);
        match store.commit(self.number, &envelope::seal(&manifest)) {
            Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {
                loaded.lost(self.number);
                return Err(CommitError::Taken(self.number));
            }
            other => other?,
        }
        identity.saved(self.places.disk(), &manifest)?;
        loaded.committed(self.number);
        Ok(manifest)
    }

    /// Gives up, and removes what was written. Errors leave some of it behind, which is in nobody's way.
    pub fn abort(self) -> Result<(), DiskError> {
        let store = self.places.target();
        let own = format!("{:016x}-", self.writer);
        for stored in store.list()?.iter().filter(|stored| stored.number == self.number) {
            let names = stored.files.iter().map(|file| file.name.as_str());
            let names: Vec<&str> = names.filter(|name| name.starts_with(&own)).collect();
            store.remove(self.number, &names)?;
        }
        store.remove_directory(self.number)
    }
}

/// One shard's file, written from its beginning to its end.
pub struct FileWriter {
    sink: Box<dyn Sink>,
    shard: ShardId,
    name: String,
    sum: FileSum,
}

impl FileWriter {
    pub(crate) fn new(sink: Box<dyn Sink>, shard: ShardId, name: String) -> Self {
        Self { sink, shard, name, sum: FileSum::default() }
    }

    /// Appends. Pieces of 64 KB and more are cheapest.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.sink.write(bytes)?;
        self.sum.add(bytes);
        Ok(())
    }

    /// Syncs what was written so far, so that there is less to be synced at the end.
    pub fn sync(&mut self) -> Result<(), DiskError> {
        self.sink.sync()
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.sum.bytes
    }

    /// Ends the file and makes it safe. `keys` by rising number of database, without those that have none.
    pub fn finish(self, keys: Vec<DbKeys>) -> Result<SetFile, DiskError> {
        self.sink.finish()?;
        let (bytes, crc64) = self.sum.end();
        Ok(SetFile { shard: self.shard.0, name: self.name, bytes, crc64, keys })
    }
}

/// What tells a set's file from any other.
pub struct FileSum {
    bytes: u64,
    digest: Digest,
}

impl Default for FileSum {
    fn default() -> Self {
        Self { bytes: 0, digest: crc64() }
    }
}

impl FileSum {
    /// So it goes on.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
    }

    /// Its length in bytes, and their CRC-64/XZ.
    pub fn end(self) -> (u64, u64) {
        (self.bytes, self.digest.finalize())
    }
}

/// The checksum of a set's files.
pub(crate) fn crc64() -> Digest {
    Digest::new(CrcAlgorithm::Crc64Xz)
}
