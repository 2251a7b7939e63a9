//! Old events that belong to no import are deleted: seen at the engine's API, and in its tables.

use std::time::Duration;

use reqwest::Method;
use runboard::{
    base::{
        config::{EngineConfig, Exposed},
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    engine::prune,
    inngest::RunStatus,
    store::Store,
};
use serde_json::json;
use sqlx::AnyPool;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    function_server::{Answer, Function, FunctionServer},
    inngest_api::{Api, until},
    support::{TestApp, free_address, postgres::on_each_database, spawn_app_on},
};

const EVENT_KEY: &str = "event-key";
const SIGNING_KEY: &str = "0123456789abcdef";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A server whose engine other programs can use at `address`.
async fn spawn(data: TempDir, database: &str, address: std::net::SocketAddr) -> TestApp {
    spawn_app_on(data, |config| {
        config.database_url = database.into();
        config.engine = EngineConfig::Embedded(Some(Exposed {
            listen: address,
            event_key: EVENT_KEY.into(),
            signing_key: SIGNING_KEY.into(),
        }));
    })
    .await
}

/// The sorted texts that `statement` gives.
async fn texts(pool: &AnyPool, statement: &'static str) -> Vec<String> {
    let mut texts: Vec<String> = sqlx::query_scalar(statement).fetch_all(pool).await.unwrap();
    texts.sort();
    texts
}

const EVENTS: &str = "SELECT event_id FROM engine_event";
const MARK: &str = "SELECT value FROM setting WHERE name = 'engine_pruned_until'";

#[tokio::test]
async fn events_of_others_and_their_runs_go_a_day_after_their_end() {
    on_each_database(forgets).await;
}

async fn forgets(database: &str) {
    let address = free_address();
    let app = spawn(tempfile::tempdir().unwrap(), database, address).await;
    let visitor = app.signed_in().await;
    let pool = AnyPool::connect(database).await.unwrap();
    let import = visitor.upload("own.csv", "a,b\n1,2\n3\n").await;
    visitor.wait_for_state(&import, "Completed").await;

    let api = Api::new(&format!("http://{address}"), EVENT_KEY, SIGNING_KEY);
    let functions = FunctionServer::start(vec![Function::answering("quick", || Answer::output("1"))]).await;
    let registered = api.register(&functions.registration()).await;
    assert_eq!(registered.status, 200, "{registered:?}");
    let other = api.send(&json!({"name": functions.event("quick"), "data": {}})).await;
    let run = api.ended(&other).await;
    let upload = api.send(&json!({"name": "imports/csv.uploaded", "data": {"file": "no address"}})).await;
    assert_eq!(api.ended(&upload).await.status, RunStatus::Failed);
    let nobodys = api.send(&json!({"name": "nobody/listens", "data": {}})).await;
    let in_an_hour = UnixMillis::wall().plus(Duration::from_secs(60 * 60));
    let later = api.send(&json!({"name": functions.event("quick"), "data": {}, "ts": in_an_hour})).await;
    // The end of a run triggers further runs.
    until("the end of all runs but one", || async {
        match texts(&pool, "SELECT run_id FROM engine_run WHERE ended_at IS NULL").await.len() {
            1 => Ok(()),
            unended => Err(unended),
        }
    })
    .await;
    let before = texts(&pool, EVENTS).await;
    for event in [&other, &upload, &nobodys, &later] {
        assert!(before.contains(event), "{event} of {before:?}");
    }
    assert!(before.len() > 5, "events that report an end are among them: {before:?}");

    // On the same day nothing is deleted.
    let data = app.stop().await;
    let app = spawn(data, database, address).await;
    let mark = until("the first prune", || async { texts(&pool, MARK).await.pop().ok_or(()) }).await;
    assert_eq!(texts(&pool, EVENTS).await, before);
    assert_eq!(api.get_run(run.run_id.as_str()).await.status, 200);

    // Two days later.
    let data = app.stop().await;
    let two_days = (DAY * 2).as_millis() as i64;
    for statement in [
        "UPDATE engine_run SET ended_at = ended_at - $1 WHERE ended_at IS NOT NULL",
        "UPDATE engine_event SET received_at = received_at - $1",
    ] {
        sqlx::query(statement).bind(two_days).execute(&pool).await.unwrap();
    }
    sqlx::query("UPDATE setting SET value = $1 WHERE name = 'engine_pruned_until'")
        .bind((mark.parse::<i64>().unwrap() - two_days).to_string())
        .execute(&pool)
        .await
        .unwrap();
    let app = spawn(data, database, address).await;
    let own = texts(&pool, "SELECT event_id FROM import").await.remove(0);
    let mut kept = [own.clone(), later.clone()];
    kept.sort();
    until("the others to go", || async {
        let left = texts(&pool, EVENTS).await;
        if left == kept { Ok(()) } else { Err(left) }
    })
    .await;
    assert_eq!(api.get_run(run.run_id.as_str()).await.status, 404);
    assert!(api.runs(&other).await.is_empty() && api.runs(&upload).await.is_empty());
    assert_eq!(api.runs(&own).await[0].status, RunStatus::Completed);
    assert_eq!(api.runs(&later).await[0].status, RunStatus::Scheduled);
    assert_eq!(visitor.at(&app.origin).panel(&import).await.counts(), (1, 1));
    assert_eq!(api.ask(Method::GET, "/health").await.status, 200);
    pool.close().await;
    app.stop().await;
}

