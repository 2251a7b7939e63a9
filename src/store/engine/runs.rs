//! Runs as the API shows them, and their cancellation.

use serde_json::Value;
use sqlx::{Row, any::AnyRow};

use super::{
    count, delete_steps,
    events::{Rules, RunEnd, tell_of_end},
    json,
    queue::{StepOutput, steps_of},
};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    inngest::{Job, JobKind, Run, RunStatus},
    store::{Result, Store},
};

/// The next job of a run.
#[derive(Clone, Copy, Debug)]
pub struct QueuedJob {
    pub job: Job,
    /// The number of the run's finished steps.
    pub steps: u32,
}

/// A run with the names of its function.
#[derive(Clone, Debug)]
pub struct ListedRun {
    pub run_id: RunId,
    pub app: String,
    /// `app-function`.
    pub slug: String,
    pub name: String,
    pub status: RunStatus,
    pub queued_at: UnixMillis,
    /// When its function was first called. None: not yet, or by an older version.
    pub started_at: Option<UnixMillis>,
    pub ended_at: Option<UnixMillis>,
    /// None: not requested, or the run has not ended.
    pub output: Option<Value>,
}

/// The state that a run's function needs for its next step.
#[derive(Clone, Debug)]
pub struct State {
    /// JSON in the form that functions receive.
    pub event: String,
    pub steps: Vec<StepOutput>,
}

/// The result of a request to cancel a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    Now,
    /// The run had ended before, with this status.
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
             WHERE run_id = $4 AND ended_at IS NULL RETURNING slug, event_id, tenant",
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
            tenant: &cancelled.try_get::<String, _>("tenant")?,
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

    /// At most `limit` of the runs that an event triggered, in the order of their ids, after `after`.
    pub async fn engine_list_runs(
        &self,
        event: &EventId,
        after: Option<&RunId>,
        limit: u32,
        with_output: bool,
    ) -> Result<Vec<ListedRun>> {
        let rows = sqlx::query(
            "SELECT r.run_id, f.app, f.slug, f.name, r.status, r.queued_at, r.started_at, r.ended_at, \
             CASE WHEN $1 = 1 THEN r.output END AS output \
             FROM engine_run r JOIN engine_function f ON f.slug = r.slug \
             WHERE r.event_id = $2 AND r.run_id > $3 ORDER BY r.run_id LIMIT $4",
        )
        .bind(i64::from(with_output))
        .bind(event.as_str())
        .bind(after.map_or("", RunId::as_str))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_listed).collect()
    }

    /// The state that a run's function needs; without steps once the run has ended. None: no such run.
    pub async fn engine_state(&self, run: &RunId) -> Result<Option<State>> {
        let event: Option<String> = sqlx::query_scalar(
            "SELECT e.body FROM engine_run r JOIN engine_event e ON e.event_id = r.event_id WHERE r.run_id = $1",
        )
        .bind(run.as_str())
        .fetch_optional(&self.pool)
        .await?;
        let Some(event) = event else { return Ok(None) };
        let steps = steps_of(&self.pool, run).await?;
        Ok(Some(State { event, steps }))
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

    /// The current or next job of a run; None if the run has ended or is unknown.
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
        let steps = count("engine_step", row.try_get("steps")?)?;
        Ok(Some(QueuedJob {
            job: Job {
                kind: if steps == 0 { JobKind::Start } else { JobKind::Edge },
                at: UnixMillis(row.try_get("available_at")?),
                attempt: count("engine_run", row.try_get("attempt")?)?,
            },
            steps,
        }))
    }
}

fn read_listed(row: &AnyRow) -> Result<ListedRun> {
    let output: Option<String> = row.try_get("output")?;
    Ok(ListedRun {
        run_id: RunId::from(row.try_get::<String, _>("run_id")?),
        app: row.try_get("app")?,
        slug: row.try_get("slug")?,
        name: row.try_get("name")?,
        status: RunStatus::from(row.try_get::<String, _>("status")?.as_str()),
        queued_at: UnixMillis(row.try_get("queued_at")?),
        started_at: row.try_get::<Option<i64>, _>("started_at")?.map(UnixMillis),
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(UnixMillis),
        output: output.map(|text| json("engine_run", &text)).transpose()?,
    })
}

fn read_run(row: &AnyRow) -> Result<Run> {
    let output: Option<String> = row.try_get("output")?;
    Ok(Run {
        run_id: RunId::from(row.try_get::<String, _>("run_id")?),
        function_id: row.try_get("function_id")?,
        function_name: None,
        event_id: EventId::from(row.try_get::<String, _>("event_id")?),
        status: RunStatus::from(row.try_get::<String, _>("status")?.as_str()),
        run_started_at: UnixMillis(row.try_get("queued_at")?),
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(UnixMillis),
        output: output.map(|text| json("engine_run", &text)).transpose()?,
    })
}
