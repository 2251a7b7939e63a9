//! The pages that show an error.

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
    pub fn response(&self, head: HttpResponseBuilder) -> HttpResponse {
        respond(self, &self.sentence, head)
    }
}

/// The page of a guest link that opens nothing: it leads to no page that needs an account.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "pages/link_over.html")]
pub struct LinkOverPage;

impl LinkOverPage {
    const SENTENCE: &str = "This link has ended or never existed. Ask the person who sent it for a new one.";

    #[must_use]
    pub fn response(self, head: HttpResponseBuilder) -> HttpResponse {
        respond(&self, Self::SENTENCE, head)
    }
}

/// The page, or only its sentence if it cannot be rendered.
fn respond(page: &impl Template, sentence: &str, mut head: HttpResponseBuilder) -> HttpResponse {
    match page.render() {
        Ok(page) => head.content_type(ContentType::html()).body(page),
        Err(error) => {
            tracing::error!("the error page failed: {error}");
            head.content_type(ContentType::plaintext()).body(sentence.to_owned())
        }
    }
}
