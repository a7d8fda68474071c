//! A file that is being written.

use super::checksum::Checksum;
use super::keys::Keys;
use crate::opcode;
use crate::write::Version;
use stdx::UnixMs;

/// Writes a file into a buffer, which is taken piece by piece: header, what is said of the file, libraries, keys, end.
///
/// The version stands at the beginning and is not changed later: 11, or 12 where hashes may have fields that expire.
/// [`Keys::needed`] tells afterwards whether that was enough.
#[derive(Debug)]
pub struct Writer {
    keys: Keys,
    sum: Checksum,
    /// Bytes that were taken.
    taken: u64,
}

/// What a file says of itself first, as Redis does.
#[derive(Clone, Debug, Default)]
pub struct Base<'a> {
    /// Version of the server, as a Redis one.
    pub redis_version: &'a str,
    /// When the file was begun.
    pub created: UnixMs,
    /// Bytes of memory that the server used then.
    pub used_memory: u64,
    /// Whether it is the base of an append-only log.
    pub aof_base: bool,
    /// The database of the replication stream at that place, the stream's id, the place.
    pub replication: Option<(u16, &'a str, i64)>,
}

/// Names of what a file says of itself. Redis passes over those that it does not know.
pub mod aux {
    /// Version of the server.
    pub const REDIS_VERSION: &[u8] = b"redis-ver";
    /// Bits of a word there.
    pub const REDIS_BITS: &[u8] = b"redis-bits";
    /// When it was begun, in seconds of Unix time.
    pub const CREATED: &[u8] = b"ctime";
    /// Bytes of memory that were used.
    pub const USED_MEMORY: &[u8] = b"used-mem";
    /// Whether it is the base of an append-only log: 1 or 0.
    pub const AOF_BASE: &[u8] = b"aof-base";
    /// The database of the replication stream.
    pub const REPLICATION_DB: &[u8] = b"repl-stream-db";
    /// The replication stream's id.
    pub const REPLICATION_ID: &[u8] = b"repl-id";
    /// The place in the replication stream.
    pub const REPLICATION_OFFSET: &[u8] = b"repl-offset";
    /// Which shard of how many it is, as `2/8`: the number counts from 0.
    pub const SHARD: &[u8] = b"lacewing-shard";
    /// The number of the set of snapshots that it is of.
    pub const SET: &[u8] = b"lacewing-set";
    /// The place in a master's stream whose data it is, as `<replid> <offset> <database>`.
    pub const POSITION: &[u8] = b"lacewing-position";
    /// Version of the Lacewing that wrote it.
    pub const LACEWING_VERSION: &[u8] = b"lacewing-ver";
}

impl Writer {
    /// Begins a file. `compress` says whether strings of up to 64 KiB are compressed (LZF).
    pub fn new(version: Version, compress: bool) -> Self {
        let mut keys = Keys::new(version, compress);
        keys.out.extend_from_slice(format!("REDIS{:04}", version as u16).as_bytes());
        Self { keys, sum: Checksum::default(), taken: 0 }
    }

    /// Says what Redis says of every file.
    pub fn base(&mut self, base: &Base<'_>) {
        let number = |number: i128| number.to_string().into_bytes();
        self.aux(aux::REDIS_VERSION, base.redis_version.as_bytes());
        self.aux(aux::REDIS_BITS, b"64");
        self.aux(aux::CREATED, &number((base.created.0 / 1000).into()));
        self.aux(aux::USED_MEMORY, &number(base.used_memory.into()));
        if let Some((db, id, offset)) = base.replication {
            self.aux(aux::REPLICATION_DB, &number(db.into()));
            self.aux(aux::REPLICATION_ID, id.as_bytes());
            self.aux(aux::REPLICATION_OFFSET, &number(offset.into()));
        }
        self.aux(aux::AOF_BASE, if base.aof_base { b"1" } else { b"0" });
    }

    /// Says something of the file.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) {
        self.keys.aux(name, value);
    }

    /// Writes a library of functions, by its code.
    pub fn library(&mut self, code: &[u8]) {
        self.keys.library(code);
    }

    /// To write keys.
    #[inline]
    pub fn keys(&mut self) -> &mut Keys {
        &mut self.keys
    }

    /// How many bytes wait to be taken.
    #[inline]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none do.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Bytes of the file so far, taken ones included.
    pub fn bytes(&self) -> u64 {
        self.taken + self.len() as u64
    }

    /// Takes what was written since the last time. `empty` is a buffer without anything in it, to write into from now on:
    /// so that two buffers go round.
    pub fn take(&mut self, empty: Vec<u8>) -> Vec<u8> {
        assert!(empty.is_empty(), "a buffer to write into");
        self.sum.add(&self.keys.out);
        self.taken += self.keys.out.len() as u64;
        std::mem::replace(&mut self.keys.out, empty)
    }

    /// Ends the file: the rest of its bytes, and the checksum that they end with.
    pub fn end(mut self) -> (Vec<u8>, u64) {
        self.keys.out.push(opcode::END);
        self.sum.add(&self.keys.out);
        let sum = self.sum.value();
        self.keys.out.extend_from_slice(&sum.to_le_bytes());
        (self.keys.out, sum)
    }
}
