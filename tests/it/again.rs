//! Running an import again over HTTP: all of it, or only its failed rows.

mod corrected;
mod offers;

use std::{collections::BTreeSet, fs, path::PathBuf};

use futures_util::future::join_all;
use reqwest::{Method, Response, StatusCode, header};
use runboard::{
    base::ids::{ImportId, UserId},
    store::{
        Store,
        delete::{Deletable, Deleted},
    },
};

use crate::{
    another::{both_completed, completed_by_both, own_counts, spawn_app_with_another_function},
    support::{
        TestApp, database,
        migration::filled_before,
        spawn_app, spawn_app_on,
        visitor::{Visitor, attributes},
    },
};

const ALL: &[(&str, &str)] = &[];
const ONLY_FAILED: &[(&str, &str)] = &[("only", "failed")];

/// Five records, of which three fail; one of those spans two lines.
const MIXED: &str = "id,name\r\n1,Ann\r\n2\r\n3,Bob,x,\"y\nz\"\r\n4,\"C\nD\"\r\n5,a\0b\r\n";
const MIXED_FAILED: &str = "id,name\r\n2\r\n3,Bob,x,\"y\nz\"\r\n5,a\0b\r\n";

/// Uploads a file and waits for its end.
async fn completed(visitor: &Visitor, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let import = visitor.upload(name, bytes).await;
    visitor.wait_for_state(&import, "Completed").await;
    import
}

fn location(response: &Response) -> String {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

/// Submits the form and returns the path of the resulting import.
async fn run_again(visitor: &Visitor, import: &str, what: &[(&str, &str)]) -> String {
    location(&visitor.post_form(&format!("{import}/retry"), what).await)
}

fn stored(app: &TestApp, import: &str) -> PathBuf {
    let id = import.rsplit('/').next().unwrap();
    app.data.path().join("files/uploads").join(format!("{id}.csv"))
}

/// The file in the event of an import, as any function gets it.
async fn named_file(app: &TestApp, import: &str) -> Response {
    sqlx::any::install_default_drivers();
    let database = sqlx::AnyPool::connect(&database(app)).await.unwrap();
    let event: String = sqlx::query_scalar(
        "SELECT engine_event.body FROM engine_event JOIN import ON import.event_id = engine_event.event_id \
         WHERE import.id = $1",
    )
    .bind(import.rsplit('/').next().unwrap())
    .fetch_one(&database)
    .await
    .unwrap();
    database.close().await;
    let event: serde_json::Value = serde_json::from_str(&event).unwrap();
    reqwest::get(event["data"]["file"].as_str().unwrap()).await.unwrap()
}

fn database(app: &TestApp) -> String {
    database::url(app.data.path())
}

fn uploads(app: &TestApp) -> usize {
    let folder = |name| fs::read_dir(app.data.path().join("files").join(name)).unwrap().count();
    assert_eq!(folder("incoming"), 0, "nothing is left half-written");
    folder("uploads")
}

async fn text(visitor: &Visitor, path: &str) -> String {
    visitor.get(path).await.text().await.unwrap()
}

#[tokio::test]
async fn all_of_an_import_is_run_again_on_the_same_bytes() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let parent = completed(&visitor, "mixed.csv", MIXED).await;
    let child = run_again(&visitor, &parent, ALL).await;
    assert_ne!(child, parent);
    let panel = visitor.wait_for_state(&child, "Completed").await;
    assert_eq!(panel.counts(), (2, 3));
    for name in ["processed.csv", "failed.csv"] {
        let [first, again] = [&parent, &child].map(|import| format!("{import}/{name}"));
        assert_eq!(visitor.download(&again).await, visitor.download(&first).await, "{name}");
    }
    assert!(text(&visitor, &child).await.contains("<h1 id=\"file-name\"><bdi>mixed.csv</bdi></h1>"));
    // Each import has its own file.
    fs::remove_file(stored(&app, &parent)).unwrap();
    assert_eq!(fs::read_to_string(stored(&app, &child)).unwrap(), MIXED);
    app.stop().await;
}

