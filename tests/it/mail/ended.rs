//! E-mails about imports that have ended.

use reqwest::StatusCode;
use serde_json::Value;

use super::{app_on, app_with, database, location, text, until_nothing_waits, until_number};
use crate::support::{TestApp, mail_server::MailServer, program::Program, spawn_app_on, visitor::Visitor};

const UNFINISHED: &str = "SELECT COUNT(*) FROM import WHERE finished_at IS NULL";

/// A visitor with an account and this setting.
async fn told(app: &TestApp, email: &str, ended: &str) -> Visitor {
    let mut visitor = app.visitor();
    visitor.sign_up(email).await;
    let saved = visitor.post_form("/account/mail", &[("ended", ended)]).await;
    assert_eq!(location(&saved), "/account");
    let page = text(&visitor, "/account").await;
    assert!(page.contains(&format!("<option value=\"{ended}\" selected>")), "{page}");
    visitor
}

#[tokio::test]
async fn a_user_is_told_of_no_end_of_failures_or_of_all_and_of_each_once() {
    let server = MailServer::start();
    let app = app_with(&server).await;
    let program_of = async |visitor: &Visitor| Program::of(visitor, &["read"]).await;
    let mut programs = Vec::new();
    for (email, ended) in
        [("off@example.org", "off"), ("failures@example.org", "failures"), ("all@example.org", "all")]
    {
        let visitor = told(&app, email, ended).await;
        let good = visitor.upload("good.csv", "name,price\nchair,20\ntable,30\n").await;
        let bad = visitor.upload("products.csv", "name,price\nchair,20\na-secret-cell\n").await;
        let page = visitor.upload("page.csv", "<!doctype html><title>Sign in</title>").await;
        for import in [&good, &bad] {
            visitor.wait_for_state(import, "Completed").await;
        }
        visitor.wait_for_state(&page, "Failed").await;
        programs.push((program_of(&visitor).await, [good, bad, page]));
    }
    until_number(&app.data, UNFINISHED, 0).await;
    until_nothing_waits(&app.data).await;
    let taken = server.wait_for(5).await;
    let subjects = |email: &str| {
        let mut subjects: Vec<&str> =
            taken.iter().filter(|mail| mail.to == [email]).map(|mail| mail.header("Subject")).collect();
        subjects.sort_unstable();
        subjects
    };
    assert!(subjects("off@example.org").is_empty());
    let failures = ["page.csv: failed", "products.csv: 1 row processed, 1 failed"];
    assert_eq!(subjects("failures@example.org"), failures);
    assert_eq!(subjects("all@example.org"), ["good.csv: 2 rows processed", failures[0], failures[1]]);

    let (program, [_, bad, failed]) = &programs[2];
    for (import, subject) in [(bad, failures[1]), (failed, failures[0])] {
        let of_all = |mail: &&crate::support::mail_server::Mail| mail.to == ["all@example.org"];
        let mail = taken.iter().filter(of_all).find(|mail| mail.header("Subject") == subject).unwrap();
        // The sentence of the page, and the links.
        let shown: Value = program.get(&format!("/api/v1{import}")).await.json().await.unwrap();
        let sentence = shown["stateText"].as_str().unwrap();
        assert!(mail.text.contains(sentence), "{sentence} is not in {}", mail.text);
        assert_eq!(mail.link("/imports"), format!("{}{import}", app.origin));
        assert_eq!(mail.link("/account"), format!("{}/account", app.origin));
        assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
        assert!(!mail.raw.contains("a-secret-cell"), "{}", mail.raw);
    }
    let bad = taken.iter().find(|mail| mail.header("Subject") == failures[1]).unwrap();
    assert!(bad.text.contains("Processed rows: 1\nFailed rows: 1\n"), "{}", bad.text);
    assert!(bad.html.contains("<th scope=\"row\">Failed rows</th><td>1</td>"), "{}", bad.html);
    app.stop().await;
}

#[tokio::test]
async fn a_setting_that_is_none_is_refused() {
    let server = MailServer::start();
    let app = app_with(&server).await;
    let visitor = told(&app, "mira@example.org", "all").await;
    for fields in [vec![("ended", "some")], vec![("ended", "")], vec![]] {
        let refused = visitor.post_form("/account/mail", &fields).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{fields:?}");
    }
    assert!(text(&visitor, "/account").await.contains("<option value=\"all\" selected>"));
    app.stop().await;
}

#[tokio::test]
async fn the_name_of_a_file_adds_no_header() {
    let server = MailServer::start();
    let mail = server.config();
    // It watches imports for ten seconds after their end, so that nothing is told before it is stopped.
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.mail = Some(mail)).await;
    let visitor = told(&app, "mira@example.org", "all").await;
    // As browsers escape a quote and a line end, and as they do not.
    let encoded = "=?utf-8?q?evil?= über ein langer Name =?utf-8?b?eA==?= noch einer mit Umlauten äöü.csv";
    let names = ["Übersicht «Q3» 100%.csv", encoded, "a%22b%0D%0ABcc: eve@example.org%0D%0A%0D%0Ac.csv"];
    for name in names {
        let import = visitor.upload(name, "a\n1\n").await;
        visitor.wait_for_state(&import, "Completed").await;
    }
    let third = visitor.upload("third.csv", "a\n1\n").await;
    visitor.wait_for_state(&third, "Completed").await;
    // A name with real line ends cannot come in, so the database gets one while nobody has it in memory.
    let data = app.stop().await;
    let pool = database(&data).await;
    let renamed = sqlx::query("UPDATE import SET file_name = $1 WHERE file_name = 'third.csv'")
        .bind("a\"b\r\nBcc: eve@example.org\r\n\r\nü.csv")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(renamed.rows_affected(), 1);
    pool.close().await;
    let app = app_on(data, &server).await;
    until_number(&app.data, UNFINISHED, 0).await;
    until_nothing_waits(&app.data).await;
    let taken = server.wait_for(4).await;
    assert_eq!(taken.len(), 4);
    let mut subjects: Vec<&str> = taken.iter().map(|mail| mail.header("Subject")).collect();
    subjects.sort_unstable();
    println!("{subjects:#?}");
    assert!(subjects.contains(&"Übersicht «Q3» 100%.csv: 1 row processed"), "{subjects:?}");
    assert!(subjects.contains(&&*format!("{encoded}: 1 row processed")), "as it looks, not decoded");
    assert!(subjects.contains(&"a\"b  Bcc: eve@example.org    ü.csv: 1 row processed"), "{subjects:?}");
    for mail in &taken {
        assert_eq!(mail.to, ["mira@example.org"]);
        assert!(!mail.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("bcc")), "{:?}", mail.headers);
        assert!(mail.html.contains("1 row processed in"), "the body is whole: {}", mail.raw);
    }
    app.stop().await;
}
