//! INCR, DECR, INCRBY, DECRBY and INCRBYFLOAT.

use super::value;
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::effects::{Event, Journal};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use keyspace::{Access, NewString, StringRef, Ttl};
use stdx::Args;
use stdx::number::longdouble::{self, LongDoubleError};

pub(super) const INCR: Command = Command {
    name: "incr",
    arity: 2,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    crossing: Crossing::OneShard,
    handler: incr,
    summary: "Adds one to a number; a key that is not there counts as 0.",
    since: "1.0.0",
    group: "string",
    args: &[Arg::key()],
    ..Command::EMPTY
};

#[inline]
fn incr(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    add(ctx, args, 1)
}

pub(super) const DECR: Command = Command {
    name: "decr",
    arity: 2,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    crossing: Crossing::OneShard,
    handler: decr,
    summary: "Takes one from a number; a key that is not there counts as 0.",
    since: "1.0.0",
    group: "string",
    args: &[Arg::key()],
    ..Command::EMPTY
};

fn decr(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    add(ctx, args, -1)
}

pub(super) const INCRBY: Command = Command {
    name: "incrby",
    arity: 3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    crossing: Crossing::OneShard,
    handler: incrby,
    summary: "Adds to a number; a key that is not there counts as 0.",
    since: "1.0.0",
    group: "string",
    args: &[Arg::key(), Arg::new("increment", "integer")],
    ..Command::EMPTY
};

fn incrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let by = ctx.int(args, 2)?;
    add(ctx, args, by)
}

pub(super) const DECRBY: Command = Command {
    name: "decrby",
    arity: 3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    crossing: Crossing::OneShard,
    handler: decrby,
    summary: "Takes from a number; a key that is not there counts as 0.",
    since: "1.0.0",
    group: "string",
    args: &[Arg::key(), Arg::new("decrement", "integer")],
    ..Command::EMPTY
};

fn decrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let by = ctx.int(args, 2)?.checked_neg().ok_or(CommandError::DECREMENT_OVERFLOW)?;
    add(ctx, args, by)
}

#[inline]
fn add(ctx: &mut Ctx<'_>, args: Args<'_>, by: i64) -> Result<Outcome, CommandError> {
    let old = match value::find(ctx, args.at(1), Access::Write)? {
        None => 0,
        Some(StringRef::Int(int)) => int,
        Some(StringRef::Bytes(bytes)) => parse_int(bytes).ok_or(CommandError::NotInteger)?,
    };
    let new = old.checked_add(by).ok_or(CommandError::OVERFLOW)?;
    let key = ctx.key(args.at(1));
    ctx.core.keyspace.set_string(ctx.caller.db, key, NewString::Int(new), Ttl::Keep, ctx.now);
    ctx.event(Event::STRING, "incrby", args.at(1));
    ctx.out.int(new);
    Ok(Outcome::Done)
}

pub(super) const INCRBYFLOAT: Command = Command {
    name: "incrbyfloat",
    arity: 3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    crossing: Crossing::OneShard,
    journal: Journal::Rewritten,
    handler: incrbyfloat,
    summary: "Adds to a floating point number; a key that is not there counts as 0.",
    since: "2.6.0",
    group: "string",
    args: &[Arg::key(), Arg::new("increment", "double")],
    ..Command::EMPTY
};

fn incrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let old = value::find(ctx, args.at(1), Access::Write)?.unwrap_or(StringRef::Int(0));
    let sum =
        value::with_bytes(old, |old| longdouble::add(old, args.at(2))).map_err(|error| match error {
            LongDoubleError::NotAFloat => CommandError::NotFloat,
            LongDoubleError::NanOrInfinity => CommandError::NOT_FINITE,
        })?;
    let key = ctx.key(args.at(1));
    ctx.core.keyspace.set_string(ctx.caller.db, key, NewString::Text(sum.as_bytes()), Ttl::Keep, ctx.now);
    ctx.event(Event::STRING, "incrbyfloat", args.at(1));
    ctx.effect(args.at(1), &[b"SET", args.at(1), sum.as_bytes(), b"KEEPTTL"]);
    ctx.out.bulk(sum.as_bytes());
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    #[test]
    fn counting_up_and_down() {
        check(&["INCR k"], ":1");
        check(&["DECR k"], ":-1");
        check(&["SET k 5", "INCR k", "GET k"], "$1 6");
        check(&["INCRBY k 41", "INCRBY k 1"], ":42");
        check(&["DECRBY k 3"], ":-3");
        check(&["INCRBY k -9223372036854775808"], ":-9223372036854775808");
        check(&["SET k 1 EX 10", "INCR k", "TTL k"], ":10");
    }

    #[test]
    fn what_is_no_integer() {
        const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
        for value in ["a", "''", "' 1'", "'1 '", "1.5", "+1", "01", "-0", "9223372036854775808"] {
            check(&[&format!("SET k {value}"), "INCR k"], NOT_INTEGER);
        }
        check(&["INCRBY k 1.0"], NOT_INTEGER);
        check(&["DECRBY k x"], NOT_INTEGER);
    }

    #[test]
    fn overflow() {
        check(&["SET k 9223372036854775807", "INCR k"], "-ERR increment or decrement would overflow");
        check(&["SET k -9223372036854775808", "DECR k"], "-ERR increment or decrement would overflow");
        check(&["DECRBY k -9223372036854775808"], "-ERR decrement would overflow");
    }

    #[test]
    fn effects_and_events() {
        check_effects(&["INCR k"], "INCR k");
        check_effects(&["DECRBY k 5"], "DECRBY k 5");
        check_effects(&["SET k a", "INCR k"], "");
        check_effects(&["SET k 10 EX 5", "INCRBYFLOAT k 0.5"], "SET k 10.5 KEEPTTL");
        for line in ["INCR k", "DECR k", "INCRBY k 2", "DECRBY k 2"] {
            check_events(&[line], "incrby:k");
        }
        check_events(&["INCRBYFLOAT k 2"], "incrbyfloat:k");
        check_events(&["SET k a", "INCR k"], "");
    }

    #[test]
    fn floats() {
        check(&["INCRBYFLOAT k 0.1"], "$3 0.1");
        check(&["SET k 10.50", "INCRBYFLOAT k 0.1"], "$4 10.6");
        check(&["SET k 5.0e3", "INCRBYFLOAT k 2.0e2"], "$4 5200");
        check(&["SET k 3", "INCRBYFLOAT k -5"], "$2 -2");
        check(&["SET k 1 EX 10", "INCRBYFLOAT k 1.5", "TTL k"], ":10");
        check(&["SET k abc", "INCRBYFLOAT k 1"], "-ERR value is not a valid float");
        check(&["INCRBYFLOAT k abc"], "-ERR value is not a valid float");
        check(&["INCRBYFLOAT k inf"], "-ERR increment would produce NaN or Infinity");
    }
}
