//! The content of an error's answer, and its forms for people.

use std::{borrow::Cow, time::Duration};

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{self, ContentType},
    },
};
use askama::Template;

use super::ErrorPage;

/// The content of an error's answer, independent of its form.
#[derive(Clone, Debug)]
pub struct ErrorInfo {
    pub status: StatusCode,
    /// The name that programs know it by: `not-found`. None: the status says it all.
    pub kind: Option<&'static str>,
    /// `Nothing here`.
    pub title: &'static str,
    /// What happened and what to do, without codes.
    pub sentence: Cow<'static, str>,
    pub retry_after: Option<Duration>,
    /// The error and its causes, only for the log.
    pub log_chain: Option<String>,
}

#[derive(Template)]
#[template(path = "fragments/failure.html")]
struct Failure<'i> {
    sentence: &'i str,
}

impl ErrorInfo {
    /// The whole page. The response also contains this value, so that [`as_asked`](super::error_form::as_asked) can
    /// replace the page.
    #[must_use]
    pub fn page(self) -> HttpResponse {
        let mut response = ErrorPage::new(self.title, &self.sentence).response(self.head());
        response.extensions_mut().insert(self);
        response
    }

    /// The answer to a failed request for a fragment. The script shows its text (`static/js/failures.js`),
    /// whatever the target of the request was.
    #[must_use]
    pub fn notice(&self) -> HttpResponse {
        let notice = Failure { sentence: &self.sentence }.render().unwrap_or_else(|error| {
            tracing::error!("the notice of a failure failed: {error}");
            String::new()
        });
        self.head().content_type(ContentType::html()).body(notice)
    }

    /// Logs the causes of a failure.
    pub(super) fn log(&self) {
        if let Some(log_chain) = &self.log_chain {
            tracing::error!("a request failed: {log_chain}");
        }
    }

    pub(super) fn head(&self) -> HttpResponseBuilder {
        let mut head = HttpResponse::build(self.status);
        if let Some(wait) = self.retry_after {
            head.insert_header((header::RETRY_AFTER, seconds(wait)));
        }
        head
    }
}

/// Whole seconds, rounded up, for `Retry-After`.
#[must_use]
pub fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}
