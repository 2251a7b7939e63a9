//! Outputs of other people's functions, which may be many megabytes: the page shows the beginning and links
//! to the rest. Also very many imports.

use reqwest::{StatusCode, header};
use runboard::{
    base::{
        ids::{ImportId, RunId},
        time::UnixMillis,
    },
    inngest::{Run, RunStatus},
    store::Store,
};
use serde_json::{Value, json};
use sqlx::AnyPool;

use crate::support::{TestApp, database, postgres::on_each_database, spawn_app_on, visitor::Visitor};

fn database(app: &TestApp) -> String {
    database::url(app.data.path())
}

/// An import whose only run, of another function, has ended with `output`, on a server that was restarted
/// since.
async fn ended(status: RunStatus, output: Value) -> (TestApp, Visitor, String) {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.processor = false).await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("orders.csv", "a\n1\n").await;
    visitor.wait_for_state(&import, "Sent").await;
    let url = database(&app);
    let data = app.stop().await;
    let store = Store::open(&url).await.unwrap();
    let run = Run {
        run_id: RunId::from("01M852CE07000000000000001".to_owned()),
        function_id: "warehouse-sync".to_owned(),
        function_name: None,
        event_id: "e".to_owned().into(),
        status,
        run_started_at: UnixMillis::now(),
        ended_at: Some(UnixMillis::now()),
        output: Some(output),
    };
    let id: ImportId = import.rsplit('/').next().unwrap().parse().unwrap();
    store.record_run(id, &run, None, UnixMillis::now()).await.unwrap();
    store.close().await;
    let app = spawn_app_on(data, |config| config.processor = false).await;
    let visitor = visitor.at(&app.origin);
    (app, visitor, import)
}

fn link(import: &str) -> String {
    format!("{import}/runs/01M852CE07000000000000001/output")
}

#[tokio::test]
async fn a_large_output_is_cut_on_the_page_and_whole_on_demand() {
    // More than one part of a download, with two-byte characters at the boundaries of parts.
    let output = json!({ "rows": "ü".repeat(1 << 20), "last": "x" });
    let (app, visitor, import) = ended(RunStatus::Completed, output.clone()).await;
    let page = visitor.get(&import).await.text().await.unwrap();
    assert!(page.len() < 40_000, "{} bytes", page.len());
    assert!(page.contains("&#34;ü") && page.contains("This is the beginning of 2.1 MB."), "{page}");
    assert!(page.contains(&format!("href=\"{}\"", link(&import))), "{page}");
    let answer = visitor.get(&link(&import)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    let name = answer.headers()[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert!(name.starts_with("attachment") && name.contains("orders%2Doutput.json"), "{name}");
    assert_eq!(answer.json::<Value>().await.unwrap(), output);
    let unknown = visitor.get(&format!("{import}/runs/another/output")).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let mut stranger = app.visitor();
    stranger.sign_up("eve@example.org").await;
    assert_eq!(stranger.get(&link(&import)).await.status(), StatusCode::NOT_FOUND);
    app.stop().await;
}

#[tokio::test]
async fn a_small_output_is_all_on_the_page() {
    let (app, visitor, import) = ended(RunStatus::Completed, json!({ "rows": 3 })).await;
    let page = visitor.get(&import).await.text().await.unwrap();
    assert!(page.contains("&#34;rows&#34;: 3") && !page.contains("This is the beginning of"), "{page}");
    assert_eq!(visitor.get(&link(&import)).await.text().await.unwrap(), r#"{"rows":3}"#);
    app.stop().await;
}

#[tokio::test]
async fn why_a_run_failed_is_said_however_long_its_output() {
    let stack = "at main\n".repeat(1 << 18);
    let output = json!({ "message": "the warehouse is closed", "stack": stack });
    let (app, visitor, import) = ended(RunStatus::Failed, output).await;
    let page = visitor.get(&import).await.text().await.unwrap();
    assert!(page.contains("Stopped: the warehouse is closed."), "{page}");
    assert!(visitor.get("/").await.text().await.unwrap().contains("The warehouse is closed."));
    app.stop().await;
}

#[tokio::test]
async fn why_a_run_failed_is_read_of_outputs_of_the_version_before() {
    let (app, visitor, import) = ended(RunStatus::Failed, json!({ "message": "no" })).await;
    let url = database(&app);
    let data = app.stop().await;
    let pool = AnyPool::connect(&url).await.unwrap();
    sqlx::query("UPDATE run SET failure = NULL").execute(&pool).await.unwrap();
    pool.close().await;
    let app = spawn_app_on(data, |config| config.processor = false).await;
    let page = visitor.at(&app.origin).get(&import).await.text().await.unwrap();
    assert!(page.contains("Stopped: no."), "{page}");
    app.stop().await;
}

/// More than the placeholders that SQLite allows in a statement.
const MANY: i64 = 33_000;

#[tokio::test]
async fn a_server_starts_however_many_imports_are_in_progress() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.processor = false).await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let url = database(&app);
    let data = app.stop().await;
    let pool = AnyPool::connect(&url).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < $1) \
         INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, sent_at, \
         search_name) SELECT '01M852CDY0' || SUBSTR(CAST(10000000000000000 + n AS TEXT), 2), \
         (SELECT id FROM account), 'many.csv', 1, $2, $2, 'e' || n, $2, 'many.csv' FROM number",
    )
    .bind(MANY)
    .bind(UnixMillis::now().0)
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let app = spawn_app_on(data, |config| config.processor = false).await;
    let page = visitor.at(&app.origin).get("/").await.text().await.unwrap();
    assert!(page.contains("32,976 more are in progress."), "{page}");
    app.stop().await;
}

#[tokio::test]
async fn imports_without_number_can_be_read_at_once() {
    on_each_database(reads_many).await;
}

async fn reads_many(url: &str) {
    let store = Store::open(url).await.unwrap();
    // Postgres allows more placeholders than SQLite.
    let ids: Vec<ImportId> = std::iter::repeat_with(ImportId::generate).take(70_000).collect();
    assert!(store.runs_of(&ids).await.unwrap().is_empty());
    assert!(store.retries_of(&ids).await.unwrap().is_empty());
    assert!(store.imports(&ids).await.unwrap().is_empty());
    store.close().await;
}
