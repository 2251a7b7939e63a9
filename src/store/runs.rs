//! SQL of the runs that our events triggered.

use serde_json::Value;
use sqlx::{Row, any::AnyRow};

use super::{Error, Result, Store, executions, import_state::settle, imports::lock_import, to_bigint};
use crate::{
    base::{
        ids::{ImportId, RunId},
        time::UnixMillis,
    },
    csv::Counts,
    inngest::{Run, RunFailure, RunOutput, RunStatus},
    store::executions::Execution,
};

/// A row of `run`, with what our own function knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    pub run_id: RunId,
    pub import: ImportId,
    pub function_id: String,
    /// The engine's name of the function; None while unknown.
    pub function_name: Option<String>,
    pub status: RunStatus,
    pub queued_at: UnixMillis,
    /// When it left the engine's queue, if it was seen in the queue.
    pub started_at: Option<UnixMillis>,
    pub ended_at: Option<UnixMillis>,
    /// When the engine was found to have lost it.
    pub lost_at: Option<UnixMillis>,
    /// The time of the last observed change.
    pub news_at: UnixMillis,
    /// The sums of the finished steps while the run continues; final once it has ended. None while unknown.
    pub counts: Option<Counts>,
    /// The bytes of the file that the finished steps have read.
    pub bytes: u64,
    pub output: Option<RunOutput>,
    /// What our own function told of the run; None for another's.
    pub execution: Option<Execution>,
}

/// All columns before those of the execution. Reads only the beginning of a large output.
const COLUMNS: &str = "run.run_id, run.import_id, run.function_id, run.function_name, run.status, \
     run.queued_at, run.started_at AS run_started_at, run.ended_at, run.lost_at, run.news_at, run.processed, run.failed, run.failure, \
     CASE WHEN OCTET_LENGTH(run.output) <= 16384 THEN run.output ELSE SUBSTR(run.output, 1, 4096) END AS output, \
     CAST(OCTET_LENGTH(run.output) AS BIGINT) AS output_bytes, \
     (SELECT CAST(SUM(step.processed) AS BIGINT) FROM step WHERE step.run_id = run.run_id) AS steps_processed, \
     (SELECT CAST(SUM(step.failed) AS BIGINT) FROM step WHERE step.run_id = run.run_id) AS steps_failed, \
     (SELECT MAX(step.end_byte) FROM step WHERE step.run_id = run.run_id) AS steps_bytes, \
     (SELECT MAX(step.committed_at) FROM step WHERE step.run_id = run.run_id) AS steps_at";

