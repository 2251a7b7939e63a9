//! Why a command did not do what it was asked to.

use std::{io, iter, time::Duration};

use reqwest::StatusCode;

use crate::base::config::ConfigError;

/// The texts are for the person who typed the command, and name no technical detail but an address.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// It was reached, but the connection broke off before the answer was whole.
    #[error("{0}")]
    Broken(String),
    /// The server refused the request: its own sentence.
    #[error("{sentence}")]
    Refused { status: StatusCode, sentence: String, retry_after: Option<Duration> },
    #[error("{0}")]
    Other(String),
    /// Nobody reads standard output any more.
    #[error("Standard output is closed.")]
    NobodyReads,
}

/// How often a request that makes something is sent before the command gives up, and how often others are.
pub const MOST_TRIES: u32 = 10;

/// The first pause before a request is sent again; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A server that asks for a longer pause is asked again after this.
const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(10 * 60);

impl ClientError {
    /// Of a request to `origin`, whose address comes `from` somewhere if nobody typed it.
    pub fn of_request(origin: &str, from: &str, error: &reqwest::Error) -> Self {
        if error.is_connect() {
            Self::Unreachable(format!("Cannot reach {origin}{from}: {}.", cause(error)))
        } else if error.is_timeout() {
            Self::Broken(format!("{origin} does not answer."))
        } else if error.is_builder() {
            Self::Other(format!("Runboard cannot send this request: {}.", cause(error)))
        } else {
            Self::Broken(format!("The connection to {origin} broke off."))
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Broken(_) => true,
            Self::Refused { status, .. } => matches!(status.as_u16(), 408 | 429 | 502..=504),
            Self::Other(_) | Self::NobodyReads => false,
        }
    }

    /// Whether a request that makes something, and has failed so many times, is not sent again.
    pub fn is_final(&self, failed: u32) -> bool {
        // What was not there at first is a wrong address.
        let was_never_there = failed == 1 && matches!(self, Self::Unreachable(_));
        was_never_there || failed >= MOST_TRIES || !self.is_passing()
    }

    /// How long to wait before the request is sent again, after it has failed so many times in a row.
    pub fn pause(&self, failed: u32) -> Duration {
        if let Self::Refused { retry_after: Some(asked), .. } = self {
            return (*asked).clamp(FIRST_PAUSE, LONGEST_ASKED_PAUSE);
        }
        let doublings = 2_u32.saturating_pow(failed.saturating_sub(1));
        let ceiling = FIRST_PAUSE.saturating_mul(doublings).min(LONGEST_PAUSE);
        // Clients that lost a server together do not come back together.
        rand::random_range(ceiling / 2..=ceiling)
    }
}

/// The innermost cause, in the words of the system, without the number of its error.
fn cause(error: &reqwest::Error) -> String {
    let causes = iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let text = causes.last().map(ToString::to_string).unwrap_or_default();
    without_number(&text).trim_end_matches('.').to_owned()
}

/// Why the system refused something, in its words.
pub fn reason(error: &io::Error) -> String {
    without_number(&error.to_string()).to_owned()
}

/// Without `(os error 111)`, which says nothing to people.
fn without_number(text: &str) -> &str {
    text.split(" (os error").next().unwrap_or(text)
}

impl From<ConfigError> for ClientError {
    fn from(error: ConfigError) -> Self {
        Self::Other(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_longest_and_the_server_may_name_its_own() {
        let lost = ClientError::Broken(String::new());
        for (failed, most) in [(1, 500), (2, 1_000), (7, 30_000), (u32::MAX, 30_000)] {
            let pause = lost.pause(failed).as_millis();
            assert!((most / 2..=most).contains(&pause), "after {failed}: {pause}");
        }
        let refused = |retry_after| ClientError::Refused {
            status: StatusCode::TOO_MANY_REQUESTS,
            sentence: String::new(),
            retry_after,
        };
        assert_eq!(refused(Some(Duration::from_secs(90))).pause(1), Duration::from_secs(90));
        assert!(refused(None).pause(1) <= FIRST_PAUSE);
    }
}
