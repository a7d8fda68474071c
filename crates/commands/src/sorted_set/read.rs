//! ZCARD, ZSCORE, ZMSCORE, ZRANK and ZREVRANK.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use datatypes::ZSetRef;
use resp::Reply;
use stdx::Args;

pub(super) fn zcard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let len = value::find(ctx, args.at(1))?.map_or(0, |zset| zset.len());
    ctx.out.int(len as i64);
    Ok(Outcome::Done)
}

#[inline]
fn score(out: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => out.double(score),
        None => out.null(),
    }
}

pub(super) fn zscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let found = value::find(ctx, args.at(1))?.and_then(|zset| zset.score(args.at(2)));
    score(&mut ctx.out, found);
    Ok(Outcome::Done)
}

pub(super) fn zmscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access);
    let zset = found.map(value::zset).transpose()?;
    let members = args.from(2).iter();
    ctx.out.array(members.len());
    for member in members {
        score(&mut ctx.out, zset.and_then(|zset| zset.score(member)));
    }
    Ok(Outcome::Done)
}

pub(super) fn zrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    rank(ctx, args, "zrank", |_, rank| rank)
}

pub(super) fn zrevrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    rank(ctx, args, "zrevrank", |zset, rank| zset.len() - 1 - rank)
}

#[inline]
fn rank(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    name: &'static str,
    turn: impl Fn(ZSetRef<'_>, usize) -> usize,
) -> Result<Outcome, CommandError> {
    let with_score = match args.get(3) {
        _ if args.len() > 4 => return Err(CommandError::Arity(name.into())),
        Some(word) if !word.eq_ignore_ascii_case(b"WITHSCORE") => return Err(CommandError::Syntax),
        word => word.is_some(),
    };
    let zset = value::find(ctx, args.at(1))?;
    let found = zset.and_then(|zset| zset.rank(args.at(2)).map(|(score, rank)| (score, turn(zset, rank))));
    match found {
        Some((score, rank)) if with_score => {
            ctx.out.array(2);
            ctx.out.int(rank as i64);
            ctx.out.double(score);
        }
        Some((_, rank)) => ctx.out.int(rank as i64),
        None if with_score => ctx.out.null_array(),
        None => ctx.out.null(),
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    const ADD: &str = "ZADD z 1 a 2 b 2.5 c";

    #[test]
    fn cards_and_scores() {
        check(&["ZCARD z"], ":0");
        check(&[ADD, "ZCARD z"], ":3");
        check(&[ADD, "ZSCORE z c"], "$3 2.5");
        check(&[ADD, "HELLO 3", "ZSCORE z c"], ",2.5");
        check(&[ADD, "ZSCORE z d"], "$-1");
        check(&[ADD, "ZMSCORE z a d b"], "*3 $1 1 $-1 $1 2");
        check(&["ZMSCORE z a"], "*1 $-1");
        check(&["SET z v", "ZCARD z"], "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }

    #[test]
    fn ranks() {
        check(&[ADD, "ZRANK z a"], ":0");
        check(&[ADD, "ZREVRANK z a"], ":2");
        check(&[ADD, "ZRANK z c withscore"], "*2 :2 $3 2.5");
        check(&[ADD, "ZRANK z d"], "$-1");
        check(&[ADD, "ZRANK z d WITHSCORE"], "*-1");
        check(&["ZRANK z d WITHSCORE"], "*-1");
        check(&[ADD, "ZRANK z d FOO"], "-ERR syntax error");
        check(&[ADD, "ZREVRANK z d FOO BAR"], "-ERR wrong number of arguments for 'zrevrank' command");
    }
}
