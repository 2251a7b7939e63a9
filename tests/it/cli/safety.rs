//! What another server, a file's name or an environment must not be able to do.

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use serde_json::json;

use super::{Desk, ORDERS, ORDERS_OUTPUT, client, ended, import_json};
use crate::support::{
    host::{Host, Reply, with_body},
    nginx::with_https,
};

const ID: &str = "01KBC8Z3V5F0M3E2J8W4R7T9QX";

#[tokio::test]
async fn a_token_does_not_follow_a_redirect() {
    let other = Host::start(|_, _| Reply::file("{}")).await;
    let to = other.url("/api/v1/imports");
    let host = Host::start(move |_, _| Reply::redirect(&to)).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "a\n1\n").unwrap();
    for words in [&["imports"][..], &["import", "a.csv"], &["show", ID], &["delete", "--yes", ID]] {
        let mut command = client(folder.path(), words);
        command.env("RUNBOARD_URL", host.url("")).env("RUNBOARD_TOKEN", "rb_secret");
        let done = ended(command).await;
        assert_eq!((done.code, done.out.as_str()), (Some(3), ""), "{words:?}: {done:?}");
        let sentence =
            format!("{} redirects to {}, which did not get your token.", host.url(""), other.url(""));
        assert!(done.err.starts_with(&sentence), "{words:?}: {done:?}");
    }
    assert_eq!(other.asked(), [] as [String; 0]);
    assert!(
        host.asked().iter().all(|request| request.to_lowercase().contains("authorization: bearer rb_secret"))
    );
}

