//! DBSIZE, FLUSHDB, FLUSHALL and SWAPDB: commands on whole databases, run by every shard.

use super::{in_range, parse_i32};
use crate::ctx::{Ctx, Outcome};
use crate::effects::Journal;
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, Lock, Merge};
use stdx::{Args, DbIndex, ShardId};

pub(super) const DBSIZE: Command = Command {
    name: "dbsize",
    arity: 1,
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["keyspace"],
    crossing: Crossing::Global(Lock::Shared, Merge::Sum),
    handler: dbsize,
    summary: "Answers how many keys the selected database has.",
    since: "1.0.0",
    group: "server",
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    ..Command::EMPTY
};

fn dbsize(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let len = ctx.core.keyspace.len(ctx.caller.db);
    ctx.out.int(len as i64);
    Ok(Outcome::Done)
}

/// What FLUSHDB and FLUSHALL have in common.
const FLUSHES: Command = Command {
    arity: -1,
    flags: Flags::WRITE,
    categories: &["keyspace", "dangerous"],
    crossing: Crossing::Global(Lock::Exclusive, Merge::First),
    journal: Journal::Rewritten,
    group: "server",
    history: &[("4.0.0", "`ASYNC` came."), ("6.2.0", "`SYNC` came.")],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[Arg::one_of(
        "flush-type",
        &[Arg::token("async", "ASYNC").since("4.0.0"), Arg::token("sync", "SYNC").since("6.2.0")],
    )
    .optional()],
    ..Command::EMPTY
};

pub(super) const FLUSHDB: Command = Command {
    name: "flushdb",
    handler: flushdb,
    summary: "Deletes all keys of the selected database.",
    since: "1.0.0",
    complexity: "O(1); memory is freed later, in slices",
    ..FLUSHES
};

fn flushdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    check_mode(args)?;
    ctx.core.keyspace.flush(ctx.caller.db);
    crate::tracking::flushed(ctx.core);
    ctx.effect_everywhere(args);
    ctx.out.ok();
    Ok(Outcome::Done)
}

pub(super) const FLUSHALL: Command = Command {
    name: "flushall",
    handler: flushall,
    summary: "Deletes all keys of all databases.",
    since: "1.0.0",
    complexity: "O(N) with N the number of databases; memory is freed later, in slices",
    ..FLUSHES
};

