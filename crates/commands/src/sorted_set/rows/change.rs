//! The rows of commands that change one sorted set, or the first of several that is there.

use super::super::{add, pop, remove};
use super::{COUNTED, READ};
use crate::effects::Journal;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};

pub(super) const ZADD: Command = Command {
    name: "zadd",
    arity: -4,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST).or(Flags::SIGNALS),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "update"])],
    handler: add::zadd,
    summary: "Adds members to a sorted set, or changes their scores.",
    since: "1.2.0",
    complexity: "O(log(N)) for each member, with N the number of members",
    history: &[
        ("2.4.0", "Several members may be given."),
        ("3.0.2", "`XX`, `NX`, `CH` and `INCR` came."),
        ("6.2.0", "`GT` and `LT` came."),
    ],
    args: &[
        Arg::key(),
        Arg::one_of("condition", &[Arg::token("nx", "NX"), Arg::token("xx", "XX")]).optional().since("3.0.2"),
        Arg::one_of("comparison", &[Arg::token("gt", "GT"), Arg::token("lt", "LT")])
            .optional()
            .since("6.2.0"),
        Arg::token("change", "CH").optional().since("3.0.2"),
        Arg::token("increment", "INCR").optional().since("3.0.2"),
        Arg::block("data", &[Arg::new("score", "double"), Arg::new("member", "string")]).multiple(),
    ],
    ..READ
};

pub(super) const ZINCRBY: Command = Command {
    name: "zincrby",
    arity: 4,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST).or(Flags::SIGNALS),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    handler: add::zincrby,
    summary: "Adds to the score of a member of a sorted set.",
    since: "1.2.0",
    complexity: "O(log(N)) with N the number of members",
    args: &[Arg::key(), Arg::new("increment", "integer"), Arg::new("member", "string")],
    ..READ
};

pub(super) const ZMPOP: Command = Command {
    name: "zmpop",
    arity: -4,
    flags: Flags::WRITE,
    keys: &[KeySpec::counted(1, &["RW", "access", "delete"])],
    journal: Journal::Rewritten,
    handler: pop::zmpop,
    summary: "Takes the members with the lowest or highest scores out of the first of several sorted sets that is there.",
    since: "7.0.0",
    complexity: "O(K) + O(M*log(N)) with K the number of keys, N the number of members and M the number of those taken",
    args: &[
        Arg::new("numkeys", "integer"),
        Arg::key().multiple(),
        Arg::one_of("where", &[Arg::token("min", "MIN"), Arg::token("max", "MAX")]),
        Arg::new("count", "integer").after("COUNT").optional(),
    ],
    ..COUNTED
};

pub(super) const BZMPOP: Command = Command {
    name: "bzmpop",
    arity: -5,
    flags: Flags::WRITE.or(Flags::BLOCKING),
    keys: &[KeySpec::counted(2, &["RW", "access", "delete"])],
    handler: pop::bzmpop,
    summary: "Takes the members with the lowest or highest scores out of the first of several sorted sets that is there; \
              waits for one if there is none.",
    args: &[
        Arg::new("timeout", "double"),
        Arg::new("numkeys", "integer"),
        Arg::key().multiple(),
        Arg::one_of("where", &[Arg::token("min", "MIN"), Arg::token("max", "MAX")]),
        Arg::new("count", "integer").after("COUNT").optional(),
    ],
    ..ZMPOP
};

/// What BZPOPMIN and BZPOPMAX have in common.
const BLOCKING_POP: Command = Command {
    arity: -3,
    flags: Flags::WRITE.or(Flags::FAST).or(Flags::BLOCKING),
    keys: &[KeySpec::range(1, -2, 1, &["RW", "access", "delete"])],
    crossing: Crossing::TwoHops,
    journal: Journal::Rewritten,
    since: "5.0.0",
    complexity: "O(log(N)) with N the number of members",
    history: &[("6.0.0", "`timeout` may be a fraction.")],
    args: &[Arg::key().multiple(), Arg::new("timeout", "double")],
    ..READ
};

pub(super) const BZPOPMAX: Command = Command {
    name: "bzpopmax",
    handler: pop::bzpopmax,
    summary: "Takes the member with the highest score out of the first of several sorted sets that is there; waits for one \
              if there is none.",
    ..BLOCKING_POP
};

pub(super) const BZPOPMIN: Command = Command {
    name: "bzpopmin",
    handler: pop::bzpopmin,
    summary: "Takes the member with the lowest score out of the first of several sorted sets that is there; waits for one \
              if there is none.",
    ..BLOCKING_POP
};

pub(super) const ZPOPMAX: Command = Command {
    name: "zpopmax",
    arity: -2,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "delete"])],
    handler: pop::zpopmax,
    summary: "Takes the members with the highest scores out of a sorted set.",
    since: "5.0.0",
    complexity: "O(log(N)*M) with N the number of members and M the number of those taken",
    args: &[Arg::key(), Arg::new("count", "integer").optional()],
    ..READ
};

pub(super) const ZPOPMIN: Command = Command {
    name: "zpopmin",
    arity: -2,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "delete"])],
    handler: pop::zpopmin,
    summary: "Takes the members with the lowest scores out of a sorted set.",
    since: "5.0.0",
    complexity: "O(log(N)*M) with N the number of members and M the number of those taken",
    args: &[Arg::key(), Arg::new("count", "integer").optional()],
    ..READ
};

pub(super) const ZREM: Command = Command {
    name: "zrem",
    arity: -3,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
    handler: remove::zrem,
    summary: "Removes members from a sorted set, and the set with its last.",
    since: "1.2.0",
    complexity: "O(M*log(N)) with N the number of members and M the number of those removed",
    history: &[("2.4.0", "Several members may be given.")],
    args: &[Arg::key(), Arg::new("member", "string").multiple()],
    ..READ
};

pub(super) const ZREMRANGEBYLEX: Command = Command {
    name: "zremrangebylex",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
    handler: remove::zremrangebylex,
    summary: "Removes the members between two others, in a sorted set of one score.",
    since: "2.8.9",
    complexity: "O(log(N)+M) with N the number of members and M the number of those removed",
    args: &[Arg::key(), Arg::new("min", "string"), Arg::new("max", "string")],
    ..READ
};

pub(super) const ZREMRANGEBYRANK: Command = Command {
    name: "zremrangebyrank",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
    handler: remove::zremrangebyrank,
    summary: "Removes the members between two ranks.",
    since: "2.0.0",
    complexity: "O(log(N)+M) with N the number of members and M the number of those removed",
    args: &[Arg::key(), Arg::new("start", "integer"), Arg::new("stop", "integer")],
    ..READ
};

pub(super) const ZREMRANGEBYSCORE: Command = Command {
    name: "zremrangebyscore",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
    handler: remove::zremrangebyscore,
    summary: "Removes the members between two scores.",
    since: "1.2.0",
    complexity: "O(log(N)+M) with N the number of members and M the number of those removed",
    args: &[Arg::key(), Arg::new("min", "double"), Arg::new("max", "double")],
    ..READ
};
