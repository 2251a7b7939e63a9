//! SQL of the replicas: which processes work on this database, and which of them leads.
//!
//! A replica lives as long as it renews its row. All that it has leased, the lead and the watches, names that row, so
//! that one statement a second renews them all. Times are those of the database, because clocks of machines differ.

use std::{str::FromStr, time::Duration};

use sqlx::{AnyConnection, ConnectOptions, any::AnyConnectOptions};
use tokio::time::timeout;

use super::{Error, Result, Store, abandoned::limit_lease};

/// How long a replica lives after it last renewed its row. What it did is taken over then.
pub const LIVES_FOR: Duration = Duration::from_secs(5);

/// How long one statement may take. A connection that is slower is replaced.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The database's time in milliseconds.
const NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// A dead row is kept for so long, in milliseconds: an operator may look at it, and nobody reads it.
const KEPT_FOR: i64 = 60 * 60 * 1000;

/// What a renewal found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Whether this replica leads.
    pub leads: bool,
    /// How many replicas live, with this one.
    pub live: usize,
    /// The first, in alphabetical order, of the other public addresses that differ.
    pub other_public_url: Option<String>,
}

/// A connection of its own, for the row of this process and for what it tells: a busy pool must not cost a lease, nor make
/// this replica deaf.
#[derive(Debug)]
pub struct ReplicaConnection {
    options: AnyConnectOptions,
    connection: Option<AnyConnection>,
}

impl ReplicaConnection {
    /// # Errors
    /// If `url` is none of a Postgres.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self { options: AnyConnectOptions::from_str(url)?, connection: None })
    }

    /// Removes the rows of this data folder, at the start of its process. They are of processes that have ended, because
    /// a folder has one process at a time: what they have leased is free at once.
    pub async fn forget(&mut self, folder: &str) -> Result<()> {
        self.run(async |connection| {
            let delete = sqlx::query("DELETE FROM replica WHERE folder = $1").bind(folder);
            delete.execute(connection).await.map(drop)
        })
        .await
    }

    /// Adds the replica `id`. `public_url` is empty if none is set.
    pub async fn join(&mut self, id: &str, folder: &str, public_url: &str) -> Result<()> {
        self.run(async |connection| {
            let insert =
                format!("INSERT INTO replica (id, folder, seen_at, public_url) VALUES ($1, $2, {NOW}, $3)");
            let insert = sqlx::query(sqlx::AssertSqlSafe(insert)).bind(id).bind(folder).bind(public_url);
            insert.execute(connection).await.map(drop)
        })
        .await
    }

    /// Renews the row of `id`, and takes the lead if nobody has it; or gives the lead up if it may not have it. None: the
    /// row was not renewed in time, and others may have taken over what it had leased.
    pub async fn renew(&mut self, id: &str, may_lead: bool) -> Result<Option<Renewed>> {
        self.run(async |connection| {
            let lives = lives();
            let renew = format!("UPDATE replica SET seen_at = {NOW} WHERE id = $1 AND {lives}");
            let renewed = sqlx::query(sqlx::AssertSqlSafe(renew)).bind(id).execute(&mut *connection).await?;
            if renewed.rows_affected() == 0 {
                return Ok(None);
            }
            let lead = if may_lead {
                format!(
                    "INSERT INTO lease (name, replica_id) VALUES ('lead', $1) ON CONFLICT (name) DO UPDATE \
                     SET replica_id = $1 WHERE lease.replica_id NOT IN (SELECT id FROM replica WHERE {lives})"
                )
            } else {
                "DELETE FROM lease WHERE name = 'lead' AND replica_id = $1".to_owned()
            };
            sqlx::query(sqlx::AssertSqlSafe(lead)).bind(id).execute(&mut *connection).await?;
            let state = format!(
                "SELECT CAST(COUNT(*) AS BIGINT), \
                     CAST((SELECT COUNT(*) FROM lease WHERE name = 'lead' AND replica_id = $1) AS BIGINT), \
                     (SELECT MIN(public_url) FROM replica WHERE {lives} \
                      AND public_url <> (SELECT public_url FROM replica WHERE id = $1)) \
                 FROM replica WHERE {lives}"
            );
            let (live, leads, other_public_url): (i64, i64, Option<String>) =
                sqlx::query_as(sqlx::AssertSqlSafe(state)).bind(id).fetch_one(connection).await?;
            let live = usize::try_from(live).unwrap_or(1).max(1);
            Ok(Some(Renewed { leads: leads > 0, live, other_public_url }))
        })
        .await
    }

    /// Removes the row of `id`, so that others take over at once, and rows of long ago.
    pub async fn leave(&mut self, id: &str) -> Result<()> {
        self.run(async |connection| {
            let delete = format!("DELETE FROM replica WHERE id = $1 OR seen_at < {NOW} - {KEPT_FOR}");
            sqlx::query(sqlx::AssertSqlSafe(delete)).bind(id).execute(connection).await.map(drop)
        })
        .await
    }

    /// Sends `payload` to all processes that listen on `channel`.
    pub async fn notify(&mut self, channel: &str, payload: &str) -> Result<()> {
        self.run(async |connection| {
            let notify = sqlx::query("SELECT 1 FROM (SELECT pg_notify($1, $2)) AS notified");
            notify.bind(channel).bind(payload).execute(connection).await.map(drop)
        })
        .await
    }

    /// Runs statements on the connection, which is made again after any failure.
    async fn run<T>(
        &mut self,
        statements: impl AsyncFnOnce(&mut AnyConnection) -> std::result::Result<T, sqlx::Error>,
    ) -> Result<T> {
        let done = timeout(ANSWERS_WITHIN, async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => {
                    let mut connection = self.options.connect().await?;
                    limit_lease(&mut connection).await?;
                    connection
                }
            };
            let result = statements(&mut connection).await?;
            Ok((connection, result))
        });
        let (connection, result) = done.await.map_err(|_| Error::NoAnswer)?.map_err(Error::Database)?;
        self.connection = Some(connection);
        Ok(result)
    }
}

/// The condition that a row of `replica` is of one that lives.
pub(super) fn lives() -> String {
    format!("seen_at > {NOW} - {}", LIVES_FOR.as_millis())
}

impl Store {
    /// The schema of the tables, by which databases that share a server differ.
    pub async fn schema(&self) -> Result<String> {
        Ok(sqlx::query_scalar("SELECT CAST(current_schema() AS TEXT)").fetch_one(&self.pool).await?)
    }
}
