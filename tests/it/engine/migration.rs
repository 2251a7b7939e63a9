//! A database of an earlier version that contains rows.

use runboard::{base::time::UnixMillis, inngest::RunStatus};
use serde_json::json;
use sqlx::AnyPool;

use crate::{
    function_server::{Answer, Function, FunctionServer},
    inngest_api::{Embedded, work},
    support::{database, migration::database_before, postgres::on_each_database},
};

const EVENT: &str = "01M852BFZNDZSECF4ZXVXKXYMX";

/// A database of the version before `version`, with a registered function "go" and an event for it.
async fn with_function_and_event(
    version: i64,
    url: &str,
    functions: &FunctionServer,
    data: serde_json::Value,
) -> AnyPool {
    let before = database_before(version, url).await;
    let slug = format!("{}-go", functions.app);
    let name = functions.event("go");
    sqlx::query(
        "INSERT INTO engine_function (slug, app, id, name, url, events, max_attempts) \
         VALUES ($1, $2, 'f', 'go', $3, $4, 1)",
    )
    .bind(&slug)
    .bind(&functions.app)
    .bind(format!("{}?fnId={slug}&stepId=step", functions.url))
    .bind(json!([name]).to_string())
    .execute(&before)
    .await
    .unwrap();
    let body = json!({"data": data, "id": EVENT, "name": name, "ts": 1, "user": {}});
    sqlx::query("INSERT INTO engine_event (event_id, name, body, received_at) VALUES ($1, $2, $3, 1)")
        .bind(EVENT)
        .bind(&name)
        .bind(body.to_string())
        .execute(&before)
        .await
        .unwrap();
    before
}

/// Inserts a run of the event, or of a similar one.
async fn insert_run(before: &AnyPool, run: (&str, &str), slug: &str, lease: Option<&str>, available_at: i64) {
    let (run, event) = run;
    sqlx::query(
        "INSERT INTO engine_run (run_id, event_id, slug, function_id, status, queued_at, attempt, \
         req_version, available_at, lease) VALUES ($1, $2, $3, 'f', 'Running', 1, 0, -1, $4, $5)",
    )
    .bind(run)
    .bind(event)
    .bind(slug)
    .bind(available_at)
    .bind(lease)
    .execute(before)
    .await
    .unwrap();
}

#[tokio::test]
async fn functions_and_runs_of_the_first_versions_go_on() {
    let functions = FunctionServer::start(vec![Function::answering("go", || Answer::output("1"))]).await;
    let folder = tempfile::tempdir().unwrap();
    let before = with_function_and_event(3, &database::empty_url(folder.path()), &functions, json!({})).await;
    // In the middle of an attempt.
    let slug = format!("{}-go", functions.app);
    insert_run(&before, ("01M852BG4EY2PCG3PNFXJN2WBQ", EVENT), &slug, Some("old"), 1).await;
    before.close().await;

    let embedded = Embedded::over(folder, &[]).await;
    let _working = work(&embedded.engine);
    assert_eq!(embedded.api.ended(EVENT).await.status, RunStatus::Completed);
    let next = embedded.api.send(&json!({"name": functions.event("go"), "data": {}})).await;
    assert_eq!(embedded.api.ended(&next).await.output, Some(json!(1)));
    let again = embedded.api.register(&functions.registration()).await;
    assert_eq!((again.status, &again.body["modified"]), (200, &json!(true)), "its id was another: {again:?}");
}

#[tokio::test]
async fn runs_from_before_the_queue_knew_tenants_and_waits_go_on_beside_new_ones() {
    on_each_database(goes_on_in_the_queue).await;
}

async fn goes_on_in_the_queue(url: &str) {
    const WAITING: (&str, &str) = ("01M852BG4EY2PCG3PNFXJN2WB0", "01M852BFZNDZSECF4ZXVXKXYM0");
    const LATER: (&str, &str) = ("01M852BG4EY2PCG3PNFXJN2WB1", "01M852BFZNDZSECF4ZXVXKXYM1");
    let functions = FunctionServer::start(vec![Function::answering("go", || Answer::output("1"))]).await;
    let before = with_function_and_event(11, url, &functions, json!({"userId": "ada"})).await;
    for (_, event) in [WAITING, LATER] {
        let copied = "INSERT INTO engine_event (event_id, name, body, received_at) \
                      SELECT $1, name, body, received_at FROM engine_event WHERE event_id = $2";
        sqlx::query(copied).bind(event).bind(EVENT).execute(&before).await.unwrap();
    }
    let slug = format!("{}-go", functions.app);
    let later = UnixMillis::now().0 + 3_600_000;
    insert_run(&before, ("01M852BG4EY2PCG3PNFXJN2WBQ", EVENT), &slug, Some("old"), 1).await;
    insert_run(&before, WAITING, &slug, None, 1).await;
    insert_run(&before, LATER, &slug, None, later).await;
    before.close().await;

    let embedded = Embedded::on(url, &[]).await;
    let pool = AnyPool::connect(url).await.unwrap();
    let columns: Vec<(String, Option<String>, Option<i64>)> =
        sqlx::query_as("SELECT tenant, planned_step, waits_since FROM engine_run")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(columns, vec![(String::new(), None, None); 3]);
    let _working = work(&embedded.engine);
    assert_eq!(embedded.api.ended(EVENT).await.output, Some(json!(1)));
    assert_eq!(embedded.api.ended(WAITING.1).await.output, Some(json!(1)));
    let next = json!({"name": functions.event("go"), "data": {"userId": "ada"}});
    let next = embedded.api.send(&next).await;
    assert_eq!(embedded.api.ended(&next).await.output, Some(json!(1)));
    // The reason for the wait is unknown, so the run keeps waiting.
    let waits: (i64, Option<i64>) =
        sqlx::query_as("SELECT available_at, ended_at FROM engine_run WHERE run_id = $1")
            .bind(LATER.0)
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(waits, (later, None));
    pool.close().await;
}

#[tokio::test]
async fn runs_from_before_idle_answers_were_counted_go_on() {
    on_each_database(goes_on_uncounted).await;
}

async fn goes_on_uncounted(url: &str) {
    let functions = FunctionServer::start(vec![Function::answering("go", || Answer::output("1"))]).await;
    let before = with_function_and_event(15, url, &functions, json!({})).await;
    let slug = format!("{}-go", functions.app);
    insert_run(&before, ("01M852BG4EY2PCG3PNFXJN2WBQ", EVENT), &slug, Some("old"), 1).await;
    before.close().await;

    let embedded = Embedded::on(url, &[]).await;
    let working = work(&embedded.engine);
    assert_eq!(embedded.api.ended(EVENT).await.output, Some(json!(1)));
    working.stop.cancel();
    working.task.await.unwrap();
}
