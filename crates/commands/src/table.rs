//! Finding a command by its name.

use crate::error::CommandError;
use crate::row::Command;
use stdx::Args;

/// A command of the table, or a subcommand, with what follows from its row and is needed on every call.
#[derive(Debug)]
pub struct Registered {
    /// Its row.
    pub row: &'static Command,
    /// The container's row, for a subcommand.
    pub container: Option<&'static Command>,
    /// Index into per-command tables (statistics), dense from 0.
    pub index: u16,
    /// `get`, `client|list`.
    pub full_name: &'static str,
}

/// How commands are passed around.
pub type CommandRef = &'static Registered;

/// The families, in COMMAND's order.
pub const FAMILIES: &[&[Command]] = &[];

/// Finds the command that `args` names, of a container the subcommand, and checks its arity.
/// Errors, in Redis's words: unknown command, unknown subcommand, wrong number of arguments.
pub fn lookup(args: Args<'_>) -> Result<CommandRef, CommandError> {
    Err(CommandError::Text(format!("ERR unknown command '{}'", String::from_utf8_lossy(args.at(0))).into()))
}
