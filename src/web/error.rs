//! What can go wrong on the way to a page: the one place where errors become status codes and sentences.

use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};

use super::pages::ErrorPage;

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
    /// Our fault.
    Internal(anyhow::Error),
}

impl Error {
    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => {
                ("Nothing here", "There is nothing at this address, or it is not yours to see.")
            }
            Self::NotYet => {
                ("Not yet", "The import is still going on. Its files can be downloaded when it has ended.")
            }
            Self::NothingWritten => ("Nothing to download", "No rows of this import were written here."),
            Self::Internal(_) => {
                ("Something went wrong", "It was noted in the log. Nothing is lost; try again in a moment.")
            }
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::NothingWritten => StatusCode::NOT_FOUND,
            Self::NotYet => StatusCode::CONFLICT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Internal(error) = self {
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
        Self::Internal(error.into())
    }
}
