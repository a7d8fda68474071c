//! The rows of the family.

use super::{ack, add, claim, delete, group, info, pending, range, read, setid};
use crate::effects::Journal;
use crate::help;
use crate::row::{Arg, BeginSearch, Command, Crossing, FindKeys, Flags, KeySpec};

/// Keys are the first half of what comes after the word STREAMS.
const fn after_streams(start: i16, flags: &'static [&'static str]) -> KeySpec {
    KeySpec {
        begin: BeginSearch::Keyword("STREAMS", start),
        find: FindKeys::Range { last: -1, step: 1, limit: 2 },
        flags,
        notes: "",
    }
}

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "xack",
        arity: -4,
        flags: Flags::WRITE.or(Flags::FAST),
        categories: &["stream"],
        keys: &[KeySpec::range(1, 1, 1, &["RW", "update"])],
        crossing: Crossing::OneShard,
        handler: ack::xack,
        summary: "Ends what is pending of entries in a consumer group.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N) with N the number of ids, each looked up in its block",
        args: &[Arg::key(), Arg::new("group", "string"), Arg::new("ID", "string").multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "xadd",
        arity: -5,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST).or(Flags::SIGNALS),
        categories: &["stream"],
        keys: &[KeySpec {
            notes: "trimming takes entries away too",
            ..KeySpec::range(1, 1, 1, &["RW", "update"])
        }],
        journal: Journal::Rewritten,
        crossing: Crossing::OneShard,
        handler: add::xadd,
        summary: "Adds an entry at the end of a stream, which is made when it is not there.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(1), and O(N) with N the number of entries trimmed",
        history: &[
            ("6.2.0", "`NOMKSTREAM`, `MINID` and `LIMIT` came."),
            ("7.0.0", "An id may leave its second part open: `<ms>-*`."),
        ],
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key(),
            Arg::token("nomkstream", "NOMKSTREAM").optional().since("6.2.0"),
            Arg::block(
                "trim",
                &[
                    Arg::one_of(
                        "strategy",
                        &[Arg::token("maxlen", "MAXLEN"), Arg::token("minid", "MINID").since("6.2.0")],
                    ),
                    Arg::one_of("operator", &[Arg::token("equal", "="), Arg::token("approximately", "~")])
                        .optional(),
                    Arg::new("threshold", "string"),
                    Arg::new("count", "integer").after("LIMIT").optional().since("6.2.0"),
                ],
            )
            .optional(),
            Arg::one_of("id-selector", &[Arg::token("auto-id", "*"), Arg::new("id", "string")]),
            Arg::block("data", &[Arg::new("field", "string"), Arg::new("value", "string")]).multiple(),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "xautoclaim",
        arity: -6,
        flags: Flags::WRITE.or(Flags::FAST),
        categories: &["stream"],
        keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
        journal: Journal::Rewritten,
        crossing: Crossing::OneShard,
        handler: claim::xautoclaim,
        summary: "Makes pending entries that were idle for long enough another consumer's, found by walking over them.",
        since: "6.2.0",
        group: "stream",
        complexity: "O(N) with N the bound given by COUNT",
        history: &[("7.0.0", "The reply tells the ids that were no longer in the stream.")],
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key(),
            Arg::new("group", "string"),
            Arg::new("consumer", "string"),
            Arg::new("min-idle-time", "string"),
            Arg::new("start", "string"),
            Arg::new("count", "integer").after("COUNT").optional(),
            Arg::token("justid", "JUSTID").optional(),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "xclaim",
        arity: -6,
        flags: Flags::WRITE.or(Flags::FAST),
        categories: &["stream"],
        keys: &[KeySpec::range(1, 1, 1, &["RW", "update"])],
        journal: Journal::Rewritten,
        crossing: Crossing::OneShard,
        handler: claim::xclaim,
        summary: "Makes pending entries another consumer's.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N log M) with N the number of ids and M that of pending entries",
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key(),
            Arg::new("group", "string"),
            Arg::new("consumer", "string"),
            Arg::new("min-idle-time", "string"),
            Arg::new("ID", "string").multiple(),
            Arg::new("ms", "integer").after("IDLE").optional(),
            Arg::new("unix-time-milliseconds", "unix-time").after("TIME").optional(),
            Arg::new("count", "integer").after("RETRYCOUNT").optional(),
            Arg::token("force", "FORCE").optional(),
            Arg::token("justid", "JUSTID").optional(),
            Arg::new("lastid", "string").after("LASTID").optional(),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "xdel",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST),
        categories: &["stream"],
        keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
        crossing: Crossing::OneShard,
        handler: delete::xdel,
        summary: "Deletes entries by their ids.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N) with N the number of ids, each looked up in its block",
        args: &[Arg::key(), Arg::new("ID", "string").multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "xgroup",
        arity: -2,
        subcommands: XGROUP,
        summary: "Keeps consumer groups.",
        since: "5.0.0",
        group: "stream",
        ..Command::EMPTY
    },
    Command {
        name: "xinfo",
        arity: -2,
        subcommands: XINFO,
        summary: "Tells about streams.",
        since: "5.0.0",
        group: "stream",
        ..Command::EMPTY
    },
    Command {
        name: "xlen",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        categories: &["stream"],
        keys: &[KeySpec::range(1, 1, 1, &["RO"])],
        crossing: Crossing::OneShard,
        handler: range::xlen,
        summary: "Answers how many entries a stream has.",
        since: "5.0.0",
        group: "stream",
        args: &[Arg::key()],
        ..Command::EMPTY
    },
    Command {
        name: "xpending",
        arity: -3,
        flags: Flags::READONLY,
        categories: &["stream"],
        keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
        crossing: Crossing::OneShard,
        handler: pending::xpending,
        summary: "Tells what was delivered to a consumer group and is not acknowledged.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N) with N the number of entries answered; without a range O(M) with M the number of consumers",
        history: &[("6.2.0", "`IDLE` and exclusive ranges came.")],
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key(),
            Arg::new("group", "string"),
            Arg::block(
                "filters",
                &[
                    Arg::new("min-idle-time", "integer").after("IDLE").optional().since("6.2.0"),
                    Arg::new("start", "string"),
                    Arg::new("end", "string"),
                    Arg::new("count", "integer"),
                    Arg::new("consumer", "string").optional(),
                ],
            )
            .optional(),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "xrange",
        arity: -4,
        flags: Flags::READONLY,
        categories: &["stream"],
        keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
        crossing: Crossing::OneShard,
        handler: range::xrange,
        summary: "Answers entries between two ids.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N) with N the number of entries answered",
        history: &[("6.2.0", "Exclusive ranges came.")],
        args: &[
            Arg::key(),
            Arg::new("start", "string"),
            Arg::new("end", "string"),
            Arg::new("count", "integer").after("COUNT").optional(),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "xread",
        arity: -4,
        flags: Flags::BLOCKING.or(Flags::READONLY),
        categories: &["stream"],
        keys: &[after_streams(1, &["RO", "access"])],
        get_keys: Some(read::keys),
        crossing: Crossing::TwoHops,
        handler: read::xread,
        summary: "Answers entries of streams that come after given ids.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N) with N the number of entries answered",
        args: &[
            Arg::new("count", "integer").after("COUNT").optional(),
            Arg::new("milliseconds", "integer").after("BLOCK").optional(),
            Arg::block("streams", &[Arg::key().multiple(), Arg::new("ID", "string").multiple()])
                .after("STREAMS"),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "xreadgroup",
        arity: -7,
        flags: Flags::BLOCKING.or(Flags::WRITE),
        categories: &["stream"],
        keys: &[after_streams(4, &["RO", "access"])],
        get_keys: Some(read::keys),
        journal: Journal::Rewritten,
        crossing: Crossing::TwoHops,
        handler: read::xreadgroup,
        summary: "Answers entries of streams to a consumer of a group: those that nobody got yet, or its own pending ones.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N log M) with N the number of entries answered and M that of pending ones",
        args: &[
            Arg::block("group-block", &[Arg::new("group", "string"), Arg::new("consumer", "string")])
                .after("GROUP"),
            Arg::new("count", "integer").after("COUNT").optional(),
            Arg::new("milliseconds", "integer").after("BLOCK").optional(),
            Arg::token("noack", "NOACK").optional(),
            Arg::block("streams", &[Arg::key().multiple(), Arg::new("ID", "string").multiple()])
                .after("STREAMS"),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "xrevrange",
        arity: -4,
        flags: Flags::READONLY,
        categories: &["stream"],
        keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
        crossing: Crossing::OneShard,
        handler: range::xrevrange,
        summary: "Answers entries between two ids, the last first.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N) with N the number of entries answered",
        history: &[("6.2.0", "Exclusive ranges came.")],
        args: &[
            Arg::key(),
            Arg::new("end", "string"),
            Arg::new("start", "string"),
            Arg::new("count", "integer").after("COUNT").optional(),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "xsetid",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        categories: &["stream"],
        keys: &[KeySpec::range(1, 1, 1, &["RW", "update"])],
        crossing: Crossing::OneShard,
        handler: setid::xsetid,
        summary: "Sets the last id of a stream, and what it remembers of entries that are gone.",
        since: "5.0.0",
        group: "stream",
        history: &[("7.0.0", "`ENTRIESADDED` and `MAXDELETEDID` came.")],
        args: &[
            Arg::key(),
            Arg::new("last-id", "string"),
            Arg::new("entries-added", "integer").after("ENTRIESADDED").optional().since("7.0.0"),
            Arg::new("max-deleted-id", "string").after("MAXDELETEDID").optional().since("7.0.0"),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "xtrim",
        arity: -4,
        flags: Flags::WRITE,
        categories: &["stream"],
        keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
        journal: Journal::Rewritten,
        crossing: Crossing::OneShard,
        handler: delete::xtrim,
        summary: "Removes entries from the beginning of a stream.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N) with N the number of entries removed, or their blocks where these go as a whole",
        history: &[("6.2.0", "`MINID` and `LIMIT` came.")],
        tips: &["nondeterministic_output"],
        args: &[
            Arg::key(),
            Arg::block(
                "trim",
                &[
                    Arg::one_of(
                        "strategy",
                        &[Arg::token("maxlen", "MAXLEN"), Arg::token("minid", "MINID").since("6.2.0")],
                    ),
                    Arg::one_of("operator", &[Arg::token("equal", "="), Arg::token("approximately", "~")])
                        .optional(),
                    Arg::new("threshold", "string"),
                    Arg::new("count", "integer").after("LIMIT").optional().since("6.2.0"),
                ],
            ),
        ],
        ..Command::EMPTY
    },
];

/// XGROUP's subcommands.
const XGROUP: &[Command] = &[
    Command {
        name: "create",
        arity: -5,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        categories: &["stream"],
        keys: &[KeySpec::range(2, 2, 1, &["RW", "insert"])],
        crossing: Crossing::OneShard,
        handler: group::create,
        summary: "Makes a consumer group.",
        since: "5.0.0",
        group: "stream",
        history: &[("7.0.0", "`ENTRIESREAD` came.")],
        args: &[
            Arg::key(),
            Arg::new("group", "string"),
            Arg::one_of("id-selector", &[Arg::new("id", "string"), Arg::token("new-id", "$")]),
            Arg::token("mkstream", "MKSTREAM").optional(),
            Arg::new("entries-read", "integer").after("ENTRIESREAD").optional(),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "createconsumer",
        arity: 5,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        categories: &["stream"],
        keys: &[KeySpec::range(2, 2, 1, &["RW", "insert"])],
        crossing: Crossing::OneShard,
        handler: group::create_consumer,
        summary: "Makes a consumer in a group.",
        since: "6.2.0",
        group: "stream",
        args: &[Arg::key(), Arg::new("group", "string"), Arg::new("consumer", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "delconsumer",
        arity: 5,
        flags: Flags::WRITE,
        categories: &["stream"],
        keys: &[KeySpec::range(2, 2, 1, &["RW", "delete"])],
        crossing: Crossing::OneShard,
        handler: group::delete_consumer,
        summary: "Removes a consumer from a group, with all that is pending for it.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N log M) with N the entries pending for it, of M in the group",
        args: &[Arg::key(), Arg::new("group", "string"), Arg::new("consumer", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "destroy",
        arity: 4,
        flags: Flags::WRITE.or(Flags::SIGNALS),
        categories: &["stream"],
        keys: &[KeySpec::range(2, 2, 1, &["RW", "delete"])],
        crossing: Crossing::OneShard,
        handler: group::destroy,
        summary: "Removes a consumer group.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N) with N the number of its pending entries",
        args: &[Arg::key(), Arg::new("group", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE),
        categories: &["stream"],
        crossing: Crossing::Session,
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "5.0.0",
        group: "stream",
        ..Command::EMPTY
    },
    Command {
        name: "setid",
        arity: -5,
        flags: Flags::WRITE,
        categories: &["stream"],
        keys: &[KeySpec::range(2, 2, 1, &["RW", "update"])],
        crossing: Crossing::OneShard,
        handler: group::set_id,
        summary: "Sets the last id that a group has delivered.",
        since: "5.0.0",
        group: "stream",
        history: &[("7.0.0", "`ENTRIESREAD` came.")],
        args: &[
            Arg::key(),
            Arg::new("group", "string"),
            Arg::one_of("id-selector", &[Arg::new("id", "string"), Arg::token("new-id", "$")]),
            Arg::new("entriesread", "integer").after("ENTRIESREAD").optional(),
        ],
        ..Command::EMPTY
    },
];

/// XINFO's subcommands.
const XINFO: &[Command] = &[
    Command {
        name: "consumers",
        arity: 4,
        flags: Flags::READONLY,
        categories: &["stream"],
        keys: &[KeySpec::range(2, 2, 1, &["RO", "access"])],
        crossing: Crossing::OneShard,
        handler: info::consumers,
        summary: "Tells about the consumers of a group.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N) with N the number of consumers",
        history: &[("7.2.0", "`inactive` came.")],
        tips: &["nondeterministic_output"],
        args: &[Arg::key(), Arg::new("group", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "groups",
        arity: 3,
        flags: Flags::READONLY,
        categories: &["stream"],
        keys: &[KeySpec::range(2, 2, 1, &["RO", "access"])],
        crossing: Crossing::OneShard,
        handler: info::groups,
        summary: "Tells about the groups of a stream.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(N) with N the number of groups",
        history: &[("7.0.0", "`entries-read` and `lag` came.")],
        args: &[Arg::key()],
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE),
        categories: &["stream"],
        crossing: Crossing::Session,
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "5.0.0",
        group: "stream",
        ..Command::EMPTY
    },
    Command {
        name: "stream",
        arity: -3,
        flags: Flags::READONLY,
        categories: &["stream"],
        keys: &[KeySpec::range(2, 2, 1, &["RO", "access"])],
        crossing: Crossing::OneShard,
        handler: info::stream,
        summary: "Tells about a stream.",
        since: "5.0.0",
        group: "stream",
        complexity: "O(1); with FULL O(N) with N the number of entries, groups, consumers and pending entries answered",
        history: &[
            ("6.0.0", "`FULL` came."),
            (
                "7.0.0",
                "What a stream remembers of deleted entries, and `entries-read` and `lag` of groups, came.",
            ),
            ("7.2.0", "`active-time` came, and `seen-time` tells attempts too."),
        ],
        args: &[
            Arg::key(),
            Arg::block(
                "full-block",
                &[Arg::token("full", "FULL"), Arg::new("count", "integer").after("COUNT").optional()],
            )
            .optional(),
        ],
        ..Command::EMPTY
    },
];
