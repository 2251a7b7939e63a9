//! SQL of steps, which are the authoritative record of what a run has done.

use futures_util::TryStreamExt;
use serde::Deserialize;
use sqlx::{Row, any::AnyRow};

use super::{Error, Result, Store, to_bigint};
use crate::{
    base::{
        ids::{ImportId, RunId},
        time::UnixMillis,
    },
    csv::{AboutFile, Counts, Dialect, FirstRows, Notes, ReadAs, Reading, Reasons, SheetRead, Stretches},
};

/// One finished step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `plan`, `rows-1`, `rows-2`, ...; before them `fetch`, for a file on another server.
    pub name: String,
    /// 0, 1, 2, ...
    pub position: u32,
    /// JSON that later steps need.
    pub result: String,
    /// The records of this step.
    pub counts: Counts,
    /// The position in the file after the step's last record, in bytes.
    pub end_byte: u64,
    pub files: StepFiles,
    /// The positions of its records in the file. None if it read none, or was done by a version without this
    /// column.
    pub stretches: Option<Stretches>,
    pub started_at: UnixMillis,
    pub committed_at: UnixMillis,
}

/// The storage keys of a step's outputs, None for an empty one, and their size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepFiles {
    /// The copy of a file from another server, or of another run's failed records.
    pub source: Option<String>,
    pub processed: Option<String>,
    pub failed: Option<String>,
    /// The original bytes of the failed records.
    pub raw: Option<String>,
    /// The total size.
    pub bytes: u64,
}

impl StepFiles {
    /// The keys that are set.
    pub fn into_keys(self) -> impl Iterator<Item = String> {
        [self.source, self.processed, self.failed, self.raw].into_iter().flatten()
    }
}

/// What a plan says to people about the front of a file. Each is None if an earlier version planned the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedFront {
    pub first_rows: Option<FirstRows>,
    pub read_as: Option<ReadAs>,
}

/// What the reader has to say about records: why those that failed have failed, and what was left out, repaired
/// or noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    pub reasons: Reasons,
    pub notes: Notes,
}

/// The result of committing a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    Committed,
    /// Another execution of the same step was first. This is its row; ours is discarded.
    Lost(Box<Step>),
    /// The run has ended and accepts no more steps.
    Closed,
}

impl Store {
    /// The file that a run of `import` copied from elsewhere, and what is known of it: the fetched file, or another
    /// run's failed records. A file that a run made of these bytes, such as a decoded one, is none.
    pub async fn source_copy(&self, import: ImportId) -> Result<Option<(String, AboutFile)>> {
        let copy: Option<(String, String)> = sqlx::query_as(
            "SELECT step.source_file, step.result FROM run JOIN step ON step.run_id = run.run_id \
             WHERE run.import_id = $1 AND step.source_file IS NOT NULL \
             AND step.step_id IN ('fetch', 'failed-rows') LIMIT 1",
        )
        .bind(import.to_string())
        .fetch_optional(&self.pool)
        .await?;
        // The result of the step tells more than this, and the one of an earlier version less.
        Ok(copy.map(|(file, result)| (file, serde_json::from_str(&result).unwrap_or_default())))
    }

    /// Commits a step: at most once per run and step, and never after the run has ended. `remarks` are about
    /// its records.
    ///
    /// After an error the step may have been committed, so its files must stay.
    pub async fn commit_step(&self, run: &RunId, step: &Step, remarks: &Remarks) -> Result<Commit> {
        let Remarks { reasons, notes } = remarks;
        let reasons = (!reasons.is_empty()).then(|| serde_json::to_string(reasons)).transpose();
        let reasons = reasons.map_err(|why| corrupt("reasons", why))?;
        let notes = (!notes.is_empty()).then(|| serde_json::to_string(notes)).transpose();
        let notes = notes.map_err(|why| corrupt("notes", why))?;
        let stretches = step.stretches.as_ref().map(serde_json::to_string).transpose();
        let stretches = stretches.map_err(|why| corrupt("stretches", why))?;
        let mut tx = self.begin_write_of(run).await?;
        let inserted = sqlx::query(
            "INSERT INTO step (run_id, step_id, position, result, processed, failed, reasons, end_byte, \
             source_file, processed_file, failed_file, raw_file, started_at, committed_at, stretches, \
             stored_bytes, notes) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17 \
             WHERE NOT EXISTS (SELECT 1 FROM run WHERE run_id = $1 AND ended_at IS NOT NULL) \
             ON CONFLICT DO NOTHING",
        )
        .bind(run.as_str())
        .bind(&step.name)
        .bind(i64::from(step.position))
        .bind(&step.result)
        .bind(to_bigint(step.counts.processed))
        .bind(to_bigint(step.counts.failed))
        .bind(reasons)
        .bind(to_bigint(step.end_byte))
        .bind(&step.files.source)
        .bind(&step.files.processed)
        .bind(&step.files.failed)
        .bind(&step.files.raw)
        .bind(step.started_at.0)
        .bind(step.committed_at.0)
        .bind(stretches)
        .bind(to_bigint(step.files.bytes))
        .bind(notes)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        if inserted.rows_affected() == 1 {
            return Ok(Commit::Committed);
        }
        let winner = self.steps(run).await?.into_iter().find(|winner| winner.name == step.name);
        Ok(winner.map_or(Commit::Closed, |winner| Commit::Lost(Box::new(winner))))
    }

