//! When a failed request is sent again.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use super::Error;
use crate::base::time::UnixMillis;

/// Capped exponential back-off with full jitter: each pause is random between zero and a ceiling that
/// doubles, so that clients that failed together do not retry together.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// How often a request is sent at most, including the first time.
    pub tries: u32,
    /// The ceiling of the pause after the first failure.
    pub first_pause: Duration,
    /// The highest ceiling, and the longest `Retry-After` that is waited for. If the server asks for a longer
    /// pause, the caller gets the error at once.
    pub longest_pause: Duration,
}

impl Backoff {
    /// The pause after failure number `failed` (1-based). None: do not try again.
    pub(super) fn pause(&self, error: &Error, failed: u32) -> Option<Duration> {
        let asked = match error {
            Error::RateLimited { retry_after } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        // A request that timed out has used its caller's time.
        let is_late = matches!(error, Error::TimedOut(_));
        if failed >= self.tries || asked > self.longest_pause || is_late || !error.is_transient() {
            return None;
        }
        let doublings = 2u32.saturating_pow(failed.saturating_sub(1));
        let ceiling = self.first_pause.saturating_mul(doublings).min(self.longest_pause);
        Some(asked + rand::random_range(Duration::ZERO..=ceiling))
    }
}

/// Parses `Retry-After` (RFC 9110, section 10.2.3): seconds or a date. A date in the past is zero.
pub(super) fn parse_retry_after(value: &str, now: UnixMillis) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    parse_date(value).map(|at| at.since(now))
}

/// Parses an HTTP date, a fixed form of the date in mail.
pub(super) fn parse_date(value: &str) -> Option<UnixMillis> {
    let at = DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(UnixMillis(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        tries: 5,
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_millis(300),
    };

    fn unreachable() -> Error {
        Error::Unreachable("refused".into())
    }

    fn rate_limited(retry_after: Duration) -> Error {
        Error::RateLimited { retry_after: Some(retry_after) }
    }

    #[test]
    fn pauses_grow_up_to_their_cap_and_vary() {
        for (failed, ceiling) in [(1, 100), (2, 200), (3, 300), (4, 300)] {
            let pauses: Vec<_> =
                (0..200).map(|_| BACKOFF.pause(&unreachable(), failed).unwrap().as_millis()).collect();
            let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
            assert!(*most <= ceiling && *most > ceiling / 2, "after {failed}: {most}");
            assert!(*least < ceiling / 2, "after {failed}: {least}");
        }
    }

    #[test]
    fn the_last_try_and_a_refusal_are_final() {
        assert_eq!(BACKOFF.pause(&unreachable(), 5), None);
        let refused = Error::Refused { status: 400, message: String::new() };
        assert_eq!(BACKOFF.pause(&refused, 1), None);
    }

    #[test]
    fn the_engine_may_ask_for_a_longer_pause_but_not_for_any_length() {
        let asked = Duration::from_millis(300);
        assert!(BACKOFF.pause(&rate_limited(asked), 1).unwrap() >= asked);
        assert_eq!(BACKOFF.pause(&rate_limited(Duration::from_millis(301)), 1), None);
        assert_eq!(BACKOFF.pause(&rate_limited(Duration::MAX), 1), None);
    }

    #[test]
    fn reads_seconds_and_dates() {
        let now = UnixMillis::from_rfc3339("2026-11-23T20:43:26Z").unwrap();
        let seconds = |value| parse_retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Mon, 23 Nov 2026 20:44:26 GMT"), Some(60));
        assert_eq!(seconds("Mon, 23 Nov 2026 20:43:00 GMT"), Some(0));
        for value in ["", "soon", "-1", "1.5"] {
            assert_eq!(seconds(value), None, "{value}");
        }
    }
}
