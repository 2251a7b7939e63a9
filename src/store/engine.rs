//! The embedded engine's tables as its API sees them: events, functions, runs. [`queue`] moves the runs.

pub mod queue;

use std::{collections::HashSet, time::Duration};

use sqlx::{Any, Row, Transaction, any::AnyRow};
use ulid::Ulid;

use super::{Error, Result, Store};
use crate::{
    ids::{EventId, RunId},
    inngest::{Job, Run, RunStatus},
    time::UnixMillis,
};

/// How long a sender's own event id bars a second run of the same function (as on Inngest).
const OWN_ID_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// An event that was accepted.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub id: EventId,
    /// The sender's own id for it, if it gave one.
    pub own_id: Option<String>,
    pub name: String,
    /// JSON, as a function receives it.
    pub body: String,
    /// Its runs start no earlier.
    pub starts_at: UnixMillis,
}

/// A registered function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// `app-function`.
    pub slug: String,
    /// UUID.
    pub id: String,
    pub name: String,
    pub url: String,
    /// Names of the events that trigger it.
    pub events: Vec<String>,
    pub max_attempts: u32,
}

/// What is to be done next for a run.
#[derive(Clone, Copy, Debug)]
pub struct QueuedJob {
    pub job: Job,
    /// How many of the run's steps are finished.
    pub steps: u32,
}

