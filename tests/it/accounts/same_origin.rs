//! Requests that change something must come from our own pages.

use actix_web::{http::StatusCode, test::TestRequest};
use runboard::base::config::SignUp;

use super::{Database, LOOPBACK, PASSWORD, app, form, get, send};

type Headers = &'static [(&'static str, &'static str)];

/// Headers, whether a session cookie is sent, whether the request is accepted.
const CROSS_SITE: [(Headers, bool, bool); 19] = [
    (&[("sec-fetch-site", "same-origin")], true, true),
    (&[("sec-fetch-site", "none")], true, false),
    (&[("sec-fetch-site", "same-site")], true, false),
    (&[("sec-fetch-site", "cross-site")], true, false),
    (&[("sec-fetch-site", "cross-site")], false, false),
    (&[("sec-fetch-site", "cross-site"), ("origin", "https://runboard.example.org")], true, false),
    (&[("sec-fetch-site", "same-origin"), ("origin", "null")], true, true),
    (&[("origin", "https://runboard.example.org"), ("host", "upstream:8080")], true, true),
    (&[("origin", "http://runboard.example.org"), ("host", "runboard.example.org")], true, false),
    (&[("origin", "https://RUNBOARD.example.org"), ("host", "runboard.example.org")], true, true),
    (&[("origin", "http://localhost:8080"), ("host", "localhost:8080")], true, true),
    (&[("origin", "http://[::1]"), ("host", "[::1]")], true, true),
    (&[("origin", "http://localhost:8081"), ("host", "localhost:8080")], true, false),
    (&[("origin", "https://runboard.example.org.evil.example"), ("host", "upstream:8080")], true, false),
    (&[("origin", "https://evil.example"), ("host", "localhost:8080")], false, false),
    (&[("origin", "null"), ("host", "localhost:8080")], true, false),
    (&[("origin", "localhost:8080"), ("host", "localhost:8080")], true, false),
    (&[("host", "localhost:8080")], true, false),
    (&[("host", "localhost:8080")], false, true),
];

#[actix_web::test]
async fn a_request_that_changes_something_comes_from_our_own_pages() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, Some("https://runboard.example.org")).await;
    let session = send(&app, form("/sign-up", "ada@example.org", PASSWORD)).await.session();
    for (headers, with_session, passes) in CROSS_SITE {
        let mut request = TestRequest::post().uri("/imports");
        for header in headers {
            request = request.insert_header(*header);
        }
        if with_session {
            request = request.cookie(session.clone());
        }
        let answer = send(&app, request).await;
        let expected = match (passes, with_session) {
            (true, true) => StatusCode::OK,
            (true, false) => StatusCode::SEE_OTHER,
            (false, _) => StatusCode::FORBIDDEN,
        };
        assert_eq!(answer.status, expected, "{headers:?}, session: {with_session}");
        if !passes {
            let names_a_site = headers.iter().any(|(name, _)| ["sec-fetch-site", "origin"].contains(name));
            let why = if names_a_site { "came from another site" } else { "has to send the address of this" };
            assert!(answer.body.contains(why), "{headers:?}: {}", answer.body);
        }
    }
    let reads = get("/imports/7").insert_header(("sec-fetch-site", "cross-site")).cookie(session);
    assert_eq!(send(&app, reads).await.status, StatusCode::OK, "a link from elsewhere works");
}
