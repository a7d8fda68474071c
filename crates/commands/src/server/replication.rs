//! Replication, which is not there yet: a server of this version is a master without replicas, and says so.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Arg, Command, Flags};
use stdx::Args;

/// The administrator's, not in scripts.
const ADMINISTRATION: Flags = Flags::ADMIN.or(Flags::NOSCRIPT);

/// What begins a replica's link.
const LINK: Flags = ADMINISTRATION.or(Flags::NO_ASYNC_LOADING).or(Flags::NO_MULTI);

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    REPLICAOF,
    Command {
        name: "slaveof",
        since: "1.0.0",
        deprecated: Some(("5.0.0", "`REPLICAOF`")),
        summary: "Makes the server a replica or a master.",
        ..REPLICAOF
    },
    Command {
        name: "failover",
        arity: -1,
        flags: ADMINISTRATION.or(Flags::STALE),
        handler: failover,
        summary: "Exchanges the roles of this server and one of its replicas.",
        since: "6.2.0",
        group: "server",
        args: &[
            Arg::block(
                "target",
                &[
                    Arg::new("host", "string"),
                    Arg::new("port", "integer"),
                    Arg::token("force", "FORCE").optional(),
                ],
            )
            .after("TO")
            .optional(),
            Arg::token("abort", "ABORT").optional(),
            Arg::new("milliseconds", "integer").after("TIMEOUT").optional(),
        ],
        ..Command::EMPTY
    },
    Command {
        name: "replconf",
        arity: -1,
        is_internal: true,
        flags: ADMINISTRATION.or(Flags::LOADING).or(Flags::STALE).or(Flags::ALLOW_BUSY),
        handler: refuse,
        summary: "Tells a master about its replica.",
        since: "3.0.0",
        group: "server",
        ..Command::EMPTY
    },
    Command {
        name: "psync",
        arity: -3,
        flags: LINK,
        handler: refuse,
        summary: "Begins a replica's link where the last one ended.",
        since: "2.8.0",
        group: "server",
        args: &[Arg::new("replicationid", "string"), Arg::new("offset", "integer")],
        ..Command::EMPTY
    },
    Command {
        name: "sync",
        arity: 1,
        flags: LINK,
        handler: refuse,
        summary: "Begins a replica's link with all data.",
        since: "1.0.0",
        group: "server",
        ..Command::EMPTY
    },
];

const REPLICAOF: Command = Command {
    name: "replicaof",
    arity: 3,
    flags: ADMINISTRATION.or(Flags::STALE).or(Flags::NO_ASYNC_LOADING),
    handler: replica_of,
    summary: "Makes the server a replica of another, or a master.",
    since: "5.0.0",
    group: "server",
    args: &[Arg::one_of(
        "args",
        &[
            Arg::block("host-port", &[Arg::new("host", "string"), Arg::new("port", "integer")]),
            Arg::block("no-one", &[Arg::token("no", "NO"), Arg::token("one", "ONE")]),
        ],
    )],
    ..Command::EMPTY
};

/// REPLICAOF NO ONE: it is nobody's. REPLICAOF host port: refused.
fn replica_of(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if !args.at(1).eq_ignore_ascii_case(b"NO") || !args.at(2).eq_ignore_ascii_case(b"ONE") {
        return Err(CommandError::NO_REPLICATION);
    }
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// FAILOVER: what Redis answers a master without replicas.
fn failover(_: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let aborts = args.len() == 2 && args.at(1).eq_ignore_ascii_case(b"ABORT");
    Err(if aborts { CommandError::NO_FAILOVER } else { CommandError::NO_REPLICAS })
}

/// SYNC, PSYNC, REPLCONF: refused, so that a replica says why it gets no data.
fn refuse(_: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    Err(CommandError::NO_REPLICATION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    #[test]
    fn a_master_may_be_told_to_be_one() {
        check(&["REPLICAOF NO ONE"], "+OK");
        check(&["slaveof no one"], "+OK");
        check(&["SLAVEOF NO ONE", "ROLE"], "*3 $6 master :0 *0");
    }

    #[test]
    fn what_would_replicate_is_refused() {
        let refused = format!("-{}", CommandError::NO_REPLICATION);
        let lines =
            ["REPLICAOF 127.0.0.1 6379", "SLAVEOF NO TWO", "SYNC", "PSYNC ? -1", "REPLCONF listening-port 1"];
        for line in lines {
            check(&[line], &refused);
        }
        check(&["FAILOVER"], "-ERR FAILOVER requires connected replicas.");
        check(&["FAILOVER TO a 1"], "-ERR FAILOVER requires connected replicas.");
        check(&["FAILOVER ABORT"], "-ERR No failover in progress.");
        check(&["REPLICAOF NO"], "-ERR wrong number of arguments for 'replicaof' command");
    }
}
