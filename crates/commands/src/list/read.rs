//! LLEN, LINDEX and LRANGE.

use super::{place, range, reply};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use datatypes::ListRef;
use stdx::Args;

pub(super) const LLEN: Command = Command {
    name: "llen",
    arity: 2,
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RO"])],
    crossing: Crossing::OneShard,
    handler: llen,
    summary: "Answers how many elements a list has.",
    since: "1.0.0",
    group: "list",
    args: &[Arg::key()],
    ..Command::EMPTY
};

fn llen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let len = find(ctx, args)?.map_or(0, |list| list.len());
    ctx.out.int(len as i64);
    Ok(Outcome::Done)
}

pub(super) const LINDEX: Command = Command {
    name: "lindex",
    arity: 3,
    flags: Flags::READONLY,
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    handler: lindex,
    summary: "Answers the element at an index, which counts from the end when negative.",
    since: "1.0.0",
    group: "list",
    complexity: "O(log(N)) with N the length of the list",
    args: &[Arg::key(), Arg::new("index", "integer")],
    ..Command::EMPTY
};

fn lindex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let Some(entry) = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) else {
        ctx.out.null();
        return Ok(Outcome::Done);
    };
    let list = entry.list().ok_or(CommandError::WrongType)?;
    let index = crate::ctx::parse_int(args.at(2)).ok_or(CommandError::NotInteger)?;
    match place(index, list.len()).and_then(|index| list.get(index)) {
        Some(element) => reply(&mut ctx.out, element),
        None => ctx.out.null(),
    }
    Ok(Outcome::Done)
}

pub(super) const LRANGE: Command = Command {
    name: "lrange",
    arity: 4,
    flags: Flags::READONLY,
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    handler: lrange,
    summary: "Answers the elements from one index to another, both included.",
    since: "1.0.0",
    group: "list",
    complexity: "O(log(N)+M) with N the length of the list and M the number of elements answered",
    args: &[Arg::key(), Arg::new("start", "integer"), Arg::new("stop", "integer")],
    ..Command::EMPTY
};

fn lrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (start, stop) = (ctx.int(args, 2)?, ctx.int(args, 3)?);
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let Some(entry) = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) else {
        ctx.out.array(0);
        return Ok(Outcome::Done);
    };
    let list = entry.list().ok_or(CommandError::WrongType)?;
    let (start, count) = range(start, stop, list.len());
    ctx.out.array(count);
    list.walk(start, count, |element| reply(&mut ctx.out, element));
    Ok(Outcome::Done)
}

/// The list that a client reads. Errors: `WrongType`.
fn find<'a>(ctx: &'a mut Ctx<'_>, args: Args<'_>) -> Result<Option<ListRef<'a>>, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access);
    found.map(|entry| entry.list().ok_or(CommandError::WrongType)).transpose()
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const NO_NUMBER: &str = "-ERR value is not an integer or out of range";

    #[test]
    fn length() {
        check(&["LLEN k"], ":0");
        check(&["RPUSH k a b c", "LLEN k"], ":3");
        check(&["SET k v", "LLEN k"], WRONG);
    }

    #[test]
    fn element_at_an_index() {
        check(&["RPUSH k a b c", "LINDEX k 0"], "$1 a");
        check(&["RPUSH k a b c", "LINDEX k -1"], "$1 c");
        check(&["RPUSH k a b c", "LINDEX k -3"], "$1 a");
        check(&["RPUSH k a b c", "LINDEX k 3"], "$-1");
        check(&["RPUSH k a b c", "LINDEX k -4"], "$-1");
        check(&["RPUSH k a b c", "LINDEX k -9223372036854775808"], "$-1");
        check(&["LINDEX k x"], "$-1");
        check(&["RPUSH k a", "LINDEX k x"], NO_NUMBER);
        check(&["SET k v", "LINDEX k x"], WRONG);
    }

    #[test]
    fn elements_between_indexes() {
        let push = "RPUSH k a b c d";
        check(&[push, "LRANGE k 0 0"], "*1 $1 a");
        check(&[push, "LRANGE k 1 2"], "*2 $1 b $1 c");
        check(&[push, "LRANGE k -2 -1"], "*2 $1 c $1 d");
        check(&[push, "LRANGE k -100 1"], "*2 $1 a $1 b");
        check(&[push, "LRANGE k 3 100"], "*1 $1 d");
        check(&[push, "LRANGE k 2 1"], "*0");
        check(&[push, "LRANGE k 4 9"], "*0");
        check(&[push, "LRANGE k 0 -9"], "*0");
        check(&[push, "LRANGE k 3 9223372036854775807"], "*1 $1 d");
        check(&[push, "LRANGE k -9223372036854775808 -4"], "*1 $1 a");
        check(&["LRANGE k 0 -1"], "*0");
        check(&["SET k v", "LRANGE k 0 x"], NO_NUMBER);
        check(&["SET k v", "LRANGE k 0 1"], WRONG);
    }
}
