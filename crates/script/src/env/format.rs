//! Numbers as C prints them with `%.14g` and its kin.

use std::io::Write;

/// Appends `value` with `precision` significant digits, 1 to 17, as `%.{precision}g` prints it.
pub(super) fn write_g(value: f64, precision: usize, out: &mut Vec<u8>) {
    if !value.is_finite() {
        let text: &[u8] = match (value.is_nan(), value.is_sign_negative()) {
            (true, false) => b"nan",
            (true, true) => b"-nan",
            (false, false) => b"inf",
            (false, true) => b"-inf",
        };
        return out.extend_from_slice(text);
    }
    let whole = value as i64;
    if whole as f64 == value && whole.unsigned_abs() < 10u64.pow(precision.min(15) as u32) && value != 0.0 {
        return out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    }
    let start = out.len();
    write!(out, "{value:.*e}", precision - 1).expect("a Vec takes what is written");
    let mark = start + out[start..].iter().position(|&byte| byte == b'e').expect("an exponent was asked for");
    let exponent: i32 = std::str::from_utf8(&out[mark + 1..])
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("it is a number");
    out.truncate(mark);
    if (-4..precision as i32).contains(&exponent) {
        out.truncate(start);
        let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
        write!(out, "{value:.decimals$}").expect("a Vec takes what is written");
        trim_zeros(start, out);
    } else {
        trim_zeros(start, out);
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "e{sign}{:02}", exponent.unsigned_abs()).expect("a Vec takes what is written");
    }
}

/// Takes zeros away from the end of what has decimals, and a point that is left.
fn trim_zeros(start: usize, out: &mut Vec<u8>) {
    if !out[start..].contains(&b'.') {
        return;
    }
    let kept = out.iter().rposition(|&byte| byte != b'0').expect("a point is there");
    out.truncate(if out[kept] == b'.' { kept } else { kept + 1 });
}

#[cfg(test)]
mod tests {
    use super::write_g;

    #[test]
    fn numbers_are_printed_as_c_prints_them() {
        let check = |value: f64, precision: usize, expected: &str| {
            let mut out = b"x".to_vec();
            write_g(value, precision, &mut out);
            assert_eq!(String::from_utf8_lossy(&out[1..]), expected, "{value} with {precision}");
        };
        check(0.0, 14, "0");
        check(-0.0, 14, "-0");
        check(1.0, 14, "1");
        check(-12.0, 14, "-12");
        check(0.1, 14, "0.1");
        check(0.1, 17, "0.10000000000000001");
        check(1.0 / 3.0, 14, "0.33333333333333");
        check(1e14, 14, "1e+14");
        check(123_456_789_012_345.0, 14, "1.2345678901234e+14");
        check(99_999_999_999_999.0, 14, "99999999999999");
        check(1e-5, 14, "1e-05");
        check(0.0001, 14, "0.0001");
        check(1.5e300, 14, "1.5e+300");
        check(2.71, 2, "2.7");
        check(1234.5, 1, "1e+03");
        check(9.5, 1, "1e+01");
        check(0.5, 1, "0.5");
        check(f64::INFINITY, 14, "inf");
        check(-f64::NAN, 14, "-nan");
    }
}
