//! The real program, killed and started again.

use std::{fs, fs::File, path::Path};

use super::{WAITING, forgot, number, text, until_nothing_waits, until_number};
use crate::support::{
    binary::{Binary, runboard},
    end_watch,
    mail_server::MailServer,
    reserved_port::ReservedPort,
    visitor::Visitor,
};

/// What the server asks for.
const LOGIN: [&str; 4] = ["--user", "a-user", "--password", "a-secret-password"];

/// The program with an SMTP server on `port`. Its log goes to a file in `data`.
fn start(data: &Path, port: u16) -> Binary {
    let log = File::options().create(true).append(true).open(data.join("log")).unwrap();
    Binary::start(
        runboard(data)
            .env("RUNBOARD_SIGN_UP", "open")
            .env("RUNBOARD_SMTP_URL", format!("smtp://a-user:a-secret-password@127.0.0.1:{port}"))
            .env("RUNBOARD_MAIL_FROM", "runboard@example.org")
            .env("RUST_LOG", "debug,sqlx=warn,h2=info")
            .stderr(log),
    )
}

#[tokio::test]
async fn what_waits_outlives_a_kill_and_is_sent_once_and_no_log_has_a_secret() {
    let data = tempfile::tempdir().unwrap();
    let away = ReservedPort::new();
    let server = start(data.path(), away.port);
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    visitor.post_form("/account/mail", &[("ended", "all")]).await;
    let import = visitor.upload("products.csv", "a,b\n1,2\n3\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    end_watch(data.path(), &import).await;
    forgot(&visitor, "mira@example.org").await;
    // An invitation has its token in the queue.
    let page = visitor.post_form("/admin/invitations", &[("email", "eve@example.org")]).await;
    let page = page.text().await.unwrap();
    let shown = page.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    let invitation = shown.split_once("token=").unwrap().1.to_owned();
    until_number(&data, "SELECT COUNT(*) FROM mail WHERE sent_at IS NULL AND attempts > 0", 3).await;
    server.kill();

    let smtp = MailServer::start_with(away.port, |command| {
        command.args(LOGIN);
    });
    let server = start(data.path(), away.port);
    until_nothing_waits(&data).await;
    server.kill();
    // Nor does another start send anything twice.
    let server = start(data.path(), away.port);
    let visitor = visitor.at(&server.origin);
    text(&visitor, "/account").await;
    visitor.post_form("/admin/mail/test", &[]).await;
    smtp.wait_for(4).await;
    until_nothing_waits(&data).await;
    let taken = smtp.taken();
    let mut subjects: Vec<&str> = taken.iter().map(|mail| mail.header("Subject")).collect();
    subjects.sort_unstable();
    assert_eq!(
        subjects,
        [
            "Choose a new password for Runboard",
            "Test e-mail from Runboard",
            "You are invited to Runboard",
            "products.csv: 1 row processed, 1 failed"
        ]
    );
    assert!(taken.iter().all(|mail| mail.user.as_deref() == Some("a-user")));
    assert_eq!(number(&data, WAITING).await, 0);
    let kept = number(&data, "SELECT COUNT(*) FROM mail WHERE token IS NOT NULL OR kind <> 'ended'").await;
    assert_eq!(kept, 0, "only what counts for the hour stays");

    let reset = taken.iter().find(|mail| mail.text.contains("/reset?")).unwrap();
    let reset = reset.link("/reset").split_once("token=").unwrap().1;
    let log = fs::read_to_string(data.path().join("log")).unwrap();
    assert!(log.contains("an e-mail could not be sent yet") && log.contains("sent an e-mail"), "{log}");
    for secret in [&*invitation, reset, "a-secret-password", "mira@example.org", "eve@example.org"] {
        assert!(!log.contains(secret), "the log has {secret}");
    }
}

/// As if it was killed between the server's confirmation and the record of it.
#[tokio::test]
async fn an_e_mail_that_was_taken_just_before_a_kill_is_sent_again_with_the_same_message_id() {
    let data = tempfile::tempdir().unwrap();
    let smtp = MailServer::start_with(0, |command| {
        command.args(LOGIN).arg("--unconfirmed");
    });
    let server = start(data.path(), smtp.port);
    let before = server.origin.clone();
    let mut visitor = Visitor::new(&before);
    visitor.sign_up("mira@example.org").await;
    visitor.post_form("/admin/mail/test", &[]).await;
    smtp.wait_for(1).await;
    server.kill();

    let server = start(data.path(), smtp.port);
    let [first, second] = smtp.wait_for(2).await.try_into().unwrap();
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
    assert_eq!((first.to, first.text.replace(&before, &server.origin)), (second.to, second.text));
    until_nothing_waits(&data).await;
    server.kill();
    assert_eq!(smtp.taken().len(), 2);
}
