//! Maps errors to status codes and sentences, in one place.
//!
//! Each type of error that a handler can return has its own `From` here, so that a new error cannot reach a
//! visitor before its answer is decided.

mod retry;
mod token;

use std::{fmt, io};

use actix_web::{
    HttpResponse, ResponseError,
    error::{PayloadError, UrlencodedError},
    http::StatusCode,
};

use super::error_info::ErrorInfo;
use crate::{
    accounts,
    files::STORAGE_AWAY,
    function::PreviewError,
    imports::{AcceptError, DeleteError},
    store,
};

/// The answer where no route matches.
pub async fn not_found() -> Result<HttpResponse, Error> {
    Err(Error::NotFound)
}

/// People see the sentence; the log gets the cause.
#[derive(Debug)]
pub enum Error {
    /// It does not exist, or belongs to another user.
    NotFound,
    /// A download before the end.
    NotYet,
    /// A download of an import whose run wrote nothing here.
    NothingWritten,
    /// A retry before the import has ended.
    StillGoing,
    /// A deletion before the import has ended.
    NotOver,
    /// A deletion of a cancelled import that may still get a run.
    StillCancelling,
    /// A retry of the failed records, but there are none.
    NothingFailed,
    /// A retry of an unknown part.
    NoSuchPart,
    /// A retry of failed records that are to be read differently.
    ReadAsBefore,
    /// A retry of a held import.
    NotStarted,
    /// A malformed `Idempotency-Key`.
    BadKey,
    /// An `Idempotency-Key` of another request.
    KeyUsed,
    /// Too many previews are being read at once.
    PreviewsBusy,
    /// The user's quota is used up.
    OverQuota,
    /// The account has as many tokens as it may have.
    TooManyTokens,
    /// Too many passwords are being checked at once.
    Busy,
    /// The disk is full.
    NoSpace,
    /// The file of an import is no longer stored.
    FileMissing,
    /// Another stored file is missing.
    Missing(anyhow::Error),
    /// A malformed query or form.
    Unreadable,
    /// The request's body did not arrive in time.
    TooSlow,
    /// The database does not answer.
    DatabaseAway(anyhow::Error),
    /// The storage of the files does not answer.
    StorageAway(anyhow::Error),
    /// An internal error.
    Internal(anyhow::Error),
}

impl Error {
    /// The error for a form that cannot be read.
    #[must_use]
    pub fn from_form(why: &UrlencodedError) -> Self {
        match why {
            UrlencodedError::Payload(why) if is_timeout(why) => Self::TooSlow,
            _ => Self::Unreadable,
        }
    }

    /// The answer, and the text for the log.
    #[must_use]
    pub fn info(&self) -> ErrorInfo {
        let (title, sentence) = self.words();
        let log_chain = match self {
            Self::Internal(error)
            | Self::Missing(error)
            | Self::DatabaseAway(error)
            | Self::StorageAway(error) => Some(format!("{error:#}")),
            _ => None,
        };
        let is_busy = matches!(self, Self::Busy | Self::PreviewsBusy);
        let retry_after = is_busy.then_some(accounts::BUSY_RETRY_AFTER);
        let (status, kind) = (self.status_code(), Some(self.kind()));
        ErrorInfo { status, kind, title, sentence: sentence.into(), retry_after, log_chain }
    }

    /// The name that programs know it by. It stays the same when the sentence changes.
    fn kind(&self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::NotYet | Self::StillGoing | Self::NotOver => "still-running",
            Self::NothingWritten => "nothing-written",
            Self::StillCancelling => "still-cancelling",
            Self::NothingFailed => "nothing-failed",
            // Only the form of a page can ask for one: programs are told of wrong values before.
            Self::NoSuchPart => "not-accepted",
            Self::ReadAsBefore => "read-as-before",
            Self::NotStarted => "not-started",
            Self::PreviewsBusy | Self::Busy => "busy",
            Self::OverQuota => "over-quota",
            Self::TooManyTokens => "too-many-tokens",
            Self::NoSpace => "disk-full",
            Self::FileMissing => "file-missing",
            Self::Unreadable | Self::BadKey => "malformed",
            Self::KeyUsed => "key-used",
            Self::TooSlow => "too-slow",
            Self::DatabaseAway(_) => "database-away",
            Self::StorageAway(_) => "storage-away",
            Self::Internal(_) | Self::Missing(_) => "internal",
        }
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
            Self::ReadAsBefore => (
                "Failed rows are read as before",
                "Failed rows are read as their import read them. To read the file differently, run the whole import again.",
            ),
            Self::NotStarted => (
                "Not started",
                "The import has not started. Start or discard it on its page; you can run it again when it has finished.",
            ),
            Self::BadKey => (
                "Bad request",
                "An Idempotency-Key has 1 to 255 visible ASCII characters, and a request has only one.",
            ),
            Self::KeyUsed => (
                "Key used before",
                "This Idempotency-Key was sent with another request. Nothing was made; send a new key.",
            ),
            Self::PreviewsBusy => {
                ("Busy", "Many files are being previewed right now. Try again in a few seconds.")
            }
            Self::OverQuota => (
                "No room left",
                "Your imports take all the space that they may take here. Delete imports that you no longer \
                 need and try again.",
            ),
            Self::TooManyTokens => (
                "Too many tokens",
                "Your account has 100 tokens, the most that it can have. End one that you no longer use and try again.",
            ),
            Self::NoSpace => (
                "Disk full",
                "There is not enough free disk space. Nothing was changed; try again once the operator has made room.",
            ),
            Self::Busy => ("Busy", "Too much of this is being done right now. Try again in a few seconds."),
            Self::TooSlow => ("Took too long", "The request did not arrive in time. Try again."),
            Self::FileMissing => (
                "File missing",
                "The stored file of this import is missing, so it cannot be run again. Upload the file once more.",
            ),
            Self::DatabaseAway(_) => (
                "Database not answering",
                "The database is not answering. Nothing is lost; try again in a moment.",
            ),
            Self::StorageAway(_) => (
                "Storage not answering",
                "The storage of the files is not answering. Nothing is lost; try again in a moment.",
            ),
            Self::Internal(_) | Self::Missing(_) => {
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
            Self::NotYet
            | Self::StillGoing
            | Self::NotOver
            | Self::StillCancelling
            | Self::NothingFailed
            | Self::TooManyTokens
            | Self::NotStarted
            | Self::KeyUsed => StatusCode::CONFLICT,
            Self::NoSuchPart | Self::ReadAsBefore => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unreadable | Self::BadKey => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::OverQuota => StatusCode::PAYLOAD_TOO_LARGE,
            Self::FileMissing => StatusCode::GONE,
            Self::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Self::DatabaseAway(_) | Self::StorageAway(_) | Self::Busy | Self::PreviewsBusy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal(_) | Self::Missing(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let info = self.info();
        info.log();
        info.page()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().1)
    }
}

