//! The admin's page: accounts, invitations, links for a new password.

use reqwest::{Method, StatusCode};
use runboard::base::config::SignUp;

use super::{PASSWORD, follow, is_signed_in, refused_with, sign_in, signed_in, text};
use crate::support::{
    TestApp, spawn_app, spawn_app_on,
    visitor::{Visitor, attributes},
};

const NEW_PASSWORD: &str = "battery staple";

/// A server whose only account is an admin's, and that admin.
async fn closed_app() -> (TestApp, Visitor) {
    let app = spawn_app().await;
    let admin = app.signed_in().await;
    let data = app.stop().await;
    let app = spawn_app_on(data, |config| config.sign_up = SignUp::Closed).await;
    let admin = admin.at(&app.origin);
    (app, admin)
}

/// The path of the link that a page shows once.
async fn link_in(answer: reqwest::Response) -> String {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let page = answer.text().await.unwrap();
    let link = page.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    let (_, path) = link.split_once("://").unwrap();
    format!("/{}", path.split_once('/').unwrap().1)
}

async fn invite(admin: &Visitor, note: &str) -> String {
    link_in(admin.post_form("/admin/invitations", &[("note", note)]).await).await
}

/// Signs up through a link, as the form of its page does.
async fn accept(visitor: &mut Visitor, link: &str, email: &str) -> StatusCode {
    let token = link.strip_prefix("/sign-up?token=").unwrap();
    let answer =
        visitor.post_form("/sign-up", &[("email", email), ("password", PASSWORD), ("token", token)]).await;
    if answer.status() == StatusCode::SEE_OTHER {
        visitor.keep_cookie(&answer);
    }
    answer.status()
}

/// The address of a form on the admin's page, for the account with this e-mail.
async fn action(admin: &Visitor, email: &str, what: &str) -> String {
    let page = text(admin, "/admin").await;
    let line =
        page.split("<li>").skip(1).find(|line| line.contains(email)).unwrap_or_else(|| panic!("{page}"));
    attributes(line, "action")
        .into_iter()
        .find(|action| action.ends_with(what))
        .unwrap_or_else(|| panic!("{line}"))
}

#[tokio::test]
async fn an_admin_sees_how_much_the_accounts_store_and_nothing_of_their_imports() {
    let app = spawn_app().await;
    let admin = app.signed_in().await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let import = eve.upload("private-salaries.csv", "name\nmira\n").await;
    eve.wait_for_state(&import, "Completed").await;
    assert!(text(&admin, "/account").await.contains("href=\"/admin\""));
    assert!(!text(&eve, "/account").await.contains("href=\"/admin\""));
    assert_eq!(eve.get("/admin").await.status(), StatusCode::NOT_FOUND);

    let page = text(&admin, "/admin").await;
    assert!(page.contains("mira@example.org <span class=\"quiet\">(you)</span>"), "{page}");
    assert!(page.contains("Admin. 0 imports, 0 bytes; since"), "{page}");
    assert!(page.contains("1 import, 16 bytes; since") && page.contains("eve@example.org"), "{page}");
    assert!(!page.contains("salaries") && !page.contains(import.rsplit('/').next().unwrap()), "{page}");
    assert_eq!(admin.get(&import).await.status(), StatusCode::NOT_FOUND);
    app.stop().await;
}

#[tokio::test]
async fn an_invitation_makes_one_account_although_sign_up_is_closed() {
    let (app, admin) = closed_app().await;
    let link = invite(&admin, "Eve, accounting").await;
    let page = text(&admin, "/admin").await;
    assert!(page.contains("Eve, accounting") && page.contains("By mira@example.org; expires"), "{page}");
    let token = link.rsplit('=').next().unwrap();
    assert!(!page.contains(token), "the link is shown once");

    let mut eve = app.visitor();
    let page = text(&eve, &link).await;
    assert!(page.contains("You are invited to this Runboard."), "{page}");
    assert_eq!(accept(&mut eve, &link, "mira@example.org").await, StatusCode::UNPROCESSABLE_ENTITY, "taken");
    assert_eq!(accept(&mut eve, &link, "eve@example.org").await, StatusCode::SEE_OTHER);
    assert!(is_signed_in(&eve).await);
    assert_eq!(eve.get("/admin").await.status(), StatusCode::NOT_FOUND, "no admin");

    let mut second = app.visitor();
    let answer = second.get(&link).await;
    let status = answer.status();
    let page = answer.text().await.unwrap();
    refused_with(status, &page, "This link was used already, or has expired.", StatusCode::FORBIDDEN);
    assert_eq!(accept(&mut second, &link, "second@example.org").await, StatusCode::FORBIDDEN);
    assert_eq!(second.get("/sign-up").await.status(), StatusCode::FORBIDDEN, "still closed to others");
    app.stop().await;
}

