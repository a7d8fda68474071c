//! HGETALL, HKEYS and HVALS.

use super::fields;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use datatypes::hash::Field;
use resp::Reply;
use stdx::Args;

pub(super) fn hgetall(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    every(ctx, args, Reply::map, |out, field| {
        fields::reply(out, field.name);
        fields::reply(out, field.value);
    })
}

pub(super) fn hkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    every(ctx, args, Reply::array, |out, field| fields::reply(out, field.name))
}

pub(super) fn hvals(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    every(ctx, args, Reply::array, |out, field| fields::reply(out, field.value))
}

/// Answers an aggregate, which `open` begins, of what `reply` writes for every field that is not due.
#[inline]
fn every<'o>(
    ctx: &mut Ctx<'o>,
    args: Args<'_>,
    open: impl FnOnce(&mut Reply<'o>, usize),
    reply: impl Fn(&mut Reply<'o>, Field<'_>),
) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let Some(entry) = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) else {
        open(&mut ctx.out, 0);
        return Ok(Outcome::Done);
    };
    let hash = entry.hash().ok_or(CommandError::WrongType)?;
    open(&mut ctx.out, hash.live_len(ctx.now));
    for field in hash.iter().filter(|field| !field.due(ctx.now)) {
        reply(&mut ctx.out, field);
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn everything_in_the_order_it_came() {
        check(&["HGETALL h"], "*0");
        check(&["HSET h b 1 a 2", "HGETALL h"], "*4 $1 b $1 1 $1 a $1 2");
        check(&["HSET h b 1 a 2", "HKEYS h"], "*2 $1 b $1 a");
        check(&["HSET h b 1 a 2", "HVALS h"], "*2 $1 1 $1 2");
        check(&["HELLO 3", "HSET h b 1 a 2", "HGETALL h"], "%2 $1 b $1 1 $1 a $1 2");
        check(&["HELLO 3", "HGETALL h"], "%0");
        check(&["HELLO 3", "HKEYS h"], "*0");
        check(&["SET h v", "HVALS h"], "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }

    #[test]
    fn due_fields_are_left_out() {
        let mut world = World::new(1);
        let long = "v".repeat(65);
        for value in ["2", &long] {
            world.run(&format!("HSET h a 1 b {value}"));
            world.run("HPEXPIRE h 10 FIELDS 1 b");
            world.wait_ms(10);
            world.check(&["HGETALL h"], "*2 $1 a $1 1");
            world.check(&["HKEYS h"], "*1 $1 a");
            world.check(&["HVALS h"], "*1 $1 1");
            world.run("DEL h");
        }
    }
}