#[tokio::test]
async fn only_the_failed_records_are_run_again_byte_for_byte() {
    let (app, _others) = spawn_app_with_another_function(|_| {}).await;
    let visitor = app.signed_in().await;
    let table: [(&str, &str, &str); 15] = [
        ("CRLF", MIXED, MIXED_FAILED),
        ("LF", "a,b\n1\n2,2\n3\n", "a,b\n1\n3\n"),
        ("lone CR", "a,b\r1\r2,2\r3\r", "a,b\r1\r3\r"),
        ("mixed line ends", "a,b\r\n1\n2,2\r3\r\n4,4\n5\r", "a,b\r\n1\n3\r\n5\r"),
        ("no line end at the end", "a,b\n1\n2,2\n3", "a,b\n1\n3"),
        ("quotes that never close", "a,b\n1\n2,\"x\n3", "a,b\n1\n2,\"x\n3"),
        ("a header over two lines", "\"a\n1\",b\n1\n2,2\n", "\"a\n1\",b\n1\n"),
        ("a mark and empty lines in front", "\u{feff}\r\n\na,b\n1\n\n2,2\n", "\u{feff}\r\n\na,b\n1\n"),
        ("quoted line ends", "a,b\n\"1\r\n\n1\"\n2,\"2\n\"\n", "a,b\n\"1\r\n\n1\"\n"),
        ("every record", "a,b\n1\n2\n", "a,b\n1\n2\n"),
        ("a torn quote", "a,b\n1,\"torn,x\n2,b\n3\n", "a,b\n1,\"torn,x\n3\n"),
        (
            "torn quotes that would be a pair",
            "a,b\n1,\"torn,x\n2,b\n3,\"\"\",y\n4,d\n5\n",
            "a,b\n1,\"torn,x\n3,\"\"\",y\n5\n",
        ),
        (
            "a torn quote behind a field of two lines",
            "a,b\n1,\"x\ny\",\"torn\n2,b\n3,\"\"\",y\n4,d\n5\n",
            "a,b\n1,\"x\ny\",\"torn\n3,\"\"\",y\n5\n",
        ),
        (
            "a quote that is text beside a NUL byte",
            "a,b\n1,\"torn\n2,b\n3,\"to\0rn\n4,d\n5\n",
            "a,b\n1,\"torn\n3,\"to\0rn\n5\n",
        ),
        ("a torn quote at the end", "a,b\n1\n2,\"x\n", "a,b\n1\n2,\"x\n"),
    ];
    for (what, given, failed) in table {
        let parent = completed_by_both(&visitor, "orders.csv", given).await;
        let (_, failures) = own_counts(&visitor.panel(&parent).await);
        let child = run_again(&visitor, &parent, ONLY_FAILED).await;
        let panel = both_completed(&visitor, &child).await;
        assert_eq!(named_file(&app, &child).await.text().await.unwrap(), failed, "{what}");
        assert_eq!(own_counts(&panel), (0, failures), "{what}");
        // The rows and reasons are the same; only their lines differ.
        let [first, again] = [&parent, &child].map(|import| format!("{import}/failed.csv"));
        let [first, again] = [visitor.download(&first).await, visitor.download(&again).await]
            .map(|file| without_lines(&String::from_utf8(file).unwrap()));
        assert_eq!(again, first, "{what}");
        assert!(
            text(&visitor, &child).await.contains("<h1 id=\"file-name\"><bdi>orders-failed.csv</bdi></h1>")
        );
    }
    app.stop().await;
}

/// The records of a `failed.csv` without their line numbers.
fn without_lines(failed: &str) -> Vec<String> {
    failed
        .split("\r\n")
        .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned())
        .collect()
}

#[tokio::test]
async fn bytes_that_are_no_text_are_run_again_as_they_were() {
    let (app, _others) = spawn_app_with_another_function(|config| config.max_record_bytes = 1_000).await;
    let visitor = app.signed_in().await;
    // A record over the limit extends to a line end, even inside its quotes.
    let long = [b"3,\"".as_slice(), &[b'x'; 2_000], b"\n"].concat();
    let given = [b"a,b\n1,\xff\n2,2\n".as_slice(), &long, b"4,\xc3\xb8\n5\n"].concat();
    let parent = completed_by_both(&visitor, "bytes.csv", &given).await;
    let child = run_again(&visitor, &parent, ONLY_FAILED).await;
    assert_eq!(own_counts(&both_completed(&visitor, &child).await), (0, 3));
    let failed = [b"a,b\n1,\xff\n".as_slice(), &long, b"5\n"].concat();
    assert_eq!(named_file(&app, &child).await.bytes().await.unwrap(), failed);
    app.stop().await;
}

