//! LPUSH, RPUSH, LPUSHX and RPUSHX.

use super::pushed;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use datatypes::Kind;
use datatypes::list::End;
use stdx::Args;

/// What the four rows have in common.
const PUSH: Command = Command {
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST).or(Flags::SIGNALS),
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "insert"])],
    crossing: Crossing::OneShard,
    group: "list",
    complexity: "O(N) with N the number of elements",
    args: &[Arg::key(), Arg::new("element", "string").multiple()],
    ..Command::EMPTY
};

pub(super) const LPUSH: Command = Command {
    name: "lpush",
    handler: lpush,
    summary: "Puts elements at the front of a list, one after the other; makes the list if there is none.",
    since: "1.0.0",
    history: &[("2.4.0", "takes several elements.")],
    ..PUSH
};

pub(super) const RPUSH: Command = Command {
    name: "rpush",
    handler: rpush,
    summary: "Puts elements at the end of a list, one after the other; makes the list if there is none.",
    since: "1.0.0",
    history: &[("2.4.0", "takes several elements.")],
    ..PUSH
};

pub(super) const LPUSHX: Command = Command {
    name: "lpushx",
    handler: lpushx,
    summary: "Puts elements at the front of a list that is there.",
    since: "2.2.0",
    history: &[("4.0.0", "takes several elements.")],
    ..PUSH
};

pub(super) const RPUSHX: Command = Command {
    name: "rpushx",
    handler: rpushx,
    summary: "Puts elements at the end of a list that is there.",
    since: "2.2.0",
    history: &[("4.0.0", "takes several elements.")],
    ..PUSH
};

fn lpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    push(ctx, args, End::Front, true)
}

fn rpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    push(ctx, args, End::Back, true)
}

fn lpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    push(ctx, args, End::Front, false)
}

fn rpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    push(ctx, args, End::Back, false)
}

#[inline]
fn push(ctx: &mut Ctx<'_>, args: Args<'_>, end: End, make: bool) -> Result<Outcome, CommandError> {
    let (key, elements) = (ctx.key(args.at(1)), args.from(2));
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, make, ctx.now, |editing| {
        editing.changed(elements.len() as u64);
        editing.list().push(end, elements.iter())
    })?;
    ctx.out.int(edited.map_or(0, |edited| edited.result as i64));
    if edited.is_some() {
        pushed(ctx, key.bytes, end);
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    #[test]
    fn elements_go_in_one_after_the_other() {
        check(&["LPUSH k a b c"], ":3");
        check(&["LPUSH k a b c", "RPUSH k d e"], ":5");
        check(&["LPUSH k a b c", "RPUSH k d 5", "LRANGE k 0 -1"], "*5 $1 c $1 b $1 a $1 d $1 5");
        check(&["RPUSH k ''"], ":1");
    }

    #[test]
    fn x_only_where_there_is_a_list() {
        check(&["LPUSHX k a"], ":0");
        check(&["RPUSHX k a", "EXISTS k"], ":0");
        check(&["RPUSH k a", "LPUSHX k b c", "RPUSHX k d"], ":4");
        check(&["RPUSH k a", "LPUSHX k b c", "RPUSHX k d", "LRANGE k 0 -1"], "*4 $1 c $1 b $1 a $1 d");
    }

    #[test]
    fn another_kind_of_value_is_left_alone() {
        for command in ["LPUSH k v", "RPUSH k v", "LPUSHX k v", "RPUSHX k v"] {
            check(
                &["SET k v", command],
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            );
        }
        check(&["LPUSH k"], "-ERR wrong number of arguments for 'lpush' command");
    }

    #[test]
    fn pushes_are_told() {
        check_events(&["LPUSH k a b"], "lpush:k");
        check_events(&["RPUSH k a", "RPUSHX k b"], "rpush:k");
        check_events(&["LPUSHX k a"], "");
        check_effects(&["RPUSH k a b"], "RPUSH k a b");
        check_effects(&["RPUSHX k a b"], "");
    }

    #[test]
    fn a_push_counts_its_elements_as_changes() {
        let mut world = World::new(1);
        world.run("LPUSH k a b c");
        world.run("RPUSHX x a");
        assert_eq!(world.cores[0].keyspace.stats.dirty, 3);
    }

    #[test]
    fn encodings_are_redis_s() {
        check(&["RPUSH k a b", "OBJECT ENCODING k"], "$8 listpack");
        let long = format!("RPUSH k {}", "x".repeat(9000));
        check(&[&long, "OBJECT ENCODING k"], "$9 quicklist");
        check(&[&long, "LPOP k", "RPUSH k a", "OBJECT ENCODING k"], "$8 listpack");
        check(&[&long, "RPUSH k a", "LPOP k", "OBJECT ENCODING k"], "$8 listpack");
    }
}
