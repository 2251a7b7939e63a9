//! Runs as the API shows them, and their cancellation.

use sqlx::{Row, any::AnyRow};

use super::{
    count, delete_steps,
    events::{Rules, RunEnd, tell_of_end},
    json,
};
use crate::{
    ids::{EventId, RunId},
    inngest::{Job, Run, RunStatus},
    store::{Result, Store},
    time::UnixMillis,
};

/// What is to be done next for a run.
#[derive(Clone, Copy, Debug)]
pub struct QueuedJob {
    pub job: Job,
    /// How many of the run's steps are finished.
    pub steps: u32,
}

/// What came of a wish to cancel a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    Now,
    /// It had ended like this before.
    EndedBefore(RunStatus),
    NoSuchRun,
}

impl Store {
    /// Ends a run as cancelled, unless it has ended.
    pub async fn engine_cancel(&self, run: &RunId, rules: &dyn Rules, now: UnixMillis) -> Result<Cancelled> {
        const OUTPUT: &str = "{}";
        let mut tx = self.begin_write().await?;
        let cancelled = sqlx::query(
            "UPDATE engine_run SET lease = NULL, status = $1, output = $2, ended_at = $3 \
             WHERE run_id = $4 AND ended_at IS NULL RETURNING slug, event_id",
        )
        .bind(RunStatus::Cancelled.as_str())
        .bind(OUTPUT)
        .bind(now.0)
        .bind(run.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        let Some(cancelled) = cancelled else {
            drop(tx);
            let ended = self.engine_run(run).await?.map(|run| run.status);
            return Ok(ended.map_or(Cancelled::NoSuchRun, Cancelled::EndedBefore));
        };
        delete_steps(&mut tx, run).await?;
        let event = sqlx::query("SELECT name, body FROM engine_event WHERE event_id = $1")
            .bind(cancelled.try_get::<String, _>("event_id")?)
            .fetch_one(&mut *tx)
            .await?;
        let end = RunEnd {
            run_id: run,
            slug: &cancelled.try_get::<String, _>("slug")?,
            status: &RunStatus::Cancelled,
            output: OUTPUT,
            reason: None,
            event_name: &event.try_get::<String, _>("name")?,
            event: &event.try_get::<String, _>("body")?,
            ended_at: now,
        };
        tell_of_end(&mut tx, &end, rules).await?;
        tx.commit().await?;
        Ok(Cancelled::Now)
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
