//! A database with times in the future, as after the system clock was set back between two processes.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use runboard::{base::time::UnixMillis, inngest::RunStatus};
use serde_json::json;
use sqlx::AnyPool;

use super::{registered, trigger};
use crate::{
    function_server::{Answer, Function},
    inngest_api::{Embedded, work},
    support::postgres::on_each_database,
};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn what_waits_since_an_hour_ahead_begins_after_its_pause_and_what_a_sender_planned_stays_planned() {
    on_each_database(waits_anew).await;
}

async fn waits_anew(database: &str) {
    let embedded = Embedded::on(database, &[Duration::from_millis(100)]).await;
    let calls = AtomicUsize::new(0);
    let fails_once = move || match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::new(500, json!({"message": "no"})),
        _ => Answer::output("1"),
    };
    let functions = registered(
        &embedded,
        vec![
            Function::answering("retried", fails_once).retries(1),
            Function::answering("go", || Answer::output("2")),
        ],
    )
    .await;
    let retried = trigger(&embedded, &functions, "retried").await;
    embedded.engine.step().await.unwrap();
    let queued = trigger(&embedded, &functions, "go").await;
    let at = UnixMillis::now().plus(HOUR);
    let planned = embedded.api.send(&json!({"name": functions.event("go"), "ts": at.0})).await;

    let pool = AnyPool::connect(database).await.unwrap();
    let moved = sqlx::query(
        "UPDATE engine_run SET available_at = available_at + $1, waits_since = waits_since + $1 \
         WHERE waits_since IS NOT NULL",
    )
    .bind(i64::try_from(HOUR.as_millis()).unwrap())
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(moved.rows_affected(), 2, "the retry and the queued run");

    let _next = work(&embedded.next_engine().await);
    assert_eq!(embedded.api.ended(&retried).await.output, Some(json!(1)));
    assert_eq!(embedded.api.ended(&queued).await.output, Some(json!(2)));
    assert_eq!(embedded.api.runs(&planned).await[0].status, RunStatus::Scheduled);
    let available_at: i64 = sqlx::query_scalar("SELECT available_at FROM engine_run WHERE event_id = $1")
        .bind(&planned)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(available_at, at.0);
    pool.close().await;
}
