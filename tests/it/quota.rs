//! The limit of what one account may store.

use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use reqwest::{Method, StatusCode, header};
use runboard::{base::ids::UserId, store::Store};
use tempfile::tempdir;

use crate::support::{
    TestApp, database,
    host::{Host, Reply},
    migration::filled_before,
    spawn_app_on, until,
    visitor::Visitor,
};

const ALLOWED: u64 = 300_000;

async fn app_with_quota(allowed: u64, hosts: &[&Host]) -> (TestApp, Visitor) {
    let reachable: Vec<String> = hosts.iter().map(|host| host.allowed()).collect();
    let app = spawn_app_on(tempdir().unwrap(), |config| {
        config.quota_bytes = Some(allowed);
        config.allow_addresses = reachable.join(",").parse().unwrap();
    })
    .await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    (app, visitor)
}

fn csv(bytes: usize) -> String {
    format!("a,b\n{}", "1,2\n".repeat(bytes / 4 - 1))
}

fn uploads(app: &TestApp) -> usize {
    app.data.path().join("files/uploads").read_dir().unwrap().count()
}

/// The number of files that are being received.
fn incoming(app: &TestApp) -> usize {
    app.data.path().join("files/incoming").read_dir().unwrap().count()
}

#[tokio::test]
async fn what_no_longer_fits_is_refused_with_used_and_allowed_bytes_until_something_is_deleted() {
    let (app, visitor) = app_with_quota(ALLOWED, &[]).await;
    let import = visitor.upload("first.csv", csv(100_000)).await;
    visitor.wait_for_state(&import, "Completed").await;
    // The file and its processed rows, which are longer by their line ends.
    let page = visitor.post_file("second.csv", csv(100_000)).await;
    assert_eq!(page.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let page = page.text().await.unwrap();
    assert!(page.contains("Your imports take 219.7 KiB of the 292.9 KiB that they may take here"), "{page}");
    let again = visitor.post_form(&format!("{import}/retry"), &[]).await;
    assert_eq!(again.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let sample = visitor.post_form("/imports/sample", &[]).await;
    assert_eq!(sample.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(uploads(&app), 1, "nothing of them is kept");

    let deleted = visitor.post_form(&format!("{import}/delete"), &[]).await;
    assert_eq!(deleted.status(), StatusCode::SEE_OTHER);
    let import = visitor.upload("second.csv", csv(100_000)).await;
    assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (24_999, 0));
    app.stop().await;
}

#[tokio::test]
async fn an_upload_of_unknown_length_ends_where_the_room_does() {
    let (app, visitor) = app_with_quota(ALLOWED, &[]).await;
    let blocks = std::iter::repeat_n(Bytes::from(csv(100_000)), 50);
    let answer = visitor.post_stream("long.csv", stream::iter(blocks)).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(uploads(&app), 0);
    app.stop().await;
}

#[tokio::test]
async fn uploads_at_once_share_the_room() {
    // At most the overhead of the form is not reserved of an announced upload, which is little beside files
    // of this size.
    let (app, visitor) = app_with_quota(10 * ALLOWED, &[]).await;
    let posts = (0..8).map(|_| visitor.post_file("orders.csv", csv(1_400_000)));
    let answers = future::join_all(posts).await;
    let taken = answers.iter().filter(|answer| answer.status() == StatusCode::SEE_OTHER).count();
    let statuses: Vec<StatusCode> = answers.iter().map(|answer| answer.status()).collect();
    assert!((1..=2).contains(&taken), "1.4 MB in 3 MB: {statuses:?}");
    app.stop().await;
}

#[tokio::test]
async fn an_address_is_fetched_as_far_as_there_is_room() {
    let (small, large) = (csv(40_000), csv(400_000));
    let host =
        Host::start(move |path, _| Reply::file(if path.contains("small") { &small } else { &large })).await;
    let (app, visitor) = app_with_quota(ALLOWED, &[&host]).await;
    let import = visitor.import_address(&host.url("/large.csv")).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert!(
        panel
            .html
            .contains("The file does not fit: 0 bytes of the 292.9 KiB that your imports may take here"),
        "{}",
        panel.html
    );
    let import = visitor.import_address(&host.url("/small.csv")).await;
    visitor.wait_for_state(&import, "Completed").await;
    app.stop().await;
}

#[tokio::test]
async fn an_upload_that_is_under_way_keeps_its_room_whatever_comes_meanwhile() {
    let (app, visitor) = app_with_quota(ALLOWED, &[]).await;
    let first = visitor.upload("first.csv", csv(100_000)).await;
    visitor.wait_for_state(&first, "Completed").await;
    // About 75 kB are left. It is unknown how much of each upload's body is the file.
    let form = |file: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{file}\r\n--b--\r\n"
        )
    };
    let body = form(&csv(50_000));
    let (beginning, rest) = (body[..10_000].to_owned(), body[10_000..].to_owned());
    let (go_on, gate) = tokio::sync::oneshot::channel::<()>();
    let pieces = stream::once(future::ready(Bytes::from(beginning))).chain(stream::once(async move {
        gate.await.unwrap();
        Bytes::from(rest)
    }));
    let under_way = tokio::spawn(
        visitor
            .request(Method::POST, "/imports")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
            .header(header::CONTENT_LENGTH, body.len())
            .body(reqwest::Body::wrap_stream(pieces.map(Ok::<_, std::io::Error>)))
            .send(),
    );
    until("the first bytes", || incoming(&app) > 0).await;
    let other = visitor.post_file("other.csv", csv(50_000)).await;
    assert_eq!(other.status(), StatusCode::PAYLOAD_TOO_LARGE, "the room is promised");
    go_on.send(()).unwrap();
    let answer = under_way.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    app.stop().await;
}

