//! The rows of the HyperLogLog commands.

use super::{add, count, debug, merge, selftest};
use crate::effects::Journal;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[PFADD, PFCOUNT, PFDEBUG, PFMERGE, PFSELFTEST];

const PFADD: Command = Command {
    name: "pfadd",
    arity: -2,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    categories: &["hyperloglog"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "insert"])],
    crossing: Crossing::OneShard,
    handler: add::pfadd,
    summary: "Adds elements to a HyperLogLog, which is made when it is not there.",
    since: "2.8.9",
    group: "hyperloglog",
    complexity: "O(1) for each element",
    args: &[Arg::key(), Arg::new("element", "string").optional().multiple()],
    ..Command::EMPTY
};

const PFCOUNT: Command = Command {
    name: "pfcount",
    arity: -2,
    flags: Flags::READONLY.or(Flags::MAY_REPLICATE),
    categories: &["hyperloglog"],
    keys: &[KeySpec {
        notes: "RW because the count is kept in the value of a single key",
        ..KeySpec::range(1, -1, 1, &["RW", "access"])
    }],
    crossing: Crossing::TwoHops,
    journal: Journal::Rewritten,
    handler: count::pfcount,
    summary: "Estimates how many different elements were added to HyperLogLogs.",
    since: "2.8.9",
    group: "hyperloglog",
    complexity: "O(1) for one key whose count is known; O(N) with N the number of keys, and 16,384 steps for each",
    args: &[Arg::key().multiple()],
    ..Command::EMPTY
};

const PFMERGE: Command = Command {
    name: "pfmerge",
    arity: -2,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["hyperloglog"],
    keys: &[
        KeySpec::range(1, 1, 1, &["RW", "access", "insert"]),
        KeySpec::range(2, -1, 1, &["RO", "access"]),
    ],
    crossing: Crossing::TwoHops,
    handler: merge::pfmerge,
    summary: "Adds to a HyperLogLog what was added to others.",
    since: "2.8.9",
    group: "hyperloglog",
    complexity: "O(N) with N the number of keys, and 16,384 steps for each",
    args: &[Arg::key_named("destkey", 0), Arg::key_named("sourcekey", 1).optional().multiple()],
    ..Command::EMPTY
};

const PFDEBUG: Command = Command {
    name: "pfdebug",
    arity: 3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::ADMIN),
    categories: &["hyperloglog"],
    keys: &[KeySpec::range(2, 2, 1, &["RW", "access"])],
    crossing: Crossing::OneShard,
    handler: debug::pfdebug,
    is_internal: true,
    summary: "Shows how a HyperLogLog is kept: GETREG, DECODE, ENCODING; TODENSE gives it its large form.",
    since: "2.8.9",
    group: "hyperloglog",
    complexity: "N/A",
    args: &[Arg::new("subcommand", "string"), Arg::key()],
    ..Command::EMPTY
};

const PFSELFTEST: Command = Command {
    name: "pfselftest",
    arity: 1,
    flags: Flags::ADMIN,
    categories: &["hyperloglog"],
    handler: selftest::pfselftest,
    is_internal: true,
    summary: "Tests the HyperLogLogs of this server on random elements.",
    since: "2.8.9",
    group: "hyperloglog",
    complexity: "N/A",
    ..Command::EMPTY
};
