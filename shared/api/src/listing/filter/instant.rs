//! Instants in filters: RFC 3339, or the beginning of it.
//!
//! Stored instants are whole milliseconds. An instant in a filter may be more precise, and it may lie outside the range
//! of stored instants, so it has its own type.

use std::fmt;

use domain::time::Timestamp;
use jiff::{SignedDuration, civil::DateTime};
use thiserror::Error;

/// The beginning of 1970.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// An instant before the first and one after the last that can be stored. Instants further away mean the same in every
/// comparison.
const NEVER: (i64, i64) = (-1, 253_402_300_799_999);

/// An instant to compare `created_at` with: a millisecond, or a moment between two milliseconds. The order of the
/// fields makes the derived order chronological.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instant {
    /// Milliseconds since 1970.
    millisecond: i64,
    /// Whether the instant is after this millisecond and before the next.
    is_between: bool,
}

/// The error for a text that is not an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum InvalidInstant {
    /// Neither an instant nor the beginning of one.
    #[error(
        "expected an instant such as 2016-11-09T11:09:00Z; gteq and lt also accept the beginning of one in UTC, such as \
         2016-11-09"
    )]
    NotAnInstant,
    /// A whole year, month, day, hour or minute, or an instant without zone, in a comparison that needs a single
    /// instant.
    #[error(
        "expected an instant with seconds and zone such as 2016-11-09T11:09:00Z; use gteq and lt for a whole day or another period"
    )]
    NotASingleInstant,
}

impl Instant {
    /// Parses an instant in RFC 3339 with any offset and any precision. Seconds are optional. A space may replace the
    /// `T`, or the `+` of the offset, which is a space in a decoded query string.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidInstant> {
        match Written::parse(text) {
            Some(Written { instant, is_single: true }) => Ok(instant),
            Some(_) => Err(InvalidInstant::NotASingleInstant),
            None => Err(InvalidInstant::NotAnInstant),
        }
    }

    /// Parses an instant like [`Instant::parse`], or the beginning of one in UTC, from the year (`2016`) to a full time
    /// without zone. A beginning stands for the first instant of its period.
    pub(super) fn parse_beginning(text: &str) -> Result<Self, InvalidInstant> {
        Written::parse(text).map(|written| written.instant).ok_or(InvalidInstant::NotAnInstant)
    }

    /// Returns the last stored instant that is not after this one.
    pub(super) fn floor(self) -> Timestamp {
        Timestamp::nearest(self.millisecond)
    }

    /// Returns the first stored instant that is not before this one.
    pub(super) fn ceiling(self) -> Timestamp {
        Timestamp::nearest(self.millisecond + i64::from(self.is_between))
    }

    /// Returns the last stored instant that is before this one.
    pub(super) fn before(self) -> Timestamp {
        Timestamp::nearest(self.millisecond - i64::from(!self.is_between))
    }

    /// Returns the first stored instant that is after this one.
    pub(super) fn after(self) -> Timestamp {
        Timestamp::nearest(self.millisecond + 1)
    }
}

impl From<Timestamp> for Instant {
    fn from(instant: Timestamp) -> Self {
        Self { millisecond: instant.unix_milliseconds(), is_between: false }
    }
}

/// Writes the canonical form: UTC with milliseconds. A moment between two milliseconds has the fourth digit 5.
impl fmt::Display for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date_time = EPOCH.saturating_add(SignedDuration::from_millis(self.millisecond));
        write!(formatter, "{date_time:.3}{}Z", if self.is_between { "5" } else { "" })
    }
}

/// An instant as it was written.
struct Written {
    instant: Instant,
    /// Whether seconds and zone were written, so that the text means one instant and not a period.
    is_single: bool,
}

