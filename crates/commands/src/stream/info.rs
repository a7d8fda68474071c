//! XINFO.

use super::{is, reply};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use datatypes::stream::{Consumer, Group};
use datatypes::{Stream, StreamId};
use resp::Reply;
use stdx::Args;

pub(super) fn stream(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (out, stream) = found(ctx, args)?;
    match full_count(args)? {
        None => {
            out.map(10);
            facts(out, stream);
            out.bulk(b"groups");
            out.int(stream.group_len() as i64);
            out.bulk(b"first-entry");
            reply::edge(out, stream, false);
            out.bulk(b"last-entry");
            reply::edge(out, stream, true);
        }
        Some(count) => {
            let count = Some(count).filter(|&count| count > 0);
            out.map(9);
            facts(out, stream);
            out.bulk(b"entries");
            reply::entries(out, stream.log().range(StreamId::MIN, StreamId::MAX), count);
            out.bulk(b"groups");
            out.array(stream.group_len());
            for (name, group) in stream.groups() {
                full_group(out, stream, name, group, count);
            }
        }
    }
    Ok(Outcome::Done)
}

/// FULL's COUNT, 0 for all; `None` without FULL.
fn full_count(args: Args<'_>) -> Result<Option<u64>, CommandError> {
    let misfit = || CommandError::subcommand("XINFO", args.at(1));
    match args.len() {
        3 => return Ok(None),
        4 | 6 if is(args.at(3), "FULL") => {}
        _ => return Err(misfit()),
    }
    let Some(count) = args.get(5) else { return Ok(Some(FULL_COUNT)) };
    if !is(args.at(4), "COUNT") {
        return Err(misfit());
    }
    let count = crate::ctx::parse_int(count).ok_or(CommandError::NotInteger)?;
    Ok(Some(u64::try_from(count).unwrap_or(FULL_COUNT)))
}

/// What both forms of XINFO STREAM begin with.
fn facts(out: &mut Reply<'_>, stream: &Stream) {
    let log = stream.log();
    let numbers = [
        ("length", log.len()),
        ("radix-tree-keys", log.block_count() as u64),
        ("radix-tree-nodes", log.radix_nodes()),
    ];
    for (name, number) in numbers {
        out.bulk(name.as_bytes());
        out.int(number as i64);
    }
    for (name, id) in [("last-generated-id", log.last_id()), ("max-deleted-entry-id", log.max_deleted_id())] {
        out.bulk(name.as_bytes());
        reply::id(out, id);
    }
    out.bulk(b"entries-added");
    out.int(log.entries_added() as i64);
    out.bulk(b"recorded-first-entry-id");
    reply::id(out, log.first_id());
}

fn full_group(out: &mut Reply<'_>, stream: &Stream, name: &[u8], group: &Group, count: Option<u64>) {
    let count = count.map_or(usize::MAX, |count| count as usize);
    out.map(7);
    out.bulk(b"name");
    out.bulk(name);
    progress(out, stream, group);
    out.bulk(b"pel-count");
    out.int(group.pending_len() as i64);
    out.bulk(b"pending");
    out.array(group.pending_len().min(count));
    for (id, pending) in group.pending_from(StreamId::MIN).take(count) {
        out.array(4);
        reply::id(out, id);
        out.bulk(group.consumer(pending.consumer).name());
        out.int(pending.delivered_ms);
        out.int(pending.deliveries as i64);
    }
    out.bulk(b"consumers");
    out.array(group.consumer_len());
    for consumer in group.consumers() {
        full_consumer(out, group, consumer, count);
    }
}

fn full_consumer(out: &mut Reply<'_>, group: &Group, consumer: &Consumer, count: usize) {
    out.map(5);
    out.bulk(b"name");
    out.bulk(consumer.name());
    out.bulk(b"seen-time");
    out.int(consumer.seen_ms);
    out.bulk(b"active-time");
    out.int(consumer.active_ms.unwrap_or(-1));
    out.bulk(b"pel-count");
    out.int(consumer.pending_len() as i64);
    out.bulk(b"pending");
    out.array(consumer.pending_len().min(count));
    for id in consumer.pending(StreamId::MIN).take(count) {
        let pending = group.pending(id).expect("what a consumer has, its group has");
        out.array(3);
        reply::id(out, id);
        out.int(pending.delivered_ms);
        out.int(pending.deliveries as i64);
    }
}

/// How far a group is: its last id, what it has read, and what it has yet to read.
fn progress(out: &mut Reply<'_>, stream: &Stream, group: &Group) {
    out.bulk(b"last-delivered-id");
    reply::id(out, group.last_id);
    for (name, number) in [("entries-read", group.entries_read), ("lag", group.lag(stream.log()))] {
        out.bulk(name.as_bytes());
        match number {
            Some(number) => out.int(number),
            None => out.null(),
        }
    }
}

pub(super) fn groups(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (out, stream) = found(ctx, args)?;
    out.array(stream.group_len());
    for (name, group) in stream.groups() {
        out.map(6);
        out.bulk(b"name");
        out.bulk(name);
        out.bulk(b"consumers");
        out.int(group.consumer_len() as i64);
        out.bulk(b"pending");
        out.int(group.pending_len() as i64);
        progress(out, stream, group);
    }
    Ok(Outcome::Done)
}

