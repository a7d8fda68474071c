//! Places on the globe as scores of a sorted set: geohashes of 52 bits, distances, and the squares that cover an area.
//!
//! A geohash interleaves the bits of latitude (even) and longitude (odd), each a fraction of its range: longitude
//! -180 to 180, latitude to 85.05112878 north and south as in Web Mercator. With fewer than 26 bits of each it names a
//! square of the globe, and all places of that square are one range of scores.
//!
//! Scores, distances and squares are Redis's to the last bit (its `geohash.c`, `geohash_helper.c`), so every formula is
//! evaluated in its order.

use crate::zset::ScoreRange;
use std::f64::consts::PI;

/// Degrees of longitude and latitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// East is positive.
    pub longitude: f64,
    /// North is positive.
    pub latitude: f64,
}

/// From the least to the greatest degree.
#[derive(Clone, Copy, Debug)]
struct Span {
    min: f64,
    max: f64,
}

/// What longitudes and latitudes are fractions of.
#[derive(Clone, Copy, Debug)]
struct Frame {
    longitude: Span,
    latitude: Span,
}

const LONGITUDE_MAX: f64 = 180.0;
const LATITUDE_MAX: f64 = 85.05112878;

/// That of scores.
const MERCATOR: Frame = Frame {
    longitude: Span { min: -LONGITUDE_MAX, max: LONGITUDE_MAX },
    latitude: Span { min: -LATITUDE_MAX, max: LATITUDE_MAX },
};
/// That of geohash strings.
const GLOBE: Frame = Frame { longitude: MERCATOR.longitude, latitude: Span { min: -90.0, max: 90.0 } };

/// Bits of longitude, and of latitude, in a score.
const STEPS_MAX: u32 = 26;
const SCORE_BITS: u32 = 2 * STEPS_MAX;

impl Point {
    /// The point, if it can be a score.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let inside = (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&latitude);
        inside.then_some(Self { longitude, latitude })
    }

    /// The score that stands for it: a whole number of 52 bits.
    pub fn score(self) -> f64 {
        Cell::of(self, MERCATOR, STEPS_MAX).bits as f64
    }

    /// The point in the middle of the square that a score stands for. Of a score that is no place, Redis's answer.
    pub fn of_score(score: f64) -> Self {
        let square = Cell { bits: score_bits(score), steps: STEPS_MAX }.square();
        let middle = |span: Span, max: f64| ((span.min + span.max) / 2.0).clamp(-max, max);
        Self {
            longitude: middle(square.longitude, LONGITUDE_MAX),
            latitude: middle(square.latitude, LATITUDE_MAX),
        }
    }

    /// Its geohash as others write it, in 11 characters of which the last says nothing.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Cell::of(self, GLOBE, STEPS_MAX).bits;
        let mut text = [b'0'; 11];
        for (place, byte) in text[..10].iter_mut().enumerate() {
            *byte = ALPHABET[(bits >> (SCORE_BITS as usize - (place + 1) * 5)) as usize & 31];
        }
        text
    }

    /// Metres to another point, on a sphere.
    pub fn distance(self, other: Self) -> f64 {
        let v = ((radians(other.longitude) - radians(self.longitude)) / 2.0).sin();
        if v == 0.0 {
            return north_south(self.latitude, other.latitude);
        }
        let (from, to) = (radians(self.latitude), radians(other.latitude));
        let u = ((to - from) / 2.0).sin();
        let a = u * u + from.cos() * to.cos() * v * v;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }
}

/// Metres between two latitudes, along a meridian.
fn north_south(one: f64, other: f64) -> f64 {
    EARTH_RADIUS_M * (radians(other) - radians(one)).abs()
}

const EARTH_RADIUS_M: f64 = 6_372_797.560856;
const RADIANS_PER_DEGREE: f64 = PI / 180.0;

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// A score's bits, as x86-64 converts a double to an unsigned number; of what is none, too.
fn score_bits(score: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    // Redis converts negative numbers as signed ones, and all that is out of range to the least.
    let signed = |value: f64| if (-HALF..HALF).contains(&value) { value as i64 } else { i64::MIN };
    if score < HALF { signed(score) as u64 } else { signed(score - HALF) as u64 ^ (1 << 63) }
}

