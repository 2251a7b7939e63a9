//! A database of the version before has rows in it.

use runboard::inngest::RunStatus;
use serde_json::json;
use sqlx::{AnyPool, migrate::Migrator};

use crate::{
    function_server::{Answer, Function, FunctionServer},
    inngest_api::{Embedded, work},
};

/// The first version that this file is about.
const VERSION: i64 = 3;

#[tokio::test]
async fn functions_and_runs_of_the_version_before_go_on() {
    let functions = FunctionServer::start(vec![Function::answering("go", || Answer::output("1"))]).await;
    let folder = tempfile::tempdir().unwrap();
    sqlx::any::install_default_drivers();
    let before = AnyPool::connect(&Embedded::database(folder.path())).await.unwrap();
    let mut migrator: Migrator = sqlx::migrate!();
    migrator.migrations = migrator.iter().filter(|step| step.version < VERSION).cloned().collect();
    migrator.run(&before).await.unwrap();
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
    let event = "01M852BFZNDZSECF4ZXVXKXYMX";
    let body = json!({"data": {}, "id": event, "name": name, "ts": 1, "user": {}});
    sqlx::query("INSERT INTO engine_event (event_id, name, body, received_at) VALUES ($1, $2, $3, 1)")
        .bind(event)
        .bind(&name)
        .bind(body.to_string())
        .execute(&before)
        .await
        .unwrap();
    // In the middle of an attempt.
    sqlx::query(
        "INSERT INTO engine_run (run_id, event_id, slug, function_id, status, queued_at, attempt, \
         req_version, available_at, lease) \
         VALUES ('01M852BG4EY2PCG3PNFXJN2WBQ', $1, $2, 'f', 'Running', 1, 0, -1, 1, 'old')",
    )
    .bind(event)
    .bind(&slug)
    .execute(&before)
    .await
    .unwrap();
    before.close().await;

    let embedded = Embedded::over(folder, &[]).await;
    let _working = work(&embedded.engine);
    assert_eq!(embedded.api.ended(event).await.status, RunStatus::Completed);
    let next = embedded.api.send(&json!({"name": name, "data": {}})).await;
    assert_eq!(embedded.api.ended(&next).await.output, Some(json!(1)));
    let again = embedded.api.register(&functions.registration()).await;
    assert_eq!((again.status, &again.body["modified"]), (200, &json!(true)), "its id was another: {again:?}");
}
