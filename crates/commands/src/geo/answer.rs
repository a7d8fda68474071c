//! Writing distances and places.

use datatypes::geo::Point;
use resp::{Proto, Reply};
use std::io::Write as _;
use stdx::number::format_decimal;

/// A distance, in whatever unit, with four decimals.
pub(super) fn distance(out: &mut Reply<'_>, distance: f64) {
    const PARTS: f64 = 10_000.0;
    let mut text = [0; 32];
    let mut rest = &mut text[..];
    let parts = (distance * PARTS).round_ties_even() as i64;
    let (sign, parts) = (if parts < 0 { "-" } else { "" }, parts.unsigned_abs());
    write!(rest, "{sign}{}.{:04}", parts / 10_000, parts % 10_000).expect("19 digits fit");
    let left = rest.len();
    out.bulk(&text[..text.len() - left]);
}

/// Longitude and latitude.
pub(super) fn point(out: &mut Reply<'_>, point: Point) {
    out.array(2);
    let mut text = Vec::new();
    for degrees in [point.longitude, point.latitude] {
        text.clear();
        match out.proto() {
            Proto::Resp2 => {
                format_decimal(degrees, &mut text);
                out.bulk(&text);
            }
            Proto::Resp3 => {
                text.push(b',');
                format_decimal(degrees, &mut text);
                text.extend_from_slice(b"\r\n");
                out.raw(&text);
            }
        }
    }
}
