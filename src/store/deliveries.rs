//! SQL of the deliveries of webhooks: which ends of imports are told, when the next attempt is due, and what became of
//! it.

use std::{fmt, str::FromStr};

use sqlx::{Row, any::AnyRow};

use super::{Error, Result, Store, Tx};
use crate::base::{
    ids::{DeliveryId, ImportId, UserId, WebhookId},
    time::UnixMillis,
};

/// A delivery that is due.
#[derive(Clone)]
pub struct DueDelivery {
    pub id: DeliveryId,
    pub webhook: WebhookId,
    pub owner: UserId,
    /// None: a test.
    pub import: Option<ImportId>,
    pub made_at: UnixMillis,
    /// None before the first attempt.
    pub body: Option<String>,
    /// How many attempts were made since it was made or last sent again.
    pub attempts: u32,
    pub next_attempt_at: UnixMillis,
    pub address: String,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptResult {
    pub status: Option<u16>,
    /// An excerpt of the answer, or why there was none.
    pub answer: String,
    pub then: AfterAttempt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterAttempt {
    Delivered,
    RetryAt(UnixMillis),
    GiveUp,
    /// The receiver wants no more deliveries: nothing is sent to its address any more.
    Gone,
}

/// A delivery as its owner sees it.
#[derive(Clone)]
pub struct DeliveryRow {
    pub id: DeliveryId,
    /// None: a test.
    pub import: Option<ImportId>,
    pub file_name: Option<String>,
    pub address: String,
    pub made_at: UnixMillis,
    pub attempts: u32,
    pub attempted_at: Option<UnixMillis>,
    pub next_attempt_at: Option<UnixMillis>,
    pub delivered_at: Option<UnixMillis>,
    pub status: Option<u16>,
    /// None before the end of an attempt.
    pub answer: Option<String>,
}

impl DeliveryRow {
    /// When the attempt began that is being made, or was interrupted.
    #[must_use]
    pub fn sent_since(&self) -> Option<UnixMillis> {
        self.attempted_at
            .filter(|_| self.attempts > 0 && self.delivered_at.is_none() && self.answer.is_none())
    }
}

/// Without the address, whose query may be a secret, and the body.
impl fmt::Debug for DueDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DueDelivery({})", self.id)
    }
}

/// Without the address and the answer.
impl fmt::Debug for DeliveryRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeliveryRow({})", self.id)
    }
}

