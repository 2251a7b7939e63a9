//! What the database says of the replicas and of what they do.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use sqlx::{AnyPool, AssertSqlSafe, any::AnyPoolOptions};

/// The condition that a row of `replica` is of one that lives.
const LIVES: &str = "seen_at > CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) - 5000";

/// The files that steps name.
const STEP_FILES: &str = "SELECT processed_file AS file FROM step WHERE processed_file IS NOT NULL \
     UNION ALL SELECT failed_file FROM step WHERE failed_file IS NOT NULL \
     UNION ALL SELECT raw_file FROM step WHERE raw_file IS NOT NULL \
     UNION ALL SELECT source_file FROM step WHERE source_file IS NOT NULL";

/// The database, on connections that no test cuts.
#[derive(Clone)]
pub struct Rows {
    pool: AnyPool,
    /// How many statements this has run.
    asked: Arc<AtomicI64>,
}

impl Rows {
    pub fn of(url: &str) -> Self {
        sqlx::any::install_default_drivers();
        // A test of a connection would be another transaction.
        let options = AnyPoolOptions::new().max_connections(4).test_before_acquire(false);
        Self { pool: options.connect_lazy(url).unwrap(), asked: Arc::default() }
    }

    /// For one statement.
    fn pool(&self) -> &AnyPool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        &self.pool
    }

    pub async fn count(&self, of: &str) -> i64 {
        let count = format!("SELECT CAST(COUNT(*) AS BIGINT) FROM {of}");
        sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(self.pool()).await.unwrap()
    }

    /// The sum of numbers of one row.
    pub async fn number(&self, of: &str) -> i64 {
        let number = format!("SELECT CAST(COALESCE({of}, 0) AS BIGINT)");
        sqlx::query_scalar(AssertSqlSafe(number)).fetch_one(self.pool()).await.unwrap()
    }

    async fn texts(&self, select: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(select.to_owned())).fetch_all(self.pool()).await.unwrap()
    }

    /// The id and the name of the data folder of the live replica that leads.
    pub async fn leader(&self) -> Option<(String, String)> {
        let select = format!(
            "SELECT r.id, r.folder FROM lease l JOIN replica r ON r.id = l.replica_id \
             WHERE l.name = 'lead' AND r.{LIVES}"
        );
        sqlx::query_as(AssertSqlSafe(select)).fetch_optional(self.pool()).await.unwrap()
    }

    /// The same of the live replica that watches an import.
    pub async fn watcher(&self, import: &str) -> Option<(String, String)> {
        let select = format!(
            "SELECT r.id, r.folder FROM import i JOIN replica r ON r.id = i.watched_by \
             WHERE i.id = $1 AND r.{LIVES}"
        );
        let id = import.rsplit('/').next().unwrap();
        sqlx::query_as(AssertSqlSafe(select)).bind(id).fetch_optional(self.pool()).await.unwrap()
    }

    /// How many replicas live.
    pub async fn live(&self) -> i64 {
        self.count(&format!("replica WHERE {LIVES}")).await
    }

    /// The ids of the replicas that have the data folder of this name.
    pub async fn ids_of(&self, folder: &str) -> Vec<String> {
        self.texts(&format!("SELECT id FROM replica WHERE folder = '{folder}'")).await
    }

    /// How much the replica `id` still has: the lead, and unfinished imports that it watches.
    pub async fn leased_by(&self, id: &str) -> i64 {
        let lead = self.count(&format!("lease WHERE replica_id = '{id}'")).await;
        lead + self.count(&format!("import WHERE finished_at IS NULL AND watched_by = '{id}'")).await
    }

    /// The unfinished imports that no live replica watches.
    pub async fn watched_by_nobody(&self) -> Vec<String> {
        self.texts(&format!(
            "SELECT id FROM import WHERE finished_at IS NULL AND held_until IS NULL AND NOT EXISTS \
             (SELECT 1 FROM replica WHERE replica.id = import.watched_by AND {LIVES})"
        ))
        .await
    }

    /// The imports whose event has not exactly one run, at the engine and as recorded.
    pub async fn without_one_run(&self) -> Vec<String> {
        self.texts(
            "SELECT id FROM import WHERE \
             (SELECT COUNT(*) FROM engine_run r WHERE r.event_id = import.event_id) <> 1 OR \
             (SELECT COUNT(*) FROM run WHERE run.import_id = import.id) <> 1",
        )
        .await
    }

    /// The ids and file names of all imports.
    pub async fn imports(&self) -> Vec<(String, String)> {
        sqlx::query_as("SELECT id, file_name FROM import").fetch_all(self.pool()).await.unwrap()
    }

    /// The names of the objects that steps name.
    pub async fn step_files(&self) -> Vec<String> {
        self.texts(STEP_FILES).await
    }

    /// How many transactions Postgres has committed, as it says about once a second.
    pub async fn commits(&self) -> i64 {
        self.number("(SELECT SUM(xact_commit) FROM pg_stat_database WHERE datname = current_database())")
            .await
    }
}
