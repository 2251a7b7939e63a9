//! Packed files, from the form to the rows.

pub mod book;
mod coded;
pub mod pack;
mod sheets;
mod workbook;

use std::{
    fs,
    future::pending,
    path::{Path, PathBuf},
    time::Duration,
};

use pack::{Packed, gzip, zeros_gzip, zip};
use reqwest::StatusCode;
use tempfile::tempdir;

use crate::support::{
    TestApp,
    binary::{Binary, runboard},
    spawn_app, spawn_app_on, until,
    visitor::{Panel, Visitor},
};

const AIRPORTS: &str = include_str!("../../fixtures/airports.csv");
const MIB: u64 = 1 << 20;

async fn app_with_limit(limit: u64) -> (TestApp, Visitor) {
    let app = spawn_app_on(tempdir().unwrap(), |config| config.max_upload_bytes = limit).await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    (app, visitor)
}

fn files_in(data: &Path, folder: &str) -> usize {
    fs::read_dir(data.join("files").join(folder)).unwrap().count()
}

#[tokio::test]
async fn a_packed_file_is_read_whole_whatever_it_is_called() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let zipped = zip(&[
        ("data/", b""),
        ("__MACOSX/data/._airports.csv", b"\0\x05\x16\x07"),
        ("data/.DS_Store", b"\0\0\0\x01Bud1"),
        ("data/airports.csv", AIRPORTS.as_bytes()),
    ]);
    let files = Packed::ALL.map(|packed| (packed.extension(), packed.pack(AIRPORTS.as_bytes())));
    for (name, bytes) in files.into_iter().chain([("zip", zipped)]) {
        let import = visitor.upload(&format!("air.{name}.csv"), bytes).await;
        let panel = visitor.wait_for_state(&import, "Completed").await;
        assert_eq!(panel.counts(), (3_376, 0), "{name}");
        let processed = visitor.download(&format!("{import}/processed.csv")).await;
        let processed = String::from_utf8(processed).unwrap().replace("\r\n", "\n");
        assert_eq!(processed, AIRPORTS.replace("\r\n", "\n"), "{name}");
        // The original is kept, and is what a re-run reads.
        let again = visitor.post_form(&format!("{import}/retry"), &[]).await;
        let again = again.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(visitor.wait_for_state(&again, "Completed").await.counts(), (3_376, 0), "{name}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_unpacked_fails_with_what_it_is_and_what_to_do() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let csv = b"a,b\n1,2\n".as_slice();
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice();
    let mut locked = zip(&[("a.csv", csv)]);
    for signature in [b"PK\x03\x04", b"PK\x01\x02"] {
        let at = locked.windows(4).position(|bytes| bytes == signature).unwrap();
        locked[at + if signature[2] == 3 { 6 } else { 8 }] |= 1;
    }
    for (name, file, sentence) in [
        (
            "nested.csv.gz",
            gzip(&gzip(csv)),
            "The gzip archive holds another packed file: a gzip archive. Unpack it and import the file inside.",
        ),
        ("picture.gz", gzip(png), "The gzip archive holds a PNG image, not a CSV. Import the CSV itself."),
        (
            "page.gz",
            gzip(b"<!doctype html><title>Hello</title>"),
            "This is a web page (&#34;Hello&#34;), not a CSV.",
        ),
        ("nothing.gz", gzip(b""), "The file has no text: no header and no rows."),
        (
            "locked.zip",
            locked,
            "The zip archive is protected by a password. Unpack it and import the file inside.",
        ),
        ("folder.zip", zip(&[("data/", b"")]), "The zip archive holds no file."),
        (
            "several.zip",
            zip(&[("a/orders.csv", csv), ("b.csv", csv), ("c.csv", csv), ("d.csv", csv)]),
            "The zip archive holds 4 files: orders.csv, b.csv, c.csv, …. Import one of them, or a zip archive of only one.",
        ),
        (
            "inner.zip",
            zip(&[("a.csv.gz", &gzip(csv))]),
            "The zip archive holds another packed file: a gzip archive.",
        ),
        (
            "letter.docx",
            zip(&[("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w/>")]),
            "The file is a Word document, not a CSV. Export it as CSV and import that.",
        ),
        (
            "table.ods",
            zip(&[
                ("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"),
                ("META-INF/manifest.xml", b""),
            ]),
            "The file is an OpenDocument file",
        ),
        (
            "half.zip",
            zip(&[("a.csv", csv)])[..40].to_vec(),
            "The zip archive is incomplete: it ends too early. Copy or download it again, and import that.",
        ),
    ] {
        let import = visitor.upload(name, file).await;
        let panel = visitor.wait_for_state(&import, "Failed").await;
        assert!(panel.html.contains(&format!(">{sentence}")), "{name}: {}", panel.html);
        assert!(!panel.html.contains("attempt 2"), "{name}: no further attempt helps");
    }
    assert_eq!(
        (files_in(app.data.path(), "runs"), files_in(app.data.path(), "incoming")),
        (2, 0),
        "only the web page and the empty file were unpacked"
    );
    app.stop().await;
}

#[tokio::test]
async fn an_archive_beyond_the_limit_fails_and_leaves_nothing() {
    let (app, visitor) = app_with_limit(MIB).await;
    for packed in Packed::ALL {
        let bomb = packed.pack(&vec![b'x'; 4 << 20]);
        let import = visitor.upload("bomb.csv", bomb).await;
        let panel = visitor.wait_for_state(&import, "Failed").await;
        let sentence = format!(
            "The {} holds more than 1 MiB, which is the limit here. Split the file and import its parts.",
            packed.name()
        );
        assert!(panel.html.contains(&sentence), "{sentence}: {}", panel.html);
    }
    let import = visitor.upload("bomb.zip", zip(&[("a.csv", &vec![b'x'; 4 << 20])])).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert!(panel.html.contains("The zip archive holds more than 1 MiB"), "{}", panel.html);
    assert_eq!((files_in(app.data.path(), "runs"), files_in(app.data.path(), "incoming")), (0, 0));
    app.stop().await;
}

#[tokio::test]
async fn the_first_rows_of_a_packed_file_can_be_looked_at_in_another_reading() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let large: String = (0..400_000).map(|row| format!("{row},row number {row}\n")).collect();
    let packed = Packed::ALL.map(|packed| packed.pack(format!("id;,name\n{large}").as_bytes()));
    let book = book::workbook(&[("S", "", workbook::ROWS)], workbook::SHARED);
    for (bytes, header) in packed.into_iter().map(|bytes| (bytes, "id;")).chain([(book, "name, first")]) {
        let import = visitor.upload("packed", bytes).await;
        visitor.wait_for_state(&import, "Completed").await;
        let answer = visitor.fragment(&format!("{import}/rows?delimiter=comma")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let rows = answer.text().await.unwrap();
        assert!(rows.contains(header), "{rows}");
    }
    let import = visitor.upload("two.gz", gzip(&gzip(b"a,b\n1,2\n"))).await;
    visitor.wait_for_state(&import, "Failed").await;
    let rows = visitor.fragment(&format!("{import}/rows")).await.text().await.unwrap();
    assert!(rows.contains("The gzip archive holds another packed file: a gzip archive."), "{rows}");
    let fronts = fs::read_dir(app.data.path().join("files/runs")).unwrap();
    let left = fronts
        .map(|file| file.unwrap().file_name())
        .filter(|name| name.display().to_string().starts_with("front"));
    assert_eq!(left.count(), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_packed_file_is_decoded_after_it_is_unpacked() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let western = b"name;town\nJos\xe9;M\xfcnchen\nZo\xeb;K\xf6ln\nRen\xe9;Z\xfcrich\n";
    let import = visitor.upload("orders.csv.gz", gzip(western)).await;
    visitor.wait_for_state(&import, "Completed").await;
    let processed = visitor.download(&format!("{import}/processed.csv")).await;
    let expected = "name,town\r\nJosé,München\r\nZoë,Köln\r\nRené,Zürich\r\n";
    assert_eq!(String::from_utf8(processed).unwrap(), expected);
    app.stop().await;
}

#[tokio::test]
async fn what_is_unpacked_counts_for_the_quota() {
    let app = spawn_app_on(tempdir().unwrap(), |config| config.quota_bytes = Some(300_000)).await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import =
        visitor.upload("large.csv.gz", gzip(format!("a,b\n{}", "1,2\n".repeat(100_000)).as_bytes())).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert!(panel.html.contains("The file does not fit: "), "{}", panel.html);
    let import =
        visitor.upload("small.csv.gz", gzip(format!("a,b\n{}", "1,2\n".repeat(20_000)).as_bytes())).await;
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (20_000, 0));
    app.stop().await;
}

/// Uses the real program, whose memory can be measured.
#[tokio::test]
async fn a_bomb_ends_with_a_sentence_and_memory_stays_flat() {
    let data = tempdir().unwrap();
    let server = Binary::start(runboard(data.path()).env("RUNBOARD_MAX_UPLOAD_BYTES", "300000000"));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let before = server.most_resident();
    let bomb = zeros_gzip(32);
    let import = visitor.upload("bomb.csv.gz", bomb).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert!(
        panel.html.contains("The gzip archive holds more than 286.1 MiB, which is the limit here."),
        "{}",
        panel.html
    );
    let more = server.most_resident() - before;
    assert!(more < 32 * MIB, "{} MiB more than before", more / MIB);
    assert_eq!((files_in(data.path(), "runs"), files_in(data.path(), "incoming")), (0, 0));
}

/// Keeps `bytes` as an upload that is started on request, and returns its import and the path of the stored file.
pub async fn held(
    visitor: &Visitor,
    data: &Path,
    bytes: &[u8],
    fields: &[(&str, &str)],
) -> (String, PathBuf) {
    let fields = [&[("look", "1")], fields].concat();
    let import = Visitor::import_in(visitor.post_bytes_with("large.csv", bytes, &fields).await).await;
    let id = import.rsplit('/').next().unwrap();
    let stored = data.join("files/uploads").join(format!("{id}.csv"));
    (import, stored)
}

/// Starts a held import and waits until its file is being copied to a folder.
pub async fn begun(visitor: &Visitor, data: &Path, import: &str, folder: &str) {
    // The answer comes later, once the choices are remembered.
    let starting = async {
        let started = visitor.post_form(&format!("{import}/start"), &[]).await;
        assert_eq!(started.status(), StatusCode::SEE_OTHER);
        pending().await
    };
    tokio::select! {
        () = until("a file that is copied", || files_in(data, folder) == 1) => {}
        () = starting => {}
    }
}

/// Waits until a panel says how much of a file is copied, and checks that this is not over.
pub async fn is_said(visitor: &Visitor, import: &str, words: &str) {
    let is_said_or_over =
        |panel: &Panel| panel.html.contains(words) || panel.html.contains("data-status=\"Completed");
    let panel = visitor.wait_for(import, words, is_said_or_over).await;
    assert!(panel.state == "Running" && panel.html.contains("% of "), "{}", panel.html);
}

/// What takes seconds to unpack, however fast the machine is.
fn endless() -> Vec<u8> {
    zeros_gzip(48)
}

#[tokio::test]
async fn a_kill_while_unpacking_loses_nothing() {
    let data = tempdir().unwrap();
    let file = gzip(format!("id,name\n{}", "1,x\n".repeat(1_000)).as_bytes());
    let server = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let (import, stored) = held(&visitor, data.path(), &file, &[]).await;
    // The kill must come before the end, so until then there is much more to unpack.
    fs::write(&stored, endless()).unwrap();
    begun(&visitor, data.path(), &import, "incoming").await;
    server.kill();
    assert_eq!(files_in(data.path(), "runs"), 0, "killed while it was unpacked");
    fs::write(&stored, &file).unwrap();
    let server = Binary::start(&mut runboard(data.path()));
    visitor.origin.clone_from(&server.origin);
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (1_000, 0));
    assert_eq!(files_in(data.path(), "incoming"), 0);
}

#[tokio::test]
async fn a_cancel_while_unpacking_stops_it_and_the_page_says_how_far_it_is() {
    let (app, visitor) = app_with_limit(10 << 30).await;
    let (import, stored) = held(&visitor, app.data.path(), &gzip(b"a,b\n1,2\n"), &[]).await;
    let packed = endless();
    fs::write(&stored, &packed).unwrap();
    begun(&visitor, app.data.path(), &import, "incoming").await;
    is_said(&visitor, &import, "MB unpacked").await;
    let answer = visitor.post_form(&format!("{import}/cancel"), &[]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    visitor.wait_for_state(&import, "Cancelled").await;
    until("no file", || files_in(app.data.path(), "incoming") + files_in(app.data.path(), "runs") == 0).await;
    tokio::time::timeout(Duration::from_secs(10), app.stop()).await.unwrap();
}
