//! SQL of the outbox: the events that the engine has not confirmed yet.

use sqlx::Row;

use super::{
    Result, Store, Tx, corrupt_import,
    import_state::{settle, tell_end},
};
use crate::base::{
    ids::{EventId, ImportId, UserId},
    time::UnixMillis,
};

/// An event in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    pub event_id: EventId,
    pub import: ImportId,
    /// The owner of its import.
    pub owner: UserId,
    pub name: String,
    /// JSON.
    pub data: String,
    pub seed: String,
    /// How many sends were started. If it is not zero, the event may have arrived.
    pub attempts: u32,
    pub next_attempt_at: UnixMillis,
}

impl Store {
    /// The users with events in the outbox, and when each one's first event is due. Needs one index lookup
    /// per user, however many events there are.
    pub async fn outbox_senders(&self) -> Result<Vec<(UserId, UnixMillis)>> {
        let rows = sqlx::query(
            "WITH RECURSIVE sender (account_id) AS ( \
             SELECT MIN(account_id) FROM outbox \
             UNION ALL \
             SELECT (SELECT MIN(o.account_id) FROM outbox o WHERE o.account_id > sender.account_id) \
             FROM sender WHERE sender.account_id IS NOT NULL) \
             SELECT account_id, (SELECT MIN(o.next_attempt_at) FROM outbox o \
                                 WHERE o.account_id = sender.account_id) AS due_at \
             FROM sender WHERE account_id IS NOT NULL",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut senders = Vec::with_capacity(rows.len());
        for row in rows {
            // None: the last event was withdrawn in between.
            if let Some(due_at) = row.try_get::<Option<i64>, _>("due_at")? {
                let owner = row.try_get::<String, _>("account_id")?.parse().map_err(corrupt_import)?;
                senders.push((owner, UnixMillis(due_at)));
            }
        }
        Ok(senders)
    }

    /// The next event of `owner` in the outbox, even if it is not due yet.
    pub async fn next_outbox(&self, owner: UserId) -> Result<Option<OutboxRow>> {
        let row = sqlx::query(
            "SELECT event_id, import_id, name, data, seed, attempts, next_attempt_at FROM outbox \
             WHERE account_id = $1 ORDER BY account_id, next_attempt_at, event_id LIMIT 1",
        )
        .bind(owner.to_string())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(OutboxRow {
            event_id: row.try_get::<String, _>("event_id")?.into(),
            import: row.try_get::<String, _>("import_id")?.parse().map_err(corrupt_import)?,
            owner,
            name: row.try_get("name")?,
            data: row.try_get("data")?,
            seed: row.try_get("seed")?,
            attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
            next_attempt_at: UnixMillis(row.try_get("next_attempt_at")?),
        }))
    }

    /// Puts an event back into the outbox. Changes nothing if the event is in it, or if its import was asked
    /// to cancel.
    pub async fn send_event_again(&self, event: &OutboxRow) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let is_wanted = sqlx::query(
            "SELECT 1 FROM import WHERE id = $1 AND cancel_requested_at IS NULL AND finished_at IS NULL",
        )
        .bind(event.import.to_string())
        .fetch_optional(&mut *tx)
        .await?;
        if is_wanted.is_some() {
            insert_event(&mut tx, event).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Records that a send starts: from now on the event may have arrived. Returns false if it was cancelled
    /// or another process has started a send since `event` was read.
    pub async fn begin_sending(&self, event: &OutboxRow, next_attempt_at: UnixMillis) -> Result<bool> {
        let begin = sqlx::query(
            "UPDATE outbox SET attempts = attempts + 1, next_attempt_at = $2 WHERE event_id = $1 AND attempts = $3",
        )
        .bind(event.event_id.as_str())
        .bind(next_attempt_at.0)
        .bind(i64::from(event.attempts));
        Ok(self.pool.write(begin).await?.rows_affected() > 0)
    }

    /// Sets the time of the next attempt to send an event.
    pub async fn postpone_sending(&self, event: &EventId, next_attempt_at: UnixMillis) -> Result<()> {
        let postpone = sqlx::query("UPDATE outbox SET next_attempt_at = $2 WHERE event_id = $1")
            .bind(event.as_str())
            .bind(next_attempt_at.0);
        self.pool.write(postpone).await?;
        Ok(())
    }

    /// Records that the engine confirmed the event under `confirmed`, which is the expected id on every
    /// server seen.
    pub async fn event_sent(&self, import: ImportId, confirmed: &EventId, now: UnixMillis) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query("UPDATE import SET sent_at = $2, event_id = $3 WHERE id = $1 AND sent_at IS NULL")
            .bind(import.to_string())
            .bind(now.0)
            .bind(confirmed.as_str())
            .execute(&mut *tx)
            .await?;
        remove_from_outbox(&mut tx, import).await?;
        Ok(tx.commit().await?)
    }

    /// Records that the engine refused the event permanently, so that nothing runs. An import that was
    /// cancelled in between stays cancelled.
    pub async fn event_refused(&self, import: ImportId, why: &str, now: UnixMillis) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let refused = sqlx::query(
            "UPDATE import SET refused = $2, finished_at = $3 \
             WHERE id = $1 AND sent_at IS NULL AND cancel_requested_at IS NULL",
        )
        .bind(import.to_string())
        .bind(why)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        settle(&mut tx, import).await?;
        if refused.rows_affected() > 0 {
            tell_end(&mut tx, import, now).await?;
        }
        remove_from_outbox(&mut tx, import).await?;
        Ok(tx.commit().await?)
    }
}

pub(super) async fn insert_event(tx: &mut Tx, event: &OutboxRow) -> Result<()> {
    sqlx::query(
        "INSERT INTO outbox (event_id, import_id, name, data, seed, attempts, next_attempt_at, account_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (event_id) DO NOTHING",
    )
    .bind(event.event_id.as_str())
    .bind(event.import.to_string())
    .bind(&event.name)
    .bind(&event.data)
    .bind(&event.seed)
    .bind(i64::from(event.attempts))
    .bind(event.next_attempt_at.0)
    .bind(event.owner.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes an event that was sent, refused or withdrawn.
pub(super) async fn remove_from_outbox(tx: &mut Tx, import: ImportId) -> Result<()> {
    sqlx::query("DELETE FROM outbox WHERE import_id = $1")
        .bind(import.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
