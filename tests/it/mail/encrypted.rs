//! TLS, and a login at the SMTP server.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use super::{forgot, location, until_number};
use crate::support::{
    binary::{Binary, runboard},
    mail_server::MailServer,
    visitor::Visitor,
};

/// The certificate of an authority, and one for 127.0.0.1 that it has signed, with its key.
struct Certificates {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    fn make(folder: &Path) -> Self {
        let file = |name: &str| folder.join(name);
        let (authority, authority_key) = (file("authority.pem"), file("authority.key"));
        openssl(
            Command::new("openssl")
                .args([
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-days",
                    "2",
                    "-subj",
                    "/CN=A test",
                    "-out",
                ])
                .arg(&authority)
                .arg("-keyout")
                .arg(&authority_key),
        );
        let (request, certificate, key, names) =
            (file("request.pem"), file("server.pem"), file("server.key"), file("names"));
        openssl(
            Command::new("openssl")
                .args(["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-out"])
                .arg(&request)
                .arg("-keyout")
                .arg(&key),
        );
        fs::write(&names, "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
        openssl(
            Command::new("openssl")
                .args(["x509", "-req", "-days", "2", "-CAcreateserial", "-in"])
                .arg(&request)
                .arg("-CA")
                .arg(&authority)
                .arg("-CAkey")
                .arg(&authority_key)
                .arg("-extfile")
                .arg(&names)
                .arg("-out")
                .arg(&certificate),
        );
        Self { authority, certificate, key }
    }
}

fn openssl(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Sends an e-mail with these settings, and waits until it has arrived or an attempt has failed. Returns what the
/// server has taken, and the log.
async fn send(url: impl Fn(u16) -> String, tls: &str, trusts: bool) -> (usize, bool, Option<String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path());
    let smtp = MailServer::start_with(0, |command| {
        command.args(["--tls", tls, "--user", "mira@example.org", "--password", "p:ss"]);
        command.arg("--certificate").arg(&certificates.certificate).arg("--key").arg(&certificates.key);
    });
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let mut command = runboard(data.path());
    command
        .env("RUNBOARD_SIGN_UP", "open")
        .env("RUNBOARD_SMTP_URL", url(smtp.port))
        .env("RUNBOARD_MAIL_FROM", "runboard@example.org")
        .stderr(File::create(&log).unwrap());
    if trusts {
        command.env("SSL_CERT_FILE", &certificates.authority);
    }
    let server = Binary::start(&mut command);
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    assert_eq!(location(&forgot(&visitor, "mira@example.org").await), "/forgot?sent=1");
    until_number(&data, "SELECT COUNT(*) FROM mail WHERE attempts = 0", 0).await;
    let log_has = |word: &str| fs::read_to_string(&log).unwrap().contains(word);
    crate::support::until("the end of the attempt", || {
        log_has("sent an e-mail") || log_has("could not be sent yet")
    })
    .await;
    // The thread that reads the server's output may be a little later than the log.
    let taken = if log_has("sent an e-mail") { smtp.wait_for(1).await } else { smtp.taken() };
    let log = fs::read_to_string(&log).unwrap();
    let first = taken.first();
    (taken.len(), first.is_some_and(|mail| mail.encrypted), first.and_then(|mail| mail.user.clone()), log)
}

#[tokio::test]
async fn an_e_mail_goes_over_starttls_with_a_login() {
    let url = |port| format!("smtp://mira%40example.org:p%3Ass@127.0.0.1:{port}?tls=required");
    let (taken, is_encrypted, user, log) = send(url, "starttls", true).await;
    assert_eq!((taken, is_encrypted, user.as_deref()), (1, true, Some("mira@example.org")), "{log}");
    assert!(!log.contains("p:ss") && !log.contains("p%3Ass"), "{log}");
}

#[tokio::test]
async fn an_e_mail_goes_over_tls_from_the_start() {
    let url = |port| format!("smtps://mira%40example.org:p%3Ass@127.0.0.1:{port}");
    let (taken, is_encrypted, user, log) = send(url, "implicit", true).await;
    assert_eq!((taken, is_encrypted, user.as_deref()), (1, true, Some("mira@example.org")), "{log}");
}

#[tokio::test]
async fn nothing_goes_to_a_server_with_a_strange_certificate_or_without_the_tls_that_is_required() {
    let starttls = |port| format!("smtp://mira%40example.org:p%3Ass@127.0.0.1:{port}?tls=required");
    let (taken, .., log) = send(starttls, "starttls", false).await;
    assert!(taken == 0 && log.contains("could not be sent yet") && log.contains("ertificate"), "{log}");
    let (taken, .., log) = send(starttls, "none", true).await;
    assert!(taken == 0 && log.contains("could not be sent yet") && log.contains("STARTTLS"), "{log}");
    let wrong = |port| format!("smtps://mira%40example.org:a-wrong-one@127.0.0.1:{port}");
    let (taken, .., log) = send(wrong, "implicit", true).await;
    assert!(taken == 0 && log.contains("could not be sent yet") && log.contains("535"), "{log}");
    assert!(!log.contains("a-wrong-one"), "{log}");
}
