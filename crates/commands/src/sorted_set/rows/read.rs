//! The rows of commands that count, and that read single members.

use super::super::{bounds, random, read, scan};
use super::{READ, SLOW};
use crate::row::{Arg, Command, KeySpec};

pub(super) const ZCARD: Command = Command {
    name: "zcard",
    arity: 2,
    keys: &[KeySpec::range(1, 1, 1, &["RO"])],
    handler: read::zcard,
    summary: "Counts the members of a sorted set.",
    since: "1.2.0",
    args: &[Arg::key()],
    ..READ
};

pub(super) const ZCOUNT: Command = Command {
    name: "zcount",
    arity: 4,
    handler: bounds::zcount,
    summary: "Counts the members between two scores.",
    since: "2.0.0",
    complexity: "O(log(N)) with N the number of members",
    args: &[Arg::key(), Arg::new("min", "double"), Arg::new("max", "double")],
    ..READ
};

pub(super) const ZLEXCOUNT: Command = Command {
    name: "zlexcount",
    arity: 4,
    handler: bounds::zlexcount,
    summary: "Counts the members between two others, in a sorted set of one score.",
    since: "2.8.9",
    complexity: "O(log(N)) with N the number of members",
    args: &[Arg::key(), Arg::new("min", "string"), Arg::new("max", "string")],
    ..READ
};

pub(super) const ZMSCORE: Command = Command {
    name: "zmscore",
    arity: -3,
    handler: read::zmscore,
    summary: "Answers the scores of members of a sorted set.",
    since: "6.2.0",
    complexity: "O(N) with N the number of members asked for",
    args: &[Arg::key(), Arg::new("member", "string").multiple()],
    ..READ
};

pub(super) const ZRANDMEMBER: Command = Command {
    name: "zrandmember",
    arity: -2,
    handler: random::zrandmember,
    summary: "Answers random members of a sorted set.",
    since: "6.2.0",
    complexity: "O(N) with N the number of members answered",
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key(),
        Arg::block(
            "options",
            &[Arg::new("count", "integer"), Arg::token("withscores", "WITHSCORES").optional()],
        )
        .optional(),
    ],
    ..SLOW
};

pub(super) const ZRANK: Command = Command {
    name: "zrank",
    arity: -3,
    handler: read::zrank,
    summary: "Answers how many members have a lower score than this one.",
    since: "2.0.0",
    complexity: "O(log(N)) with N the number of members",
    history: &[("7.2.0", "`WITHSCORE` came.")],
    args: &[Arg::key(), Arg::new("member", "string"), Arg::token("withscore", "WITHSCORE").optional()],
    ..READ
};

pub(super) const ZREVRANK: Command = Command {
    name: "zrevrank",
    arity: -3,
    handler: read::zrevrank,
    summary: "Answers how many members have a higher score than this one.",
    since: "2.0.0",
    complexity: "O(log(N)) with N the number of members",
    history: &[("7.2.0", "`WITHSCORE` came.")],
    args: &[Arg::key(), Arg::new("member", "string"), Arg::token("withscore", "WITHSCORE").optional()],
    ..READ
};

pub(super) const ZSCAN: Command = Command {
    name: "zscan",
    arity: -3,
    handler: scan::zscan,
    summary: "Walks over the members of a sorted set, some at each call.",
    since: "2.8.0",
    complexity: "O(1) for each call; O(N) for a whole walk, with N the number of members",
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key(),
        Arg::new("cursor", "integer"),
        Arg::new("pattern", "pattern").after("MATCH").optional(),
        Arg::new("count", "integer").after("COUNT").optional(),
    ],
    ..SLOW
};

pub(super) const ZSCORE: Command = Command {
    name: "zscore",
    arity: 3,
    handler: read::zscore,
    summary: "Answers the score of a member of a sorted set.",
    since: "1.2.0",
    args: &[Arg::key(), Arg::new("member", "string")],
    ..READ
};
