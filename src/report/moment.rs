//! Times: a point in time, the time of the last answer, and a running duration.

use std::time::Duration;

use jiff::{Timestamp, Zoned, tz::TimeZone};

use super::{ReportInputs, format::duration};
use crate::{
    base::time::UnixMillis,
    imports::{ImportState, Snapshot},
};

/// A point in time, as text in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub at: UnixMillis,
    text: String,
}

impl Moment {
    /// The time of day if it is on the day of `now`, otherwise the date and the minute.
    #[must_use]
    pub fn new(at: UnixMillis, now: UnixMillis) -> Self {
        let (then, now) = (utc(at), utc(now));
        let format = if then.date() == now.date() {
            "%H:%M:%S"
        } else if then.year() == now.year() {
            "%-d %b %H:%M"
        } else {
            "%-d %b %Y %H:%M"
        };
        Self { at, text: then.strftime(format).to_string() }
    }

    /// `14:03:07 UTC`.
    #[must_use]
    pub fn plain(&self) -> String {
        format!("{} UTC", self.text)
    }
}

/// A running duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticking {
    pub so_far: Duration,
}

impl Ticking {
    /// `16 s`.
    #[must_use]
    pub fn plain(self) -> String {
        duration(self.so_far)
    }
}

/// The time of the engine's last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsOf {
    pub moment: Moment,
    /// No later answer is expected.
    pub is_last: bool,
}

impl AsOf {
    #[must_use]
    pub fn new(at: UnixMillis, is_last: bool, now: UnixMillis) -> Self {
        Self { moment: Moment::new(at, now), is_last }
    }

    /// The time for an import; before the first answer, the time of the upload's last byte.
    #[must_use]
    pub fn of(snapshot: &Snapshot, state: ImportState, inputs: &ReportInputs) -> Self {
        Self::new(snapshot.as_of(), state.is_final(), inputs.now)
    }
}

fn utc(at: UnixMillis) -> Zoned {
    Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_the_day_only_when_it_is_another() {
        let now = UnixMillis::from_rfc3339("2026-11-23T20:43:26.599Z").unwrap();
        for (at, text) in [
            ("2026-11-23T00:00:01Z", "00:00:01"),
            ("2026-11-22T23:59:59Z", "22 Nov 23:59"),
            ("2025-11-23T20:43:26Z", "23 Nov 2025 20:43"),
        ] {
            assert_eq!(Moment::new(UnixMillis::from_rfc3339(at).unwrap(), now).text, text);
        }
        assert_eq!(Moment::new(now, now).plain(), "20:43:26 UTC");
    }
}
