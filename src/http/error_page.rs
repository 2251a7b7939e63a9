//! The page that shows an error.

use actix_web::{HttpResponse, HttpResponseBuilder, http::header::ContentType};
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
    pub fn response(&self, mut head: HttpResponseBuilder) -> HttpResponse {
        match self.render() {
            Ok(page) => head.content_type(ContentType::html()).body(page),
            Err(error) => {
                tracing::error!("the error page failed: {error}");
                head.content_type(ContentType::plaintext()).body(self.sentence.clone())
            }
        }
    }
}
