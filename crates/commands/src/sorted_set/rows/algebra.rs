//! The rows of commands that combine sorted sets.

use super::super::algebra;
use super::{COUNTED, STORED};
use crate::effects::Journal;
use crate::row::{Arg, Command};

const WEIGHTS: Arg = Arg::new("weight", "integer").after("WEIGHTS").optional().multiple();
const AGGREGATE: Arg =
    Arg::one_of("aggregate", &[Arg::token("sum", "SUM"), Arg::token("min", "MIN"), Arg::token("max", "MAX")])
        .after("AGGREGATE")
        .optional();

pub(super) const ZDIFF: Command = Command {
    name: "zdiff",
    arity: -3,
    handler: algebra::zdiff,
    summary: "Answers the members of the first of several sorted sets that no other has.",
    since: "6.2.0",
    complexity: "O(L + K*log(K)) with L the number of members of all the sets and K the number of those in the result",
    args: &[
        Arg::new("numkeys", "integer"),
        Arg::key().multiple(),
        Arg::token("withscores", "WITHSCORES").optional(),
    ],
    ..COUNTED
};

pub(super) const ZDIFFSTORE: Command = Command {
    name: "zdiffstore",
    arity: -4,
    journal: Journal::Rewritten,
    handler: algebra::zdiffstore,
    summary: "Stores the members of the first of several sorted sets that no other has.",
    since: "6.2.0",
    complexity: "O(L + K*log(K)) with L the number of members of all the sets and K the number of those in the result",
    args: &[
        Arg::key_named("destination", 0),
        Arg::new("numkeys", "integer"),
        Arg::key_named("key", 1).multiple(),
    ],
    ..STORED
};

pub(super) const ZINTER: Command = Command {
    name: "zinter",
    arity: -3,
    handler: algebra::zinter,
    summary: "Answers the members that several sorted sets have in common.",
    since: "6.2.0",
    complexity: "O(N*K) + O(M*log(M)) with N the number of members of the smallest set, K the number of sets and M the number of members in the result",
    args: &[
        Arg::new("numkeys", "integer"),
        Arg::key().multiple(),
        WEIGHTS,
        AGGREGATE,
        Arg::token("withscores", "WITHSCORES").optional(),
    ],
    ..COUNTED
};

pub(super) const ZINTERCARD: Command = Command {
    name: "zintercard",
    arity: -3,
    handler: algebra::zintercard,
    summary: "Counts the members that several sorted sets have in common.",
    since: "7.0.0",
    complexity: "O(N*K) with N the number of members of the smallest set and K the number of sets",
    args: &[
        Arg::new("numkeys", "integer"),
        Arg::key().multiple(),
        Arg::new("limit", "integer").after("LIMIT").optional(),
    ],
    ..COUNTED
};

pub(super) const ZINTERSTORE: Command = Command {
    name: "zinterstore",
    arity: -4,
    journal: Journal::Rewritten,
    handler: algebra::zinterstore,
    summary: "Stores the members that several sorted sets have in common.",
    since: "2.0.0",
    complexity: "O(N*K) + O(M*log(M)) with N the number of members of the smallest set, K the number of sets and M the number of members in the result",
    args: &[
        Arg::key_named("destination", 0),
        Arg::new("numkeys", "integer"),
        Arg::key_named("key", 1).multiple(),
        WEIGHTS,
        AGGREGATE,
    ],
    ..STORED
};

pub(super) const ZUNION: Command = Command {
    name: "zunion",
    arity: -3,
    handler: algebra::zunion,
    summary: "Answers the members of any of several sorted sets.",
    since: "6.2.0",
    complexity: "O(N) + O(M*log(M)) with N the number of members of all the sets and M the number of those in the result",
    args: &[
        Arg::new("numkeys", "integer"),
        Arg::key().multiple(),
        WEIGHTS,
        AGGREGATE,
        Arg::token("withscores", "WITHSCORES").optional(),
    ],
    ..COUNTED
};

pub(super) const ZUNIONSTORE: Command = Command {
    name: "zunionstore",
    arity: -4,
    journal: Journal::Rewritten,
    handler: algebra::zunionstore,
    summary: "Stores the members of any of several sorted sets.",
    since: "2.0.0",
    complexity: "O(N) + O(M*log(M)) with N the number of members of all the sets and M the number of those in the result",
    args: &[
        Arg::key_named("destination", 0),
        Arg::new("numkeys", "integer"),
        Arg::key_named("key", 1).multiple(),
        WEIGHTS,
        AGGREGATE,
    ],
    ..STORED
};