#[tokio::test]
async fn an_invitation_that_is_ended_or_a_week_old_opens_nothing() {
    let (app, admin) = closed_app().await;
    let ended = invite(&admin, "").await;
    let [name] = attributes(&text(&admin, "/admin").await, "name=\"invitation\" value").try_into().unwrap();
    let answer = admin.post_form("/admin/invitations/end", &[("invitation", &name)]).await;
    assert!(follow(&admin, answer).await.contains("The invitation has ended."));
    assert_eq!(accept(&mut app.visitor(), &ended, "eve@example.org").await, StatusCode::FORBIDDEN);

    let old = invite(&admin, "").await;
    app.sql("UPDATE one_time_link SET expires_at = expires_at - 7 * 24 * 60 * 60 * 1000").await;
    assert_eq!(accept(&mut app.visitor(), &old, "eve@example.org").await, StatusCode::FORBIDDEN);
    assert!(attributes(&text(&admin, "/admin").await, "name=\"invitation\" value").is_empty());
    // Of an admin who is none any more, too.
    let mut eve = app.visitor();
    let link = invite(&admin, "").await;
    assert_eq!(accept(&mut eve, &link, "eve@example.org").await, StatusCode::SEE_OTHER);
    app.sql("UPDATE account SET is_admin = 1").await;
    let of_eve = invite(&eve, "").await;
    let disable = action(&admin, "eve@example.org", "/disable").await;
    admin.post_form(&disable, &[]).await;
    assert_eq!(accept(&mut app.visitor(), &of_eve, "third@example.org").await, StatusCode::FORBIDDEN);
    app.stop().await;
}

#[tokio::test]
async fn a_hundred_invitations_can_be_open() {
    let (app, admin) = closed_app().await;
    invite(&admin, "").await;
    app.sql(
        "INSERT INTO one_time_link (token_hash, made_by, created_at, expires_at) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99) \
         SELECT '0000000000000000000000000000000000000000000000000000000000000' || SUBSTR(CAST(1000 + i AS TEXT), 2), \
         made_by, created_at, expires_at FROM one_time_link, n",
    )
    .await;
    let answer = admin.post_form("/admin/invitations", &[("note", "one more")]).await;
    assert!(follow(&admin, answer).await.contains("There are too many open invitations."));
    app.stop().await;
}

