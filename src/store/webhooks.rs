//! SQL of webhooks, and of the secrets that their deliveries are signed with.

use std::{fmt, time::Duration};

use sqlx::{Row, any::AnyRow};

use super::{Error, Result, Store, Tx};
use crate::base::{
    ids::{TokenId, UserId, WebhookId, ulid_at},
    time::UnixMillis,
};

/// Where the ends of imports are told.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRow {
    pub id: WebhookId,
    /// The token whose imports it is for, and its name. None: it is for all imports without a webhook of their token.
    pub token: Option<(TokenId, String)>,
    pub address: String,
    /// Since when nothing is sent, because its receiver answered 410 (gone).
    pub gone_at: Option<UnixMillis>,
}

/// Without the address, whose query may be a secret.
impl fmt::Debug for WebhookRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookRow({})", self.id)
    }
}

/// A secret that deliveries are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Names it in a form.
    pub id: String,
    /// `whsec_...`
    pub secret: String,
    pub made_at: UnixMillis,
    /// Until when it signs beside its successor; None for the present one.
    pub ends_at: Option<UnixMillis>,
}

impl fmt::Debug for SecretRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretRow({})", self.id)
    }
}

/// The result of changing a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretChange {
    Done,
    /// The present secret is another one than the request says.
    ChangedBefore,
    /// So many earlier ones are still in use.
    TooMany,
}

/// The most secrets that sign one delivery.
const MOST_SECRETS: usize = 4;

/// The secrets of an account that sign at a time: the present one first.
const SECRETS: &str = "SELECT id, secret, made_at, ends_at FROM webhook_secret \
     WHERE account_id = $1 AND (ends_at IS NULL OR ends_at > $2) \
     ORDER BY CASE WHEN ends_at IS NULL THEN 0 ELSE 1 END, id DESC";

impl Store {
    /// The webhooks of `owner`: its own first, then those of its tokens.
    pub async fn webhooks(&self, owner: UserId) -> Result<Vec<WebhookRow>> {
        let rows = sqlx::query(
            "SELECT webhook.id, webhook.token_id, api_token.name, webhook.address, webhook.gone_at \
             FROM webhook LEFT JOIN api_token ON api_token.id = webhook.token_id \
             WHERE webhook.account_id = $1 \
             ORDER BY CASE WHEN webhook.token_id IS NULL THEN 0 ELSE 1 END, webhook.id DESC",
        )
        .bind(owner.to_string())
        .fetch_all(&self.pool)
        .await?;
        let mut webhooks = Vec::with_capacity(rows.len());
        for row in rows {
            let token: Option<String> = row.try_get("token_id")?;
            let token = match token {
                Some(token) => Some((
                    token.parse().map_err(corrupt)?,
                    row.try_get::<Option<String>, _>("name")?.unwrap_or_default(),
                )),
                None => None,
            };
            webhooks.push(WebhookRow {
                id: row.try_get::<String, _>("id")?.parse().map_err(corrupt)?,
                token,
                address: row.try_get("address")?,
                gone_at: row.try_get::<Option<i64>, _>("gone_at")?.map(UnixMillis),
            });
        }
        Ok(webhooks)
    }

    /// Sets the address of the account's own webhook, which is on from now on. `secret` becomes the account's secret if
    /// it has none; returns whether it did.
    pub async fn save_webhook(
        &self,
        owner: UserId,
        address: &str,
        secret: &str,
        now: UnixMillis,
    ) -> Result<bool> {
        let mut tx = self.begin_write_locked(&owner.to_string()).await?;
        let changed = sqlx::query(
            "UPDATE webhook SET address = $2, gone_at = NULL WHERE account_id = $1 AND token_id IS NULL",
        )
        .bind(owner.to_string())
        .bind(address)
        .execute(&mut *tx)
        .await?;
        if changed.rows_affected() == 0 {
            insert_webhook(&mut tx, owner, None, address).await?;
        }
        let is_first = secrets(&mut tx, owner, now).await?.is_empty();
        if is_first {
            insert_secret(&mut tx, owner, secret, now).await?;
        }
        tx.commit().await?;
        Ok(is_first)
    }

    /// Deletes the account's own webhook with its deliveries. Returns false if it has none.
    pub async fn delete_webhook(&self, owner: UserId) -> Result<bool> {
        let delete = sqlx::query("DELETE FROM webhook WHERE account_id = $1 AND token_id IS NULL")
            .bind(owner.to_string());
        Ok(self.pool.write(delete).await?.rows_affected() > 0)
    }

    /// The secrets of `owner` that sign at `now`: the present one first, then earlier ones, newest first.
    pub async fn webhook_secrets(&self, owner: UserId, now: UnixMillis) -> Result<Vec<SecretRow>> {
        let rows = sqlx::query(SECRETS).bind(owner.to_string()).bind(now.0).fetch_all(&self.pool).await?;
        rows.iter().map(read_secret).collect()
    }

    /// Makes `secret` the present one of `owner`. The one before, which `present` names, signs beside it for `beside`.
    pub async fn change_webhook_secret(
        &self,
        owner: UserId,
        present: Option<&str>,
        secret: &str,
        (now, beside): (UnixMillis, Duration),
    ) -> Result<SecretChange> {
        let mut tx = self.begin_write_locked(&owner.to_string()).await?;
        let known = secrets(&mut tx, owner, now).await?;
        if known.first().map(|known| known.id.as_str()) != present {
            return Ok(SecretChange::ChangedBefore);
        }
        if known.len() >= MOST_SECRETS {
            return Ok(SecretChange::TooMany);
        }
        sqlx::query("UPDATE webhook_secret SET ends_at = $2 WHERE account_id = $1 AND ends_at IS NULL")
            .bind(owner.to_string())
            .bind(now.plus(beside).0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM webhook_secret WHERE account_id = $1 AND ends_at <= $2")
            .bind(owner.to_string())
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        insert_secret(&mut tx, owner, secret, now).await?;
        tx.commit().await?;
        Ok(SecretChange::Done)
    }
}

pub(super) async fn insert_webhook(
    tx: &mut Tx,
    owner: UserId,
    token: Option<TokenId>,
    address: &str,
) -> Result<()> {
    sqlx::query("INSERT INTO webhook (id, account_id, token_id, address) VALUES ($1, $2, $3, $4)")
        .bind(WebhookId::generate().to_string())
        .bind(owner.to_string())
        .bind(token.map(|token| token.to_string()))
        .bind(address)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn insert_secret(tx: &mut Tx, owner: UserId, secret: &str, now: UnixMillis) -> Result<()> {
    sqlx::query("INSERT INTO webhook_secret (id, account_id, secret, made_at) VALUES ($1, $2, $3, $4)")
        .bind(ulid_at(now).to_string())
        .bind(owner.to_string())
        .bind(secret)
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn secrets(tx: &mut Tx, owner: UserId, now: UnixMillis) -> Result<Vec<SecretRow>> {
    let rows = sqlx::query(SECRETS).bind(owner.to_string()).bind(now.0).fetch_all(&mut **tx).await?;
    rows.iter().map(read_secret).collect()
}

fn read_secret(row: &AnyRow) -> Result<SecretRow> {
    Ok(SecretRow {
        id: row.try_get("id")?,
        secret: row.try_get("secret")?,
        made_at: UnixMillis(row.try_get("made_at")?),
        ends_at: row.try_get::<Option<i64>, _>("ends_at")?.map(UnixMillis),
    })
}

fn corrupt(why: impl fmt::Display) -> Error {
    Error::Corrupt { table: "webhook", why: why.to_string() }
}
