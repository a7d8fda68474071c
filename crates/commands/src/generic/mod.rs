//! Commands on keys of any kind, and on whole databases.

use crate::row::Command;

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[];
