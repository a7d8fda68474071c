//! One shard: runs commands on a core's state, and does what has to be done between commands: expire, evict, reclaim.
//!
//! It never sees a socket, another core or a clock; the time is passed in.
#![forbid(unsafe_code)]

mod execute;
mod upkeep;

pub use execute::{OUT_OF_MEMORY, execute, run};
pub use upkeep::{Left, make_room, shrink, tell_memory, upkeep};

#[cfg(test)]
mod tests;
