//! The account page, over HTTP.

mod admin;
mod export;
mod leave;
mod sign_in_data;
mod tokens;

use reqwest::{Response, StatusCode, header};

use crate::support::{TestApp, visitor::Visitor};

/// The password of [`Visitor::sign_up`].
const PASSWORD: &str = "correct horse";

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Another browser that signs in.
async fn signed_in(app: &TestApp, email: &str, password: &str) -> Visitor {
    let mut visitor = app.visitor();
    let answer = sign_in(&visitor, email, password).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{email} signs in");
    visitor.keep_cookie(&answer);
    visitor
}

async fn sign_in(visitor: &Visitor, email: &str, password: &str) -> Response {
    visitor
        .request(reqwest::Method::POST, "/sign-in")
        .header(header::USER_AGENT, FIREFOX)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(
            url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("email", email), ("password", password)])
                .finish(),
        )
        .send()
        .await
        .unwrap()
}

async fn text(visitor: &Visitor, path: &str) -> String {
    let answer = visitor.get(path).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

async fn is_signed_in(visitor: &Visitor) -> bool {
    visitor.get("/account").await.status() == StatusCode::OK
}

/// The page that a form leads to, with the message for it.
async fn follow(visitor: &Visitor, answer: Response) -> String {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.url());
    let to = answer.headers()[header::LOCATION].to_str().unwrap();
    let flash = answer
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|cookie| cookie.to_str().unwrap().split(';').next())
        .find(|cookie| cookie.starts_with("runboard_flash="));
    let mut with_flash = visitor.clone();
    with_flash.cookie = visitor
        .cookie
        .iter()
        .map(String::as_str)
        .chain(flash)
        .map(str::to_owned)
        .reduce(|cookies, cookie| format!("{cookies}; {cookie}"));
    text(&with_flash, to).await
}

fn refused_with(status: StatusCode, page: &str, sentence: &str, expected: StatusCode) {
    assert_eq!(status, expected, "{page}");
    assert!(page.contains(sentence), "{page}");
}
