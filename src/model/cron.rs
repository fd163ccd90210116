//! Launch times of periodic jobs: cron expressions as Nomad reads them (`cronexpr`), on a proleptic Gregorian calendar.
//!
//! Five fields are minute, hour, day of month, month, day of week; a sixth one is the year; with seven the first is the
//! second. Numbers, names, lists, ranges, steps, `*`, `?` and the macros `@yearly` to `@hourly`; as day of month `L`
//! (the last), `15W` (the weekday, Monday to Friday, nearest to the 15th, in the same month) and `LW`; as day of week
//! `5L` (the last Friday) and `5#2` (the second one). A day counts if either day field matches, when both are
//! restricted. What the library leaves undefined, as a range that ends before it begins, is refused.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: Arc<str>,
    seconds: u64,
    minutes: u64,
    hours: u64,
    /// Bit 1 is the first of the month, and [`LAST`] the last, whatever its number.
    days: u64,
    /// Bit 15 is the weekday nearest to the 15th, and [`LAST`] the one nearest to the last.
    nearest: u64,
    /// The day of the month is not free.
    days_restricted: bool,
    /// Bit 1 is January.
    months: u64,
    /// Bit 0 is Sunday.
    weekdays: u64,
    /// Bit 5 is the last Friday of the month.
    last_weekdays: u64,
    /// Of the first to the fifth week of the month: bit 5 of the second is its second Friday.
    numbered_weekdays: [u64; 5],
    weekdays_restricted: bool,
    /// Years since 1970, in two words; `None` for every year.
    years: Option<[u128; 2]>,
}

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// It has fewer than five fields or more than seven.
    #[error("a cron expression has 5 to 7 fields, not `{0}`")]
    FieldCount(usize),
    /// A field cannot be read.
    #[error("`{text}` is no {field} of a cron expression")]
    Field {
        /// Which.
        field: &'static str,
        /// What was written.
        text: String,
    },
}

/// What a field may hold.
struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    /// Longest step, as the library has it.
    step_max: usize,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", first: 0, last: 59, step_max: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", first: 0, last: 59, step_max: 59, names: &[] };
