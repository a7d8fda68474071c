//! Replication, as machines: how a node becomes and stays a replica ([`Role`]), what both sides of a handshake say
//! ([`psync`]), a master's stream ([`Source`]): made of its shards' journals ([`Merge`]), what is kept of it and who may resume
//! ([`Backlog`]); and how Lacewings speak with each other ([`flow`]).
//!
//! Owns no socket, file, clock or randomness: bytes, times and what became of earlier outputs go in, and what is to be done
//! comes out. The rules are those of docs/decisions/0024-replication.md; the words are Redis's, whose replication
//! protocol this follows (PSYNC, as of Redis 4 to 7.2).
#![forbid(unsafe_code)]

pub mod backlog;
pub mod flow;
mod ids;
pub mod info;
pub mod merge;
pub mod psync;
pub mod role;
pub mod source;
pub mod stream;

pub use backlog::Backlog;
pub use ids::{Attempt, Endpoint, Position, ReplId, StreamPosition};
pub use merge::Merge;
pub use role::{ResyncGrant, Role};
pub use source::Source;
pub use stream::Stream;
