//! The server itself: INFO, CONFIG, COMMAND, SLOWLOG, LATENCY, MEMORY, DEBUG and what clients ask about at connect.

pub mod acl;
mod cluster;
pub mod command;
mod config;
pub mod debug;
mod histogram;
mod info;
mod latency;
mod lolwut;
mod memory;
pub mod misc;
pub mod redact;
pub(crate) mod replication;
mod rows;
mod save;
mod shutdown;
mod slowlog;

/// The family.
pub const COMMANDS: &[crate::row::Command] = rows::COMMANDS;
/// What is about replicas.
pub const REPLICATION: &[crate::row::Command] = replication::COMMANDS;
