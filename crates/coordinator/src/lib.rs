//! Decides where a command goes, when it may go, and in which order its replies leave.
//!
//! Five groups of machines, none of which owns a socket, a clock, a lock of the operating system or a thread:
//!
//! - [`router`]: which shard owns a key, and how a command's keys are dealt to shards.
//! - [`locks`] and [`participant`]: a shard's side of commands that touch several shards.
//! - [`tx`]: the other side, one [`tx::Transaction`] per such command, on the core of its connection.
//! - [`vigil`]: a client that waits for keys of several shards, there too.
//! - [`merge`]: one reply out of those of several shards.
//! - [`pipeline`]: what may overlap within one connection's pipeline, and the order of its replies.
//!
//! Requests, replies and entries are opaque to all of them: type parameters, or the driver's own tables. Why it
//! is built this way: docs/decisions/0005-transactions-across-shards.md.
#![forbid(unsafe_code)]

pub mod locks;
pub mod merge;
pub mod participant;
pub mod pipeline;
pub mod router;
pub mod shards;
pub mod tx;
pub mod vigil;
