//! The part of a string that BITCOUNT and BITPOS look at.

use std::ops::Range;

/// What `start` and `end` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Byte,
    Bit,
}

impl Unit {
    /// BYTE or BIT, in any case.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        if word.eq_ignore_ascii_case(b"bit") {
            Some(Self::Bit)
        } else {
            word.eq_ignore_ascii_case(b"byte").then_some(Self::Byte)
        }
    }

    fn bits(self) -> i64 {
        if self == Self::Byte { 8 } else { 1 }
    }
}

/// The bits from unit `start` to unit `end` of a string of `len` bytes: both are included, negative ones count from
/// the end, and what lies outside is cut off.
pub(super) fn bits(start: i64, end: i64, unit: Unit, len: usize) -> Range<u64> {
    let total = len as i64 * 8 / unit.bits();
    let from_start = |at: i64| if at < 0 { (total + at).max(0) } else { at };
    let (start, end) = (from_start(start), from_start(end).min(total - 1));
    if start <= end { (start * unit.bits()) as u64..((end + 1) * unit.bits()) as u64 } else { 0..0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(start: i64, end: i64, unit: Unit, expected: Range<u64>) {
        assert_eq!(bits(start, end, unit, 10), expected, "{start} {end} {unit:?}");
    }

    #[test]
    fn both_ends_are_included_and_clamped() {
        check(0, -1, Unit::Byte, 0..80);
        check(1, 1, Unit::Byte, 8..16);
        check(-2, 100, Unit::Byte, 64..80);
        check(3, 2, Unit::Byte, 0..0);
        check(10, 20, Unit::Byte, 0..0);
        check(-100, -100, Unit::Byte, 0..8);
        check(5, -5, Unit::Bit, 5..76);
        check(79, i64::MAX, Unit::Bit, 79..80);
        check(i64::MIN, i64::MIN, Unit::Bit, 0..1);
        check(i64::MAX, i64::MAX, Unit::Byte, 0..0);
        assert_eq!(bits(0, -1, Unit::Bit, 0), 0..0);
    }
}
