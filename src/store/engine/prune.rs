//! Deleting events that belong to no import, with their runs. Every ended run and every event is read once, in
//! chunks, because those of imports are kept and may be many.

use std::collections::BTreeSet;

use sqlx::{Any, Executor, Row};

use crate::{
    base::time::UnixMillis,
    store::{LONGEST_LIST, Result, Store, files::bind_all, placeholders},
};

/// What is read, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneBy {
    /// Runs, by the time at which they ended.
    EndOfRun,
    /// Events, by the time at which they were received. This finds events without runs.
    Event,
}

/// A position: after the time `at`, or at that time and after `id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneCursor {
    pub at: UnixMillis,
    pub id: String,
}

/// The outcome of one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The number of deleted events.
    pub events: u64,
    /// Where the next chunk begins. None if this was the last one.
    pub next: Option<PruneCursor>,
}

impl PruneBy {
    fn select(self) -> &'static str {
        match self {
            Self::EndOfRun => {
                "SELECT event_id, ended_at AS at, run_id AS id FROM engine_run \
                 WHERE (ended_at, run_id) > ($1, $2) AND ended_at < $3 ORDER BY ended_at, run_id LIMIT $4"
            }
            Self::Event => {
                "SELECT event_id, received_at AS at, event_id AS id FROM engine_event \
                 WHERE (received_at, event_id) > ($1, $2) AND received_at < $3 \
                 ORDER BY received_at, event_id LIMIT $4"
            }
        }
    }
}

impl Store {
    /// Reads the next [`LONGEST_LIST`] runs or events after `cursor` and before `before`. Deletes those of their
    /// events, in one transaction, that belong to no import and whose runs all ended before `before`.
    pub async fn engine_prune(
        &self,
        by: PruneBy,
        cursor: &PruneCursor,
        before: UnixMillis,
    ) -> Result<Pruned> {
        let rows = sqlx::query(by.select())
            .bind(cursor.at.0)
            .bind(&cursor.id)
            .bind(before.0)
            .bind(LONGEST_LIST as i64)
            .fetch_all(&self.pool)
            .await?;
        let Some(last) = rows.last() else { return Ok(Pruned { events: 0, next: None }) };
        let next = PruneCursor { at: UnixMillis(last.try_get("at")?), id: last.try_get("id")? };
        let events = rows.iter().map(|row| Ok(row.try_get("event_id")?)).collect::<Result<BTreeSet<_>>>()?;
        let events: Vec<String> = events.into_iter().collect();
        let events = self.engine_delete_prunable(&events, before).await?;
        Ok(Pruned { events, next: (rows.len() == LONGEST_LIST).then_some(next) })
    }

    async fn engine_delete_prunable(&self, events: &[String], before: UnixMillis) -> Result<u64> {
        // Usually there is nothing to delete.
        let events = prunable(&self.pool, events, before).await?;
        if events.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin_write().await?;
        if self.is_postgres {
            // SQLite has no other writer meanwhile. On Postgres, the lock prevents new runs of these events.
            let lock = format!(
                "SELECT event_id FROM engine_event WHERE event_id IN ({}) ORDER BY event_id FOR UPDATE",
                placeholders(events.len())
            );
            bind_all(sqlx::query(sqlx::AssertSqlSafe(lock)), &events).fetch_all(&mut *tx).await?;
        }
        // Read again, because a run may have been added since.
        let events = prunable(&mut *tx, &events, before).await?;
        if events.is_empty() {
            return Ok(0);
        }
        let list = placeholders(events.len());
        for sql in [
            format!(
                "DELETE FROM engine_step WHERE run_id IN \
                 (SELECT run_id FROM engine_run WHERE event_id IN ({list}))"
            ),
            format!("DELETE FROM engine_run WHERE event_id IN ({list})"),
            format!("DELETE FROM engine_event WHERE event_id IN ({list})"),
        ] {
            bind_all(sqlx::query(sqlx::AssertSqlSafe(sql)), &events).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(events.len() as u64)
    }
}

/// Those of `events` that belong to no import and whose runs all ended before `before`.
async fn prunable(
    executor: impl Executor<'_, Database = Any>,
    events: &[String],
    before: UnixMillis,
) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT event_id FROM engine_event WHERE event_id IN ({}) \
         AND NOT EXISTS (SELECT 1 FROM import WHERE import.event_id = engine_event.event_id) \
         AND NOT EXISTS (SELECT 1 FROM engine_run WHERE engine_run.event_id = engine_event.event_id \
             AND (engine_run.ended_at IS NULL OR engine_run.ended_at >= ${}))",
        placeholders(events.len()),
        events.len() + 1
    );
    let rows =
        bind_all(sqlx::query(sqlx::AssertSqlSafe(sql)), events).bind(before.0).fetch_all(executor).await?;
    rows.iter().map(|row| Ok(row.try_get("event_id")?)).collect()
}
