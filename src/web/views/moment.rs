//! A point in time: UTC from the server, rewritten to the viewer's zone by `runboard.js`.

use askama::{Template, filters::HtmlSafe};
use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::base::time::UnixMillis;

/// A `<time>` element.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(ext = "html", source = r#"<time datetime="{{ at }}" title="{{ at }}">{{ text }} UTC</time>"#)]
pub struct Moment {
    at: UnixMillis,
    text: String,
}

impl HtmlSafe for Moment {}

impl Moment {
    /// The time of day on the day of `now`, else the date and the minute.
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

    /// Without markup.
    #[must_use]
    pub fn plain(&self) -> String {
        format!("{} UTC", self.text)
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
        assert_eq!(
            Moment::new(now, now).to_string(),
            r#"<time datetime="2026-11-23T20:43:26.599Z" title="2026-11-23T20:43:26.599Z">20:43:26 UTC</time>"#
        );
    }
}
