//! Sums as INCRBYFLOAT and HINCRBYFLOAT make them: in the x87 80-bit extended format, C's `long double` on x86-64,
//! whatever the machine. Each operand is rounded to it, the sum is rounded once more, and the result is printed with
//! at most 17 decimals.
//!
//! Exact arithmetic on whole numbers throughout; up to 19 digits and 27 decimals it stays within 128 bits.

use super::bignat::BigNat;
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
        long_decimal(BigNat::from_decimal(digits()), exponent)
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

fn long_decimal(mut digits: BigNat, exponent: i64) -> (u128, i64, bool) {
    if exponent >= 0 {
        digits.mul_pow5(exponent as u64);
        let (mantissa, shift, sticky) = digits.top();
        return (mantissa, exponent + shift, sticky);
    }
    let mut divisor = BigNat::from_u64(1);
    divisor.mul_pow5(exponent.unsigned_abs());
    let (mantissa, shift, sticky) = digits.divide(divisor);
    (mantissa, exponent + shift, sticky)
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

    #[test]
    fn sums_are_those_of_redis() {
        let check = |a: &str, b: &str, expected: &str| {
            assert_eq!(add(a.as_bytes(), b.as_bytes()).as_deref(), Ok(expected), "{a} + {b}");
        };
        check("0", "0", "0");
        check("10.50", "0.1", "10.6");
        check("5.0e3", "2.0e2", "5200");
        check("3.0", "1.1", "4.1");
    }
}
