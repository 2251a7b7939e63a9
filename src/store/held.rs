//! SQL of held imports: their owner looks at them before they start.

use super::{
    Error, Result, Store,
    choices::stored_choices,
    import_state::settle,
    imports::{COLUMNS, ImportRow, lock_import, read_import},
    is_away,
    outbox::{OutboxRow, insert_event},
};
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    csv::Choices,
};

impl Store {
    /// Starts a held import: records how it is to be read, and its event. Returns false, without a change, if it
    /// has started before or was deleted.
    ///
    /// After [`Error::InDoubt`] call [`Store::has_started`]. After any other error it has not.
    pub async fn start_import(
        &self,
        event: &OutboxRow,
        choices: &Choices,
        watcher: Option<&str>,
    ) -> Result<bool> {
        // As when an import is recorded.
        self.file.check()?;
        let mut tx = self.begin_write().await?;
        let started = sqlx::query(
            "UPDATE import SET held_until = NULL, choices = $2, watched_by = $3 \
             WHERE id = $1 AND held_until IS NOT NULL",
        )
        .bind(event.import.to_string())
        .bind(stored_choices(choices)?)
        .bind(watcher)
        .execute(&mut *tx)
        .await?;
        if started.rows_affected() == 0 {
            return Ok(false);
        }
        settle(&mut tx, event.import).await?;
        insert_event(&mut tx, event).await?;
        match tx.commit().await {
            Ok(()) => Ok(true),
            Err(error) if self.is_postgres && is_away(&error) => Err(Error::InDoubt(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether [`Store::start_import`] has started `import` after all. Its transaction has ended when this
    /// returns, because both lock the row.
    pub async fn has_started(&self, import: ImportId) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        if !lock_import(&mut tx, import).await? {
            return Ok(false);
        }
        let held = sqlx::query("SELECT 1 FROM import WHERE id = $1 AND held_until IS NOT NULL")
            .bind(import.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        Ok(held.is_none())
    }

    /// The held imports that are to be deleted at `now`, oldest first, at most `limit`.
    pub async fn held_until(&self, now: UnixMillis, limit: u32) -> Result<Vec<ImportRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM import WHERE held_until IS NOT NULL AND held_until <= $1 \
             ORDER BY held_until LIMIT $2"
        );
        let past = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now.0).bind(i64::from(limit));
        past.fetch_all(&self.pool).await?.iter().map(read_import).collect()
    }
}
