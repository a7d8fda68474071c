//! The rows of CLIENT's subcommands.

use super::{kill, list, name, switches, tracking};
use crate::help;
use crate::row::{Arg, Command, Crossing, Flags, Lock, Merge};

/// The administrator's, in every state of the server.
const ADMINISTRATION: Flags = Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE);

/// Allowed in every state of the server, but not in scripts.
const ALWAYS: Flags = Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE);

/// CLIENT's subcommands.
pub(in crate::connection) const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "caching",
        arity: 3,
        flags: ALWAYS,
        categories: &["connection"],
        handler: tracking::caching,
        summary: "Says whether the keys of the next command are tracked.",
        since: "6.0.0",
        group: "connection",
        args: &[Arg::one_of("mode", &[Arg::token("yes", "YES"), Arg::token("no", "NO")])],
        ..Command::EMPTY
    },
    Command {
        name: "getname",
        arity: 2,
        flags: ALWAYS,
        categories: &["connection"],
        handler: name::get_name,
        summary: "Answers the connection's name.",
        since: "2.6.9",
        group: "connection",
        ..Command::EMPTY
    },
    Command {
        name: "getredir",
        arity: 2,
        flags: ALWAYS,
        categories: &["connection"],
        handler: tracking::get_redirection,
        summary: "Answers the client that invalidation messages go to.",
        since: "6.0.0",
        group: "connection",
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE),
        categories: &["connection"],
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "5.0.0",
        group: "connection",
        ..Command::EMPTY
    },
    Command {
        name: "id",
        arity: 2,
        flags: ALWAYS,
        categories: &["connection"],
        handler: name::id,
        summary: "Answers the connection's number.",
        since: "5.0.0",
        group: "connection",
        ..Command::EMPTY
    },
    Command {
        name: "info",
        arity: 2,
        flags: ALWAYS,
        categories: &["connection"],
        handler: list::info,
        summary: "Describes the connection in one line.",
        since: "6.2.0",
        group: "connection",
        tips: &["nondeterministic_output"],
        ..Command::EMPTY
    },
    Command {
        name: "kill",
        arity: -3,
        flags: ADMINISTRATION,
        categories: &["connection"],
        crossing: Crossing::Global(Lock::None, Merge::Custom(kill::merge)),
        handler: kill::kill,
        summary: "Closes the connections that match.",
        since: "2.4.0",
        group: "connection",
        complexity: "O(n) with n the number of connections",
        history: &[
            ("2.8.12", "The form with filters."),
            ("2.8.12", "Filter `ID`."),
            ("3.2.0", "`TYPE` knows `master`."),
            ("5.0.0", "`TYPE` knows `replica`, which `slave` still means too."),
            ("6.2.0", "Filter `LADDR`."),
        ],
        args: &[Arg::one_of(
            "filter",
            &[
                Arg::new("old-format", "string"),
                Arg::one_of(
                    "new-format",
                    &[
                        Arg::new("client-id", "integer").after("ID").optional().since("2.8.12"),
                        Arg::one_of(
                            "client-type",
                            &[
                                Arg::token("normal", "normal"),
                                Arg::token("master", "master").since("3.2.0"),
                                Arg::token("slave", "slave"),
                                Arg::token("replica", "replica").since("5.0.0"),
                                Arg::token("pubsub", "pubsub"),
                            ],
                        )
                        .after("TYPE")
                        .optional()
                        .since("2.8.12"),
                        Arg::new("username", "string").after("USER").optional(),
                        Arg::new("addr", "string").after("ADDR").optional(),
                        Arg::new("laddr", "string").after("LADDR").optional().since("6.2.0"),
                        Arg::one_of("skipme", &[Arg::token("yes", "YES"), Arg::token("no", "NO")])
                            .after("SKIPME")
                            .optional(),
                    ],
                )
                .multiple(),
            ],
        )],
        ..Command::EMPTY
    },
    Command {
        name: "list",
        arity: -2,
        flags: ADMINISTRATION,
        categories: &["connection"],
        crossing: Crossing::Global(Lock::None, Merge::Custom(list::merge)),
        handler: list::list,
        summary: "Describes all connections, a line for each.",
        since: "2.4.0",
        group: "connection",
        complexity: "O(n) with n the number of connections",
        history: &[
            ("2.8.12", "Field `id`."),
            ("5.0.0", "Filter `TYPE`."),
            ("6.0.0", "Field `user`."),
            ("6.2.0", "Fields `argv-mem`, `tot-mem`, `laddr` and `redir`; filter `ID`."),
            ("7.0.0", "Fields `resp`, `multi-mem`, `rbs` and `rbp`."),
            ("7.0.3", "Field `ssub`."),
        ],
        tips: &["nondeterministic_output"],
        args: &[
            Arg::one_of(
                "client-type",
                &[
                    Arg::token("normal", "normal"),
                    Arg::token("master", "master"),
                    Arg::token("replica", "replica"),
                    Arg::token("pubsub", "pubsub"),
                ],
            )
            .after("TYPE")
            .optional()
            .since("5.0.0"),
            Arg::new("client-id", "integer").after("ID").optional().multiple().since("6.2.0"),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "no-evict",
        arity: 3,
        flags: ADMINISTRATION,
        categories: &["connection"],
        handler: switches::no_evict,
        summary: "Protects the connection from being closed for memory.",
        since: "7.0.0",
        group: "connection",
        args: &[Arg::one_of("enabled", &[Arg::token("on", "ON"), Arg::token("off", "OFF")])],
        ..Command::EMPTY
    },
    Command {
        name: "no-touch",
        arity: 3,
        flags: ALWAYS,
        categories: &["connection"],
        handler: switches::no_touch,
        summary: "Says whether the commands of the connection leave LRU and LFU alone.",
        since: "7.2.0",
        group: "connection",
        args: &[Arg::one_of("enabled", &[Arg::token("on", "ON"), Arg::token("off", "OFF")])],
        ..Command::EMPTY
    },
    Command {
        name: "pause",
        arity: -3,
        flags: ADMINISTRATION,
        categories: &["connection"],
        crossing: Crossing::Global(Lock::None, Merge::First),
        handler: switches::pause,
        summary: "Holds back the commands of all clients for a while.",
        since: "3.0.0",
        group: "connection",
        history: &[("6.2.0", "Mode `WRITE`, which lets reads pass.")],
        args: &[
            Arg::new("timeout", "integer"),
            Arg::one_of("mode", &[Arg::token("write", "WRITE"), Arg::token("all", "ALL")])
                .optional()
                .since("6.2.0"),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "reply",
        arity: 3,
        flags: ALWAYS,
        categories: &["connection"],
        handler: switches::reply,
        summary: "Says whether the connection wants replies.",
        since: "3.2.0",
        group: "connection",
        args: &[Arg::one_of(
            "action",
            &[Arg::token("on", "ON"), Arg::token("off", "OFF"), Arg::token("skip", "SKIP")],
        )],
        ..Command::EMPTY
    },
    Command {
        name: "setinfo",
        arity: 4,
        flags: ALWAYS,
        categories: &["connection"],
        handler: name::set_info,
        summary: "Notes the client library's name or version.",
        since: "7.2.0",
        group: "connection",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        args: &[Arg::one_of(
            "attr",
            &[Arg::new("libname", "string").after("lib-name"), Arg::new("libver", "string").after("lib-ver")],
        )],
        ..Command::EMPTY
    },
    Command {
        name: "setname",
        arity: 3,
        flags: ALWAYS,
        categories: &["connection"],
        handler: name::set_name,
        summary: "Names the connection.",
        since: "2.6.9",
        group: "connection",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        args: &[Arg::new("connection-name", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "tracking",
        arity: -3,
        flags: ALWAYS.or(Flags::SUBSCRIBES),
        categories: &["connection"],
        crossing: Crossing::Global(Lock::None, Merge::Custom(tracking::merge)),
        handler: tracking::tracking,
        summary: "Switches the tracking of read keys for client-side caches.",
        since: "6.0.0",
        group: "connection",
        complexity: "O(1); more with some options.",
        args: &[
            Arg::one_of("status", &[Arg::token("on", "ON"), Arg::token("off", "OFF")]),
            Arg::new("client-id", "integer").after("REDIRECT").optional(),
            Arg {
                multiple_token: true,
                ..Arg::new("prefix", "string").after("PREFIX").optional().multiple()
            },
            Arg::token("BCAST", "BCAST").optional(),
            Arg::token("OPTIN", "OPTIN").optional(),
            Arg::token("OPTOUT", "OPTOUT").optional(),
            Arg::token("NOLOOP", "NOLOOP").optional(),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "trackinginfo",
        arity: 2,
        flags: ALWAYS,
        categories: &["connection"],
        handler: tracking::tracking_info,
        summary: "Describes the tracking of the connection.",
        since: "6.2.0",
        group: "connection",
        ..Command::EMPTY
    },
    Command {
        name: "unblock",
        arity: -3,
        flags: ADMINISTRATION,
        categories: &["connection"],
        crossing: Crossing::Global(Lock::None, Merge::Sum),
        handler: switches::unblock,
        summary: "Wakes a client from a blocking command.",
        since: "5.0.0",
        group: "connection",
        complexity: "O(log n) with n the number of connections",
        args: &[
            Arg::new("client-id", "integer"),
            Arg::one_of("unblock-type", &[Arg::token("timeout", "TIMEOUT"), Arg::token("error", "ERROR")])
                .optional(),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "unpause",
        arity: 2,
        flags: ADMINISTRATION,
        categories: &["connection"],
        crossing: Crossing::Global(Lock::None, Merge::First),
        handler: switches::unpause,
        summary: "Ends CLIENT PAUSE.",
        since: "6.2.0",
        group: "connection",
        complexity: "O(n) with n the number of paused clients",
        ..Command::EMPTY
    },
];
