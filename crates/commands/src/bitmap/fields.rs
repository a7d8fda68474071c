//! Integers of any width: how they are written in commands, and what becomes of those that do not fit.

use crate::ctx::parse_int;
use crate::error::CommandError;

/// The type of a field: `i` or `u` and its width in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) signed: bool,
    /// 1 to 64; at most 63 when unsigned.
    pub(super) width: u32,
}

/// What happens to a value that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    /// Its low bits are taken.
    Wrap,
    /// The nearest value that fits is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Type {
    /// Errors: `FIELD_TYPE`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, CommandError> {
        let (signed, digits) = match text.split_first() {
            Some((b'i', digits)) => (true, digits),
            Some((b'u', digits)) => (false, digits),
            _ => return Err(CommandError::FIELD_TYPE),
        };
        // Redis reads the digits up to a NUL byte.
        let end = digits.iter().position(|byte| *byte == 0).unwrap_or(digits.len());
        match parse_int(&digits[..end]) {
            Some(width @ 1..=63) => Ok(Self { signed, width: width as u32 }),
            Some(64) if signed => Ok(Self { signed, width: 64 }),
            _ => Err(CommandError::FIELD_TYPE),
        }
    }

    /// The value of a field whose bits are the low ones of `bits`.
    pub(super) fn value(self, bits: u64) -> i64 {
        let unused = 64 - self.width;
        if self.signed { ((bits << unused) as i64) >> unused } else { bits as i64 }
    }

    /// `value` as SET stores it; `None` when it does not fit and is not to be stored.
    pub(super) fn fit(self, value: i64, overflow: Overflow) -> Option<i64> {
        // An unsigned field takes a negative value for a high one.
        let exact = if self.signed { i128::from(value) } else { i128::from(value as u64) };
        let (min, max) = self.bounds();
        // Redis's own bound: what lies so far below the least that the distance to the greatest passes 64 bits
        // counts as above.
        let above = exact > max || self.width < 64 && max - exact > i128::from(i64::MAX);
        self.settle(exact, if above { Some(max) } else { (exact < min).then_some(min) }, overflow)
    }

    /// `value`, which fits, and `by` as INCRBY stores their sum; `None` when it does not fit and is not to be stored.
    pub(super) fn add(self, value: i64, by: i64, overflow: Overflow) -> Option<i64> {
        let exact = i128::from(value) + i128::from(by);
        let (min, max) = self.bounds();
        let bound = if exact > max { Some(max) } else { (exact < min).then_some(min) };
        self.settle(exact, bound, overflow)
    }

    /// `exact`, or, when it passes `bound`, what `overflow` makes of it.
    fn settle(self, exact: i128, bound: Option<i128>, overflow: Overflow) -> Option<i64> {
        match (bound, overflow) {
            (None, _) => Some(exact as i64),
            (Some(_), Overflow::Wrap) => Some(self.value(exact as u64 & self.mask())),
            (Some(bound), Overflow::Saturate) => Some(bound as i64),
            (Some(_), Overflow::Fail) => None,
        }
    }

    fn bounds(self) -> (i128, i128) {
        if self.signed {
            (-(1 << (self.width - 1)), (1 << (self.width - 1)) - 1)
        } else {
            (0, (1 << self.width) - 1)
        }
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.width)
    }
}

impl Overflow {
    /// WRAP, SAT or FAIL, in any case.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        [("wrap", Self::Wrap), ("sat", Self::Saturate), ("fail", Self::Fail)]
            .into_iter()
            .find_map(|(name, overflow)| is(name).then_some(overflow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &str, sums: &[(i64, i64, i64, i64)]) {
        let kind = Type::parse(kind.as_bytes()).expect("a type");
        for &(value, by, wrapped, saturated) in sums {
            let name = format!("{kind:?} {value} {by}");
            assert_eq!(kind.add(value, by, Overflow::Wrap), Some(wrapped), "{name}");
            assert_eq!(kind.add(value, by, Overflow::Saturate), Some(saturated), "{name}");
            let fits = wrapped == saturated;
            assert_eq!(kind.add(value, by, Overflow::Fail), fits.then_some(wrapped), "{name}");
        }
    }

    #[test]
    fn sums_wrap_saturate_or_fail() {
        check("u8", &[(250, 5, 255, 255), (250, 6, 0, 255), (0, -1, 255, 0), (1, i64::MAX, 0, 255)]);
        check(
            "i8",
            &[(120, 7, 127, 127), (120, 8, -128, 127), (-128, -1, 127, -128), (0, i64::MIN, 0, -128)],
        );
        check("u63", &[(i64::MAX, 1, 0, i64::MAX), (1, i64::MIN, 1, 0), (5, -5, 0, 0)]);
        check("i64", &[(i64::MAX, 1, i64::MIN, i64::MAX), (i64::MIN, -1, i64::MAX, i64::MIN)]);
        check("i1", &[(0, 1, -1, 0), (-1, 1, 0, 0), (-1, -1, 0, -1)]);
    }

    #[test]
    fn values_that_are_set_fit_or_are_made_to() {
        let kind = |text: &str| Type::parse(text.as_bytes()).expect("a type");
        assert_eq!(kind("u8").fit(-1, Overflow::Wrap), Some(255));
        assert_eq!(kind("u8").fit(-1, Overflow::Saturate), Some(255));
        assert_eq!(kind("i8").fit(-129, Overflow::Saturate), Some(-128));
        assert_eq!(kind("i8").fit(-129, Overflow::Wrap), Some(127));
        assert_eq!(kind("i8").fit(i64::MIN, Overflow::Saturate), Some(127));
        assert_eq!(kind("i64").fit(i64::MIN, Overflow::Fail), Some(i64::MIN));
        assert_eq!(kind("i4").fit(8, Overflow::Fail), None);
    }

    #[test]
    fn types_that_are_none() {
        for text in ["", "i", "u", "i0", "u64", "i65", "x8", "I8", "i08", "i-1", "i 8", "8"] {
            assert_eq!(Type::parse(text.as_bytes()), Err(CommandError::FIELD_TYPE), "{text}");
        }
        assert_eq!(Type::parse(b"i64"), Ok(Type { signed: true, width: 64 }));
    }
}
