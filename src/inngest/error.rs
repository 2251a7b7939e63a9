//! Errors of requests to an engine.

use std::time::Duration;

/// One variant per meaning: the variants differ in what the caller can do.
///
/// The texts are for a log: one short line that never contains a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be created; the configuration or the machine must change.
    #[error("cannot create a client for the engine: {0}")]
    Setup(String),
    /// Nothing answered, or the connection broke before the end of the answer.
    #[error("the engine did not answer: {0}")]
    Unreachable(String),
    /// The answer, or the connection, exceeded the time limit.
    #[error("the engine did not answer in time: {0}")]
    TimedOut(String),
    /// 401 or 403: the engine does not accept the event key (when sending) or the signing key (otherwise).
    #[error("the engine does not accept our key (status {status}): {message}")]
    Unauthorized { status: u16, message: String },
    /// 404: the engine does not know this event, run or path.
    #[error("the engine does not know it: {message}")]
    NotFound { message: String },
    /// Any other refusal. The same request will be refused again.
    #[error("the engine refused the request with status {status}: {message}")]
    Refused { status: u16, message: String },
    /// 429, or a 503 with a `Retry-After`.
    #[error("the engine is rate-limiting us")]
    RateLimited { retry_after: Option<Duration> },
    /// 5xx or 408: the engine, or a proxy in front of it, has a problem. Inngest also answers 500 for an
    /// unknown run.
    #[error("the engine failed with status {status}: {message}")]
    Server { status: u16, message: String },
    /// The answer does not match the API: another service, a proxy's page, or too long. The request may have
    /// been carried out.
    #[error("the engine's answer cannot be read: {0}")]
    Unreadable(String),
}

impl Error {
    /// Whether the same request may succeed later without any change.
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

    /// The HTTP status of the failure. None: no answer, or an unreadable one.
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

    /// The meaning of a status that is not a success.
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
