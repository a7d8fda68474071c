//! The rows of CONFIG, MODULE and ACL.

use crate::help;
use crate::row::{Arg, Command, Crossing, Flags, Lock, Merge};
use crate::server::{acl, config, misc};

/// The administrator's, in every state of the server.
const ADMINISTRATION: Flags = Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE);

/// Allowed in every state of the server, but not in scripts.
const ALWAYS: Flags = Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE);

/// Allowed in every state of the server.
const IN_ANY_STATE: Flags = Flags::LOADING.or(Flags::STALE);

/// CONFIG's subcommands.
pub(super) const CONFIG: &[Command] = &[
    Command {
        name: "get",
        arity: -3,
        flags: ADMINISTRATION,
        handler: config::get,
        summary: "Answers the values of parameters.",
        since: "2.0.0",
        group: "server",
        complexity: "O(n) with n the number of parameters asked for",
        history: &[("7.0.0", "Several patterns in one call.")],
        args: &[Arg::new("parameter", "string").multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "set",
        arity: -4,
        flags: ADMINISTRATION,
        crossing: Crossing::Global(Lock::None, Merge::First),
        handler: config::set,
        summary: "Changes parameters while the server runs.",
        since: "2.0.0",
        group: "server",
        complexity: "O(n) with n the number of parameters given",
        history: &[("7.0.0", "Several parameters in one call.")],
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        args: &[
            Arg::block("data", &[Arg::new("parameter", "string"), Arg::new("value", "string")]).multiple()
        ],
        ..Command::EMPTY
    },
    Command {
        name: "resetstat",
        arity: 2,
        flags: ADMINISTRATION,
        crossing: Crossing::Global(Lock::None, Merge::First),
        handler: config::reset_stat,
        summary: "Sets the counters of INFO back to 0.",
        since: "2.0.0",
        group: "server",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..Command::EMPTY
    },
    Command {
        name: "rewrite",
        arity: 2,
        flags: ADMINISTRATION,
        handler: config::rewrite,
        summary: "Writes the parameters in force to the configuration file.",
        since: "2.8.0",
        group: "server",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: IN_ANY_STATE,
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "5.0.0",
        group: "server",
        ..Command::EMPTY
    },
];

/// MODULE's subcommands.
pub(super) const MODULE: &[Command] = &[
    Command {
        name: "list",
        arity: 2,
        flags: Flags::ADMIN.or(Flags::NOSCRIPT),
        handler: misc::module_list,
        summary: "Answers the loaded modules.",
        since: "4.0.0",
        group: "server",
        complexity: "O(n) with n the number of modules",
        tips: &["nondeterministic_output_order"],
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: IN_ANY_STATE,
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "5.0.0",
        group: "server",
        ..Command::EMPTY
    },
];

/// ACL's subcommands.
pub(super) const ACL: &[Command] = &[
    Command {
        name: "cat",
        arity: -2,
        flags: ALWAYS,
        handler: acl::cat,
        summary: "Names the categories, or the commands of one.",
        since: "6.0.0",
        group: "server",
        complexity: "O(1), as both are fixed.",
        args: &[Arg::new("category", "string").optional()],
        ..Command::EMPTY
    },
    Command {
        name: "users",
        arity: 2,
        flags: ADMINISTRATION,
        handler: acl::users,
        summary: "Names the users.",
        since: "6.0.0",
        group: "server",
        complexity: "O(n) with n the number of users",
        ..Command::EMPTY
    },
    Command {
        name: "whoami",
        arity: 2,
        flags: ALWAYS,
        handler: acl::who_am_i,
        summary: "Answers the name of the connection's user.",
        since: "6.0.0",
        group: "server",
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: IN_ANY_STATE,
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "6.0.0",
        group: "server",
        ..Command::EMPTY
    },
];
