//! The rows of publish and subscribe.

use super::{inspect, publish, subscribe};
use crate::help;
use crate::row::{Arg, Command, Flags, KeySpec};

/// Ends with push messages as confirmations; in every state of the server, but not in scripts.
const SUBSCRIPTION: Flags =
    Flags::PUBSUB.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE).or(Flags::PUSHES);

const PUBLICATION: Flags = Flags::PUBSUB
    .or(Flags::LOADING)
    .or(Flags::STALE)
    .or(Flags::FAST)
    .or(Flags::MAY_REPLICATE)
    .or(Flags::SIGNALS);

const INSPECTION: Flags = Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE);

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "publish",
        arity: 3,
        flags: PUBLICATION,
        handler: publish::publish,
        summary: "Sends a message to all who listen to a channel.",
        since: "2.0.0",
        group: "pubsub",
        complexity: "O(n+m) with n the number of the channel's subscribers and m that of all patterns",
        args: &[Arg::new("channel", "string"), Arg::new("message", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "subscribe",
        arity: -2,
        flags: SUBSCRIPTION,
        handler: subscribe::subscribe,
        summary: "Begins to listen to channels.",
        since: "2.0.0",
        group: "pubsub",
        complexity: "O(n) with n the number of channels",
        args: &[Arg::new("channel", "string").multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "unsubscribe",
        arity: -1,
        flags: SUBSCRIPTION,
        handler: subscribe::unsubscribe,
        summary: "Ends listening to channels, or to all of them.",
        since: "2.0.0",
        group: "pubsub",
        complexity: "O(n) with n the number of channels",
        args: &[Arg::new("channel", "string").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "psubscribe",
        arity: -2,
        flags: SUBSCRIPTION,
        handler: subscribe::psubscribe,
        summary: "Begins to listen to all channels that match patterns.",
        since: "2.0.0",
        group: "pubsub",
        complexity: "O(n) with n the number of patterns",
        args: &[Arg::new("pattern", "pattern").multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "punsubscribe",
        arity: -1,
        flags: SUBSCRIPTION,
        handler: subscribe::punsubscribe,
        summary: "Ends listening to patterns, or to all of them.",
        since: "2.0.0",
        group: "pubsub",
        complexity: "O(n) with n the number of patterns",
        args: &[Arg::new("pattern", "pattern").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "spublish",
        arity: 3,
        flags: PUBLICATION,
        keys: &[KeySpec::range(1, 1, 1, &["not_key"])],
        handler: publish::spublish,
        summary: "Sends a message to all who listen to a shard channel.",
        since: "7.0.0",
        group: "pubsub",
        complexity: "O(n) with n the number of the shard channel's subscribers",
        args: &[Arg::new("shardchannel", "string"), Arg::new("message", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "ssubscribe",
        arity: -2,
        flags: SUBSCRIPTION,
        keys: &[KeySpec::range(1, -1, 1, &["not_key"])],
        handler: subscribe::ssubscribe,
        summary: "Begins to listen to shard channels.",
        since: "7.0.0",
        group: "pubsub",
        complexity: "O(n) with n the number of shard channels",
        args: &[Arg::new("shardchannel", "string").multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "sunsubscribe",
        arity: -1,
        flags: SUBSCRIPTION,
        keys: &[KeySpec::range(1, -1, 1, &["not_key"])],
        handler: subscribe::sunsubscribe,
        summary: "Ends listening to shard channels, or to all of them.",
        since: "7.0.0",
        group: "pubsub",
        complexity: "O(n) with n the number of shard channels",
        args: &[Arg::new("shardchannel", "string").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "pubsub",
        arity: -2,
        subcommands: PUBSUB,
        summary: "Container of the commands that look at subscriptions.",
        since: "2.8.0",
        group: "pubsub",
        complexity: "Depends on the subcommand.",
        ..Command::EMPTY
    },
];

/// PUBSUB's subcommands.
const PUBSUB: &[Command] = &[
    Command {
        name: "channels",
        arity: -2,
        flags: INSPECTION,
        handler: inspect::channels,
        summary: "Lists the channels that somebody listens to.",
        since: "2.8.0",
        group: "pubsub",
        complexity: "O(n) with n the number of channels",
        args: &[Arg::new("pattern", "pattern").optional()],
        ..Command::EMPTY
    },
    Command {
        name: "numpat",
        arity: 2,
        flags: INSPECTION,
        handler: inspect::num_pat,
        summary: "Counts the different patterns that somebody listens to.",
        since: "2.8.0",
        group: "pubsub",
        ..Command::EMPTY
    },
    Command {
        name: "numsub",
        arity: -2,
        flags: INSPECTION,
        handler: inspect::num_sub,
        summary: "Counts the subscribers of channels.",
        since: "2.8.0",
        group: "pubsub",
        complexity: "O(n) with n the number of channels asked for",
        args: &[Arg::new("channel", "string").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "shardchannels",
        arity: -2,
        flags: INSPECTION,
        handler: inspect::shard_channels,
        summary: "Lists the shard channels that somebody listens to.",
        since: "7.0.0",
        group: "pubsub",
        complexity: "O(n) with n the number of shard channels",
        args: &[Arg::new("pattern", "pattern").optional()],
        ..Command::EMPTY
    },
    Command {
        name: "shardnumsub",
        arity: -2,
        flags: INSPECTION,
        handler: inspect::shard_num_sub,
        summary: "Counts the subscribers of shard channels.",
        since: "7.0.0",
        group: "pubsub",
        complexity: "O(n) with n the number of shard channels asked for",
        args: &[Arg::new("shardchannel", "string").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE),
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "6.2.0",
        group: "pubsub",
        ..Command::EMPTY
    },
];
