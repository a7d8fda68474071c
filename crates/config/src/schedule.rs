//! `snapshot-schedule`: at which minutes a snapshot is taken, as cron has it.

use std::fmt;

/// Minutes in which something is due; none by default. Times are UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(Option<Box<Fields>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Fields {
    /// As they were written.
    texts: Vec<String>,
    /// A bit for each value: minute, hour, day of the month, month, day of the week (0 is Sunday).
    bits: [u64; FIELDS],
    /// Whether the days of the month, and those of the week, are any.
    any_day: bool,
    any_weekday: bool,
}

/// One of the five fields.
struct Field {
    name: &'static str,
    min: u64,
    max: u64,
    names: &'static [&'static str],
}

const FIELDS: usize = 5;
const TABLE: [Field; FIELDS] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day of the month", min: 1, max: 31, names: &[] },
    Field {
        name: "month",
        min: 1,
        max: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // 7 is Sunday too.
    Field {
        name: "day of the week",
        min: 0,
        max: 7,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

impl Schedule {
    /// Reads five fields: minute, hour, day of the month, month, day of the week. Each is a list of numbers (`1,15`), ranges
    /// (`1-5`) and steps (`*/10`, `8-18/2`); months and weekdays may be names. One empty word is no schedule.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        if matches!(words, [] | [""]) {
            return Ok(Self::default());
        }
        if words.len() != FIELDS {
            return Err("a schedule has five fields: minute hour day-of-month month day-of-week".into());
        }
        let mut bits = [0; FIELDS];
        for (bits, (field, word)) in bits.iter_mut().zip(TABLE.iter().zip(words)) {
            *bits =
                field.parse(word).ok_or_else(|| format!("'{word}' is no {} of a schedule", field.name))?;
        }
        // Sunday has two numbers.
        bits[4] |= bits[4] >> 7 & 1;
        let texts = words.iter().map(|word| (*word).to_owned()).collect();
        let is_any = |index: usize| words[index].starts_with('*');
        Ok(Self(Some(Box::new(Fields { texts, bits, any_day: is_any(2), any_weekday: is_any(4) }))))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the minute that begins so many minutes after 1970 is one of it. Where both days are given, either will do, as
    /// in cron.
    pub fn has(&self, unix_minute: i64) -> bool {
        let Some(fields) = &self.0 else { return false };
        let (day, minute) = (unix_minute.div_euclid(MINUTES_A_DAY), unix_minute.rem_euclid(MINUTES_A_DAY));
        let (month, day_of_month) = date(day);
        // The first of January 1970 was a Thursday.
        let weekday = (day + 4).rem_euclid(7) as u64;
        let is_in = |index: usize, value: u64| fields.bits[index] >> value & 1 == 1;
        let (fits_day, fits_weekday) = (is_in(2, day_of_month), is_in(4, weekday));
        let fits = match (fields.any_day, fields.any_weekday) {
            (false, false) => fits_day || fits_weekday,
            _ => fits_day && fits_weekday,
        };
        fits && is_in(0, (minute % 60) as u64) && is_in(1, (minute / 60) as u64) && is_in(3, month)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.as_ref().map(|fields| fields.texts.join(" ")).unwrap_or_default())
    }
}

impl Field {
    /// A bit for each value of a list.
    fn parse(&self, word: &str) -> Option<u64> {
        word.split(',').try_fold(0, |bits, part| Some(bits | self.part(part)?))
    }

    fn part(&self, part: &str) -> Option<u64> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max),
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            // `5/10` goes on to the end; `5` does not.
            None if step > 1 => (self.value(range)?, self.max),
            None => (self.value(range)?, self.value(range)?),
        };
        (first <= last).then(|| (first..=last).step_by(step).fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u64> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Some(self.min + index as u64);
        }
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|value| is_number && (self.min..=self.max).contains(value))
    }
}

/// Month and day of the month of a day after 1970. Source: the civil calendar, in years that begin with March, so that
/// leap days come last, and eras of 400 years.
fn date(day: i64) -> (u64, u64) {
    // Days since the first of March of the year 0.
    let day_of_era = (day + 719_468).rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    ((month_from_march + 2) as u64 % 12 + 1, day_of_month as u64)
}

const MINUTES_A_DAY: i64 = 24 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(&text.split(' ').collect::<Vec<_>>()).unwrap()
    }

    /// Which minutes of 2024, from its first on, are in it: how many, and the first.
    #[track_caller]
    fn check(text: &str, count: usize, first: &str) {
        const NEW_YEAR: i64 = 19_723 * MINUTES_A_DAY;
        let schedule = schedule(text);
        let minutes: Vec<i64> =
            (NEW_YEAR..NEW_YEAR + 366 * MINUTES_A_DAY).filter(|minute| schedule.has(*minute)).collect();
        let shown = |minute: i64| {
            let (month, day) = date(minute.div_euclid(MINUTES_A_DAY));
            let minute = minute.rem_euclid(MINUTES_A_DAY);
            format!("{month:02}-{day:02} {:02}:{:02}", minute / 60, minute % 60)
        };
        assert_eq!(minutes.len(), count, "{text}");
        assert_eq!(shown(minutes[0]), first, "{text}");
        assert_eq!(schedule.to_string(), text);
    }

    #[test]
    fn minutes_are_found() {
        check("* * * * *", 366 * 24 * 60, "01-01 00:00");
        check("*/30 * * * *", 366 * 48, "01-01 00:00");
        check("15 3 * * *", 366, "01-01 03:15");
        check("0,5/25 8-18/5 * * *", 366 * 3 * 4, "01-01 08:00");
        check("0 0 29 2 *", 1, "02-29 00:00");
        check("0 0 31 * *", 7, "01-31 00:00");
        check("0 0 1 mar,Dec *", 2, "03-01 00:00");
    }

    #[test]
    fn weekdays_are_found_by_number_and_by_name() {
        // 2024 began with a Monday, and its last day was a Tuesday.
        check("0 0 * * mon-tue", 106, "01-01 00:00");
        check("0 0 * * 0", 52, "01-07 00:00");
        check("0 0 * * 7", 52, "01-07 00:00");
        check("0 0 * * sun", 52, "01-07 00:00");
    }

    #[test]
    fn either_day_will_do_where_both_are_given() {
        // Twelve firsts of a month, of which two were Sundays, and fifty-two Sundays.
        check("0 0 1 * sun", 62, "01-01 00:00");
    }

    #[test]
    fn none_is_never_due() {
        let none = Schedule::parse(&[""]).unwrap();
        assert!(none.is_empty() && !none.has(0));
        assert_eq!(none.to_string(), "");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |text: &str, expected: &str| {
            let got = Schedule::parse(&text.split(' ').collect::<Vec<_>>()).unwrap_err();
            assert_eq!(got, expected, "{text}");
        };
        check("* * * *", "a schedule has five fields: minute hour day-of-month month day-of-week");
        check("60 * * * *", "'60' is no minute of a schedule");
        check("* 5-3 * * *", "'5-3' is no hour of a schedule");
        check("* * 0 * *", "'0' is no day of the month of a schedule");
        check("* * * foo *", "'foo' is no month of a schedule");
        check("* * * * 8", "'8' is no day of the week of a schedule");
        check("*/0 * * * *", "'*/0' is no minute of a schedule");
        check("+5 * * * *", "'+5' is no minute of a schedule");
        check(", * * * *", "',' is no minute of a schedule");
    }
}
