//! GEODIST, GEOHASH and GEOPOS.

use super::{answer, args};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::sorted_set::value;
use datatypes::geo::Point;
use resp::Reply;
use stdx::Args;

pub(super) fn geodist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let unit = match args.get(4) {
        Some(unit) if args.len() == 5 => args::unit(unit)?,
        Some(_) => return Err(CommandError::Syntax),
        None => 1.0,
    };
    let distance = value::find(ctx, args.at(1))?.and_then(|zset| {
        let [one, other] = [args.at(2), args.at(3)].map(|member| zset.score(member).map(Point::of_score));
        Some(one?.distance(other?))
    });
    match distance {
        Some(metres) => answer::distance(&mut ctx.out, metres / unit),
        None => ctx.out.null(),
    }
    Ok(Outcome::Done)
}

pub(super) fn geohash(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    each(ctx, args, |out, point| match point {
        Some(point) => out.bulk(&point.geohash()),
        None => out.null(),
    })
}

pub(super) fn geopos(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    each(ctx, args, |out, point| match point {
        Some(point) => answer::point(out, point),
        None => out.null_array(),
    })
}

/// Answers for each member.
fn each(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    write: impl Fn(&mut Reply<'_>, Option<Point>),
) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access);
    let zset = found.map(value::zset).transpose()?;
    ctx.out.array(args.len() - 2);
    for member in args.from(2).iter() {
        let score = zset.and_then(|zset| zset.score(member));
        write(&mut ctx.out, score.map(Point::of_score));
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    const ADD: &str = "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

    #[test]
    fn distances() {
        check(&[ADD, "GEODIST g Palermo Catania"], "$11 166274.1516");
        check(&[ADD, "GEODIST g Palermo Catania KM"], "$8 166.2742");
        check(&[ADD, "GEODIST g Palermo Palermo"], "$6 0.0000");
        check(&[ADD, "HELLO 3", "GEODIST g Palermo Catania mi"], "$8 103.3182");
        check(&[ADD, "GEODIST g Palermo Rome"], "$-1");
        check(&["GEODIST g Palermo Rome"], "$-1");
        let unit = "-ERR unsupported unit provided. please use M, KM, FT, MI";
        check(&[ADD, "GEODIST g Palermo Rome parsec"], unit);
        check(&[ADD, "GEODIST g Palermo Rome m m"], "-ERR syntax error");
    }

    #[test]
    fn positions() {
        check(&[ADD, "GEOHASH g Palermo Rome"], "*2 $11 sqc8b49rny0 $-1");
        check(&[ADD, "GEOPOS g Palermo Rome"], "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1");
        check(
            &[ADD, "HELLO 3", "GEOPOS g Palermo Rome"],
            "*2 *2 ,13.36138933897018433 ,38.11555639549629859 _",
        );
        check(&["GEOPOS g a"], "*1 *-1");
        check(&["GEOHASH g"], "*0");
    }
}