/// Events, more than one chunk reads.
const MANY: i64 = 1_300;

/// One in this many events belongs to an import.
const NAMED: i64 = 13;

#[tokio::test]
async fn however_many_there_are_only_those_of_imports_and_of_young_runs_stay() {
    on_each_database(forgets_many).await;
}

async fn forgets_many(database: &str) {
    let store = Store::open(database).await.unwrap();
    let pool = AnyPool::connect(database).await.unwrap();
    let account = UserId::generate();
    let mut statements = vec![
        format!(
            "INSERT INTO account (id, email, password_hash, created_at) VALUES ('{account}', 'a@b.c', '', 0)"
        ),
        "INSERT INTO engine_function (slug, app, id, name, url, events, max_attempts) \
         VALUES ('f', 'a', 'f', 'f', 'http://127.0.0.1/', '[]', 1)"
            .to_owned(),
        format!(
            "INSERT INTO engine_event (event_id, name, body, received_at) \
             WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {MANY}) \
             SELECT 'e' || CAST(n AS TEXT), 'n', '{{}}', n / 7 FROM number"
        ),
        // Every tenth event has no run.
        "INSERT INTO engine_run (run_id, event_id, slug, function_id, status, queued_at, ended_at, attempt, \
         req_version, available_at) SELECT 'r' || event_id, event_id, 'f', 'f', 'Completed', received_at, \
         received_at + 5, 0, -1, 0 FROM engine_event WHERE event_id NOT LIKE '%0'"
            .to_owned(),
        "INSERT INTO engine_run (run_id, event_id, slug, function_id, status, queued_at, ended_at, attempt, \
         req_version, available_at) VALUES ('late', 'e1', 'f', 'f', 'Completed', 1, 20000, 0, -1, 0), \
         ('unended', 'e2', 'f', 'f', 'Running', 1, NULL, 0, -1, 0)"
            .to_owned(),
    ];
    for n in (NAMED..=MANY).step_by(NAMED as usize) {
        statements.push(format!(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id) \
             VALUES ('{}', '{account}', 'a.csv', 1, 1, 2, 'e{n}')",
            ImportId::generate()
        ));
    }
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    }

    let go_on = CancellationToken::new();
    let after = |millis: i64| UnixMillis(millis).plus(DAY);
    let named = (MANY / NAMED) as usize;
    assert_eq!(prune(&store, &go_on, after(0)).await.unwrap(), 0, "none has ended so long ago");
    // e3 to e6, whose runs ended at 5, and the four events without a run that were received before 6.
    let first = prune(&store, &go_on, after(6)).await.unwrap() as usize;
    assert_eq!(first, 8);
    let stopped = CancellationToken::new();
    stopped.cancel();
    assert_eq!(prune(&store, &stopped, after(10_000)).await.unwrap(), 0, "a stop is not waited for");
    let pruned = prune(&store, &go_on, after(10_000)).await.unwrap() as usize;
    assert_eq!(pruned, MANY as usize - first - named - 2);
    let left = texts(&pool, EVENTS).await;
    assert_eq!(left.len(), named + 2, "{left:?}");
    assert!(left.contains(&"e1".to_owned()) && left.contains(&"e2".to_owned()), "{left:?}");
    assert_eq!(prune(&store, &go_on, after(20_000)).await.unwrap(), 0);
    assert_eq!(
        prune(&store, &go_on, after(20_001)).await.unwrap(),
        1,
        "e1 is deleted a day after its last run ended"
    );

    // The clock was set back, and a run ended at a time that was read before.
    sqlx::query("UPDATE engine_run SET ended_at = 300 WHERE run_id = 'unended'")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(prune(&store, &go_on, after(400)).await.unwrap(), 1);
    assert_eq!(texts(&pool, EVENTS).await.len(), named);
    assert_eq!(texts(&pool, "SELECT run_id FROM engine_run").await.len(), named - named / 10);
    pool.close().await;
    store.close().await;
}
