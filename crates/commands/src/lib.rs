//! The command table: one row and one handler per command, a directory per family.
//!
//! A handler is a plain synchronous function over one core's state. Everything else about a command — where it runs,
//! how it crosses shards, which keys it names, what COMMAND answers — follows from its row.
#![forbid(unsafe_code)]

pub mod client;
pub mod core;
pub mod ctx;
pub mod error;
pub mod generic;
mod key_specs;
mod names;
#[cfg(test)]
mod reference;
pub mod row;
pub mod string;
pub mod table;
#[cfg(test)]
#[allow(dead_code)]
pub(crate) mod testing;

pub use crate::core::{Action, Core};
pub use client::{Client, ClientFlags, ClientSlot, Clients};
pub use ctx::{Caller, Ctx, Outcome};
pub use error::CommandError;
pub use row::{Command, Crossing, Flags, KeySpec, Lock, Merge};
pub use table::{CommandRef, Registered, lookup};
