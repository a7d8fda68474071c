//! A point in time, as people write it.

/// A time as it was given, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Until {
    text: String,
    /// Milliseconds since 1970.
    pub unix_ms: i64,
}

impl Until {
    /// Reads seconds since 1970, or a date and time as RFC 3339 has it; nothing is `None`.
    pub(crate) fn parse(words: &[&str]) -> Result<Option<Self>, String> {
        let text = words.join(" ");
        if text.is_empty() {
            return Ok(None);
        }
        let unix_ms = seconds(&text).or_else(|| rfc3339(&text)).ok_or(WANTED)?;
        if unix_ms > MS_MAX {
            return Err(too_late(&text, unix_ms));
        }
        Ok(Some(Self { text, unix_ms }))
    }

    /// As it was given.
    pub(crate) fn print(until: Option<&Self>) -> String {
        until.map(|until| until.text.clone()).unwrap_or_default()
    }
}

/// Why a time is none that anybody means; mostly it is a number of milliseconds.
fn too_late(text: &str, unix_ms: i64) -> String {
    let as_ms = unix_ms / 1000;
    let hint = match seconds(text) {
        Some(_) if as_ms <= MS_MAX => format!(
            "; if it is milliseconds, give seconds ({}.{:03}, which is {})",
            as_ms / 1000,
            as_ms % 1000,
            stdx::utc(stdx::UnixMs(as_ms))
        ),
        _ => String::new(),
    };
    format!("argument must be a time before the year 5138, and seconds since 1970 if it is a number{hint}")
}

/// `1700000000` or `1700000000.25`.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole: i64 = digits(whole)?;
    whole.checked_mul(1000)?.checked_add(millis(fraction)?)
}

/// `2026-01-31T12:00:00Z`, with a fraction of the second or none, and `Z` or an offset.
fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone_at);
    let [year, month, day] = parts(date, '-', [4, 2, 2])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = parts(time, ':', [2, 2, 2])?;
    let is_time = (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_time {
        return None;
    }
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset(zone)?;
    Some((minutes * 60 + second) * 1000 + millis(fraction)?)
}

/// Minutes that a zone is ahead.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, zone) = match zone.split_at_checked(1)? {
        ("+", zone) => (1, zone),
        ("-", zone) => (-1, zone),
        _ => return None,
    };
    let [hours, minutes] = parts(zone, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Numbers of so many digits each.
fn parts<const N: usize>(text: &str, by: char, lens: [usize; N]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut given = text.split(by);
    for (number, len) in numbers.iter_mut().zip(lens) {
        *number = digits(given.next().filter(|part| part.len() == len)?)?;
    }
    given.next().is_none().then_some(numbers)
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The digits behind the point of a number of seconds.
fn millis(fraction: &str) -> Option<i64> {
    digits(fraction)?;
    digits(&format!("{fraction}00")[..3])
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let years = before * 365 + before / 4 - before / 100 + before / 400 - DAYS_BEFORE_1970;
    let months: i64 = (1..month).map(|month| days_of(year, month)).sum();
    years + months + day - 1
}

/// From the first day of year 1.
const DAYS_BEFORE_1970: i64 = 719_162;

/// 10^11 seconds. As milliseconds that would be 1973, before there was anything to recover.
const MS_MAX: i64 = 100_000_000_000_000;

const WANTED: &str =
    "argument must be a time like 2026-01-31T12:00:00Z, or seconds since 1970, and nothing for all there is";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(Until::parse(&[text]).ok().flatten().map(|until| until.unix_ms), expected, "{text}");
    }

    #[test]
    fn seconds_since_1970() {
        check("0", Some(0));
        check("1700000000", Some(1_700_000_000_000));
        check("1700000000.25", Some(1_700_000_000_250));
        check("1700000000.0009", Some(1_700_000_000_000));
        for bad in ["-1", "1.", "1.x", "1e3", "99999999999999999999", "now"] {
            check(bad, None);
        }
    }

    #[test]
    fn milliseconds_are_told_from_seconds() {
        check("99999999999", Some(99_999_999_999_000));
        let told = Until::parse(&["1700000000250"]).unwrap_err();
        assert!(told.ends_with("give seconds (1700000000.250, which is 2023-11-14T22:13:20.250Z)"), "{told}");
        for far in ["9000000000000000", "9999-01-01T00:00:00Z"] {
            assert!(Until::parse(&[far]).unwrap_err().ends_with("if it is a number"), "{far}");
        }
    }

    #[test]
    fn dates_and_times() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("2024-02-29T23:59:59.5Z", Some(1_709_251_199_500));
        check("2026-01-31T12:00:00+01:30", Some(1_769_855_400_000));
        check("2026-01-31 12:00:00-00:30", Some(1_769_862_600_000));
        check("2000-03-01t00:00:00z", Some(951_868_800_000));
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01",
            "2026-1-1T00:00:00Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00+1:00",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn nothing_is_no_time() {
        assert_eq!(Until::parse(&[""]), Ok(None));
    }
}