pub(super) fn consumers(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let now_ms = ctx.now.0;
    let (out, stream) = found(ctx, args)?;
    let group = stream.group(args.at(3)).ok_or_else(|| CommandError::no_group(args.at(3), args.at(2)))?;
    out.array(group.consumer_len());
    for consumer in group.consumers() {
        out.map(4);
        out.bulk(b"name");
        out.bulk(consumer.name());
        out.bulk(b"pending");
        out.int(consumer.pending_len() as i64);
        out.bulk(b"idle");
        out.int(now_ms.wrapping_sub(consumer.seen_ms).max(0));
        out.bulk(b"inactive");
        out.int(consumer.active_ms.map_or(-1, |active_ms| now_ms.wrapping_sub(active_ms)));
    }
    Ok(Outcome::Done)
}

/// The stream named by argument 2, and where to write. Errors: `NoSuchKey`, `WrongType`.
fn found<'c, 'o>(
    ctx: &'c mut Ctx<'o>,
    args: Args<'_>,
) -> Result<(&'c mut Reply<'o>, &'c Stream), CommandError> {
    let (access, key) = (ctx.read_access(), ctx.key(args.at(2)));
    let entry = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access).ok_or(CommandError::NoSuchKey)?;
    Ok((&mut ctx.out, entry.stream().ok_or(CommandError::WrongType)?))
}

/// Entries and pending entries that FULL answers when COUNT does not say how many.
const FULL_COUNT: u64 = 10;

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};
    use resp::Proto;

    const FACTS: &str = "$6 length :2 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 2-0 \
                         $20 max-deleted-entry-id $3 0-0 $13 entries-added :2 $23 recorded-first-entry-id $3 1-0";
    const FIRST: &str = "*2 $3 1-0 *2 $1 f $1 v";
    const SECOND: &str = "*2 $3 2-0 *2 $1 f $1 v";

    fn world() -> World {
        let mut world = World::new(1);
        let read = "XREADGROUP GROUP g c COUNT 1 STREAMS s >";
        for command in ["XADD s 1 f v", "XADD s 2 f v", "XGROUP CREATE s g 0", read] {
            world.run(command);
        }
        world.wait_ms(5);
        world
    }

    #[test]
    fn a_stream_tells_about_itself() {
        let expected = format!("*20 {FACTS} $6 groups :1 $11 first-entry {FIRST} $10 last-entry {SECOND}");
        world().check(&["XINFO STREAM s"], &expected);
        let mut world = world();
        world.client().proto = Proto::Resp3;
        world.check(&["XINFO STREAM s"], &expected.replace("*20", "%10"));
        check(&["XINFO STREAM s"], "-ERR no such key");
    }

    #[test]
    fn a_stream_tells_everything() {
        let group = "*14 $4 name $1 g $17 last-delivered-id $3 1-0 $12 entries-read :1 $3 lag :1 $9 pel-count :1 \
                     $7 pending *1 *4 $3 1-0 $1 c :1700000000000 :1";
        let consumer = "*10 $4 name $1 c $9 seen-time :1700000000000 $11 active-time :1700000000000 $9 pel-count :1 \
                        $7 pending *1 *3 $3 1-0 :1700000000000 :1";
        let expected = |len: usize, entries: &str| {
            format!("*18 {FACTS} $7 entries *{len} {entries} $6 groups *1 {group} $9 consumers *1 {consumer}")
        };
        world().check(&["XINFO STREAM s FULL"], &expected(2, &format!("{FIRST} {SECOND}")));
        world().check(&["XINFO STREAM s FULL COUNT 1"], &expected(1, FIRST));
        let misfit = "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.";
        world().check(&["XINFO STREAM s FULL COUNT"], misfit);
        world().check(&["XINFO STREAM s PART"], misfit);
        world().check(&["XINFO STREAM s FULL COUNT x"], "-ERR value is not an integer or out of range");
    }

    #[test]
    fn groups_and_consumers() {
        let group = "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :1 $17 last-delivered-id $3 1-0 \
                     $12 entries-read :1 $3 lag :1";
        world().check(&["XINFO GROUPS s"], group);
        world().check(&["XINFO CONSUMERS s g"], "*1 *8 $4 name $1 c $7 pending :1 $4 idle :5 $8 inactive :5");
        world().check(&["XINFO CONSUMERS s h"], "-NOGROUP No such consumer group 'h' for key name 's'");
        let idle = "*1 *8 $4 name $1 c $7 pending :0 $4 idle :0 $8 inactive :-1";
        check(&["XGROUP CREATE s g $ MKSTREAM", "XGROUP CREATECONSUMER s g c", "XINFO CONSUMERS s g"], idle);
    }

    #[test]
    fn lag_is_told_where_it_can_be_counted() {
        let lag = |commands: &[&str], expected: &str| {
            let mut world = world();
            commands.iter().for_each(|command| drop(world.run(command)));
            let reply = world.run("XINFO GROUPS s");
            assert!(reply.ends_with(&format!("entries-read {expected}")), "{commands:?}: {reply}");
        };
        lag(&[], ":1 $3 lag :1");
        lag(&["XDEL s 2"], ":1 $3 lag $-1");
        lag(&["XDEL s 1"], ":1 $3 lag :1");
        lag(&["XGROUP SETID s g 0"], "$-1 $3 lag :2");
        lag(&["XGROUP SETID s g 1-5"], "$-1 $3 lag $-1");
        lag(&["XGROUP SETID s g $"], "$-1 $3 lag :0");
        lag(&["XTRIM s MAXLEN 0"], ":1 $3 lag :1");
    }
}
