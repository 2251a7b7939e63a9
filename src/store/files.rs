//! SQL of stored files: which files in the data folder are named by a row.

use std::collections::HashSet;

use sqlx::{
    Any, Row,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{Result, Store, corrupt_import, placeholders};
use crate::base::ids::ImportId;

/// How many steps one statement reads.
const STEPS_AT_ONCE: i64 = 1_000;

/// How many imports one statement reads.
const UPLOADS_AT_ONCE: i64 = 1_000;

/// The columns of a step's row that name files.
const KEYS: &str = "source_file, processed_file, failed_file, raw_file";

/// Where a step is in the order of all steps; by default in front of the first.
#[derive(Clone, Debug, Default)]
pub struct StepPlace {
    run: String,
    step: String,
}

impl Store {
    /// The imports behind `last` whose stored file is their upload, not fetched or copied by their function, in the
    /// order of their ids.
    pub async fn uploads_after(&self, last: ImportId) -> Result<Vec<ImportId>> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM import WHERE id > $1 AND source_url IS NULL AND failed_rows_of IS NULL \
             ORDER BY id LIMIT $2",
        )
        .bind(last.to_string())
        .bind(UPLOADS_AT_ONCE)
        .fetch_all(&self.pool)
        .await?;
        ids.iter().map(|id| id.parse().map_err(corrupt_import)).collect()
    }

    /// The number of imports.
    pub async fn count_imports(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM import").fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }

    /// Which of `ids`, at most [`LONGEST_LIST`](super::LONGEST_LIST), are imports.
    pub async fn imports_among(&self, ids: &[ImportId]) -> Result<HashSet<ImportId>> {
        let names: Vec<String> = ids.iter().map(ImportId::to_string).collect();
        let known = self.known("SELECT id FROM import WHERE id", &names).await?;
        Ok(ids.iter().zip(names).filter(|(_, name)| known.contains(name)).map(|(id, _)| *id).collect())
    }

    /// Which of `runs`, at most [`LONGEST_LIST`](super::LONGEST_LIST), our function was called for.
    pub async fn runs_among(&self, runs: &[String]) -> Result<HashSet<String>> {
        self.known("SELECT run_id FROM execution WHERE run_id", runs).await
    }

    /// Which of `names`, at most [`LONGEST_LIST`](super::LONGEST_LIST), occur in the column at the end of
    /// `select`.
    pub(super) async fn known(&self, select: &'static str, names: &[String]) -> Result<HashSet<String>> {
        if names.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = format!("{select} IN ({})", placeholders(names.len()));
        let rows = bind_all(sqlx::query(sqlx::AssertSqlSafe(sql)), names).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// The storage keys in the steps of `runs`, at most [`LONGEST_LIST`](super::LONGEST_LIST).
    pub async fn files_of_runs(&self, runs: &[String]) -> Result<HashSet<String>> {
        let mut keys = HashSet::new();
        if runs.is_empty() {
            return Ok(keys);
        }
        let sql = format!("SELECT {KEYS} FROM step WHERE run_id IN ({})", placeholders(runs.len()));
        for row in bind_all(sqlx::query(sqlx::AssertSqlSafe(sql)), runs).fetch_all(&self.pool).await? {
            keys.extend(keys_in(&row)?);
        }
        Ok(keys)
    }

    /// The storage keys in the steps behind `last`, at most those of some steps, and the last of these. None if there is
    /// no step behind it.
    pub async fn step_files_after(&self, last: &StepPlace) -> Result<Option<(Vec<String>, StepPlace)>> {
        let sql = format!(
            "SELECT {KEYS}, run_id, step_id FROM step WHERE (run_id, step_id) > ($1, $2) \
             ORDER BY run_id, step_id LIMIT $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&last.run)
            .bind(&last.step)
            .bind(STEPS_AT_ONCE)
            .fetch_all(&self.pool)
            .await?;
        let Some(row) = rows.last() else { return Ok(None) };
        let end = StepPlace { run: row.try_get("run_id")?, step: row.try_get("step_id")? };
        Ok(Some((rows.iter().map(keys_in).collect::<Result<Vec<_>>>()?.concat(), end)))
    }

    /// Removes from `keys` the keys that any step names. Reads every step once, in chunks.
    pub async fn strike_step_files(&self, keys: &mut HashSet<String>) -> Result<()> {
        let mut last = StepPlace::default();
        while !keys.is_empty() {
            let Some((named, end)) = self.step_files_after(&last).await? else { break };
            for key in named {
                keys.remove(&key);
            }
            last = end;
        }
        Ok(())
    }
}

pub(super) fn bind_all<'q>(
    query: Query<'q, Any, AnyArguments>,
    names: &'q [String],
) -> Query<'q, Any, AnyArguments> {
    names.iter().fold(query, |query, name| query.bind(name.as_str()))
}

/// The storage keys in a row of [`KEYS`].
fn keys_in(row: &AnyRow) -> Result<Vec<String>> {
    let keys = (0..4).map(|column| Ok(row.try_get::<Option<String>, _>(column)?));
    Ok(keys.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}
