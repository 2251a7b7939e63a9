//! What can go wrong when asking an engine.

use std::time::Duration;

/// One variant per meaning: what the caller can do about it differs.
///
/// The texts are for a log: one line, cut short, and never with a key in them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client itself cannot be made; the configuration or the machine must change.
    #[error("no client for the engine can be made: {0}")]
    Setup(String),
    /// Nothing answered, or the connection broke before the answer's end.
    #[error("the engine did not answer: {0}")]
    Unreachable(String),
    /// The answer, or the connection, took longer than the limit.
    #[error("the engine did not answer in time: {0}")]
    TimedOut(String),
    /// 401 or 403: the event key (when sending) or the signing key (else) is not the engine's.
    #[error("the engine does not accept our key (status {status}): {message}")]
    Unauthorized { status: u16, message: String },
    /// 404: there is no such event, run or path.
    #[error("the engine knows no such thing: {message}")]
    NotFound { message: String },
    /// Any other refusal. The same request will be refused again.
    #[error("the engine refused the request with status {status}: {message}")]
    Refused { status: u16, message: String },
    /// 429, or a 503 that says when to come back.
    #[error("the engine is rate-limiting us")]
    RateLimited { retry_after: Option<Duration> },
    /// 5xx or 408: the engine, or a proxy before it, is in trouble. Inngest also says 500 for a run
    /// that it does not know.
    #[error("the engine failed with status {status}: {message}")]
    Server { status: u16, message: String },
    /// It answered, but not as the API does: another service, a proxy's page, or too much.
    /// What was asked for may have been done.
    #[error("the engine's answer cannot be read: {0}")]
    Unreadable(String),
}

impl Error {
    /// Whether the same request may succeed later with nobody having changed anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) | Self::RateLimited { .. } | Self::Server { .. } => true,
            Self::Setup(_)
            | Self::Unauthorized { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Unreadable(_) => false,
        }
    }

    /// The status that was answered instead of success; `None`: no answer, or none that can be read.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthorized { status, .. }
            | Self::Refused { status, .. }
            | Self::Server { status, .. } => Some(*status),
            Self::NotFound { .. } => Some(404),
            Self::RateLimited { .. } => Some(429),
            Self::Setup(_) | Self::Unreachable(_) | Self::TimedOut(_) | Self::Unreadable(_) => None,
        }
    }

    /// What a status that is no success means.
    pub(super) fn from_status(status: u16, message: String, retry_after: Option<Duration>) -> Self {
        match status {
            401 | 403 => Self::Unauthorized { status, message },
            404 => Self::NotFound { message },
            429 => Self::RateLimited { retry_after },
            503 if retry_after.is_some() => Self::RateLimited { retry_after },
            408 | 500..=599 => Self::Server { status, message },
            _ => Self::Refused { status, message },
        }
    }
}
