//! SQL that records a new import, and that checks afterwards whether it was recorded.

use sqlx::any::AnyQueryResult;

use super::{
    Error, Result, Store, Tx,
    about_file::save_about_file,
    choices::stored_choices,
    corrupt_import,
    import_state::settle,
    imports::{ImportRow, Relative},
    is_away,
    outbox::{OutboxRow, insert_event},
    search_name::SearchName,
    to_bigint,
};
use crate::{
    base::ids::{ImportId, RunId},
    csv::AboutFile,
};

impl Store {
    /// Records an import and its event in one transaction; a held one has no event yet. A parent has at most one
    /// retry of each kind and with the same choices: if there is one, nothing is recorded. Returns the id of the
    /// recorded import. `about` is what is known of its stored file.
    ///
    /// After [`Error::InDoubt`] call [`Store::is_recorded`]. After any other error nothing is recorded.
    pub async fn create_import(
        &self,
        import: &ImportRow,
        event: Option<&OutboxRow>,
        about: Option<&AboutFile>,
    ) -> Result<ImportId> {
        // A confirmed import must be in the database that the next start opens.
        self.file.check()?;
        let mut tx = self.begin_write().await?;
        let inserted = insert(&mut tx, import, "ON CONFLICT (parent_id, retry_of) DO NOTHING").await?;
        if inserted.rows_affected() == 0
            && let Some(parent) = &import.parent
        {
            let first: String =
                sqlx::query_scalar("SELECT id FROM import WHERE parent_id = $1 AND retry_of = $2")
                    .bind(parent.id.to_string())
                    .bind(parent.stored_retry_of()?)
                    .fetch_one(&mut *tx)
                    .await?;
            return first.parse().map_err(corrupt_import);
        }
        if let Some(about) = about {
            save_about_file(&mut tx, import.id, about).await?;
        }
        match event {
            Some(event) => insert_event(&mut tx, event).await?,
            None => settle(&mut tx, import.id).await?,
        }
        match tx.commit().await {
            Ok(()) => Ok(import.id),
            Err(error) if self.is_postgres && is_away(&error) => Err(Error::InDoubt(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether [`Store::create_import`] has recorded `import` after all. Its transaction has ended when this
    /// returns: a second insert of the same row waits for it, and is rolled back.
    pub async fn is_recorded(&self, import: &ImportRow) -> Result<bool> {
        if self.is_postgres {
            let mut tx = self.begin_write().await?;
            insert(&mut tx, import, "ON CONFLICT DO NOTHING").await?;
        }
        let found = sqlx::query("SELECT id FROM import WHERE id = $1")
            .bind(import.id.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }
}

async fn insert(tx: &mut Tx, import: &ImportRow, on_conflict: &'static str) -> Result<AnyQueryResult> {
    let sql = format!(
        "INSERT INTO import (id, account_id, file_name, size_bytes, source_url, receiving_at, received_at, \
         event_id, parent_id, retry_of, search_name, failed_rows_of, held_until, choices) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) {on_conflict}"
    );
    let parent = import.parent.as_ref();
    let inserted = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(import.id.to_string())
        .bind(import.owner.to_string())
        .bind(&import.file_name)
        .bind(to_bigint(import.size_bytes))
        .bind(import.source_url.as_deref())
        .bind(import.receiving_at.0)
        .bind(import.received_at.0)
        .bind(import.event_id.as_str())
        .bind(parent.map(|parent| parent.id.to_string()))
        .bind(parent.map(Relative::stored_retry_of).transpose()?)
        .bind(SearchName::of(&import.file_name).as_str())
        .bind(import.failed_rows_of.as_ref().map(RunId::as_str))
        .bind(import.held_until.map(|until| until.0))
        .bind(stored_choices(&import.choices)?)
        .execute(&mut **tx)
        .await?;
    Ok(inserted)
}
