//! What is said of an engine that does not answer, or not with what was asked for.

use crate::{base::time::UnixMillis, inngest::Error};

/// The engine has given no usable answer since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOutage {
    /// The last answer, or the first question without one.
    pub since: UnixMillis,
    /// Of the latest question.
    pub cause: OutageCause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageCause {
    /// Nothing comes, or trouble.
    NoAnswer,
    /// It does not take our key.
    KeyRefused,
    /// It is rate-limiting us.
    Busy,
    /// It answers something that is none of its answers.
    Unreadable,
    /// It does not take the event, and answers this status instead; when the next attempt begins.
    EventNotTaken { status: u16, retry_at: UnixMillis },
}

impl OutageCause {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Unauthorized { .. } => Self::KeyRefused,
            Error::RateLimited { .. } => Self::Busy,
            Error::NotFound { .. } | Error::Refused { .. } | Error::Unreadable(_) => Self::Unreadable,
            Error::Setup(_) | Error::Unreachable(_) | Error::TimedOut(_) | Error::Server { .. } => {
                Self::NoAnswer
            }
        }
    }
}
