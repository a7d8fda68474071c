//! Numbers in JSON, read as C's `strtod` reads them: with more forms than JSON has.

/// The number that `text` begins with and its length; `None` when it begins with none.
pub(super) fn strtod(text: &[u8]) -> Option<(f64, usize)> {
    let (sign, digits) = match text.first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let before = text.len() - digits.len();
    let (value, len) = special(digits).or_else(|| hexadecimal(digits)).or_else(|| decimal(digits))?;
    Some((sign * value, before + len))
}

/// `inf`, `infinity`, `nan`, in any case.
fn special(text: &[u8]) -> Option<(f64, usize)> {
    let begins =
        |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    if begins("infinity") {
        Some((f64::INFINITY, 8))
    } else if begins("inf") {
        Some((f64::INFINITY, 3))
    } else if begins("nan") {
        Some((f64::NAN, 3))
    } else {
        None
    }
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    let mut end = whole;
    if text.get(end) == Some(&b'.') {
        let decimals = digits(end + 1);
        if whole + decimals == 0 {
            return None;
        }
        end += 1 + decimals;
    } else if whole == 0 {
        return None;
    }
    let number = end;
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits((end + 1 + sign).min(text.len()));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let parse = |end: usize| std::str::from_utf8(&text[..end]).ok()?.parse().ok();
    Some((parse(end).or_else(|| parse(number))?, end))
}

/// `0x1F`, `0x.8p3`.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let [b'0', b'x' | b'X', rest @ ..] = text else { return None };
    let (mut value, mut scale, mut end) = (0.0f64, 0i32, 0);
    let (mut has_digits, mut has_point) = (false, false);
    for &byte in rest {
        match (byte as char).to_digit(16) {
            Some(digit) => {
                value = value * 16.0 + f64::from(digit);
                scale -= if has_point { 4 } else { 0 };
                has_digits = true;
            }
            None if byte == b'.' && !has_point => has_point = true,
            None => break,
        }
        end += 1;
    }
    if !has_digits {
        // The zero in front of the x is a number.
        return Some((0.0, 1));
    }
    if matches!(rest.get(end), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        let digits =
            rest[(end + 1 + sign).min(rest.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            let text = std::str::from_utf8(&rest[end + 1..end + 1 + sign + digits]).unwrap_or_default();
            scale = scale.saturating_add(text.parse().unwrap_or(if text.starts_with('-') {
                -4096
            } else {
                4096
            }));
            end += 1 + sign + digits;
        }
    }
    Some((value * 2f64.powi(scale.clamp(-4096, 4096)), 2 + end))
}

/// Whether what `text` begins with is a number that C takes and JSON does not.
pub(super) fn is_invalid(text: &[u8]) -> bool {
    if text.first() == Some(&b'+') {
        return true;
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0', next, ..] => matches!(next, b'x' | b'X' | b'0'..=b'9'),
        [first, ..] if *first <= b'9' => false,
        _ => special(digits).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_c_reads_as_a_number_is_read() {
        let check = |text: &str, expected: Option<(f64, usize)>| {
            let got = strtod(text.as_bytes());
            assert_eq!(
                got.map(|(value, len)| (value.to_bits(), len)),
                expected.map(|(v, len)| (v.to_bits(), len)),
                "{text}"
            );
        };
        check("12", Some((12.0, 2)));
        check("-1.5e3,", Some((-1500.0, 6)));
        check("1e", Some((1.0, 1)));
        check("1e+", Some((1.0, 1)));
        check(".5", Some((0.5, 2)));
        check("5.", Some((5.0, 2)));
        check(".", None);
        check("-", None);
        check("0x10", Some((16.0, 4)));
        check("0x", Some((0.0, 1)));
        check("0x1.8p1]", Some((3.0, 7)));
        check("-Infinity", Some((f64::NEG_INFINITY, 9)));
        check("inf", Some((f64::INFINITY, 3)));
        check("1e999", Some((f64::INFINITY, 5)));
        check("abc", None);
    }
}
