//! Doubles as Redis reads and prints them.

use std::io::Write as _;

use super::rounding::{self, DOUBLE};
use super::scan::{Magnitude, Scanned, scan};

/// A double as ZADD and other commands take it: what C's `strtod` takes, `inf`, `infinity` and hexadecimal numbers
/// included. Refused: `nan`, anything around the number, a number past the largest double, and one that would round
/// to zero without being zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let scanned = scan(text)?;
    match scanned.magnitude {
        Magnitude::Infinite if scanned.negative => Some(f64::NEG_INFINITY),
        Magnitude::Infinite => Some(f64::INFINITY),
        Magnitude::Finite { radix: 2, whole, fraction, exponent } => {
            let magnitude = hexadecimal(whole, fraction, exponent)?;
            Some(if scanned.negative { -magnitude } else { magnitude })
        }
        Magnitude::Finite { whole, fraction, .. } => {
            let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            let zero = whole.iter().chain(fraction).all(|&digit| digit == b'0');
            (value.is_finite() && (value != 0.0 || zero)).then_some(value)
        }
    }
}

/// A double as C's `strtod` takes one from a string that ends at its first NUL: as [`parse_f64`], with white space before
/// it, infinite past the largest double and 0 below the smallest. Nothing at all is 0. Bounds of ranges are read so.
pub fn parse_strtod(text: &[u8]) -> Option<f64> {
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    if end == 0 {
        return Some(0.0);
    }
    let space = |byte: &&u8| matches!(**byte, b' ' | b'\t'..=b'\r');
    let text = &text[text.iter().take_while(space).count()..end];
    parse_f64(text).or_else(|| {
        // Only a number too large or too small is left to be one.
        let Scanned { negative, magnitude } = scan(text)?;
        let Magnitude::Finite { radix, exponent, .. } = magnitude else { return None };
        let value = match radix {
            10 => std::str::from_utf8(text).ok()?.parse::<f64>().ok()?.abs(),
            _ if exponent > 0 => f64::INFINITY,
            _ => 0.0,
        };
        Some(if negative { -value } else { value })
    })
}

fn hexadecimal(whole: &[u8], fraction: &[u8], exponent: i64) -> Option<f64> {
    let (mantissa, shift, sticky) = hexadecimal_digits(whole, fraction);
    let rounded = rounding::round(DOUBLE, mantissa, exponent + shift, sticky)?;
    let normal = rounded.mantissa >> 52 == 1;
    let biased = if normal { (rounded.exponent - DOUBLE.exponent_min + 1) as u64 } else { 0 };
    let value = f64::from_bits((biased << 52) | (rounded.mantissa & ((1 << 52) - 1)));
    (mantissa == 0 || value != 0.0).then_some(value)
}

/// The digits' first 31 as a number, how many bits it is to be shifted left by, and whether a later digit is not 0.
pub(super) fn hexadecimal_digits(whole: &[u8], fraction: &[u8]) -> (u128, i64, bool) {
    const DIGITS: usize = 31;
    let digits = whole.iter().chain(fraction).skip_while(|&&digit| digit == b'0');
    let (mut mantissa, mut skipped, mut sticky) = (0, 0, false);
    for (index, &digit) in digits.enumerate() {
        let value = char::from(digit).to_digit(16).map_or(0, u128::from);
        if index < DIGITS {
            mantissa = (mantissa << 4) | value;
        } else {
            skipped += 4;
            sticky |= value != 0;
        }
    }
    (mantissa, skipped, sticky)
}

/// Appends `value` as Redis 7.2 prints a double: the fewest digits that read back as the same double, `inf`, `-inf`
/// or `nan`. Whole numbers up to 2^62 are printed as such; others take an exponent when more than six decimals or
/// seven zeros at the end would be needed without it: `1e+21`, `1.25e-6`.
pub fn format_f64(value: f64, out: &mut Vec<u8>) {
    const WHOLE_MAX: f64 = (1u64 << 62) as f64;
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() <= WHOLE_MAX && value.trunc() == value {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        let (digits, exponent) = shortest(value.abs());
        if value < 0.0 {
            out.push(b'-');
        }
        layout(&digits, exponent, out);
    }
}

/// The shortest decimal that reads back as `value`: its digits, and the power of ten of the last of them.
fn shortest(value: f64) -> (Digits, i32) {
    let mut text = Digits::default();
    write!(text, "{value:e}").expect("a double in scientific notation has at most 24 bytes");
    let (mantissa, exponent) = split_exponent(text.as_slice());
    let mut digits = Digits::default();
    for &byte in mantissa.iter().filter(|&&byte| byte != b'.') {
        digits.bytes[digits.len] = byte;
        digits.len += 1;
    }
    let last = exponent - (digits.len as i32 - 1);
    (digits, last)
}

