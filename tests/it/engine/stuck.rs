//! Cases that could block a run, or a call's place, forever.

use std::time::Duration;

use runboard::{base::time::UnixMillis, inngest::RunStatus};
use serde_json::json;
use sqlx::AnyPool;

use super::{registered, trigger};
use crate::{
    function_server::{Answer, Function},
    inngest_api::{Embedded, until, work},
    support::postgres::{Postgres, on_each_database},
};

#[tokio::test]
async fn a_function_that_never_finishes_a_step_is_called_with_pauses_and_fails_in_the_end() {
    let embedded = Embedded::start().await;
    let functions =
        registered(&embedded, vec![Function::answering("idle", || Answer::ops(&json!([])))]).await;
    let _working = work(&embedded.engine);
    let event = trigger(&embedded, &functions, "idle").await;
    let pool = AnyPool::connect(&embedded.database).await.unwrap();
    let run = embedded.api.started(&event, 1).await.remove(0).run_id;
    // The run waits for its next call; the earlier calls came at once.
    until("a pause", || async {
        let row: (i64, i64, Option<String>) = sqlx::query_as(
            "SELECT idle_turns, available_at - waits_since, lease FROM engine_run WHERE run_id = $1",
        )
        .bind(run.as_str())
        .fetch_one(&pool)
        .await
        .unwrap();
        if row.0 > 10 && row.1 >= 1_000 { Ok(()) } else { Err(row) }
    })
    .await;
    sqlx::query("UPDATE engine_run SET idle_turns = 999 WHERE run_id = $1")
        .bind(run.as_str())
        .execute(&pool)
        .await
        .unwrap();
    let run = embedded.api.ended(&event).await;
    assert_eq!(run.status, RunStatus::Failed);
    let output = run.output.unwrap().to_string();
    assert!(output.contains("The function answered 1000 calls in a row and finished no step"), "{output}");
    pool.close().await;
}

/// Postgres does not allow NUL in a text.
#[tokio::test]
async fn an_answer_that_the_database_refuses_ends_its_run() {
    let postgres = Postgres::start();
    let embedded = Embedded::on(&postgres.url, &[]).await;
    let refused = || Answer::ops(&json!([{"id": "a\0b", "op": "StepRun", "data": 1}]));
    let functions = registered(&embedded, vec![Function::answering("refused", refused)]).await;
    let _working = work(&embedded.engine);
    let event = trigger(&embedded, &functions, "refused").await;
    let run = embedded.api.ended(&event).await;
    assert_eq!(run.status, RunStatus::Failed);
    let output = run.output.unwrap().to_string();
    assert!(output.contains("The function's answer could not be recorded"), "{output}");
    assert_eq!(functions.calls("refused").len(), 1);
}

/// The state after a claim whose confirmation was lost.
#[tokio::test]
async fn a_run_that_was_claimed_without_a_call_is_called_by_the_engine_at_work() {
    on_each_database(is_called).await;
}

async fn is_called(database: &str) {
    let embedded = Embedded::on(database, &[]).await;
    let functions = registered(&embedded, vec![Function::answering("go", || Answer::output("1"))]).await;
    let working = work(&embedded.engine);
    let at = UnixMillis::now().plus(Duration::from_secs(3_600));
    let event = embedded.api.send(&json!({"name": functions.event("go"), "ts": at.0})).await;
    let pool = AnyPool::connect(database).await.unwrap();
    sqlx::query("UPDATE engine_run SET available_at = 0, lease = 'lost', status = 'Running'")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(embedded.api.ended(&event).await.output, Some(json!(1)));
    assert_eq!(functions.calls("go").len(), 1);
    pool.close().await;
    working.stop.cancel();
    working.task.await.unwrap();
}