#[tokio::test]
async fn the_function_copies_the_failed_records_in_its_first_step() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let (parent, deleted) =
        (completed(&visitor, "mixed.csv", MIXED).await, completed(&visitor, "mixed.csv", MIXED).await);
    let busy = app.busy().await;
    let [child, orphan] =
        [run_again(&visitor, &parent, ONLY_FAILED).await, run_again(&visitor, &deleted, ONLY_FAILED).await];
    assert_eq!(uploads(&app), 2, "the click copies nothing");
    visitor.wait_for(&child, "its run", |panel| !panel.runs.is_empty()).await;
    assert_eq!(
        named_file(&app, &child).await.text().await.unwrap(),
        MIXED_FAILED,
        "others need not wait for the copy"
    );
    assert_eq!(visitor.post_form(&format!("{deleted}/delete"), &[]).await.status(), StatusCode::SEE_OTHER);
    drop(busy);

    let panel = visitor.wait_for_state(&child, "Completed").await;
    assert_eq!(panel.counts(), (0, 3));
    let panel = visitor.wait_for_state(&orphan, "Failed").await.html;
    assert!(panel.contains("was deleted before they were copied"), "{panel}");
    assert!(!panel.contains("id=\"retry-all-"), "it would fail in the same way: {panel}");

    // From then on only the copy is needed.
    assert_eq!(visitor.post_form(&format!("{parent}/delete"), &[]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(named_file(&app, &child).await.text().await.unwrap(), MIXED_FAILED);
    let again = run_again(&visitor, &child, ALL).await;
    assert_eq!(visitor.wait_for_state(&again, "Completed").await.counts(), (0, 3));
    app.stop().await;
}

#[tokio::test]
async fn twenty_clicks_at_once_make_one_import_of_each_kind() {
    let (app, _others) = spawn_app_with_another_function(|_| {}).await;
    let visitor = app.signed_in().await;
    let parent = completed_by_both(&visitor, "mixed.csv", MIXED).await;
    let mut children = BTreeSet::new();
    for what in [ALL, ONLY_FAILED] {
        let clicks = (0..20).map(|_| run_again(&visitor, &parent, what));
        let mut led_to: BTreeSet<String> = join_all(clicks).await.into_iter().collect();
        assert_eq!(led_to.len(), 1, "{led_to:?}");
        let child = led_to.pop_first().unwrap();
        both_completed(&visitor, &child).await;
        assert_eq!(run_again(&visitor, &parent, what).await, child, "later too");
        children.insert(child);
    }
    assert_eq!(children.len(), 2);
    let dashboard = text(&visitor, "/").await;
    assert_eq!(attributes(&dashboard, "data-import-id").len(), 3);
    assert_eq!(uploads(&app), 2, "the failed rows were copied by the function");
    // To run it once more, people run the retry again.
    let child = children.first().unwrap();
    assert!(!children.contains(&run_again(&visitor, child, ALL).await));
    app.stop().await;
}

#[tokio::test]
async fn a_retry_and_its_parent_lead_to_each_other() {
    let (app, _others) = spawn_app_with_another_function(|_| {}).await;
    let mut visitor = app.signed_in().await;
    let parent = completed_by_both(&visitor, "orders.csv", MIXED).await;
    let panel = visitor.panel(&parent).await.html;
    let forms = panel.matches("id=\"retry-").count();
    assert_eq!(forms, 2, "another function may take its failed rows: {panel}");

    let failed = run_again(&visitor, &parent, ONLY_FAILED).await;
    let all = run_again(&visitor, &parent, ALL).await;
    for child in [&failed, &all] {
        both_completed(&visitor, child).await;
    }
    let check = async |visitor: &Visitor| {
        let page = text(visitor, &failed).await;
        let link = format!("Re-run of the failed rows of <a href=\"{parent}\"><bdi>orders.csv</bdi></a>");
        assert!(page.contains(&link), "{page}");
        let page = text(visitor, &all).await;
        assert!(
            page.contains(&format!("Re-run of <a href=\"{parent}\"><bdi>orders.csv</bdi></a>")),
            "{page}"
        );
        let page = text(visitor, &parent).await;
        let link = format!("Failed rows re-run as <a href=\"{failed}\"><bdi>orders-failed.csv</bdi></a>");
        assert!(page.contains(&link), "{page}");
        assert!(page.contains(&format!("Re-run as <a href=\"{all}\"><bdi>orders.csv</bdi></a>")), "{page}");
        // A finished action is a link instead of a button.
        let panel = visitor.panel(&parent).await.html;
        assert!(!panel.contains("id=\"retry-"), "{panel}");
        for child in [&failed, &all] {
            assert!(panel.contains(&format!("href=\"{child}\"")), "{panel}");
        }
    };
    check(&visitor).await;
    let app = spawn_app_on(app.stop().await, |_| {}).await;
    visitor.origin.clone_from(&app.origin);
    check(&visitor).await;
    app.stop().await;
}

#[tokio::test]
async fn what_is_deleted_while_it_is_to_be_run_again_is_not_found() {
    let (app, _others) = spawn_app_with_another_function(|_| {}).await;
    let visitor = app.signed_in().await;
    let store = Store::open(&database(&app)).await.unwrap();
    let refused = async |import: &str| {
        for what in [ALL, ONLY_FAILED] {
            let answer = visitor.post_form(&format!("{import}/retry"), what).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{what:?}");
        }
    };
    let import = completed_by_both(&visitor, "mixed.csv", MIXED).await;
    // The state in which a deletion has removed the rows and then the files, and the cache does not know yet.
    let id = import.rsplit('/').next().unwrap().parse().unwrap();
    let deleted = store.delete_import(id, Deletable::Ended).await.unwrap();
    assert!(matches!(deleted, Deleted::Gone(_)), "{deleted:?}");
    refused(&import).await;
    assert_eq!(uploads(&app), 1, "nothing is left of the retry");
    fs::remove_file(stored(&app, &import)).unwrap();
    refused(&import).await;

    // A missing file whose import still exists does not count as a deletion.
    let import = completed_by_both(&visitor, "mixed.csv", MIXED).await;
    fs::remove_file(stored(&app, &import)).unwrap();
    let answer = visitor.post_form(&format!("{import}/retry"), ALL).await;
    assert_eq!(answer.status(), StatusCode::GONE);
    assert_eq!(uploads(&app), 0);
    store.close().await;
    app.stop().await;
}

#[tokio::test]
async fn a_stranger_runs_nothing_again() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = completed(&owner, "mixed.csv", MIXED).await;
    let mut stranger = app.visitor();
    stranger.sign_up("eve@example.org").await;
    // Ownership is checked before the request's content.
    for what in [ALL, ONLY_FAILED, &[("only", "nonsense")]] {
        let answer = stranger.post_form(&format!("{import}/retry"), what).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{what:?}");
    }
    let answer = app.visitor().request(Method::POST, &format!("{import}/retry")).send().await.unwrap();
    assert_eq!(location(&answer), "/sign-in");
    assert_eq!(uploads(&app), 1);
    app.stop().await;
}

#[tokio::test]
async fn an_import_of_failed_rows_of_the_version_before_keeps_its_upload() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::empty_url(folder.path());
    let (parent, child, owner) = (ImportId::generate(), ImportId::generate(), UserId::generate());
    let statements = [
        format!(
            "INSERT INTO account (id, email, password_hash, created_at) VALUES ('{owner}', 'a@x.org', '', 0)"
        ),
        format!(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, \
             parent_id, retry_of) VALUES ('{parent}', '{owner}', 'a.csv', 9, 1, 2, 'e', NULL, NULL), \
             ('{child}', '{owner}', 'a-failed.csv', 5, 3, 4, 'f', '{parent}', 'failed')"
        ),
    ];
    filled_before(18, &url, statements).await;

    let store = Store::open(&url).await.unwrap();
    let import = store.import(child).await.unwrap().unwrap();
    assert_eq!((import.failed_rows_of, import.size_bytes), (None, 5));
    assert_eq!(store.source_copy(child).await.unwrap(), None);
    assert_eq!(import.parent.unwrap().id, parent);
}
