//! What a person gets when something fails on our side.

use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode, http::header::ContentType};

/// Any error that is our fault. The log gets all of it, the person one sentence.
#[derive(Debug)]
pub struct Failure(anyhow::Error);

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }

    fn error_response(&self) -> HttpResponse {
        tracing::error!(error = %self, "a request failed");
        HttpResponse::build(self.status_code())
            .content_type(ContentType::plaintext())
            .body("Something failed on our side. Please try again in a moment.")
    }
}
