//! Sums as INCRBYFLOAT and HINCRBYFLOAT make them: in the x87 80-bit extended format, C's `long double` on x86-64,
//! whatever the machine. Each operand is rounded to it, the sum is rounded once more, and the result is printed with
//! at most 17 decimals.
//!
//! Exact arithmetic on whole numbers throughout; up to 19 digits and 27 decimals it stays within 128 bits.

use super::bignat::BigNat;
use super::double::parse_f64;
use super::rounding::{self, Binary, EXTENDED};
use super::scan::{Magnitude, scan};

/// Why there is no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongDoubleError {
    /// An operand is no number: Redis answers `ERR value is not a valid float`. These are: the empty string; `nan`;
    /// spaces or anything else around the number; 5120 bytes or more; a number past the format's largest; and one
    /// so small that it would round to zero. `inf`, `infinity` and C's hexadecimal form are numbers.
    NotAFloat,
    /// The sum is infinite, or is no number since infinities of both signs met: `ERR increment would produce NaN or
    /// Infinity`.
    NanOrInfinity,
}

/// The sum of two numbers, as Redis prints it: never with an exponent, without zeros at the end, and never `-0`.
pub fn add(a: &[u8], b: &[u8]) -> Result<String, LongDoubleError> {
    let (a, b) = (parse(a)?, parse(b)?);
    match (a, b) {
        (Extended::Finite(a), Extended::Finite(b)) => {
            sum(a, b).map(print).ok_or(LongDoubleError::NanOrInfinity)
        }
        _ => Err(LongDoubleError::NanOrInfinity),
    }
}

/// A number in the format's range, as a double: where it is past a double's range, an infinity, or the least normal double, of its
/// sign. Errors: `None`, as [`LongDoubleError::NotAFloat`] says.
pub fn parse_saturating(text: &[u8]) -> Option<f64> {
    parse_f64(text).or_else(|| match parse(text).ok()? {
        Extended::Infinite => None,
        Extended::Finite(Signed { negative, magnitude }) => {
            let double = if magnitude.exponent > 0 { f64::INFINITY } else { f64::MIN_POSITIVE };
            Some(if negative { -double } else { double })
        }
    })
}

/// A number of the extended format. The sign of an infinity is not kept: no sum with one is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extended {
    Infinite,
    Finite(Signed),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signed {
    negative: bool,
    magnitude: Binary,
}

fn parse(text: &[u8]) -> Result<Extended, LongDoubleError> {
    if text.len() >= TEXT_MAX {
        return Err(LongDoubleError::NotAFloat);
    }
    let scanned = scan(text).ok_or(LongDoubleError::NotAFloat)?;
    let magnitude = match scanned.magnitude {
        Magnitude::Infinite => return Ok(Extended::Infinite),
        Magnitude::Finite { radix: 2, whole, fraction, exponent } => hexadecimal(whole, fraction, exponent),
        Magnitude::Finite { whole, fraction, exponent, .. } => decimal(whole, fraction, exponent),
    };
    match magnitude {
        Some(magnitude) => Ok(Extended::Finite(Signed { negative: scanned.negative, magnitude })),
        None => Err(LongDoubleError::NotAFloat),
    }
}

