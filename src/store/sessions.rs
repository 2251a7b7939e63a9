//! SQL of sessions.

use std::collections::HashSet;

use sqlx::{Row, any::AnyRow};

use super::{Result, Store, accounts::user_id};
use crate::base::{ids::UserId, time::UnixMillis};

/// The most sessions of one account: far more than a person has browsers.
pub const MOST_SESSIONS: i64 = 100;

/// How many characters of a session's hash name it on the account page. They open nothing. The length is also
/// in [`Store::delete_session_of`].
pub const SESSION_NAME_CHARS: usize = 16;

/// A session, identified by the SHA-256 (hex) of its token.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub account: UserId,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
    /// As the browser says.
    pub user_agent: Option<String>,
    /// The address of the last request.
    pub address: Option<String>,
    /// The time of the last request, at most a minute old.
    pub last_seen_at: Option<UnixMillis>,
}

/// The last request of a session.
#[derive(Clone, Debug)]
pub struct SessionUse {
    pub token_hash: String,
    pub at: UnixMillis,
    pub address: Option<String>,
}

const COLUMNS: &str = "session.account_id, session.created_at, session.expires_at, session.user_agent, \
                       session.address, session.last_seen_at";

fn read_session(row: &AnyRow) -> Result<SessionRow> {
    let time = |column| row.try_get(column).map(UnixMillis);
    Ok(SessionRow {
        account: user_id("session", row.try_get("account_id")?)?,
        created_at: time("created_at")?,
        expires_at: time("expires_at")?,
        user_agent: row.try_get("user_agent")?,
        address: row.try_get("address")?,
        last_seen_at: row.try_get::<Option<i64>, _>("last_seen_at")?.map(UnixMillis),
    })
}

impl Store {
    /// Records a session. In the same transaction the session that it replaces ends, and so do the account's
    /// oldest sessions beyond [`MOST_SESSIONS`]. Returns false, and records nothing, if the account cannot be
    /// used.
    pub async fn create_session(
        &self,
        token_hash: &str,
        session: &SessionRow,
        replaced: Option<&str>,
    ) -> Result<bool> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("DELETE FROM session WHERE token_hash = $1")
            .bind(replaced)
            .execute(&mut *transaction)
            .await?;
        // Locks the account, so that one that is disabled at the same time gets no session.
        let usable = sqlx::query(
            "UPDATE account SET disabled_at = NULL \
             WHERE id = $1 AND disabled_at IS NULL AND deleting_at IS NULL",
        )
        .bind(session.account.to_string())
        .execute(&mut *transaction)
        .await?;
        if usable.rows_affected() == 0 {
            transaction.commit().await?;
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO session \
             (token_hash, account_id, created_at, expires_at, user_agent, address, last_seen_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(token_hash)
        .bind(session.account.to_string())
        .bind(session.created_at.0)
        .bind(session.expires_at.0)
        .bind(session.user_agent.as_deref())
        .bind(session.address.as_deref())
        .bind(session.last_seen_at.map(|at| at.0))
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
        Ok(true)
    }

    /// The session of `token_hash` with its account's e-mail, even if it has expired.
    pub async fn session(&self, token_hash: &str) -> Result<Option<(SessionRow, String)>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS}, account.email \
             FROM session JOIN account ON account.id = session.account_id WHERE session.token_hash = $1"
        )))
        .bind(token_hash)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok((read_session(&row)?, row.try_get("email")?))).transpose()
    }

    /// The sessions of an account with the hashes of their tokens, newest first.
    pub async fn sessions_of(&self, account: UserId) -> Result<Vec<(String, SessionRow)>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS}, session.token_hash FROM session WHERE session.account_id = $1 \
             ORDER BY session.created_at DESC, session.token_hash LIMIT $2"
        )))
        .bind(account.to_string())
        .bind(MOST_SESSIONS)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((row.try_get("token_hash")?, read_session(row)?))).collect()
    }

    /// Records the last requests of sessions, in one transaction.
    pub async fn record_session_uses(&self, uses: &[SessionUse]) -> Result<()> {
        let mut transaction = self.begin_write().await?;
        for last in uses {
            sqlx::query(
                "UPDATE session SET last_seen_at = $2, address = COALESCE($3, address) \
                 WHERE token_hash = $1 AND (last_seen_at IS NULL OR last_seen_at < $2)",
            )
            .bind(&last.token_hash)
            .bind(last.at.0)
            .bind(last.address.as_deref())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    pub async fn delete_session(&self, token_hash: &str) -> Result<()> {
        let delete = sqlx::query("DELETE FROM session WHERE token_hash = $1").bind(token_hash);
        self.pool.write(delete).await?;
        Ok(())
    }

    /// Ends the session of an account whose hash begins with `name`. Returns false if there is none.
    pub async fn delete_session_of(&self, account: UserId, name: &str) -> Result<bool> {
        let delete =
            sqlx::query("DELETE FROM session WHERE account_id = $1 AND substr(token_hash, 1, 16) = $2")
                .bind(account.to_string())
                .bind(name);
        Ok(self.pool.write(delete).await?.rows_affected() > 0)
    }

    /// Ends the sessions of an account except for `kept`. Returns how many have ended.
    pub async fn delete_sessions_except(&self, account: UserId, kept: &str) -> Result<u64> {
        let delete = sqlx::query("DELETE FROM session WHERE account_id = $1 AND token_hash <> $2")
            .bind(account.to_string())
            .bind(kept);
        Ok(self.pool.write(delete).await?.rows_affected())
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
