//! A whole server whose files are in a bucket.

use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Method, StatusCode, header};
use tempfile::TempDir;

use super::{LARGE, bytes as any_bytes};
use crate::{
    packed::{
        book::{rows, workbook},
        pack::gzip,
    },
    support::{
        TestApp,
        binary::{Binary, runboard},
        files_under,
        s3::S3Server,
        spawn_app_on, until_seen,
        visitor::Visitor,
    },
};

async fn spawn_app_in(server: &S3Server, data: TempDir) -> TestApp {
    spawn_app_on(data, |config| {
        config.bucket = Some(server.config());
        config.step_bytes = 100_000..=100_000;
    })
    .await
}

/// Orders, of which every tenth fails.
fn orders(count: usize) -> String {
    let rows = (0..count).map(|n| if n % 10 == 9 { format!("{n}\n") } else { format!("{n},paid\n") });
    ["id,state\n".to_owned()].into_iter().chain(rows).collect()
}

fn processed(orders: &str) -> String {
    let rows = orders.lines().filter(|line| line.contains(','));
    rows.map(|row| format!("{row}\r\n")).collect()
}

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

async fn text(visitor: &Visitor, path: &str) -> String {
    String::from_utf8(visitor.download(path).await).unwrap()
}

/// The names of the objects that belong to imports.
async fn stored(server: &S3Server) -> Vec<String> {
    server.names().await.into_iter().filter(|name| name != "installation").collect()
}

