//! Numbers as clients write them.

mod bignat;
mod denormal;
mod double;
pub mod longdouble;
mod rounding;
mod scan;

pub use denormal::strtod_underflows;
pub use double::{format_decimal, format_f64, format_g17, parse_f64, parse_strtod};
pub use longdouble::parse_saturating;

/// A signed integer in the one form that Redis takes for it: digits, a `-` before them if negative, and no leading
/// zero, plus, space or `-0`. So the text of a number is the number, and a string value may be kept as an integer.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text.split_first() {
        Some((b'-', digits)) => {
            let magnitude = parse_u64(digits)?;
            if magnitude == 0 { None } else { 0i64.checked_sub_unsigned(magnitude) }
        }
        _ => i64::try_from(parse_u64(text)?).ok(),
    }
}

/// An unsigned integer in the same strict form as [`parse_i64`], without a sign.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let (&first, rest) = text.split_first()?;
    let first = first.wrapping_sub(b'0');
    if first > 9 || (first == 0 && !rest.is_empty()) || rest.len() > 19 {
        return None;
    }
    if rest.len() < 19 { digits(first, rest) } else { digits_checked(first, rest) }
}

/// At most 19 digits in all: cannot overflow.
#[inline]
fn digits(first: u8, rest: &[u8]) -> Option<u64> {
    let mut value = u64::from(first);
    for &byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

#[cold]
fn digits_checked(first: u8, rest: &[u8]) -> Option<u64> {
    let (&last, head) = rest.split_last()?;
    let last = last.wrapping_sub(b'0');
    if last > 9 {
        return None;
    }
    digits(first, head)?.checked_mul(10)?.checked_add(u64::from(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_have_one_form() {
        let check = |text: &str, expected| assert_eq!(parse_i64(text.as_bytes()), expected, "{text}");
        check("0", Some(0));
        check("-1", Some(-1));
        check("10", Some(10));
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        check("9223372036854775808", None);
        check("-9223372036854775809", None);
        check("18446744073709551616", None);
        check("-18446744073709551616", None);
        check("99999999999999999999", None);
        check("100000000000000000000", None);
        check("", None);
        check("-", None);
        check("--1", None);
        check("-0", None);
        check("+1", None);
        check("01", None);
        check("-01", None);
        check("00", None);
        check(" 1", None);
        check("1 ", None);
        check("1\0", None);
        check("1.0", None);
        check("1e3", None);
        check("0x10", None);
    }

    #[test]
    fn unsigned_integers_reach_their_bound() {
        let check = |text: &str, expected| assert_eq!(parse_u64(text.as_bytes()), expected, "{text}");
        check("18446744073709551615", Some(u64::MAX));
        check("18446744073709551616", None);
        check("1844674407370955161x", None);
        check("-1", None);
        check("-0", None);
        check("0", Some(0));
        check("007", None);
    }

    proptest! {
        #[test]
        fn every_integer_is_read_back(value in any::<i64>(), unsigned in any::<u64>()) {
            prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
            prop_assert_eq!(parse_u64(unsigned.to_string().as_bytes()), Some(unsigned));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "-?[0-9]{0,21}") {
            if let Some(value) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }
    }
}
