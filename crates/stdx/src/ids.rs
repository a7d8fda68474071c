//! Identifiers and units, each its own type so that they cannot be mixed up.

/// One shard, which is one core: 0 to cores - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShardId(pub u16);

impl ShardId {
    /// As an index into per-shard tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One connection, unique in the life of the process, as CLIENT ID prints it. Its low 16 bits need not mean
/// anything; ids rise with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClientId(pub u64);

/// One of the numbered databases (SELECT).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DbIndex(pub u16);

impl DbIndex {
    /// As an index into the table of databases.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Milliseconds since the Unix epoch; the only clock that the keyspace knows, always passed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMs(pub i64);