    /// The step `name` of a run, after [`Self::commit_step`] has failed. Its transaction has ended when this returns:
    /// on Postgres both take the lock of the run.
    pub async fn step_after_failure(&self, run: &RunId, name: &str) -> Result<Option<Step>> {
        drop(self.begin_write_of(run).await?);
        Ok(self.steps(run).await?.into_iter().find(|step| step.name == name))
    }

    /// A run's finished steps, in order.
    pub async fn steps(&self, run: &RunId) -> Result<Vec<Step>> {
        sqlx::query(
            "SELECT step_id, position, result, processed, failed, end_byte, source_file, processed_file, \
             failed_file, raw_file, stored_bytes, started_at, committed_at, stretches FROM step WHERE run_id = $1 \
             ORDER BY position",
        )
        .bind(run.as_str())
        .fetch_all(&self.pool)
        .await?
        .iter()
        .map(read_step)
        .collect()
    }

    /// The stretches that a run's finished steps have read; None unless they are known for all steps.
    pub async fn stretches(&self, run: &RunId) -> Result<Option<Stretches>> {
        let steps = sqlx::query("SELECT processed, failed, stretches FROM step WHERE run_id = $1")
            .bind(run.as_str())
            .fetch_all(&self.pool)
            .await?;
        let read = |step| Ok((read_counts(step)?, read_stretches(step)?));
        Ok(Stretches::sum(steps.iter().map(read).collect::<Result<Vec<_>>>()?))
    }

    /// What the plan of a run says to people about the front of its file. Empty before that step is done, or
    /// if an earlier version did it.
    pub async fn front(&self, run: &RunId) -> Result<PlannedFront> {
        #[derive(Deserialize)]
        struct Planned {
            #[serde(default)]
            first_rows: Option<FirstRows>,
            #[serde(default)]
            reading: Option<Reading>,
            #[serde(default)]
            sheet: Option<SheetRead>,
            layout: PlannedLayout,
        }
        #[derive(Deserialize)]
        struct PlannedLayout {
            #[serde(default = "Dialect::plain")]
            dialect: Dialect,
        }
        let plan: Option<String> =
            sqlx::query_scalar("SELECT result FROM step WHERE run_id = $1 AND step_id = 'plan'")
                .bind(run.as_str())
                .fetch_optional(&self.pool)
                .await?;
        let Some(plan) = plan else { return Ok(PlannedFront::default()) };
        let plan: Planned = match serde_json::from_str(&plan) {
            Ok(plan) => plan,
            // A newer version, of which a replica works on this database too, has written another form: a page without
            // these parts is better than none.
            Err(why) if why.is_data() => {
                tracing::warn!(%run, %why, "a plan has a form that this version does not know");
                return Ok(PlannedFront::default());
            }
            Err(why) => return Err(corrupt("result", why)),
        };
        let (dialect, sheet) = (plan.layout.dialect, plan.sheet);
        let read_as = plan.reading.map(|reading| ReadAs { reading, dialect, sheet });
        Ok(PlannedFront { first_rows: plan.first_rows, read_as })
    }

