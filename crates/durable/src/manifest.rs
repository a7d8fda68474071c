//! What makes files a set: the manifest, written last. Source: docs/formats/directory.md.

use aof::{Generation, Lsn, NodeId};

use crate::layout::SetNumber;
use stdx::envelope::{Content, Decode, Encode};

/// All there is to know about one set.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Manifest {
    /// The set's number, which is its directory's name.
    pub number: SetNumber,
    /// Who wrote it.
    pub node: NodeId,
    /// The writing server's version, for people.
    pub version: String,
    /// When the cut was, in milliseconds since 1970: the data is that of this instant.
    pub cut_ms: i64,
    /// When the manifest was written, in milliseconds since 1970.
    pub written_ms: i64,
    /// How many shards there were.
    pub shards: u16,
    /// Where in the log the cut was.
    pub position: Position,
    /// One file for each shard, in their order. Libraries of functions are in the first.
    pub files: Vec<SetFile>,
}

impl Content for Manifest {
    const KIND: [u8; 4] = *b"mani";
    const VERSION: u16 = 1;
}

/// A cut, as a place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Position {
    /// The generation in which the cut was made; if no log was written, the one that would have been next.
    pub generation: Generation,
    /// The number of the cut in that generation; 0 if no log was written.
    pub cut: u64,
    /// Of each shard's log the first byte that is not in the set; empty if no log was written.
    pub lsns: Vec<Lsn>,
}

/// One shard's file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct SetFile {
    /// Whose keys it has.
    pub shard: u16,
    /// Its name in the set's directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-64/XZ of its bytes, as they are on disk.
    pub crc64: u64,
    /// How many keys it has of each database that has any, by rising number.
    pub keys: Vec<DbKeys>,
}

/// How many keys a database has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct DbKeys {
    /// The database's number.
    pub db: u16,
    /// How many.
    pub keys: u64,
}

impl Manifest {
    /// Keys of all files.
    pub fn keys(&self) -> u64 {
        self.files.iter().map(SetFile::keys).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// What is wrong with it, if its number should be `number`; a manifest may be whole and yet make no sense.
    pub fn fault(&self, number: SetNumber) -> Option<String> {
        if self.number != number {
            return Some(format!("it is the manifest of set {}", self.number));
        }
        if self.files.len() != usize::from(self.shards) || self.shards == 0 {
            return Some(format!("it has {} files for {} shards", self.files.len(), self.shards));
        }
        let misplaced = self.files.iter().zip(0..).find(|(file, shard)| file.shard != *shard);
        if let Some((file, shard)) = misplaced {
            return Some(format!("in the place of shard {shard} it has shard {}", file.shard));
        }
        let lsns = self.position.lsns.len();
        if lsns != 0 && lsns != usize::from(self.shards) {
            return Some(format!("it has {lsns} positions for {} shards", self.shards));
        }
        let outside = self.files.iter().find(|file| file.name.contains('/') || file.name.starts_with('.'));
        outside.map(|file| format!("it names {}, which is outside of the set", file.name))
    }
}

impl SetFile {
    /// Keys of all databases.
    pub fn keys(&self) -> u64 {
        self.keys.iter().map(|db| db.keys).sum()
    }
}

/// The most bytes that a manifest has.
pub(crate) const BYTES_MAX: usize = stdx::envelope::VALUE_BYTES_MAX + 64;