/// Creates the variant for an error, which is kept for the log.
type Decision = fn(anyhow::Error) -> Error;

fn of_store(error: &store::Error) -> Decision {
    if error.is_disk_full() {
        |_| Error::NoSpace
    } else if store::is_away(error) {
        Error::DatabaseAway
    } else {
        Error::Internal
    }
}

fn of_io(error: &io::Error) -> Decision {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => |_| Error::NoSpace,
        io::ErrorKind::NotFound => Error::Missing,
        STORAGE_AWAY => Error::StorageAway,
        _ => Error::Internal,
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        of_store(&error)(error.into())
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        of_io(&error)(error.into())
    }
}

impl From<AcceptError> for Error {
    fn from(error: AcceptError) -> Self {
        let decision = match &error {
            AcceptError::Storage(error) => of_io(error),
            AcceptError::Store(error) => of_store(error),
            AcceptError::KeyUsed => return Self::KeyUsed,
        };
        decision(error.into())
    }
}

impl From<PreviewError> for Error {
    fn from(error: PreviewError) -> Self {
        let decision: Decision = match &error {
            PreviewError::Busy | PreviewError::NotShown(_) => |_| Self::PreviewsBusy,
            PreviewError::Storage(error) => of_io(error),
            PreviewError::NotReadable(_) | PreviewError::NoSuchSheet(_) | PreviewError::BrokenOff(_) => {
                Self::Internal
            }
        };
        decision(error.into())
    }
}

impl From<DeleteError> for Error {
    fn from(error: DeleteError) -> Self {
        let decision = match &error {
            DeleteError::Store(error) => of_store(error),
            DeleteError::BrokenOff(_) => Self::Internal,
        };
        decision(error.into())
    }
}

impl From<accounts::Error> for Error {
    fn from(error: accounts::Error) -> Self {
        let decision = match &error {
            accounts::Error::Store(error) => of_store(error),
            accounts::Error::Busy => |_| Self::Busy,
            accounts::Error::Hash(_) | accounts::Error::Interrupted(_) => Self::Internal,
        };
        decision(error.into())
    }
}

impl From<serde_json::Error> for Error {
    /// A value of ours cannot be written. Errors of what others send never come here.
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<askama::Error> for Error {
    fn from(error: askama::Error) -> Self {
        Self::Internal(error.into())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header;

    use super::*;
    use crate::accounts::MakeTokenError;

    #[test]
    fn a_full_disk_is_told_from_a_fault() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Error::from(full()).status_code(), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(Error::from(AcceptError::from(full())).status_code(), StatusCode::INSUFFICIENT_STORAGE);
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Error::from(other).status_code(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn each_error_is_decided() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        assert!(matches!(Error::from(AcceptError::from(missing)), Error::Missing(_)));
        let away = || store::Error::Gone { path: "runboard.db".into(), why: "deleted".to_owned() };
        let corrupt = || store::Error::Corrupt { table: "run", why: "no status".to_owned() };
        for (error, status) in [
            (Error::from(away()), 503),
            (AcceptError::from(away()).into(), 503),
            (DeleteError::from(away()).into(), 503),
            (accounts::Error::from(away()).into(), 503),
            (accounts::Error::Busy.into(), 503),
            (MakeTokenError::Failed(away().into()).into(), 503),
            (MakeTokenError::TooMany.into(), 409),
            (corrupt().into(), 500),
            (AcceptError::from(corrupt()).into(), 500),
            (DeleteError::from(corrupt()).into(), 500),
            (accounts::Error::from(corrupt()).into(), 500),
            (askama::Error::Fmt.into(), 500),
        ] {
            assert_eq!(error.status_code().as_u16(), status, "{error:?}");
        }
        assert_eq!(Error::Busy.error_response().headers().get(header::RETRY_AFTER).unwrap(), "3");
        let logged = Error::from(corrupt()).info().log_chain;
        assert_eq!(logged.as_deref(), Some("the table run has a row that cannot be read: no status"));
        let shown = Error::from(corrupt()).info().sentence;
        assert!(!shown.contains("row"), "{shown}");
    }
}
