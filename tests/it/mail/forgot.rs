//! A forgotten password.

use std::{fs, time::Duration};

use reqwest::{Method, StatusCode, header};
use runboard::{accounts::FORGOTTEN_AT_ONCE, base::config::MailConfig};

use super::{
    NEW_PASSWORD, PASSWORD, WAITING, app_with, forgot, is_signed_in, location, path, sign_in, text,
    until_nothing_waits, until_number,
};
use crate::support::{
    mail_server::{FROM, MailServer},
    spawn_app_on,
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
    until_nothing_waits(&app.data).await;
    assert_eq!(server.only().await.to, ["mira@example.org"]);
    assert!(is_signed_in(&admin).await, "asking ends no session");

    let refused = forgot(&visitor, "no address").await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().await.unwrap().contains("Enter a valid e-mail address."));
    app.stop().await;
}

#[tokio::test]
async fn while_too_many_e_mails_wait_the_form_says_so() {
    let server = MailServer::start();
    let app = app_with(&server).await;
    app.signed_in().await;
    // A time much further away counts as one from before the clock was set back.
    app.sql(
        "INSERT INTO mail (id, kind, address, created_at, expires_at, next_attempt_at) \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
         SELECT '01M852CE07XGB7KM34R929' || substr(CAST(10000 + i AS TEXT), 2), 'forgotten', 'eve@example.org', \
             account.created_at, 9000000000000, account.created_at + 60000 FROM n CROSS JOIN account",
    )
    .await;
    let refused = forgot(&app.visitor(), "mira@example.org").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    let page = refused.text().await.unwrap();
    assert!(page.contains("Many e-mails are waiting to be sent. Try again in 60 seconds."), "{page}");
    assert!(page.contains("mira@example.org") && !page.contains("signing in"), "{page}");
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

/// Three of them are sent, so that nobody can fill a mailbox. The others get the same answer, because one who has used up
/// the three of somebody else must not keep that person out: the links that were sent work.
#[tokio::test]
async fn an_address_gets_three_links_an_hour_which_all_work_and_a_network_may_ask_ten_times() {
    let server = MailServer::start();
    let app = app_with(&server).await;
    app.signed_in().await;
    let visitor = app.visitor();
    for email in ["mira@example.org", "nobody@example.org"] {
        for _ in 0..4 {
            assert_eq!(location(&forgot(&visitor, email).await), "/forgot?sent=1");
        }
    }
    for count in 0..2 {
        assert_eq!(location(&forgot(&visitor, &format!("{count}@example.org")).await), "/forgot?sent=1");
    }
    let eleventh = forgot(&visitor, "another@example.org").await;
    assert_eq!(eleventh.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(eleventh.headers().contains_key(header::RETRY_AFTER));
    let page = eleventh.text().await.unwrap();
    assert!(page.contains("Too many attempts. Try again in 6 minutes."), "{page}");
    assert!(page.contains("value=\"another@example.org\""), "{page}");
    until_nothing_waits(&app.data).await;
    let taken = server.wait_for(3).await;
    assert_eq!(taken.len(), 3);
    for mail in taken {
        assert_eq!(visitor.get(&path(mail.link("/reset"))).await.status(), StatusCode::OK);
    }
    let page = text(&visitor, "/forgot?sent=1").await;
    assert!(page.contains("earlier ones work too"), "{page}");
    app.stop().await;
}

/// Else one party with an IPv6 /48 could keep all places taken.
#[tokio::test]
async fn networks_that_one_party_can_have_may_ask_a_hundred_times_together() {
    let server = MailServer::start();
    let mail = server.config();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.mail = Some(mail);
        config.trusted_proxies = "127.0.0.1".parse().unwrap();
    })
    .await;
    let visitor = app.visitor();
    let ask_from = async |address: String| {
        visitor
            .request(Method::POST, "/forgot")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("X-Forwarded-For", address)
            .body("email=nobody%40example.org")
            .send()
            .await
            .unwrap()
    };
    let mut passed = 0;
    let refused = loop {
        let answer = ask_from(format!("2001:db8:1:{passed}::1")).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        assert_eq!(location(&answer), "/forgot?sent=1");
        passed += 1;
        assert!(passed < 200, "no request is refused");
    };
    // On a slow machine some uses are back before the burst is over.
    assert!(passed >= 100, "{passed}");
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    let elsewhere = ask_from("2001:db8:2::1".to_owned()).await;
    assert_eq!(location(&elsewhere), "/forgot?sent=1");
    app.stop().await;
}

#[tokio::test]
async fn an_e_mail_for_one_address_delays_no_other() {
    let server = MailServer::start();
    let mail = MailConfig { sends_within: Duration::from_secs(60 * 60), ..server.config() };
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.mail = Some(mail)).await;
    let admin = app.signed_in().await;
    app.visitor().sign_up("silent-eve@example.org").await;
    let visitor = app.visitor();
    forgot(&visitor, "silent-eve@example.org").await;
    until_number(&app.data, "SELECT COUNT(*) FROM mail WHERE attempts = 1", 1).await;
    forgot(&visitor, "mira@example.org").await;
    server.wait_for(1).await;
    admin.post_form("/admin/mail/test", &[]).await;
    let subjects = server.wait_for(2).await;
    let subjects: Vec<&str> = subjects.iter().map(|mail| mail.header("Subject")).collect();
    assert_eq!(subjects, ["Choose a new password for Runboard", "Test e-mail from Runboard"]);
    // The first one is still being sent.
    until_number(&app.data, WAITING, 1).await;
    // Ends the attempt, for which the stop would wait.
    drop(server);
    app.stop().await;
}

/// Else the time of one's own e-mail would say how many of the addresses before it have an account.
#[tokio::test]
async fn an_address_without_an_account_takes_a_place_as_long_as_one_with_an_account() {
    assert_eq!(FORGOTTEN_AT_ONCE, 50, "as many as the statement below inserts");
    let server = MailServer::start();
    let app = app_with(&server).await;
    let admin = app.signed_in().await;
    app.sql(
        "WITH RECURSIVE request (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM request WHERE number < 49) \
         INSERT INTO mail (id, kind, address, created_at, expires_at, next_attempt_at) \
         SELECT '01M852CE07XGB7KM34R9298' || substr(CAST(1000 + number AS TEXT), 2), 'forgotten', \
             'nobody-' || number || '@example.org', 1, 9000000000000, 1 FROM request",
    )
    .await;
    until_nothing_waits(&app.data).await;
    forgot(&app.visitor(), "mira@example.org").await;
    for count in 1..=2 {
        admin.post_form("/admin/mail/test", &[]).await;
        assert_eq!(server.wait_for(count).await.len(), count);
    }
    until_number(&app.data, WAITING, 1).await;
    assert!(server.taken().iter().all(|mail| mail.header("Subject") == "Test e-mail from Runboard"));
    app.stop().await;
}
