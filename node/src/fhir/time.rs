//! Dates of FHIR resources, as exact as they were written.

use jiff::Timestamp;
use jiff::civil::Date;

/// When something was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    /// For the order of measurements; a date without a time counts as its midnight in UTC.
    pub instant: Timestamp,
    /// The calendar day as written, for ages and gaps.
    pub day: Date,
}

/// Reads a FHIR dateTime or instant of at least the precision of a day.
pub(super) fn moment(text: &str) -> Option<Moment> {
    let day: Date = text.get(..10)?.parse().ok()?;
    let instant = if text.len() == 10 {
        day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
    } else {
        text.parse().ok()?
    };
    Some(Moment { instant, day })
}

/// A birth date and whether it was given to the day.
pub(super) fn birth(text: &str) -> Option<(Date, bool)> {
    match text.len() {
        10 => Some((text.parse().ok()?, true)),
        // The middle of what is known, so that the age is off by half of it at most.
        7 => Some((format!("{text}-15").parse().ok()?, false)),
        4 => Some((format!("{text}-07-01").parse().ok()?, false)),
        _ => None,
    }
}

/// Completed years of life on `day`; negative before birth.
pub(super) fn completed_years(birth: Date, day: Date) -> i32 {
    let years = i32::from(day.year()) - i32::from(birth.year());
    let not_yet = (day.month(), day.day()) < (birth.month(), birth.day());
    years - i32::from(not_yet)
}

/// Days between two days, without sign.
pub(super) fn gap_days(a: Date, b: Date) -> u32 {
    a.until(b)
        .map_or(u32::MAX, |span| span.get_days().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn age_counts_completed_years_at_the_observation() {
        let birth = date(1960, 3, 1);
        assert_eq!(completed_years(birth, date(2020, 2, 29)), 59);
        assert_eq!(completed_years(birth, date(2020, 3, 1)), 60);
        assert_eq!(completed_years(birth, date(1959, 3, 1)), -1);
    }

    #[test]
    fn moments_order_by_instant_across_time_zones() {
        let east = moment("2020-07-23T04:10:16+02:00").unwrap();
        let utc = moment("2020-07-23T03:10:16.791Z").unwrap();
        assert!(east.instant < utc.instant);
        assert!(moment("2020-07").is_none());
        assert!(
            moment("2020-07-23T04:10:16").is_none(),
            "a time needs its zone"
        );
        assert!(moment("2020-13-01").is_none());
        assert!(moment("202\u{20ac}-07-23").is_none());
    }

    #[test]
    fn gaps_are_whole_days_across_years() {
        assert_eq!(gap_days(date(2020, 12, 31), date(2022, 1, 1)), 366);
        assert_eq!(gap_days(date(2022, 1, 1), date(2020, 12, 31)), 366);
    }

    #[test]
    fn coarse_birth_dates_are_taken_in_the_middle_and_marked() {
        assert_eq!(birth("1960"), Some((date(1960, 7, 1), false)));
        assert_eq!(birth("1960-02"), Some((date(1960, 2, 15), false)));
        assert_eq!(birth("60"), None);
    }
}