#[tokio::test]
async fn a_run_whose_results_do_not_fit_fails_with_the_sentence_and_leaves_nothing() {
    let (app, visitor) = app_with_quota(ALLOWED, &[]).await;
    // The processed rows are longer than the file by their line ends.
    let import = visitor.upload("large.csv", csv(200_000)).await;
    let panel = visitor.wait_for_state(&import, "Failed").await;
    assert!(
        panel.html.contains("The results do not fit: 195.3 KiB of the 292.9 KiB that your imports may take"),
        "{}",
        panel.html
    );
    assert_eq!(app.data.path().join("files/runs").read_dir().unwrap().count(), 0);
    // Its reservation was released.
    let small = visitor.upload("small.csv", csv(40_000)).await;
    assert_eq!(visitor.wait_for_state(&small, "Completed").await.counts(), (9_999, 0));
    app.stop().await;
}

/// The first version that stores how many bytes a step wrote.
const VERSION: i64 = 12;

#[tokio::test]
async fn what_the_version_before_stored_is_counted_about_as_it_is() {
    let folder = tempdir().unwrap();
    let url = database::empty_url(folder.path());
    let owner = UserId::generate();
    let imports = ["01BX5ZZKBKACTAV9WEVGEMMVS0", "01BX5ZZKBKACTAV9WEVGEMMVS1"];
    type Row<'a> = (&'a str, i64, Option<&'a str>, Option<&'a str>);
    let steps = |run: &str, steps: &[Row]| -> Vec<String> {
        let text = |key: &Option<&str>| key.map_or("NULL".to_owned(), |key| format!("'{key}'"));
        let row = |(position, (name, end, source, processed)): (usize, &Row)| {
            format!(
                "INSERT INTO step (run_id, step_id, position, result, processed, failed, end_byte, \
                 source_file, processed_file, started_at, committed_at) \
                 VALUES ('{run}', '{name}', {position}, '{{}}', 0, 0, {end}, {}, {}, 1, 2)",
                text(source),
                text(processed)
            )
        };
        steps.iter().enumerate().map(row).collect()
    };
    let mut statements = vec![format!(
        "INSERT INTO account (id, email, password_hash, created_at) VALUES ('{owner}', 'a@example.org', '', 0)"
    )];
    for (import, (run, size)) in imports.iter().zip([("uploaded", 1_000), ("fetched", 0)]) {
        statements.push(format!(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id) \
             VALUES ('{import}', '{owner}', 'a.csv', {size}, 1, 2, '{run}')"
        ));
        statements.push(format!(
            "INSERT INTO run (run_id, import_id, function_id, status, queued_at) \
             VALUES ('{run}', '{import}', 'f', 'Running', 3)"
        ));
    }
    statements.extend(steps("uploaded", &[("plan", 10, None, None), ("rows-1", 1_000, None, Some("p"))]));
    let fetched = [("fetch", 0, Some("s"), None), ("plan", 10, None, None), ("rows-1", 500, None, Some("q"))];
    statements.extend(steps("fetched", &fetched));
    filled_before(VERSION, &url, statements).await;

    let store = Store::open(&url).await.unwrap();
    assert_eq!(store.stored_bytes(owner).await.unwrap(), 1_000 + 990 + 500 + 490);
    store.close().await;
}
