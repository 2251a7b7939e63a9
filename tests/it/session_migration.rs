//! Sessions of an earlier version.

use runboard::{base::time::UnixMillis, store::Store};
use sqlx::{AnyPool, Row};

use crate::support::{database, migration::database_before};

#[tokio::test]
async fn expired_sessions_are_found_by_their_time_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::in_file(folder.path());
    let before = database_before(17, &url).await;
    sqlx::query("INSERT INTO account VALUES ('a', 'a@example.org', '', 0, NULL)")
        .execute(&before)
        .await
        .unwrap();
    for (token, expires_at) in [("old", 10), ("new", 30)] {
        sqlx::query(
            "INSERT INTO session (token_hash, account_id, created_at, expires_at) VALUES ($1, 'a', 0, $2)",
        )
        .bind(token)
        .bind(expires_at)
        .execute(&before)
        .await
        .unwrap();
    }
    let store = Store::open(&url).await.unwrap();
    store.delete_expired_sessions(UnixMillis(20)).await.unwrap();
    let left: Vec<String> =
        sqlx::query_scalar("SELECT token_hash FROM session").fetch_all(&before).await.unwrap();
    assert_eq!(left, ["new"]);
    // A connection from before the migration describes the old tables.
    let after = AnyPool::connect(&url).await.unwrap();
    let plan = sqlx::query("EXPLAIN QUERY PLAN DELETE FROM session WHERE expires_at <= 20")
        .fetch_one(&after)
        .await
        .unwrap()
        .get::<String, _>("detail");
    assert!(plan.contains("INDEX session_by_expiry"), "{plan}");
    store.close().await;
}