/// A square: the first `steps` bits of longitude and latitude, interleaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    bits: u64,
    steps: u32,
}

/// Moves the bits of a number apart, to the even places.
fn spread(value: u32) -> u64 {
    let mut bits = u64::from(value);
    bits = (bits | bits << 16) & 0x0000_FFFF_0000_FFFF;
    bits = (bits | bits << 8) & 0x00FF_00FF_00FF_00FF;
    bits = (bits | bits << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & EVEN
}

/// The even bits, moved together.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & EVEN;
    bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    bits = (bits | bits >> 2) & 0x0F0F_0F0F_0F0F_0F0F;
    bits = (bits | bits >> 4) & 0x00FF_00FF_00FF_00FF;
    bits = (bits | bits >> 8) & 0x0000_FFFF_0000_FFFF;
    (bits | bits >> 16) as u32
}

/// Where latitude is.
const EVEN: u64 = 0x5555_5555_5555_5555;

impl Cell {
    fn of(point: Point, frame: Frame, steps: u32) -> Self {
        let fixed = |degrees: f64, span: Span| {
            let fraction = (degrees - span.min) / (span.max - span.min);
            (fraction * (1u64 << steps) as f64) as u32
        };
        let latitude = spread(fixed(point.latitude, frame.latitude));
        let longitude = spread(fixed(point.longitude, frame.longitude));
        Self { bits: latitude | longitude << 1, steps }
    }

    /// The degrees that it covers.
    fn square(self) -> Frame {
        let parts = (1u64 << self.steps) as f64;
        let span = |fixed: u32, whole: Span| {
            let scale = whole.max - whole.min;
            Span {
                min: whole.min + (f64::from(fixed) / parts) * scale,
                max: whole.min + (f64::from(fixed.wrapping_add(1)) / parts) * scale,
            }
        };
        Frame {
            longitude: span(gather(self.bits >> 1), MERCATOR.longitude),
            latitude: span(gather(self.bits), MERCATOR.latitude),
        }
    }

    /// The square `east` and `north` steps (each -1, 0 or 1) further, around the globe where it ends.
    fn moved(self, east: i32, north: i32) -> Self {
        let used = u64::MAX >> (64 - 2 * self.steps);
        let shift = |bits: u64, mask: u64, by: i32| {
            // The bits between carry over into the next place of this one.
            let between = !mask & used;
            match by {
                0 => bits & mask,
                1 => (bits & mask).wrapping_add(between + 1) & mask & used,
                _ => (bits & mask | between).wrapping_sub(between + 1) & mask & used,
            }
        };
        let bits = shift(self.bits, !EVEN, east) | shift(self.bits, EVEN, north);
        Self { bits, steps: self.steps }
    }

    /// The scores of the places in it.
    fn scores(self) -> ScoreRange {
        let align = |bits: u64| (bits << (SCORE_BITS - 2 * self.steps)) as f64;
        ScoreRange {
            min: align(self.bits),
            max: align(self.bits.wrapping_add(1)),
            min_excluded: false,
            max_excluded: true,
        }
    }
}

/// What is searched for places, in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Everything up to so far away.
    Circle {
        /// How far.
        radius: f64,
    },
    /// A box with the centre in its middle.
    Rectangle {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
}

/// A shape around a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The middle.
    pub center: Point,
    /// What is around it, in units of `unit` metres.
    pub shape: Shape,
    /// Metres to a unit.
    pub unit: f64,
}

