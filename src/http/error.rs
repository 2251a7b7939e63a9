//! What can go wrong on the way to a page: the one place where errors become status codes and sentences.

use std::{fmt, io};

use actix_web::{
    HttpResponse, ResponseError,
    error::{PayloadError, UrlencodedError},
    http::StatusCode,
};

use super::ErrorPage;
use crate::store;

/// What no route is for.
pub async fn not_found() -> Result<HttpResponse, Error> {
    Err(Error::NotFound)
}

/// A person sees the sentence, the log gets the cause.
#[derive(Debug)]
pub enum Error {
    /// Nothing there, or nothing of theirs.
    NotFound,
    /// A download before the end.
    NotYet,
    /// A download of an import whose run never wrote anything here.
    NothingWritten,
    /// A re-run is asked for before the import has ended.
    StillGoing,
    /// A deletion is asked for before the import has ended.
    NotOver,
    /// The same, of one that was cancelled and may still get a run.
    StillCancelling,
    /// A re-run of the failed records is asked for, and there are none.
    NothingFailed,
    /// A re-run of an unknown part is asked for.
    NoSuchPart,
    /// The user may store no more.
    OverQuota,
    /// The disk is full.
    NoSpace,
    /// The file that an import was made of is not stored any more.
    FileMissing,
    /// A query or form that says what none of ours does.
    Unreadable,
    /// The request's body did not arrive in time.
    TooSlow,
    /// The database does not answer.
    DatabaseAway(anyhow::Error),
    /// Our fault.
    Internal(anyhow::Error),
}

impl Error {
    /// What is wrong with a form that cannot be read.
    #[must_use]
    pub fn from_form(why: &UrlencodedError) -> Self {
        match why {
            UrlencodedError::Payload(why) if is_timeout(why) => Self::TooSlow,
            _ => Self::Unreadable,
        }
    }

    /// Whether a stored file was not there.
    #[must_use]
    pub fn is_missing_file(&self) -> bool {
        let Self::Internal(error) = self else { return false };
        let mut kinds = error.chain().filter_map(|cause| cause.downcast_ref()).map(io::Error::kind);
        kinds.any(|kind| kind == io::ErrorKind::NotFound)
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => ("Not found", "Page not found, or you don't have access to it."),
            Self::NotYet => (
                "Still running",
                "The import is still running. You can download its files when it has finished.",
            ),
            Self::NothingWritten => ("Nothing to download", "This import wrote no rows to download."),
            Self::Unreadable => {
                ("Bad request", "Runboard could not read this request. Go back and try again.")
            }
            Self::StillGoing => {
                ("Still running", "The import is still running. You can run it again when it has finished.")
            }
            Self::NotOver => (
                "Still running",
                "The import is still running. Cancel it first; you can delete it once it has stopped.",
            ),
            Self::StillCancelling => (
                "Still cancelling",
                "The import was cancelled, and late runs of it are still being stopped. You can delete it once the \
                 engine reports that none is left, usually within half a minute.",
            ),
            Self::NothingFailed => {
                ("Nothing to run again", "No rows of this import failed. You can run the whole import again.")
            }
            Self::NoSuchPart => {
                ("Bad request", "You can run the whole import again, or only its failed rows.")
            }
            Self::OverQuota => (
                "No room left",
                "Your imports take all the space that they may take here. Delete imports that you no longer \
                 need and try again.",
            ),
            Self::NoSpace => (
                "Disk full",
                "There is not enough free disk space. Nothing was changed; try again once the operator has made room.",
            ),
            Self::TooSlow => ("Took too long", "The request did not arrive in time. Try again."),
            Self::FileMissing => (
                "File missing",
                "The stored file of this import is missing, so it cannot be run again. Upload the file once more.",
            ),
            Self::DatabaseAway(_) => (
                "Database not answering",
                "The database is not answering. Nothing is lost; try again in a moment.",
            ),
            Self::Internal(_) => {
                ("Something went wrong", "The error is in the log. Nothing is lost; try again in a moment.")
            }
        }
    }
}

/// Whether a body ended because it did not arrive in time.
#[must_use]
pub fn is_timeout(why: &PayloadError) -> bool {
    matches!(why, PayloadError::Io(why) if why.kind() == io::ErrorKind::TimedOut)
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::NothingWritten => StatusCode::NOT_FOUND,
            Self::NotYet | Self::StillGoing | Self::NotOver | Self::StillCancelling | Self::NothingFailed => {
                StatusCode::CONFLICT
            }
            Self::NoSuchPart => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::OverQuota => StatusCode::PAYLOAD_TOO_LARGE,
            Self::FileMissing => StatusCode::GONE,
            Self::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Self::DatabaseAway(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Internal(error) | Self::DatabaseAway(error) = self {
            tracing::error!("a request failed: {error:#}");
        }
        let (title, sentence) = self.words();
        ErrorPage::new(title, sentence).response(self.status_code())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().1)
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let error = anyhow::Error::from(error);
        if is_out_of_space(&error) {
            Self::NoSpace
        } else if error.chain().any(store::is_away) {
            Self::DatabaseAway(error)
        } else {
            Self::Internal(error)
        }
    }
}

/// The errors of the database among its causes.
fn stores(error: &anyhow::Error) -> impl Iterator<Item = &store::Error> {
    error.chain().filter_map(|cause| cause.downcast_ref())
}

fn is_out_of_space(error: &anyhow::Error) -> bool {
    if stores(error).any(store::Error::is_disk_full) {
        return true;
    }
    let mut kinds = error.chain().filter_map(|cause| cause.downcast_ref()).map(io::Error::kind);
    kinds.any(|kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::AcceptError;

    #[test]
    fn a_full_disk_is_told_from_a_fault() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Error::from(full()).status_code(), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(Error::from(AcceptError::from(full())).status_code(), StatusCode::INSUFFICIENT_STORAGE);
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Error::from(other).status_code(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
