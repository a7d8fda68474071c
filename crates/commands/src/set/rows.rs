//! The rows of the set commands.

use super::{algebra, edit, random, read, scan};
use crate::effects::Journal;
use crate::row::{Arg, BeginSearch, Command, Crossing, FindKeys, Flags, KeySpec};

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[
    SADD,
    SCARD,
    SDIFF,
    SDIFFSTORE,
    SINTER,
    SINTERCARD,
    SINTERSTORE,
    SISMEMBER,
    SMEMBERS,
    SMISMEMBER,
    SMOVE,
    SPOP,
    SRANDMEMBER,
    SREM,
    SSCAN,
    SUNION,
    SUNIONSTORE,
];

const SET: Command = Command {
    categories: &["set"],
    group: "set",
    crossing: Crossing::OneShard,
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    flags: Flags::READONLY,
    ..Command::EMPTY
};

const MEMBERS: &[Arg] = &[Arg::key(), Arg::new("member", "string").multiple()];
const SEVERAL: &[(&str, &str)] = &[("2.4.0", "Several members may be given.")];

const SADD: Command = Command {
    name: "sadd",
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "insert"])],
    handler: edit::sadd,
    summary: "Adds members to a set, which is made when it is not there.",
    complexity: "O(N) with N the number of members",
    history: SEVERAL,
    args: MEMBERS,
    ..SET
};

const SREM: Command = Command {
    name: "srem",
    arity: -3,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
    handler: edit::srem,
    summary: "Removes members from a set, and the set with its last.",
    complexity: "O(N) with N the number of members",
    history: SEVERAL,
    args: MEMBERS,
    ..SET
};

const SMOVE: Command = Command {
    name: "smove",
    arity: 4,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "delete"]), KeySpec::range(2, 2, 1, &["RW", "insert"])],
    journal: Journal::Rewritten,
    crossing: Crossing::TwoHops,
    handler: edit::smove,
    summary: "Moves a member from one set to another.",
    args: &[Arg::key_named("source", 0), Arg::key_named("destination", 1), Arg::new("member", "string")],
    ..SET
};

const SCARD: Command = Command {
    name: "scard",
    arity: 2,
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RO"])],
    handler: read::scard,
    summary: "Counts the members of a set.",
    args: &[Arg::key()],
    ..SET
};

const SISMEMBER: Command = Command {
    name: "sismember",
    arity: 3,
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RO"])],
    handler: read::sismember,
    summary: "Says whether a set has a member.",
    args: &[Arg::key(), Arg::new("member", "string")],
    ..SET
};

const SMISMEMBER: Command = Command {
    name: "smismember",
    arity: -3,
    flags: Flags::READONLY.or(Flags::FAST),
    handler: read::smismember,
    summary: "Says of each of several members whether a set has it.",
    since: "6.2.0",
    complexity: "O(N) with N the number of members asked for",
    args: MEMBERS,
    ..SET
};

const SMEMBERS: Command = Command {
    name: "smembers",
    arity: 2,
    handler: read::smembers,
    summary: "Answers all members of a set.",
    complexity: "O(N) with N the size of the set",
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key()],
    ..SET
};

const SPOP: Command = Command {
    name: "spop",
    arity: -2,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "delete"])],
    journal: Journal::Rewritten,
    handler: random::spop,
    summary: "Takes random members out of a set and answers them.",
    complexity: "O(N) with N the number of members taken",
    history: &[("3.2.0", "Several members can be taken, by `count`.")],
    tips: &["nondeterministic_output"],
    args: &[Arg::key(), Arg::new("count", "integer").optional().since("3.2.0")],
    ..SET
};

const SRANDMEMBER: Command = Command {
    name: "srandmember",
    arity: -2,
    handler: random::srandmember,
    summary: "Answers random members of a set: different ones, or by a negative count so many draws.",
    complexity: "O(N) with N the number of members answered",
    history: &[("2.6.0", "Several members can be had, by `count`.")],
    tips: &["nondeterministic_output"],
    args: &[Arg::key(), Arg::new("count", "integer").optional().since("2.6.0")],
    ..SET
};

const SSCAN: Command = Command {
    name: "sscan",
    arity: -3,
    handler: scan::sscan,
    summary: "Walks over the members of a set, some at each call.",
    since: "2.8.0",
    complexity: "O(1) for each call with the default COUNT; O(N) for a whole walk, with N the size of the set",
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key(),
        Arg::new("cursor", "integer"),
        Arg::new("pattern", "pattern").after("MATCH").optional(),
        Arg::new("count", "integer").after("COUNT").optional(),
    ],
    ..SET
};

/// Rows of operations on several sets.
const SETS: Command = Command {
    arity: -2,
    keys: &[KeySpec::range(1, -1, 1, &["RO", "access"])],
    crossing: Crossing::TwoHops,
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key().multiple()],
    ..SET
};

/// Rows of those that store their result.
const STORED: Command = Command {
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::range(1, 1, 1, &["OW", "update"]), KeySpec::range(2, -1, 1, &["RO", "access"])],
    journal: Journal::Rewritten,
    crossing: Crossing::TwoHops,
    args: &[Arg::key_named("destination", 0), Arg::key_named("key", 1).multiple()],
    ..SET
};

const INTERSECTION: &str = "O(N*M) with N the size of the smallest set and M the number of sets";
const SUM: &str = "O(N) with N the size of all sets together";

const SINTER: Command = Command {
    name: "sinter",
    handler: algebra::sinter,
    summary: "Answers the members that several sets have in common.",
    complexity: INTERSECTION,
    ..SETS
};

const SINTERSTORE: Command = Command {
    name: "sinterstore",
    keys: &[KeySpec::range(1, 1, 1, &["RW", "update"]), KeySpec::range(2, -1, 1, &["RO", "access"])],
    handler: algebra::sinterstore,
    summary: "Stores the members that several sets have in common.",
    complexity: INTERSECTION,
    ..STORED
};

const SINTERCARD: Command = Command {
    name: "sintercard",
    arity: -3,
    keys: &[KeySpec {
        begin: BeginSearch::Index(1),
        find: FindKeys::KeyNum { count: 0, first: 1, step: 1 },
        flags: &["RO", "access"],
        notes: "",
    }],
    crossing: Crossing::TwoHops,
    handler: algebra::sintercard,
    summary: "Counts the members that several sets have in common, up to a limit.",
    since: "7.0.0",
    complexity: INTERSECTION,
    args: &[
        Arg::new("numkeys", "integer"),
        Arg::key().multiple(),
        Arg::new("limit", "integer").after("LIMIT").optional(),
    ],
    ..SET
};

const SUNION: Command = Command {
    name: "sunion",
    handler: algebra::sunion,
    summary: "Answers the members that any of several sets has.",
    complexity: SUM,
    ..SETS
};

const SUNIONSTORE: Command = Command {
    name: "sunionstore",
    handler: algebra::sunionstore,
    summary: "Stores the members that any of several sets has.",
    complexity: SUM,
    ..STORED
};

const SDIFF: Command = Command {
    name: "sdiff",
    handler: algebra::sdiff,
    summary: "Answers the members of a set that no other one of several has.",
    complexity: SUM,
    ..SETS
};

const SDIFFSTORE: Command = Command {
    name: "sdiffstore",
    handler: algebra::sdiffstore,
    summary: "Stores the members of a set that no other one of several has.",
    complexity: SUM,
    ..STORED
};
