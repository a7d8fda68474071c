//! The rows of CLUSTER.

use crate::row::{Arg, Command, Flags};
use crate::server::cluster;

/// Allowed in every state of the server.
const IN_ANY_STATE: Flags = Flags::LOADING.or(Flags::STALE);

/// CLUSTER's subcommands.
pub(super) const CLUSTER: &[Command] = &[
    Command {
        name: "info",
        arity: 2,
        flags: Flags::STALE,
        handler: cluster::disabled,
        summary: "Tells the state of the cluster.",
        since: "3.0.0",
        group: "cluster",
        tips: &["nondeterministic_output"],
        ..Command::EMPTY
    },
    Command {
        name: "nodes",
        arity: 2,
        flags: Flags::STALE,
        handler: cluster::disabled,
        summary: "Describes the nodes of the cluster.",
        since: "3.0.0",
        group: "cluster",
        complexity: "O(n) with n the number of nodes",
        tips: &["nondeterministic_output"],
        ..Command::EMPTY
    },
    Command {
        name: "slots",
        arity: 2,
        flags: IN_ANY_STATE,
        handler: cluster::disabled,
        summary: "Answers which node has which slots.",
        since: "3.0.0",
        group: "cluster",
        complexity: "O(n) with n the number of nodes",
        history: &[("4.0.0", "Node ids."), ("7.0.0", "Further network data of the nodes.")],
        deprecated: Some(("7.0.0", "`CLUSTER SHARDS`")),
        tips: &["nondeterministic_output"],
        ..Command::EMPTY
    },
    Command {
        name: "shards",
        arity: 2,
        flags: IN_ANY_STATE,
        handler: cluster::disabled,
        summary: "Answers the shards of the cluster with their slots.",
        since: "7.0.0",
        group: "cluster",
        complexity: "O(n) with n the number of nodes",
        tips: &["nondeterministic_output"],
        ..Command::EMPTY
    },
    Command {
        name: "myid",
        arity: 2,
        flags: Flags::STALE,
        handler: cluster::disabled,
        summary: "Answers the node's id.",
        since: "3.0.0",
        group: "cluster",
        ..Command::EMPTY
    },
    Command {
        name: "keyslot",
        arity: 3,
        flags: Flags::STALE,
        handler: cluster::disabled,
        summary: "Answers a key's slot.",
        since: "3.0.0",
        group: "cluster",
        complexity: "O(n) with n the length of the key",
        args: &[Arg::new("key", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "countkeysinslot",
        arity: 3,
        flags: Flags::STALE,
        handler: cluster::disabled,
        summary: "Counts the keys of a slot.",
        since: "3.0.0",
        group: "cluster",
        args: &[Arg::new("slot", "integer")],
        ..Command::EMPTY
    },
    Command {
        name: "getkeysinslot",
        arity: 4,
        flags: Flags::STALE,
        handler: cluster::disabled,
        summary: "Names keys of a slot.",
        since: "3.0.0",
        group: "cluster",
        complexity: "O(n) with n the number of keys asked for",
        tips: &["nondeterministic_output"],
        args: &[Arg::new("slot", "integer"), Arg::new("count", "integer")],
        ..Command::EMPTY
    },
    Command {
        name: "reset",
        arity: -2,
        flags: Flags::ADMIN.or(Flags::STALE).or(Flags::NOSCRIPT),
        handler: cluster::disabled,
        summary: "Has a node forget its cluster.",
        since: "3.0.0",
        group: "cluster",
        complexity: "O(n) with n the number of known nodes, and of keys where it is hard",
        args: &[
            Arg::one_of("reset-type", &[Arg::token("hard", "HARD"), Arg::token("soft", "SOFT")]).optional()
        ],
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: IN_ANY_STATE,
        handler: cluster::disabled,
        summary: "Lists the subcommands.",
        since: "5.0.0",
        group: "cluster",
        ..Command::EMPTY
    },
];
