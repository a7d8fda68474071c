//! The shape of a floating-point number as C's `strtod` reads it, with nothing before or after it.
//! Redis reads its floats with that function, so hexadecimal ones and `infinity` are numbers too.

/// A number that was read, not rounded yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scanned<'a> {
    pub(super) negative: bool,
    pub(super) magnitude: Magnitude<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Magnitude<'a> {
    /// `inf` or `infinity`.
    Infinite,
    /// The digits of `whole` and then of `fraction`, together a whole number, times `radix` (10, or 2 for
    /// hexadecimal digits) to the power of `exponent`.
    Finite { radix: u8, whole: &'a [u8], fraction: &'a [u8], exponent: i64 },
}

/// Reads all of `text`; `None` when it is not a number, or `nan`.
pub(super) fn scan(text: &[u8]) -> Option<Scanned<'_>> {
    let (negative, rest) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let infinite = rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity");
    let magnitude = match rest {
        _ if infinite => Magnitude::Infinite,
        [b'0', b'x' | b'X', digits @ ..] => finite(16, digits)?,
        digits => finite(10, digits)?,
    };
    Some(Scanned { negative, magnitude })
}

fn finite(base: u32, text: &[u8]) -> Option<Magnitude<'_>> {
    let run = |text: &[u8]| text.iter().take_while(|byte| char::from(**byte).is_digit(base)).count();
    let (whole, rest) = text.split_at(run(text));
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => rest.split_at(run(rest)),
        _ => (&[][..], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mark = if base == 16 { b'p' } else { b'e' };
    let written = match rest.split_first() {
        None => 0,
        Some((letter, rest)) if letter.to_ascii_lowercase() == mark => exponent(rest)?,
        Some(_) => return None,
    };
    let (radix, per_digit) = if base == 16 { (2, 4) } else { (10, 1) };
    Some(Magnitude::Finite { radix, whole, fraction, exponent: written - per_digit * fraction.len() as i64 })
}

/// A signed exponent; one too long to matter is cut to [`EXPONENT_MAX`], far past every format and any input that
/// could make up for it.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value =
        digits.iter().fold(0, |value: i64, digit| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
    Some(if negative { -value } else { value })
}

const EXPONENT_MAX: i64 = 1 << 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_shape_that_strtod_takes() {
        let check =
            |text: &str, expected: bool| assert_eq!(scan(text.as_bytes()).is_some(), expected, "{text}");
        for text in
            ["1", "+1", "-1", "1.", ".5", "1.5e3", "1E+3", "1e-3", "00.10", "0x1", "0X.8p-1", "0x1.p+3"]
        {
            check(text, true);
        }
        for text in ["inf", "-INF", "+Infinity"] {
            check(text, true);
        }
        for text in
            ["", "+", "-", ".", "e5", "1e", "1e+", "1 ", " 1", "1x", "0x", "0x.", "0x1p", "0x1e+1", "--1"]
        {
            check(text, false);
        }
        for text in ["nan", "-nan", "nan(1)", "infin", "in", "1_000", "1,5", "0b1", "1\0"] {
            check(text, false);
        }
    }
}
