//! Faulty uploads, and their error messages.

use std::{iter, path::PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    TestApp,
    binary::{Binary, runboard},
    files_under, spawn_app, spawn_app_on, until_equal,
    visitor::{FORM_TYPE, Visitor, attributes, form_start},
};

const MIB: u64 = 1 << 20;

/// The head of an upload that announces `length` bytes.
pub fn head(visitor: &Visitor, length: u64) -> String {
    let host = visitor.origin.strip_prefix("http://").unwrap();
    format!(
        "POST /imports HTTP/1.1\r\nHost: {host}\r\nOrigin: {}\r\nCookie: {}\r\n\
         Content-Type: {FORM_TYPE}\r\nContent-Length: {length}\r\n\r\n",
        visitor.origin,
        visitor.cookie.as_ref().unwrap()
    )
}

pub async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.origin.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Nothing of a refused upload is left, neither on the page nor on the disk.
async fn assert_nothing_is_left(app: &TestApp, visitor: &Visitor) {
    let page = visitor.get("/").await.text().await.unwrap();
    assert_eq!(attributes(&page, "data-import-id").len(), 0);
    assert_eq!(files_under(&app.data.path().join("files")), 0);
}

#[tokio::test]
async fn short_rows_under_a_wide_header_do_not_fill_the_disk() {
    const ROWS: usize = 4_000;
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let file = format!("{}\n{}", vec!["c"; 16_384].join(","), "x\n".repeat(ROWS));
    let size = file.len();
    let import = visitor.upload("wide.csv", file).await;
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (0, ROWS as u64));
    let failed = visitor.download(&format!("{import}/failed.csv")).await;
    assert!(failed.len() < 10 * size, "{} bytes of {size}", failed.len());
    app.stop().await;
}

#[tokio::test]
async fn a_file_that_is_announced_too_large_is_refused_before_its_first_byte() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = 5 << 20).await;
    let visitor = app.signed_in().await;
    let mut connection = connect(&app).await;
    connection.write_all(head(&visitor, 10 << 30).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("The upload is larger than 5 MiB"), "{answer}");
    assert!(answer.contains("id=\"upload-error\""), "{answer}");
    assert_nothing_is_left(&app, &visitor).await;
    app.stop().await;
}

#[tokio::test]
async fn a_file_that_turns_out_too_large_is_refused_and_leaves_nothing() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = 5 << 20).await;
    let visitor = app.signed_in().await;
    let block = Bytes::from("1,2\n".repeat(16 << 10));
    let answer = visitor.post_stream("large.csv", stream::repeat(block).take(1_000)).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text().await.unwrap().contains("The upload is larger than 5 MiB"));
    assert_nothing_is_left(&app, &visitor).await;
    app.stop().await;
}

#[tokio::test]
async fn a_file_of_exactly_the_limit_is_taken() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = 1_000).await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("a.csv", format!("a\n{}", "1\n".repeat(499))).await;
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (499, 0));
    app.stop().await;
}

#[tokio::test]
async fn an_upload_whose_connection_breaks_is_no_import_and_leaves_nothing() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let incoming = app.data.path().join("files/incoming");
    let mut connection = connect(&app).await;
    let begun = head(&visitor, 1_000_000) + form_start("cut.csv").as_str() + "a,b\n1,2\n";
    connection.write_all(begun.as_bytes()).await.unwrap();
    until_equal("the upload to begin", || files_under(&incoming), 1).await;
    drop(connection);
    until_equal("what had come of it to go", || files_under(&incoming), 0).await;
    assert_nothing_is_left(&app, &visitor).await;
    app.stop().await;
}

