//! Links that open nothing: all have the same answer.

use reqwest::{Method, StatusCode};

use super::{WEEK, WEEK_WITH_ROWS, completed, opens, share, text};
use crate::support::{
    TestApp, spawn_app,
    visitor::{Visitor, attributes},
};

const SENTENCE: &str = "This link has ended or never existed. Ask the person who sent it for a new one.";

/// The answer of a link that opens nothing, on each of its paths.
async fn is_over(guest: &Visitor, link: &str) -> String {
    let page = guest.get(link).await;
    assert_eq!(page.status(), StatusCode::NOT_FOUND, "{link}");
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    let body = page.text().await.unwrap();
    for below in ["panel", "processed.csv", "failed.csv"] {
        let answer = guest.get(&format!("{link}/{below}")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{link}/{below}");
        assert_eq!(answer.text().await.unwrap(), body, "{link}/{below}");
        let poll = guest.fragment(&format!("{link}/{below}")).await;
        assert_eq!(poll.status(), StatusCode::NOT_FOUND, "{link}/{below}, by htmx");
    }
    body
}

/// A link that is in memory, because it was opened.
async fn opened(app: &TestApp, owner: &Visitor, import: &str) -> String {
    let link = share(owner, import, &WEEK_WITH_ROWS).await;
    opens(&app.visitor(), &link).await;
    link
}

async fn ends(owner: &Visitor, import: &str) {
    let page = text(owner, &format!("{import}/share")).await;
    for name in attributes(&page, "name=\"link\" value") {
        owner.post_form(&format!("{import}/share/end"), &[("link", &name)]).await;
    }
}

#[tokio::test]
async fn ended_expired_unknown_and_malformed_links_have_one_answer() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let guest = app.visitor();
    let [ended, expired, deleted] = [
        completed(&owner, "a.csv").await,
        completed(&owner, "b.csv").await,
        completed(&owner, "c.csv").await,
    ];
    let of_ended = opened(&app, &owner, &ended).await;
    ends(&owner, &ended).await;
    let body = is_over(&guest, &of_ended).await;
    assert!(body.contains(SENTENCE), "{body}");
    assert!(!body.contains("href=\"/\"") && !body.contains("/imports"), "it leads nowhere: {body}");

    // Not opened before: another process has changed the table.
    let of_expired = share(&owner, &expired, &WEEK).await;
    app.sql("UPDATE guest_link SET expires_at = 1").await;
    assert_eq!(is_over(&guest, &of_expired).await, body);

    let of_deleted = opened(&app, &owner, &deleted).await;
    assert_eq!(owner.post_form(&format!("{deleted}/delete"), &[]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(is_over(&guest, &of_deleted).await, body);

    let unknown = "qNnv4lXyOXbw-tIyINtVnA06r1Ym5DyGjiU1tCLVhQk";
    for token in [unknown, "x", "%00", "%FF", &"A".repeat(5_000)] {
        assert_eq!(is_over(&guest, &format!("/shared/{token}")).await, body, "{token}");
    }
    // Nor for somebody who is signed in, such as its owner.
    assert_eq!(is_over(&owner, &of_ended).await, body);
    app.stop().await;
}

#[tokio::test]
async fn links_of_a_disabled_or_deleted_account_open_nothing_at_once() {
    let app = spawn_app().await;
    let admin = app.signed_in().await;
    let guest = app.visitor();
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let import = completed(&eve, "orders.csv").await;
    let link = opened(&app, &eve, &import).await;
    let action = async |what: &str| {
        let actions = attributes(&text(&admin, "/admin").await, "action");
        let action = actions.into_iter().find(|action| action.ends_with(what)).unwrap();
        assert_eq!(admin.post_form(&action, &[]).await.status(), StatusCode::SEE_OTHER);
    };
    action("/disable").await;
    let body = is_over(&guest, &link).await;
    assert!(body.contains(SENTENCE), "{body}");
    // It has ended with the account's other accesses, and stays ended.
    action("/enable").await;
    assert_eq!(is_over(&guest, &link).await, body);

    let mut noor = app.visitor();
    noor.sign_up("noor@example.org").await;
    let import = completed(&noor, "orders.csv").await;
    let link = opened(&app, &noor, &import).await;
    let left = noor.post_form("/account/delete", &[("password", "correct horse")]).await;
    assert_eq!(left.status(), StatusCode::OK);
    assert_eq!(is_over(&guest, &link).await, body);
    app.stop().await;
}

#[tokio::test]
async fn nothing_can_be_changed_through_a_link() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = completed(&owner, "orders.csv").await;
    let link = share(&owner, &import, &WEEK_WITH_ROWS).await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    for guest in [&app.visitor(), &eve, &owner] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            for below in ["", "/panel", "/cancel", "/retry", "/start", "/delete", "/share", "/share/end"] {
                let path = format!("{link}{below}");
                let answer = guest.request(method.clone(), &path).body("days=7").send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
                assert_eq!(answer.headers()["referrer-policy"], "no-referrer", "{method} {path}");
            }
        }
        for below in ["/rows", "/delete", "/share", "/runs/1/output", "/source.csv"] {
            let answer = guest.get(&format!("{link}{below}")).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{below}");
        }
    }
    assert_eq!(owner.panel(&import).await.state, "Completed");
    opens(&app.visitor(), &link).await;
    app.stop().await;
}