const HOUR: Field = Field { name: "hour", first: 0, last: 23, step_max: 23, names: &[] };
const DAY: Field = Field { name: "day of month", first: 1, last: 31, step_max: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    step_max: 12,
    names: &[
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
};
const WEEKDAY: Field = Field {
    name: "day of week",
    first: 0,
    last: 7,
    step_max: 6,
    names: &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"],
};
const YEAR: Field =
    Field { name: "year", first: FIRST_YEAR, last: LAST_YEAR, step_max: LAST_YEAR as usize, names: &[] };
const FIRST_YEAR: u32 = 1970;
const LAST_YEAR: u32 = 2099;
/// Stands for the last day of the month in a set of days.
const LAST: u32 = 32;
const SECONDS_PER_DAY: i64 = 86_400;

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let spelt = match text.trim() {
            "@yearly" | "@annually" => "0 0 0 1 1 * *",
            "@monthly" => "0 0 0 1 * * *",
            "@weekly" => "0 0 0 * * 0 *",
            "@daily" => "0 0 0 * * * *",
            "@hourly" => "0 0 * * * * *",
            other => other,
        };
        let mut fields: Vec<&str> = spelt.split_whitespace().collect();
        match fields.len() {
            5 => {
                fields.insert(0, "0");
                fields.push("*");
            }
            6 => fields.insert(0, "0"),
            7 => {}
            count => return Err(CronError::FieldCount(count)),
        }
        let mut cron = Self {
            text: text.trim().into(),
            seconds: SECOND.read(fields[0])?,
            minutes: MINUTE.read(fields[1])?,
            hours: HOUR.read(fields[2])?,
            days: 0,
            nearest: 0,
            days_restricted: !is_free(fields[3]),
            months: MONTH.read(fields[4])?,
            weekdays: 0,
            last_weekdays: 0,
            numbered_weekdays: [0; 5],
            weekdays_restricted: !is_free(fields[5]),
            years: if is_free(fields[6]) { None } else { Some(YEAR.read_years(fields[6])?) },
        };
        fields[3].split(',').try_for_each(|item| cron.day(item))?;
        fields[5].split(',').try_for_each(|item| cron.weekday(item))?;
        Ok(cron)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Cron {
    /// The first launch after `unix` seconds, in local time as in the answer; `None` when there is none until 2099.
    pub fn next(&self, unix: i64) -> Option<i64> {
        let mut day = unix.div_euclid(SECONDS_PER_DAY);
        let mut earliest = unix.rem_euclid(SECONDS_PER_DAY) + 1;
        loop {
            let date = Date::of(day);
            if date.year > LAST_YEAR {
                return None;
            }
            if !self.matches_month(date) {
                day += i64::from(date.days_in_month() - date.day + 1);
                earliest = 0;
                continue;
            }
            if self.matches_day(date)
                && let Some(second) = self.time_of_day(earliest)
            {
                return Some(day * SECONDS_PER_DAY + second);
            }
            day += 1;
            earliest = 0;
        }
    }

    /// Adds one item of the days of the month.
    fn day(&mut self, item: &str) -> Result<(), CronError> {
        match item.to_ascii_lowercase().as_str() {
            "l" => self.days |= 1 << LAST,
            "lw" => self.nearest |= 1 << LAST,
            lower => match lower.strip_suffix('w') {
                Some(day) => self.nearest |= 1 << DAY.number(day).map_err(|_| DAY.error(item))?,
                None => self.days |= DAY.read(item)?,
            },
        }
        Ok(())
    }

    /// Adds one item of the days of the week; Sunday is 0 and 7.
    fn weekday(&mut self, item: &str) -> Result<(), CronError> {
        let number = |text: &str| WEEKDAY.number(text).map(|day| day % 7).map_err(|_| WEEKDAY.error(item));
        if let Some((day, week)) = item.split_once('#') {
            let week = week.parse().ok().filter(|week| (1..=5).contains(week)).ok_or_else(|| WEEKDAY.error(item))?;
            let week: usize = week;
            self.numbered_weekdays[week - 1] |= 1 << number(day)?;
        } else if let Some(day) = item.strip_suffix(['L', 'l']) {
            self.last_weekdays |= 1 << number(day)?;
        } else {
            let days = WEEKDAY.read(item)?;
            self.weekdays |= days | days >> 7;
        }
        Ok(())
    }

    fn matches_month(&self, date: Date) -> bool {
        let in_year = self.years.is_none_or(|years| {
            let year = date.year.wrapping_sub(FIRST_YEAR) as usize;
            years.get(year / 128).is_some_and(|word| word >> (year % 128) & 1 == 1)
        });
        in_year && has(self.months, date.month)
    }

    fn matches_day(&self, date: Date) -> bool {
        let last = date.days_in_month();
        let by_number = has(self.days, date.day)
            || has(self.days, LAST) && date.day == last
            || has(self.nearest, LAST) && date.nearest_weekday(last) == date.day
            // It is at most two days away.
            || (date.day.saturating_sub(2)..=last.min(date.day + 2))
                .any(|day| has(self.nearest, day) && date.nearest_weekday(day) == date.day);
        let by_weekday = has(self.weekdays, date.weekday)
            || has(self.last_weekdays, date.weekday) && last < date.day + 7
            || has(self.numbered_weekdays[(date.day as usize - 1) / 7], date.weekday);
        match (self.days_restricted, self.weekdays_restricted) {
            (true, true) => by_number || by_weekday,
            (true, false) => by_number,
            (false, _) => by_weekday,
        }
    }

    /// The first matching second of a day from `earliest` on.
    fn time_of_day(&self, earliest: i64) -> Option<i64> {
        let (hour, minute, second) = (earliest / 3_600, earliest / 60 % 60, earliest % 60);
        let from = |set: u64, first: i64| (first..64).find(|n| set >> n & 1 == 1);
        let mut hours = from(self.hours, hour);
        while let Some(h) = hours {
            let mut minutes = from(self.minutes, if h == hour { minute } else { 0 });
            while let Some(m) = minutes {
                let exact = h == hour && m == minute;
                if let Some(s) = from(self.seconds, if exact { second } else { 0 }) {
                    return Some(h * 3_600 + m * 60 + s);
                }
                minutes = from(self.minutes, m + 1);
            }
            hours = from(self.hours, h + 1);
        }
        None
    }
}

fn has(set: u64, number: u32) -> bool {
    set >> number & 1 == 1
}

fn is_free(text: &str) -> bool {
    matches!(text, "*" | "?")
}

impl Field {
    fn error(&self, text: &str) -> CronError {
        CronError::Field { field: self.name, text: text.into() }
    }

    fn read(&self, text: &str) -> Result<u64, CronError> {
        let mut set = 0;
        self.each(text, |number| set |= 1 << number)?;
        Ok(set)
    }

    fn read_years(&self, text: &str) -> Result<[u128; 2], CronError> {
        let mut set = [0; 2];
        self.each(text, |year| set[(year - FIRST_YEAR) as usize / 128] |= 1 << ((year - FIRST_YEAR) % 128))?;
        Ok(set)
    }

    /// Hands out every number a field names.
    fn each(&self, text: &str, mut take: impl FnMut(u32)) -> Result<(), CronError> {
        for item in text.split(',') {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => (range, step.parse().ok().filter(|step| (1..=self.step_max).contains(step))),
                None => (item, Some(1)),
            };
            let step = step.ok_or_else(|| self.error(item))?;
            let (first, last) = match range.split_once('-') {
                Some((first, last)) => (self.number(first)?, self.number(last)?),
                None if is_free(range) => (self.first, self.last),
                // A step without an end goes to the end.
                None if item.len() > range.len() => (self.number(range)?, self.last),
                None => (self.number(range)?, self.number(range)?),
            };
            if first > last {
                return Err(self.error(item));
            }
            (first..=last).step_by(step).for_each(&mut take);
        }
        Ok(())
    }

    fn number(&self, text: &str) -> Result<u32, CronError> {
        let named = || {
            // In full, or their first three letters.
            let is = |name: &&str| name.eq_ignore_ascii_case(text) || name[..3].eq_ignore_ascii_case(text);
            let at = self.names.iter().position(is)?;
            Some(at as u32 + self.first)
        };
        let number = text.parse().ok().or_else(named).ok_or_else(|| self.error(text))?;
        if self.first <= number && number <= self.last { Ok(number) } else { Err(self.error(text)) }
    }
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy)]
struct Date {
    year: u32,
    month: u32,
    day: u32,
    /// 0 is Sunday.
    weekday: u32,
}

