//! The rows of EVAL and FCALL.

use super::super::eval;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};

pub(super) const EVAL: Command = Command {
    name: "eval",
    arity: -3,
    flags: Flags::NOSCRIPT
        .or(Flags::SKIP_MONITOR)
        .or(Flags::MAY_REPLICATE)
        .or(Flags::NO_MANDATORY_KEYS)
        .or(Flags::STALE),
    categories: &["scripting"],
    keys: &[KeySpec::counted(2, &["RW", "access", "update"])],
    crossing: Crossing::Script,
    handler: eval::eval,
    summary: "Runs a script.",
    since: "2.6.0",
    group: "scripting",
    complexity: "Depends on the script.",
    args: &[
        Arg::new("script", "string"),
        Arg::new("numkeys", "integer"),
        Arg::key().optional().multiple(),
        Arg::new("arg", "string").optional().multiple(),
    ],
    ..Command::EMPTY
};

pub(super) const EVALSHA: Command = Command {
    name: "evalsha",
    arity: -3,
    flags: Flags::NOSCRIPT
        .or(Flags::SKIP_MONITOR)
        .or(Flags::MAY_REPLICATE)
        .or(Flags::NO_MANDATORY_KEYS)
        .or(Flags::STALE),
    categories: &["scripting"],
    keys: &[KeySpec::counted(2, &["RW", "access", "update"])],
    crossing: Crossing::Script,
    handler: eval::evalsha,
    summary: "Runs a script that is known by its SHA-1 digest.",
    since: "2.6.0",
    group: "scripting",
    complexity: "Depends on the script.",
    args: &[
        Arg::new("sha1", "string"),
        Arg::new("numkeys", "integer"),
        Arg::key().optional().multiple(),
        Arg::new("arg", "string").optional().multiple(),
    ],
    ..Command::EMPTY
};

pub(super) const EVAL_RO: Command = Command {
    name: "eval_ro",
    arity: -3,
    flags: Flags::NOSCRIPT
        .or(Flags::SKIP_MONITOR)
        .or(Flags::NO_MANDATORY_KEYS)
        .or(Flags::STALE)
        .or(Flags::READONLY),
    categories: &["scripting"],
    keys: &[KeySpec::counted(2, &["RO", "access"])],
    crossing: Crossing::Script,
    handler: eval::eval_ro,
    summary: "Runs a script that writes nothing.",
    since: "7.0.0",
    group: "scripting",
    complexity: "Depends on the script.",
    args: &[
        Arg::new("script", "string"),
        Arg::new("numkeys", "integer"),
        Arg::key().optional().multiple(),
        Arg::new("arg", "string").optional().multiple(),
    ],
    ..Command::EMPTY
};

pub(super) const EVALSHA_RO: Command = Command {
    name: "evalsha_ro",
    arity: -3,
    flags: Flags::NOSCRIPT
        .or(Flags::SKIP_MONITOR)
        .or(Flags::NO_MANDATORY_KEYS)
        .or(Flags::STALE)
        .or(Flags::READONLY),
    categories: &["scripting"],
    keys: &[KeySpec::counted(2, &["RO", "access"])],
    crossing: Crossing::Script,
    handler: eval::evalsha_ro,
    summary: "Runs a script that is known by its SHA-1 digest and writes nothing.",
    since: "7.0.0",
    group: "scripting",
    complexity: "Depends on the script.",
    args: &[
        Arg::new("sha1", "string"),
        Arg::new("numkeys", "integer"),
        Arg::key().optional().multiple(),
        Arg::new("arg", "string").optional().multiple(),
    ],
    ..Command::EMPTY
};

pub(super) const FCALL: Command = Command {
    name: "fcall",
    arity: -3,
    flags: Flags::NOSCRIPT
        .or(Flags::SKIP_MONITOR)
        .or(Flags::MAY_REPLICATE)
        .or(Flags::NO_MANDATORY_KEYS)
        .or(Flags::STALE),
    categories: &["scripting"],
    keys: &[KeySpec::counted(2, &["RW", "access", "update"])],
    crossing: Crossing::Script,
    handler: eval::fcall,
    summary: "Calls a function of a library.",
    since: "7.0.0",
    group: "scripting",
    complexity: "Depends on the function.",
    args: &[
        Arg::new("function", "string"),
        Arg::new("numkeys", "integer"),
        Arg::key().optional().multiple(),
        Arg::new("arg", "string").optional().multiple(),
    ],
    ..Command::EMPTY
};

pub(super) const FCALL_RO: Command = Command {
    name: "fcall_ro",
    arity: -3,
    flags: Flags::NOSCRIPT
        .or(Flags::SKIP_MONITOR)
        .or(Flags::NO_MANDATORY_KEYS)
        .or(Flags::STALE)
        .or(Flags::READONLY),
    categories: &["scripting"],
    keys: &[KeySpec::counted(2, &["RO", "access"])],
    crossing: Crossing::Script,
    handler: eval::fcall_ro,
    summary: "Calls a function of a library that writes nothing.",
    since: "7.0.0",
    group: "scripting",
    complexity: "Depends on the function.",
    args: &[
        Arg::new("function", "string"),
        Arg::new("numkeys", "integer"),
        Arg::key().optional().multiple(),
        Arg::new("arg", "string").optional().multiple(),
    ],
    ..Command::EMPTY
};
