//! Rounding an exact binary number to a format, to nearest, ties to even.

/// A binary floating-point format: a mantissa of whole numbers times a power of two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// Bits of the mantissa, at most 64.
    pub(super) bits: u32,
    /// The least exponent, that of the denormal numbers.
    pub(super) exponent_min: i64,
    /// The exponent of the largest finite numbers.
    pub(super) exponent_max: i64,
}

/// IEEE 754 binary64.
pub(super) const DOUBLE: Format = Format { bits: 53, exponent_min: -1074, exponent_max: 971 };

/// The x87 80-bit extended format, C's `long double` on x86-64.
pub(super) const EXTENDED: Format = Format { bits: 64, exponent_min: -16445, exponent_max: 16320 };

/// `mantissa` times two to the power of `exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binary {
    pub(super) mantissa: u64,
    pub(super) exponent: i64,
}

/// Rounds `mantissa * 2^exponent`, and a bit more than that when `sticky`. `None` when it is past the largest finite
/// number. A result of 0 has the least exponent.
///
/// With `sticky`, `mantissa` must have more bits than the format, or the lost part could not be weighed.
pub(super) fn round(format: Format, mantissa: u128, exponent: i64, sticky: bool) -> Option<Binary> {
    let len = 128 - i64::from(mantissa.leading_zeros());
    assert!(!sticky || len > i64::from(format.bits), "{len} bits are too few to round with a lost part");
    if mantissa == 0 {
        return Some(Binary { mantissa: 0, exponent: format.exponent_min });
    }
    let target = (exponent + len - i64::from(format.bits)).max(format.exponent_min);
    let shift = target - exponent;
    let rounded = match shift {
        ..=0 => mantissa << -shift,
        1..=128 => shift_right(mantissa, shift as u32, sticky),
        _ => 0,
    };
    let carried = rounded >> format.bits != 0;
    let (mantissa, exponent) = if carried { (rounded >> 1, target + 1) } else { (rounded, target) };
    (exponent <= format.exponent_max).then_some(Binary { mantissa: mantissa as u64, exponent })
}

/// `mantissa / 2^shift` to the nearest whole number, ties to even, where `sticky` says that the mantissa is a bit
/// more than it seems. `shift` is 1 to 128.
pub(super) fn shift_right(mantissa: u128, shift: u32, sticky: bool) -> u128 {
    let kept = mantissa.checked_shr(shift).unwrap_or(0);
    let lost = mantissa & (u128::MAX >> (128 - shift));
    let half = 1 << (shift - 1);
    let up = lost > half || (lost == half && (sticky || kept & 1 == 1));
    kept + u128::from(up)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: Format = Format { bits: 3, exponent_min: -4, exponent_max: 2 };

    #[test]
    fn rounding_goes_to_the_nearest_and_ties_to_even() {
        let check = |mantissa, exponent, sticky, expected: Option<(u64, i64)>| {
            let got =
                round(TINY, mantissa, exponent, sticky).map(|binary| (binary.mantissa, binary.exponent));
            assert_eq!(got, expected, "{mantissa} * 2^{exponent}, sticky {sticky}");
        };
        check(0, 9, false, Some((0, -4)));
        check(1, 0, false, Some((4, -2)));
        check(0b1001, 0, false, Some((4, 1)));
        check(0b1001, 0, true, Some((5, 1)));
        check(0b1011, 0, false, Some((6, 1)));
        check(0b1111, 0, false, Some((4, 2)));
        check(0b11110, 0, false, None);
        check(0b111, 2, false, Some((7, 2)));
        check(0b111, 3, false, None);
        check(1, -5, false, Some((0, -4)));
        check(3, -6, false, Some((1, -4)));
        check(3, -5, false, Some((2, -4)));
        check(1, -300, false, Some((0, -4)));
    }

    #[test]
    fn shifting_right_weighs_what_is_lost() {
        assert_eq!(shift_right(u128::MAX, 128, false), 1);
        assert_eq!(shift_right(1 << 127, 128, false), 0);
        assert_eq!(shift_right(1 << 127, 128, true), 1);
        assert_eq!(shift_right(3, 1, false), 2);
        assert_eq!(shift_right(5, 1, false), 2);
        assert_eq!(shift_right(5, 1, true), 3);
    }
}
