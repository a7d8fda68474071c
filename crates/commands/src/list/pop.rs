//! LPOP, RPOP, BLPOP and BRPOP.

use super::{parse_count, popped, reply};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Journal;
use crate::error::CommandError;
use crate::parking::{Parking, Wanted, until_seconds};
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use datatypes::Kind;
use datatypes::list::End;
use stdx::Args;

/// What both rows have in common.
const POP: Command = Command {
    arity: -2,
    flags: Flags::WRITE.or(Flags::FAST),
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "delete"])],
    crossing: Crossing::OneShard,
    since: "1.0.0",
    group: "list",
    complexity: "O(N) with N the number of elements that are taken",
    history: &[("6.2.0", "takes COUNT.")],
    args: &[Arg::key(), Arg::new("count", "integer").optional().since("6.2.0")],
    ..Command::EMPTY
};

pub(super) const LPOP: Command = Command {
    name: "lpop",
    handler: lpop,
    summary: "Takes the first element, or several, out of a list and answers it.",
    ..POP
};

pub(super) const RPOP: Command = Command {
    name: "rpop",
    handler: rpop,
    summary: "Takes the last element, or several, out of a list and answers it.",
    ..POP
};

/// What both blocking rows have in common.
const BLOCKING_POP: Command = Command {
    arity: -3,
    flags: Flags::WRITE.or(Flags::BLOCKING),
    categories: &["list"],
    keys: &[KeySpec::range(1, -2, 1, &["RW", "access", "delete"])],
    crossing: Crossing::TwoHops,
    journal: Journal::Rewritten,
    since: "2.0.0",
    group: "list",
    complexity: "O(N) with N the number of keys",
    history: &[("6.0.0", "`timeout` may be a fraction.")],
    args: &[Arg::key().multiple(), Arg::new("timeout", "double")],
    ..Command::EMPTY
};

pub(super) const BLPOP: Command = Command {
    name: "blpop",
    handler: blpop,
    summary: "Takes the first element out of the first of several lists that is there; waits for one if there is none.",
    ..BLOCKING_POP
};

pub(super) const BRPOP: Command = Command {
    name: "brpop",
    handler: brpop,
    summary: "Takes the last element out of the first of several lists that is there; waits for one if there is none.",
    ..BLOCKING_POP
};

fn lpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    pop(ctx, args, End::Front)
}

fn rpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    pop(ctx, args, End::Back)
}

#[inline]
fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    if args.len() > 2 {
        return pop_several(ctx, args, end);
    }
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, false, ctx.now, |editing| {
        editing.list().pop(end, 1, |element| reply(&mut ctx.out, element));
        editing.changed(1);
    })?;
    match edited {
        None => ctx.out.null(),
        Some(edited) => popped(ctx, key.bytes, end, edited.removed),
    }
    Ok(Outcome::Done)
}

fn pop_several(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Result<Outcome, CommandError> {
    if args.len() > 3 {
        let name = if end == End::Front { LPOP.name } else { RPOP.name };
        return Err(CommandError::Arity(name.into()));
    }
    let key = ctx.key(args.at(1));
    let count = parse_count(args.at(2), 0, CommandError::NOT_POSITIVE)?;
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, false, ctx.now, |editing| {
        let mut list = editing.list();
        let count = count.min(list.as_ref().len());
        ctx.out.array(count);
        list.pop(end, count, |element| reply(&mut ctx.out, element));
        editing.changed(count as u64);
    })?;
    match edited {
        None => ctx.out.null_array(),
        Some(edited) if count > 0 => popped(ctx, key.bytes, end, edited.removed),
        Some(_) => {}
    }
    Ok(Outcome::Done)
}

fn blpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    blocking_pop(ctx, args, End::Front)
}

fn brpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    blocking_pop(ctx, args, End::Back)
}

