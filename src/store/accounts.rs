//! SQL of accounts and their sessions.

use std::collections::HashSet;

use super::{Error, Result, Store};
use crate::base::{ids::UserId, time::UnixMillis};

/// The most sessions of one account: far more than a person has browsers.
pub const MOST_SESSIONS: i64 = 100;

/// An account to be created.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub id: UserId,
    /// Lower case.
    pub email: String,
    /// PHC string.
    pub password_hash: String,
    pub created_at: UnixMillis,
}

/// The data that a sign-in is checked against.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub account: UserId,
    /// PHC string.
    pub password_hash: String,
}

/// A session, identified by the SHA-256 (hex) of its token.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub account: UserId,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
}

impl Store {
    /// Whether any account exists.
    pub async fn has_account(&self) -> Result<bool> {
        let first = sqlx::query("SELECT id FROM account LIMIT 1").fetch_optional(&self.pool).await?;
        Ok(first.is_some())
    }

    /// Creates an account. Returns `false` if the e-mail address has one already.
    pub async fn create_account(&self, new: &NewAccount) -> Result<bool> {
        let create = sqlx::query(
            "INSERT INTO account (id, email, password_hash, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (email) DO NOTHING",
        )
        .bind(new.id.to_string())
        .bind(&new.email)
        .bind(&new.password_hash)
        .bind(new.created_at.0);
        Ok(self.pool.write(create).await?.rows_affected() == 1)
    }

    /// Creates the first account. Returns `false` if an account exists. Of several concurrent calls exactly
    /// one succeeds: on Postgres, where the transactions do not see each other's rows yet, the unique
    /// `first_slot` decides.
    pub async fn create_first_account(&self, new: &NewAccount) -> Result<bool> {
        let create = sqlx::query(
            "INSERT INTO account (id, email, password_hash, created_at, first_slot) \
             SELECT $1, $2, $3, $4, 1 WHERE NOT EXISTS (SELECT id FROM account) \
             ON CONFLICT DO NOTHING",
        )
        .bind(new.id.to_string())
        .bind(&new.email)
        .bind(&new.password_hash)
        .bind(new.created_at.0);
        Ok(self.pool.write(create).await?.rows_affected() == 1)
    }

    /// The credentials of the account of `email` (lower case).
    pub async fn credentials(&self, email: &str) -> Result<Option<Credentials>> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT id, password_hash FROM account WHERE email = $1")
                .bind(email)
                .fetch_optional(&self.pool)
                .await?;
        row.map(|(id, password_hash)| Ok(Credentials { account: user_id("account", &id)?, password_hash }))
            .transpose()
    }

    /// E-mail and creation time of every account, oldest first.
    pub async fn accounts(&self) -> Result<Vec<(String, UnixMillis)>> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT email, created_at FROM account ORDER BY created_at, id")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(email, created_at)| (email, UnixMillis(created_at))).collect())
    }

    /// Sets another password for the account of `email` and ends its sessions, in one transaction. Returns
    /// `false` if there is no such account.
    pub async fn reset_password(&self, email: &str, password_hash: &str) -> Result<bool> {
        let mut transaction = self.begin_write().await?;
        let done = sqlx::query("UPDATE account SET password_hash = $1 WHERE email = $2")
            .bind(password_hash)
            .bind(email)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM session WHERE account_id = (SELECT id FROM account WHERE email = $1)")
            .bind(email)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Records a session. In the same transaction the session that it replaces ends, and so do the account's
    /// oldest sessions beyond [`MOST_SESSIONS`].
    pub async fn create_session(
        &self,
        token_hash: &str,
        session: &SessionRow,
        replaced: Option<&str>,
    ) -> Result<()> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("DELETE FROM session WHERE token_hash = $1")
            .bind(replaced)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO session (token_hash, account_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(token_hash)
        .bind(session.account.to_string())
        .bind(session.created_at.0)
        .bind(session.expires_at.0)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "DELETE FROM session WHERE account_id = $1 AND token_hash NOT IN ( \
             SELECT token_hash FROM session WHERE account_id = $1 AND token_hash <> $2 \
             ORDER BY created_at DESC, token_hash LIMIT $3) AND token_hash <> $2",
        )
        .bind(session.account.to_string())
        .bind(token_hash)
        .bind(MOST_SESSIONS - 1)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The session of `token_hash` with its account's e-mail, even if it has expired.
    pub async fn session(&self, token_hash: &str) -> Result<Option<(SessionRow, String)>> {
        let row: Option<(String, i64, i64, String)> = sqlx::query_as(
            "SELECT session.account_id, session.created_at, session.expires_at, account.email \
             FROM session JOIN account ON account.id = session.account_id WHERE session.token_hash = $1",
        )
        .bind(token_hash)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|(account, created_at, expires_at, email)| {
            let session = SessionRow {
                account: user_id("session", &account)?,
                created_at: UnixMillis(created_at),
                expires_at: UnixMillis(expires_at),
            };
            Ok((session, email))
        })
        .transpose()
    }

    pub async fn delete_session(&self, token_hash: &str) -> Result<()> {
        let delete = sqlx::query("DELETE FROM session WHERE token_hash = $1").bind(token_hash);
        self.pool.write(delete).await?;
        Ok(())
    }

    pub async fn delete_expired_sessions(&self, now: UnixMillis) -> Result<()> {
        let delete = sqlx::query("DELETE FROM session WHERE expires_at <= $1").bind(now.0);
        self.pool.write(delete).await?;
        Ok(())
    }

    /// Which of `token_hashes`, at most [`LONGEST_LIST`](super::LONGEST_LIST), belong to a session.
    pub async fn sessions_among(&self, token_hashes: &[String]) -> Result<HashSet<String>> {
        self.known("SELECT token_hash FROM session WHERE token_hash", token_hashes).await
    }
}

fn user_id(table: &'static str, text: &str) -> Result<UserId> {
    text.parse()
        .map_err(|error| Error::Corrupt { table, why: format!("{text:?} is not an account id: {error}") })
}