#[tokio::test]
async fn a_page_that_a_download_is_redirected_to_is_no_file() {
    let other = Host::start(|_, _| Reply::file("<!doctype html><title>Sign in</title>")).await;
    let (to, import) = (other.url("/sign-in"), import_json(ID, &json!({})).to_string());
    let host = Host::start(move |path, _| match path {
        path if path.ends_with(".csv") => {
            Reply::status("307 Temporary Redirect", &format!("Location: {to}\r\n"))
        }
        _ => Reply::file(&import),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = client(folder.path(), &["start", ID, "--failed", "failed.csv"]);
    command.env("RUNBOARD_URL", host.url("")).env("RUNBOARD_TOKEN", "rb_secret");
    let done = ended(command).await;
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.err.contains("which did not get your token."), "{done:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let asked = other.asked();
    assert!(asked.len() == 1 && !asked[0].to_lowercase().contains("authorization"), "{asked:?}");
}

#[tokio::test]
async fn no_text_of_a_server_steers_the_terminal() {
    const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\nx";
    let import = import_json(
        ID,
        &json!({
            "fileName": EVIL, "stateText": EVIL, "state": EVIL, "receivedAt": EVIL, "finishedAt": EVIL,
            "sourceUrl": EVIL, "parentId": EVIL, "reading": { "text": EVIL },
            "failures": [{ "column": EVIL, "reason": EVIL, "count": 1, "firstLine": 1, "example": EVIL }],
        }),
    );
    let (one, list) = (import.to_string(), json!({ "data": [import], "next": null }).to_string());
    let problem = json!({ "detail": EVIL }).to_string();
    let host = Host::start(move |path, _| match path {
        path if path.ends_with("/cancel") => Reply::Bytes(with_body("409 Conflict", "", problem.as_bytes())),
        path if path.contains(ID) => Reply::file(&one),
        _ => Reply::file(&list),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    for words in [
        &["show", ID][..],
        &["show", "--json", ID],
        &["imports"],
        &["imports", "--json"],
        &["cancel", ID],
        &["retry", ID],
    ] {
        let mut command = client(folder.path(), words);
        command.env("RUNBOARD_URL", host.url("")).env("RUNBOARD_TOKEN", "rb_x");
        let done = ended(command).await;
        let all = format!("{}{}", done.out, done.err);
        assert!(all.contains("owned"), "{words:?}: {done:?}");
        let steers = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || c == '\u{202e}';
        assert!(!all.contains(steers), "{words:?}: {done:?}");
    }
}

#[tokio::test]
async fn the_settings_of_a_server_do_not_matter_and_no_data_folder_is_made() {
    let desk = Desk::new().await;
    let mut command = desk.command(&["imports"]);
    command.env("INNGEST_DEV", "nonsense").env("RUNBOARD_LISTEN", "nonsense").env("RUST_LOG", "=,=");
    command.env("RUNBOARD_WORKERS", "-1").env("RUNBOARD_DATA_DIR", "/nonsense");
    command.env("RUNBOARD_PUBLIC_URL", OsString::from_vec(vec![0xff]));
    assert_eq!(ended(command).await.quiet().0, 0);
    assert_eq!(desk.files(), [] as [String; 0]);
    desk.stop().await;
}

#[tokio::test]
async fn a_misspelt_variable_is_named_where_a_token_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = client(folder.path(), &["imports"]);
    command.env("RUNBOARD_TOKNE", "rb_x");
    let done = ended(command).await;
    assert!(
        done.err.starts_with("RUNBOARD_TOKNE is not known; did you mean RUNBOARD_TOKEN?\nThere is no token"),
        "{done:?}"
    );
}

#[tokio::test]
async fn what_is_no_runboard_is_said_in_a_sentence() {
    const NO_RUNBOARD: &str = "does not answer as a Runboard does. Check the address.";
    const NO_API: &str = "has no API of Runboard: it answers 404 Not Found. Check the address.";
    const NO_UPLOADS: &str = "has no API of Runboard: it answers 405 Method Not Allowed. Check the address.";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders.csv"), ORDERS).unwrap();
    for (status, answer, sentence) in [
        ("200 OK", "<!doctype html>", NO_RUNBOARD),
        ("200 OK", "[]", NO_RUNBOARD),
        ("200 OK", "{}", NO_RUNBOARD),
        ("405 Method Not Allowed", "<!doctype html>", NO_UPLOADS),
        ("405 Method Not Allowed", "{ \"detail\": \"Method Not Allowed\" }", NO_UPLOADS),
        ("404 Not Found", "<!doctype html><title>Page not found</title>", NO_API),
        ("404 Not Found", "{ \"detail\": \"Not Found\" }", NO_API),
        ("404 Not Found", "{ \"type\": \"/api#not-found\", \"detail\": \"Page not found.\" }", NO_API),
    ] {
        let host = Host::start(move |_, _| Reply::Bytes(with_body(status, "", answer.as_bytes()))).await;
        for words in [&["imports"][..], &["import", "orders.csv"], &["import", "https://example.org/a.csv"]] {
            let mut command = client(folder.path(), words);
            command.env("RUNBOARD_URL", host.url("")).env("RUNBOARD_TOKEN", "rb_x");
            let done = ended(command).await;
            let said = format!("{} (from RUNBOARD_URL) {sentence}\n", host.url(""));
            assert_eq!((done.code, done.err), (Some(3), said), "{words:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn over_https_only_a_certificate_that_the_machine_knows_is_trusted() {
    let desk = Desk::new().await;
    let (_nginx, origin, certificate) = with_https(&desk.app.origin);
    desk.file("orders.csv", ORDERS);
    let with = |known: &std::path::Path| {
        let mut command = desk.command(&["import", "orders.csv"]);
        command.env("RUNBOARD_URL", &origin).env("SSL_CERT_FILE", known);
        command
    };
    let done = ended(with(&certificate)).await;
    assert_eq!(done.imported(), (0, ORDERS_OUTPUT));
    let (_other_nginx, _, other) = with_https(&desk.app.origin);
    let done = ended(with(&other)).await;
    assert_eq!((done.code, done.out.as_str()), (Some(3), ""));
    assert!(done.err.starts_with(&format!("Cannot reach {origin} (from RUNBOARD_URL): ")), "{done:?}");
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
    assert_eq!(desk.imports().await.len(), 1);
    desk.stop().await;
}