#[tokio::test]
async fn every_record_that_cannot_be_read_fails_with_its_line_and_the_rest_goes_on() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_record_bytes = 1_000).await;
    let visitor = app.signed_in().await;
    let long = "x".repeat(5_000);
    for (file, counts, failed) in [
        (&b"a,b\n1,\xc3\xb8\n\xff,2\n3,4\n"[..], (2, 1), "3,a,not valid UTF-8,"),
        (b"a,b\n1,2\n3,\0\n5,6\n", (2, 1), "3,b,contains a NUL byte,"),
        (b"a,b\n1,2\n3\n5,6\n", (2, 1), "3,,\"1 field, expected 2\",3"),
        (b"a,b\n1,2\n3,\"4\n5", (1, 1), "3,b,closing quote missing,"),
        (format!("a,b\n1,{long}\n3,4\n").as_bytes(), (1, 1), "2,,longer than 1000 bytes"),
        // A quote that never closes is text where a record follows.
        (format!("a,b\n1,\"2\n{}", "3,4\n".repeat(1_000)).as_bytes(), (1_001, 0), ""),
    ] {
        let import = visitor.upload("bad.csv", file).await;
        assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), counts, "{failed}");
        let lines = String::from_utf8(visitor.download(&format!("{import}/failed.csv")).await).unwrap();
        assert!(lines.split("\r\n").nth(1).unwrap().starts_with(failed), "{lines}");
    }
    app.stop().await;
}

#[tokio::test]
async fn two_columns_of_one_name_are_imported_and_the_page_says_so() {
    let app = spawn_app().await;
    let mut visitor = app.signed_in().await;
    let twins = visitor.upload("twins.csv", "id,name,id\n1,Ann,2\n3,Bob,4\n").await;
    let panel = visitor.wait_for_state(&twins, "Completed").await;
    assert_eq!(panel.counts(), (2, 0));
    assert!(
        panel.html.contains("The header has two columns named <bdi class=\"mono\">id</bdi>"),
        "{}",
        panel.html
    );
    let processed = visitor.download(&format!("{twins}/processed.csv")).await;
    assert_eq!(processed, b"id,name,id\r\n1,Ann,2\r\n3,Bob,4\r\n");
    let nameless = visitor.upload("nameless.csv", "id,,\n1,2,3\n").await;
    let panel = visitor.wait_for_state(&nameless, "Completed").await;
    assert!(panel.html.contains("The header has two columns without a name"), "{}", panel.html);
    let plain = visitor.upload("plain.csv", "id,name\n1,Ann\n").await;
    assert!(!visitor.wait_for_state(&plain, "Completed").await.html.contains("The header has"));
    let app = spawn_app_on(app.stop().await, |_| {}).await;
    visitor.origin.clone_from(&app.origin);
    assert!(
        visitor
            .panel(&twins)
            .await
            .html
            .contains("The header has two columns named <bdi class=\"mono\">id</bdi>")
    );
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_csv_fails_at_once_and_says_what_it_is() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let lines = "{\"id\": 1}\n".repeat(100_000);
    for (name, file, sentence) in [
        (
            "page.csv",
            "<!DOCTYPE html>\n<html><head><title>Sign in, please</title></head><body>1,2</body></html>",
            "This is a web page (&#34;Sign in, please&#34;), not a CSV. Download the file itself and import that.",
        ),
        ("table.csv", "<table>\n<tr><td>1</td></tr>\n</table>\n", "This is a web page, not a CSV."),
        ("feed.csv", "<?xml version=\"1.0\"?>\n<rows>1,2</rows>\n", "This is an XML document, not a CSV."),
        ("list.csv", "[{\"id\": 1},\n {\"id\": 2}]\n", "This is JSON, not a CSV."),
        ("lines.csv", &lines, "This is JSON (one value per line), not a CSV."),
        ("note.csv", "{\\rtf1\\ansi id,name}", "This is an RTF document, not a CSV."),
        ("blank.csv", "\u{feff}\n\r\n", "The file has no text: no header and no rows."),
        ("spaces.csv", "\n\n  \n", "The file has no text: no header and no rows."),
    ] {
        let import = visitor.upload(name, file).await;
        let panel = visitor.wait_for_state(&import, "Failed").await;
        assert!(panel.html.contains(&format!(">{sentence}")), "{name}: {}", panel.html);
        assert!(!panel.html.contains("attempt 2"), "{name}: {}", panel.html);
        assert!(panel.html.contains("<strong>Attempt 1 failed</strong>"), "{name}: {}", panel.html);
    }
    for (name, file) in [
        ("brackets.csv", "[a],[b]\n1,2\n"),
        ("braces.csv", "{a},{b}\n1,2\n"),
        ("tags.csv", "<id>,<name>\n1,2\n"),
    ] {
        let import = visitor.upload(name, file).await;
        assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (1, 0), "{name}");
    }
    app.stop().await;
}

