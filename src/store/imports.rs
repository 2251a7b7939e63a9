//! SQL of imports.

use std::{collections::HashMap, fmt, ops::Deref};

use sqlx::{Row, any::AnyRow};

use super::{
    LONGEST_LIST, Result, Store, Tx,
    choices::{read_choices, stored_choices},
    corrupt_import,
    import_state::{settle, tell_end},
    outbox::remove_from_outbox,
    placeholders,
    replicas::lives,
};
use crate::{
    base::{
        ids::{EventId, ImportId, RunId, UserId},
        time::UnixMillis,
    },
    csv::Choices,
};

/// A row of `import`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRow {
    pub id: ImportId,
    pub owner: UserId,
    pub file_name: String,
    /// The file of an address has this name, whatever its server calls it.
    pub has_chosen_name: bool,
    pub size_bytes: u64,
    /// The address that it is fetched from; None for an upload.
    pub source_url: Option<SourceUrl>,
    /// The run whose failed records the import reads, if no file was uploaded. Its function copies them.
    pub failed_rows_of: Option<RunId>,
    pub receiving_at: UnixMillis,
    pub received_at: UnixMillis,
    pub event_id: EventId,
    pub sent_at: Option<UnixMillis>,
    pub refused: Option<String>,
    pub cancel_requested_at: Option<UnixMillis>,
    pub finished_at: Option<UnixMillis>,
    /// Its owner looks at it before it starts: nothing is sent, and it is deleted after this time.
    pub held_until: Option<UnixMillis>,
    /// What a person chose about how the file is read.
    pub choices: Choices,
    /// The import that this one is a retry of.
    pub parent: Option<Relative>,
}

/// The address that a file is fetched from. It may open the file for anybody, so `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl(String);

impl From<String> for SourceUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl Deref for SourceUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceUrl(..)")
    }
}

/// Which part of its parent a retry imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOf {
    All,
    /// The failed records.
    Failed,
}

impl RetryOf {
    /// Of the column `retry_of`, in which choices may follow.
    fn from_stored(text: &str) -> Result<Self> {
        match text.split(' ').next() {
            Some("all") => Ok(Self::All),
            Some("failed") => Ok(Self::Failed),
            _ => Err(corrupt_import(format!("retry_of: {text}"))),
        }
    }
}

/// The import at the other end of a retry: the one that was run again, or the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relative {
    pub id: ImportId,
    pub file_name: String,
    pub retry_of: RetryOf,
    /// How the retry is to be read.
    pub choices: Choices,
}

impl Relative {
    /// The column `retry_of` of the retry. A parent has one retry for each value.
    pub(super) fn stored_retry_of(&self) -> Result<String> {
        let kind = match self.retry_of {
            RetryOf::All => "all",
            RetryOf::Failed => "failed",
        };
        Ok(match stored_choices(&self.choices)? {
            None => kind.to_owned(),
            Some(choices) => format!("{kind} {choices}"),
        })
    }
}

pub(super) const COLUMNS: &str = "id, account_id, file_name, has_chosen_name, size_bytes, source_url, failed_rows_of, receiving_at, received_at, \
                       event_id, sent_at, refused, cancel_requested_at, finished_at, held_until, choices, parent_id, retry_of, \
                       (SELECT parent.file_name FROM import AS parent WHERE parent.id = import.parent_id) \
                       AS parent_file_name";

impl Store {
    pub async fn import(&self, id: ImportId) -> Result<Option<ImportRow>> {
        let sql = format!("SELECT {COLUMNS} FROM import WHERE id = $1");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(&self.pool).await?;
        row.as_ref().map(read_import).transpose()
    }

    /// The import that sent `event`; None for events of others.
    pub async fn import_of_event(&self, event: &EventId) -> Result<Option<ImportRow>> {
        let sql = format!("SELECT {COLUMNS} FROM import WHERE event_id = $1");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(event.as_str()).fetch_optional(&self.pool).await?;
        row.as_ref().map(read_import).transpose()
    }

