//! COPY and MOVE: a value to another key or database.

use super::{as_one_change, parse_db};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use keyspace::Access;
use stdx::{Args, DbIndex};

pub(super) const COPY: Command = Command {
    name: "copy",
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"]), KeySpec::range(2, 2, 1, &["OW", "update"])],
    crossing: Crossing::TwoHops,
    handler: copy,
    summary: "Copies the value of a key to another key.",
    since: "6.2.0",
    group: "generic",
    complexity: "O(1) for strings, O(N) with N the number of elements for other values",
    args: &[
        Arg::key_named("source", 0),
        Arg::key_named("destination", 1),
        Arg::new("destination-db", "integer").after("DB").optional(),
        Arg::token("replace", "REPLACE").optional(),
    ],
    ..Command::EMPTY
};

fn copy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let Options { to_db, replace } = Options::parse(args, ctx.caller.db, ctx.core.keyspace.databases())?;
    let (from, to) = (ctx.key(args.at(1)), ctx.key(args.at(2)));
    let (db, now, access) = (ctx.caller.db, ctx.now, ctx.read_access());
    if db == to_db && from.bytes == to.bytes {
        return Err(CommandError::SAME_OBJECT);
    }
    let keyspace = &mut ctx.core.keyspace;
    let done = keyspace.find(db, from, now, access).is_some()
        && (keyspace.find(to_db, to, now, Access::Write).is_none() || replace);
    if done {
        as_one_change(ctx, |ctx| {
            let value = ctx.core.keyspace.duplicate(db, from, now).expect("it was found just now");
            ctx.core.keyspace.put(to_db, to, value, now);
        });
        ctx.event_in(to_db, Event::GENERIC, "copy_to", to.bytes);
    }
    ctx.out.int(done.into());
    Ok(Outcome::Done)
}

/// The database that COPY writes its second key to; `db` is the selected one. Whoever lends keys to COPY lends that
/// key from there. Errors: those that the handler would answer.
pub fn destination_db(args: Args<'_>, db: DbIndex, databases: u16) -> Result<DbIndex, CommandError> {
    Options::parse(args, db, databases).map(|options| options.to_db)
}

struct Options {
    to_db: DbIndex,
    replace: bool,
}

