//! Scripts and functions: EVAL, FCALL and their kin, SCRIPT, FUNCTION.
//!
//! The interpreters are the crate `script`'s. Here is what Redis wants of a command that a script runs
//! ([`Execution`]), and the commands around it. A handler runs a script to its end where that is at hand; a server with
//! several shards, or with scripts that take long, drives an [`Execution`] itself.

mod alone;
mod call;
mod dump;
mod eval;
mod execution;
mod function;
mod kill;
mod list;
mod rows;
mod script;
mod stats;
mod tameness;
#[cfg(test)]
mod tests;

pub use eval::{Callee, admission_flags, callee, is_read_only, may_write, start};
pub use execution::{Execution, LongScript, Paused, Progress, Running, ScriptKind};

/// The family.
pub const COMMANDS: &[crate::Command] = rows::COMMANDS;
