//! ZCOUNT and ZLEXCOUNT.

use super::{args, value};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::Args;

pub(super) fn zcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let range = args::score_range(args.at(2), args.at(3))?;
    let count = value::find(ctx, args.at(1))?.map_or(0, |zset| zset.ranks_by_score(&range).len());
    ctx.out.int(count as i64);
    Ok(Outcome::Done)
}

pub(super) fn zlexcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let range = args::lex_range(args.at(2), args.at(3))?;
    let count = value::find(ctx, args.at(1))?.map_or(0, |zset| zset.ranks_by_lex(&range, false).len());
    ctx.out.int(count as i64);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn members_are_counted_by_score() {
        let add = "ZADD z 1 a 2 b 2.5 c";
        check(&[add, "ZCOUNT z -inf +inf"], ":3");
        check(&[add, "ZCOUNT z (1 2.5"], ":2");
        check(&[add, "ZCOUNT z 2.5 1"], ":0");
        check(&["ZCOUNT z 1 2"], ":0");
        check(&[add, "ZCOUNT z a 2"], "-ERR min or max is not a float");
    }

    #[test]
    fn members_are_counted_by_name() {
        let add = "ZADD z 0 a 0 b 0 c";
        check(&[add, "ZLEXCOUNT z - +"], ":3");
        check(&[add, "ZLEXCOUNT z (a [c"], ":2");
        check(&[add, "ZLEXCOUNT z + -"], ":0");
        check(&["ZLEXCOUNT z a b"], "-ERR min or max not valid string range item");
    }
}