fn flushall(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    check_mode(args)?;
    for db in 0..ctx.core.keyspace.databases() {
        ctx.core.keyspace.flush(DbIndex(db));
    }
    crate::tracking::flushed(ctx.core);
    ctx.effect_everywhere(args);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// ASYNC and SYNC are taken and make no difference: keys are gone at once and memory is freed between commands.
fn check_mode(args: Args<'_>) -> Result<(), CommandError> {
    let known = |mode: &[u8]| mode.eq_ignore_ascii_case(b"SYNC") || mode.eq_ignore_ascii_case(b"ASYNC");
    if args.len() == 1 || (args.len() == 2 && known(args.at(1))) { Ok(()) } else { Err(CommandError::Syntax) }
}

pub(super) const SWAPDB: Command = Command {
    name: "swapdb",
    arity: 3,
    flags: Flags::WRITE.or(Flags::FAST),
    categories: &["keyspace", "dangerous"],
    crossing: Crossing::Global(Lock::Exclusive, Merge::First),
    journal: Journal::Rewritten,
    handler: swapdb,
    summary: "Exchanges two databases: clients of one see the other from then on.",
    since: "4.0.0",
    group: "server",
    complexity: "O(N) with N the number of clients that watch or wait for keys of either",
    args: &[Arg::new("index1", "integer"), Arg::new("index2", "integer")],
    ..Command::EMPTY
};

fn swapdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let first = parse_i32(args.at(1)).ok_or(CommandError::FIRST_DB)?;
    let second = parse_i32(args.at(2)).ok_or(CommandError::SECOND_DB)?;
    let databases = ctx.core.keyspace.databases();
    let (first, second) = (in_range(first, databases)?, in_range(second, databases)?);
    ctx.core.keyspace.swap(first, second, ctx.now);
    crate::tracking::flushed(ctx.core);
    // Every shard does its part of one change.
    ctx.core.keyspace.stats.dirty += u64::from(ctx.core.id == ShardId(0));
    ctx.effect_everywhere(args);
    ctx.out.ok();
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::core::Core;
    use crate::ctx::{Caller, Ctx};
    use crate::effects;
    use crate::table::lookup;
    use crate::testing::{START, World, check, check_effects, check_events};
    use keyspace::Key;
    use stdx::{DbIndex, Rng};

    #[test]
    fn dbsize_adds_up_the_shards() {
        check(&["DBSIZE"], ":0");
        check(&["MSET a 1 b 2", "DBSIZE"], ":2");
        World::new(3).check(&["SET a 1", "SET b 2", "SET c 3", "DBSIZE"], ":3");
    }

    #[test]
    fn flushes() {
        let mut world = World::new(1);
        world.run("SET a 1");
        world.client().db = DbIndex(1);
        world.run("SET b 1");
        world.check(&["FLUSHDB"], "+OK");
        world.check(&["DBSIZE"], ":0");
        world.client().db = DbIndex(0);
        world.check(&["DBSIZE"], ":1");
        world.check(&["flushall async", "DBSIZE"], ":0");
        world.check(&["FLUSHALL SYNC"], "+OK");
        world.check(&["FLUSHALL FOO"], "-ERR syntax error");
        world.check(&["FLUSHDB SYNC ASYNC"], "-ERR syntax error");
    }

    #[test]
    fn what_is_done_to_whole_databases_is_an_effect_of_every_shard() {
        for line in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "SWAPDB 2 2"] {
            World::new(3).check_effects(&["SET a 1", line], &[line; 3].join(" | "));
        }
        for line in ["FLUSHALL FOO", "FLUSHDB 1", "SWAPDB 0 16", "DBSIZE"] {
            World::new(3).check_effects(&["SET a 1", line], "");
        }
    }

    const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    const DATABASES: u16 = 3;

    /// What one shard holds: for each database, which keys with which values.
    fn held(core: &Core) -> Vec<Vec<(&'static str, String)>> {
        let value = |db, name: &'static str| {
            let found = core.keyspace.peek(DbIndex(db), Key::new(name.as_bytes()), START)?;
            Some((name, format!("{:?}", found.string())))
        };
        let of = |db| KEYS.iter().filter_map(|name| value(db, name)).collect();
        (0..DATABASES).map(of).collect()
    }

    /// Each shard's effects, replayed by that shard alone, give what it holds.
    #[test]
    fn replayed_shard_by_shard_effects_give_the_same_databases() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let (mut world, mut copy) = (World::new(3), World::new(3));
            world.cores.iter_mut().for_each(|core| effects::listen(core, true, 0));
            for step in 0..60 {
                world.client().db = DbIndex(rng.below(DATABASES.into()) as u16);
                let db = |rng: &mut Rng| rng.below(DATABASES.into());
                let line = match rng.below(12) {
                    0 => "FLUSHDB ASYNC".to_owned(),
                    1 if rng.one_in(3) => "FLUSHALL".to_owned(),
                    2 | 3 => format!("SWAPDB {} {}", db(&mut rng), db(&mut rng)),
                    4 => format!("DEL {}", rng.pick(&KEYS)),
                    _ => format!("SET {} {step}", rng.pick(&KEYS)),
                };
                world.run(&line);
            }
            for (core, copy) in world.cores.iter_mut().zip(&mut copy.cores) {
                for effect in core.effects.take() {
                    let (args, mut reply) = (effect.args.as_args(), Vec::new());
                    let command = lookup(args).expect("an effect is a command");
                    let caller = Caller { db: effect.db, ..Caller::default() };
                    let ran = (command.row.handler)(&mut Ctx::new(copy, caller, &mut reply, START), args);
                    assert!(ran.is_ok(), "seed {seed}: {effect:?}");
                }
                assert_eq!(held(core), held(copy), "seed {seed}, shard {:?}", core.id);
            }
        }
    }

    #[test]
    fn whole_databases_have_effects_but_no_events() {
        for line in ["FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 1"] {
            check_effects(&["SET a 1", line], line);
            check_events(&["SET a 1", line], "");
        }
    }

    #[test]
    fn swapped_databases() {
        let mut world = World::new(1);
        world.check(&["SET a 1", "SWAPDB 0 1"], "+OK");
        world.check(&["EXISTS a"], ":0");
        world.client().db = DbIndex(1);
        world.check(&["EXISTS a"], ":1");
        world.check(&["SWAPDB 1 1"], "+OK");
    }

    #[test]
    fn a_swap_is_one_change_however_many_shards_do_it() {
        let mut world = World::new(3);
        world.check(&["SWAPDB 0 1"], "+OK");
        assert_eq!(world.cores.iter().map(|core| core.keyspace.stats.dirty).sum::<u64>(), 1);
    }

    #[test]
    fn swaps_that_cannot_be() {
        check(&["SWAPDB x 1"], "-ERR invalid first DB index");
        check(&["SWAPDB 0 4294967296"], "-ERR invalid second DB index");
        check(&["SWAPDB 0 16"], "-ERR DB index is out of range");
        check(&["SWAPDB -1 0"], "-ERR DB index is out of range");
    }
}