/// `digits * 10^exponent` in the notation described at [`format_f64`].
fn layout(digits: &Digits, exponent: i32, out: &mut Vec<u8>) {
    let digits = digits.as_slice();
    let len = digits.len() as i32;
    let scientific = exponent + len - 1;
    if exponent >= 0 && scientific.abs() < len + 7 {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', exponent as usize));
    } else if exponent < 0 && (exponent > -7 || scientific.abs() < 4) {
        positional(digits, len + exponent, out);
    } else {
        out.push(digits[0]);
        if len > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if scientific < 0 { b"e-" } else { b"e+" });
        out.extend_from_slice(itoa::Buffer::new().format(scientific.unsigned_abs()).as_bytes());
    }
}

/// Splits scientific notation as Rust prints it.
fn split_exponent(text: &[u8]) -> (&[u8], i32) {
    let mark = text.iter().position(|&byte| byte == b'e').expect("the notation has an exponent");
    let exponent = std::str::from_utf8(&text[mark + 1..]).ok().and_then(|digits| digits.parse().ok());
    (&text[..mark], exponent.expect("an exponent is a small number"))
}

/// Digits with the point behind the first `point` of them, and zeros where there are none.
fn positional(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', -point as usize));
        return out.extend_from_slice(digits);
    }
    let (whole, fraction) = digits.split_at(digits.len().min(point as usize));
    out.extend_from_slice(whole);
    out.extend(std::iter::repeat_n(b'0', point as usize - whole.len()));
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// Appends `value` as C's `%.17g` prints it: 17 digits without zeros at the end, with an exponent (`1e+20`, `1e-05`) below
/// 10^-4 and from 10^17 on. The sorted sets that Redis does not keep compact show their scores so in ZSCAN.
pub fn format_g17(value: f64, out: &mut Vec<u8>) {
    const DIGITS: i32 = 17;
    if !value.is_finite() || value == 0.0 {
        return format_f64(value, out);
    }
    let mut text = Digits::default();
    write!(text, "{:.16e}", value.abs()).expect("17 digits in scientific notation have at most 24 bytes");
    let (mantissa, exponent) = split_exponent(text.as_slice());
    let mut digits = Digits::default();
    for &byte in mantissa.iter().filter(|&&byte| byte != b'.') {
        digits.bytes[digits.len] = byte;
        digits.len += 1;
    }
    while digits.len > 1 && digits.bytes[digits.len - 1] == b'0' {
        digits.len -= 1;
    }
    if value < 0.0 {
        out.push(b'-');
    }
    let digits = digits.as_slice();
    if (-4..DIGITS).contains(&exponent) {
        return positional(digits, exponent + 1, out);
    }
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(out, "e{sign}{:02}", exponent.unsigned_abs()).expect("a vector takes any text");
}

/// Appends `value` in decimal without an exponent, with up to 17 decimals and no zeros at the end, nor `-0`: how Redis
/// prints coordinates.
pub fn format_decimal(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return format_f64(value, out);
    }
    let start = out.len();
    write!(out, "{value:.17}").expect("a vector takes any text");
    while out.last() == Some(&b'0') {
        out.pop();
    }
    if out.last() == Some(&b'.') {
        out.pop();
    }
    if &out[start..] == b"-0" {
        out.remove(start);
    }
}

/// A few bytes without an allocation.
#[derive(Default)]
struct Digits {
    bytes: [u8; 32],
    len: usize,
}

impl Digits {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl std::io::Write for Digits {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = (&mut self.bytes[self.len..]).write(bytes)?;
        self.len += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubles_are_read_as_strtod_reads_them() {
        let check = |text: &str, expected: Option<f64>| {
            let got = parse_f64(text.as_bytes());
            assert_eq!(got.map(f64::to_bits), expected.map(f64::to_bits), "{text}: {got:?}");
        };
        check("0", Some(0.0));
        check("-0", Some(-0.0));
        check("1.", Some(1.0));
        check(".5", Some(0.5));
        check("+1e3", Some(1000.0));
        check("1.e-1", Some(0.1));
        check("inf", Some(f64::INFINITY));
        check("-Infinity", Some(f64::NEG_INFINITY));
        check("1.7976931348623157e308", Some(f64::MAX));
        check("1.8e308", None);
        check("1e400", None);
        check("1e-400", None);
        check("0e400", Some(0.0));
        check("0e99999999999999999999", Some(0.0));
        check("5e-324", Some(5e-324));
        check("2e-324", None);
        check("0x10", Some(16.0));
        check("-0X1.8p1", Some(-3.0));
        check("0x.8", Some(0.5));
        check("0x1p-1074", Some(5e-324));
        check("0x1p-1075", None);
        check("0x1.8p-1075", Some(5e-324));
        check("0x1p1024", None);
        check("0x1.fffffffffffffp1023", Some(f64::MAX));
        check("0x1.fffffffffffff8p1023", None);
        check("0x1.00000000000008p0", Some(1.0));
        check("0x1.000000000000080000000000000000000000000000000001p0", Some(1.0 + f64::EPSILON));
        check("0x0p99999999999", Some(0.0));
        check("nan", None);
        check("", None);
        check(" 1", None);
        check("1 ", None);
        check("1e", None);
        check("abc", None);
    }