impl Date {
    /// `days` after 1 January 1970. Counts years from March, so that the leap day comes last (H. Hinnant,
    /// "chrono-compatible low-level date algorithms").
    fn of(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Self {
            year: (year_of_era + era * 400 + i64::from(month <= 2)) as u32,
            month: month as u32,
            day: day as u32,
            weekday: (days + 4).rem_euclid(7) as u32,
        }
    }

    /// Of this month, the day from Monday to Friday that is nearest to `day`.
    fn nearest_weekday(self, day: u32) -> u32 {
        match (self.weekday + 35 + day - self.day) % 7 {
            6 if day > 1 => day - 1,
            6 => day + 2,
            0 if day < self.days_in_month() => day + 1,
            0 => day - 2,
            _ => day,
        }
    }

    fn days_in_month(self) -> u32 {
        let leap = self.year.is_multiple_of(4) && !self.year.is_multiple_of(100) || self.year.is_multiple_of(400);
        match self.month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 1 January 2024, midnight.
    const START: i64 = 1_704_067_200;

    /// Days to June 2024, which begins on a Saturday and ends on a Sunday.
    const JUNE: i64 = 152;

    fn check(text: &str, expected: &[(i64, i64, i64)]) {
        let cron: Cron = text.parse().unwrap();
        let mut at = START;
        for (days, hours, minutes) in expected {
            at = cron.next(at).unwrap();
            assert_eq!(at, START + days * 86_400 + hours * 3_600 + minutes * 60, "{text}");
        }
    }

    #[test]
    fn expressions_name_their_times() {
        check("*/15 * * * *", &[(0, 0, 15), (0, 0, 30), (0, 0, 45), (0, 1, 0)]);
        check("5,10-12/2 9-10 * * *", &[(0, 9, 5), (0, 9, 10), (0, 9, 12), (0, 10, 5)]);
        check("30 6 * * mon-fri", &[(0, 6, 30), (1, 6, 30), (2, 6, 30), (3, 6, 30), (4, 6, 30), (7, 6, 30)]);
        check("0 0 1 * *", &[(31, 0, 0), (60, 0, 0), (91, 0, 0)]);
        check("0 0 L 2 *", &[(59, 0, 0)]);
        check("0 0 29 feb ?", &[(59, 0, 0), (59 + 1_461, 0, 0)]);
        check("0 12 * * 7", &[(6, 12, 0)]);
        check("0 0 15 * 3", &[(2, 0, 0), (9, 0, 0), (14, 0, 0), (16, 0, 0)]);
        check("0 0 1W 6 *", &[(JUNE + 2, 0, 0)]);
        check("0 0 15w 6 *", &[(JUNE + 13, 0, 0)]);
        check("0 0 16W 6 *", &[(JUNE + 16, 0, 0)]);
        check("0 0 30W 6 *", &[(JUNE + 27, 0, 0)]);
        check("0 0 LW 6 *", &[(JUNE + 27, 0, 0)]);
        check("0 0 LW,4W,20 6 *", &[(JUNE + 3, 0, 0), (JUNE + 19, 0, 0), (JUNE + 27, 0, 0)]);
        check("0 0 * 6 5L", &[(JUNE + 27, 0, 0)]);
        check("0 0 * 6 sunL,6#1", &[(JUNE, 0, 0), (JUNE + 29, 0, 0)]);
        check("0 0 * 6 5#2,7#5", &[(JUNE + 13, 0, 0), (JUNE + 29, 0, 0)]);
        check("0 0 10 6 Saturday#5", &[(JUNE + 9, 0, 0), (JUNE + 28, 0, 0)]);
        check("0 0 31W 1-2 *", &[(30, 0, 0)]);
        check("0 0 1 january *", &[(366, 0, 0)]);
        check("*/59 1 1 2 *", &[(31, 1, 0), (31, 1, 59)]);
        check("@daily", &[(1, 0, 0), (2, 0, 0)]);
        check("0 0 1 1 * 2026", &[(731, 0, 0)]);
        assert_eq!("0 0 1 1 * 2020".parse::<Cron>().unwrap().next(START), None);
        assert_eq!("*/20 * * * * * *".parse::<Cron>().unwrap().next(START), Some(START + 20));
    }

    #[test]
    fn other_texts_are_refused() {
        let dates =
            ["* * 0 * *", "* * 32W * *", "* * 1-5W * *", "* * WL * *", "* * * * 5#6", "* * * * #2", "* * * * L"];
        let times =
            ["", "* * * *", "60 * * * *", "5-2 * * * *", "*/0 * * * *", "a * * * *", "*/60 * * * *", "0 */24 * * *"];
        for text in
            dates.into_iter().chain(times).chain(["0 0 */32 * *", "0 0 * */13 *", "0 0 * * */7", "0 0 * 0-9/13 *"])
        {
            assert!(text.parse::<Cron>().is_err(), "{text}");
        }
    }
}
