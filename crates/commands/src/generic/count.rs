//! DEL, UNLINK, EXISTS and TOUCH: commands on any number of keys that answer how many were there.

use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec, Merge};
use keyspace::{Access, Key};
use stdx::Args;

pub(super) const DEL: Command = Command {
    name: "del",
    arity: -2,
    flags: Flags::WRITE,
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, -1, 1, &["RM", "delete"])],
    crossing: Crossing::Fanout(Merge::Sum),
    handler: del,
    summary: "Deletes keys.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: &[Arg::key().multiple()],
    ..Command::EMPTY
};

pub(super) const UNLINK: Command = Command {
    name: "unlink",
    arity: -2,
    flags: Flags::WRITE.or(Flags::FAST),
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, -1, 1, &["RM", "delete"])],
    crossing: Crossing::Fanout(Merge::Sum),
    handler: del,
    summary: "Deletes keys; memory of large values is freed later, in slices.",
    since: "4.0.0",
    group: "generic",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: &[Arg::key().multiple()],
    ..Command::EMPTY
};

fn del(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    count(ctx, args, |ctx, key| {
        let removed = ctx.core.keyspace.remove(ctx.caller.db, key, ctx.now);
        if removed {
            ctx.event(Event::GENERIC, "del", key.bytes);
        }
        removed
    })
}

pub(super) const EXISTS: Command = Command {
    name: "exists",
    arity: -2,
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, -1, 1, &["RO"])],
    crossing: Crossing::Fanout(Merge::Sum),
    handler: exists,
    summary: "Counts which of the keys exist; one that is named twice counts twice.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(N) with N the number of keys",
    history: &[("3.0.3", "takes more than one key.")],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: &[Arg::key().multiple()],
    ..Command::EMPTY
};

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    count(ctx, args, |ctx, key| {
        ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, Access::NoTouch).is_some()
    })
}

pub(super) const TOUCH: Command = Command {
    name: "touch",
    arity: -2,
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, -1, 1, &["RO"])],
    crossing: Crossing::Fanout(Merge::Sum),
    handler: touch,
    summary: "Marks keys as used now, and counts which exist.",
    since: "3.2.1",
    group: "generic",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    args: &[Arg::key().multiple()],
    ..Command::EMPTY
};

fn touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    // CLIENT NO-TOUCH does not hold here: touching is what was asked for.
    count(ctx, args, |ctx, key| ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, Access::Read).is_some())
}

fn count(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    counts: impl Fn(&mut Ctx<'_>, Key<'_>) -> bool,
) -> Result<Outcome, CommandError> {
    let mut counted = 0;
    ctx.each_key(args.from(1), 1, |ctx, _, key| counted += i64::from(counts(ctx, key)));
    ctx.out.int(counted);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    #[test]
    fn what_was_there_is_counted() {
        check(&["MSET a 1 b 2", "DEL a b c a"], ":2");
        check(&["MSET a 1 b 2", "UNLINK a b c a"], ":2");
        check(&["MSET a 1 b 2", "EXISTS a b c a"], ":3");
        check(&["MSET a 1 b 2", "TOUCH a b c a"], ":3");
        check(&["MSET a 1 b 2", "DEL a", "EXISTS a b"], ":1");
        check(&["DEL"], "-ERR wrong number of arguments for 'del' command");
    }

    #[test]
    fn what_goes_is_told() {
        check_effects(&["MSET a 1 b 2", "DEL a b c"], "DEL a b c");
        check_events(&["MSET a 1 b 2", "DEL a b c a"], "del:a del:b");
        check_effects(&["SET a 1", "UNLINK a"], "UNLINK a");
        check_events(&["SET a 1", "UNLINK a"], "del:a");
        check_effects(&["DEL a"], "");
        check_events(&["TOUCH a"], "");
    }

    #[test]
    fn an_expired_key_is_not_counted() {
        let mut world = World::new(1);
        world.run("SET a 1 PX 5");
        world.wait_ms(5);
        world.check(&["EXISTS a"], ":0");
        world.check(&["SET a 1 PX 5", "DEL a"], ":1");
        world.run("SET a 1 PX 5");
        world.wait_ms(6);
        world.check(&["DEL a"], ":0");
    }

    #[test]
    fn exists_and_touch_count_hits() {
        let mut world = World::new(1);
        for line in ["SET a 1", "EXISTS a b", "TOUCH a b", "DEL a b"] {
            world.run(line);
        }
        let stats = world.cores[0].keyspace.stats;
        assert_eq!((stats.hits, stats.misses, stats.dirty), (2, 2, 2));
    }
}
