//! Why no token was made.

use super::Error;
use crate::accounts::MakeTokenError;

impl From<MakeTokenError> for Error {
    fn from(error: MakeTokenError) -> Self {
        match error {
            MakeTokenError::TooMany => Self::TooManyTokens,
            MakeTokenError::NoAccount | MakeTokenError::Ended => Self::NotFound,
            MakeTokenError::KeyUsed => Self::KeyUsed,
            // Page and API check it first, and say it in their own words.
            error @ MakeTokenError::NoSecret => Self::Internal(error.into()),
            MakeTokenError::Failed(error) => error.into(),
        }
    }
}
