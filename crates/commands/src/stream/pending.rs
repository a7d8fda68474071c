//! XPENDING.

use super::{is, range_end, range_start, reply};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use datatypes::StreamId;
use datatypes::stream::{Group, Pending};
use resp::Reply;
use stdx::Args;

/// What XPENDING with a range asks for.
struct Range<'a> {
    idle_min: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

pub(super) fn xpending(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let range = match args.len() {
        3 => None,
        6..=9 => Some(parse(ctx, args)?),
        _ => return Err(CommandError::Syntax),
    };
    let (access, now_ms, key) = (ctx.read_access(), ctx.now.0, ctx.key(args.at(1)));
    let missing = || CommandError::no_key_or_group(args.at(1), args.at(2), "");
    let entry = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access).ok_or_else(missing)?;
    let stream = entry.stream().ok_or(CommandError::WrongType)?;
    let group = stream.group(args.at(2)).ok_or_else(missing)?;
    match range {
        None => summary(&mut ctx.out, group),
        Some(range) => list(&mut ctx.out, group, &range, now_ms),
    }
    Ok(Outcome::Done)
}

fn parse<'a>(ctx: &Ctx<'_>, args: Args<'a>) -> Result<Range<'a>, CommandError> {
    let (mut at, mut idle_min) = (3, 0);
    if is(args.at(3), "IDLE") {
        idle_min = ctx.int(args, 4)?;
        if args.len() < 8 {
            return Err(CommandError::Syntax);
        }
        at = 5;
    }
    let count = usize::try_from(ctx.int(args, at + 2)?).unwrap_or(0);
    let (start, end) = (range_start(args.at(at))?, range_end(args.at(at + 1))?);
    Ok(Range { idle_min, start, end, count, consumer: args.get(at + 3) })
}

/// How many entries are pending, from which to which, and how many for each consumer.
fn summary(out: &mut Reply<'_>, group: &Group) {
    out.array(4);
    out.int(group.pending_len() as i64);
    let Some((first, last)) = group.pending_span() else {
        out.null();
        out.null();
        out.null_array();
        return;
    };
    reply::id(out, first);
    reply::id(out, last);
    let (at, mut len) = (out.deferred(), 0);
    for consumer in group.consumers().filter(|consumer| consumer.pending_len() > 0) {
        out.array(2);
        out.bulk(consumer.name());
        out.bulk_int(consumer.pending_len() as i64);
        len += 1;
    }
    out.close_array(at, len);
}

fn list(out: &mut Reply<'_>, group: &Group, range: &Range<'_>, now_ms: i64) {
    let (at, mut len) = (out.deferred(), 0);
    // Says whether there may be more.
    let mut one = |id: StreamId, pending: &Pending| {
        let idle = now_ms.wrapping_sub(pending.delivered_ms);
        if range.idle_min == 0 || idle >= range.idle_min {
            out.array(4);
            reply::id(out, id);
            out.bulk(group.consumer(pending.consumer).name());
            out.int(idle.max(0));
            out.int(pending.deliveries as i64);
            len += 1;
        }
        len < range.count
    };
    if range.count > 0 {
        match range.consumer {
            None => {
                let mut within = group.pending_from(range.start).take_while(|(id, _)| *id <= range.end);
                within.all(|(id, pending)| one(id, pending));
            }
            Some(name) => {
                let consumer = group.find_consumer(name).map(|id| group.consumer(id));
                let ids = consumer.into_iter().flat_map(|consumer| consumer.pending(range.start));
                let mut within = ids.take_while(|id| *id <= range.end);
                within.all(|id| one(id, group.pending(id).expect("what a consumer has, its group has")));
            }
        }
    }
    out.close_array(at, len);
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    const READ: [&str; 6] = [
        "XADD s 1 f v",
        "XADD s 2 f v",
        "XADD s 3 f v",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g c COUNT 2 STREAMS s >",
        "XREADGROUP GROUP g d STREAMS s >",
    ];

    #[track_caller]
    fn check_after(command: &str, expected: &str) {
        let mut world = World::new(1);
        READ.iter().for_each(|command| drop(world.run(command)));
        world.wait_ms(50);
        world.check(&[command], expected);
    }

    #[test]
    fn a_summary_and_ranges() {
        check_after("XPENDING s g", "*4 :3 $3 1-0 $3 3-0 *2 *2 $1 c $1 2 *2 $1 d $1 1");
        check_after("XPENDING s g - + 1", "*1 *4 $3 1-0 $1 c :50 :1");
        check_after("XPENDING s g (1 2 9", "*1 *4 $3 2-0 $1 c :50 :1");
        check_after("XPENDING s g - + 9 d", "*1 *4 $3 3-0 $1 d :50 :1");
        check_after("XPENDING s g - + 9 e", "*0");
        check_after("XPENDING s g - + 0", "*0");
        check_after("XPENDING s g - + -1", "*0");
        check_after("XPENDING s g IDLE 51 - + 9", "*0");
        check_after("XPENDING s g IDLE 50 - + 9 d", "*1 *4 $3 3-0 $1 d :50 :1");
    }

    #[test]
    fn what_is_wrong_is_told_in_order() {
        check(&["XPENDING s g - +"], "-ERR syntax error");
        check(&["XPENDING s g IDLE 1 - +"], "-ERR syntax error");
        check(&["XPENDING s g IDLE x - +"], "-ERR value is not an integer or out of range");
        check(&["XPENDING s g x + y"], "-ERR value is not an integer or out of range");
        check(&["XPENDING s g x + 1"], "-ERR Invalid stream ID specified as stream command argument");
        check(&["XPENDING s g - + 1"], "-NOGROUP No such key 's' or consumer group 'g'");
        check(
            &["SET s v", "XPENDING s g"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
