//! One shard's keys: entries, expiry, eviction, scan, watch versions. No clock: `now` is always passed in.

mod keyspace;
mod types;

pub use keyspace::Keyspace;
pub use types::{
    Access, Cause, Cursor, Detached, Effects, EntryRef, Key, KeyspaceStats, Kind, NewString, SlotRange,
    StringRef, Ttl, Version,
};
