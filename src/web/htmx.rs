//! What htmx says of its requests, and is answered.

use actix_web::{HttpRequest, HttpResponse};

use crate::time::UnixMillis;

/// With an answer that has nothing new: as of when that is so.
const AS_OF: &str = "x-runboard-as-of";

/// Whether htmx asks, so that a fragment is wanted; anybody else wants the page around it.
#[must_use]
pub fn wants_fragment(request: &HttpRequest) -> bool {
    request.headers().get("hx-request").is_some_and(|value| value == "true")
}

/// The fragment that the browser has is still what there is to say.
#[must_use]
pub fn unchanged(as_of: UnixMillis) -> HttpResponse {
    HttpResponse::NoContent().insert_header((AS_OF, as_of.to_string())).finish()
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
