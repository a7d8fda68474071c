//! Numbers around the smallest double that C's `strtod` reads with a loss of precision.

use super::bignat::BigNat;
use super::double::hexadecimal_digits;
use super::rounding::{self, Binary, DOUBLE, Format};
use super::scan::{Magnitude, scan};

/// Whether C's `strtod` sets ERANGE for a number because it is tiny: below the normal doubles even when it is rounded
/// without a bound on its exponent, and not exactly a denormal one. Of texts that are numbers only.
pub fn strtod_underflows(text: &[u8]) -> bool {
    let Some(scanned) = scan(text) else { return false };
    let (mantissa, exponent, sticky) = match scanned.magnitude {
        Magnitude::Infinite => return false,
        Magnitude::Finite { radix: 2, whole, fraction, exponent } => {
            let (mantissa, shift, sticky) = hexadecimal_digits(whole, fraction);
            (mantissa, exponent + shift, sticky)
        }
        Magnitude::Finite { whole, fraction, exponent, .. } => match decimal(whole, fraction, exponent) {
            Some(exact) => exact,
            None => return exponent < 0,
        },
    };
    if mantissa == 0 {
        return false;
    }
    let rounded = |format| rounding::round(format, mantissa, exponent, sticky);
    let (Some(unbounded), Some(double)) = (rounded(UNBOUNDED), rounded(DOUBLE)) else { return false };
    let is_exact = !sticky && reduced(mantissa, exponent) == value_of(double);
    unbounded.exponent < DOUBLE.exponent_min && !is_exact
}

/// As a mantissa, a power of two, and whether there is more below; `None` when it is far from every double but 0.
fn decimal(whole: &[u8], fraction: &[u8], exponent: i64) -> Option<(u128, i64, bool)> {
    let digits = || whole.iter().chain(fraction).skip_while(|&&digit| digit == b'0');
    let len = digits().count();
    if len == 0 {
        return Some((0, 0, false));
    }
    if !MAGNITUDES.contains(&(len as i64 + exponent)) {
        return None;
    }
    let dropped = len.saturating_sub(DIGITS_MAX);
    let rest = digits().skip(DIGITS_MAX).any(|&digit| digit != b'0');
    let kept = BigNat::from_decimal(digits().take(DIGITS_MAX));
    let (mantissa, shift, sticky) = kept.times_pow10(exponent + dropped as i64);
    Some((mantissa, shift, sticky || rest))
}

fn value_of(binary: Binary) -> (u128, i64) {
    reduced(u128::from(binary.mantissa), binary.exponent)
}

/// The same number with an odd mantissa, or 0.
fn reduced(mantissa: u128, exponent: i64) -> (u128, i64) {
    match mantissa {
        0 => (0, 0),
        _ => (mantissa >> mantissa.trailing_zeros(), exponent + i64::from(mantissa.trailing_zeros())),
    }
}

/// Doubles, if there were no smallest one.
const UNBOUNDED: Format = Format { exponent_min: i64::MIN / 2, ..DOUBLE };
/// Powers of ten within which the arithmetic is done; denormal doubles reach down to 10^-324.
const MAGNITUDES: std::ops::RangeInclusive<i64> = -400..=400;
/// No double, nor a middle between two, has more digits that count.
const DIGITS_MAX: usize = 800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strtod_of_glibc_says() {
        let check =
            |text: &str, expected: bool| assert_eq!(strtod_underflows(text.as_bytes()), expected, "{text}");
        // The middle between the smallest normal number and the one that would come before it.
        check("2.2250738585072012595738212570207680200e-308", true);
        check("2.2250738585072012595738212570207680201e-308", false);
        check("0x0.fffffffffffff8p-1022", true);
        check("0x0.fffffffffffffcp-1022", false);
        check("2.2250738585072013e-308", false);
        check("2.2250738585072014e-308", false);
        check("2.2250738585072012e-308", true);
        for exact in
            ["0x1p-1074", "-0x1p-1060", "0x0.fffffffffffffp-1022", "0", "-0e-999", "0x0p-9999", "1", "inf"]
        {
            check(exact, false);
        }
        for tiny in
            ["1e-310", "-1e-310", "5e-324", "4.9406564584124654e-324", "0x1.8p-1074", "1e-400", "1e-99999"]
        {
            check(tiny, true);
        }
        check("1e99999", false);
        check("1e308", false);
        check("1e-307", false);
        check("x", false);
    }

    #[test]
    fn a_denormal_number_in_all_of_its_digits_is_exact() {
        let digits = format!("{:.1074}", f64::from_bits(1));
        assert!(!strtod_underflows(digits.as_bytes()));
        assert!(!strtod_underflows(format!("{digits}{}", "0".repeat(100_000)).as_bytes()));
        assert!(strtod_underflows(format!("{digits}{}1", "0".repeat(100_000)).as_bytes()));
    }
}
