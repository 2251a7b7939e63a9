//! E-mail, against a real SMTP server.

mod admin;
mod encrypted;
mod ended;
mod forgot;
mod queue;
mod restart;

use std::time::{Duration, Instant};

use reqwest::{Response, StatusCode, header};
use sqlx::AnyPool;
use tempfile::TempDir;

use crate::support::{TestApp, database, mail_server::MailServer, spawn_app_on, visitor::Visitor};

/// The password of [`Visitor::sign_up`], and another one.
const PASSWORD: &str = "correct horse";
const NEW_PASSWORD: &str = "battery staple";

/// How long a condition may take to become true.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long imports are watched after their end, so that no test waits ten seconds for its e-mail.
const LATE_RUNS: Duration = Duration::from_millis(100);

/// A whole server that sends its e-mails to `server`.
async fn app_with(server: &MailServer) -> TestApp {
    app_on(tempfile::tempdir().unwrap(), server).await
}

async fn app_on(data: TempDir, server: &MailServer) -> TestApp {
    let mail = server.config();
    spawn_app_on(data, |config| {
        config.mail = Some(mail);
        config.late_runs = LATE_RUNS;
    })
    .await
}

/// A server's database, which is SQLite.
async fn database(data: &TempDir) -> AnyPool {
    sqlx::any::install_default_drivers();
    let url = database::url(data.path());
    AnyPool::connect(&url).await.unwrap()
}

/// The first column of the only row of a query.
async fn number(data: &TempDir, query: &'static str) -> i64 {
    let pool = database(data).await;
    let number = sqlx::query_scalar(query).fetch_one(&pool).await.unwrap();
    pool.close().await;
    number
}

/// Waits until a query returns `expected`.
async fn until_number(data: &TempDir, query: &'static str, expected: i64) {
    let start = Instant::now();
    loop {
        let seen = number(data, query).await;
        if seen == expected {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{query}: expected {expected}, last seen {seen}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const WAITING: &str = "SELECT COUNT(*) FROM mail WHERE sent_at IS NULL";

/// Waits until no e-mail waits any more: what the SMTP server has taken then is all there is.
async fn until_nothing_waits(data: &TempDir) {
    until_number(data, WAITING, 0).await;
}

/// Asks for a link for a new password, as the form does.
async fn forgot(visitor: &Visitor, email: &str) -> Response {
    visitor.post_form("/forgot", &[("email", email)]).await
}

async fn sign_in(visitor: &Visitor, email: &str, password: &str) -> Response {
    visitor.post_form("/sign-in", &[("email", email), ("password", password)]).await
}

async fn is_signed_in(visitor: &Visitor) -> bool {
    visitor.get("/account").await.status() == StatusCode::OK
}

async fn text(visitor: &Visitor, path: &str) -> String {
    let answer = visitor.get(path).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

fn location(answer: &Response) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.url());
    answer.headers()[header::LOCATION].to_str().unwrap()
}

/// The path of one of our addresses.
fn path(address: &str) -> String {
    let url: url::Url = address.parse().unwrap();
    url[url::Position::BeforePath..].to_owned()
}

#[tokio::test]
async fn without_a_server_no_page_offers_an_e_mail() {
    let app = crate::support::spawn_app().await;
    let admin = app.signed_in().await;
    let visitor = app.visitor();
    assert_eq!(visitor.get("/forgot").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(visitor.get("/forgot?sent=1").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(forgot(&visitor, "mira@example.org").await.status(), StatusCode::NOT_FOUND);
    let page = text(&visitor, "/sign-in").await;
    assert!(page.contains("runboard account reset") && !page.contains("/forgot"), "{page}");
    let over = visitor.get("/reset?token=nothing").await.text().await.unwrap();
    assert!(over.contains("Ask for a new one") && !over.contains("/forgot"), "{over}");
    let account = text(&admin, "/account").await;
    assert!(
        !account.contains("/account/mail") && !account.contains("E-mail when an import ends"),
        "{account}"
    );
    let page = text(&admin, "/admin").await;
    assert!(!page.contains("name=\"email\"") && !page.contains("/admin/mail"), "{page}");
    for (path, field) in [
        ("/account/mail", ("ended", "all")),
        ("/admin/mail/test", ("a", "b")),
        ("/admin/mail/reset-link", ("token", "a")),
    ] {
        assert_eq!(admin.post_form(path, &[field]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    // A field that the form does not have sends nothing.
    let fields = [("note", "Eve"), ("email", "eve@example.org")];
    let made = admin.post_form("/admin/invitations", &fields).await.text().await.unwrap();
    assert!(made.contains("Send this link to the person you invite."), "{made}");
    assert_eq!(number(&app.data, "SELECT COUNT(*) FROM mail").await, 0);
    app.stop().await;
}