impl Store {
    /// Records what the engine says about a run. A run that is recorded as ended never changes again. Records
    /// nothing and returns false if the import was deleted.
    ///
    /// `counts` are those of its output, if it contains any; otherwise the sums of its finished steps, at its
    /// end. Recording an end closes the run: none of its steps can be committed afterwards.
    pub async fn record_run(
        &self,
        import: ImportId,
        run: &Run,
        counts: Option<Counts>,
        now: UnixMillis,
    ) -> Result<bool> {
        let failure = run.output.as_ref().and_then(|output| RunFailure::of(output, &run.status));
        let failure = failure.map(|failure| serde_json::to_string(&failure)).transpose().map_err(corrupt)?;
        let mut tx = self.begin_write_of(&run.run_id).await?;
        if !lock_import(&mut tx, import).await? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO run (run_id, import_id, function_id, status, queued_at, ended_at, output, processed, failed, \
             function_name, news_at, failure) VALUES ($1, $2, $3, $4, $5, $6, $7, \
                 COALESCE($8, CASE WHEN $6 IS NULL THEN NULL ELSE \
                     (SELECT CAST(SUM(processed) AS BIGINT) FROM step WHERE run_id = $1) END), \
                 COALESCE($9, CASE WHEN $6 IS NULL THEN NULL ELSE \
                     (SELECT CAST(SUM(failed) AS BIGINT) FROM step WHERE run_id = $1) END), $10, $11, $12) \
             ON CONFLICT (run_id, import_id) DO UPDATE SET status = excluded.status, ended_at = excluded.ended_at, \
                 output = excluded.output, processed = excluded.processed, failed = excluded.failed, \
                 function_name = COALESCE(run.function_name, excluded.function_name), \
                 news_at = excluded.news_at, failure = excluded.failure, lost_at = NULL \
             WHERE run.ended_at IS NULL",
        )
        .bind(run.run_id.as_str())
        .bind(import.to_string())
        .bind(&run.function_id)
        .bind(run.status.as_str())
        .bind(run.run_started_at.0)
        .bind(run.ended_at.map(|at| at.0))
        .bind(run.output.as_ref().map(Value::to_string))
        .bind(counts.map(|counts| to_bigint(counts.processed)))
        .bind(counts.map(|counts| to_bigint(counts.failed)))
        .bind(&run.function_name)
        .bind(now.0)
        .bind(failure)
        .execute(&mut *tx)
        .await?;
        settle(&mut tx, import).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Records when a run left the engine's queue, unless its end is recorded.
    pub async fn start_run(&self, import: ImportId, run: &RunId, at: UnixMillis) -> Result<()> {
        let mut tx = self.begin_write_of(run).await?;
        sqlx::query(
            "UPDATE run SET started_at = $3 WHERE run_id = $1 AND import_id = $2 AND ended_at IS NULL",
        )
        .bind(run.as_str())
        .bind(import.to_string())
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Records that the engine has lost a run, unless the run has ended.
    pub async fn lose_run(&self, import: ImportId, run: &RunId, now: UnixMillis) -> Result<()> {
        // Locks in the same order as `record_run`, so that the two cannot deadlock.
        let mut tx = self.begin_write_of(run).await?;
        if !lock_import(&mut tx, import).await? {
            return Ok(());
        }
        sqlx::query("UPDATE run SET lost_at = $3 WHERE run_id = $1 AND import_id = $2 AND ended_at IS NULL")
            .bind(run.as_str())
            .bind(import.to_string())
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        settle(&mut tx, import).await?;
        Ok(tx.commit().await?)
    }

    /// The runs of `imports`; those of one import in the order of their ids.
    pub async fn runs_of(&self, imports: &[ImportId]) -> Result<Vec<RunRow>> {
        let select = format!(
            "SELECT {COLUMNS}, {} FROM run LEFT JOIN execution ON execution.run_id = run.run_id \
             WHERE run.import_id",
            executions::COLUMNS
        );
        self.fetch_of(&select, imports, "run.run_id", read_run).await
    }

    /// At most `length` characters of the output of an ended run, from the character at `start` (0-based).
    pub async fn output_part(
        &self,
        import: ImportId,
        run: &RunId,
        start: u64,
        length: u32,
    ) -> Result<Option<String>> {
        let part: Option<Option<String>> = sqlx::query_scalar(
            "SELECT SUBSTR(output, CAST($3 AS INTEGER), CAST($4 AS INTEGER)) FROM run \
             WHERE import_id = $1 AND run_id = $2 AND ended_at IS NOT NULL",
        )
        .bind(import.to_string())
        .bind(run.as_str())
        .bind(to_bigint(start.saturating_add(1)))
        .bind(i64::from(length))
        .fetch_optional(&self.pool)
        .await?;
        Ok(part.flatten().filter(|part| !part.is_empty()))
    }
}

fn read_run(row: &AnyRow) -> Result<RunRow> {
    let count = |column: &str| -> Result<Option<u64>> {
        Ok(row.try_get::<Option<i64>, _>(column)?.and_then(|n| u64::try_from(n).ok()))
    };
    let counts = |processed, failed| -> Result<Option<Counts>> {
        Ok(count(processed)?.zip(count(failed)?).map(|(processed, failed)| Counts { processed, failed }))
    };
    let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(|at| at.map(UnixMillis));
    let queued_at = UnixMillis(row.try_get("queued_at")?);
    let ended_at = time("ended_at")?;
    let recorded = counts("processed", "failed")?;
    let of_steps = counts("steps_processed", "steps_failed")?;
    let status = RunStatus::from(row.try_get::<String, _>("status")?.as_str());
    Ok(RunRow {
        run_id: row.try_get::<String, _>("run_id")?.into(),
        import: row.try_get::<String, _>("import_id")?.parse().map_err(corrupt)?,
        function_id: row.try_get("function_id")?,
        function_name: row.try_get("function_name")?,
        output: read_output(row, &status)?,
        status,
        queued_at,
        started_at: time("run_started_at")?,
        ended_at,
        lost_at: time("lost_at")?,
        news_at: [time("news_at")?, time("steps_at")?].into_iter().flatten().fold(queued_at, UnixMillis::max),
        counts: if ended_at.is_some() { recorded } else { of_steps },
        bytes: count("steps_bytes")?.unwrap_or(0),
        execution: executions::read_execution(row)?,
    })
}

fn read_output(row: &AnyRow, status: &RunStatus) -> Result<Option<RunOutput>> {
    let Some(start) = row.try_get::<Option<String>, _>("output")? else { return Ok(None) };
    let bytes = u64::try_from(row.try_get::<i64, _>("output_bytes")?).unwrap_or(0);
    let failure = match row.try_get::<Option<String>, _>("failure")? {
        Some(failure) => Some(serde_json::from_str(&failure).map_err(corrupt)?),
        // The row was recorded by a version without this column. A part of an output is not valid JSON.
        None if *status == RunStatus::Failed => {
            serde_json::from_str(&start).ok().and_then(|output| RunFailure::of(&output, status))
        }
        None => None,
    };
    Ok(Some(RunOutput::new(&start, bytes, failure)))
}

fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::Corrupt { table: "run", why: error.to_string() }
}