#[tokio::test]
async fn rows_that_all_fail_are_said_first() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("short.csv", format!("a,b\n{}", "1\n".repeat(300))).await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert!(panel.html.contains("All 300 rows failed."), "{}", panel.html);
    assert!(panel.html.contains("class=\"badge warn\""), "{}", panel.html);
    app.stop().await;
}

#[tokio::test]
async fn a_header_alone_is_completed_and_the_page_says_so() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("header.csv", "id,name\n").await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (0, 0));
    assert!(panel.html.contains("The file has a header and no rows."), "{}", panel.html);
    app.stop().await;
}

/// Uses the real program, whose memory can be measured.
#[tokio::test]
async fn a_line_of_200_megabytes_fails_as_one_record_and_memory_stays_flat() {
    let data = tempfile::tempdir().unwrap();
    let server = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let before = server.most_resident();
    let block = Bytes::from("x".repeat(1_000_000));
    let file = iter::once(Bytes::from("a,b\n1,2\n"))
        .chain(iter::repeat_n(block, 200))
        .chain(iter::once(Bytes::from("\n3,4\n")));
    let answer = visitor.post_stream("line.csv", stream::iter(file)).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let import = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (2, 1));
    let failed = String::from_utf8(visitor.download(&format!("{import}/failed.csv")).await).unwrap();
    assert_eq!(failed.split("\r\n").nth(1), Some("3,,longer than 16 MiB"));
    let more = server.most_resident() - before;
    // A record of 16 MiB is in memory as bytes, as fields and as output.
    assert!(more < 100 * MIB, "{} MiB more than before", more / MIB);
}

#[tokio::test]
async fn whatever_a_file_is_called_its_name_is_shown_safely_and_is_never_a_path() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let long = "n".repeat(4_000);
    for (name, shown) in [
        ("../../../evil.csv", "evil.csv"),
        ("/etc/passwd", "passwd"),
        ("C:\\\\evil.csv", "evil.csv"),
        ("..", ".."),
        ("\u{202e}vsc.exe", "vsc.exe"),
        ("a%0D%0AX-Evil: 1.csv", "a%0D%0AX-Evil: 1.csv"),
        ("<script>alert(1)</script>.csv", "script&#62;.csv"),
        ("\\\"><b>bold.csv", "&#34;&#62;&#60;b&#62;bold.csv"),
        (&long, &long[..200]),
    ] {
        let import = visitor.upload(name, "a\n1\n").await;
        visitor.wait_for_state(&import, "Completed").await;
        for path in [import.as_str(), "/"] {
            let page = visitor.get(path).await.text().await.unwrap();
            assert!(page.contains(shown), "{name:?} on {path}: {page}");
            for evil in ["<script>alert", "<b>bold", "\u{202e}", "etc/", &long] {
                assert!(!page.contains(evil), "{name:?} on {path} has {evil:?}");
            }
        }
        let answer = visitor.get(&format!("{import}/processed.csv")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{name:?}");
        assert_eq!(answer.headers().get("x-evil"), None);
        assert!(answer.headers()["content-disposition"].as_bytes().is_ascii());
    }
    // Names that a form cannot contain.
    for name in ["a\nb.csv", "a\r\nX-Evil: 1.csv", "a\0b.csv"] {
        let answer = visitor.post_file(name, "a\n1\n").await;
        assert!(answer.status().is_client_error(), "{name:?}: {}", answer.status());
        assert!(answer.text().await.unwrap().contains("Choose"), "{name:?}");
    }
    // Stored files have generated names in fixed folders.
    let files: Vec<PathBuf> = ["incoming", "uploads", "runs"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(app.data.path().join("files").join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), files_under(&app.data.path().join("files")));
    assert!(files.len() >= 18);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().trim_end_matches(".csv").to_owned();
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{name}");
    }
    app.stop().await;
}
