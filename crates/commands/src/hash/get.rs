//! HGET, HMGET, HEXISTS, HSTRLEN and HLEN.

use super::{due, fields};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use datatypes::Element;
use stdx::Args;

pub(super) fn hget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    with_value(ctx, args, |out, value| match value {
        Some(value) => fields::reply(out, value),
        None => out.null(),
    })
}

pub(super) fn hexists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    with_value(ctx, args, |out, value| out.int(value.is_some().into()))
}

pub(super) fn hstrlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    with_value(ctx, args, |out, value| out.int(value.map_or(0, Element::text_len) as i64))
}

/// Lets `reply` answer for the value of the one field that is named, `None` when there is none.
#[inline]
fn with_value(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    reply: impl FnOnce(&mut resp::Reply<'_>, Option<Element<'_>>),
) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let (now, name) = (ctx.now, args.at(2));
    let entry = ctx.core.keyspace.find(ctx.caller.db, key, now, access);
    let field = match entry {
        Some(entry) => entry.hash().ok_or(CommandError::WrongType)?.field(name),
        None => None,
    };
    let is_due = field.is_some_and(|field| field.due(now));
    reply(&mut ctx.out, field.filter(|_| !is_due).map(|field| field.value));
    if is_due {
        due::remove(ctx, key, [name].into_iter());
    }
    Ok(Outcome::Done)
}

pub(super) fn hmget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, access, names) = (ctx.key(args.at(1)), ctx.read_access(), args.from(2));
    let now = ctx.now;
    let entry = ctx.core.keyspace.find(ctx.caller.db, key, now, access);
    let hash = match entry {
        Some(entry) => Some(entry.hash().ok_or(CommandError::WrongType)?),
        None => None,
    };
    let mut any_due = false;
    ctx.out.array(names.len());
    for name in names.iter() {
        match hash.and_then(|hash| hash.field(name)) {
            Some(field) if !field.due(now) => fields::reply(&mut ctx.out, field.value),
            field => {
                any_due |= field.is_some();
                ctx.out.null();
            }
        }
    }
    if any_due {
        due::remove(ctx, key, names.iter());
    }
    Ok(Outcome::Done)
}

pub(super) fn hlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let len = fields::find(ctx, key, access)?.map_or(0, |hash| hash.len());
    ctx.out.int(len as i64);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn values_of_fields() {
        check(&["HGET h f"], "$-1");
        check(&["HSET h f v", "HGET h f"], "$1 v");
        check(&["HSET h f v", "HGET h g"], "$-1");
        check(&["HSET h f 12", "HGET h f"], "$2 12");
        check(&["HSET h '' ''", "HGET h ''"], "$0 ");
        check(&["HSET h a 1 b 2", "HMGET h b c a b"], "*4 $1 2 $-1 $1 1 $1 2");
        check(&["HMGET h a b"], "*2 $-1 $-1");
        check(&["HSET h f v", "HEXISTS h f"], ":1");
        check(&["HSET h f v", "HEXISTS h g"], ":0");
        check(&["HSET h f -10", "HSTRLEN h f"], ":3");
        check(&["HSET h f text", "HSTRLEN h f"], ":4");
        check(&["HSTRLEN h f"], ":0");
        check(&["HLEN h"], ":0");
        check(&["HSET h a 1 b 2", "HLEN h"], ":2");
    }

    #[test]
    fn other_kinds_of_values() {
        const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        for line in ["HGET k f", "HMGET k f", "HEXISTS k f", "HSTRLEN k f", "HLEN k"] {
            check(&["SET k v", line], WRONG);
        }
        check(&["HSET h f v", "GET h"], WRONG);
        check(&["HSET h f v", "TYPE h"], "+hash");
    }

    #[test]
    fn a_due_field_is_gone_once_it_is_asked_for() {
        let mut world = World::new(1);
        world.run("HSET h a 1 b 2 c 3");
        world.run("HPEXPIRE h 10 FIELDS 2 a b");
        world.wait_ms(10);
        world.check(&["HLEN h"], ":3");
        world.check(&["HGET h a", "HLEN h"], ":2");
        world.check(&["HGET h a"], "$-1");
        world.check(&["HEXISTS h b"], ":0");
        world.check(&["HLEN h"], ":1");
        world.check(&["HMGET h a b c"], "*3 $-1 $-1 $1 3");
    }

    #[test]
    fn a_key_goes_with_its_last_field() {
        let mut world = World::new(1);
        for line in ["HGET h f", "HMGET h f g", "HSTRLEN h f"] {
            world.run("HSET h f v");
            world.run("HPEXPIRE h 10 FIELDS 1 f");
            world.wait_ms(10);
            world.check(&["EXISTS h"], ":1");
            world.check(&[line, "EXISTS h"], ":0");
        }
    }
}
