//! What htmx says of its requests, and is answered.

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType};
use askama::Template;

use super::views::render;
use crate::time::UnixMillis;

/// With an answer that has nothing new: as of when that is so.
const AS_OF: &str = "x-runboard-as-of";

/// Whether htmx asks, so that a fragment is wanted; anybody else wants the page around it.
#[must_use]
pub fn wants_fragment(request: &HttpRequest) -> bool {
    request.headers().get("hx-request").is_some_and(|value| value == "true")
}

/// Answers a poll: with the fragment, or with 204 if it still is the `version` that the browser has.
pub fn answer(fragment: &impl Template, version: &str, as_of: UnixMillis) -> askama::Result<HttpResponse> {
    let rendered = render(fragment)?;
    Ok(if rendered.version == version {
        HttpResponse::NoContent().insert_header((AS_OF, as_of.to_string())).finish()
    } else {
        HttpResponse::Ok().content_type(ContentType::html()).body(rendered.html)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_htmx_wants_a_fragment() {
        let by_htmx = TestRequest::default().insert_header(("HX-Request", "true")).to_http_request();
        assert!(wants_fragment(&by_htmx));
        assert!(!wants_fragment(&TestRequest::default().to_http_request()));
    }
}
