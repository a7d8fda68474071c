//! GEOSEARCH and GEOSEARCHSTORE, and what GEORADIUS has in common with them.

use super::{answer, args};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::sorted_set::store::{Members, store};
use crate::sorted_set::value;
use datatypes::geo::{Area, Point, Shape};
use datatypes::{Element, ZSetRef};
use std::cmp::Ordering;
use std::ops::Range;
use stdx::Args;

pub(super) fn geosearch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let zset = value::find(ctx, args.at(1))?;
    let request = Request::parse(args.from(2), &Syntax::Search { stores: false }, zset)?;
    let area = request.area(args.at(0))?;
    let search = request.search(zset, area);
    run(ctx, &search, "")
}

pub(super) fn geosearchstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let zset = value::find(ctx, args.at(2))?;
    let mut request = Request::parse(args.from(3), &Syntax::Search { stores: true }, zset)?;
    request.store = Some(args.at(1));
    let area = request.area(args.at(0))?;
    let search = request.search(zset, area);
    run(ctx, &search, "geosearchstore")
}

/// Which words a command takes.
pub(super) enum Syntax {
    /// GEORADIUS's; `stores` where STORE and STOREDIST name a key.
    Radius { stores: bool },
    /// GEOSEARCH's; `stores` where STOREDIST stands alone.
    Search { stores: bool },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Nearest,
    Farthest,
}

/// Where a search starts from.
#[derive(Clone, Copy)]
enum From {
    Point(Point),
    /// `None` is a member of a set that is not there.
    Member(Option<Point>),
}

/// What is asked for.
#[derive(Default)]
pub(super) struct Request<'a> {
    from: Option<From>,
    shape: Option<(Shape, f64)>,
    details: Details,
    any: bool,
    /// 0 for all.
    count: usize,
    order: Option<Order>,
    store: Option<&'a [u8]>,
    store_distance: bool,
}

/// What is answered of a place beside its name.
#[derive(Clone, Copy, Default)]
struct Details {
    distance: bool,
    hash: bool,
    point: bool,
}

