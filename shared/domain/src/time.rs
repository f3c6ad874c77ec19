//! Instants and days, and how the API and the table write them.
//!
//! Each has exactly one written form, of a fixed length. Sorting the texts therefore sorts the times, and DynamoDB,
//! which sorts texts, keeps registrations in chronological order. An instant is kept in this form, because most are only
//! read, compared and written again.

use std::{fmt, str::FromStr};

use jiff::{
    SignedDuration, ToSpan as _,
    civil::{Date, DateTime},
    tz::Offset,
};
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

/// An instant in UTC, cut to milliseconds, between 1970 and 9999.
///
/// Written `2016-11-09T11:09:00.745Z`: always 24 characters, so that texts sort as the instants do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(
    feature = "contract",
    derive(utoipa::ToSchema),
    schema(value_type = String, format = DateTime, pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$")
)]
pub struct Timestamp([u8; FORM.len()]);

/// A day in UTC between 1970 and 9999, written `2016-11-09`, so that texts sort as the days do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema), schema(value_type = String, format = Date))]
pub struct Day(Date);

/// The written form of an instant, with zeros in place of its digits.
const FORM: [u8; 24] = *b"0000-00-00T00:00:00.000Z";

/// The error for a text that is not a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a day between 1970 and 9999 such as 2016-11-09")]
pub struct InvalidDay;

/// The error for a text that is not an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected an instant between 1970 and 9999 such as 2016-11-09T11:09:00.745Z")]
pub struct InvalidTimestamp;

/// Returns the current time. Only entry points and the log call this. All other code receives the time as an argument.
///
/// # Panics
///
/// If the clock is set to a time before 1970 or after 9999.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "a clock outside 1970 to 9999 is broken, and any instant in its place would be wrong"
)]
pub fn now() -> Timestamp {
    Timestamp::cut(jiff::Timestamp::now()).expect("the clock lies between 1970 and 9999")
}

impl Timestamp {
    const FIRST: Self = Self(*b"1970-01-01T00:00:00.000Z");
    /// The last instant that jiff can represent, cut to milliseconds.
    const LAST: Self = Self(*b"9999-12-30T22:00:00.999Z");

    /// Returns the written form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the bytes of the written form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; FORM.len()] {
        &self.0
    }

    /// Returns the whole seconds since 1970, as DynamoDB's time-to-live counts them.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.instant().as_second()
    }

    /// Returns the instant `seconds` after the start of 1970, or `None` if it is not between 1970 and 9999.
    #[must_use]
    pub fn of_unix_seconds(seconds: i64) -> Option<Self> {
        Self::cut(jiff::Timestamp::from_second(seconds).ok()?)
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    pub fn unix_milliseconds(self) -> i64 {
        self.instant().as_millisecond()
    }

    /// Returns the instant `milliseconds` after the start of 1970, or the first or last instant that can be stored if
    /// that lies outside.
    #[must_use]
    pub fn nearest(milliseconds: i64) -> Self {
        let instant = jiff::Timestamp::from_millisecond(milliseconds.max(0)).ok().and_then(Self::cut);
        instant.unwrap_or(Self::LAST)
    }

    /// Returns the day of this instant, in UTC.
    #[must_use]
    pub fn day(self) -> Day {
        Day(Offset::UTC.to_datetime(self.instant()).date())
    }

    /// Returns this instant plus `duration`, or the last instant (on 9999-12-30) if that is earlier.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        let later = SignedDuration::try_from(duration).ok();
        let later = later.and_then(|duration| self.instant().checked_add(duration).ok());
        later.and_then(Self::cut).unwrap_or(Self::LAST)
    }

    /// Returns this instant minus `duration`, or `None` if that is before 1970.
    #[must_use]
    pub fn minus(self, duration: std::time::Duration) -> Option<Self> {
        Self::cut(self.instant().checked_sub(SignedDuration::try_from(duration).ok()?).ok()?)
    }

    /// Parses the written form, which every stored instant has. jiff accepts more, but is several times slower.
    fn of_own_form(text: &str) -> Option<Self> {
        let text: [u8; FORM.len()] = text.as_bytes().try_into().ok()?;
        let is_right = |form: u8, byte: u8| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
        // There is no early exit, so that the compiler can check many bytes at once.
        let is_of_form = FORM.iter().zip(&text).fold(true, |all, (form, byte)| all & is_right(*form, *byte));
        let parsed = Self(text);
        let exists = is_of_form && parse_date_time(&text).is_some();
        (exists && (Self::FIRST..=Self::LAST).contains(&parsed)).then_some(parsed)
    }

    /// Returns an instant cut to milliseconds, or `None` if it is before 1970.
    fn cut(instant: jiff::Timestamp) -> Option<Self> {
        if instant < jiff::Timestamp::UNIX_EPOCH {
            return None;
        }
        let mut text = FORM;
        let at = Offset::UTC.to_datetime(instant);
        let millisecond = at.subsec_nanosecond() / 1_000_000;
        let small = [(5, at.month()), (8, at.day()), (11, at.hour()), (14, at.minute()), (17, at.second())];
        write_digits(&mut text[0..4], at.year().into());
        write_digits(&mut text[20..23], millisecond);
        for (from, number) in small {
            write_digits(&mut text[from..from + 2], number.into());
        }
        Some(Self(text))
    }

    #[expect(clippy::expect_used, reason = "every way to make a `Timestamp` checks that its text is an instant")]
    fn instant(self) -> jiff::Timestamp {
        let instant = parse_date_time(&self.0).and_then(|at| Offset::UTC.to_timestamp(at).ok());
        instant.expect("the text is an instant between 1970 and 9999")
    }
}