impl Store {
    /// Records events and the runs they trigger, all or none. An event whose id is known already is
    /// skipped with its runs: sending it again does nothing.
    pub async fn engine_accept(&self, events: &[NewEvent], now: UnixMillis) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let rows = sqlx::query("SELECT slug, id, events FROM engine_function WHERE archived_at IS NULL")
            .fetch_all(&mut *tx)
            .await?;
        let mut triggers = Vec::with_capacity(rows.len());
        for row in &rows {
            let events: HashSet<String> = json("engine_function", &row.try_get::<String, _>("events")?)?;
            triggers.push((row.try_get::<String, _>("slug")?, row.try_get::<String, _>("id")?, events));
        }
        for event in events {
            let inserted = sqlx::query(
                "INSERT INTO engine_event (event_id, name, body, received_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (event_id) DO NOTHING",
            )
            .bind(event.id.as_str())
            .bind(&event.name)
            .bind(&event.body)
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
            if inserted.rows_affected() == 0 {
                continue;
            }
            for (slug, function_id, _) in triggers.iter().filter(|(.., events)| events.contains(&event.name))
            {
                insert_run(&mut tx, event, slug, function_id, now).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Makes `functions` the functions of `app`: those it had beside them are archived. Whether that
    /// changed anything.
    pub async fn engine_sync(&self, app: &str, functions: &[Function], now: UnixMillis) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let known = sqlx::query(
            "SELECT slug, id, name, url, events, max_attempts FROM engine_function \
             WHERE app = $1 AND archived_at IS NULL",
        )
        .bind(app)
        .fetch_all(&mut *tx)
        .await?;
        let known = known.iter().map(function).collect::<Result<HashSet<Function>>>()?;
        let wanted: HashSet<Function> = functions.iter().cloned().collect();
        if known == wanted {
            return Ok(false);
        }
        sqlx::query("UPDATE engine_function SET archived_at = $1 WHERE app = $2 AND archived_at IS NULL")
            .bind(now.0)
            .bind(app)
            .execute(&mut *tx)
            .await?;
        for function in functions {
            sqlx::query(
                "INSERT INTO engine_function (slug, app, id, name, url, events, max_attempts) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (slug) DO UPDATE SET \
                 app = excluded.app, id = excluded.id, name = excluded.name, url = excluded.url, \
                 events = excluded.events, max_attempts = excluded.max_attempts, archived_at = NULL",
            )
            .bind(&function.slug)
            .bind(app)
            .bind(&function.id)
            .bind(&function.name)
            .bind(&function.url)
            .bind(serde_json::json!(function.events).to_string())
            .bind(i64::from(function.max_attempts))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Ends a run as cancelled, unless it has ended. `false`: there is no such run.
    pub async fn engine_cancel(&self, run: &RunId, now: UnixMillis) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let cancelled = sqlx::query(
            "UPDATE engine_run SET lease = NULL, status = $1, output = '{}', ended_at = $2 \
             WHERE run_id = $3 AND ended_at IS NULL",
        )
        .bind(RunStatus::Cancelled.as_str())
        .bind(now.0)
        .bind(run.as_str())
        .execute(&mut *tx)
        .await?;
        if cancelled.rows_affected() == 0 {
            drop(tx);
            return Ok(self.engine_run(run).await?.is_some());
        }
        delete_steps(&mut tx, run).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The runs that an event triggered, oldest first.
    pub async fn engine_event_runs(&self, event: &EventId) -> Result<Vec<Run>> {
        let rows = sqlx::query(
            "SELECT run_id, function_id, event_id, status, queued_at, ended_at, output FROM engine_run \
             WHERE event_id = $1 ORDER BY queued_at, run_id",
        )
        .bind(event.as_str())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_run).collect()
    }

    /// One run.
    pub async fn engine_run(&self, run: &RunId) -> Result<Option<Run>> {
        let row = sqlx::query(
            "SELECT run_id, function_id, event_id, status, queued_at, ended_at, output FROM engine_run \
             WHERE run_id = $1",
        )
        .bind(run.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read_run).transpose()
    }

    /// What is to be done next for a run, or is being done; `None` if it has ended or is unknown.
    pub async fn engine_job(&self, run: &RunId) -> Result<Option<QueuedJob>> {
        let row = sqlx::query(
            "SELECT available_at, attempt, \
             (SELECT COUNT(*) FROM engine_step s WHERE s.run_id = r.run_id) AS steps \
             FROM engine_run r WHERE r.run_id = $1 AND r.ended_at IS NULL",
        )
        .bind(run.as_str())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(QueuedJob {
            job: Job {
                at: UnixMillis(row.try_get("available_at")?),
                attempt: count("engine_run", row.try_get("attempt")?)?,
            },
            steps: count("engine_step", row.try_get("steps")?)?,
        }))
    }
}

async fn insert_run(
    tx: &mut Transaction<'static, Any>,
    event: &NewEvent,
    slug: &str,
    function_id: &str,
    now: UnixMillis,
) -> Result<()> {
    if let Some(own_id) = &event.own_id {
        sqlx::query(
            "UPDATE engine_run SET own_event_id = NULL WHERE slug = $1 AND own_event_id = $2 AND queued_at < $3",
        )
        .bind(slug)
        .bind(own_id)
        .bind(now.0.saturating_sub(OWN_ID_WINDOW.as_millis() as i64))
        .execute(&mut **tx)
        .await?;
    }
    // The conflict that there can be: the function had a run for this own id already.
    sqlx::query(
        "INSERT INTO engine_run (run_id, event_id, own_event_id, slug, function_id, status, queued_at, \
         attempt, req_version, available_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, -1, $8) \
         ON CONFLICT DO NOTHING",
    )
    .bind(Ulid::new().to_string())
    .bind(event.id.as_str())
    .bind(event.own_id.as_deref())
    .bind(slug)
    .bind(function_id)
    .bind(RunStatus::Scheduled.as_str())
    .bind(now.0)
    .bind(event.starts_at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn delete_steps(tx: &mut Transaction<'static, Any>, run: &RunId) -> Result<()> {
    sqlx::query("DELETE FROM engine_step WHERE run_id = $1").bind(run.as_str()).execute(&mut **tx).await?;
    Ok(())
}

fn read_run(row: &AnyRow) -> Result<Run> {
    let output: Option<String> = row.try_get("output")?;
    Ok(Run {
        run_id: RunId::from(row.try_get::<String, _>("run_id")?),
        function_id: row.try_get("function_id")?,
        event_id: EventId::from(row.try_get::<String, _>("event_id")?),
        status: RunStatus::from(row.try_get::<String, _>("status")?.as_str()),
        run_started_at: UnixMillis(row.try_get("queued_at")?),
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(UnixMillis),
        output: output.map(|text| json("engine_run", &text)).transpose()?,
    })
}

fn function(row: &AnyRow) -> Result<Function> {
    Ok(Function {
        slug: row.try_get("slug")?,
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        url: row.try_get("url")?,
        events: json("engine_function", &row.try_get::<String, _>("events")?)?,
        max_attempts: count("engine_function", row.try_get("max_attempts")?)?,
    })
}

fn json<T: serde::de::DeserializeOwned>(table: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt { table, why: error.to_string() })
}

fn count(table: &'static str, value: i64) -> Result<u32> {
    u32::try_from(value).map_err(|error| Error::Corrupt { table, why: error.to_string() })
}