impl<'a> Request<'a> {
    /// Reads the options. Errors, in Redis's order: those of the words as they come.
    pub(super) fn parse(
        args: Args<'a>,
        syntax: &Syntax,
        zset: Option<ZSetRef<'_>>,
    ) -> Result<Self, CommandError> {
        let mut request = Self::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if is(b"WITHDIST") {
                request.details.distance = true;
            } else if is(b"WITHHASH") {
                request.details.hash = true;
            } else if is(b"WITHCOORD") {
                request.details.point = true;
            } else if is(b"ANY") {
                request.any = true;
            } else if is(b"ASC") {
                request.order = Some(Order::Nearest);
            } else if is(b"DESC") {
                request.order = Some(Order::Farthest);
            } else if is(b"COUNT") && words.len() > 0 {
                let count = words.next().and_then(parse_int).ok_or(CommandError::NotInteger)?;
                request.count = usize::try_from(count)
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or(CommandError::COUNT_BELOW_1)?;
            } else {
                let read = match syntax {
                    Syntax::Radius { stores } => *stores && request.store_word(word, &mut words),
                    Syntax::Search { stores } => request.search_word(word, &mut words, *stores, zset)?,
                };
                if !read {
                    return Err(CommandError::Syntax);
                }
            }
        }
        Ok(request)
    }

    /// Reads STORE or STOREDIST and its key, if that is what the word is.
    fn store_word(&mut self, word: &[u8], words: &mut impl ExactSizeIterator<Item = &'a [u8]>) -> bool {
        let distance = word.eq_ignore_ascii_case(b"STOREDIST");
        if words.len() == 0 || !(distance || word.eq_ignore_ascii_case(b"STORE")) {
            return false;
        }
        (self.store, self.store_distance) = (words.next(), distance);
        true
    }

    /// Reads a word of GEOSEARCH with its arguments, if it is one.
    fn search_word(
        &mut self,
        word: &[u8],
        words: &mut impl ExactSizeIterator<Item = &'a [u8]>,
        stores: bool,
        zset: Option<ZSetRef<'_>>,
    ) -> Result<bool, CommandError> {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        let left = words.len();
        let mut next = || words.next().expect("as many words as were counted");
        // A member and a point exclude each other, as circle and box do; the same twice is taken as the last.
        if stores && is(b"STOREDIST") {
            self.store_distance = true;
        } else if is(b"FROMMEMBER") && left >= 1 && !matches!(self.from, Some(From::Point(_))) {
            let (member, from) = (next(), |score: Option<f64>| score.map(Point::of_score));
            self.from = Some(From::Member(match zset {
                Some(zset) => Some(from(zset.score(member)).ok_or(CommandError::GEO_MEMBER)?),
                None => None,
            }));
        } else if is(b"FROMLONLAT") && left >= 2 && !matches!(self.from, Some(From::Member(_))) {
            self.from = Some(From::Point(args::point(next(), next())?));
        } else if is(b"BYRADIUS") && left >= 2 && !matches!(self.shape, Some((Shape::Rectangle { .. }, _))) {
            let radius = args::radius(next())?;
            self.shape = Some((Shape::Circle { radius }, args::unit(next())?));
        } else if is(b"BYBOX") && left >= 3 && !matches!(self.shape, Some((Shape::Circle { .. }, _))) {
            let (width, height) = args::sides(next(), next())?;
            self.shape = Some((Shape::Rectangle { width, height }, args::unit(next())?));
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Checks that what is to be stored can be; `what` begins the error.
    fn check_store(&self, what: &str) -> Result<(), CommandError> {
        let Details { distance, hash, point } = self.details;
        let detailed = distance || hash || point;
        if self.store.is_some() && detailed { Err(CommandError::geo_store_details(what)) } else { Ok(()) }
    }

    fn check_any(&self) -> Result<(), CommandError> {
        if self.any && self.count == 0 { Err(CommandError::GEO_ANY) } else { Ok(()) }
    }

    /// Checks that GEORADIUS's options fit together.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        self.check_store("STORE option in GEORADIUS")?;
        self.check_any()
    }

    /// The area that GEOSEARCH's options describe; `None` around a member of a set that is not there. Errors, in Redis's
    /// order, name the command as the client did.
    fn area(&self, name: &[u8]) -> Result<Option<Area>, CommandError> {
        self.check_store("GEOSEARCHSTORE")?;
        let from = self.from.ok_or_else(|| CommandError::geo_from(name))?;
        let (shape, unit) = self.shape.ok_or_else(|| CommandError::geo_by(name))?;
        self.check_any()?;
        let (From::Point(center) | From::Member(Some(center))) = from else { return Ok(None) };
        Ok(Some(Area { center, shape, unit }))
    }

    /// Finds the places in `area`. Without a set or an area there are none.
    pub(super) fn search(&self, zset: Option<ZSetRef<'_>>, area: Option<Area>) -> Search<'a> {
        let mut search = Search {
            unit: area.map_or(1.0, |area| area.unit),
            details: self.details,
            store: self.store,
            store_distance: self.store_distance,
            places: Vec::new(),
            names: Vec::new(),
        };
        if let (Some(zset), Some(area)) = (zset, area) {
            search.collect(zset, &area, if self.any { self.count } else { usize::MAX });
        }
        // Some of many are the nearest, unless any will do.
        let nearest = (self.count > 0 && !self.any).then_some(Order::Nearest);
        match self.order.or(nearest) {
            Some(Order::Nearest) => search.places.sort_by(by_distance),
            Some(Order::Farthest) => search.places.sort_by(|one, other| by_distance(other, one)),
            None => {}
        }
        if self.count > 0 {
            search.places.truncate(self.count);
        }
        search
    }
}

/// What a search found.
pub(super) struct Search<'a> {
    places: Vec<Place>,
    /// The names of all places, one behind the other.
    names: Vec<u8>,
    /// Metres to the unit of distances.
    unit: f64,
    details: Details,
    store: Option<&'a [u8]>,
    store_distance: bool,
}

struct Place {
    point: Point,
    /// From the centre, in metres.
    metres: f64,
    score: f64,
    name: Range<usize>,
}

fn by_distance(one: &Place, other: &Place) -> Ordering {
    one.metres.partial_cmp(&other.metres).unwrap_or(Ordering::Equal)
}

impl Search<'_> {
    /// Adds the places of `zset` that are in `area`, until there are `max`.
    fn collect(&mut self, zset: ZSetRef<'_>, area: &Area, max: usize) {
        for range in area.scores() {
            let (mut ranks, step) = (zset.ranks_by_score(&range), max.min(STEP_MAX));
            // Some at a time, for a search of any few must not walk over all.
            while !ranks.is_empty() && self.places.len() < max {
                let end = ranks.end.min(ranks.start.saturating_add(step));
                zset.each(ranks.start..end, false, |member, score| {
                    let point = Point::of_score(score);
                    if let Some(metres) = area.distance_inside(point)
                        && self.places.len() < max
                    {
                        let start = self.names.len();
                        member.append_to(&mut self.names);
                        let name = start..self.names.len();
                        self.places.push(Place { point, metres, score, name });
                    }
                });
                ranks.start = end;
            }
        }
    }
}