impl Area {
    /// The distance of a point in it from its centre in metres; `None` for a point outside.
    #[inline]
    pub fn distance_inside(&self, point: Point) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius } => {
                let distance = self.center.distance(point);
                // Of points on opposite sides it may be NaN, which is not too far.
                if distance > radius * self.unit { None } else { Some(distance) }
            }
            Shape::Rectangle { width, height } => {
                let north_south = north_south(point.latitude, self.center.latitude);
                if north_south > height * self.unit / 2.0 {
                    return None;
                }
                let beside = Point { longitude: self.center.longitude, latitude: point.latitude };
                if point.distance(beside) > width * self.unit / 2.0 {
                    return None;
                }
                Some(self.center.distance(point))
            }
        }
    }

    /// The scores of all places that can be in it: up to nine ranges, in the order that Redis searches them in, which
    /// shows when a search ends early.
    pub fn scores(&self) -> impl Iterator<Item = ScoreRange> {
        let bounds = self.bounds();
        let mut center = Cell::of(self.center, MERCATOR, self.steps());
        if center.steps > 1 && !neighbours_reach(center, bounds) {
            center = Cell::of(self.center, MERCATOR, center.steps - 1);
        }
        let square = center.square();
        let needed = move |east: i32, north: i32| {
            center.steps < 2
                || (north != -1 || square.latitude.min >= bounds.latitude.min)
                    && (north != 1 || square.latitude.max <= bounds.latitude.max)
                    && (east != -1 || square.longitude.min >= bounds.longitude.min)
                    && (east != 1 || square.longitude.max <= bounds.longitude.max)
        };
        // Near the poles, and of large areas, neighbours may be the same square. Redis tells by the one before.
        let mut before = None;
        SEARCH_ORDER.into_iter().filter(move |&(east, north)| needed(east, north)).filter_map(
            move |(east, north)| {
                let cell = center.moved(east, north);
                let again = before == Some(cell);
                if (east, north) != (0, 0) {
                    before = Some(cell);
                }
                (!again).then(|| cell.scores())
            },
        )
    }

    /// Bits of longitude and latitude of squares that, nine of them, are large enough.
    fn steps(&self) -> u32 {
        let radius = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        let mut range = radius * self.unit;
        if range == 0.0 {
            return STEPS_MAX;
        }
        let mut steps = 1;
        while range < MERCATOR_MAX_M {
            range *= 2.0;
            steps += 1;
        }
        steps -= 2;
        // Towards the poles squares become narrow.
        let latitude = self.center.latitude.abs();
        steps -= i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        steps.clamp(1, STEPS_MAX as i32) as u32
    }

    /// The degrees that it is within.
    fn bounds(&self) -> Frame {
        let (height, width) = match self.shape {
            Shape::Circle { radius } => (self.unit * radius, self.unit * radius),
            Shape::Rectangle { width, height } => (self.unit * (height / 2.0), self.unit * (width / 2.0)),
        };
        let Point { longitude, latitude } = self.center;
        let north = degrees(height / EARTH_RADIUS_M);
        // Of the two sides, the one nearer to the pole, where a degree of longitude is shorter.
        let side = if latitude < 0.0 { latitude - north } else { latitude + north };
        let east = degrees(width / EARTH_RADIUS_M / radians(side).cos());
        Frame {
            longitude: Span { min: longitude - east, max: longitude + east },
            latitude: Span { min: latitude - north, max: latitude + north },
        }
    }
}

/// Whether the squares next to `center` reach as far as `bounds` on every side.
fn neighbours_reach(center: Cell, bounds: Frame) -> bool {
    let square = |east, north| center.moved(east, north).square();
    square(0, 1).latitude.max >= bounds.latitude.max
        && square(0, -1).latitude.min <= bounds.latitude.min
        && square(1, 0).longitude.max >= bounds.longitude.max
        && square(-1, 0).longitude.min <= bounds.longitude.min
}

