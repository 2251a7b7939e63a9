//! The bearer token of a request (RFC 6750, section 2.1).

use actix_web::{HttpMessage, http::header};

/// The token that the request sends, valid or not. None if it sends none; other schemes, such as the `Basic`
/// of a proxy in front, are no concern of ours.
#[must_use]
pub fn sent(request: &impl HttpMessage) -> Option<&str> {
    let credentials = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = credentials.split_at_checked("Bearer".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && token.first().is_none_or(|byte| *byte == b' ');
    // A token that is no text is sent all the same, and is wrong.
    is_bearer.then(|| std::str::from_utf8(token).unwrap_or_default().trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use actix_web::{http::header::HeaderValue, test::TestRequest};

    use super::*;

    #[test]
    fn only_the_scheme_bearer_is_a_token() {
        for (credentials, token) in [
            (&b"Bearer rb_1"[..], Some("rb_1")),
            (b"bearer  rb_1 ", Some("rb_1")),
            (b"BEARER", Some("")),
            (b"Bearer \xff", Some("")),
            (b"Bearerrb_1", None),
            (b"Basic cmI6MQ==", None),
            (b"rb_1", None),
            (b"", None),
        ] {
            let value = HeaderValue::from_bytes(credentials).unwrap();
            let request =
                TestRequest::default().insert_header((header::AUTHORIZATION, value)).to_http_request();
            assert_eq!(sent(&request), token, "{:?}", String::from_utf8_lossy(credentials));
        }
        assert_eq!(sent(&TestRequest::default().to_http_request()), None);
    }
}
