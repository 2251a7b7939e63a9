//! Old imports, inserted directly into the database.

use std::time::Duration;

use runboard::base::time::UnixMillis;
use sqlx::AnyPool;
use ulid::Ulid;

use crate::support::{
    TestApp, database,
    visitor::{Visitor, attributes},
};

pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An import that ended `age` ago.
pub struct Seed<'s> {
    pub name: &'s str,
    pub state: &'s str,
    pub failed: Option<i64>,
    pub age: Duration,
}

pub fn database(app: &TestApp) -> String {
    database::url(app.data.path())
}

/// Inserts imports and returns their ids.
pub async fn seed(database: &str, email: &str, seeds: &[Seed<'_>]) -> Vec<String> {
    let pool = AnyPool::connect(database).await.unwrap();
    let account: String = sqlx::query_scalar("SELECT id FROM account WHERE email = $1")
        .bind(email)
        .fetch_one(&pool)
        .await
        .unwrap();
    // The transaction writes first: SQLite refuses to write after a read if another has written in between.
    let mut tx = pool.begin().await.unwrap();
    let mut ids = Vec::new();
    for seed in seeds {
        let at = UnixMillis::now().minus(seed.age).0;
        let id = Ulid::from_parts(u64::try_from(at).unwrap(), rand::random()).to_string();
        sqlx::query(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, \
             sent_at, finished_at, state, failed_rows, search_name) \
             VALUES ($1, $2, $3, 1, $4, $4, $1, $4, $4, $5, $6, $3)",
        )
        .bind(&id)
        .bind(&account)
        .bind(seed.name)
        .bind(at)
        .bind(seed.state)
        .bind(seed.failed)
        .execute(&mut *tx)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO run (run_id, import_id, function_id, status, queued_at, ended_at, processed, failed) \
             VALUES ($1, $1, 'f', $2, $3, $3, 1, $4)",
        )
        .bind(&id)
        .bind(seed.state)
        .bind(at)
        .bind(seed.failed)
        .execute(&mut *tx)
        .await
        .unwrap();
        ids.push(id);
    }
    tx.commit().await.unwrap();
    pool.close().await;
    ids
}

pub async fn page(visitor: &Visitor, path: &str) -> String {
    let answer = visitor.get(path).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

/// The imports of the history, in its order.
pub fn ids(html: &str) -> Vec<String> {
    attributes(html.split_once("id=\"history\"").unwrap().1, "data-import-id")
}

/// The target of the link `label`.
pub fn link(html: &str, label: &str) -> Option<String> {
    let before = html.split(&format!("\">{label}</a>")).next().filter(|before| before.len() < html.len())?;
    let to = before.rsplit("href=\"").next()?;
    Some(to.replace("&#38;", "&").replace("&amp;", "&"))
}

/// The text between the tags.
pub fn text(html: &str) -> String {
    html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect()
}
