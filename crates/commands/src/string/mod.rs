//! String commands.

use crate::row::Command;

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[];
