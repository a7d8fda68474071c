//! Times for people.

use crate::UnixMs;

/// As RFC 3339 has it: `2026-11-21T15:10:02.123Z`.
pub fn utc(UnixMs(ms): UnixMs) -> String {
    let (days, in_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    let (s, ms) = (in_day / 1000, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
}

/// Year, month and day of a day since 1970-01-01. Years begin in March, so that the leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let from_0000 = days + DAYS_TO_1970;
    let (era, day) = (from_0000.div_euclid(ERA_DAYS), from_0000.rem_euclid(ERA_DAYS));
    // Leap days of the era so far: one in 4 years, none in 100, one in 400.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, month + 3);
    if month > 12 { (year + 1, month - 12, of_month) } else { (year, month, of_month) }
}

const DAY_MS: i64 = 86_400_000;
/// Days of 400 years.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01.
const DAYS_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let check = |ms, expected: &str| assert_eq!(utc(UnixMs(ms)), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(951_868_800_000, "2000-03-01T00:00:00.000Z");
        check(1_700_000_000_123, "2023-11-14T22:13:20.123Z");
        check(4_102_444_799_000, "2099-12-31T23:59:59.000Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn days_follow_each_other() {
        let mut last = civil(-1_000_000);
        for day in -999_999..1_000_000 {
            let next = civil(day);
            let (year, month, day) = last;
            let follows = next == (year, month, day + 1)
                || next == (year, month + 1, 1)
                || (next == (year + 1, 1, 1) && (month, day) == (12, 31));
            assert!(follows && next.2 <= 31, "{last:?} {next:?}");
            last = next;
        }
    }
}