    /// The remarks about the records of a run's finished steps.
    pub async fn remarks(&self, run: &RunId) -> Result<Remarks> {
        let mut steps = sqlx::query(
            "SELECT reasons, notes FROM step WHERE run_id = $1 AND (reasons IS NOT NULL OR notes IS NOT NULL) \
             ORDER BY position",
        )
        .bind(run.as_str())
        .fetch(&self.pool);
        let mut remarks = Remarks::default();
        while let Some(step) = steps.try_next().await? {
            if let Some(reasons) = step.try_get::<Option<String>, _>("reasons")? {
                let reasons = serde_json::from_str(&reasons).map_err(|why| corrupt("reasons", why))?;
                remarks.reasons.append(reasons);
            }
            if let Some(notes) = step.try_get::<Option<String>, _>("notes")? {
                remarks.notes.append(&serde_json::from_str(&notes).map_err(|why| corrupt("notes", why))?);
            }
        }
        Ok(remarks)
    }

    /// The runs that belong to no import, and whose first call or last step was between `after` and `before`:
    /// runs of events that Runboard did not send, or of deleted imports.
    pub async fn orphaned_runs(&self, after: UnixMillis, before: UnixMillis) -> Result<Vec<RunId>> {
        let runs: Vec<String> = sqlx::query_scalar(
            "SELECT known.run_id FROM ( \
                 SELECT run_id FROM step WHERE committed_at >= $1 AND committed_at < $2 \
                 UNION SELECT run_id FROM execution WHERE started_at >= $1 AND started_at < $2) AS known \
             WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.run_id = known.run_id) \
             AND NOT EXISTS (SELECT 1 FROM step WHERE step.run_id = known.run_id AND step.committed_at >= $2)",
        )
        .bind(after.0)
        .bind(before.0)
        .fetch_all(&self.pool)
        .await?;
        Ok(runs.into_iter().map(RunId::from).collect())
    }

    /// Deletes the steps of a run, unless it belongs to an import. Returns the storage keys of its files.
    pub async fn forget_steps(&self, run: &RunId) -> Result<Vec<String>> {
        let mut tx = self.begin_write_of(run).await?;
        let rows = sqlx::query(
            "DELETE FROM step WHERE run_id = $1 AND NOT EXISTS (SELECT 1 FROM run WHERE run_id = $1) \
             RETURNING source_file, processed_file, failed_file, raw_file, stored_bytes",
        )
        .bind(run.as_str())
        .fetch_all(&mut *tx)
        .await?;
        sqlx::query(
            "DELETE FROM execution WHERE run_id = $1 AND NOT EXISTS (SELECT 1 FROM run WHERE run_id = $1)",
        )
        .bind(run.as_str())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let mut keys = Vec::new();
        for row in &rows {
            keys.extend(read_files(row)?.into_keys());
        }
        Ok(keys)
    }

    /// Whether a run is recorded as ended; false if it is not recorded.
    pub async fn run_is_closed(&self, run: &RunId) -> Result<bool> {
        let ended = sqlx::query("SELECT 1 FROM run WHERE run_id = $1 AND ended_at IS NOT NULL")
            .bind(run.as_str())
            .fetch_optional(&self.pool)
            .await?;
        Ok(ended.is_some())
    }
}

fn read_step(row: &AnyRow) -> Result<Step> {
    let position =
        u32::try_from(row.try_get::<i64, _>("position")?).map_err(|why| corrupt("position", why))?;
    Ok(Step {
        name: row.try_get("step_id")?,
        position,
        result: row.try_get("result")?,
        counts: read_counts(row)?,
        end_byte: read_unsigned(row, "end_byte")?,
        files: read_files(row)?,
        stretches: read_stretches(row)?,
        started_at: UnixMillis(row.try_get("started_at")?),
        committed_at: UnixMillis(row.try_get("committed_at")?),
    })
}

fn read_counts(row: &AnyRow) -> Result<Counts> {
    Ok(Counts { processed: read_unsigned(row, "processed")?, failed: read_unsigned(row, "failed")? })
}

pub(super) fn read_files(row: &AnyRow) -> Result<StepFiles> {
    Ok(StepFiles {
        source: row.try_get("source_file")?,
        processed: row.try_get("processed_file")?,
        failed: row.try_get("failed_file")?,
        raw: row.try_get("raw_file")?,
        bytes: read_unsigned(row, "stored_bytes")?,
    })
}

fn read_stretches(row: &AnyRow) -> Result<Option<Stretches>> {
    let Some(text) = row.try_get::<Option<String>, _>("stretches")? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|why| corrupt("stretches", why))
}

fn read_unsigned(row: &AnyRow, column: &'static str) -> Result<u64> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|why| corrupt(column, why))
}

fn corrupt(column: &'static str, why: impl std::fmt::Display) -> Error {
    Error::Corrupt { table: "step", why: format!("{column}: {why}") }
}
