//! Connections: the protocol version, logging in, the selected database, and CLIENT.

mod auth;
pub mod client;
mod rows;
mod session;

pub(crate) use auth::DEFAULT_USER;
pub(crate) use session::database;

/// The family.
pub const COMMANDS: &[crate::row::Command] = rows::COMMANDS;
