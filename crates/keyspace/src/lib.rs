//! One shard's keys: entries, expiry, eviction, scan, watch versions. No clock: `now` is always passed in.
//!
//! From the outside in: [`Keyspace`] is the only way to read or change data; it holds a `Db` per numbered database;
//! a `Db` pairs a `Dict` (every key, by slot and hash) with `Links` (the keys that have an expiry). An entry is one
//! allocation; `unsafe` lives in `entry` alone, but for the one place in `keyspace` where a found entry is returned.

mod access;
mod beside;
mod capture;
mod db;
mod dict;
mod edit;
mod entry;
mod evict;
mod expiry;
mod fields;
mod graveyard;
mod hash;
mod keyspace;
mod load;
mod loan;
mod offer;
mod prefetch;
mod scan;
mod strings;
mod types;
mod watch;

pub use capture::{Budget, CaptureProgress, CaptureState, Captured, CapturedDb, Encode, Left, Miscounted};
pub use datatypes::{Kind, Limits, StringRef};
pub use edit::{Edited, Editing};
pub use entry::{Detached, EntryRef};
pub use expiry::ExpireCycle;
pub use keyspace::Keyspace;
pub use load::LoadedValue;
pub use prefetch::{Approached, TOGETHER_MAX};
pub use stdx::size::good_size;
pub use types::{
    Access, Cause, Changed, Cursor, Effects, ExpiredFields, Happened, Held, Key, KeyspaceStats, Locks,
    NewString, Recency, SlotRange, Touched, Ttl, Version, WrongKind,
};
