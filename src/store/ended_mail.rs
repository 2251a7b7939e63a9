//! SQL of the e-mails about ended imports: who wants them, and how many there are.

use std::time::Duration;

use sqlx::Row;

use super::{Error, Result, Store, Tx, to_bigint};
use crate::base::{
    ids::{ImportId, MailId, UserId},
    time::UnixMillis,
};

/// Which ends of imports an account is told by e-mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndedMail {
    #[default]
    Off,
    /// Imports that failed or were lost, that no function took, or that have failed rows.
    Failures,
    All,
}

/// How long an e-mail about an import is tried for.
const ENDED_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

impl EndedMail {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Failures => "failures",
            Self::All => "all",
        }
    }

    /// The choice with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Off, Self::Failures, Self::All].into_iter().find(|choice| choice.as_str() == word)
    }
}

impl Store {
    /// How many e-mails about ended imports an account was sent after `since`, and when the first of them.
    pub async fn ended_mail_since(
        &self,
        account: UserId,
        since: UnixMillis,
    ) -> Result<(u64, Option<UnixMillis>)> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS sent, MIN(sent_at) AS first_at FROM mail WHERE account_id = $1 AND sent_at > $2",
        )
        .bind(account.to_string())
        .bind(since.0)
        .fetch_one(&self.pool)
        .await?;
        let first: Option<i64> = row.try_get("first_at")?;
        Ok((u64::try_from(row.try_get::<i64, _>("sent")?).unwrap_or(0), first.map(UnixMillis)))
    }

    /// Replaces the e-mails about single imports that wait for an account by one about all of them, which is sent
    /// at `at` or with the one that waits already.
    pub async fn sum_up_ended(&self, account: UserId, now: UnixMillis, at: UnixMillis) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let single =
            sqlx::query("DELETE FROM mail WHERE account_id = $1 AND kind = 'ended' AND sent_at IS NULL")
                .bind(account.to_string())
                .execute(&mut *tx)
                .await?;
        let more = to_bigint(single.rows_affected());
        if more == 0 {
            // Another process has summed them up.
            return Ok(());
        }
        let added = sqlx::query(
            "UPDATE mail SET ended_imports = ended_imports + $2 \
             WHERE account_id = $1 AND kind = 'more-ended' AND sent_at IS NULL",
        )
        .bind(account.to_string())
        .bind(more)
        .execute(&mut *tx)
        .await?;
        if added.rows_affected() == 0 {
            sqlx::query(
                "INSERT INTO mail (id, kind, account_id, ended_imports, created_at, expires_at, next_attempt_at) \
                 VALUES ($1, 'more-ended', $2, $3, $4, $5, $6)",
            )
            .bind(MailId::generate().to_string())
            .bind(account.to_string())
            .bind(more)
            .bind(now.0)
            .bind(at.plus(ENDED_LIFETIME).0)
            .bind(at.0)
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Which ends of imports an account is told by e-mail.
    pub async fn ended_mail(&self, account: UserId) -> Result<EndedMail> {
        let stored: Option<String> = sqlx::query_scalar("SELECT ended_mail FROM account WHERE id = $1")
            .bind(account.to_string())
            .fetch_optional(&self.pool)
            .await?;
        let Some(word) = stored else { return Ok(EndedMail::Off) };
        EndedMail::from_word(&word)
            .ok_or_else(|| Error::Corrupt { table: "account", why: format!("ended_mail: {word}") })
    }

    pub async fn set_ended_mail(&self, account: UserId, choice: EndedMail) -> Result<()> {
        let set = sqlx::query("UPDATE account SET ended_mail = $2 WHERE id = $1")
            .bind(account.to_string())
            .bind(choice.as_str());
        self.pool.write(set).await?;
        Ok(())
    }
}

/// Queues the e-mail about an end, in the transaction that records it, if the owner of the import wants one. An e-mail
/// about an earlier end goes unless it was sent: its next attempt would describe this end too. One that is being sent
/// tells the earlier end, and does not count for the limit of the account.
pub(super) async fn queue_ended_mail(tx: &mut Tx, import: ImportId, now: UnixMillis) -> Result<()> {
    sqlx::query("DELETE FROM mail WHERE import_id = $1 AND sent_at IS NULL")
        .bind(import.to_string())
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO mail (id, kind, account_id, import_id, created_at, expires_at, next_attempt_at) \
         SELECT $1, 'ended', account.id, import.id, $3, $4, $3 \
         FROM import JOIN account ON account.id = import.account_id \
         WHERE import.id = $2 AND account.disabled_at IS NULL AND account.deleting_at IS NULL \
         AND (account.ended_mail = 'all' OR account.ended_mail = 'failures' \
             AND (import.failed_rows > 0 OR import.state IN ('Failed', 'Lost', 'NoFunction')))",
    )
    .bind(MailId::generate().to_string())
    .bind(import.to_string())
    .bind(now.0)
    .bind(now.plus(ENDED_LIFETIME).0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
