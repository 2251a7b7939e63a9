//! SQL that records a new import, and that checks afterwards whether it was recorded.

use sqlx::any::AnyQueryResult;

use super::{
    Error, Result, Store, Tx,
    about_file::save_about_file,
    choices::stored_choices,
    corrupt_import,
    idempotency::{EarlierAnswer, KeyedRequest, answer_once},
    import_state::settle,
    imports::{ImportRow, Relative},
    is_away,
    outbox::{OutboxRow, insert_event},
    search_name::SearchName,
    to_bigint,
};
use crate::{
    base::ids::{ImportId, RunId, TokenId},
    csv::AboutFile,
};

/// An import to record.
#[derive(Clone, Copy, Debug)]
pub struct NewImport<'a> {
    pub import: &'a ImportRow,
    /// None for a held import.
    pub event: Option<&'a OutboxRow>,
    /// What is known of its stored file.
    pub about: Option<&'a AboutFile>,
    /// The request that makes it, if it may be sent again.
    pub request: Option<&'a KeyedRequest>,
    /// The token that makes it; None: a person does.
    pub token: Option<TokenId>,
    /// The lease of the replica that watches it; None: of a process that has the database alone.
    pub watcher: Option<&'a str>,
}

impl<'a> NewImport<'a> {
    #[must_use]
    pub fn new(import: &'a ImportRow) -> Self {
        Self { import, event: None, about: None, request: None, token: None, watcher: None }
    }
}

/// The result of recording an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recording {
    Done,
    /// The parent has this retry of the same kind and with the same choices already. Nothing was recorded but the
    /// answer to the request.
    RetriedBefore(ImportId),
    /// An earlier request with the same key has made an import. Nothing was recorded.
    AnsweredBefore(EarlierAnswer<ImportId>),
}

impl Store {
    /// Records an import, its event, and the answer to its request in one transaction. A parent has at most one
    /// retry of each kind and with the same choices.
    ///
    /// After [`Error::InDoubt`] call [`Store::is_recorded`]. After any other error nothing is recorded.
    pub async fn create_import(&self, new: NewImport<'_>) -> Result<Recording> {
        let NewImport { import, event, about, request, token, watcher } = new;
        // A confirmed import must be in the database that the next start opens.
        self.file.check()?;
        let mut tx = self.begin_write().await?;
        let inserted =
            insert(&mut tx, import, watcher, "ON CONFLICT (parent_id, retry_of) DO NOTHING").await?;
        let first = match &import.parent {
            Some(parent) if inserted.rows_affected() == 0 => Some(first_retry(&mut tx, parent).await?),
            _ => None,
        };
        if let Some(request) = request {
            let (owner, now) = (import.owner, import.received_at);
            if let Some(earlier) =
                answer_once(&mut tx, owner, request, first.unwrap_or(import.id), now).await?
            {
                return Ok(Recording::AnsweredBefore(earlier));
            }
        }
        if let Some(first) = first {
            tx.commit().await?;
            return Ok(Recording::RetriedBefore(first));
        }
        if let Some(token) = token {
            sqlx::query("UPDATE import SET token_id = $2 WHERE id = $1")
                .bind(import.id.to_string())
                .bind(token.to_string())
                .execute(&mut *tx)
                .await?;
        }
        if let Some(about) = about {
            save_about_file(&mut tx, import.id, about).await?;
        }
        match event {
            Some(event) => insert_event(&mut tx, event).await?,
            None => settle(&mut tx, import.id).await?,
        }
        match tx.commit().await {
            Ok(()) => Ok(Recording::Done),
            Err(error) if self.is_postgres && is_away(&error) => Err(Error::InDoubt(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether [`Store::create_import`] has recorded `import` after all. Its transaction has ended when this
    /// returns: a second insert of the same row waits for it, and is rolled back.
    pub async fn is_recorded(&self, import: &ImportRow) -> Result<bool> {
        if self.is_postgres {
            let mut tx = self.begin_write().await?;
            insert(&mut tx, import, None, "ON CONFLICT DO NOTHING").await?;
        }
        let found = sqlx::query("SELECT id FROM import WHERE id = $1")
            .bind(import.id.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }
}

/// The retry of a parent that was recorded first.
async fn first_retry(tx: &mut Tx, retry: &Relative) -> Result<ImportId> {
    let first: String = sqlx::query_scalar("SELECT id FROM import WHERE parent_id = $1 AND retry_of = $2")
        .bind(retry.id.to_string())
        .bind(retry.stored_retry_of()?)
        .fetch_one(&mut **tx)
        .await?;
    first.parse().map_err(corrupt_import)
}

/// `watcher` is the replica that watches it.
async fn insert(
    tx: &mut Tx,
    import: &ImportRow,
    watcher: Option<&str>,
    on_conflict: &'static str,
) -> Result<AnyQueryResult> {
    let sql = format!(
        "INSERT INTO import (id, account_id, file_name, size_bytes, source_url, receiving_at, received_at, \
         event_id, parent_id, retry_of, search_name, failed_rows_of, held_until, choices, has_chosen_name, \
         watched_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) {on_conflict}"
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
        .bind(i64::from(import.has_chosen_name))
        .bind(watcher)
        .execute(&mut **tx)
        .await?;
    Ok(inserted)
}
