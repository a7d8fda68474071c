//! Lua 5.1 as Redis 7 offers it: scripts, function libraries, the `redis` API and the libraries beside it.
//!
//! It owns interpreters and what is compiled in them. It never runs a command: a script that asks for one stops, and
//! whoever drives it ([`Run`]) answers and lets it go on, at once or after messages to other cores. It reads no clock but
//! the one that it is lent ([`Hooks`]).
//!
//! Source: Redis's documentation of EVAL and FUNCTION, and Redis 7.0 and 7.2 themselves for every text and corner.
#![deny(unsafe_code)]

mod convert;
mod engine;
mod env;
mod errors;
mod flags;
mod host;
mod lua;
mod registry;
pub mod sha;
mod shebang;
mod store;
mod tame;
#[cfg(test)]
mod tests;
mod vm;

pub use engine::{Asked, Ended, Engine, Found, Refusal, Run, Step};
pub use errors::Counted;
pub use flags::ScriptFlags;
pub use host::{Hooks, LogLevel};
pub use lua::RequestKind;
pub use store::{Function, Library, PASSING_MAX, RestorePolicy, Script, Store, StoreGauges};
pub use tame::{Argument, Call, Shape};
pub use vm::Limits;