impl Options {
    fn parse(args: Args<'_>, db: DbIndex, databases: u16) -> Result<Self, CommandError> {
        let mut options = Self { to_db: db, replace: false };
        let mut words = args.from(3).iter();
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"REPLACE") {
                options.replace = true;
            } else if word.eq_ignore_ascii_case(b"DB") {
                options.to_db = parse_db(words.next().ok_or(CommandError::Syntax)?, databases)?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

pub(super) const MOVE: Command = Command {
    name: "move",
    arity: 3,
    flags: Flags::WRITE.or(Flags::FAST),
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    crossing: Crossing::OneShard,
    handler: move_key,
    summary: "Moves a key to another database.",
    since: "1.0.0",
    group: "generic",
    args: &[Arg::key(), Arg::new("db", "integer")],
    ..Command::EMPTY
};

fn move_key(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (db, now) = (ctx.caller.db, ctx.now);
    let to_db = parse_db(args.at(2), ctx.core.keyspace.databases())?;
    if db == to_db {
        return Err(CommandError::SAME_OBJECT);
    }
    let key = ctx.key(args.at(1));
    let keyspace = &mut ctx.core.keyspace;
    let done = keyspace.find(db, key, now, Access::Write).is_some()
        && keyspace.find(to_db, key, now, Access::Write).is_none();
    if done {
        as_one_change(ctx, |ctx| {
            let value = ctx.core.keyspace.take(db, key, now).expect("it was found just now");
            ctx.core.keyspace.put(to_db, key, value, now);
        });
        ctx.event(Event::GENERIC, "move_from", key.bytes);
        ctx.event_in(to_db, Event::GENERIC, "move_to", key.bytes);
    }
    ctx.out.int(done.into());
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};
    use stdx::DbIndex;

    #[test]
    fn a_copy_has_value_and_expiry() {
        check(&["COPY a b"], ":0");
        check(&["SET a 1 EX 10", "COPY a b"], ":1");
        check(&["SET a 1 EX 10", "COPY a b", "MGET a b"], "*2 $1 1 $1 1");
        check(&["SET a 1 EX 10", "COPY a b", "TTL b"], ":10");
        check(&["MSET a 1 b 2", "COPY a b"], ":0");
        check(&["MSET a 1 b 2", "COPY a b replace", "GET b"], "$1 1");
    }

    #[test]
    fn both_are_their_own_effect() {
        check_effects(&["SET a 1", "COPY a b REPLACE"], "COPY a b REPLACE");
        check_events(&["SET a 1", "COPY a b DB 1"], "copy_to:b");
        check_effects(&["SET a 1", "MOVE a 1"], "MOVE a 1");
        check_events(&["SET a 1", "MOVE a 1"], "move_from:a move_to:a");
        for line in ["COPY c b", "COPY a b", "MOVE c 1"] {
            check_effects(&["MSET a 1 b 2", line], "");
            check_events(&["MSET a 1 b 2", line], "");
        }
    }

    #[test]
    fn events_tell_the_database_that_they_happened_in() {
        let mut world = World::new(1);
        crate::effects::listen(&mut world.cores[0], false, crate::Event::ALL.0);
        world.run("SET a 1");
        world.run("COPY a a DB 2");
        world.run("MOVE a 3");
        let fired = world.cores[0].effects.take_fired();
        let told: Vec<_> = fired.iter().map(|event| (event.name, event.db.0)).collect();
        assert_eq!(told, [("set", 0), ("copy_to", 2), ("move_from", 0), ("move_to", 3)]);
    }

    #[test]
    fn copies_between_databases() {
        let mut world = World::new(1);
        world.check(&["SET a 1", "COPY a a DB 3"], ":1");
        world.check(&["COPY a b DB 3 DB 0"], ":1");
        world.client().db = DbIndex(3);
        world.check(&["MGET a b"], "*2 $1 1 $-1");
    }

    #[test]
    fn copies_that_cannot_be() {
        const SAME: &str = "-ERR source and destination objects are the same";
        check(&["COPY a a"], SAME);
        check(&["COPY a a DB 0 REPLACE"], SAME);
        check(&["COPY a b DB 16"], "-ERR DB index is out of range");
        check(&["COPY a b DB -1"], "-ERR DB index is out of range");
        check(&["COPY a b DB x"], "-ERR value is not an integer or out of range");
        check(
            &["COPY a b DB 4294967296"],
            "-ERR value is out of range, value must between -2147483648 and 2147483647",
        );
        check(&["COPY a b DB"], "-ERR syntax error");
        check(&["COPY a b FOO"], "-ERR syntax error");
    }

    #[test]
    fn a_key_moves_where_none_is() {
        let mut world = World::new(1);
        world.check(&["MOVE a 1"], ":0");
        world.check(&["SET a 1 EX 10", "MOVE a 1"], ":1");
        world.check(&["EXISTS a"], ":0");
        world.check(&["SET a 2", "MOVE a 1"], ":0");
        world.client().db = DbIndex(1);
        world.check(&["GET a"], "$1 1");
        world.check(&["TTL a"], ":10");
    }

    #[test]
    fn moves_that_cannot_be() {
        check(&["MOVE a 0"], "-ERR source and destination objects are the same");
        check(&["MOVE a 16"], "-ERR DB index is out of range");
        check(&["MOVE a x"], "-ERR value is not an integer or out of range");
    }

    #[test]
    fn each_is_one_change_and_copy_reads() {
        let mut world = World::new(1);
        for line in ["MSET a 1 b 2", "COPY a b", "COPY a b REPLACE", "COPY none b", "MOVE b 1", "MOVE b 1"] {
            world.run(line);
        }
        let stats = world.cores[0].keyspace.stats;
        assert_eq!((stats.dirty, stats.hits, stats.misses), (4, 2, 1));
    }
}
