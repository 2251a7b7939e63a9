//! SQL of the tokens with which programs call the API.

use super::{
    Error, Result, Store,
    idempotency::{EarlierAnswer, KeyedRequest, answer_once},
    webhooks::insert_webhook,
};
use crate::base::{
    ids::{TokenId, UserId},
    time::UnixMillis,
};

/// The most tokens of one account: far more than a person has programs.
pub const MOST_TOKENS: i64 = 100;

/// A token, without its secret. The query of its webhook's address may be one, so it has no Debug.
#[derive(Clone)]
pub struct ApiTokenRow {
    pub id: TokenId,
    pub account: UserId,
    pub name: String,
    /// Separated by spaces.
    pub scopes: String,
    pub created_at: UnixMillis,
    /// None: never.
    pub expires_at: Option<UnixMillis>,
    /// None: not used yet.
    pub last_used_at: Option<UnixMillis>,
    /// Where the ends of its imports are told.
    pub webhook: Option<String>,
}

/// What became of a token that was to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenCreation {
    Made,
    /// An earlier request with the same key has made one. Nothing was recorded.
    AnsweredBefore(EarlierAnswer<TokenId>),
    /// The account has [`MOST_TOKENS`] already.
    TooMany,
    /// The account cannot be used any more.
    NoAccount,
    /// It has a webhook, and its account has no secret to sign with.
    NoSecret,
}

/// The columns of [`ApiTokenRow`].
type Columns = (String, String, String, String, i64, Option<i64>, Option<i64>, Option<String>);

/// The same, and the e-mail of the account.
type ColumnsWithEmail =
    (String, String, String, String, i64, Option<i64>, Option<i64>, Option<String>, String);

impl Store {
    /// Records a token under the SHA-256 (hex) of its secret, and the answer to the `request` that makes it, if that
    /// may be sent again.
    pub async fn create_api_token(
        &self,
        token: &ApiTokenRow,
        token_hash: &str,
        request: Option<&KeyedRequest>,
    ) -> Result<TokenCreation> {
        let mut transaction = self.begin_write().await?;
        // Locks the account's row on Postgres, where two transactions would otherwise count the same tokens.
        let account = sqlx::query(
            "UPDATE account SET email = email WHERE id = $1 AND disabled_at IS NULL AND deleting_at IS NULL",
        )
        .bind(token.account.to_string())
        .execute(&mut *transaction)
        .await?;
        if account.rows_affected() == 0 {
            return Ok(TokenCreation::NoAccount);
        }
        if let Some(request) = request {
            let (owner, now) = (token.account, token.created_at);
            if let Some(earlier) = answer_once(&mut transaction, owner, request, token.id, now).await? {
                return Ok(TokenCreation::AnsweredBefore(earlier));
            }
        }
        let made = sqlx::query(
            "INSERT INTO api_token (id, account_id, name, token_hash, scopes, created_at, expires_at) \
             SELECT $1, $2, $3, $4, $5, $6, $7 \
             WHERE (SELECT COUNT(*) FROM api_token WHERE account_id = $2) < $8",
        )
        .bind(token.id.to_string())
        .bind(token.account.to_string())
        .bind(&token.name)
        .bind(token_hash)
        .bind(&token.scopes)
        .bind(token.created_at.0)
        .bind(token.expires_at.map(|at| at.0))
        .bind(MOST_TOKENS)
        .execute(&mut *transaction)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(TokenCreation::TooMany);
        }
        if let Some(address) = &token.webhook {
            let secret = sqlx::query("SELECT 1 FROM webhook_secret WHERE account_id = $1 LIMIT 1")
                .bind(token.account.to_string())
                .fetch_optional(&mut *transaction)
                .await?;
            if secret.is_none() {
                return Ok(TokenCreation::NoSecret);
            }
            insert_webhook(&mut transaction, token.account, Some(token.id), address).await?;
        }
        transaction.commit().await?;
        Ok(TokenCreation::Made)
    }

    /// The tokens of `account`, newest first, also those that have expired.
    pub async fn api_tokens(&self, account: UserId) -> Result<Vec<ApiTokenRow>> {
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT api_token.id, api_token.account_id, name, scopes, created_at, expires_at, last_used_at, \
                 webhook.address \
             FROM api_token LEFT JOIN webhook ON webhook.token_id = api_token.id \
             WHERE api_token.account_id = $1 ORDER BY api_token.id DESC",
        )
        .bind(account.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(row).collect()
    }

    /// The token of `token_hash` with its account's e-mail, even if it has expired.
    pub async fn api_token(&self, token_hash: &str) -> Result<Option<(ApiTokenRow, String)>> {
        let found: Option<ColumnsWithEmail> = sqlx::query_as(
            "SELECT api_token.id, api_token.account_id, api_token.name, api_token.scopes, \
                 api_token.created_at, api_token.expires_at, api_token.last_used_at, webhook.address, account.email \
                 FROM api_token JOIN account ON account.id = api_token.account_id \
                 LEFT JOIN webhook ON webhook.token_id = api_token.id \
                 WHERE api_token.token_hash = $1",
        )
        .bind(token_hash)
        .fetch_optional(&self.pool)
        .await?;
        found
            .map(|(id, account, name, scopes, created_at, expires_at, last_used_at, webhook, email)| {
                let columns = (id, account, name, scopes, created_at, expires_at, last_used_at, webhook);
                Ok((row(columns)?, email))
            })
            .transpose()
    }

    /// Deletes a token of `account`. Returns `false` if it has no such token.
    pub async fn delete_api_token(&self, account: UserId, id: TokenId) -> Result<bool> {
        let delete = sqlx::query("DELETE FROM api_token WHERE id = $1 AND account_id = $2")
            .bind(id.to_string())
            .bind(account.to_string());
        Ok(self.pool.write(delete).await?.rows_affected() == 1)
    }

    /// Records that a token was used at `now`, unless a later use is recorded.
    pub async fn api_token_used(&self, id: TokenId, now: UnixMillis) -> Result<()> {
        let update = sqlx::query(
            "UPDATE api_token SET last_used_at = $2 \
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
        )
        .bind(id.to_string())
        .bind(now.0);
        self.pool.write(update).await?;
        Ok(())
    }
}

fn row(
    (id, account, name, scopes, created_at, expires_at, last_used_at, webhook): Columns,
) -> Result<ApiTokenRow> {
    let corrupt = |error| Error::Corrupt { table: "api_token", why: format!("{id:?}: {error}") };
    Ok(ApiTokenRow {
        id: id.parse().map_err(corrupt)?,
        account: account.parse().map_err(corrupt)?,
        name,
        scopes,
        created_at: UnixMillis(created_at),
        expires_at: expires_at.map(UnixMillis),
        last_used_at: last_used_at.map(UnixMillis),
        webhook,
    })
}
