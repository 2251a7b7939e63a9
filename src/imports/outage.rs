//! The state of an engine that does not give usable answers.

use serde::{Deserialize, Serialize};

use crate::{base::time::UnixMillis, inngest::Error};

/// The engine has given no usable answer for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOutage {
    /// The time of the last answer, or of the first request without one.
    pub since: UnixMillis,
    /// The cause of the last failed request.
    pub cause: OutageCause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutageCause {
    /// No answer, or an error.
    NoAnswer,
    /// It does not accept our key.
    KeyRefused,
    /// It limits our rate.
    Busy,
    /// Its answers are not those of the API.
    Unreadable,
    /// It answers the event with this status. Also, when the next attempt begins.
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