impl Day {
    /// Returns the days from this one to `last`, both included. There are none if `last` is earlier.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> {
        self.0.series(1.day()).map(Self).take_while(move |day| *day <= last)
    }

    /// Returns the number of days from this one to `last`, both included, or 0 if `last` is earlier.
    #[must_use]
    pub fn count_through(self, last: Self) -> usize {
        let days = self.0.duration_until(last.0).as_hours() / 24 + 1;
        usize::try_from(days).unwrap_or_default()
    }

    /// Returns the same day of the previous month, or the last day of that month if it has no such day.
    #[must_use]
    pub fn a_month_before(self) -> Self {
        Self(self.0.saturating_sub(1.month()))
    }
}

impl FromStr for Day {
    type Err = InvalidDay;

    /// Accepts only the form `2016-11-09`. jiff accepts more.
    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        let day: Date = text.parse().map_err(|_| InvalidDay)?;
        (day.year() >= 1970 && day.to_string() == text).then_some(Self(day)).ok_or(InvalidDay)
    }
}

impl TryFrom<String> for Day {
    type Error = InvalidDay;

    fn try_from(text: String) -> Result<Self, InvalidDay> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        if let Some(instant) = Self::of_own_form(text) {
            return Ok(instant);
        }
        let instant = text.parse().map_err(|_| InvalidTimestamp)?;
        Self::cut(instant).ok_or(InvalidTimestamp)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;

    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Parses the numbers of a text that has the form of an instant. `None` if there is no such day or time of day.
fn parse_date_time(text: &[u8; FORM.len()]) -> Option<DateTime> {
    let number =
        |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + i32::from(*digit) - i32::from(b'0'));
    let part = |from: usize| i8::try_from(number(&text[from..from + 2])).ok();
    let year = i16::try_from(number(&text[0..4])).ok()?;
    let nanosecond = number(&text[20..23]) * 1_000_000;
    DateTime::new(year, part(5)?, part(8)?, part(11)?, part(14)?, part(17)?, nanosecond).ok()
}

/// Fills `place` with the last digits of `number`.
fn write_digits(place: &mut [u8], mut number: i32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2016-11-09T11:09:00.745Z", "2016-11-09T11:09:00.745Z")]
    #[case("2016-08-10T11:30:06Z", "2016-08-10T11:30:06.000Z")]
    #[case("2016-11-09T11:09:00.745999Z", "2016-11-09T11:09:00.745Z")]
    #[case("2016-11-09T13:09:00.745+02:00", "2016-11-09T11:09:00.745Z")]
    #[case("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z")]
    fn instants_are_utc_and_cut_to_milliseconds(#[case] text: &str, #[case] written: &str) {
        assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), written);
    }

    #[rstest]
    #[case("")]
    #[case("yesterday")]
    #[case("2016-11-09")]
    #[case("2016-11-09T11:09:00")]
    #[case("2016-13-09T11:09:00Z")]
    #[case("1969-12-31T23:59:59.999Z")]
    #[case("-000001-01-01T00:00:00Z")]
    #[case("10000-01-01T00:00:00Z")]
    fn anything_else_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp));
    }

    #[rstest]
    #[case("2016-11-09", true)]
    #[case("2016-02-29", true)]
    #[case("2015-02-29", false)]
    #[case("1969-12-31", false)]
    #[case("2016-11-9", false)]
    #[case("20161109", false)]
    #[case("2016-11-09T00:00:00", false)]
    #[case("", false)]
    fn days_have_one_form(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(text.parse::<Day>().map(|day| day.to_string()).ok(), valid.then(|| text.to_owned()));
    }

    #[test]
    fn days_follow_each_other() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let days: Vec<_> = day("2016-02-28").through(day("2016-03-01")).map(|day| day.to_string()).collect();
        assert_eq!(days, ["2016-02-28", "2016-02-29", "2016-03-01"]);
        assert_eq!(day("2016-02-28").count_through(day("2016-03-01")), 3);
        assert_eq!(day("2016-03-01").count_through(day("2016-02-29")), 0);
        assert_eq!(day("2016-03-01").through(day("2016-02-29")).count(), 0);
        assert_eq!(day("2016-03-31").a_month_before(), day("2016-02-29"));
        let last_moment: Timestamp = "2016-11-09T23:59:59.999Z".parse().unwrap();
        assert_eq!(last_moment.day(), day("2016-11-09"));
    }

    proptest! {
        #[test]
        fn the_written_form_is_parsed_as_jiff_parses_it(millisecond in 0..253_402_207_200_999_i64) {
            let instant = jiff::Timestamp::from_millisecond(millisecond).unwrap();
            let timestamp = Timestamp::nearest(millisecond);
            let written = timestamp.to_string();
            prop_assert_eq!(&written, &format!("{instant:.3}"));
            prop_assert_eq!(written.parse(), Ok(timestamp));
            prop_assert_eq!(timestamp.unix_milliseconds(), millisecond);
            prop_assert_eq!(serde_json::to_value(timestamp).unwrap(), written);
        }

        #[test]
        fn a_text_of_the_same_shape_is_parsed_as_jiff_parses_it(text in "[12]9[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{3}Z") {
            let expected = text.parse::<jiff::Timestamp>().ok().and_then(Timestamp::cut).ok_or(InvalidTimestamp);
            prop_assert_eq!(text.parse::<Timestamp>(), expected);
        }
    }

    #[test]
    fn time_ends_with_the_year_9999() {
        let end = now().plus(Duration::MAX);
        assert_eq!(end, Timestamp::cut(jiff::Timestamp::MAX).unwrap());
        assert_eq!((end.to_string().parse(), end.unix_milliseconds()), (Ok(end), 253_402_207_200_999));
        assert_eq!("9999-12-30T22:00:01.000Z".parse::<Timestamp>(), Err(InvalidTimestamp));
    }
}
