//! Deletes an import with everything that is known about it.

use sqlx::{Row, any::AnyRow};

use super::{
    Result, Store, corrupt_import, engine::events::forget_event, imports::lock_import,
    outbox::remove_from_outbox, steps::read_files,
};
use crate::base::{
    ids::{ImportId, RunId},
    time::UnixMillis,
};

/// The result of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    Gone(Remains),
    /// The import may not be deleted now. Nothing was changed.
    NotOver,
    /// The import was cancelled before it had a run. A late run must still be cancelled, which needs the
    /// import's row. Nothing was changed.
    StillCancelling,
    NotThere,
}

/// Which imports may be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletable {
    /// Those that are over or held.
    Ended,
    /// Those that are held until this time, or shorter.
    HeldUntil(UnixMillis),
}

/// What must still be removed elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// The runs that belong to no other import.
    pub runs: Vec<RunId>,
    /// The storage keys of their files.
    pub files: Vec<String>,
}

impl Store {
    /// Deletes an import, if that is allowed now, its runs, and everything known about the runs that belong to no other
    /// import, in one transaction. Its retries stay as imports of their own. Call [`Store::finish_deletion`]
    /// once the files are removed.
    pub async fn delete_import(&self, id: ImportId, deletable: Deletable) -> Result<Deleted> {
        let mut tx = self.begin_write().await?;
        if !lock_import(&mut tx, id).await? {
            return Ok(Deleted::NotThere);
        }
        let import = sqlx::query(
            "SELECT state, held_until, CASE WHEN cancel_requested_at IS NOT NULL AND finished_at IS NULL \
             AND NOT EXISTS (SELECT 1 FROM run WHERE import_id = $1) THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS is_cancelling \
             FROM import WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_one(&mut *tx)
        .await?;
        let may_go = match deletable {
            Deletable::Ended => import.try_get::<Option<String>, _>("state")?.is_some(),
            Deletable::HeldUntil(now) => {
                import.try_get::<Option<i64>, _>("held_until")?.is_some_and(|until| until <= now.0)
            }
        };
        if !may_go {
            return Ok(Deleted::NotOver);
        }
        if import.try_get::<i64, _>("is_cancelling")? != 0 {
            return Ok(Deleted::StillCancelling);
        }
        let runs: Vec<String> = sqlx::query_scalar("DELETE FROM run WHERE import_id = $1 RETURNING run_id")
            .bind(id.to_string())
            .fetch_all(&mut *tx)
            .await?;
        let mut remains = Remains::default();
        for run in runs {
            let shared = sqlx::query("SELECT 1 FROM run WHERE run_id = $1 LIMIT 1")
                .bind(&run)
                .fetch_optional(&mut *tx)
                .await?;
            if shared.is_some() {
                continue;
            }
            let steps = sqlx::query(
                "DELETE FROM step WHERE run_id = $1 \
                 RETURNING source_file, processed_file, failed_file, raw_file, stored_bytes",
            )
            .bind(&run)
            .fetch_all(&mut *tx)
            .await?;
            for step in &steps {
                remains.files.extend(read_files(step)?.into_keys());
            }
            sqlx::query("DELETE FROM execution WHERE run_id = $1").bind(&run).execute(&mut *tx).await?;
            remains.runs.push(run.into());
        }
        remove_from_outbox(&mut tx, id).await?;
        let event: String = sqlx::query_scalar("DELETE FROM import WHERE id = $1 RETURNING event_id")
            .bind(id.to_string())
            .fetch_one(&mut *tx)
            .await?;
        // The event contains the fetched address or a signed link. Deletes nothing if the engine is Inngest.
        forget_event(&mut tx, &event.into()).await?;
        sqlx::query("INSERT INTO deletion (import_id, files) VALUES ($1, $2)")
            .bind(id.to_string())
            .bind(remains.files.join("\n"))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Deleted::Gone(remains))
    }

    /// The deleted imports whose files may still exist, each with the storage keys of its runs' files.
    pub async fn unfinished_deletions(&self) -> Result<Vec<(ImportId, Vec<String>)>> {
        let rows = sqlx::query("SELECT import_id, files FROM deletion").fetch_all(&self.pool).await?;
        rows.iter().map(read_deletion).collect()
    }

    /// The next of them behind the import `last`, at most `limit`.
    pub async fn unfinished_deletions_after(
        &self,
        last: ImportId,
        limit: u32,
    ) -> Result<Vec<(ImportId, Vec<String>)>> {
        let rows = sqlx::query(
            "SELECT import_id, files FROM deletion WHERE import_id > $1 ORDER BY import_id LIMIT $2",
        )
        .bind(last.to_string())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_deletion).collect()
    }

    /// Records that the files of a deleted import are removed.
    pub async fn finish_deletion(&self, import: ImportId) -> Result<()> {
        let finish = sqlx::query("DELETE FROM deletion WHERE import_id = $1").bind(import.to_string());
        self.pool.write(finish).await?;
        Ok(())
    }
}

fn read_deletion(row: &AnyRow) -> Result<(ImportId, Vec<String>)> {
    let import = row.try_get::<String, _>("import_id")?.parse().map_err(corrupt_import)?;
    let files = row.try_get::<String, _>("files")?.lines().map(str::to_owned).collect();
    Ok((import, files))
}
