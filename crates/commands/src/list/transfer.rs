//! LMOVE, RPOPLPUSH, BLMOVE and BRPOPLPUSH.

use super::{ENDS, parse_end, popped, pushed, reply};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Journal;
use crate::error::CommandError;
use crate::parking::{Parking, Wanted, until_seconds};
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use datatypes::Kind;
use datatypes::list::End;
use keyspace::Access;
use stdx::{Args, UnixMs};

/// What both rows have in common.
const MOVE: Command = Command {
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::SIGNALS),
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "delete"]), KeySpec::range(2, 2, 1, &["RW", "insert"])],
    crossing: Crossing::TwoHops,
    journal: Journal::Rewritten,
    group: "list",
    ..Command::EMPTY
};

const SOURCE: Arg = Arg::key_named("source", 0);
const DESTINATION: Arg = Arg::key_named("destination", 1);
const WHERE_FROM: Arg = Arg::one_of("wherefrom", ENDS);
const WHERE_TO: Arg = Arg::one_of("whereto", ENDS);

pub(super) const LMOVE: Command = Command {
    name: "lmove",
    arity: 5,
    handler: lmove,
    summary: "Takes an element from an end of a list, puts it at an end of another or the same, and answers it.",
    since: "6.2.0",
    args: &[SOURCE, DESTINATION, WHERE_FROM, WHERE_TO],
    ..MOVE
};

pub(super) const RPOPLPUSH: Command = Command {
    name: "rpoplpush",
    arity: 3,
    handler: rpoplpush,
    summary: "Takes the last element of a list, puts it at the front of another or the same, and answers it.",
    since: "1.2.0",
    deprecated: Some(("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")),
    args: &[SOURCE, DESTINATION],
    ..MOVE
};

pub(super) const BLMOVE: Command = Command {
    name: "blmove",
    arity: 6,
    flags: BLOCKING,
    handler: blmove,
    summary: "Takes an element from an end of a list, puts it at an end of another or the same, and answers it; waits for \
              one if there is none.",
    since: "6.2.0",
    args: &[SOURCE, DESTINATION, WHERE_FROM, WHERE_TO, Arg::new("timeout", "double")],
    ..MOVE
};

pub(super) const BRPOPLPUSH: Command = Command {
    name: "brpoplpush",
    arity: 4,
    flags: BLOCKING,
    handler: brpoplpush,
    summary: "Takes the last element of a list, puts it at the front of another or the same, and answers it; waits for one \
              if there is none.",
    since: "2.2.0",
    history: &[("6.0.0", "`timeout` may be a fraction.")],
    deprecated: Some(("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")),
    args: &[SOURCE, DESTINATION, Arg::new("timeout", "double")],
    ..MOVE
};

const BLOCKING: Flags = MOVE.flags.or(Flags::BLOCKING);

fn blmove(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (from, to) = (parse_end(args.at(3))?, parse_end(args.at(4))?);
    let until = until_seconds(args.at(5), ctx.now)?;
    transfer_or_park(ctx, args, (from, to), until)
}

fn brpoplpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let until = until_seconds(args.at(3), ctx.now)?;
    transfer_or_park(ctx, args, (End::Back, End::Front), until)
}

fn transfer_or_park(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    (from, to): (End, End),
    until: Option<UnixMs>,
) -> Result<Outcome, CommandError> {
    if !ctx.core.is_reserved(args.at(1)) && transfer(ctx, args, from, to)? {
        return Ok(Outcome::Done);
    }
    if !ctx.may_park {
        ctx.out.null();
        return Ok(Outcome::Done);
    }
    // It waits for the source alone.
    Ok(ctx.park(Parking { until, keys: 1..2, wanted: Wanted::List, args: None }))
}

fn lmove(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (from, to) = (parse_end(args.at(3))?, parse_end(args.at(4))?);
    transfer_or_null(ctx, args, from, to)
}

fn rpoplpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    transfer_or_null(ctx, args, End::Back, End::Front)
}

fn transfer_or_null(ctx: &mut Ctx<'_>, args: Args<'_>, from: End, to: End) -> Result<Outcome, CommandError> {
    if !transfer(ctx, args, from, to)? {
        ctx.out.null();
    }
    Ok(Outcome::Done)
}

