//! The rows of COMMAND.

use crate::help;
use crate::row::{Arg, Command, Flags};
use crate::server::command;

/// Allowed in every state of the server.
const IN_ANY_STATE: Flags = Flags::LOADING.or(Flags::STALE);

/// COMMAND's subcommands.
pub(super) const COMMAND: &[Command] = &[
    Command {
        name: "count",
        arity: 2,
        flags: IN_ANY_STATE,
        categories: &["connection"],
        handler: command::list::count,
        summary: "Counts the commands.",
        since: "2.8.13",
        group: "server",
        ..Command::EMPTY
    },
    Command {
        name: "docs",
        arity: -2,
        flags: IN_ANY_STATE,
        categories: &["connection"],
        handler: command::docs::docs,
        summary: "Answers the documentation of commands.",
        since: "7.0.0",
        group: "server",
        complexity: "O(n) with n the number of commands asked for",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::new("command-name", "string").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "getkeys",
        arity: -3,
        flags: IN_ANY_STATE,
        categories: &["connection"],
        handler: command::keys::get_keys,
        summary: "Finds the keys of a command line.",
        since: "2.8.13",
        group: "server",
        complexity: "O(n) with n the number of arguments",
        args: &[Arg::new("command", "string"), Arg::new("arg", "string").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "getkeysandflags",
        arity: -3,
        flags: IN_ANY_STATE,
        categories: &["connection"],
        handler: command::keys::get_keys_and_flags,
        summary: "Finds the keys of a command line and what is done to them.",
        since: "7.0.0",
        group: "server",
        complexity: "O(n) with n the number of arguments",
        args: &[Arg::new("command", "string"), Arg::new("arg", "string").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: IN_ANY_STATE,
        categories: &["connection"],
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "5.0.0",
        group: "server",
        ..Command::EMPTY
    },
    Command {
        name: "info",
        arity: -2,
        flags: IN_ANY_STATE,
        categories: &["connection"],
        handler: command::info::info,
        summary: "Describes the named commands, or every command.",
        since: "2.8.13",
        group: "server",
        complexity: "O(n) with n the number of commands asked for",
        history: &[("7.0.0", "Without a name it describes every command.")],
        tips: &["nondeterministic_output_order"],
        args: &[Arg::new("command-name", "string").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "list",
        arity: -2,
        flags: IN_ANY_STATE,
        categories: &["connection"],
        handler: command::list::list,
        summary: "Names the commands.",
        since: "7.0.0",
        group: "server",
        complexity: "O(n) with n the number of commands",
        tips: &["nondeterministic_output_order"],
        args: &[Arg::one_of(
            "filterby",
            &[
                Arg::new("module-name", "string").after("MODULE"),
                Arg::new("category", "string").after("ACLCAT"),
                Arg::new("pattern", "pattern").after("PATTERN"),
            ],
        )
        .after("FILTERBY")
        .optional()],
        ..Command::EMPTY
    },
];
