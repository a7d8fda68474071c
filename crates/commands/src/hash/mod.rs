//! Hash commands: fields with values under one key, and per field the time it expires.
//!
//! Source: the Redis 7.2 command pages of the group `hash`; for field expiry Redis 7.4, and 8.0 for HGETEX, HSETEX and
//! HGETDEL. A field whose time has come is as good as gone: reads do not see it, and whoever is about to change it
//! removes it first (`due`). Only HLEN and the keyspace count it until it is removed, as in Redis.

mod all;
mod counter;
mod due;
mod expire;
mod fields;
mod get;
mod getex;
mod random;
mod remove;
#[cfg(test)]
pub(crate) mod replay;
mod rows;
mod scan;
mod set;
mod setex;
mod ttl;

pub use rows::COMMANDS;
