//! What logs and what lies in them are named by.

use std::fmt;

use stdx::ShardId;
use stdx::envelope::{Decode, Encode};

/// A byte position in one shard's log of one generation, as if its records stood in one file without headers; the record
/// that begins there has it as its name. Starts at 0, never falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position `bytes` further on. Panics past 2^64.
    #[inline]
    #[must_use]
    pub fn plus(self, bytes: u64) -> Self {
        Self(self.0.checked_add(bytes).expect("a log has fewer than 2^64 bytes"))
    }

    /// Bytes from `earlier` to here; 0 if `earlier` is not earlier.
    #[inline]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a transaction over several shards. Drawn from one counter of the process, in the moment in which its
/// whole record is appended; the order of replay leans on both ([`crate::Meeting`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TxNumber(pub u64);

impl fmt::Display for TxNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The node whose data this is, for as long as it has data: drawn at random once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct NodeId(pub [u8; 20]);

/// One boot of the machine's kernel (`/proc/sys/kernel/random/boot_id`): while it is the same, what was written is in the
/// page cache, synced or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct BootId(pub [u8; 16]);

macro_rules! hexadecimal {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hexadecimal!(NodeId);
hexadecimal!(BootId);

/// What was written from one start of the server to its end: 1 for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[bincode(crate = "stdx::envelope::bincode")]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId {
    /// Whose.
    pub node: NodeId,
    /// Of which start of the server.
    pub generation: Generation,
    /// Of which shard.
    pub shard: ShardId,
    /// How many shards that generation has; `shard` is below it.
    pub shards: u16,
}

impl LogId {
    /// What the checksums of this log's records start from, so that no record passes for one of another log.
    pub(crate) fn seed(&self) -> u32 {
        let mut bytes = [0; 32];
        bytes[..20].copy_from_slice(&self.node.0);
        bytes[20..28].copy_from_slice(&self.generation.0.to_le_bytes());
        bytes[28..30].copy_from_slice(&self.shard.0.to_le_bytes());
        bytes[30..].copy_from_slice(&self.shards.to_le_bytes());
        crc32c::crc32c(&bytes)
    }
}