impl Written {
    fn parse(text: &str) -> Option<Self> {
        let mut rest = Rest(text);
        let year = rest.number(4)?;
        let mut parts = [1, 1, 0, 0, 0];
        let mut written = 0;
        for (part, separators) in parts.iter_mut().zip(["-", "-", "Tt ", ":", ":"]) {
            if rest.skip(separators).is_none() {
                break;
            }
            *part = i8::try_from(rest.number(2)?).ok()?;
            written += 1;
        }
        let (has_minute, has_second) = (written >= 4, written == 5);
        let (millisecond, is_between) = if has_second { rest.fraction()? } else { (0, false) };
        let offset = if has_minute { rest.offset()? } else { None };
        if !rest.0.is_empty() {
            return None;
        }
        let [month, day, hour, minute, second] = parts;
        // A leap second counts as the second before it, as in stored instants.
        let second = if second == 60 { 59 } else { second };
        let date_time = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        let seconds = date_time.duration_since(EPOCH).as_secs() - offset.unwrap_or_default();
        let millisecond = (seconds * 1_000 + millisecond).clamp(NEVER.0, NEVER.1);
        Some(Self { instant: Instant { millisecond, is_between }, is_single: has_second && offset.is_some() })
    }
}

/// The part of a text that has not been parsed yet.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// Parses a number of exactly `length` digits.
    fn number(&mut self, length: usize) -> Option<i16> {
        let (digits, rest) = self.0.split_at_checked(length)?;
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
        self.0 = rest;
        number
    }

    /// Skips one of the characters and returns it.
    fn skip(&mut self, characters: &str) -> Option<char> {
        let next = self.0.chars().next().filter(|next| characters.contains(*next))?;
        self.0 = &self.0[next.len_utf8()..];
        Some(next)
    }

    /// Parses the fraction of a second, if there is one, into milliseconds and whether there is more. `None` if the
    /// fraction has no digits.
    fn fraction(&mut self) -> Option<(i64, bool)> {
        if self.skip(".").is_none() {
            return Some((0, false));
        }
        let end = self.0.find(|next: char| !next.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        let (milliseconds, more) = digits.split_at_checked(3).unwrap_or((digits, ""));
        Some((format!("{milliseconds:0<3}").parse().ok().filter(|_| end > 0)?, more.bytes().any(|digit| digit != b'0')))
    }

    /// Parses the offset from UTC, if there is one, into seconds. The outer `None` means an invalid offset.
    #[expect(clippy::option_option, reason = "an offset may be absent, and it may be invalid")]
    fn offset(&mut self) -> Option<Option<i64>> {
        let sign = match self.skip("Zz+- ") {
            None => return Some(None),
            Some('Z' | 'z') => return Some(Some(0)),
            Some('-') => -1,
            Some(_) => 1,
        };
        let hours = self.number(2).filter(|hours| *hours < 24)?;
        self.skip(":")?;
        let minutes = self.number(2).filter(|minutes| *minutes < 60)?;
        Some(Some(sign * (i64::from(hours) * 3_600 + i64::from(minutes) * 60)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2016-11-09T11:09:00.745Z", "2016-11-09T11:09:00.745Z")]
    #[case("2016-11-09t11:09:00.745z", "2016-11-09T11:09:00.745Z")]
    #[case("2016-11-09 11:09:00Z", "2016-11-09T11:09:00.000Z")]
    #[case("2016-11-09T13:09:00+02:00", "2016-11-09T11:09:00.000Z")]
    #[case("2016-11-09 13:09:00 02:00", "2016-11-09T11:09:00.000Z")]
    #[case("2016-11-09T00:09:00-11:00", "2016-11-09T11:09:00.000Z")]
    #[case("2016-11-09T11:09:00.7Z", "2016-11-09T11:09:00.700Z")]
    #[case("2016-11-09T11:09:00.745000000000Z", "2016-11-09T11:09:00.745Z")]
    #[case("2016-11-09T11:09:00.745000000001Z", "2016-11-09T11:09:00.7455Z")]
    #[case("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z")]
    #[case("0000-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z")]
    #[case("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999Z")]
    fn a_single_instant_is_accepted_everywhere(#[case] text: &str, #[case] written: &str) {
        assert_eq!(Instant::parse(text).unwrap().to_string(), written);
        assert_eq!(Instant::parse_beginning(text).unwrap().to_string(), written);
        assert_eq!(Instant::parse(written).unwrap().to_string(), written, "the canonical form reads back");
    }

    #[rstest]
    #[case("2016", "2016-01-01T00:00:00.000Z")]
    #[case("2016-11", "2016-11-01T00:00:00.000Z")]
    #[case("2016-11-09", "2016-11-09T00:00:00.000Z")]
    #[case("2016-11-09T11", "2016-11-09T11:00:00.000Z")]
    #[case("2016-11-09 11:09", "2016-11-09T11:09:00.000Z")]
    #[case("2016-11-09T11:09:00", "2016-11-09T11:09:00.000Z")]
    #[case("2016-11-09T11:09:00.745", "2016-11-09T11:09:00.745Z")]
    #[case("2016-11-09T11:09Z", "2016-11-09T11:09:00.000Z")]
    #[case("2016-11-09T13:09 02:00", "2016-11-09T11:09:00.000Z")]
    fn the_beginning_of_an_instant_is_not_a_single_instant(#[case] text: &str, #[case] written: &str) {
        assert_eq!(Instant::parse_beginning(text).unwrap().to_string(), written);
        assert_eq!(Instant::parse(text), Err(InvalidInstant::NotASingleInstant));
    }

    #[rstest]
    #[case("")]
    #[case("yesterday")]
    #[case("1893456000")]
    #[case("16")]
    #[case("+002016-11-09T11:09:00Z")]
    #[case("2016-")]
    #[case("2016-1")]
    #[case("2016-13")]
    #[case("2016-02-30")]
    #[case("2016-11-09Z")]
    #[case("2016-11-09T11Z")]
    #[case("2016-11-09T24:00:00Z")]
    #[case("2016-11-09T11:09:61Z")]
    #[case("2016-11-09T11:09:00.Z")]
    #[case("2016-11-09T11:09:00,745Z")]
    #[case("2016-11-09T11:09:00+0200")]
    #[case("2016-11-09T11:09:00+24:00")]
    #[case("2016-11-09T11:09:00+02:60")]
    #[case("2016-11-09T11:09:00 UTC")]
    #[case("2016-11-09T11:09:00Z ")]
    #[case(" 2016")]
    #[case("２０１６")]
    #[case("2016-11-09é")]
    fn anything_else_is_refused(#[case] text: &str) {
        assert_eq!(Instant::parse(text), Err(InvalidInstant::NotAnInstant));
        assert_eq!(Instant::parse_beginning(text), Err(InvalidInstant::NotAnInstant));
    }

    proptest! {
        #[test]
        fn instants_are_ordered_as_jiff_orders_them(
            (left, right) in (0..2_000_000_i64, 0..2_000_000_i64),
            (left_hours, right_hours) in (-23..24_i8, -23..24_i8),
        ) {
            // Within two milliseconds, so that all cases occur.
            let instant = |nanosecond: i64| jiff::Timestamp::new(1_478_689_740, i32::try_from(nanosecond).unwrap()).unwrap();
            let parse = |nanosecond, hours| {
                let written = instant(nanosecond).display_with_offset(jiff::tz::Offset::constant(hours)).to_string();
                Instant::parse(&written).unwrap()
            };
            let exact = left.cmp(&right);
            let found = parse(left, left_hours).cmp(&parse(right, right_hours));
            // Two instants between the same two milliseconds need no order, because none is stored between them.
            let is_same_gap = left / 1_000_000 == right / 1_000_000 && left % 1_000_000 != 0 && right % 1_000_000 != 0;
            prop_assert!(found == exact || is_same_gap && found.is_eq());
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:.+ é-]{0,40}|.*") {
            let _ = Instant::parse_beginning(&text);
        }
    }
}
