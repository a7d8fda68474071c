//! The rows of the connection commands.

use super::{auth, client, session};
use crate::row::{Arg, Command, Flags};

/// Allowed in every state of the server, even before AUTH, but not in scripts.
const BEFORE_AUTH: Flags = Flags::NOSCRIPT
    .or(Flags::LOADING)
    .or(Flags::STALE)
    .or(Flags::FAST)
    .or(Flags::NO_AUTH)
    .or(Flags::ALLOW_BUSY);

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ping",
        arity: -1,
        flags: Flags::FAST,
        categories: &["connection"],
        handler: session::ping,
        summary: "Answers PONG, or the message that it was given.",
        since: "1.0.0",
        group: "connection",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        args: &[Arg::new("message", "string").optional()],
        ..Command::EMPTY
    },
    Command {
        name: "echo",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        categories: &["connection"],
        handler: session::echo,
        summary: "Answers its argument.",
        since: "1.0.0",
        group: "connection",
        args: &[Arg::new("message", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "hello",
        arity: -1,
        flags: BEFORE_AUTH,
        categories: &["connection"],
        handler: auth::hello,
        summary: "Chooses the protocol version, logs in and names the connection, all in one.",
        since: "6.0.0",
        group: "connection",
        history: &[("6.2.0", "The version may be left out: then the connection is only described.")],
        args: &[Arg::block(
            "arguments",
            &[
                Arg::new("protover", "integer"),
                Arg::block("auth", &[Arg::new("username", "string"), Arg::new("password", "string")])
                    .after("AUTH")
                    .optional(),
                Arg::new("clientname", "string").after("SETNAME").optional(),
            ],
        )
        .optional()],
        ..Command::EMPTY
    },
    Command {
        name: "auth",
        arity: -2,
        flags: BEFORE_AUTH,
        categories: &["connection"],
        handler: auth::auth,
        summary: "Logs the connection in.",
        since: "1.0.0",
        group: "connection",
        complexity: "O(n) with n the number of passwords of the user",
        history: &[("6.0.0", "A user name may come before the password.")],
        args: &[Arg::new("username", "string").optional().since("6.0.0"), Arg::new("password", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "select",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        categories: &["connection"],
        handler: session::select,
        summary: "Chooses the database that the connection works on.",
        since: "1.0.0",
        group: "connection",
        args: &[Arg::new("index", "integer")],
        ..Command::EMPTY
    },
    Command {
        name: "quit",
        arity: -1,
        flags: BEFORE_AUTH.or(Flags::NOT_QUEUED),
        categories: &["connection"],
        handler: session::quit,
        summary: "Ends the connection after the replies so far.",
        since: "1.0.0",
        group: "connection",
        deprecated: Some(("7.2.0", "closing the connection")),
        ..Command::EMPTY
    },
    Command {
        name: "reset",
        arity: 1,
        flags: BEFORE_AUTH.or(Flags::NOT_QUEUED),
        categories: &["connection"],
        handler: session::reset,
        summary: "Takes the connection back to the state it began in.",
        since: "6.2.0",
        group: "connection",
        ..Command::EMPTY
    },
    Command {
        name: "client",
        arity: -2,
        subcommands: client::rows::SUBCOMMANDS,
        summary: "Container of the commands about connections.",
        since: "2.4.0",
        group: "connection",
        complexity: "Depends on the subcommand.",
        ..Command::EMPTY
    },
];
