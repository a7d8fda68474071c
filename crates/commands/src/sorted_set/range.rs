//! ZRANGE, its older kin, and ZRANGESTORE.

use super::value::Shape;
use super::{args, store, value};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use datatypes::ZSetRef;
use datatypes::zset::{LexRange, ScoreRange};
use std::ops::Range;
use stdx::Args;

/// What the two bounds are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

pub(super) fn zrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    read(ctx, args, None, None)
}

pub(super) fn zrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    read(ctx, args, Some(By::Rank), Some(true))
}

pub(super) fn zrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    read(ctx, args, Some(By::Score), Some(false))
}

pub(super) fn zrevrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    read(ctx, args, Some(By::Score), Some(true))
}

pub(super) fn zrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    read(ctx, args, Some(By::Lex), Some(false))
}

pub(super) fn zrevrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    read(ctx, args, Some(By::Lex), Some(true))
}

/// Answers a range; `by` and `reverse` where the command says them, not its options.
fn read(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    by: Option<By>,
    reverse: Option<bool>,
) -> Result<Outcome, CommandError> {
    let options = Options::parse(args.from(4), by, reverse, false)?;
    let bounds = Bounds::parse(args.at(2), args.at(3), &options)?;
    let shape = Shape::new(options.with_scores, ctx.caller.proto);
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let Some(entry) = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) else {
        ctx.out.array(0);
        return Ok(Outcome::Done);
    };
    let zset = value::zset(entry)?;
    let ranks = bounds.ranks(zset, &options);
    shape.open(&mut ctx.out, ranks.len());
    zset.each(ranks, options.reverse, |member, score| shape.write(&mut ctx.out, member, score));
    Ok(Outcome::Done)
}

pub(super) fn zrangestore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let options = Options::parse(args.from(5), None, None, true)?;
    let bounds = Bounds::parse(args.at(3), args.at(4), &options)?;
    let mut members = store::Members::default();
    if let Some(zset) = value::find(ctx, args.at(2))? {
        let ranks = bounds.ranks(zset, &options);
        // Redis knows how long the result is going to be only of ranks.
        let known_len = if options.by == By::Rank { ranks.len() } else { 0 };
        zset.each(ranks, options.reverse, |member, score| members.push(member, score));
        members.grow_from_compact(known_len, &ctx.core.keyspace.limits());
    }
    store::store(ctx, args.at(1), &members, "zrangestore");
    Ok(Outcome::Done)
}

/// What stands behind the bounds.
struct Options {
    by: By,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    /// Negative for no limit.
    limit: i64,
}

impl Options {
    #[inline]
    fn parse(
        args: Args<'_>,
        by: Option<By>,
        reverse: Option<bool>,
        storing: bool,
    ) -> Result<Self, CommandError> {
        let (mut by, mut reverse) = (by, reverse);
        let (mut with_scores, mut offset, mut limit) = (false, 0, -1);
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if !storing && is(b"WITHSCORES") {
                with_scores = true;
            } else if is(b"LIMIT") && words.len() >= 2 {
                let mut number = || words.next().and_then(parse_int).ok_or(CommandError::NotInteger);
                (offset, limit) = (number()?, number()?);
            } else if reverse.is_none() && is(b"REV") {
                reverse = Some(true);
            } else if by.is_none() && is(b"BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && is(b"BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let by = by.unwrap_or(By::Rank);
        if limit != -1 && by == By::Rank {
            return Err(CommandError::LIMIT_OF_RANKS);
        }
        if with_scores && by == By::Lex {
            return Err(CommandError::SCORES_OF_LEX);
        }
        Ok(Self { by, reverse: reverse.unwrap_or(false), with_scores, offset, limit })
    }
}

/// What is asked for.
enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Lex(LexRange<'a>),
}

impl<'a> Bounds<'a> {
    #[inline]
    fn parse(first: &'a [u8], second: &'a [u8], options: &Options) -> Result<Self, CommandError> {
        let (min, max) = if options.reverse { (second, first) } else { (first, second) };
        Ok(match options.by {
            By::Rank => {
                let number = |text| parse_int(text).ok_or(CommandError::NotInteger);
                Self::Ranks(number(first)?, number(second)?)
            }
            By::Score => Self::Scores(args::score_range(min, max)?),
            By::Lex => Self::Lex(args::lex_range(min, max)?),
        })
    }