/// Moves an element, and replies; false if there is no source.
fn transfer(ctx: &mut Ctx<'_>, args: Args<'_>, from: End, to: End) -> Result<bool, CommandError> {
    let (source, destination) = (args.at(1), args.at(2));
    let before = ctx.core.keyspace.stats.dirty;
    let start = ctx.out.written().len();
    let removed = if source == destination {
        if !rotate(ctx, source, from, to)? {
            return Ok(false);
        }
        false
    } else {
        let Some(removed) = pop(ctx, source, destination, from)? else { return Ok(false) };
        push(ctx, destination, start, to)?;
        removed
    };
    ctx.core.keyspace.stats.dirty = before + 1;
    if ctx.core.effects.journals() {
        say(ctx, source, destination, (from, to), start);
    }
    pushed(ctx, destination, to);
    popped(ctx, source, from, removed);
    Ok(true)
}

/// From one end of a list to an end of the same; false if there is no such list.
fn rotate(ctx: &mut Ctx<'_>, key: &[u8], from: End, to: End) -> Result<bool, CommandError> {
    let key = ctx.key(key);
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, false, ctx.now, |editing| {
        editing.list().rotate(from, to, |element| reply(&mut ctx.out, element));
        editing.changed(1);
    })?;
    Ok(edited.is_some())
}

/// Pops an element into the reply, if `destination` may take it; says whether that was the last, or `None` when there
/// is no such list.
fn pop(
    ctx: &mut Ctx<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
) -> Result<Option<bool>, CommandError> {
    let (source, destination) = (ctx.key(source), ctx.key(destination));
    let there = ctx.core.keyspace.find(ctx.caller.db, destination, ctx.now, Access::Peek);
    let may_take = there.is_none_or(|entry| entry.list().is_some());
    let edited = ctx.core.keyspace.edit(ctx.caller.db, source, Kind::List, false, ctx.now, |editing| {
        if may_take {
            editing.list().pop(from, 1, |element| reply(&mut ctx.out, element));
            editing.changed(1);
        }
    })?;
    match edited {
        Some(_) if !may_take => Err(CommandError::WrongType),
        edited => Ok(edited.map(|edited| edited.removed)),
    }
}

/// Pushes the element that the reply holds from `start` on.
fn push(ctx: &mut Ctx<'_>, destination: &[u8], start: usize, to: End) -> Result<(), CommandError> {
    let key = ctx.key(destination);
    let element = in_bulk(&ctx.out.written()[start..]);
    ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, true, ctx.now, |editing| {
        editing.list().push(to, std::iter::once(element));
        editing.changed(1);
    })?;
    Ok(())
}

/// The effects: one of each key.
fn say(ctx: &mut Ctx<'_>, source: &[u8], destination: &[u8], (from, to): (End, End), start: usize) {
    let element = in_bulk(&ctx.out.written()[start..]).to_vec();
    let pop: &[u8] = if from == End::Front { b"LPOP" } else { b"RPOP" };
    let push: &[u8] = if to == End::Front { b"LPUSH" } else { b"RPUSH" };
    let effects: [(&[u8], &[&[u8]]); 2] =
        [(source, &[pop, source]), (destination, &[push, destination, &element])];
    // A list of one element would go with its pop, and its expiry with it.
    let keeps_key = source == destination;
    for (key, effect) in if keeps_key { [effects[1], effects[0]] } else { effects } {
        ctx.effect(key, effect);
    }
}

/// What a bulk string holds.
fn in_bulk(resp: &[u8]) -> &[u8] {
    let head = resp.iter().position(|&byte| byte == b'\n').expect("a bulk string begins with a line") + 1;
    &resp[head..resp.len() - 2]
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects};

    #[test]
    fn blocking_moves_wait_for_their_source_alone() {
        check(&["RPUSH a 1 2", "BLMOVE a b LEFT RIGHT 0"], "$1 1");
        check(&["RPUSH a 1 2", "BRPOPLPUSH a a 0", "LRANGE a 0 -1"], "*2 $1 2 $1 1");
        check(&["BLMOVE a b LEFT RIGHT 0"], "(waits for 1..2 until None: List)");
        check(&["BRPOPLPUSH a b 1"], "(waits for 1..2 until Some(UnixMs(1700000001000)): List)");
        check(&["BLMOVE a b LEFT UP x"], "-ERR syntax error");
        check(&["BLMOVE a b LEFT LEFT x"], "-ERR timeout is not a float or out of range");
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        check(&["SET s v", "BLMOVE s b LEFT LEFT 0"], wrong);
        check(&["SET s v", "RPUSH a 1", "BLMOVE a s LEFT LEFT 0"], wrong);
        check(&["SET s v", "BLMOVE a s LEFT LEFT 0"], "(waits for 1..2 until None: List)");
        check_effects(&["RPUSH a 1 2", "BLMOVE a b LEFT RIGHT 0"], "LPOP a | RPUSH b 1");
    }
}
