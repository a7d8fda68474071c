//! The rows of SLOWLOG, LATENCY and MEMORY.

use crate::help;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec, Lock, Merge};
use crate::server::{histogram, latency, memory, slowlog};

/// The administrator's, in every state of the server.
const ADMINISTRATION: Flags = Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE);

/// Allowed in every state of the server.
const IN_ANY_STATE: Flags = Flags::LOADING.or(Flags::STALE);

/// SLOWLOG's subcommands.
pub(super) const SLOWLOG: &[Command] = &[
    Command {
        name: "get",
        arity: -2,
        flags: IN_ANY_STATE.or(Flags::ADMIN),
        crossing: Crossing::Global(Lock::None, Merge::Custom(slowlog::merge_get)),
        handler: slowlog::get,
        summary: "Answers the last slow commands.",
        since: "2.2.12",
        group: "server",
        complexity: "O(n) with n the number of entries answered",
        history: &[("4.0.0", "The client's address and name are in the entries.")],
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        args: &[Arg::new("count", "integer").optional()],
        ..Command::EMPTY
    },
    Command {
        name: "len",
        arity: 2,
        flags: IN_ANY_STATE.or(Flags::ADMIN),
        crossing: Crossing::Global(Lock::None, Merge::Custom(slowlog::merge_len)),
        handler: slowlog::len,
        summary: "Counts the entries of the slow log.",
        since: "2.2.12",
        group: "server",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        ..Command::EMPTY
    },
    Command {
        name: "reset",
        arity: 2,
        flags: IN_ANY_STATE.or(Flags::ADMIN),
        crossing: Crossing::Global(Lock::None, Merge::First),
        handler: slowlog::reset,
        summary: "Empties the slow log.",
        since: "2.2.12",
        group: "server",
        complexity: "O(n) with n the number of entries",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: IN_ANY_STATE,
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "6.2.0",
        group: "server",
        ..Command::EMPTY
    },
];

/// LATENCY's subcommands.
pub(super) const LATENCY: &[Command] = &[
    Command {
        name: "doctor",
        arity: 2,
        flags: ADMINISTRATION,
        crossing: Crossing::Global(Lock::None, Merge::Custom(latency::doctor)),
        handler: latency::part,
        summary: "Explains in words the latency spikes that were seen.",
        since: "2.8.13",
        group: "server",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        ..Command::EMPTY
    },
    Command {
        name: "graph",
        arity: 3,
        flags: ADMINISTRATION,
        crossing: Crossing::Global(Lock::None, Merge::Custom(latency::graph)),
        handler: latency::part,
        summary: "Draws an event's latency spikes.",
        since: "2.8.13",
        group: "server",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        args: &[Arg::new("event", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: IN_ANY_STATE,
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "2.8.13",
        group: "server",
        ..Command::EMPTY
    },
    Command {
        name: "histogram",
        arity: -2,
        flags: ADMINISTRATION,
        crossing: Crossing::Global(Lock::None, Merge::Custom(histogram::merge)),
        handler: histogram::part,
        summary: "Answers how long commands took, as cumulative counts.",
        since: "7.0.0",
        group: "server",
        complexity: "O(n) with n the number of commands asked for",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        args: &[Arg::new("COMMAND", "string").optional().multiple()],
        ..Command::EMPTY
    },
    Command {
        name: "history",
        arity: 3,
        flags: ADMINISTRATION,
        crossing: Crossing::Global(Lock::None, Merge::Custom(latency::history)),
        handler: latency::part,
        summary: "Answers an event's latency spikes.",
        since: "2.8.13",
        group: "server",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        args: &[Arg::new("event", "string")],
        ..Command::EMPTY
    },
    Command {
        name: "latest",
        arity: 2,
        flags: ADMINISTRATION,
        crossing: Crossing::Global(Lock::None, Merge::Custom(latency::latest)),
        handler: latency::part,
        summary: "Answers the last and the worst spike of each event.",
        since: "2.8.13",
        group: "server",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        ..Command::EMPTY
    },
    Command {
        name: "reset",
        arity: -2,
        flags: ADMINISTRATION,
        crossing: Crossing::Global(Lock::None, Merge::Custom(latency::merge_reset)),
        handler: latency::reset,
        summary: "Forgets the spikes of events.",
        since: "2.8.13",
        group: "server",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
        args: &[Arg::new("event", "string").optional().multiple()],
        ..Command::EMPTY
    },
];

/// MEMORY's subcommands.
pub(super) const MEMORY: &[Command] = &[
    Command {
        name: "doctor",
        arity: 2,
        crossing: Crossing::Global(Lock::None, Merge::Custom(memory::doctor)),
        handler: memory::part,
        summary: "Explains in words how memory is used.",
        since: "4.0.0",
        group: "server",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        ..Command::EMPTY
    },
    Command {
        name: "help",
        arity: 2,
        flags: IN_ANY_STATE,
        handler: help::help,
        summary: "Lists the subcommands.",
        since: "4.0.0",
        group: "server",
        ..Command::EMPTY
    },
    Command {
        name: "malloc-stats",
        arity: 2,
        handler: memory::malloc_stats,
        summary: "Answers the allocator's own statistics.",
        since: "4.0.0",
        group: "server",
        complexity: "Depends on the allocator.",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        ..Command::EMPTY
    },
    Command {
        name: "purge",
        arity: 2,
        handler: memory::purge,
        summary: "Gives free memory back to the system.",
        since: "4.0.0",
        group: "server",
        complexity: "Depends on how much memory is free.",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        ..Command::EMPTY
    },
    Command {
        name: "stats",
        arity: 2,
        crossing: Crossing::Global(Lock::None, Merge::Custom(memory::stats)),
        handler: memory::part,
        summary: "Answers what memory is used for.",
        since: "4.0.0",
        group: "server",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        ..Command::EMPTY
    },
    Command {
        name: "usage",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::range(2, 2, 1, &["RO"])],
        crossing: Crossing::OneShard,
        handler: memory::usage,
        summary: "Estimates how many bytes a key and its value take.",
        since: "4.0.0",
        group: "server",
        complexity: "O(n) with n the number of samples",
        args: &[Arg::key(), Arg::new("count", "integer").after("SAMPLES").optional()],
        ..Command::EMPTY
    },
];
