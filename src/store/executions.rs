//! SQL of executions: what our function knows about a run that it was called for, and the engine's API does
//! not tell.

use serde::{Deserialize, Serialize};
use sqlx::{Row, any::AnyRow};

use super::{Error, Result, Store, search_name::SearchName};
use crate::base::{
    ids::{EventId, RunId},
    time::UnixMillis,
};

/// What the calls of our function say about their run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    pub function: String,
    /// When this run was first called.
    pub started_at: UnixMillis,
    /// 1-based.
    pub attempt: u32,
    pub max_attempts: u32,
    /// Why the last attempt failed; None once the next attempt has begun.
    pub error: Option<AttemptError>,
    /// The failed attempts before it, in order.
    pub earlier: Vec<FailedAttempt>,
}

/// A failed attempt that was followed by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// 1-based.
    pub attempt: u32,
    /// A sentence for people.
    pub message: String,
    pub at: UnixMillis,
}

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptError {
    /// A sentence for people.
    pub message: String,
    pub at: UnixMillis,
    /// No attempt follows: the run is about to end.
    pub is_final: bool,
}

/// The columns that [`read_execution`] reads.
pub(super) const COLUMNS: &str = "execution.function, execution.started_at, execution.attempt, \
     execution.max_attempts, execution.error, execution.error_at, execution.error_final, execution.earlier";

impl Store {
    /// Whether the file of the import that sent `event` has the name that came with the request.
    pub async fn has_chosen_name(&self, event: &EventId) -> Result<bool> {
        let chosen = sqlx::query("SELECT 1 FROM import WHERE event_id = $1 AND has_chosen_name = 1")
            .bind(event.as_str())
            .fetch_optional(&self.pool)
            .await?;
        Ok(chosen.is_some())
    }

    /// Sets the file name of the import that sent `event` for an address.
    pub async fn name_fetched(&self, event: &EventId, file_name: &str) -> Result<()> {
        let search_name = SearchName::of(file_name);
        let name = sqlx::query(
            "UPDATE import SET file_name = $2, search_name = $3 WHERE event_id = $1 AND source_url IS NOT NULL",
        )
        .bind(event.as_str())
        .bind(file_name)
        .bind(search_name.as_str());
        self.pool.write(name).await?;
        Ok(())
    }

    /// The last recorded execution of a run; None before its first call.
    pub async fn execution(&self, run: &RunId) -> Result<Option<Execution>> {
        let sql = format!("SELECT {COLUMNS} FROM execution WHERE run_id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(run.as_str()).fetch_optional(&self.pool).await?;
        row.as_ref().map_or(Ok(None), read_execution)
    }

    /// Records the execution of a run. The time of its first call stays unchanged.
    pub async fn save_execution(&self, run: &RunId, execution: &Execution) -> Result<()> {
        let earlier =
            (!execution.earlier.is_empty()).then(|| serde_json::to_string(&execution.earlier)).transpose();
        let save = sqlx::query(
            "INSERT INTO execution (run_id, function, started_at, attempt, max_attempts, error, error_at, \
             error_final, earlier) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (run_id) DO UPDATE SET attempt = excluded.attempt, \
             max_attempts = excluded.max_attempts, error = excluded.error, \
             error_at = excluded.error_at, error_final = excluded.error_final, earlier = excluded.earlier",
        )
        .bind(run.as_str())
        .bind(&execution.function)
        .bind(execution.started_at.0)
        .bind(i64::from(execution.attempt))
        .bind(i64::from(execution.max_attempts))
        .bind(execution.error.as_ref().map(|error| error.message.as_str()))
        .bind(execution.error.as_ref().map(|error| error.at.0))
        .bind(execution.error.as_ref().map(|error| i64::from(error.is_final)))
        .bind(earlier.map_err(corrupt)?);
        self.pool.write(save).await?;
        Ok(())
    }
}

/// Reads the execution from a row with [`COLUMNS`]; None if the run was never called.
pub(super) fn read_execution(row: &AnyRow) -> Result<Option<Execution>> {
    let Some(function) = row.try_get::<Option<String>, _>("function")? else { return Ok(None) };
    let number = |column| u32::try_from(row.try_get::<i64, _>(column)?).map_err(corrupt);
    let earlier = row.try_get::<Option<String>, _>("earlier")?;
    let read = |text: &String| serde_json::from_str::<Vec<FailedAttempt>>(text).map_err(corrupt);
    Ok(Some(Execution {
        function,
        started_at: UnixMillis(row.try_get("started_at")?),
        attempt: number("attempt")?,
        max_attempts: number("max_attempts")?,
        error: read_error(row)?,
        earlier: earlier.as_ref().map_or(Ok(Vec::new()), read)?,
    }))
}

fn read_error(row: &AnyRow) -> Result<Option<AttemptError>> {
    let Some(message) = row.try_get("error")? else { return Ok(None) };
    let at = UnixMillis(row.try_get("error_at")?);
    Ok(Some(AttemptError { message, at, is_final: row.try_get::<i64, _>("error_final")? != 0 }))
}

fn corrupt(why: impl std::fmt::Display) -> Error {
    Error::Corrupt { table: "execution", why: why.to_string() }
}
