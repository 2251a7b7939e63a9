//! Why an import was not run again.

use super::{Decision, Error, of_io, of_store};
use crate::imports::RetryError;

impl From<RetryError> for Error {
    fn from(error: RetryError) -> Self {
        let decision: Decision = match &error {
            RetryError::StillGoing => return Self::StillGoing,
            RetryError::NotStarted => return Self::NotStarted,
            RetryError::ReadAsBefore => return Self::ReadAsBefore,
            RetryError::NothingFailed => return Self::NothingFailed,
            RetryError::Deleted => return Self::NotFound,
            RetryError::KeyUsed => return Self::KeyUsed,
            RetryError::OverQuota(_) => return Self::OverQuota,
            RetryError::FileMissing(_) => return Self::FileMissing,
            RetryError::Storage(error) => of_io(error),
            RetryError::Store(error) => of_store(error),
        };
        decision(error.into())
    }
}
