//! GEORADIUS and GEORADIUSBYMEMBER, which may store what they find, and their read-only forms.

use super::args;
use super::search::{Request, Search, Syntax, run};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::sorted_set::value;
use datatypes::ZSetRef;
use datatypes::geo::{Area, Point, Shape};
use stdx::Args;

/// The positions of the keys: the set, and the key after the last STORE or STOREDIST, which is the one that counts.
pub(super) fn keys(args: Args<'_>, positions: &mut Vec<u32>) {
    positions.push(1);
    let (mut stored, mut at) = (None, 5);
    while at + 1 < args.len() {
        let word = args.at(at);
        at += 1;
        if word.eq_ignore_ascii_case(b"STORE") || word.eq_ignore_ascii_case(b"STOREDIST") {
            stored = Some(at as u32);
            at += 1;
        }
    }
    positions.extend(stored);
}

pub(super) fn georadius(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    around_point(ctx, args, true)
}

pub(super) fn georadius_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    around_point(ctx, args, false)
}

pub(super) fn georadiusbymember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    around_member(ctx, args, true)
}

pub(super) fn georadiusbymember_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    around_member(ctx, args, false)
}

fn around_point(ctx: &mut Ctx<'_>, args: Args<'_>, stores: bool) -> Result<Outcome, CommandError> {
    let zset = value::find(ctx, args.at(1))?;
    let center = args::point(args.at(2), args.at(3))?;
    let area = circle(center, args.at(4), args.at(5))?;
    let search = search(zset, args.from(6), stores, Some(area))?;
    run(ctx, &search, "georadiusstore")
}

fn around_member(ctx: &mut Ctx<'_>, args: Args<'_>, stores: bool) -> Result<Outcome, CommandError> {
    let zset = value::find(ctx, args.at(1))?;
    // Without a set there is no member to start from, and Redis does not look at the radius.
    let area = match zset {
        Some(zset) => {
            let center = zset.score(args.at(2)).map(Point::of_score).ok_or(CommandError::GEO_MEMBER)?;
            Some(circle(center, args.at(3), args.at(4))?)
        }
        None => None,
    };
    let search = search(zset, args.from(5), stores, area)?;
    run(ctx, &search, "georadiusstore")
}

fn circle(center: Point, radius: &[u8], unit: &[u8]) -> Result<Area, CommandError> {
    let radius = args::radius(radius)?;
    Ok(Area { center, shape: Shape::Circle { radius }, unit: args::unit(unit)? })
}

/// Reads the options and searches.
fn search<'a>(
    zset: Option<ZSetRef<'_>>,
    options: Args<'a>,
    stores: bool,
    area: Option<Area>,
) -> Result<Search<'a>, CommandError> {
    let request = Request::parse(options, &Syntax::Radius { stores }, zset)?;
    request.check()?;
    Ok(request.search(zset, area))
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};
    use stdx::args::OwnedArgs;

    const ADD: &str = "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

    #[test]
    fn places_around_a_point() {
        check(&[ADD, "GEORADIUS g 15 37 200 km"], "*2 $7 Palermo $7 Catania");
        check(
            &[ADD, "GEORADIUS g 15 37 200 km WITHDIST ASC"],
            "*2 *2 $7 Catania $7 56.4413 *2 $7 Palermo $8 190.4424",
        );
        check(&[ADD, "GEORADIUS_RO g 15 37 100 km WITHHASH"], "*1 *2 $7 Catania :3479447370796909");
        check(
            &[ADD, "GEORADIUS g 15 37 100 km WITHCOORD"],
            "*1 *2 $7 Catania *2 $20 15.08726745843887329 $20 37.50266842333162032",
        );
        check(&[ADD, "GEORADIUS g 15 37 200 km COUNT 1"], "*1 $7 Catania");
        check(&[ADD, "GEORADIUS g 15 37 200 km COUNT 1 DESC"], "*1 $7 Palermo");
        check(&[ADD, "GEORADIUS g 15 37 200 km COUNT 1 ANY"], "*1 $7 Palermo");
        check(&[ADD, "GEORADIUSBYMEMBER g Palermo 200 km"], "*2 $7 Palermo $7 Catania");
        check(&["GEORADIUSBYMEMBER g Palermo x y"], "*0");
    }

    #[test]
    fn the_last_key_to_store_at_counts() {
        let keys = |line: &str| {
            let mut positions = Vec::new();
            let args = OwnedArgs::new(&line.split(' ').collect::<Vec<_>>());
            super::keys(args.as_args(), &mut positions);
            positions
        };
        assert_eq!(keys("GEORADIUS g 15 37 200 km"), [1]);
        assert_eq!(keys("GEORADIUS g 15 37 200 km STORE a storedist b"), [1, 9]);
        assert_eq!(keys("GEORADIUS g 15 37 200 km STORE store"), [1, 7]);
        assert_eq!(keys("GEORADIUSBYMEMBER g m 200 km STORE a STORE"), [1, 6]);
    }

    #[test]
    fn places_are_stored() {
        check(&[ADD, "GEORADIUS g 15 37 200 km STORE d"], ":2");
        check(&[ADD, "GEORADIUS g 15 37 200 km STOREDIST d", "ZSCORE d Catania"], "$16 56.4412578701582");
        check(&[ADD, "SET d v", "GEORADIUS g 15 37 1 m STORE d", "EXISTS d"], ":0");
        check(&["SET d v", "GEORADIUS g 15 37 1 m STORE d", "EXISTS d"], ":0");
        check_events(&[ADD, "GEORADIUS g 15 37 200 km STORE d"], "georadiusstore:d");
        check_effects(&[ADD, "GEORADIUS g 15 37 200 km"], "");
        check_effects(
            &[ADD, "GEORADIUS g 15 37 200 km STORE g"],
            "DEL g | ZADD g 3479099956230698 Palermo 3479447370796909 Catania",
        );
    }

    #[test]
    fn wrong_arguments() {
        check(&[ADD, "GEORADIUS g 15 37 x km"], "-ERR need numeric radius");
        check(&[ADD, "GEORADIUS g 15 37 -1 km"], "-ERR radius cannot be negative");
        check(&[ADD, "GEORADIUSBYMEMBER g Rome 1 km"], "-ERR could not decode requested zset member");
        check(&[ADD, "GEORADIUS_RO g 15 37 1 km STORE d"], "-ERR syntax error");
        check(&[ADD, "GEORADIUS g 15 37 1 km COUNT 0"], "-ERR COUNT must be > 0");
        check(&[ADD, "GEORADIUS g 15 37 1 km ANY"], "-ERR the ANY argument requires COUNT argument");
        check(
            &[ADD, "GEORADIUS g 15 37 1 km STORE d WITHDIST"],
            "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        );
    }
}
