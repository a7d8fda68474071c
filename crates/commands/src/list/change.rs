//! LSET, LINSERT and LREM.

use super::{place, taken};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::effects::Event;
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use datatypes::list::End;
use datatypes::{Element, Kind};
use stdx::Args;

pub(super) const LSET: Command = Command {
    name: "lset",
    arity: 4,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "update"])],
    crossing: Crossing::OneShard,
    handler: lset,
    summary: "Replaces the element at an index, which counts from the end when negative.",
    since: "1.0.0",
    group: "list",
    complexity: "O(log(N)) with N the length of the list",
    args: &[Arg::key(), Arg::new("index", "integer"), Arg::new("element", "string")],
    ..Command::EMPTY
};

fn lset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, false, ctx.now, |editing| {
        let index = parse_int(args.at(2)).ok_or(CommandError::NotInteger)?;
        let mut list = editing.list();
        let index = place(index, list.as_ref().len()).unwrap_or(usize::MAX);
        if !list.set(index, args.at(3)) {
            return Err(CommandError::INDEX_RANGE);
        }
        editing.changed(1);
        Ok(())
    })?;
    edited.ok_or(CommandError::NoSuchKey)?.result?;
    ctx.out.ok();
    ctx.event(Event::LIST, "lset", key.bytes);
    Ok(Outcome::Done)
}

pub(super) const LINSERT: Command = Command {
    name: "linsert",
    arity: 5,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "insert"])],
    crossing: Crossing::OneShard,
    handler: linsert,
    summary: "Puts an element into a list, before or after the first one that equals another.",
    since: "2.2.0",
    group: "list",
    complexity: "O(N) with N the number of elements up to that one",
    args: &[
        Arg::key(),
        Arg::one_of("where", &[Arg::token("before", "BEFORE"), Arg::token("after", "AFTER")]),
        Arg::new("pivot", "string"),
        Arg::new("element", "string"),
    ],
    ..Command::EMPTY
};

fn linsert(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let behind = match args.at(2) {
        word if word.eq_ignore_ascii_case(b"after") => 1,
        word if word.eq_ignore_ascii_case(b"before") => 0,
        _ => return Err(CommandError::Syntax),
    };
    let (key, pivot) = (ctx.key(args.at(1)), Element::of(args.at(3)));
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, false, ctx.now, |editing| {
        let mut list = editing.list();
        list.make_room_for(args.at(4));
        let found = list.as_ref().iter(0).position(|element| element == pivot)?;
        let len = list.insert(found + behind, args.at(4));
        editing.changed(1);
        Some(len)
    })?;
    match edited.map(|edited| edited.result) {
        None => ctx.out.int(0),
        Some(None) => ctx.out.int(-1),
        Some(Some(len)) => {
            ctx.out.int(len as i64);
            ctx.event(Event::LIST, "linsert", key.bytes);
        }
    }
    Ok(Outcome::Done)
}

pub(super) const LREM: Command = Command {
    name: "lrem",
    arity: 4,
    flags: Flags::WRITE,
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
    crossing: Crossing::OneShard,
    handler: lrem,
    summary: "Removes elements that equal another: all, the first ones, or (by a negative count) the last ones.",
    since: "1.0.0",
    group: "list",
    complexity: "O(N) with N the length of the list",
    args: &[Arg::key(), Arg::new("count", "integer"), Arg::new("element", "string")],
    ..Command::EMPTY
};

fn lrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let count = ctx.int(args, 2)?;
    let end = if count < 0 { End::Back } else { End::Front };
    let max = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let key = ctx.key(args.at(1));
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, false, ctx.now, |editing| {
        let removed = editing.list().remove(args.at(3), end, max);
        editing.changed(removed as u64);
        removed
    })?;
    ctx.out.int(edited.map_or(0, |edited| edited.result as i64));
    if let Some(edited) = edited.filter(|edited| edited.result > 0) {
        taken(ctx, key.bytes, "lrem", edited.removed);
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const NO_NUMBER: &str = "-ERR value is not an integer or out of range";

    #[test]
    fn lset_replaces() {
        check(&["RPUSH k a b c", "LSET k 1 x"], "+OK");
        check(&["RPUSH k a b c", "LSET k -1 x", "LRANGE k 0 -1"], "*3 $1 a $1 b $1 x");
        check(&["RPUSH k a b c", "LSET k 3 x"], "-ERR index out of range");
        check(&["RPUSH k a b c", "LSET k -4 x"], "-ERR index out of range");
        check(&["RPUSH k a", "LSET k x x"], NO_NUMBER);
        check(&["LSET k x x"], "-ERR no such key");
        check(&["SET k v", "LSET k x x"], WRONG);
    }

    #[test]
    fn linsert_finds_the_first() {
        check(&["RPUSH k a b a", "LINSERT k BEFORE a x"], ":4");
        check(&["RPUSH k a b a", "LINSERT k before a x", "LRANGE k 0 -1"], "*4 $1 x $1 a $1 b $1 a");
        check(&["RPUSH k a b a", "LINSERT k AFTER b 1", "LRANGE k 0 -1"], "*4 $1 a $1 b $1 1 $1 a");
        check(&["RPUSH k a 10", "LINSERT k AFTER 10 x", "LRANGE k 0 -1"], "*3 $1 a $2 10 $1 x");
        check(&["RPUSH k a", "LINSERT k AFTER b x"], ":-1");
        check(&["LINSERT k AFTER b x"], ":0");
        check(&["SET k v", "LINSERT k AFTER b x"], WRONG);
        check(&["SET k v", "LINSERT k BESIDE b x"], "-ERR syntax error");
    }

    #[test]
    fn lrem_counts_from_an_end() {
        let push = "RPUSH k a b a c a";
        check(&[push, "LREM k 0 a"], ":3");
        check(&[push, "LREM k 2 a", "LRANGE k 0 -1"], "*3 $1 b $1 c $1 a");
        check(&[push, "LREM k -2 a", "LRANGE k 0 -1"], "*3 $1 a $1 b $1 c");
        check(&[push, "LREM k -9223372036854775808 a", "LLEN k"], ":2");
        check(&[push, "LREM k 1 x"], ":0");
        check(&["RPUSH k a a", "LREM k 0 a", "EXISTS k"], ":0");
        check(&["LREM k 0 a"], ":0");
        check(&["SET k v", "LREM k x a"], NO_NUMBER);
        check(&["SET k v", "LREM k 0 a"], WRONG);
    }

    #[test]
    fn changes_are_told() {
        check_events(&["RPUSH k a", "LSET k 0 a"], "lset:k");
        check_events(&["RPUSH k a", "LSET k 1 a"], "");
        check_events(&["RPUSH k a", "LINSERT k AFTER a b"], "linsert:k");
        check_events(&["RPUSH k a", "LINSERT k AFTER x b"], "");
        check_events(&["RPUSH k a b", "LREM k 0 a"], "lrem:k");
        check_events(&["RPUSH k a", "LREM k 0 a"], "lrem:k del:k");
        check_events(&["RPUSH k a", "LREM k 0 b"], "");
        check_effects(&["RPUSH k a", "LSET k 0 b"], "LSET k 0 b");
        check_effects(&["RPUSH k a", "LINSERT k AFTER x b"], "");
        check_effects(&["RPUSH k a", "LREM k 0 b"], "");
    }
}
