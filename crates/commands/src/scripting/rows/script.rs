//! The rows of SCRIPT.

use super::super::{kill, script};
use crate::help;
use crate::row::{Arg, Command, Crossing, Flags, Lock, Merge};

pub(super) const SCRIPT: Command = Command {
    name: "script",
    arity: -2,
    subcommands: &[SCRIPT_DEBUG, SCRIPT_EXISTS, SCRIPT_FLUSH, SCRIPT_HELP, SCRIPT_KILL, SCRIPT_LOAD],
    summary: "Container of the commands on scripts.",
    since: "2.6.0",
    group: "scripting",
    complexity: "Depends on the subcommand.",
    ..Command::EMPTY
};

const SCRIPT_DEBUG: Command = Command {
    name: "debug",
    arity: 3,
    flags: Flags::NOSCRIPT,
    categories: &["scripting"],
    handler: script::debug,
    summary: "Turns the debugger of scripts off.",
    since: "3.2.0",
    group: "scripting",
    args: &[Arg::one_of(
        "mode",
        &[Arg::token("yes", "YES"), Arg::token("sync", "SYNC"), Arg::token("no", "NO")],
    )],
    ..Command::EMPTY
};

const SCRIPT_EXISTS: Command = Command {
    name: "exists",
    arity: -3,
    flags: Flags::NOSCRIPT,
    categories: &["scripting"],
    handler: script::exists,
    summary: "Tells which scripts are known by their digests.",
    since: "2.6.0",
    group: "scripting",
    complexity: "O(N) with N the number of digests",
    tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
    args: &[Arg::new("sha1", "string").multiple()],
    ..Command::EMPTY
};

const SCRIPT_FLUSH: Command = Command {
    name: "flush",
    arity: -2,
    flags: Flags::NOSCRIPT.or(Flags::SIGNALS),
    categories: &["scripting"],
    handler: script::flush,
    summary: "Forgets all scripts.",
    since: "2.6.0",
    group: "scripting",
    complexity: "O(N) with N the number of scripts",
    history: &[("6.2.0", "Added the modes `ASYNC` and `SYNC`.")],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: &[Arg::one_of("flush-type", &[Arg::token("async", "ASYNC"), Arg::token("sync", "SYNC")])
        .optional()
        .since("6.2.0")],
    ..Command::EMPTY
};

const SCRIPT_HELP: Command = Command {
    name: "help",
    arity: 2,
    flags: Flags::LOADING.or(Flags::STALE),
    categories: &["scripting"],
    handler: help::help,
    summary: "Lists the subcommands.",
    since: "5.0.0",
    group: "scripting",
    ..Command::EMPTY
};

const SCRIPT_KILL: Command = Command {
    name: "kill",
    arity: 2,
    flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
    categories: &["scripting"],
    crossing: Crossing::Global(Lock::None, Merge::Custom(kill::merge_script)),
    handler: kill::script,
    summary: "Ends the script that runs, unless it has written.",
    since: "2.6.0",
    group: "scripting",
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    ..Command::EMPTY
};

const SCRIPT_LOAD: Command = Command {
    name: "load",
    arity: 3,
    flags: Flags::NOSCRIPT.or(Flags::STALE),
    categories: &["scripting"],
    handler: script::load,
    summary: "Takes a script in without running it.",
    since: "2.6.0",
    group: "scripting",
    complexity: "O(N) with N the length of the script",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: &[Arg::new("script", "string")],
    ..Command::EMPTY
};
