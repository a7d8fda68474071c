//! The command table: one row and one handler per command, a directory per family.
//!
//! A handler is a plain synchronous function over one core's state. Everything else about a command — where it runs,
//! how it crosses shards, which keys it names, what COMMAND answers — follows from its row.
#![forbid(unsafe_code)]

pub mod archived;
pub mod bitmap;
#[cfg(test)]
mod capture;
pub mod client;
pub mod connection;
pub mod core;
pub mod ctx;
mod draws;
pub mod effects;
pub mod error;
pub mod flows;
pub mod following;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod health;
pub mod help;
pub mod hyperloglog;
mod key_specs;
pub mod list;
pub mod log;
pub mod long;
pub mod masters;
pub mod monitor;
mod names;
pub mod parking;
mod parts;
pub mod pubsub;
#[cfg(test)]
mod reference;
pub mod replica;
pub mod row;
pub mod saves;
pub mod scripting;
pub mod server;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod string;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
mod time;
pub mod tracking;
pub mod transaction;

pub use crate::core::{Action, Core};
pub use client::{Client, ClientFlags, ClientSlot, Clients, Tracking};
pub use ctx::{Caller, Ctx, Outcome};
pub use effects::{Effect, Effects, Event, Journal};
pub use error::{CommandError, OUT_OF_MEMORY};
pub use long::{LongPart, LongParts};
pub use parking::{Parking, Wanted};
pub use row::{Command, Crossing, Flags, KeySpec, Lock, Merge};
pub use table::{CommandRef, Registered, lookup};

/// The Redis version whose behaviour is offered, as clients are told it (HELLO, INFO redis_version).
pub const REDIS_VERSION: &str = "7.2.5";
/// Lacewing's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