    /// The imports that are still watched, oldest first.
    pub async fn unfinished_imports(&self) -> Result<Vec<ImportRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM import WHERE finished_at IS NULL AND held_until IS NULL ORDER BY id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&self.pool).await?;
        rows.iter().map(read_import).collect()
    }

    /// The imports of these users whose state is not final.
    pub async fn imports_in_progress(&self, owners: &[UserId]) -> Result<Vec<(UserId, ImportId)>> {
        let mut found = Vec::new();
        for owners in owners.chunks(LONGEST_LIST) {
            let sql = format!(
                "SELECT account_id, id FROM import WHERE state IS NULL AND account_id IN ({})",
                placeholders(owners.len())
            );
            let query = sqlx::query_as::<sqlx::Any, (String, String)>(sqlx::AssertSqlSafe(sql));
            let query = owners.iter().fold(query, |query, owner| query.bind(owner.to_string()));
            for (owner, id) in query.fetch_all(&self.pool).await? {
                found.push((owner.parse().map_err(corrupt_import)?, id.parse().map_err(corrupt_import)?));
            }
        }
        Ok(found)
    }

    /// Makes `replica` the watcher of at most `limit` imports that no living replica watches, oldest first.
    pub async fn claim_watches(&self, replica: &str, limit: u32) -> Result<Vec<ImportRow>> {
        let sql = format!(
            "UPDATE import SET watched_by = $1 WHERE id IN (SELECT id FROM import \
             WHERE finished_at IS NULL AND held_until IS NULL \
             AND (watched_by IS NULL OR watched_by NOT IN (SELECT id FROM replica WHERE {lives})) \
             ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}",
            lives = lives(),
        );
        let claim = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(replica).bind(i64::from(limit));
        claim.fetch_all(&self.pool).await?.iter().map(read_import).collect()
    }

    /// The imports that `replica` watches.
    pub async fn watches_of(&self, replica: &str) -> Result<Vec<ImportId>> {
        let watches: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM import WHERE finished_at IS NULL AND held_until IS NULL AND watched_by = $1",
        )
        .bind(replica)
        .fetch_all(&self.pool)
        .await?;
        watches.iter().map(|id| id.parse().map_err(corrupt_import)).collect()
    }

    /// The replicas that watch `imports`, which are at most [`LONGEST_LIST`].
    pub async fn watchers_of(&self, imports: &[ImportId]) -> Result<HashMap<ImportId, Option<String>>> {
        let marks = placeholders(imports.len());
        let sql = format!("SELECT id, watched_by FROM import WHERE id IN ({marks})");
        let query = sqlx::query_as::<sqlx::Any, (String, Option<String>)>(sqlx::AssertSqlSafe(sql));
        let query = imports.iter().fold(query, |query, import| query.bind(import.to_string()));
        let rows = query.fetch_all(&self.pool).await?;
        rows.into_iter().map(|(id, watcher)| Ok((id.parse().map_err(corrupt_import)?, watcher))).collect()
    }

    /// Leaves these watches of `replica` to any replica.
    pub async fn leave_watches(&self, replica: &str, imports: &[ImportId]) -> Result<()> {
        for import in imports {
            sqlx::query(
                "UPDATE import SET watched_by = NULL WHERE id = $1 AND watched_by = $2 AND finished_at IS NULL",
            )
            .bind(import.to_string())
            .bind(replica)
            .execute(&self.pool)
            .await?;
        }
        Ok(())
    }

    /// The existing imports among `ids`, newest first.
    pub async fn imports(&self, ids: &[ImportId]) -> Result<Vec<ImportRow>> {
        let select = format!("SELECT {COLUMNS} FROM import WHERE id");
        self.fetch_of(&select, ids, "id DESC", read_import).await
    }

    /// The retries of `parents`, each with the id of its parent.
    pub async fn retries_of(&self, parents: &[ImportId]) -> Result<Vec<(ImportId, Relative)>> {
        let read = |row: &AnyRow| {
            let parent = row.try_get::<String, _>("parent_id")?.parse().map_err(corrupt_import)?;
            let retry = Relative {
                id: row.try_get::<String, _>("id")?.parse().map_err(corrupt_import)?,
                file_name: row.try_get("file_name")?,
                retry_of: RetryOf::from_stored(row.try_get("retry_of")?)?,
                choices: read_choices(row)?,
            };
            Ok((parent, retry))
        };
        let select = "SELECT parent_id, id, file_name, retry_of, choices FROM import WHERE parent_id";
        self.fetch_of(select, parents, "id", read).await
    }

    /// The rows of `select`, which ends with the name of a column, whose column is one of `imports`. Uses
    /// several statements if the list is long. `order` applies to the rows of one import.
    pub(super) async fn fetch_of<T>(
        &self,
        select: &str,
        imports: &[ImportId],
        order: &str,
        read: impl Fn(&AnyRow) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        for imports in imports.chunks(LONGEST_LIST) {
            let sql = format!("{select} IN ({}) ORDER BY {order}", placeholders(imports.len()));
            let query = sqlx::query(sqlx::AssertSqlSafe(sql));
            let query = imports.iter().fold(query, |query, import| query.bind(import.to_string()));
            for row in query.fetch_all(&self.pool).await? {
                found.push(read(&row)?);
            }
        }
        Ok(found)
    }

    /// Records the request to cancel. The time of an earlier request stays. An unsent event is never sent.
    pub async fn request_cancel(&self, id: ImportId, now: UnixMillis) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "UPDATE import SET cancel_requested_at = $2 \
             WHERE id = $1 AND cancel_requested_at IS NULL AND refused IS NULL",
        )
        .bind(id.to_string())
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        settle(&mut tx, id).await?;
        remove_from_outbox(&mut tx, id).await?;
        Ok(tx.commit().await?)
    }

    /// Whether the import that sent `event` was asked to cancel; false for events of others.
    pub async fn event_is_cancelled(&self, event: &EventId) -> Result<bool> {
        let wish =
            sqlx::query("SELECT 1 FROM import WHERE event_id = $1 AND cancel_requested_at IS NOT NULL")
                .bind(event.as_str())
                .fetch_optional(&self.pool)
                .await?;
        Ok(wish.is_some())
    }

    /// Ends the watch of an import, and has its end told. `is_cancelled` says whether its watcher knew of a request to
    /// cancel. Returns false if such a request has arrived since, if another replica watches the import, or if it is gone.
    pub async fn finish_import(&self, id: ImportId, is_cancelled: bool, now: UnixMillis) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let finished = sqlx::query(
            "UPDATE import SET finished_at = $2 WHERE id = $1 AND ($4 = '' OR watched_by = $4) \
             AND CASE WHEN cancel_requested_at IS NULL THEN CAST(0 AS BIGINT) ELSE CAST(1 AS BIGINT) END = $3",
        )
        .bind(id.to_string())
        .bind(now.0)
        .bind(i64::from(is_cancelled))
        .bind(self.replica().as_deref().unwrap_or_default())
        .execute(&mut *tx)
        .await?;
        settle(&mut tx, id).await?;
        if finished.rows_affected() > 0 {
            tell_end(&mut tx, id, now).await?;
        }
        tx.commit().await?;
        Ok(finished.rows_affected() > 0)
    }

    /// Has `watcher` watch an import again that was over. Returns false if it is watched already or was deleted.
    /// Of two concurrent calls only one returns true.
    pub async fn reopen_import(&self, id: ImportId, watcher: Option<&str>) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let reopened = sqlx::query(
            "UPDATE import SET finished_at = NULL, watched_by = $2 WHERE id = $1 AND finished_at IS NOT NULL",
        )
        .bind(id.to_string())
        .bind(watcher)
        .execute(&mut *tx)
        .await?;
        settle(&mut tx, id).await?;
        tx.commit().await?;
        Ok(reopened.rows_affected() > 0)
    }
}