/// `None` when it is too large, or rounds to zero without being zero.
fn decimal(whole: &[u8], fraction: &[u8], exponent: i64) -> Option<Binary> {
    let digits = || whole.iter().chain(fraction).skip_while(|&&digit| digit == b'0');
    let len = digits().count() as i64;
    if len == 0 {
        return rounding::round(EXTENDED, 0, 0, false);
    }
    let magnitude = len + exponent;
    if !(DECIMAL_MIN..=DECIMAL_MAX).contains(&magnitude) {
        return None;
    }
    let (mantissa, binary_exponent, sticky) = if len <= 19 && (-27..=19).contains(&exponent) {
        short_decimal(digits().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')), exponent)
    } else {
        BigNat::from_decimal(digits()).times_pow10(exponent)
    };
    rounding::round(EXTENDED, mantissa, binary_exponent, sticky).filter(|rounded| rounded.mantissa != 0)
}

/// `digits * 10^exponent` as a mantissa, a power of two and whether something was lost below them, for an exponent of
/// -27 to 19: powers of 5 up to there leave the quotient more than 64 bits.
fn short_decimal(digits: u64, exponent: i64) -> (u128, i64, bool) {
    if exponent >= 0 {
        return (u128::from(digits) * 10u128.pow(exponent as u32), 0, false);
    }
    const { assert!(5u64.pow(27) < 1 << 63) };
    let shift = u128::from(digits).leading_zeros();
    let dividend = u128::from(digits) << shift;
    let divisor = u128::from(5u64.pow(-exponent as u32));
    (dividend / divisor, exponent - i64::from(shift), !dividend.is_multiple_of(divisor))
}

/// As [`decimal`], for hexadecimal digits and a power of two.
fn hexadecimal(whole: &[u8], fraction: &[u8], exponent: i64) -> Option<Binary> {
    let (mantissa, shift, sticky) = super::double::hexadecimal_digits(whole, fraction);
    let rounded = rounding::round(EXTENDED, mantissa, exponent + shift, sticky)?;
    (mantissa == 0 || rounded.mantissa != 0).then_some(rounded)
}

/// `None` when the sum is past the largest finite number.
fn sum(a: Signed, b: Signed) -> Option<Signed> {
    let (large, small) = if weight(a) >= weight(b) { (a, b) } else { (b, a) };
    // 63 bits below the larger mantissa, and one above it for the carry. What the smaller one loses below that is
    // kept as its last bit, which no rounding to 64 bits can tell from the rest it stands for.
    let aligned = u128::from(large.magnitude.mantissa) << 63;
    let distance = large.magnitude.exponent - small.magnitude.exponent;
    let shifted = shift_right_jam(u128::from(small.magnitude.mantissa) << 63, distance);
    let exponent = large.magnitude.exponent - 63;
    let mantissa = if large.negative == small.negative { aligned + shifted } else { aligned - shifted };
    let magnitude = rounding::round(EXTENDED, mantissa, exponent, false)?;
    Some(Signed { negative: large.negative, magnitude })
}

/// Orders magnitudes: among numbers of the format, the larger exponent has the larger mantissa's top bit.
fn weight(number: Signed) -> (i64, u64) {
    (number.magnitude.exponent, number.magnitude.mantissa)
}

fn shift_right_jam(value: u128, distance: i64) -> u128 {
    if distance >= 128 {
        return u128::from(value != 0);
    }
    let kept = value >> distance;
    kept | u128::from(kept << distance != value)
}

/// `%.17Lf` without the zeros at the end.
fn print(number: Signed) -> String {
    let Binary { mantissa, exponent } = number.magnitude;
    let mut text = if exponent >= 0 {
        let mut whole = BigNat::from_u64(mantissa);
        whole.shl(exponent as usize);
        whole.into_decimal()
    } else {
        // At most 121 bits; further right than that nothing is left.
        let scaled = u128::from(mantissa) * 10u128.pow(DECIMALS);
        let shift = u32::try_from(-exponent).unwrap_or(u32::MAX);
        let rounded = if shift <= 128 { rounding::shift_right(scaled, shift, false) } else { 0 };
        let unit = 10u128.pow(DECIMALS);
        let text = format!("{}.{:0width$}", rounded / unit, rounded % unit, width = DECIMALS as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if number.negative && text != "0" {
        text.insert(0, '-');
    }
    text
}

/// Redis reads no longer text as a float.
const TEXT_MAX: usize = 5 * 1024;

/// Decimals printed at most.
const DECIMALS: u32 = 17;

/// Numbers of more digits before the point than this are past the format's largest, 1.2e4932.
const DECIMAL_MAX: i64 = 4933;

/// Numbers with more zeros behind the point than this round to zero: the least is 3.6e-4951.
const DECIMAL_MIN: i64 = -4951;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(a: &str, b: &str, expected: Result<&str, LongDoubleError>) {
        let got = add(a.as_bytes(), b.as_bytes());
        assert_eq!(got, expected.map(str::to_owned), "{a} + {b}");
        assert_eq!(add(b.as_bytes(), a.as_bytes()), got, "{b} + {a}");
    }

    #[test]
    fn sums_are_rounded_twice_and_printed_without_zeros_at_the_end() {
        check("0", "0", Ok("0"));
        check("-0", "-0", Ok("0"));
        check("0", "-1e-30", Ok("0"));
        check("10.50", "0.1", Ok("10.6"));
        check("5.0e3", "2.0e2", Ok("5200"));
        check("3.0", "1.1", Ok("4.1"));
        check("1.", "1", Ok("2"));
        check(".5", "+1", Ok("1.5"));
        check("0.1", "-0.1", Ok("0"));
        check("-0.1", "-0.2", Ok("-0.3"));
        check("3.141592653589793238", "0", Ok("3.14159265358979324"));
        check("100000.00000000001", "0", Ok("100000.00000000000999734"));
        check("9.99999999999999999999", "0", Ok("10"));
    }

    #[test]
    fn what_only_a_long_double_holds_is_the_nearest_that_a_double_does() {
        let read = |text: &str| parse_saturating(text.as_bytes());
        assert_eq!(read("1.5"), Some(1.5));
        assert_eq!(read("-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(read("1e400"), Some(f64::INFINITY));
        assert_eq!(read("-0x1p2000"), Some(f64::NEG_INFINITY));
        assert_eq!(read("-1e-400"), Some(-f64::MIN_POSITIVE));
        for text in ["1e5000", "-1e5000", "1e-5000", "nan", "", "1 ", "x"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn printing_stops_after_seventeen_decimals() {
        check("0.00000000000000001", "0", Ok("0.00000000000000001"));
        check("0.000000000000000005", "0", Ok("0"));
        check("0.000000000000000006", "0", Ok("0.00000000000000001"));
        check("1e17", "1e-17", Ok("100000000000000000"));
        check("1e-28", "0", Ok("0"));
        check("3.7e-4951", "0", Ok("0"));
        check("1.9e-4951", "0", Ok("0"));
    }

    #[test]
    fn mantissas_have_64_bits_and_ties_go_to_even() {
        check("9007199254740993", "0", Ok("9007199254740993"));
        check("9223372036854775807", "1", Ok("9223372036854775808"));
        check("9223372036854775807", "0.5", Ok("9223372036854775807.5"));
        check("9223372036854775807", "0.25", Ok("9223372036854775807"));
        check("9223372036854775808.5", "0", Ok("9223372036854775808"));
        check("9223372036854775809.5", "0", Ok("9223372036854775810"));
        check("18446744073709551615", "1", Ok("18446744073709551616"));
        check("18446744073709551616", "1", Ok("18446744073709551616"));
        check("18446744073709551616", "3", Ok("18446744073709551620"));
        check("18446744073709551617", "0", Ok("18446744073709551616"));
        check("18446744073709551619", "0", Ok("18446744073709551620"));
        check("36893488147419103234", "0", Ok("36893488147419103232"));
        check("36893488147419103234.0000000000000000000000000000000001", "0", Ok("36893488147419103236"));
        check("1e28", "0", Ok("9999999999999999999731564544"));
        check("123456789012345678901234567890", "0", Ok("123456789012345678899921813504"));
        check("1e40", "-1e40", Ok("0"));
        check("-1e40", "1e20", Ok("-9999999999999999999783686092270256259072"));
    }

    #[test]
    fn hexadecimal_and_large_zero_exponents_are_numbers() {
        check("0x10", "0x.8", Ok("16.5"));
        check("-0X1.8p3", "0", Ok("-12"));
        check("0x1ffffffffffffffffp-1", "0", Ok("18446744073709551616"));
        check("0e99999999999999999999", "2", Ok("2"));
    }

    #[test]
    fn text_that_is_no_number_is_refused() {
        for text in ["", " 1", "1 ", ".", "1e", "0x", "nan", "1,5", "abc", "1\0"] {
            check(text, "1", Err(LongDoubleError::NotAFloat));
        }
        check(&format!("{:05119}", 1), "1", Ok("2"));
        check(&format!("{:05120}", 1), "1", Err(LongDoubleError::NotAFloat));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for text in
            ["1e4933", "1.1897314953572317651e4932", "1.8e-4951", "1e-4960", "0x1p16384", "0x1p-16446"]
        {
            check(text, "0", Err(LongDoubleError::NotAFloat));
        }
        check("1e99999999999999999999", "0", Err(LongDoubleError::NotAFloat));
        check("1e-99999999999999999999", "0", Err(LongDoubleError::NotAFloat));
    }

    #[test]
    fn infinite_sums_are_refused() {
        for (a, b) in [("inf", "1"), ("-inf", "INFINITY"), ("1.1e4932", "1.1e4932")] {
            check(a, b, Err(LongDoubleError::NanOrInfinity));
        }
    }

    #[test]
    fn largest_numbers_are_printed_in_full() {
        let text = add(b"1e4932", b"0").expect("it is in range");
        assert_eq!(text.len(), 4933);
        assert!(text.starts_with("100000000000000000000601894938796389132383777425453311477378"));
        assert_eq!(add(b"-1e4932", text.as_bytes()).as_deref(), Ok("0"));
    }

    proptest! {
        #[test]
        fn integers_add_exactly(a in any::<i32>(), b in any::<i32>()) {
            let sum = (i64::from(a) + i64::from(b)).to_string();
            prop_assert_eq!(add(a.to_string().as_bytes(), b.to_string().as_bytes()), Ok(sum));
        }

        #[test]
        fn short_and_long_ways_agree(digits in 1u64.., exponent in -27i64..=19) {
            let (mantissa, shift, sticky) = short_decimal(digits, exponent);
            let short = rounding::round(EXTENDED, mantissa, shift, sticky);
            let (mantissa, shift, sticky) = BigNat::from_u64(digits).times_pow10(exponent);
            prop_assert_eq!(short, rounding::round(EXTENDED, mantissa, shift, sticky));
        }

        #[test]
        fn any_text_ends_without_panic(a in "[-+]?(0x)?[0-9a-f.]{0,40}([ep][-+]?[0-9]{1,6})?", b in ".{0,8}") {
            prop_assert_eq!(add(a.as_bytes(), b.as_bytes()), add(b.as_bytes(), a.as_bytes()));
        }
    }
}
