//! The page that says what went wrong.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header::ContentType},
};
use askama::Template;

#[derive(Clone, Debug, Template)]
#[template(path = "pages/error.html")]
pub struct ErrorPage {
    /// `Nothing here`.
    pub title: String,
    /// What happened and what to do, without codes.
    pub sentence: String,
}

impl ErrorPage {
    #[must_use]
    pub fn new(title: &str, sentence: &str) -> Self {
        Self { title: title.to_owned(), sentence: sentence.to_owned() }
    }

    #[must_use]
    pub fn response(&self, status: StatusCode) -> HttpResponse {
        match self.render() {
            Ok(page) => HttpResponse::build(status).content_type(ContentType::html()).body(page),
            Err(error) => {
                tracing::error!("the error page failed: {error}");
                HttpResponse::build(status).content_type(ContentType::plaintext()).body(self.sentence.clone())
            }
        }
    }
}