/// Queues the delivery of an end, in the transaction that records it: to the webhook of the token that made the import,
/// or else to that of the account. A delivery of an earlier end of which nothing was sent goes.
pub(super) async fn queue_delivery(tx: &mut Tx, import: ImportId, now: UnixMillis) -> Result<()> {
    let id = DeliveryId::generate();
    sqlx::query(
        "INSERT INTO webhook_delivery (id, webhook_id, account_id, import_id, made_at, next_attempt_at) \
         SELECT $1, webhook.id, webhook.account_id, $2, $3, $3 \
         FROM webhook JOIN account ON account.id = webhook.account_id \
         WHERE webhook.id = (SELECT meant.id FROM webhook AS meant \
                 JOIN import ON import.account_id = meant.account_id \
                 WHERE import.id = $2 AND (meant.token_id IS NULL OR meant.token_id = import.token_id) \
                 ORDER BY CASE WHEN meant.token_id IS NULL THEN 1 ELSE 0 END LIMIT 1) \
             AND webhook.gone_at IS NULL AND account.disabled_at IS NULL AND account.deleting_at IS NULL",
    )
    .bind(id.to_string())
    .bind(import.to_string())
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    // After the insert, which locks the webhook on Postgres: whoever deletes a webhook locks it before its deliveries,
    // too, so that neither waits for the other.
    sqlx::query("DELETE FROM webhook_delivery WHERE import_id = $1 AND body IS NULL AND id <> $2")
        .bind(import.to_string())
        .bind(id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl Store {
    /// The users with deliveries to come, and when each one's first is due. Needs one index lookup per user, however
    /// many deliveries there are. Those of an account that cannot be used wait.
    pub async fn delivery_owners(&self) -> Result<Vec<(UserId, UnixMillis)>> {
        let rows = sqlx::query(
            "WITH RECURSIVE waiting (account_id) AS ( \
             SELECT MIN(account_id) FROM webhook_delivery WHERE next_attempt_at IS NOT NULL \
             UNION ALL \
             SELECT (SELECT MIN(d.account_id) FROM webhook_delivery d \
                     WHERE d.next_attempt_at IS NOT NULL AND d.account_id > waiting.account_id) \
             FROM waiting WHERE waiting.account_id IS NOT NULL) \
             SELECT account.id, (SELECT MIN(d.next_attempt_at) FROM webhook_delivery d \
                 WHERE d.next_attempt_at IS NOT NULL AND d.account_id = account.id) AS due_at \
             FROM waiting JOIN account ON account.id = waiting.account_id \
             WHERE account.disabled_at IS NULL AND account.deleting_at IS NULL",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut owners = Vec::with_capacity(rows.len());
        for row in rows {
            // None: the last one was deleted in between.
            if let Some(due_at) = row.try_get::<Option<i64>, _>("due_at")? {
                owners.push((id(&row, "id")?, UnixMillis(due_at)));
            }
        }
        Ok(owners)
    }

    /// The next delivery of `owner`, even if it is not due yet. None if the account cannot be used.
    pub async fn next_delivery(&self, owner: UserId) -> Result<Option<DueDelivery>> {
        let row = sqlx::query(
            "SELECT d.id, d.webhook_id, d.import_id, d.made_at, d.body, d.attempts, d.next_attempt_at, webhook.address \
             FROM webhook_delivery d JOIN webhook ON webhook.id = d.webhook_id \
                 JOIN account ON account.id = d.account_id \
             WHERE d.account_id = $1 AND d.next_attempt_at IS NOT NULL \
                 AND account.disabled_at IS NULL AND account.deleting_at IS NULL \
             ORDER BY d.next_attempt_at, d.id LIMIT 1",
        )
        .bind(owner.to_string())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(DueDelivery {
            id: id(&row, "id")?,
            webhook: id(&row, "webhook_id")?,
            owner,
            import: import_of(&row)?,
            made_at: UnixMillis(row.try_get("made_at")?),
            body: row.try_get("body")?,
            attempts: number(row.try_get("attempts")?),
            next_attempt_at: UnixMillis(row.try_get("next_attempt_at")?),
            address: row.try_get("address")?,
        }))
    }

    /// Records that an attempt starts, with the body that it and all later ones send: from now on the delivery may have
    /// arrived. Returns false if it is not to be sent any more, or another process has started this attempt.
    pub async fn begin_attempt(
        &self,
        delivery: &DueDelivery,
        body: &str,
        now: UnixMillis,
        next_attempt_at: UnixMillis,
    ) -> Result<bool> {
        let begin = sqlx::query(
            "UPDATE webhook_delivery SET body = $3, attempts = attempts + 1, attempted_at = $4, next_attempt_at = $5, \
                 status = NULL, answer = NULL \
             WHERE id = $1 AND attempts = $2 AND next_attempt_at IS NOT NULL",
        )
        .bind(delivery.id.to_string())
        .bind(i64::from(delivery.attempts))
        .bind(body)
        .bind(now.0)
        .bind(next_attempt_at.0);
        Ok(self.pool.write(begin).await?.rows_affected() > 0)
    }

    /// Sets the time of the next attempt, unless there was one or none is to come.
    pub async fn postpone_delivery(&self, delivery: &DueDelivery, next_attempt_at: UnixMillis) -> Result<()> {
        let postpone = sqlx::query(
            "UPDATE webhook_delivery SET next_attempt_at = $3 \
             WHERE id = $1 AND attempts = $2 AND next_attempt_at IS NOT NULL",
        )
        .bind(delivery.id.to_string())
        .bind(i64::from(delivery.attempts))
        .bind(next_attempt_at.0);
        self.pool.write(postpone).await?;
        Ok(())
    }

    /// Records what became of the attempt after those of `delivery`, unless it was sent again since.
    pub async fn end_attempt(
        &self,
        delivery: &DueDelivery,
        result: &AttemptResult,
        now: UnixMillis,
    ) -> Result<()> {
        let mut tx = self.begin_write().await?;
        // First, because it locks the webhook before its deliveries, as its deletion does.
        let is_set_gone = result.then == AfterAttempt::Gone && set_gone(&mut tx, delivery, now).await?;
        let (delivered_at, next_attempt_at) = match result.then {
            AfterAttempt::Delivered => (Some(now.0), None),
            AfterAttempt::RetryAt(at) => (None, Some(at.0)),
            // Another address was saved meanwhile, and gets it now. A test was meant for the one that has answered.
            AfterAttempt::Gone if !is_set_gone => (None, delivery.import.map(|_| now.0)),
            AfterAttempt::GiveUp | AfterAttempt::Gone => (None, None),
        };
        sqlx::query(
            "UPDATE webhook_delivery SET delivered_at = $3, next_attempt_at = $4, status = $5, answer = $6 \
             WHERE id = $1 AND attempts = $2",
        )
        .bind(delivery.id.to_string())
        .bind(i64::from(delivery.attempts) + 1)
        .bind(delivered_at)
        .bind(next_attempt_at)
        .bind(result.status.map(i64::from))
        .bind(&result.answer)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Has a delivery of `owner` sent again now, with the same id and body, even if the receiver was gone. Returns false
    /// if there is no such delivery.
    pub async fn send_delivery_again(&self, owner: UserId, id: DeliveryId, now: UnixMillis) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "UPDATE webhook SET gone_at = NULL \
             WHERE id = (SELECT webhook_id FROM webhook_delivery WHERE id = $1 AND account_id = $2)",
        )
        .bind(id.to_string())
        .bind(owner.to_string())
        .execute(&mut *tx)
        .await?;
        let again = sqlx::query(
            "UPDATE webhook_delivery SET attempts = 0, next_attempt_at = $3, delivered_at = NULL \
             WHERE id = $1 AND account_id = $2",
        )
        .bind(id.to_string())
        .bind(owner.to_string())
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(again.rows_affected() > 0)
    }

    /// Has a test sent to the webhook of the account itself, in place of an earlier test. Returns false, and changes
    /// nothing, if it has none or its receiver is gone.
    pub async fn send_test(&self, owner: UserId, body: &str, now: UnixMillis) -> Result<bool> {
        let id = DeliveryId::generate();
        let mut tx = self.begin_write().await?;
        let made = sqlx::query(
            "INSERT INTO webhook_delivery (id, webhook_id, account_id, made_at, next_attempt_at, body) \
             SELECT $1, webhook.id, webhook.account_id, $3, $3, $4 \
             FROM webhook WHERE account_id = $2 AND token_id IS NULL AND gone_at IS NULL",
        )
        .bind(id.to_string())
        .bind(owner.to_string())
        .bind(now.0)
        .bind(body)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM webhook_delivery WHERE account_id = $1 AND import_id IS NULL AND id <> $2")
            .bind(owner.to_string())
            .bind(id.to_string())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The last deliveries of `owner`, newest first.
    pub async fn deliveries(&self, owner: UserId, limit: u32) -> Result<Vec<DeliveryRow>> {
        let rows = sqlx::query(
            "SELECT d.id, d.import_id, import.file_name, webhook.address, d.made_at, d.attempts, d.attempted_at, \
                 d.next_attempt_at, d.delivered_at, d.status, d.answer \
             FROM webhook_delivery d JOIN webhook ON webhook.id = d.webhook_id \
                 LEFT JOIN import ON import.id = d.import_id \
             WHERE d.account_id = $1 ORDER BY d.id DESC LIMIT $2",
        )
        .bind(owner.to_string())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_delivery).collect()
    }

    /// Deletes the deliveries that were made before `time`, also those that still wait: their import cannot be
    /// described, or their account cannot be used. Returns how many.
    pub async fn prune_deliveries(&self, time: UnixMillis) -> Result<u64> {
        let prune = sqlx::query("DELETE FROM webhook_delivery WHERE made_at < $1").bind(time.0);
        Ok(self.pool.write(prune).await?.rows_affected())
    }
}

/// Stops all that is sent to a webhook, if it still has the address that has answered. Returns false if it has another.
async fn set_gone(tx: &mut Tx, delivery: &DueDelivery, now: UnixMillis) -> Result<bool> {
    let gone = sqlx::query("UPDATE webhook SET gone_at = $3 WHERE id = $1 AND address = $2")
        .bind(delivery.webhook.to_string())
        .bind(&delivery.address)
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    if gone.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("UPDATE webhook_delivery SET next_attempt_at = NULL WHERE webhook_id = $1")
        .bind(delivery.webhook.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

fn read_delivery(row: &AnyRow) -> Result<DeliveryRow> {
    let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(|at| at.map(UnixMillis));
    Ok(DeliveryRow {
        id: id(row, "id")?,
        import: import_of(row)?,
        file_name: row.try_get("file_name")?,
        address: row.try_get("address")?,
        made_at: UnixMillis(row.try_get("made_at")?),
        attempts: number(row.try_get("attempts")?),
        attempted_at: time("attempted_at")?,
        next_attempt_at: time("next_attempt_at")?,
        delivered_at: time("delivered_at")?,
        status: row.try_get::<Option<i64>, _>("status")?.and_then(|status| u16::try_from(status).ok()),
        answer: row.try_get("answer")?,
    })
}

fn import_of(row: &AnyRow) -> Result<Option<ImportId>> {
    let import: Option<String> = row.try_get("import_id")?;
    import.map(|import| import.parse().map_err(corrupt)).transpose()
}

fn id<T: FromStr<Err: fmt::Display>>(row: &AnyRow, column: &str) -> Result<T> {
    row.try_get::<String, _>(column)?.parse().map_err(corrupt)
}

fn number(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}

fn corrupt(why: impl fmt::Display) -> Error {
    Error::Corrupt { table: "webhook_delivery", why: why.to_string() }
}
