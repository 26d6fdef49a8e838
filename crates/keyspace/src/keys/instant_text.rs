//! The text of an instant in errors: ISO 8601 in UTC, which does not depend on a session's
//! settings.

use std::fmt;

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Days from 0000-03-01 to 2000-01-01 in the proleptic Gregorian calendar.
const DAYS_FROM_MARCH_OF_YEAR_0: i64 = 730_425;
/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;

/// Microseconds since 2000-01-01 00:00:00 UTC, shown as PostgreSQL shows a `timestamptz` in UTC.
pub(super) struct UtcText(pub(super) i64);

impl fmt::Display for UtcText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            i64::MIN => return f.write_str("-infinity"),
            i64::MAX => return f.write_str("infinity"),
            _ => {}
        }
        let (year, month, day) = civil_from_days(self.0.div_euclid(MICROS_PER_DAY));
        let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
        let micros = self.0.rem_euclid(MICROS_PER_DAY);
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")?;
        if fraction != 0 {
            let digits = format!("{fraction:06}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        write!(f, "+00{era}")
    }
}

/// The year (0 is 1 BC), month and day of a number of days since 2000-01-01. Years are counted from
/// March, so that the leap day comes last.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_FROM_MARCH_OF_YEAR_0;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{DAYS_PER_ERA, UtcText, civil_from_days};

    #[test]
    fn instants_read_as_postgresql_shows_them_in_utc() {
        for (micros, text) in [
            (0, "2000-01-01 00:00:00+00"),
            (-1, "1999-12-31 23:59:59.999999+00"),
            (-946_684_800_000_000, "1970-01-01 00:00:00+00"),
            (280_528_291_910_655_999, "10889-08-02 05:31:50.655999+00"),
            (5_097_600_000_000 + 100_000, "2000-02-29 00:00:00.1+00"),
            (-211_813_488_000_000_000, "4714-11-24 00:00:00+00 BC"),
            (-63_113_904_000_000_000, "0001-01-01 00:00:00+00 BC"),
            (i64::MIN, "-infinity"),
            (i64::MAX, "infinity"),
        ] {
            assert_eq!(UtcText(micros).to_string(), text);
        }
    }

    /// Day by day over two cycles of the calendar, before and after year 0, with only the rule for
    /// leap years.
    #[test]
    fn every_day_follows_the_one_before() {
        let mut date = civil_from_days(-DAYS_PER_ERA * 6);
        assert_eq!(date, (-400, 1, 1));
        for days in 1 - DAYS_PER_ERA * 6..=DAYS_PER_ERA {
            let (year, month, day) = date;
            let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 if is_leap_year => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            date = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, day) if day == last => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
            assert_eq!(civil_from_days(days), date);
        }
        assert_eq!(date, (2400, 1, 1));
    }
}
