//! Whole clusters on a seed: real machines, made-up shards, links, stalls and clients, and the checkers of what the
//! clients may see.
//!
//! Time is a number, every delay is drawn from one generator, and nothing depends on addresses or hashing, so a
//! seed is a run. Only the world around the machines is made up here ([`core`]: a store of lists, driving loops as
//! the server has them; [`world`]: links, stalls, clients). The machines are those of `coordinator`.
//!
//! A run ends when nothing is under way, and then must satisfy all of these:
//! - the history is strictly serializable, pipelines keep the order they promise, nothing acknowledged is lost
//!   ([`elle`]);
//! - no connection sees less of a key than it has seen before;
//! - every client has its answers, in order, no transaction and no lock is left;
//! - nobody was overtaken by a later claim that conflicts with his ([`fairness`]);
//! - what was journalled by any instant is enough, and not a part of anything ([`journal`]).
//!
//! [`waiting`] does the same for clients that wait for keys, with real keyspaces.
//!
//! [`crash`] does it for what is kept on disk, with the real log, sets and recovery.
//!
//! [`replicas`] does it for a master and its replica, with links that fail and masters that lie; [`flows`] where the master's logs come in
//! flows, with both sides' ends and beginnings.
//!
//! The checkers are tested on histories with planted anomalies, and the whole on planted faults of the protocol
//! ([`fault`]): each must be found.
#![forbid(unsafe_code)]

pub mod core;
pub mod crash;
pub mod disk;
pub mod elle;
pub mod fairness;
pub mod fault;
pub mod flows;
pub mod history;
pub mod journal;
pub mod linear;
#[cfg(test)]
mod long;
mod pair;
pub mod replicas;
mod store;
pub mod waiting;
mod wire;
pub mod workload;
pub mod world;

pub use fault::Fault;
pub use world::{Report, run};

/// `low` to `high`, both possible.
fn between(rng: &mut stdx::rng::Rng, low: u64, high: u64) -> u64 {
    low + rng.below(high - low + 1)
}
