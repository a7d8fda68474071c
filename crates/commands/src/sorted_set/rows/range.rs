//! The rows of commands over ranges.

use super::super::range;
use super::{SLOW, STORED};
use crate::effects::Journal;
use crate::row::{Arg, Command, KeySpec};

pub(super) const ZRANGE: Command = Command {
    name: "zrange",
    arity: -4,
    handler: range::zrange,
    summary: "Answers the members between two ranks, scores or members.",
    since: "1.2.0",
    complexity: "O(log(N)+M) with N the number of members and M the number of those answered",
    history: &[("6.2.0", "`REV`, `BYSCORE`, `BYLEX` and `LIMIT` came.")],
    args: &[
        Arg::key(),
        Arg::new("start", "string"),
        Arg::new("stop", "string"),
        Arg::one_of("sortby", &[Arg::token("byscore", "BYSCORE"), Arg::token("bylex", "BYLEX")])
            .optional()
            .since("6.2.0"),
        Arg::token("rev", "REV").optional().since("6.2.0"),
        Arg::block("limit", &[Arg::new("offset", "integer"), Arg::new("count", "integer")])
            .after("LIMIT")
            .optional()
            .since("6.2.0"),
        Arg::token("withscores", "WITHSCORES").optional(),
    ],
    ..SLOW
};

pub(super) const ZRANGEBYLEX: Command = Command {
    name: "zrangebylex",
    arity: -4,
    handler: range::zrangebylex,
    summary: "Answers the members between two others, in a sorted set of one score.",
    since: "2.8.9",
    complexity: "O(log(N)+M) with N the number of members and M the number of those answered",
    deprecated: Some(("6.2.0", "`ZRANGE` with `BYLEX`")),
    args: &[
        Arg::key(),
        Arg::new("min", "string"),
        Arg::new("max", "string"),
        Arg::block("limit", &[Arg::new("offset", "integer"), Arg::new("count", "integer")])
            .after("LIMIT")
            .optional(),
    ],
    ..SLOW
};

pub(super) const ZRANGEBYSCORE: Command = Command {
    name: "zrangebyscore",
    arity: -4,
    handler: range::zrangebyscore,
    summary: "Answers the members between two scores.",
    since: "1.0.5",
    complexity: "O(log(N)+M) with N the number of members and M the number of those answered",
    history: &[("2.0.0", "`WITHSCORES` came.")],
    deprecated: Some(("6.2.0", "`ZRANGE` with `BYSCORE`")),
    args: &[
        Arg::key(),
        Arg::new("min", "double"),
        Arg::new("max", "double"),
        Arg::token("withscores", "WITHSCORES").optional().since("2.0.0"),
        Arg::block("limit", &[Arg::new("offset", "integer"), Arg::new("count", "integer")])
            .after("LIMIT")
            .optional(),
    ],
    ..SLOW
};

pub(super) const ZRANGESTORE: Command = Command {
    name: "zrangestore",
    arity: -5,
    keys: &[KeySpec::range(1, 1, 1, &["OW", "update"]), KeySpec::range(2, 2, 1, &["RO", "access"])],
    journal: Journal::Rewritten,
    handler: range::zrangestore,
    summary: "Stores the members between two ranks, scores or members under another key.",
    since: "6.2.0",
    complexity: "O(log(N)+M) with N the number of members and M the number of those stored",
    args: &[
        Arg::key_named("dst", 0),
        Arg::key_named("src", 1),
        Arg::new("min", "string"),
        Arg::new("max", "string"),
        Arg::one_of("sortby", &[Arg::token("byscore", "BYSCORE"), Arg::token("bylex", "BYLEX")]).optional(),
        Arg::token("rev", "REV").optional(),
        Arg::block("limit", &[Arg::new("offset", "integer"), Arg::new("count", "integer")])
            .after("LIMIT")
            .optional(),
    ],
    ..STORED
};

pub(super) const ZREVRANGE: Command = Command {
    name: "zrevrange",
    arity: -4,
    handler: range::zrevrange,
    summary: "Answers the members between two ranks, the highest scores first.",
    since: "1.2.0",
    complexity: "O(log(N)+M) with N the number of members and M the number of those answered",
    deprecated: Some(("6.2.0", "`ZRANGE` with `REV`")),
    args: &[
        Arg::key(),
        Arg::new("start", "integer"),
        Arg::new("stop", "integer"),
        Arg::token("withscores", "WITHSCORES").optional(),
    ],
    ..SLOW
};

pub(super) const ZREVRANGEBYLEX: Command = Command {
    name: "zrevrangebylex",
    arity: -4,
    handler: range::zrevrangebylex,
    summary: "Answers the members between two others, the greatest first, in a sorted set of one score.",
    since: "2.8.9",
    complexity: "O(log(N)+M) with N the number of members and M the number of those answered",
    deprecated: Some(("6.2.0", "`ZRANGE` with `REV` and `BYLEX`")),
    args: &[
        Arg::key(),
        Arg::new("max", "string"),
        Arg::new("min", "string"),
        Arg::block("limit", &[Arg::new("offset", "integer"), Arg::new("count", "integer")])
            .after("LIMIT")
            .optional(),
    ],
    ..SLOW
};

pub(super) const ZREVRANGEBYSCORE: Command = Command {
    name: "zrevrangebyscore",
    arity: -4,
    handler: range::zrevrangebyscore,
    summary: "Answers the members between two scores, the highest first.",
    since: "2.2.0",
    complexity: "O(log(N)+M) with N the number of members and M the number of those answered",
    history: &[("2.1.6", "Bounds may be excluded.")],
    deprecated: Some(("6.2.0", "`ZRANGE` with `REV` and `BYSCORE`")),
    args: &[
        Arg::key(),
        Arg::new("max", "double"),
        Arg::new("min", "double"),
        Arg::token("withscores", "WITHSCORES").optional(),
        Arg::block("limit", &[Arg::new("offset", "integer"), Arg::new("count", "integer")])
            .after("LIMIT")
            .optional(),
    ],
    ..SLOW
};
