//! Times: unix milliseconds inside, RFC 3339 on the wire.
//!
//! There are two clocks. [`UnixMillis::now`] never runs backwards and is used for everything that is planned,
//! measured and shown. [`UnixMillis::wall`] is the system clock, for times that are compared with other
//! machines or that must stay valid after this process: signatures, and the expiry of links and sessions.

mod steady;

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The monotonic time of this process. It follows the system clock, except after that was set back or far
    /// ahead: then it continues on its own, a little slower until the system clock has caught up, or until
    /// the system clock has stayed ahead for a while.
    #[must_use]
    pub fn now() -> Self {
        steady::now()
    }

    /// The time of the system clock, which can go backwards.
    #[must_use]
    pub fn wall() -> Self {
        Self(Timestamp::now().as_millisecond())
    }

    /// The time `later` after this one.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        let millis = i64::try_from(later.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The time `earlier` before this one.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        let millis = i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The duration since `earlier`; zero if this time is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses RFC 3339 with up to nine decimals, as Inngest writes it.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|at| Self(at.as_millisecond()))
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-23T20:43:26.599Z`.
impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Timestamp::from_millisecond(self.0).unwrap_or_default();
        write!(f, "{at:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nanoseconds_and_writes_milliseconds() {
        let at = UnixMillis::from_rfc3339("2026-11-23T20:43:26.633747341Z").unwrap();
        assert_eq!(at.to_string(), "2026-11-23T20:43:26.633Z");
        assert_eq!(
            UnixMillis::from_rfc3339("2026-11-23T20:53:53.11Z").unwrap().to_string(),
            "2026-11-23T20:53:53.110Z"
        );
        assert_eq!(UnixMillis::from_rfc3339("yesterday"), None);
    }

    #[test]
    fn a_span_that_would_be_negative_is_zero() {
        for (earlier, later) in [(2, 1), (i64::MAX, i64::MIN), (i64::MAX, 0), (0, i64::MIN)] {
            assert_eq!(UnixMillis(later).since(UnixMillis(earlier)), Duration::ZERO, "{earlier} to {later}");
        }
        assert_eq!(UnixMillis(2).since(UnixMillis(1)), Duration::from_millis(1));
    }
}
