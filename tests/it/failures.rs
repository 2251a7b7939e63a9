//! The answers to failed requests, as pages and as fragments.

use reqwest::{Method, StatusCode, header};

use crate::support::spawn_app;

const SENTENCE: &str = "The error is in the log. Nothing is lost; try again in a moment.";

#[tokio::test]
async fn a_failure_is_told_in_the_form_that_was_asked_for() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let _busy = app.busy().await;
    let import = visitor.upload("waits.csv", "a\n1\n").await;
    app.refuse("UPDATE OF cancel_requested_at ON import").await;
    let cancel = || visitor.request(Method::POST, &format!("{import}/cancel"));

    let page = cancel().send().await.unwrap();
    assert_eq!(page.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let page = page.text().await.unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains(SENTENCE), "{page}");

    let fragment = cancel().header("HX-Request", "true").send().await.unwrap();
    assert_eq!(fragment.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(fragment.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(fragment.headers()[header::CACHE_CONTROL], "no-store");
    assert!(fragment.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    let fragment = fragment.text().await.unwrap();
    assert_eq!(fragment.trim_end(), format!("<p id=\"failure-sentence\">{SENTENCE}</p>"));

    app.refuse_nothing().await;
    assert_eq!(cancel().header("HX-Request", "true").send().await.unwrap().status(), StatusCode::NO_CONTENT);
    app.stop().await;
}

#[tokio::test]
async fn a_refused_fragment_says_why_in_a_notice() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("done.csv", "a\n1\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    for (path, from, status, sentence) in [
        ("/imports/nothing/panel".to_owned(), None, 404, "Page not found"),
        (format!("{import}/retry?only=processed"), None, 422, "only its failed rows."),
        (format!("{import}/cancel"), Some("cross-site"), 403, "came from another site"),
    ] {
        let method = if path.ends_with("panel") { Method::GET } else { Method::POST };
        let mut request = visitor.request(method, &path).header("HX-Request", "true");
        if let Some(from) = from {
            request = request.header("Sec-Fetch-Site", from);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let notice = answer.text().await.unwrap();
        assert!(
            notice.starts_with("<p id=\"failure-sentence\">") && notice.contains(sentence),
            "{path}: {notice}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn a_form_of_another_site_is_refused_with_a_page() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let answer = visitor
        .request(Method::POST, "/imports/sample")
        .header("Sec-Fetch-Site", "cross-site")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let page = answer.text().await.unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<h1>Request refused</h1>"), "{page}");
    assert!(page.contains("This request came from another site and was refused."), "{page}");
    app.stop().await;
}