fn blocking_pop(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Result<Outcome, CommandError> {
    let last = args.len() - 1;
    let until = until_seconds(args.at(last), ctx.now)?;
    for name in args.part(1, last - 1).iter() {
        if ctx.core.is_reserved(name) {
            continue;
        }
        let key = ctx.key(name);
        let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, false, ctx.now, |editing| {
            ctx.out.array(2);
            ctx.out.bulk(name);
            editing.list().pop(end, 1, |element| reply(&mut ctx.out, element));
            editing.changed(1);
        })?;
        if let Some(edited) = edited {
            ctx.effect(name, &[if end == End::Front { b"LPOP" } else { b"RPOP" }, name]);
            popped(ctx, name, end, edited.removed);
            return Ok(Outcome::Done);
        }
    }
    if !ctx.may_park {
        ctx.out.null_array();
        return Ok(Outcome::Done);
    }
    Ok(ctx.park(Parking { until, keys: 1..last, wanted: Wanted::List, args: None }))
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    #[test]
    fn a_blocking_pop_takes_from_the_first_list_that_is_there() {
        check(&["RPUSH a 1 2", "BLPOP x a 0"], "*2 $1 a $1 1");
        check(&["RPUSH a 1 2", "BRPOP x a 0"], "*2 $1 a $1 2");
        check(&["RPUSH a 1", "SET s v", "BRPOP a s 0"], "*2 $1 a $1 1");
        check(
            &["SET s v", "RPUSH a 1", "BRPOP s a 0"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(&["BLPOP x y 0"], "(waits for 1..3 until None: List)");
        check(&["BRPOP x 0.5"], "(waits for 1..2 until Some(UnixMs(1700000000500)): List)");
        check(&["SET s v", "BLPOP s x"], "-ERR timeout is not a float or out of range");
        check(&["BLPOP x"], "-ERR wrong number of arguments for 'blpop' command");
        check_effects(&["RPUSH a 1 2", "BRPOP a 0"], "RPOP a");
        check_effects(&["BRPOP a 0"], "");
        check_events(&["RPUSH a 1", "BLPOP a 0"], "lpop:a del:a");
    }

    #[test]
    fn one_element_from_an_end() {
        check(&["RPUSH k a 17 c", "LPOP k"], "$1 a");
        check(&["RPUSH k a 17 c", "RPOP k"], "$1 c");
        check(&["RPUSH k a 17 c", "RPOP k", "RPOP k"], "$2 17");
        check(&["RPUSH k a", "RPOP k", "EXISTS k"], ":0");
        check(&["LPOP k"], "$-1");
        check(&["HELLO 3", "RPOP k"], "_");
    }

    #[test]
    fn several_elements_from_an_end() {
        check(&["RPUSH k a b c d", "LPOP k 2"], "*2 $1 a $1 b");
        check(&["RPUSH k a b c d", "RPOP k 3"], "*3 $1 d $1 c $1 b");
        check(&["RPUSH k a b c d", "RPOP k 9", "EXISTS k"], ":0");
        check(&["RPUSH k a b c d", "RPOP k 3", "LPOP k 9223372036854775807"], "*1 $1 a");
        check(&["RPUSH k a", "LPOP k 0"], "*0");
        check(&["LPOP k 0"], "*-1");
        check(&["HELLO 3", "RPOP k 3"], "_");
    }

    #[test]
    fn counts_that_are_none() {
        for text in ["-1", "x", "9223372036854775808", "''"] {
            check(&["SET k v", &format!("LPOP k {text}")], "-ERR value is out of range, must be positive");
        }
        check(&["RPOP k 1 2"], "-ERR wrong number of arguments for 'rpop' command");
        check(&["SET k v", "RPOP k 0"], "-WRONGTYPE Operation against a key holding the wrong kind of value");
        check(&["SET k v", "LPOP k"], "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }

    #[test]
    fn pops_are_told() {
        check_events(&["RPUSH k a b", "LPOP k"], "lpop:k");
        check_events(&["RPUSH k a b", "RPOP k 2"], "rpop:k del:k");
        check_events(&["RPUSH k a b", "RPOP k 0"], "");
        check_events(&["RPOP k 1"], "");
        check_effects(&["RPUSH k a b", "RPOP k 5"], "RPOP k 5");
        check_effects(&["RPUSH k a b", "RPOP k 0"], "");
    }
}