    #[test]
    fn doubles_are_printed_as_redis_does() {
        let check = |value: f64, expected: &str| {
            let mut out = Vec::new();
            format_f64(value, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        };
        check(0.0, "0");
        check(-0.0, "-0");
        check(f64::INFINITY, "inf");
        check(f64::NEG_INFINITY, "-inf");
        check(f64::NAN, "nan");
        check(3.0, "3");
        check(-3.0, "-3");
        check(3.1, "3.1");
        check(0.1 + 0.2, "0.30000000000000004");
        check(-1.5, "-1.5");
        check(4_611_686_018_427_387_904.0, "4611686018427387904");
        check(-4_611_686_018_427_387_904.0, "-4611686018427387904");
        check(1e20, "1e+20");
        check(1.5e20, "1.5e+20");
        check(12_345_678_901_234_567_890.0, "12345678901234567000");
        check(1e300, "1e+300");
        check(1.25e-6, "1.25e-6");
        check(1e-6, "0.000001");
        check(1e-7, "1e-7");
        check(1.5e-7, "1.5e-7");
        check(0.001_234_567_8, "0.0012345678");
        check(1_234.567_890_123, "1234.567890123");
        check(5e-324, "5e-324");
        check(f64::MAX, "1.7976931348623157e+308");
    }

    #[test]
    fn bounds_are_read_as_c_reads_them() {
        let check = |text: &str, expected: Option<f64>| {
            assert_eq!(parse_strtod(text.as_bytes()), expected, "{text}");
        };
        check("", Some(0.0));
        check("\0", Some(0.0));
        check(" \n1.5", Some(1.5));
        check("2\0x", Some(2.0));
        check("1e400", Some(f64::INFINITY));
        check("-1e400", Some(f64::NEG_INFINITY));
        check("1e-400", Some(0.0));
        check("0x1p9999", Some(f64::INFINITY));
        check("0x1p-9999", Some(0.0));
        check("+inf", Some(f64::INFINITY));
        for refused in [" ", "1 ", "nan", "1x", "(1", "-", " nan"] {
            check(refused, None);
        }
    }

    #[test]
    fn doubles_with_17_digits_and_in_decimal() {
        let check = |value: f64, general: &str, decimal: &str| {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            format_g17(value, &mut one);
            format_decimal(value, &mut other);
            assert_eq!(
                (String::from_utf8(one), String::from_utf8(other)),
                (Ok(general.into()), Ok(decimal.into()))
            );
        };
        check(0.0, "0", "0");
        check(-0.0, "-0", "0");
        check(3.1, "3.1000000000000001", "3.10000000000000009");
        check(-1.5, "-1.5", "-1.5");
        check(100.0, "100", "100");
        check(1e16, "10000000000000000", "10000000000000000");
        check(1e17, "1e+17", "100000000000000000");
        check(0.0001, "0.0001", "0.0001");
        check(0.00001, "1.0000000000000001e-05", "0.00001");
        check(-1e-18, "-1.0000000000000001e-18", "0");
        check(1.25e-300, "1.25e-300", "0");
        check(f64::INFINITY, "inf", "inf");
        check(13.361_389_338_970_184, "13.361389338970184", "13.36138933897018433");
    }

    proptest! {
        #[test]
        fn every_double_is_read_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            let mut text = Vec::new();
            format_f64(value, &mut text);
            prop_assert_eq!(parse_f64(&text).map(f64::to_bits), Some(bits));
        }

        #[test]
        fn hexadecimal_form_is_exact(bits in any::<u64>()) {
            let value = f64::from_bits(bits & !(1 << 63));
            prop_assume!(value.is_finite() && value != 0.0);
            let raw = bits & ((1 << 52) - 1);
            let exponent = (bits >> 52) & 0x7ff;
            let (lead, power) = if exponent == 0 { (0, -1022) } else { (1, exponent as i64 - 1023) };
            let text = format!("0x{lead}.{raw:013x}p{power}");
            prop_assert_eq!(parse_f64(text.as_bytes()), Some(value));
        }
    }
}
