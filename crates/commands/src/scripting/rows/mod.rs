//! The rows of scripts and functions.

mod eval;
mod function;
mod script;

use crate::row::Command;

/// The family's rows, in COMMAND's order.
pub(super) const COMMANDS: &[Command] = &[
    eval::EVAL,
    eval::EVALSHA,
    eval::EVAL_RO,
    eval::EVALSHA_RO,
    eval::FCALL,
    eval::FCALL_RO,
    script::SCRIPT,
    function::FUNCTION,
];
