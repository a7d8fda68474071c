//! REPLICAOF, and what replicas say to their master.

use crate::client::ClientFlags;
use crate::core::Action;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::masters::{Asked, Failover, FailoverState, Wants};
use crate::replica::Wish;
use crate::row::{Arg, Command, Flags};
use config::MasterAddress;
use replication::flow::hello::CAPABLE;
use replication::psync::{Follower, Replconf};
use std::net::IpAddr;
use stdx::{Args, UnixMs};

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
        handler: replconf,
        summary: "Tells a master about its replica.",
        since: "3.0.0",
        group: "server",
        ..Command::EMPTY
    },
    Command {
        name: "psync",
        arity: -3,
        flags: LINK,
        handler: psync,
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
        handler: sync,
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

/// REPLICAOF host port: whom this server follows from now on; REPLICAOF NO ONE: nobody. It is answered when that is so, and EXEC with
/// it: at once but where a full sync is being put in or what has come of a stream is being applied; the link is made afterwards. Of
/// several in one transaction the last counts. Whether it is so already is for core 0 to say, which alone knows what others have asked for.
fn replica_of(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if ctx.core.shared.masters.known().failover != FailoverState::None {
        return Err(CommandError::FAILING_OVER);
    }
    let wish = wish(args)?;
    // CONFIG REWRITE behind it in the same transaction is to write this. Core 0 tells it to all cores when it is so.
    ctx.core.config.replicaof = wish.master().cloned();
    ctx.core.waits_for_role = Some(wish);
    ctx.out.ok();
    Ok(Outcome::Done)
}

fn wish(args: Args<'_>) -> Result<Wish, CommandError> {
    if args.at(1).eq_ignore_ascii_case(b"NO") && args.at(2).eq_ignore_ascii_case(b"ONE") {
        return Ok(Wish::NoOne);
    }
    // Nobody is at port 0, and yet it may be named, as with Redis: such a replica has lost its master.
    let port = parse_int(args.at(2)).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(CommandError::MASTER_PORT)?;
    let host = std::str::from_utf8(args.at(1)).ok().filter(|host| !host.is_empty());
    let host = host.filter(|host| !host.contains(char::is_whitespace)).ok_or(CommandError::MASTER_HOST)?;
    Ok(Wish::Follow(MasterAddress { host: host.to_owned(), port }))
}

/// ROLE: what Redis tells of a master, or of a replica.
pub(super) fn role(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let now_ms = (ctx.core.nanos)() / 1_000_000;
    let Some((facts, master)) = ctx.core.shared.replica.facts(now_ms) else {
        return master_role(ctx);
    };
    ctx.out.array(5);
    ctx.out.bulk(b"slave");
    ctx.out.bulk(master.host.as_bytes());
    ctx.out.int(master.port.into());
    ctx.out.bulk(facts.state.as_str().as_bytes());
    ctx.out.int(facts.applied.map_or(-1, |offset| offset as i64));
    Ok(Outcome::Done)
}

/// A master, with those that follow it.
fn master_role(ctx: &mut Ctx<'_>) -> Result<Outcome, CommandError> {
    let known = ctx.core.shared.masters.known();
    let online: Vec<_> = known.online().collect();
    ctx.out.array(3);
    ctx.out.bulk(b"master");
    ctx.out.int(known.ring.map_or(0, |ring| ring.end as i64));
    ctx.out.array(online.len());
    for (address, port, offset) in online {
        ctx.out.array(3);
        ctx.out.bulk(address.as_bytes());
        ctx.out.bulk_int(port.into());
        ctx.out.bulk_int(offset as i64);
    }
    Ok(Outcome::Done)
}

/// FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT ms]: answered when it has begun. That it is under way is noted here, so that of
/// two clients of different cores one is refused.
fn failover(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if args.len() == 2 && args.at(1).eq_ignore_ascii_case(b"ABORT") {
        let known = &mut *ctx.core.shared.masters.known();
        if std::mem::take(&mut known.failover) == FailoverState::None {
            return Err(CommandError::NO_FAILOVER);
        }
        ctx.core.actions.push(Action::FailoverAbort(known.failovers));
    } else {
        let mut asked = failover_asked(args, ctx.now)?;
        let is_replica = ctx.core.shared.replica.is_replica();
        let known = &mut *ctx.core.shared.masters.known();
        match &asked.target {
            _ if known.failover != FailoverState::None => return Err(CommandError::FAILOVER_UNDER_WAY),
            _ if is_replica => return Err(CommandError::FAILOVER_OF_REPLICA),
            _ if known.followers.is_empty() => return Err(CommandError::NO_REPLICAS),
            None if asked.force => return Err(CommandError::FAILOVER_FORCE),
            _ if asked.force && asked.until.is_none() => return Err(CommandError::FAILOVER_FORCE),
            Some((host, port)) => {
                let replica = known.find(host, *port).ok_or(CommandError::FAILOVER_TARGET)?;
                if !replica.is_online() {
                    return Err(CommandError::FAILOVER_OFFLINE);
                }
            }
            None => {}
        }
        known.failover = FailoverState::WaitingForSync;
        known.failovers += 1;
        asked.number = known.failovers;
        ctx.core.actions.push(Action::Failover(asked));
    }
    ctx.out.ok();
    Ok(Outcome::Done)
}

fn failover_asked(args: Args<'_>, now: UnixMs) -> Result<Failover, CommandError> {
    let mut asked = Failover { number: 0, target: None, until: None, force: false };
    let mut at = 1;
    while at < args.len() {
        let (word, left) = (args.at(at).to_ascii_lowercase(), args.len() - at - 1);
        match word.as_slice() {
            b"timeout" if left >= 1 && asked.until.is_none() => {
                let timeout_ms = parse_int(args.at(at + 1)).ok_or(CommandError::NotInteger)?;
                if timeout_ms <= 0 {
                    return Err(CommandError::FAILOVER_TIMEOUT);
                }
                asked.until = Some(UnixMs(now.0.saturating_add(timeout_ms)));
                at += 2;
            }
            b"to" if left >= 2 && asked.target.is_none() => {
                let port = parse_int(args.at(at + 2)).ok_or(CommandError::NotInteger)?;
                let host = String::from_utf8_lossy(args.at(at + 1)).into_owned();
                // What no port is no replica has.
                asked.target = Some((host, u16::try_from(port).unwrap_or(0)));
                at += 3;
            }
            b"force" if !asked.force => {
                asked.force = true;
                at += 1;
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    Ok(asked)
}

/// REPLCONF option value..: what a replica says of itself before it asks for data. What it says later comes on a link of its own.
fn replconf(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let now_ms = ctx.now.0.max(0) as u64;
    let words: Vec<&[u8]> = args.from(1).iter().collect();
    let follower = ctx.client().replica.get_or_insert_with(|| Box::new(Follower::new(now_ms)));
    match follower.replconf(&words, now_ms) {
        Ok(Replconf::Flows) if crate::flows::why_none(ctx).is_none() => ctx.out.simple(CAPABLE),
        Ok(Replconf::Ok | Replconf::Flows) => ctx.out.ok(),
        // An acknowledgement of who follows nobody yet, or a question for a replica.
        Ok(Replconf::Silence | Replconf::AckNow) => {}
        Ok(Replconf::Names) => {
            let mut line = format!("LACEWING {}", ctx.core.shared.run_id);
            for name in ctx.core.shared.replica.names() {
                line.push(' ');
                line.push_str(name.as_str());
            }
            ctx.out.simple(&line);
        }
        Err(error) => return Err(CommandError::Text(error.to_string().into_bytes().into())),
    }
    Ok(Outcome::Done)
}

/// PSYNC replid offset [FAILOVER]: the connection is a replica's from now on, and the server goes on with it. With the last word it is
/// this server's master that says it, and this server is the master from then on.
fn psync(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let promotes = args.len() > 3 && args.at(3).eq_ignore_ascii_case(b"FAILOVER");
    if promotes {
        may_promote(ctx, args.at(1))?;
    }
    is_not_failing_over(ctx)?;
    let offset = parse_int(args.at(2)).ok_or(CommandError::NotInteger)?;
    if !promotes {
        is_not_its_master(ctx)?;
        has_data(ctx)?;
    }
    follow(ctx, Wants::Stream(args.at(1).into(), offset), promotes);
    Ok(Outcome::Done)
}

/// Whether it is this server's master that wants it to be the master: only that knows the name of its own history.
fn may_promote(ctx: &Ctx<'_>, replid: &[u8]) -> Result<(), CommandError> {
    if !ctx.core.shared.replica.is_replica() {
        return Err(CommandError::PROMOTION_OF_MASTER);
    }
    let own = ctx.core.shared.following.place().map(|place| place.at().replid);
    if own.is_none_or(|own| !own.as_str().as_bytes().eq_ignore_ascii_case(replid)) {
        return Err(CommandError::PROMOTION_BY_STRANGER);
    }
    Ok(())
}

pub(crate) fn is_not_failing_over(ctx: &Ctx<'_>) -> Result<(), CommandError> {
    match ctx.core.shared.masters.known().failover {
        FailoverState::None => Ok(()),
        FailoverState::WaitingForSync | FailoverState::InProgress => Err(CommandError::SYNC_FAILING_OVER),
    }
}

/// SYNC: the same for all data, which comes without a word before it.
fn sync(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    is_not_failing_over(ctx)?;
    is_not_its_master(ctx)?;
    has_data(ctx)?;
    follow(ctx, Wants::Everything, false);
    Ok(Outcome::Done)
}

/// Two that follow each other would take each other's data for ever. A Lacewing says who it is, and sees it before it asks; of others the
/// address is known that they have told, or come from: it is that which this server was told to follow, or that of its link.
fn is_not_its_master(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let replica = &ctx.core.shared.replica;
    let Some((master, peer)) = replica.master().map(|master| (master, replica.peer())) else { return Ok(()) };
    let client = ctx.client();
    let Some(follower) = &client.replica else { return Ok(()) };
    let from = client.addr.rsplit_once(':').map_or("", |(host, _)| host);
    let from = follower.ip_address.as_deref().unwrap_or(from);
    let is_linked = || peer.is_some_and(|peer| address(from) == Some(peer));
    if follower.listening_port == master.port && (from.eq_ignore_ascii_case(&master.host) || is_linked()) {
        return Err(CommandError::SYNC_BY_MASTER);
    }
    Ok(())
}

/// The address that a client has, or tells, if it is one.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// A replica whose master is away has nothing to pass on that is known to stay; so two that follow each other get nothing either.
pub(crate) fn has_data(ctx: &Ctx<'_>) -> Result<(), CommandError> {
    let now_ms = (ctx.core.nanos)() / 1_000_000;
    match ctx.core.shared.replica.facts(now_ms) {
        Some((facts, _)) if !facts.is_up() => Err(CommandError::NO_MASTER_LINK),
        _ => Ok(()),
    }
}

pub(crate) fn follow(ctx: &mut Ctx<'_>, wants: Wants, promotes: bool) {
    let now_ms = ctx.now.0.max(0) as u64;
    let client = ctx.client();
    let follower = client.replica.take().map_or_else(|| Follower::new(now_ms), |follower| *follower);
    // What was asked before is answered here.
    client.flags.set(ClientFlags::CLOSE_AFTER_REPLY, true);
    ctx.core.asks_to_follow = Some(Box::new(Asked { follower, wants, promotes }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::tests::facts;
    use crate::testing::{World, check};
    use replication::role::LinkState;

    #[test]
    fn a_master_may_be_told_to_be_one() {
        check(&["REPLICAOF NO ONE"], "+OK");
        check(&["slaveof no one"], "+OK");
        check(&["SLAVEOF NO ONE", "ROLE"], "*3 $6 master :0 *0");
    }

    #[test]
    fn a_master_is_not_given_the_data_that_it_gives() {
        let mut world = World::new(1);
        let to = MasterAddress { host: "127.0.0.1".to_owned(), port: 6379 };
        world.cores[0].shared.replica.tell(Some(to), facts(LinkState::Connected), 0);
        world.run("REPLCONF listening-port 6379");
        let refused = "-NOMASTERLINK Can't SYNC with the master of this server: one of them must be told REPLICAOF NO ONE";
        world.check(&["PSYNC ? -1"], refused);
        world.run("REPLCONF listening-port 6380");
        world.check(&["PSYNC ? -1"], "");
        world.run("REPLCONF listening-port 6379 ip-address 10.0.0.7");
        world.check(&["PSYNC ? -1"], "");
        world.run("REPLCONF listening-port 6379 ip-address 127.0.0.1");
        world.check(&["SYNC"], refused);
    }

    #[test]
    fn a_master_that_is_named_by_its_host_is_known_by_the_address_of_the_link() {
        let mut world = World::new(1);
        let to = MasterAddress { host: "redis.example".to_owned(), port: 6379 };
        world.cores[0].shared.replica.tell(Some(to), facts(LinkState::Connected), 0);
        world.cores[0].shared.replica.tell_peer("::ffff:10.0.0.7".parse().ok());
        let refused = "-NOMASTERLINK Can't SYNC with the master of this server: one of them must be told REPLICAOF NO ONE";
        for (said, answer) in [
            ("REPLCONF listening-port 6379 ip-address 10.0.0.7", refused),
            ("REPLCONF listening-port 6379 ip-address REDIS.example", refused),
            ("REPLCONF listening-port 6380 ip-address 10.0.0.7", ""),
            ("REPLCONF listening-port 6379 ip-address 10.0.0.8", ""),
        ] {
            world.run(said);
            world.check(&["PSYNC ? -1"], answer);
        }
    }

    #[test]
    fn who_wants_the_stream_too_is_served_whatever_the_payload_is_to_hold() {
        for wants in ["\"\"", "functions"] {
            let mut world = World::new(1);
            assert_eq!(world.run(&format!("REPLCONF rdb-filter-only {wants}")), "+OK");
            world.check(&["PSYNC ? -1"], "");
        }
    }

    #[test]
    fn a_replica_says_in_whose_history_it_is() {
        let mut world = World::new(1);
        let says = |world: &mut World| world.run(&format!("REPLCONF lacewing-id {}", "a".repeat(40)));
        let before = says(&mut world);
        let to = MasterAddress { host: "redis.example".to_owned(), port: 6379 };
        world.cores[0].shared.replica.tell(Some(to), facts(LinkState::Connected), 0);
        assert_eq!(says(&mut world), format!("{before} {}", "e".repeat(40)));
    }

    #[test]
    fn whom_it_follows_is_asked_of_the_server() {
        let mut world = World::new(1);
        world.run("REPLICAOF Redis.example 6379");
        let to = MasterAddress { host: "Redis.example".to_owned(), port: 6379 };
        assert_eq!(world.cores[0].waits_for_role.take(), Some(Wish::Follow(to.clone())));
        world.cores[0].shared.replica.tell(Some(to), facts(LinkState::Connected), 0);
        assert_eq!(world.cores[0].config.replicaof, world.cores[0].shared.replica.master());
        world.check(&["ROLE"], "*5 $5 slave $13 Redis.example :6379 $9 connected :77");
        let info = world.run("INFO replication");
        let here = format!("master_replid:{} ", "e".repeat(40));
        assert!(info.contains(&here) && info.contains(" master_repl_offset:77 "), "{info}");
        world.run("REPLICAOF no one");
        assert_eq!(world.cores[0].waits_for_role.take(), Some(Wish::NoOne));
        assert_eq!(world.cores[0].config.replicaof, None);
    }

    #[test]
    fn what_is_no_master() {
        check(&["REPLICAOF a -1"], "-ERR Invalid master port");
        check(&["REPLICAOF a 65536"], "-ERR Invalid master port");
        check(&["REPLICAOF NO TWO"], "-ERR Invalid master port");
        check(&["REPLICAOF \"\" 1"], "-ERR Invalid master host");
        check(&["REPLICAOF \"a b\" 1"], "-ERR Invalid master host");
    }

    #[test]
    fn a_failover_wants_replicas() {
        check(&["FAILOVER"], "-ERR FAILOVER requires connected replicas.");
        check(&["FAILOVER TO a 1"], "-ERR FAILOVER requires connected replicas.");
        check(&["FAILOVER ABORT"], "-ERR No failover in progress.");
        check(&["REPLICAOF NO"], "-ERR wrong number of arguments for 'replicaof' command");
    }

    #[test]
    fn a_replica_tells_of_itself_and_then_follows() {
        let mut world = World::new(1);
        world.check(&["REPLCONF listening-port 6380"], "+OK");
        world.check(&["REPLCONF capa eof capa psync2"], "+OK");
        world.check(&["REPLCONF ack 12"], "");
        world.check(&["REPLCONF nonsense 1"], "-ERR Unrecognized REPLCONF option: nonsense");
        world.check(&["PSYNC ? x"], "-ERR value is not an integer or out of range");
        assert!(world.cores[0].asks_to_follow.is_none());
        world.check(&["PSYNC ? -1"], "");
        let asked = world.cores[0].asks_to_follow.take().expect("it has asked");
        assert_eq!((asked.follower.listening_port, asked.follower.takes_marked), (6380, true));
        assert_eq!(asked.wants, Wants::Stream(b"?"[..].into(), -1));
        assert!(world.client().flags.has(ClientFlags::CLOSE_AFTER_REPLY));
        world.check(&["SYNC"], "");
        let asked = world.cores[0].asks_to_follow.take().expect("it has asked");
        assert_eq!(asked.wants, Wants::Everything);
    }
}
