//! The rows of the server commands; those of containers' subcommands are beside it.

mod admin;
mod cluster;
mod command;
mod observe;

use crate::row::{Arg, Command, Crossing, Flags, Lock, Merge};
use crate::server::{
    cluster as cluster_commands, command as commands, debug, info, lolwut, misc, replication, save, shutdown,
};

/// The administrator's, in every state of the server.
const ADMINISTRATION: Flags = Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE);

/// Allowed in every state of the server, but not in scripts.
const ALWAYS: Flags = Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE);

/// Allowed in every state of the server.
const IN_ANY_STATE: Flags = Flags::LOADING.or(Flags::STALE);

/// The family.
pub(in crate::server) const COMMANDS: &[Command] = &[
    Command {
        name: "info",
        arity: -1,
        flags: IN_ANY_STATE,
        categories: &["dangerous"],
        crossing: Crossing::Global(Lock::None, Merge::Custom(info::merge)),
        handler: info::part,
        summary: "Tells the state and the counters of the server.",
        since: "1.0.0",
        group: "server",
        history: &[("7.0.0", "Several sections may be asked for.")],
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        args: &[Arg::new("section", "string").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "config",
        arity: -2,
        subcommands: admin::CONFIG,
        summary: "Container of the configuration commands.",
        since: "2.0.0",
        group: "server",
        complexity: "Depends on the subcommand.",
        ..Command::EMPTY
    },
    Command {
        name: "command",
        arity: -1,
        flags: IN_ANY_STATE,
        categories: &["connection"],
        handler: commands::info::all,
        subcommands: command::COMMAND,
        summary: "Describes every command.",
        since: "2.8.13",
        group: "server",
        complexity: "O(n) with n the number of commands",
        tips: &["nondeterministic_output_order"],
        ..Command::EMPTY
    },
    Command {
        name: "slowlog",
        arity: -2,
        subcommands: observe::SLOWLOG,
        summary: "Container of the commands about slow commands.",
        since: "2.2.12",
        group: "server",
        complexity: "Depends on the subcommand.",
        ..Command::EMPTY
    },
    Command {
        name: "latency",
        arity: -2,
        subcommands: observe::LATENCY,
        summary: "Container of the commands about latency.",
        since: "2.8.13",
        group: "server",
        complexity: "Depends on the subcommand.",
        ..Command::EMPTY
    },
    Command {
        name: "memory",
        arity: -2,
        subcommands: observe::MEMORY,
        summary: "Container of the commands about memory.",
        since: "4.0.0",
        group: "server",
        complexity: "Depends on the subcommand.",
        ..Command::EMPTY
    },
    Command {
        name: "time",
        arity: 1,
        flags: IN_ANY_STATE.or(Flags::FAST),
        handler: misc::time,
        summary: "Answers the time.",
        since: "2.6.0",
        group: "server",
        tips: &["nondeterministic_output"],
        ..Command::EMPTY
    },
    Command {
        name: "monitor",
        arity: 1,
        flags: ADMINISTRATION,
        handler: crate::monitor::monitor,
        summary: "Shows every command that the server runs, as it comes.",
        since: "1.0.0",
        group: "server",
        ..Command::EMPTY
    },
    Command {
        name: "lolwut",
        arity: -1,
        flags: Flags::READONLY.or(Flags::FAST),
        handler: lolwut::lolwut,
        summary: "Draws a picture and tells the version.",
        since: "5.0.0",
        group: "server",
        args: &[Arg::new("version", "integer").after("VERSION").optional()],
        ..Command::EMPTY
    },
    Command {
        name: "debug",
        is_internal: true,
        arity: -2,
        flags: ADMINISTRATION.or(Flags::PROTECTED),
        crossing: Crossing::Global(Lock::None, Merge::Custom(debug::merge)),
        handler: debug::debug,
        summary: "Container of the commands for tests.",
        since: "1.0.0",
        group: "server",
        complexity: "Depends on the subcommand.",
        ..Command::EMPTY
    },
    Command {
        name: "shutdown",
        arity: -1,
        flags: ADMINISTRATION.or(Flags::NO_MULTI).or(Flags::ALLOW_BUSY),
        handler: shutdown::shutdown,
        summary: "Ends the server.",
        since: "1.0.0",
        group: "server",
        complexity: "O(n) with n the number of keys when it saves, otherwise O(1)",
        history: &[("7.0.0", "Options `NOW`, `FORCE` and `ABORT`.")],
        args: &[
            Arg::one_of("save-selector", &[Arg::token("nosave", "NOSAVE"), Arg::token("save", "SAVE")])
                .optional(),
            Arg::token("now", "NOW").optional().since("7.0.0"),
            Arg::token("force", "FORCE").optional().since("7.0.0"),
            Arg::token("abort", "ABORT").optional().since("7.0.0"),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "role",
        arity: 1,
        flags: ALWAYS.or(Flags::FAST),
        categories: &["admin", "dangerous"],
        handler: replication::role,
        summary: "Answers the role in replication.",
        since: "2.8.12",
        group: "server",
        ..Command::EMPTY
    },
    Command {
        name: "lastsave",
        arity: 1,
        flags: IN_ANY_STATE.or(Flags::FAST),
        categories: &["admin", "dangerous"],
        handler: save::last_save,
        summary: "Answers when the data were last saved.",
        since: "1.0.0",
        group: "server",
        tips: &["nondeterministic_output"],
        ..Command::EMPTY
    },
    Command {
        name: "save",
        arity: -1,
        flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::NOSCRIPT).or(Flags::NO_MULTI),
        handler: save::save,
        summary: "Saves the data and waits for it.",
        since: "1.0.0",
        group: "server",
        complexity: "O(n) with n the number of keys",
        ..Command::EMPTY
    },
    Command {
        name: "bgsave",
        arity: -1,
        flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::NOSCRIPT),
        handler: save::bgsave,
        summary: "Saves the data in the background.",
        since: "1.0.0",
        group: "server",
        history: &[("3.2.2", "Option `SCHEDULE`.")],
        args: &[Arg::token("schedule", "SCHEDULE").optional().since("3.2.2")],
        ..Command::EMPTY
    },
    Command {
        name: "bgrewriteaof",
        arity: 1,
        flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::NOSCRIPT),
        handler: save::rewrite,
        summary: "Writes the log anew in the background.",
        since: "1.0.0",
        group: "server",
        ..Command::EMPTY
    },
    Command {
        name: "wait",
        arity: 3,
        flags: Flags::SIGNALS,
        categories: &["connection"],
        handler: misc::wait,
        summary: "Waits until replicas have the writes so far.",
        since: "3.0.0",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        args: &[Arg::new("numreplicas", "integer"), Arg::new("timeout", "integer")],
        ..Command::EMPTY
    },
    Command {
        name: "waitaof",
        arity: 4,
        flags: Flags::NOSCRIPT.or(Flags::SIGNALS),
        categories: &["connection"],
        handler: misc::wait_aof,
        summary: "Waits until the writes so far are on the disks of this server and of replicas.",
        since: "7.2.0",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        args: &[
            Arg::new("numlocal", "integer"),
            Arg::new("numreplicas", "integer"),
            Arg::new("timeout", "integer"),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "module",
        arity: -2,
        subcommands: admin::MODULE,
        summary: "Container of the commands about modules.",
        since: "4.0.0",
        group: "server",
        complexity: "Depends on the subcommand.",
        ..Command::EMPTY
    },
    Command {
        name: "acl",
        arity: -2,
        subcommands: admin::ACL,
        summary: "Container of the commands about access control.",
        since: "6.0.0",
        group: "server",
        complexity: "Depends on the subcommand.",
        ..Command::EMPTY
    },
    Command {
        name: "cluster",
        arity: -2,
        subcommands: cluster::CLUSTER,
        summary: "Container of the cluster commands.",
        since: "3.0.0",
        group: "cluster",
        complexity: "Depends on the subcommand.",
        ..Command::EMPTY
    },
    Command {
        name: "asking",
        arity: 1,
        flags: Flags::FAST,
        categories: &["connection"],
        handler: cluster_commands::disabled,
        summary: "Says that an ASK redirection is being followed.",
        since: "3.0.0",
        group: "cluster",
        ..Command::EMPTY
    },
    Command {
        name: "readonly",
        arity: 1,
        flags: IN_ANY_STATE.or(Flags::FAST),
        categories: &["connection"],
        handler: cluster_commands::disabled,
        summary: "Allows reads from a replica of the cluster.",
        since: "3.0.0",
        group: "cluster",
        ..Command::EMPTY
    },
    Command {
        name: "readwrite",
        arity: 1,
        flags: IN_ANY_STATE.or(Flags::FAST),
        categories: &["connection"],
        handler: cluster_commands::disabled,
        summary: "Ends READONLY.",
        since: "3.0.0",
        group: "cluster",
        ..Command::EMPTY
    },
];
