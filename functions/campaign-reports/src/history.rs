//! The history of a campaign: its counts on each day of a period.
//!
//! The table stores only the counts of each day and the totals up to now. The counts up to the end of a past day are
//! therefore the totals minus the counts of all later days.

use api::{error::ApiError, query::refuse_unknown};
use domain::{counts::Counts, fields::FieldErrors, id::CampaignId, time::Day};
use store::CampaignCounts;

/// The maximum number of days in a report.
pub const MAX_DAYS: usize = 366;

/// The days of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first day.
    pub start: Day,
    /// The last day, inclusive.
    pub end: Day,
}

/// The counts of each day of a period.
#[derive(Debug)]
pub struct History {
    /// The campaign.
    pub campaign: CampaignId,
    /// The days, oldest first.
    pub days: Vec<PastDay>,
}

/// A day of a history.
#[derive(Debug)]
pub struct PastDay {
    /// The day.
    pub day: Day,
    /// The counts of the day alone.
    pub counts: Counts,
    /// The counts of all days up to the end of this one.
    pub until_its_end: Counts,
}

impl Period {
    /// Parses `start_date` and `end_date`. The default of the end is today, and the default of the start is a month
    /// before the end.
    ///
    /// # Errors
    ///
    /// 400 that names every invalid parameter.
    pub fn from_parameters(parameters: Vec<(String, String)>, today: Day) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::default();
        refuse_unknown(&parameters, &["start_date", "end_date"], &mut errors);
        let (mut start, mut end) = (None, None);
        for (name, value) in parameters {
            let slot = match name.as_str() {
                "start_date" => &mut start,
                "end_date" => &mut end,
                _ => continue,
            };
            match value.parse::<Day>() {
                Err(expected) => errors.add(&name, expected),
                Ok(_) if slot.is_some() => errors.add(&name, "expected once"),
                Ok(day) => *slot = Some(day),
            }
        }
        let end = end.unwrap_or(today);
        let start = start.unwrap_or_else(|| end.a_month_before());
        if errors.is_empty() {
            match start.count_through(end) {
                0 => errors.add("start_date", format_args!("expected a day at or before end_date, {end}")),
                days if days > MAX_DAYS => errors.add("start_date", format_args!("expected at most {MAX_DAYS} days")),
                _ => return Ok(Self { start, end }),
            }
        }
        Err(ApiError::parameters(errors))
    }
}

impl History {
    /// Returns the history of a period. `counts` must have every day from the start of the period until now.
    #[must_use]
    pub fn of(campaign: CampaignId, period: Period, counts: &CampaignCounts) -> Self {
        let Period { start, end } = period;
        let mut until_its_end = counts.totals.clone();
        for (_, later) in counts.days.iter().rev().take_while(|(day, _)| **day > end) {
            until_its_end -= later;
        }
        let mut days: Vec<_> = start.through(end).collect();
        days.reverse();
        let backwards = days.into_iter().map(|day| {
            let of_the_day = counts.days.get(&day).cloned().unwrap_or_default();
            let past = PastDay { day, until_its_end: until_its_end.clone(), counts: of_the_day };
            until_its_end -= &past.counts;
            past
        });
        let mut days: Vec<_> = backwards.collect();
        days.reverse();
        Self { campaign, days }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    /// Parameters, and the names of those that are invalid.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

    fn period(parameters: &[(&str, &str)]) -> Result<(String, String), Vec<String>> {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match Period::from_parameters(parameters, day("2016-03-31")) {
            Ok(Period { start, end }) => Ok((start.to_string(), end.to_string())),
            Err(error) => Err(error.errors().fields().map(str::to_owned).collect()),
        }
    }

    #[test]
    fn a_period_is_the_month_up_to_today_by_default() {
        let days = |start: &str, end: &str| Ok((start.to_owned(), end.to_owned()));
        assert_eq!(period(&[]), days("2016-02-29", "2016-03-31"));
        assert_eq!(period(&[("start_date", "2016-03-30")]), days("2016-03-30", "2016-03-31"));
        assert_eq!(period(&[("end_date", "2016-01-15")]), days("2015-12-15", "2016-01-15"));
        let year = [("start_date", "2016-01-01"), ("end_date", "2016-12-31")];
        assert_eq!(period(&year), days("2016-01-01", "2016-12-31"));
    }

    #[test]
    fn every_invalid_and_every_unknown_parameter_of_a_period_is_named() {
        let cases: [Case<'_>; 8] = [
            (&[("start_date", ""), ("end_date", "")], &["end_date", "start_date"]),
            (&[("time_zone", "Europe/Lisbon"), ("end_date", "2016-03-01")], &["time_zone"]),
            (&[("Start_date", "2016-03-01"), ("start_date", "x")], &["Start_date", "start_date"]),
            (&[("start_date", "yesterday"), ("end_date", "2016-02-30")], &["end_date", "start_date"]),
            (&[("start_date", "2016-03-02"), ("end_date", "2016-03-01")], &["start_date"]),
            (&[("start_date", "2015-01-01"), ("end_date", "2016-01-02")], &["start_date"]),
            (&[("end_date", "2016-03-01"), ("end_date", "2016-03-01")], &["end_date"]),
            (&[("start_date", "2016-04-01")], &["start_date"]),
        ];
        for (parameters, fields) in cases {
            assert_eq!(period(parameters), Err(fields.iter().map(|field| (*field).to_owned()).collect()));
        }
    }
}
