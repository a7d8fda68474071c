//! RENAME and RENAMENX.

use super::as_one_change;
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use keyspace::Access;
use stdx::Args;

pub(super) const RENAME: Command = Command {
    name: "rename",
    arity: 3,
    flags: Flags::WRITE,
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "delete"]), KeySpec::range(2, 2, 1, &["OW", "update"])],
    crossing: Crossing::TwoHops,
    handler: rename,
    summary: "Gives a key another name; a key of that name is overwritten.",
    since: "1.0.0",
    group: "generic",
    args: &[Arg::key(), Arg::key_named("newkey", 1)],
    ..Command::EMPTY
};

fn rename(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    move_value(ctx, args, true)?;
    ctx.out.ok();
    Ok(Outcome::Done)
}

pub(super) const RENAMENX: Command = Command {
    name: "renamenx",
    arity: 3,
    flags: Flags::WRITE.or(Flags::FAST),
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "delete"]), KeySpec::range(2, 2, 1, &["OW", "insert"])],
    crossing: Crossing::TwoHops,
    handler: renamenx,
    summary: "Gives a key another name, unless there is a key of that name.",
    since: "1.0.0",
    group: "generic",
    history: &[("3.2.0", "equal names are no error any more.")],
    args: &[Arg::key(), Arg::key_named("newkey", 1)],
    ..Command::EMPTY
};

fn renamenx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let moved = move_value(ctx, args, false)?;
    ctx.out.int(moved.into());
    Ok(Outcome::Done)
}

/// Moves the first key's value to the second, expiry included, and says whether it did. Errors: `NoSuchKey`, also
/// where both names are the same.
fn move_value(ctx: &mut Ctx<'_>, args: Args<'_>, overwrite: bool) -> Result<bool, CommandError> {
    let (from, to) = (ctx.key(args.at(1)), ctx.key(args.at(2)));
    let db = ctx.caller.db;
    if ctx.core.keyspace.find(db, from, ctx.now, Access::Write).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    if from.bytes == to.bytes {
        return Ok(false);
    }
    if !overwrite && ctx.core.keyspace.find(db, to, ctx.now, Access::Write).is_some() {
        return Ok(false);
    }
    as_one_change(ctx, |ctx| {
        let value = ctx.core.keyspace.take(db, from, ctx.now).expect("it was found just now");
        ctx.core.keyspace.put(db, to, value, ctx.now);
    });
    ctx.event(Event::GENERIC, "rename_from", from.bytes);
    ctx.event(Event::GENERIC, "rename_to", to.bytes);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    #[test]
    fn the_value_and_its_expiry_move() {
        check(&["SET a 1 EX 10", "SET b 2", "RENAME a b"], "+OK");
        check(&["SET a 1 EX 10", "SET b 2", "RENAME a b", "MGET a b"], "*2 $-1 $1 1");
        check(&["SET a 1 EX 10", "SET b 2", "RENAME a b", "TTL b"], ":10");
        check(&["SET a 1", "SET b 2 EX 10", "RENAME a b", "TTL b"], ":-1");
    }

    #[test]
    fn renamenx_leaves_what_is_there() {
        check(&["SET a 1", "RENAMENX a b"], ":1");
        check(&["MSET a 1 b 2", "RENAMENX a b"], ":0");
        check(&["MSET a 1 b 2", "RENAMENX a b", "MGET a b"], "*2 $1 1 $1 2");
    }

    #[test]
    fn both_are_their_own_effect() {
        check_effects(&["SET a 1", "RENAME a b"], "RENAME a b");
        check_events(&["MSET a 1 b 2", "RENAME a b"], "rename_from:a rename_to:b");
        check_effects(&["SET a 1", "RENAMENX a b"], "RENAMENX a b");
        check_events(&["SET a 1", "RENAMENX a b"], "rename_from:a rename_to:b");
        for line in ["RENAME a a", "RENAMENX a b", "RENAME c d"] {
            check_effects(&["MSET a 1 b 2", line], "");
            check_events(&["MSET a 1 b 2", line], "");
        }
    }

    #[test]
    fn missing_and_same_names() {
        check(&["RENAME a b"], "-ERR no such key");
        check(&["RENAME a a"], "-ERR no such key");
        check(&["RENAMENX a b"], "-ERR no such key");
        check(&["SET a 1", "RENAME a a"], "+OK");
        check(&["SET a 1", "RENAMENX a a"], ":0");
    }

    #[test]
    fn a_rename_is_one_change() {
        let mut world = World::new(1);
        for line in ["MSET a 1 b 2", "RENAME a b", "RENAME b b", "RENAMENX b b"] {
            world.run(line);
        }
        let stats = world.cores[0].keyspace.stats;
        assert_eq!((stats.dirty, stats.hits, stats.misses), (3, 0, 0));
    }
}
