//! ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE and ZREMRANGEBYLEX.

use super::args;
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::ZSetRef;
use keyspace::Kind;
use std::ops::Range;
use stdx::Args;

pub(super) fn zrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::ZSet, false, ctx.now, |editing| {
        let mut zset = editing.zset();
        let removed = args.from(2).iter().filter(|member| zset.remove(member).is_some()).count();
        editing.changed(removed as u64);
        removed
    })?;
    let (removed, emptied) = edited.map_or((0, false), |edited| (edited.result, edited.removed));
    answer(ctx, args.at(1), "zrem", removed, emptied);
    Ok(Outcome::Done)
}

/// Tells of what was removed, and answers how much that was.
fn answer(ctx: &mut Ctx<'_>, key: &[u8], event: &'static str, removed: usize, emptied: bool) {
    if removed > 0 {
        ctx.event(Event::ZSET, event, key);
    }
    if emptied {
        ctx.event(Event::GENERIC, "del", key);
    }
    ctx.out.int(removed as i64);
}

pub(super) fn zremrangebyrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (start, end) = (ctx.int(args, 2)?, ctx.int(args, 3)?);
    remove(ctx, args, "zremrangebyrank", |zset| args::ranks(start, end, zset.len()))
}

pub(super) fn zremrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let range = args::score_range(args.at(2), args.at(3))?;
    remove(ctx, args, "zremrangebyscore", |zset| zset.ranks_by_score(&range))
}

pub(super) fn zremrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let range = args::lex_range(args.at(2), args.at(3))?;
    remove(ctx, args, "zremrangebylex", |zset| zset.ranks_by_lex(&range, false))
}

/// Removes the members of the ranks that `ranks` finds.
fn remove(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    event: &'static str,
    ranks: impl FnOnce(ZSetRef<'_>) -> Range<usize>,
) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::ZSet, false, ctx.now, |editing| {
        let mut zset = editing.zset();
        let ranks = ranks(zset.get());
        let removed = ranks.len();
        if removed > 0 {
            zset.remove_ranks(ranks);
        }
        editing.changed(removed as u64);
        removed
    })?;
    let (removed, emptied) = edited.map_or((0, false), |edited| (edited.result, edited.removed));
    answer(ctx, args.at(1), event, removed, emptied);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    const ADD: &str = "ZADD z 1 a 2 b 3 c 4 d";

    #[test]
    fn members_are_removed() {
        check(&["ZREM z a"], ":0");
        check(&[ADD, "ZREM z a x c a"], ":2");
        check(&[ADD, "ZREM z a x c a", "ZRANGE z 0 -1"], "*2 $1 b $1 d");
        check(&[ADD, "ZREM z a b c d", "EXISTS z"], ":0");
        check_events(&[ADD, "ZREM z a b c d"], "zrem:z del:z");
        check_events(&[ADD, "ZREM z x"], "");
        check_effects(&[ADD, "ZREM z a x"], "ZREM z a x");
    }

    #[test]
    fn ranges_are_removed() {
        check(&[ADD, "ZREMRANGEBYRANK z 1 -2"], ":2");
        check(&[ADD, "ZREMRANGEBYRANK z 1 -2", "ZRANGE z 0 -1"], "*2 $1 a $1 d");
        check(&[ADD, "ZREMRANGEBYRANK z 5 9"], ":0");
        check(&[ADD, "ZREMRANGEBYSCORE z (1 3", "ZRANGE z 0 -1"], "*2 $1 a $1 d");
        check(&["ZADD z 0 a 0 b 0 c", "ZREMRANGEBYLEX z [b +", "ZRANGE z 0 -1"], "*1 $1 a");
        check(&[ADD, "ZREMRANGEBYRANK z 0 x"], "-ERR value is not an integer or out of range");
        check(&[ADD, "ZREMRANGEBYSCORE z 0 x"], "-ERR min or max is not a float");
        check(&[ADD, "ZREMRANGEBYLEX z 0 x"], "-ERR min or max not valid string range item");
        check_events(&[ADD, "ZREMRANGEBYSCORE z -inf inf"], "zremrangebyscore:z del:z");
        check_effects(&[ADD, "ZREMRANGEBYSCORE z 9 10"], "");
    }
}
