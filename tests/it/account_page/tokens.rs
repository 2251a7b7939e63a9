//! Tokens on the account page.

use reqwest::StatusCode;

use super::{PASSWORD, follow, refused_with, text};
use crate::support::{
    TestApp, spawn_app,
    visitor::{Visitor, attributes},
};

const EVERYTHING: [(&str, &str); 4] =
    [("name", "nightly upload"), ("read", "on"), ("import", "on"), ("days", "7")];

/// Makes a token and returns it, from the page that shows it once.
async fn make(visitor: &Visitor, fields: &[(&str, &str)]) -> String {
    let answer = visitor.post_form("/account/tokens", fields).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let page = answer.text().await.unwrap();
    assert!(page.contains("runboard login") && page.contains("Authorization: Bearer"), "{page}");
    assert!(page.contains(r#"<span class="email">"#), "as on every page: {page}");
    page.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

async fn status_with(app: &TestApp, token: &str) -> StatusCode {
    let asked = app.visitor().request(reqwest::Method::GET, "/api/v1/me").bearer_auth(token);
    asked.send().await.unwrap().status()
}

/// The paths of the pages that end the tokens on the account page.
async fn ends(visitor: &Visitor) -> Vec<String> {
    let links = attributes(&text(visitor, "/account").await, "href");
    links.into_iter().filter(|to| to.starts_with("/account/tokens/")).collect()
}

#[tokio::test]
async fn a_token_is_shown_once_works_and_ends_after_a_question() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    let form = text(&mira, "/account/tokens").await;
    assert!(form.contains("New token"), "{form}");
    for scope in [
        "<strong>read</strong>: see",
        "<strong>import</strong>: make, start",
        "<strong>tokens</strong>: make",
    ] {
        assert!(form.contains(scope), "{scope}: {form}");
    }
    let token = make(&mira, &EVERYTHING).await;
    assert!(token.starts_with("rb_"), "{token}");
    let page = text(&mira, "/account").await;
    assert!(page.contains("nightly upload <span class=\"quiet\">(read, import)"), "{page}");
    assert!(page.contains("not used yet") && !page.contains(&token), "{page}");
    assert_eq!(status_with(&app, &token).await, StatusCode::OK);

    let [end] = ends(&mira).await.try_into().unwrap();
    assert!(text(&mira, &end).await.contains("End <bdi>nightly upload</bdi>?"));
    let answer = mira.post_form(&end, &[]).await;
    assert!(follow(&mira, answer).await.contains("The token has ended."));
    assert_eq!(status_with(&app, &token).await, StatusCode::UNAUTHORIZED, "at once");
    assert!(ends(&mira).await.is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_form_of_a_token_that_is_not_complete_is_refused_and_keeps_what_was_typed() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    make(&mira, &EVERYTHING).await;
    for (fields, sentence) in [
        (&[("name", "other"), ("days", "7")][..], "Choose what the token may do."),
        (&[("name", ""), ("read", "on"), ("days", "7")], "Give the token a name of 1 to 100 characters"),
        (&[("name", "other"), ("read", "on"), ("days", "8")], "Choose when the token expires."),
        (&EVERYTHING, "You have a token of this name already."),
    ] {
        let answer = mira.post_form("/account/tokens", fields).await;
        let status = answer.status();
        let page = answer.text().await.unwrap();
        refused_with(status, &page, sentence, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.contains(&format!("value=\"{}\"", fields[0].1)), "{page}");
        let focused = page.split('<').find(|tag| tag.contains("autofocus")).unwrap();
        let field = match sentence {
            "Choose what the token may do." => "name=\"read\"",
            "Choose when the token expires." => "name=\"days\"",
            _ => "name=\"name\"",
        };
        assert!(focused.contains(field) && focused.contains("form-error"), "{sentence}: {focused}");
    }
    assert_eq!(ends(&mira).await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn nobody_sees_or_ends_the_token_of_another() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    let token = make(&mira, &EVERYTHING).await;
    let [end] = ends(&mira).await.try_into().unwrap();
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    assert_eq!(eve.get(&end).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(eve.post_form(&end, &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(status_with(&app, &token).await, StatusCode::OK);
    app.stop().await;
}

#[tokio::test]
async fn tokens_end_with_a_disabled_or_deleted_account_and_outlive_a_new_password() {
    let app = spawn_app().await;
    let admin = app.signed_in().await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let token = make(&eve, &EVERYTHING).await;
    let new = [("present", PASSWORD), ("new", "battery staple")];
    let answer = eve.post_form("/account/password", &new).await;
    eve.keep_cookie(&answer);
    assert_eq!(status_with(&app, &token).await, StatusCode::OK);
    let page = text(&admin, "/admin").await;
    let disable = attributes(&page, "action").into_iter().find(|to| to.ends_with("/disable")).unwrap();
    admin.post_form(&disable, &[]).await;
    assert_eq!(status_with(&app, &token).await, StatusCode::UNAUTHORIZED);

    let own = make(&admin, &EVERYTHING).await;
    assert_eq!(status_with(&app, &own).await, StatusCode::OK);
    app.sql("UPDATE account SET is_admin = 1, disabled_at = NULL").await;
    admin.post_form("/account/delete", &[("password", PASSWORD)]).await;
    assert_eq!(status_with(&app, &own).await, StatusCode::UNAUTHORIZED);
    app.stop().await;
}