    /// The ranks of what is asked for, counted from the least, offset and limit applied.
    #[inline]
    fn ranks(&self, zset: ZSetRef<'_>, options: &Options) -> Range<usize> {
        let ranks = match self {
            Self::Ranks(start, end) => {
                let len = zset.len();
                let ranks = args::ranks(*start, *end, len);
                return if options.reverse { len - ranks.end..len - ranks.start } else { ranks };
            }
            Self::Scores(range) => zset.ranks_by_score(range),
            Self::Lex(range) => zset.ranks_by_lex(range, options.reverse),
        };
        // A negative offset leaves nothing.
        let skip = usize::try_from(options.offset).map_or(ranks.len(), |offset| offset.min(ranks.len()));
        let count = usize::try_from(options.limit).unwrap_or(usize::MAX).min(ranks.len() - skip);
        if options.reverse {
            let end = ranks.end - skip;
            end - count..end
        } else {
            let start = ranks.start + skip;
            start..start + count
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    const ADD: &str = "ZADD z 1 a 2 b 3 c 4 d";

    #[test]
    fn ranges_by_rank() {
        check(&["ZRANGE z 0 -1"], "*0");
        check(&[ADD, "ZRANGE z 1 2"], "*2 $1 b $1 c");
        check(&[ADD, "ZRANGE z 1 2 REV WITHSCORES"], "*4 $1 c $1 3 $1 b $1 2");
        check(&[ADD, "ZREVRANGE z 0 0"], "*1 $1 d");
        check(&[ADD, "ZREVRANGE z 3 9"], "*1 $1 a");
        check(&[ADD, "HELLO 3", "ZRANGE z 0 1 WITHSCORES"], "*2 *2 $1 a ,1 *2 $1 b ,2");
        check(&[ADD, "ZRANGE z 5 9"], "*0");
        check(&[ADD, "ZRANGE z 0 x"], "-ERR value is not an integer or out of range");
        check(
            &[ADD, "ZRANGE z 0 1 LIMIT 0 1"],
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        );
        check(&[ADD, "ZRANGE z 0 1 LIMIT 5 -1"], "*2 $1 a $1 b");
        check(&[ADD, "ZREVRANGE z 0 1 REV"], "-ERR syntax error");
    }

    #[test]
    fn ranges_by_score() {
        check(&[ADD, "ZRANGEBYSCORE z (1 3"], "*2 $1 b $1 c");
        check(&[ADD, "ZRANGEBYSCORE z -inf +inf LIMIT 1 2"], "*2 $1 b $1 c");
        check(&[ADD, "ZRANGEBYSCORE z -inf +inf LIMIT -1 2"], "*0");
        check(&[ADD, "ZRANGEBYSCORE z -inf +inf LIMIT 9 2"], "*0");
        check(&[ADD, "ZRANGEBYSCORE z -inf +inf LIMIT 3 -5 WITHSCORES"], "*2 $1 d $1 4");
        check(&[ADD, "ZREVRANGEBYSCORE z 3 1 LIMIT 1 1"], "*1 $1 b");
        check(&[ADD, "ZRANGE z (4 2 BYSCORE REV"], "*2 $1 c $1 b");
        check(&[ADD, "ZRANGEBYSCORE z 2 1"], "*0");
        check(&[ADD, "ZRANGEBYSCORE z 1 x"], "-ERR min or max is not a float");
        check(&[ADD, "ZRANGEBYSCORE z 1 2 LIMIT 1"], "-ERR syntax error");
        check(&[ADD, "ZRANGEBYSCORE z 1 2 LIMIT 1 x"], "-ERR value is not an integer or out of range");
    }

    #[test]
    fn ranges_by_member() {
        let add = "ZADD z 0 a 0 b 0 c 0 d";
        check(&[add, "ZRANGEBYLEX z [b (d"], "*2 $1 b $1 c");
        check(&[add, "ZREVRANGEBYLEX z + [b LIMIT 1 5"], "*2 $1 c $1 b");
        check(&[add, "ZRANGE z + (c BYLEX REV"], "*1 $1 d");
        check(&[add, "ZRANGEBYLEX z b d"], "-ERR min or max not valid string range item");
        check(
            &[add, "ZRANGE z - + BYLEX WITHSCORES"],
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        );
    }

    #[test]
    fn ranges_are_stored() {
        check(&[ADD, "ZRANGESTORE y z 1 2"], ":2");
        check(&[ADD, "ZRANGESTORE y z 1 2 REV", "ZRANGE y 0 -1 WITHSCORES"], "*4 $1 b $1 2 $1 c $1 3");
        check(&[ADD, "SET y v", "ZRANGESTORE y z 9 10"], ":0");
        check(&[ADD, "SET y v", "ZRANGESTORE y z 9 10", "EXISTS y"], ":0");
        check(&[ADD, "ZRANGESTORE z z (1 2 BYSCORE", "ZRANGE z 0 -1"], "*1 $1 b");
        check(&[ADD, "ZRANGESTORE y z 1 2 WITHSCORES"], "-ERR syntax error");
        check_effects(&[ADD, "ZRANGESTORE y z 1 2"], "ZADD y 2 b 3 c");
        check_effects(&[ADD, "ZRANGESTORE z z 1 2"], "DEL z | ZADD z 2 b 3 c");
        check_effects(&[ADD, "SET y v", "ZRANGESTORE y z 9 10"], "DEL y");
        check_effects(&[ADD, "ZRANGESTORE y z 9 10"], "");
        check_events(&[ADD, "ZRANGESTORE y z 1 2"], "zrangestore:y");
        check_events(&[ADD, "SET y v", "ZRANGESTORE y z 9 10"], "del:y");
    }
}