#[tokio::test]
async fn a_link_sets_a_new_password_once_within_a_day_and_ends_the_sessions() {
    let app = spawn_app().await;
    let admin = app.signed_in().await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    assert!(is_signed_in(&eve).await);
    let make = action(&admin, "eve@example.org", "/reset-link").await;
    let earlier = link_in(admin.post_form(&make, &[]).await).await;
    let link = link_in(admin.post_form(&make, &[]).await).await;
    let visitor = app.visitor();
    assert_eq!(visitor.get(&earlier).await.status(), StatusCode::FORBIDDEN, "only the last one");
    assert!(text(&visitor, &link).await.contains("For <bdi>eve@example.org</bdi>"));
    let token = link.strip_prefix("/reset?token=").unwrap();
    let reset =
        async |password| visitor.post_form("/reset", &[("token", token), ("password", password)]).await;
    assert_eq!(reset("short").await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(is_signed_in(&eve).await);

    let answer = reset(NEW_PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(!is_signed_in(&eve).await);
    let mut here = visitor.clone();
    here.keep_cookie(&answer);
    assert!(is_signed_in(&here).await);
    assert_eq!(sign_in(&visitor, "eve@example.org", PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
    signed_in(&app, "eve@example.org", NEW_PASSWORD).await;
    let again = reset("another password").await;
    let status = again.status();
    refused_with(status, &again.text().await.unwrap(), "This link was used already", StatusCode::FORBIDDEN);

    let old = link_in(admin.post_form(&make, &[]).await).await;
    app.sql("UPDATE one_time_link SET expires_at = expires_at - 24 * 60 * 60 * 1000").await;
    assert_eq!(visitor.get(&old).await.status(), StatusCode::FORBIDDEN);
    // An invitation is no such link, nor the other way round.
    let invitation = invite(&admin, "").await.replace("/sign-up", "/reset");
    assert_eq!(visitor.get(&invitation).await.status(), StatusCode::FORBIDDEN);
    for path in ["/reset", "/reset?token=nothing"] {
        assert_eq!(visitor.get(path).await.status(), StatusCode::FORBIDDEN, "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_disabled_account_is_signed_out_at_once_and_works_again_when_enabled() {
    let app = spawn_app().await;
    let admin = app.signed_in().await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    assert!(is_signed_in(&eve).await);
    let make = action(&admin, "eve@example.org", "/reset-link").await;
    let link = link_in(admin.post_form(&make, &[]).await).await;
    let disable = action(&admin, "eve@example.org", "/disable").await;
    let answer = admin.post_form(&disable, &[]).await;
    assert!(follow(&admin, answer).await.contains("The account is disabled."));
    assert!(!is_signed_in(&eve).await, "although the session was in memory");
    let answer = sign_in(&eve, "eve@example.org", PASSWORD).await;
    let status = answer.status();
    refused_with(status, &answer.text().await.unwrap(), "This account is disabled.", StatusCode::FORBIDDEN);
    let wrong = sign_in(&eve, "eve@example.org", "a guess").await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED, "nobody else learns that it is disabled");
    assert_eq!(eve.get(&link).await.status(), StatusCode::FORBIDDEN, "its links have ended");
    assert!(follow(&admin, admin.post_form(&make, &[]).await).await.contains("it gets no new password"));

    let enable = action(&admin, "eve@example.org", "/enable").await;
    let answer = admin.post_form(&enable, &[]).await;
    assert!(follow(&admin, answer).await.contains("The account is enabled again."));
    assert!(!is_signed_in(&eve).await, "an ended session stays ended");
    signed_in(&app, "eve@example.org", PASSWORD).await;
    app.stop().await;
}

#[tokio::test]
async fn an_admin_cannot_disable_itself_or_an_account_that_is_not_there() {
    let app = spawn_app().await;
    let admin = app.signed_in().await;
    let own = action(&admin, "mira@example.org", "/reset-link").await.replace("/reset-link", "/disable");
    let answer = admin.post_form(&own, &[]).await;
    assert!(follow(&admin, answer).await.contains("You cannot disable your own account."));
    for account in ["7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "nobody"] {
        for what in ["disable", "enable"] {
            let path = format!("/admin/accounts/{account}/{what}");
            assert_eq!(
                admin.request(Method::POST, &path).send().await.unwrap().status(),
                StatusCode::NOT_FOUND
            );
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_long_list_of_accounts_has_pages() {
    let app = spawn_app().await;
    let admin = app.signed_in().await;
    app.sql(
        "INSERT INTO account (id, email, password_hash, created_at) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150) \
         SELECT '7ZZZZZZZZZZZZZZZZZZZZZZ' || SUBSTR(CAST(1000 + i AS TEXT), 2), \
         'user' || i || '@example.org', '', 1 FROM n",
    )
    .await;
    let page = text(&admin, "/admin").await;
    assert_eq!(page.matches("class=\"name\">").count(), 100, "{page}");
    let next = attributes(&page, "href").into_iter().find(|to| to.starts_with("/admin?after=")).unwrap();
    let page = text(&admin, &next).await;
    assert_eq!(page.matches("class=\"name\">").count(), 51, "{page}");
    assert!(page.contains("user150@example.org") && !page.contains("Newer accounts"), "{page}");
    app.stop().await;
}
