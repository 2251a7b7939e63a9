//! Recognises requests of htmx.

use actix_web::HttpRequest;

/// Whether htmx or our script made the request and expects a fragment. Every other client expects a whole
/// page.
#[must_use]
pub fn wants_fragment(request: &HttpRequest) -> bool {
    request.headers().get("hx-request").is_some_and(|value| value == "true")
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
