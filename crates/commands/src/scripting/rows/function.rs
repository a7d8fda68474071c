//! The rows of FUNCTION.

use super::super::{dump, function, kill, list, stats};
use crate::effects::Journal;
use crate::help;
use crate::row::{Arg, Command, Crossing, Flags, Lock, Merge};

/// The first shard does it, under the locks of all: so the order of such changes is told by the numbers of transactions, wherever they came
/// from, and no cut comes in between.
const CHANGES_LIBRARIES: Crossing = Crossing::Global(Lock::Exclusive, Merge::First);

pub(super) const FUNCTION: Command = Command {
    name: "function",
    arity: -2,
    subcommands: &[
        FUNCTION_DELETE,
        FUNCTION_DUMP,
        FUNCTION_FLUSH,
        FUNCTION_HELP,
        FUNCTION_KILL,
        FUNCTION_LIST,
        FUNCTION_LOAD,
        FUNCTION_RESTORE,
        FUNCTION_STATS,
    ],
    summary: "Container of the commands on libraries of functions.",
    since: "7.0.0",
    group: "scripting",
    complexity: "Depends on the subcommand.",
    ..Command::EMPTY
};

const FUNCTION_DELETE: Command = Command {
    name: "delete",
    arity: 3,
    flags: Flags::NOSCRIPT.or(Flags::WRITE),
    categories: &["scripting"],
    crossing: CHANGES_LIBRARIES,
    handler: function::delete,
    summary: "Removes a library and its functions.",
    since: "7.0.0",
    group: "scripting",
    journal: Journal::Rewritten,
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[Arg::new("library-name", "string")],
    ..Command::EMPTY
};

const FUNCTION_DUMP: Command = Command {
    name: "dump",
    arity: 2,
    flags: Flags::NOSCRIPT,
    categories: &["scripting"],
    handler: dump::dump,
    summary: "Answers all libraries as a payload that RESTORE takes.",
    since: "7.0.0",
    group: "scripting",
    complexity: "O(N) with N the number of libraries",
    ..Command::EMPTY
};

const FUNCTION_FLUSH: Command = Command {
    name: "flush",
    arity: -2,
    flags: Flags::NOSCRIPT.or(Flags::WRITE),
    categories: &["scripting"],
    crossing: CHANGES_LIBRARIES,
    handler: function::flush,
    summary: "Removes all libraries.",
    since: "7.0.0",
    group: "scripting",
    journal: Journal::Rewritten,
    complexity: "O(N) with N the number of functions",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[Arg::one_of("flush-type", &[Arg::token("async", "ASYNC"), Arg::token("sync", "SYNC")]).optional()],
    ..Command::EMPTY
};

const FUNCTION_HELP: Command = Command {
    name: "help",
    arity: 2,
    flags: Flags::LOADING.or(Flags::STALE),
    categories: &["scripting"],
    handler: help::help,
    summary: "Lists the subcommands.",
    since: "7.0.0",
    group: "scripting",
    ..Command::EMPTY
};

const FUNCTION_KILL: Command = Command {
    name: "kill",
    arity: 2,
    flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
    categories: &["scripting"],
    crossing: Crossing::Global(Lock::None, Merge::Custom(kill::merge_function)),
    handler: kill::function,
    summary: "Ends the function that runs, unless it has written.",
    since: "7.0.0",
    group: "scripting",
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    ..Command::EMPTY
};

const FUNCTION_LIST: Command = Command {
    name: "list",
    arity: -2,
    flags: Flags::NOSCRIPT,
    categories: &["scripting"],
    handler: list::list,
    summary: "Answers the libraries and their functions.",
    since: "7.0.0",
    group: "scripting",
    complexity: "O(N) with N the number of functions",
    tips: &["nondeterministic_output_order"],
    args: &[
        Arg::new("library-name-pattern", "string").after("LIBRARYNAME").optional(),
        Arg::token("withcode", "WITHCODE").optional(),
    ],
    ..Command::EMPTY
};

const FUNCTION_LOAD: Command = Command {
    name: "load",
    arity: -3,
    flags: Flags::NOSCRIPT.or(Flags::WRITE).or(Flags::DENYOOM),
    categories: &["scripting"],
    crossing: CHANGES_LIBRARIES,
    handler: function::load,
    summary: "Takes a library in.",
    since: "7.0.0",
    group: "scripting",
    journal: Journal::Rewritten,
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[Arg::token("replace", "REPLACE").optional(), Arg::new("function-code", "string")],
    ..Command::EMPTY
};

const FUNCTION_RESTORE: Command = Command {
    name: "restore",
    arity: -3,
    flags: Flags::NOSCRIPT.or(Flags::WRITE).or(Flags::DENYOOM),
    categories: &["scripting"],
    crossing: CHANGES_LIBRARIES,
    handler: dump::restore,
    summary: "Takes libraries in from a payload of DUMP.",
    since: "7.0.0",
    group: "scripting",
    journal: Journal::Rewritten,
    complexity: "O(N) with N the number of functions in the payload",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[
        Arg::new("serialized-value", "string"),
        Arg::one_of(
            "policy",
            &[Arg::token("flush", "FLUSH"), Arg::token("append", "APPEND"), Arg::token("replace", "REPLACE")],
        )
        .optional(),
    ],
    ..Command::EMPTY
};

const FUNCTION_STATS: Command = Command {
    name: "stats",
    arity: 2,
    flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
    categories: &["scripting"],
    crossing: Crossing::Global(Lock::None, Merge::Custom(stats::merge)),
    handler: stats::stats,
    summary: "Tells which function runs, and counts libraries and functions.",
    since: "7.0.0",
    group: "scripting",
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    ..Command::EMPTY
};
