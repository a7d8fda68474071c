//! The rows of the transaction commands.

use super::{control, watch};
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[DISCARD, EXEC, MULTI, UNWATCH, WATCH];

const CONTROL: Flags =
    Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::ALLOW_BUSY);

const DISCARD: Command = Command {
    name: "discard",
    arity: 1,
    flags: CONTROL.or(Flags::NOT_QUEUED),
    categories: &["transaction"],
    handler: control::discard,
    summary: "Forgets the queued commands and ends the transaction.",
    since: "2.0.0",
    group: "transactions",
    complexity: "O(N) with N the number of queued commands",
    ..Command::EMPTY
};

const EXEC: Command = Command {
    name: "exec",
    arity: 1,
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::SKIP_SLOWLOG).or(Flags::NOT_QUEUED),
    categories: &["transaction"],
    crossing: Crossing::Exec,
    handler: control::exec,
    summary: "Runs the queued commands, all at one instant.",
    since: "1.2.0",
    group: "transactions",
    complexity: "Depends on the queued commands",
    ..Command::EMPTY
};

const MULTI: Command = Command {
    name: "multi",
    arity: 1,
    flags: CONTROL.or(Flags::NOT_QUEUED),
    categories: &["transaction"],
    handler: control::multi,
    summary: "Begins a transaction: commands are queued until EXEC.",
    since: "1.2.0",
    group: "transactions",
    ..Command::EMPTY
};

const UNWATCH: Command = Command {
    name: "unwatch",
    arity: 1,
    flags: CONTROL,
    categories: &["transaction"],
    handler: watch::unwatch,
    summary: "Forgets all watched keys.",
    since: "2.2.0",
    group: "transactions",
    ..Command::EMPTY
};

const WATCH: Command = Command {
    name: "watch",
    arity: -2,
    flags: CONTROL.or(Flags::NOT_QUEUED),
    categories: &["transaction"],
    keys: &[KeySpec::range(1, -1, 1, &["RO"])],
    crossing: Crossing::Watch,
    handler: watch::watch,
    summary: "Has the next EXEC run nothing if one of the keys changes before.",
    since: "2.2.0",
    group: "transactions",
    complexity: "O(1) for every key",
    args: &[Arg::key().multiple()],
    ..Command::EMPTY
};