/// Makes all other writers of an import wait until `tx` ends. Returns false if there is no such import.
pub(super) async fn lock_import(tx: &mut Tx, import: ImportId) -> Result<bool> {
    // SQLite serialises all writers. Postgres has SELECT ... FOR UPDATE, which SQLite does not support.
    let locked = sqlx::query("UPDATE import SET state = state WHERE id = $1")
        .bind(import.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(locked.rows_affected() > 0)
}

pub(super) fn read_import(row: &AnyRow) -> Result<ImportRow> {
    let choices = read_choices(row)?;
    let parent = match row.try_get::<Option<String>, _>("parent_id")? {
        None => None,
        Some(id) => Some(Relative {
            id: id.parse().map_err(corrupt_import)?,
            file_name: row.try_get("parent_file_name")?,
            retry_of: RetryOf::from_stored(row.try_get("retry_of")?)?,
            choices: choices.clone(),
        }),
    };
    let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(|at| at.map(UnixMillis));
    Ok(ImportRow {
        id: row.try_get::<String, _>("id")?.parse().map_err(corrupt_import)?,
        owner: row.try_get::<String, _>("account_id")?.parse().map_err(corrupt_import)?,
        file_name: row.try_get("file_name")?,
        has_chosen_name: row.try_get::<i64, _>("has_chosen_name")? != 0,
        size_bytes: u64::try_from(row.try_get::<i64, _>("size_bytes")?).unwrap_or(0),
        source_url: row.try_get::<Option<String>, _>("source_url")?.map(SourceUrl),
        failed_rows_of: row.try_get::<Option<String>, _>("failed_rows_of")?.map(RunId::from),
        receiving_at: UnixMillis(row.try_get("receiving_at")?),
        received_at: UnixMillis(row.try_get("received_at")?),
        event_id: row.try_get::<String, _>("event_id")?.into(),
        sent_at: time("sent_at")?,
        refused: row.try_get("refused")?,
        cancel_requested_at: time("cancel_requested_at")?,
        finished_at: time("finished_at")?,
        held_until: time("held_until")?,
        choices,
        parent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_write_the_address_of_a_file() {
        let url = SourceUrl::from("https://files.example/a.csv?token=secret".to_owned());
        assert_eq!(format!("{url:?}"), "SourceUrl(..)");
        assert!(url.ends_with("?token=secret"));
    }
}
