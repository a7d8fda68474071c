//! One shard: runs commands on a core's state, and does what has to be done between commands: serve those who wait for keys,
//! expire, evict, reclaim, write a snapshot.
//!
//! It never sees a socket, another core or a clock; the time is passed in.
#![forbid(unsafe_code)]

mod execute;
pub mod serve;
pub mod snapshot;
mod upkeep;
pub mod waiters;

pub use commands::OUT_OF_MEMORY;
pub use execute::{execute, run, run_part};
pub use serve::{Waiter, Waitroom, Woken};
pub use snapshot::Snapshot;
pub use upkeep::{Left, make_room, shrink, tell_memory, upkeep};
pub use waiters::WaiterId;

#[cfg(test)]
mod tests;
