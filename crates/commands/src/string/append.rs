//! APPEND and SETRANGE: changing a part of a string.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use keyspace::{Access, NewString, Ttl};
use stdx::Args;

pub(super) const APPEND: Command = Command {
    name: "append",
    arity: 3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "insert"])],
    crossing: Crossing::OneShard,
    handler: append,
    summary: "Adds bytes at the end of a string, which is made when it is not there.",
    since: "2.0.0",
    group: "string",
    complexity: "O(1) amortized: a string that grows doubles its room, so small additions seldom copy it",
    args: &[Arg::key(), Arg::new("value", "string")],
    ..Command::EMPTY
};

fn append(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let added = args.at(2);
    let old = value::find(ctx, args.at(1), Access::Write)?.map(value::len);
    let key = ctx.key(args.at(1));
    let len = match old {
        None => {
            ctx.core.keyspace.set_string(ctx.caller.db, key, NewString::Bytes(added), Ttl::Clear, ctx.now);
            added.len()
        }
        Some(len) => {
            value::check_len(ctx, len, added.len())?;
            ctx.core.keyspace.append(ctx.caller.db, key, added, ctx.now)
        }
    };
    ctx.event(Event::STRING, "append", args.at(1));
    ctx.out.int(len as i64);
    Ok(Outcome::Done)
}

pub(super) const SETRANGE: Command = Command {
    name: "setrange",
    arity: 4,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "update"])],
    crossing: Crossing::OneShard,
    handler: setrange,
    summary: "Overwrites a string from an offset on, with zero bytes before it where it was shorter.",
    since: "2.2.0",
    group: "string",
    complexity: "O(M) with M the length of the value, and O(1) for short ones",
    args: &[Arg::key(), Arg::new("offset", "integer"), Arg::new("value", "string")],
    ..Command::EMPTY
};

fn setrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let offset = ctx.int(args, 2)?;
    let offset = usize::try_from(offset).map_err(|_| CommandError::OFFSET_RANGE)?;
    let written = args.at(3);
    let old = value::find(ctx, args.at(1), Access::Write)?.map_or(0, value::len);
    if written.is_empty() {
        ctx.out.int(old as i64);
        return Ok(Outcome::Done);
    }
    value::check_len(ctx, offset, written.len())?;
    let key = ctx.key(args.at(1));
    let len = ctx.core.keyspace.set_range(ctx.caller.db, key, offset, written, ctx.now);
    ctx.event(Event::STRING, "setrange", args.at(1));
    ctx.out.int(len as i64);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    const TOO_LONG: &str = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";

    #[test]
    fn append_makes_and_extends() {
        check(&["APPEND k ab"], ":2");
        check(&["APPEND k ab", "APPEND k cd", "GET k"], "$4 abcd");
        check(&["SET k 12", "APPEND k 3"], ":3");
        check(&["SET k 12", "APPEND k 3", "INCR k"], ":124");
        check(&["SET k a EX 10", "APPEND k b", "TTL k"], ":10");
        check(&["APPEND k 12", "OBJECT ENCODING k"], "$3 int");
    }

    #[test]
    fn setrange_overwrites_and_pads() {
        check(&["SETRANGE k 0 ''"], ":0");
        check(&["SETRANGE k 5 ''", "EXISTS k"], ":0");
        check(&["SETRANGE k 2 ab", "GET k"], r"$4 \x00\x00ab");
        check(&["SET k hello", "SETRANGE k 1 ipp"], ":5");
        check(&["SET k hello", "SETRANGE k 1 ipp", "GET k"], "$5 hippo");
        check(&["SET k hello", "SETRANGE k 9 ''"], ":5");
        check(&["SET k 1234", "SETRANGE k 1 99", "GET k"], "$4 1994");
        check(&["SET k hello EX 10", "SETRANGE k 0 H", "TTL k"], ":10");
    }

    #[test]
    fn both_are_their_own_effect() {
        check_effects(&["APPEND k v"], "APPEND k v");
        check_events(&["APPEND k ''"], "append:k");
        check_effects(&["SETRANGE k 2 v"], "SETRANGE k 2 v");
        check_events(&["SETRANGE k 2 v"], "setrange:k");
        check_effects(&["SETRANGE k 2 ''"], "");
        check_events(&["SETRANGE k 2 ''"], "");
    }

    #[test]
    fn offsets_out_of_range() {
        check(&["SETRANGE k -1 a"], "-ERR offset is out of range");
        check(&["SETRANGE k x a"], "-ERR value is not an integer or out of range");
        check(&["SETRANGE k 536870912 a"], TOO_LONG);
        check(&["SETRANGE k 9223372036854775807 a"], TOO_LONG);
        check(&["SET k a", "SETRANGE k 536870911 ab"], TOO_LONG);
        check(&["SETRANGE k 9223372036854775807 ''"], ":0");
    }

    #[test]
    fn append_stops_at_the_limit() {
        let mut world = World::new(1);
        world.cores[0].config.proto_max_bulk_len = 4;
        world.check(&["SET k abc", "APPEND k d"], ":4");
        world.check(&["APPEND k e"], TOO_LONG);
        world.check(&["GET k"], "$4 abcd");
    }
}
