//! LTRIM.

use super::{range, taken};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use datatypes::Kind;
use stdx::Args;

pub(super) const LTRIM: Command = Command {
    name: "ltrim",
    arity: 4,
    flags: Flags::WRITE,
    categories: &["list"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "delete"])],
    crossing: Crossing::OneShard,
    handler: ltrim,
    summary: "Keeps the elements from one index to another, both included, and removes all others.",
    since: "1.0.0",
    group: "list",
    complexity: "O(N) with N the number of elements that go",
    args: &[Arg::key(), Arg::new("start", "integer"), Arg::new("stop", "integer")],
    ..Command::EMPTY
};

fn ltrim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (start, stop) = (ctx.int(args, 2)?, ctx.int(args, 3)?);
    let key = ctx.key(args.at(1));
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::List, false, ctx.now, |editing| {
        let mut list = editing.list();
        let (start, count) = range(start, stop, list.as_ref().len());
        let removed = list.trim(start, count);
        editing.changed(removed as u64);
    })?;
    ctx.out.ok();
    if let Some(edited) = edited {
        taken(ctx, key.bytes, "ltrim", edited.removed);
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    #[track_caller]
    fn check_trim(start: &str, stop: &str, expected: &str) {
        let trim = format!("LTRIM k {start} {stop}");
        check(&["RPUSH k a b c d e", &trim], "+OK");
        check(&["RPUSH k a b c d e", &trim, "LRANGE k 0 -1"], expected);
    }

    #[test]
    fn what_lies_between_stays() {
        check_trim("0", "-1", "*5 $1 a $1 b $1 c $1 d $1 e");
        check_trim("1", "3", "*3 $1 b $1 c $1 d");
        check_trim("-2", "100", "*2 $1 d $1 e");
        check_trim("-100", "0", "*1 $1 a");
        check_trim("3", "2", "*0");
        check_trim("5", "9", "*0");
        check_trim("0", "-6", "*0");
    }

    #[test]
    fn no_list_and_no_number() {
        check(&["LTRIM k 0 0"], "+OK");
        check(&["SET k v", "LTRIM k 0 x"], "-ERR value is not an integer or out of range");
        check(
            &["SET k v", "LTRIM k 0 0"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn trims_are_told_and_counted() {
        check_events(&["RPUSH k a b", "LTRIM k 0 -1"], "ltrim:k");
        check_events(&["RPUSH k a b", "LTRIM k 9 9"], "ltrim:k del:k");
        check_events(&["LTRIM k 9 9"], "");
        check_effects(&["RPUSH k a b", "LTRIM k 1 1"], "LTRIM k 1 1");
        check_effects(&["RPUSH k a b", "LTRIM k 0 1"], "");
        let mut world = World::new(1);
        world.run("RPUSH k a b c d");
        world.run("LTRIM k 1 2");
        assert_eq!(world.cores[0].keyspace.stats.dirty, 4 + 2);
    }
}
