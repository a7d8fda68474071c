//! Arguments that are places, distances or units.

use crate::error::CommandError;
use crate::sorted_set::args::score as number;
use datatypes::geo::Point;

/// A place. Errors: what is no float, and what no score can stand for.
pub(super) fn point(longitude: &[u8], latitude: &[u8]) -> Result<Point, CommandError> {
    let degrees = |text| number(text).ok_or(CommandError::NotFloat);
    let (longitude, latitude) = (degrees(longitude)?, degrees(latitude)?);
    Point::new(longitude, latitude).ok_or_else(|| CommandError::no_place(longitude, latitude))
}

/// Metres to a unit.
pub(super) fn unit(text: &[u8]) -> Result<f64, CommandError> {
    let is = |name: &[u8]| text.eq_ignore_ascii_case(name);
    let known = [(&b"m"[..], 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    known.into_iter().find(|(name, _)| is(name)).map(|(_, metres)| metres).ok_or(CommandError::GEO_UNIT)
}

/// A radius. Errors: what is no float, and what is negative.
pub(super) fn radius(text: &[u8]) -> Result<f64, CommandError> {
    let radius = number(text).ok_or(CommandError::GEO_RADIUS)?;
    if radius < 0.0 { Err(CommandError::GEO_RADIUS_NEGATIVE) } else { Ok(radius) }
}

/// Width and height of a box. Errors: what is no float, and what is negative.
pub(super) fn sides(width: &[u8], height: &[u8]) -> Result<(f64, f64), CommandError> {
    let width = number(width).ok_or(CommandError::GEO_WIDTH)?;
    let height = number(height).ok_or(CommandError::GEO_HEIGHT)?;
    if width < 0.0 || height < 0.0 { Err(CommandError::GEO_SIDES_NEGATIVE) } else { Ok((width, height)) }
}