/// The centre, then the sides, then the corners: steps to the east and to the north.
const SEARCH_ORDER: [(i32, i32); 9] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// Half of the world's circumference on a Web Mercator map, in metres.
const MERCATOR_MAX_M: f64 = 20_037_726.37;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(longitude: f64, latitude: f64) -> Point {
        Point::new(longitude, latitude).expect("a point that can be a score")
    }

    /// The examples of Redis's documentation.
    #[test]
    fn palermo_and_catania() {
        let palermo = point(13.361389, 38.115556);
        let catania = point(15.087269, 37.502669);
        assert_eq!(palermo.score(), 3_479_099_956_230_698.0);
        assert_eq!(catania.score(), 3_479_447_370_796_909.0);
        let kept = [palermo, catania].map(|place| Point::of_score(place.score()));
        assert_eq!(kept[0], Point { longitude: 13.361389338970184, latitude: 38.1155563954963 });
        assert_eq!(kept.map(|place| place.geohash()), [*b"sqc8b49rny0", *b"sqdtr74hyu0"]);
        assert_eq!((kept[0].distance(kept[1]) * 10_000.0).round(), 1_662_741_516.0);
        assert_eq!(kept[0].distance(kept[0]), 0.0);
    }

    #[test]
    fn points_of_the_edges() {
        assert!(Point::new(180.0, LATITUDE_MAX).is_some() && Point::new(-180.0, -LATITUDE_MAX).is_some());
        assert!(Point::new(180.1, 0.0).is_none() && Point::new(0.0, 85.06).is_none());
        assert!(Point::new(f64::NAN, 0.0).is_none());
        assert_eq!(point(-180.0, -LATITUDE_MAX).score(), 0.0);
        assert_eq!(Point::of_score(0.0).geohash().len(), 11);
    }

    #[test]
    fn scores_that_are_no_places_are_read_as_by_redis() {
        assert_eq!(score_bits(-5.0), -5i64 as u64);
        assert_eq!(score_bits(1.9), 1);
        assert_eq!(score_bits(9_223_372_036_854_775_808.0), 1 << 63);
        assert_eq!(score_bits(f64::INFINITY), 0);
        assert_eq!(score_bits(1e300), 0);
        assert_eq!(score_bits(f64::NEG_INFINITY), 1 << 63);
    }

    #[test]
    fn squares_have_neighbours_on_all_sides() {
        let center = Cell::of(point(10.0, 10.0), MERCATOR, 10);
        let (here, east, north) = (center.square(), center.moved(1, 0), center.moved(0, 1));
        assert_eq!(east.square().longitude.min, here.longitude.max);
        assert_eq!(north.square().latitude.min, here.latitude.max);
        assert_eq!(east.moved(-1, 0), center);
        assert_eq!(north.moved(1, -1), east);
        let edge = Cell::of(point(179.9999, 0.0), MERCATOR, 4);
        assert_eq!(edge.moved(1, 0).square().longitude.min, -180.0);
    }

    #[test]
    fn a_box_is_measured_along_both_axes() {
        let shape = Shape::Rectangle { width: 400.0, height: 200.0 };
        let area = Area { center: point(15.0, 37.0), shape, unit: 1000.0 };
        assert!(area.distance_inside(point(17.0, 37.0)).is_some());
        assert!(area.distance_inside(point(15.0, 39.0)).is_none());
        assert!(area.distance_inside(point(17.5, 37.0)).is_none());
    }

    proptest! {
        #[test]
        fn a_score_gives_its_point_back(longitude in -180.0..180.0f64, latitude in -85.0..85.0f64) {
            let place = point(longitude, latitude);
            let back = Point::of_score(place.score());
            prop_assert!((back.longitude - longitude).abs() < 1e-5 && (back.latitude - latitude).abs() < 1e-5);
            prop_assert_eq!(back.score(), place.score());
        }

        #[test]
        fn whatever_is_inside_has_a_score_in_the_ranges(
            longitude in -170.0..170.0f64,
            latitude in -60.0..60.0f64,
            east in -1.0..1.0f64,
            north in -1.0..1.0f64,
            size in 1.0..500_000.0f64,
            boxed: bool,
        ) {
            let shape = if boxed {
                Shape::Rectangle { width: 2.0 * size, height: size }
            } else {
                Shape::Circle { radius: size }
            };
            let area = Area { center: point(longitude, latitude), shape, unit: 1.0 };
            let reach = size / 100_000.0;
            let other = Point::of_score(point(longitude + east * reach, latitude + north * reach).score());
            if area.distance_inside(other).is_some() {
                let score = other.score();
                let covers = |range: ScoreRange| !range.begins_after(score) && range.reaches(score);
                prop_assert!(area.scores().any(covers), "{area:?} {other:?}");
            }
        }

        #[test]
        fn bits_spread_and_gather(value: u32) {
            prop_assert_eq!(gather(spread(value)), value);
            prop_assert_eq!(spread(value) & !EVEN, 0);
        }
    }
}