/// Members that are looked at before it is checked whether there are enough.
const STEP_MAX: usize = 256;

/// Answers what was found, or stores it.
pub(super) fn run(
    ctx: &mut Ctx<'_>,
    search: &Search<'_>,
    event: &'static str,
) -> Result<Outcome, CommandError> {
    match search.store {
        Some(key) => keep(ctx, search, key, event),
        None => tell(ctx, search),
    }
    Ok(Outcome::Done)
}

fn keep(ctx: &mut Ctx<'_>, search: &Search<'_>, key: &[u8], event: &'static str) {
    let mut members = Members::default();
    for place in &search.places {
        let name = Element::Bytes(&search.names[place.name.clone()]);
        members.push(name, if search.store_distance { place.metres / search.unit } else { place.score });
    }
    store(ctx, key, &members, event);
    // Redis counts each place as a change.
    ctx.core.keyspace.stats.dirty += members.len().saturating_sub(1) as u64;
}

fn tell(ctx: &mut Ctx<'_>, search: &Search<'_>) {
    let Details { distance, hash, point } = search.details;
    let details = usize::from(distance) + usize::from(hash) + usize::from(point);
    let out = &mut ctx.out;
    out.array(search.places.len());
    for place in &search.places {
        if details > 0 {
            out.array(1 + details);
        }
        out.bulk(&search.names[place.name.clone()]);
        if distance {
            answer::distance(out, place.metres / search.unit);
        }
        if hash {
            out.int(place.score as i64);
        }
        if point {
            answer::point(out, place.point);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    const ADD: &str =
        "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 17.24151 38.788135 edge1";

    #[test]
    fn circles_and_boxes() {
        check(&[ADD, "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC"], "*2 $7 Catania $7 Palermo");
        check(
            &[ADD, "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km DESC WITHDIST"],
            "*3 *2 $5 edge1 $8 279.7403 *2 $7 Palermo $8 190.4424 *2 $7 Catania $7 56.4413",
        );
        check(&[ADD, "GEOSEARCH g FROMMEMBER Catania BYRADIUS 1 m"], "*1 $7 Catania");
        check(&[ADD, "GEOSEARCH g FROMMEMBER Catania BYBOX 900 900 km COUNT 2"], "*2 $7 Catania $7 Palermo");
        check(&["GEOSEARCH g FROMMEMBER x BYRADIUS 1 m"], "*0");
        check(
            &["SET g v", "GEOSEARCH g FROMLONLAT 1 2 BYRADIUS x m"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn results_are_stored() {
        check(&[ADD, "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km"], ":2");
        check(
            &[ADD, "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYBOX 400 400 km STOREDIST COUNT 1", "ZRANGE d 0 -1"],
            "*1 $7 Catania",
        );
        check(&["SET d v", "GEOSEARCHSTORE d g FROMMEMBER x BYRADIUS 1 m", "EXISTS d"], ":0");
        check_events(&[ADD, "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km"], "geosearchstore:d");
        check_effects(
            &[ADD, "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 100 km"],
            "ZADD d 3479447370796909 Catania",
        );
    }

    #[test]
    fn wrong_arguments() {
        let from = "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch";
        check(&[ADD, "geosearch g BYRADIUS 1 m ASC DESC"], from);
        let by = "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH";
        check(&[ADD, "GEOSEARCH g FROMLONLAT 1 2 ASC DESC"], by);
        check(&[ADD, "GEOSEARCH g FROMLONLAT 1 2 FROMMEMBER Catania"], "-ERR syntax error");
        check(&[ADD, "GEOSEARCH g BYBOX 1 1 m BYRADIUS 1 m"], "-ERR syntax error");
        check(&[ADD, "GEOSEARCH g BYBOX x 1 m ASC"], "-ERR need numeric width");
        check(&[ADD, "GEOSEARCH g BYBOX 1 x m ASC"], "-ERR need numeric height");
        check(&[ADD, "GEOSEARCH g BYBOX 1 -1 m ASC"], "-ERR height or width cannot be negative");
        check(
            &[ADD, "GEOSEARCH g FROMMEMBER Rome BYRADIUS 1 m"],
            "-ERR could not decode requested zset member",
        );
        check(&[ADD, "GEOSEARCH g FROMLONLAT 1 2 ASC STOREDIST"], "-ERR syntax error");
        check(
            &[ADD, "GEOSEARCHSTORE d g FROMLONLAT 1 2 BYRADIUS 1 m WITHHASH"],
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        );
    }
}