async fn delete(visitor: &Visitor, import: &str) {
    let answer = visitor.post_form(&format!("{import}/delete"), &[]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

fn holds_no_file(data: &Path) -> bool {
    !data.join("files").exists() && files_under(&data.join("scratch")) == 0
}

#[tokio::test]
async fn an_import_goes_its_whole_way_in_a_bucket_and_outlives_a_restart() {
    let server = S3Server::start().await;
    let app = spawn_app_in(&server, tempfile::tempdir().unwrap()).await;
    let mut visitor = app.signed_in().await;
    let orders = orders(100_000);
    let import = visitor.upload("orders.csv", &orders).await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (90_000, 10_000));
    let path = format!("{import}/processed.csv");
    let whole = processed(&orders);
    assert!(text(&visitor, &path).await == whole);
    assert!(stored(&server).await.len() > 20, "several steps wrote several parts");
    for (from, to) in [(0, 9), (99_990, 300_000), (whole.len() - 5, whole.len() - 1)] {
        let request = visitor.request(Method::GET, &path).header(header::RANGE, format!("bytes={from}-{to}"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(answer.text().await.unwrap(), whole[from..=to], "{from}-{to}");
    }
    let failed = text(&visitor, &format!("{import}/failed.csv?as=source")).await;
    assert_eq!(failed.lines().count(), 10_001);

    let data = app.stop().await;
    assert!(holds_no_file(data.path()), "the data folder has only the database");
    let app = spawn_app_in(&server, data).await;
    visitor.origin.clone_from(&app.origin);
    assert!(text(&visitor, &path).await == whole);
    let again = visitor.post_form(&format!("{import}/retry"), &[("only", "failed")]).await;
    let again = Visitor::import_in(again).await;
    assert_eq!(visitor.wait_for_state(&again, "Completed").await.counts(), (0, 10_000));
    let copy = Visitor::import_in(visitor.post_form(&format!("{import}/retry"), &[]).await).await;
    assert_eq!(visitor.wait_for_state(&copy, "Completed").await.counts(), (90_000, 10_000));
    delete(&visitor, &import).await;
    assert!(text(&visitor, &format!("{copy}/processed.csv")).await == whole);
    delete(&visitor, &copy).await;
    delete(&visitor, &again).await;
    until_seen("no file to be left", async || stored(&server).await, Vec::new()).await;
    assert_eq!(server.unfinished_uploads().await, 0);
    app.stop().await;
}

#[tokio::test]
async fn files_that_are_packed_decoded_or_looked_at_are_read_from_a_bucket() {
    let server = S3Server::start().await;
    let app = spawn_app_in(&server, tempfile::tempdir().unwrap()).await;
    let visitor = app.signed_in().await;
    let book = workbook(
        &[("January", "", &rows(&[&["id", "price"], &["1", "2"]])), ("May", "", &rows(&[&["id"], &["7"]]))],
        "",
    );
    for (name, bytes, expected) in [
        ("orders.csv.gz", gzip(b"id,price\n1,2\n"), "id,price\r\n1,2\r\n"),
        ("orders.xlsx", book.clone(), "id,price\r\n1,2\r\n"),
        ("utf16.csv", utf16("id,name\n1,Köln\n"), "id,name\r\n1,Köln\r\n"),
    ] {
        let import = visitor.upload(name, bytes).await;
        visitor.wait_for_state(&import, "Completed").await;
        assert_eq!(text(&visitor, &format!("{import}/processed.csv")).await, expected, "{name}");
    }
    let of_may = visitor.post_bytes_with("orders.xlsx", &book, &[("sheet", "may")]).await;
    let import = Visitor::import_in(of_may).await;
    visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(text(&visitor, &format!("{import}/processed.csv")).await, "id\r\n7\r\n");
    let refused = visitor.post_bytes_with("orders.xlsx", &book, &[("sheet", "June")]).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().await.unwrap().contains("The workbook has no sheet"));

    let before = stored(&server).await.len();
    let held = visitor.post_with(&[("look.csv", "id;price\n1;2\n")], &[("look", "1")]).await;
    let held = Visitor::import_in(held).await;
    let shown = visitor.fragment(&format!("{held}/rows?delimiter=semicolon")).await.text().await.unwrap();
    assert!(shown.contains("price"), "{shown}");
    delete(&visitor, &held).await;
    until_seen("the held file to go", async || stored(&server).await.len(), before).await;
    assert!(holds_no_file(app.data.path()));
    app.stop().await;
}

/// Sends the beginning of an upload, until the bucket has a part of it; calls `then` and hangs up.
async fn send_without_end(visitor: &Visitor, server: &S3Server, then: impl FnOnce()) {
    let chunks =
        stream::iter((0..LARGE >> 20).map(|_| Bytes::from(any_bytes(1 << 20)))).chain(stream::pending());
    let has_note = async || stored(server).await.iter().any(|name| name.starts_with("incoming/"));
    tokio::select! {
        answer = visitor.post_stream("long.csv", chunks) => panic!("{answer:?}"),
        () = until_seen("the upload to begin", has_note, true) => {
            assert_eq!(server.unfinished_uploads().await, 1);
            then();
        }
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_in_the_bucket() {
    let server = S3Server::start().await;
    let app = spawn_app_in(&server, tempfile::tempdir().unwrap()).await;
    let visitor = app.signed_in().await;
    send_without_end(&visitor, &server, || {}).await;
    until_seen("the upload to be abandoned", async || server.unfinished_uploads().await, 0).await;
    until_seen("its note to go", async || stored(&server).await, Vec::new()).await;
    app.stop().await;
}

#[tokio::test]
async fn a_killed_server_leaves_a_note_of_its_unfinished_upload_and_goes_on_after_a_start() {
    let (server, data) = (S3Server::start().await, tempfile::tempdir().unwrap());
    let start = || {
        let mut command = runboard(data.path());
        command.env("RUNBOARD_SIGN_UP", "open").env("RUNBOARD_ENGINE_RETRY_SECONDS", "0.1");
        Binary::start(server.configure(&mut command))
    };
    let program = start();
    let mut visitor = Visitor::new(&program.origin);
    visitor.sign_up("mira@example.org").await;
    let done = visitor.upload("done.csv", orders(10)).await;
    visitor.wait_for_state(&done, "Completed").await;
    send_without_end(&visitor, &server, || program.kill()).await;
    let notes = async || stored(&server).await.iter().filter(|name| name.starts_with("incoming/")).count();
    assert_eq!((server.unfinished_uploads().await, notes().await), (1, 1), "a sweep finds it once it is old");

    let program = start();
    visitor.origin.clone_from(&program.origin);
    assert_eq!(text(&visitor, &format!("{done}/processed.csv")).await, processed(&orders(10)));
    // Two steps at least.
    let orders = orders(1_500_000);
    let long = visitor.upload("long.csv", &orders).await;
    visitor.wait_for(&long, "a record", |panel| panel.runs.iter().any(|run| run.processed.len() > 1)).await;
    program.kill();

    let program = start();
    visitor.origin.clone_from(&program.origin);
    assert_eq!(visitor.wait_for_state(&long, "Completed").await.counts(), (1_350_000, 150_000));
    assert!(text(&visitor, &format!("{long}/processed.csv")).await == processed(&orders));
    drop(program);
}
