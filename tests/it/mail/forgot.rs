//! A forgotten password.

use std::fs;

use reqwest::{Method, StatusCode, header};

use super::{
    NEW_PASSWORD, PASSWORD, app_with, forgot, is_signed_in, location, path, sign_in, text,
    until_nothing_waits,
};
use crate::support::{
    mail_server::{FROM, MailServer},
    visitor::attributes,
};

const SENT: &str = "If there is an account for that address, a link is on its way.";

#[tokio::test]
async fn a_link_from_an_e_mail_sets_a_new_password_once_and_ends_the_sessions() {
    let server = MailServer::start();
    let app = app_with(&server).await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let visitor = app.visitor();
    assert!(text(&visitor, "/sign-in").await.contains("<a href=\"/forgot\">Forgot your password?</a>"));
    assert!(text(&visitor, "/forgot").await.contains("name=\"email\""));

    // Whatever the request says of our address, the link leads to the configured one.
    let answer = visitor
        .request(Method::POST, "/forgot")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::HOST, "evil.example")
        .header("X-Forwarded-Host", "evil.example")
        .header("Forwarded", "host=evil.example")
        .body("email=+Eve%40Example.org")
        .send()
        .await
        .unwrap();
    assert_eq!(location(&answer), "/forgot?sent=1");
    assert!(text(&visitor, "/forgot?sent=1").await.contains(SENT));

    let mail = server.only().await;
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), (FROM, ["eve@example.org".to_owned()].as_slice()));
    assert_eq!(mail.header("To"), "eve@example.org");
    assert_eq!(mail.header("From"), "Runboard <runboard@example.org>");
    assert_eq!(mail.header("Subject"), "Choose a new password for Runboard");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert!(mail.header("Message-ID").ends_with("@example.org>"));
    assert!(!mail.raw.contains("evil.example"));
    let link = mail.link("/reset").to_owned();
    assert!(link.starts_with(&app.origin), "{link}");
    assert_eq!(attributes(&mail.html, "href"), std::slice::from_ref(&link));
    for loads in ["src=", "url(", "<img", "<link", "<script"] {
        assert!(!mail.html.contains(loads), "{loads}: {}", mail.html);
    }

    // Neither the row nor the token stays anywhere.
    until_nothing_waits(&app.data).await;
    let (_, token) = link.split_once("token=").unwrap();
    for file in fs::read_dir(app.data.path()).unwrap().map(|file| file.unwrap().path()) {
        if let Ok(bytes) = fs::read(&file) {
            let has_token = bytes.windows(token.len()).any(|part| part == token.as_bytes());
            assert!(!has_token, "{} holds the token", file.display());
        }
    }

    assert!(text(&visitor, &path(&link)).await.contains("For <bdi>eve@example.org</bdi>"));
    assert!(is_signed_in(&eve).await);
    let reset = visitor.post_form("/reset", &[("token", token), ("password", NEW_PASSWORD)]).await;
    assert_eq!(location(&reset), "/");
    assert!(!is_signed_in(&eve).await);
    assert_eq!(sign_in(&visitor, "eve@example.org", PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in(&visitor, "eve@example.org", NEW_PASSWORD).await.status(), StatusCode::SEE_OTHER);
    let again = visitor.post_form("/reset", &[("token", token), ("password", "another password")]).await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
    let page = again.text().await.unwrap();
    assert!(page.contains("This link was used already") && page.contains("href=\"/forgot\""), "{page}");
    app.stop().await;
}

#[tokio::test]
async fn an_address_without_an_account_gets_the_same_answer_and_no_e_mail() {
    let server = MailServer::start();
    let app = app_with(&server).await;
    let admin = app.signed_in().await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    app.sql("UPDATE account SET disabled_at = 1 WHERE email = 'eve@example.org'").await;
    let visitor = app.visitor();
    for email in ["nobody@example.org", "eve@example.org", "mira@example.org"] {
        let answer = forgot(&visitor, email).await;
        assert_eq!(location(&answer), "/forgot?sent=1", "{email}");
        assert!(answer.headers().get(header::SET_COOKIE).is_none(), "{email}");
    }
    // One after the other, so that the last one is sent when nothing waits.
    until_nothing_waits(&app.data).await;
    assert_eq!(server.only().await.to, ["mira@example.org"]);
    assert!(is_signed_in(&admin).await, "asking ends no session");

    let refused = forgot(&visitor, "no address").await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().await.unwrap().contains("Enter a valid e-mail address."));
    app.stop().await;
}

#[tokio::test]
async fn an_earlier_link_stays_when_somebody_asks_for_another_and_goes_when_one_is_used() {
    let server = MailServer::start();
    let app = app_with(&server).await;
    app.signed_in().await;
    let visitor = app.visitor();
    let mut links = Vec::new();
    for count in 1..=2 {
        forgot(&visitor, "mira@example.org").await;
        links.push(server.wait_for(count).await[count - 1].link("/reset").to_owned());
    }
    assert_eq!(visitor.get(&path(&links[0])).await.status(), StatusCode::OK);
    let token = links[1].split_once("token=").unwrap().1;
    let reset = visitor.post_form("/reset", &[("token", token), ("password", NEW_PASSWORD)]).await;
    assert_eq!(reset.status(), StatusCode::SEE_OTHER);
    assert_eq!(visitor.get(&path(&links[0])).await.status(), StatusCode::FORBIDDEN);

    forgot(&visitor, "mira@example.org").await;
    let late = path(server.wait_for(3).await[2].link("/reset"));
    app.sql("UPDATE one_time_link SET expires_at = expires_at - 60 * 60 * 1000").await;
    assert_eq!(visitor.get(&late).await.status(), StatusCode::FORBIDDEN, "an hour later");
    app.stop().await;
}

#[tokio::test]
async fn an_address_gets_three_links_an_hour_and_a_network_may_ask_for_ten() {
    let server = MailServer::start();
    let app = app_with(&server).await;
    app.signed_in().await;
    let visitor = app.visitor();
    // Also for an address without an account, because another answer would tell that.
    for email in ["mira@example.org", "nobody@example.org"] {
        for _ in 0..3 {
            assert_eq!(location(&forgot(&visitor, email).await), "/forgot?sent=1");
        }
        let fourth = forgot(&visitor, email).await;
        assert_eq!(fourth.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(fourth.headers().contains_key(header::RETRY_AFTER));
        let page = fourth.text().await.unwrap();
        assert!(page.contains("Too many attempts. Try again in 20 minutes."), "{page}");
        assert!(page.contains(&format!("value=\"{email}\"")), "{page}");
    }
    // Each of the refusals counts too.
    for count in 0..2 {
        assert_eq!(location(&forgot(&visitor, &format!("{count}@example.org")).await), "/forgot?sent=1");
    }
    let eleventh = forgot(&visitor, "another@example.org").await;
    assert_eq!(eleventh.status(), StatusCode::TOO_MANY_REQUESTS);
    until_nothing_waits(&app.data).await;
    assert_eq!(server.wait_for(3).await.len(), 3);
    app.stop().await;
}
