//! SQL of the e-mails that wait to be sent.

use secrecy::SecretString;
use sqlx::{Row, any::AnyRow};

use super::{Error, Result, Store, accounts::user_id};
use crate::base::{
    ids::{ImportId, MailId, UserId},
    time::UnixMillis,
};

/// What an e-mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// Somebody has asked for a new password for an address, which may have no account.
    Forgotten,
    /// A link for a new password that an admin has made.
    Reset,
    Invitation,
    /// The end of an import.
    Ended,
    /// The ends of several imports, after many e-mails about single ones.
    MoreEnded,
    /// It was asked for to see whether e-mails arrive.
    Test,
}

/// E-mails of one lane wait for each other, and never for those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailLane {
    /// Those for forgotten passwords.
    Forgotten,
    Others,
}

/// An e-mail to be queued. Without Debug, because it has an address.
#[derive(Clone)]
pub struct NewMail {
    pub kind: MailKind,
    /// Goes to the address of this account.
    pub account: Option<UserId>,
    /// Goes to this address.
    pub address: Option<String>,
    pub created_at: UnixMillis,
    /// It is not sent after this.
    pub expires_at: UnixMillis,
}

/// An e-mail that waits to be sent. Without Debug, because it has an address.
#[derive(Clone)]
pub struct MailRow {
    pub id: MailId,
    pub kind: MailKind,
    pub account: Option<UserId>,
    pub address: Option<String>,
    /// The token of the link in it, if an admin has made that.
    pub token: Option<SecretString>,
    pub import: Option<ImportId>,
    /// How many imports have ended.
    pub ended_imports: u64,
    /// How many sends were started.
    pub attempts: u32,
    /// How often a server has refused it for good.
    pub refusals: u32,
    pub expires_at: UnixMillis,
}

/// The most e-mails of one kind that can wait. Strangers can ask for some, so their number must be bounded.
const MOST_WAITING: i64 = 1_000;

impl MailKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Forgotten => "forgotten",
            Self::Reset => "reset",
            Self::Invitation => "invitation",
            Self::Ended => "ended",
            Self::MoreEnded => "more-ended",
            Self::Test => "test",
        }
    }

    fn from_stored(text: &str) -> Result<Self> {
        let all = [Self::Forgotten, Self::Reset, Self::Invitation, Self::Ended, Self::MoreEnded, Self::Test];
        let found = all.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| corrupt(format!("kind: {text}")))
    }
}

impl MailLane {
    /// What [`LANE`] is.
    fn number(self) -> i64 {
        match self {
            Self::Forgotten => 1,
            Self::Others => 0,
        }
    }
}

/// The lane of a row.
const LANE: &str = "CASE WHEN kind = 'forgotten' THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END";

impl Store {
    /// Queues an e-mail. Returns false if too many of its kind wait.
    pub async fn queue_mail(&self, new: &NewMail) -> Result<bool> {
        let insert = sqlx::query(
            "INSERT INTO mail (id, kind, account_id, address, created_at, expires_at, next_attempt_at) \
             SELECT $1, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), $5, $6, $5 \
             WHERE (SELECT COUNT(*) FROM mail WHERE kind = $2 AND sent_at IS NULL) < $7",
        )
        .bind(MailId::generate().to_string())
        .bind(new.kind.as_str())
        .bind(new.account.map(|account| account.to_string()))
        .bind(new.address.as_deref())
        .bind(new.created_at.0)
        .bind(new.expires_at.0)
        .bind(MOST_WAITING);
        Ok(self.pool.write(insert).await?.rows_affected() > 0)
    }

    /// Queues an e-mail with a link that an admin has made: an invitation to `address`, or, without one, a link for
    /// a new password to the address of its account. Returns false if there is no such link at `now`.
    pub async fn queue_link(
        &self,
        (token, token_hash): (&str, &str),
        address: Option<&str>,
        now: UnixMillis,
        try_until: UnixMillis,
    ) -> Result<bool> {
        let kind = if address.is_some() { MailKind::Invitation } else { MailKind::Reset };
        let insert = sqlx::query(
            "INSERT INTO mail (id, kind, account_id, address, token, created_at, expires_at, next_attempt_at) \
             SELECT $1, $2, one_time_link.account_id, CAST($3 AS TEXT), $4, $5, \
                 CASE WHEN one_time_link.expires_at < $6 THEN one_time_link.expires_at ELSE $6 END, $5 \
             FROM one_time_link WHERE token_hash = $7 AND one_time_link.expires_at > $5 \
             AND (CASE WHEN one_time_link.account_id IS NULL THEN 'invitation' ELSE 'reset' END) = $2",
        )
        .bind(MailId::generate().to_string())
        .bind(kind.as_str())
        .bind(address)
        .bind(token)
        .bind(now.0)
        .bind(try_until.0)
        .bind(token_hash);
        Ok(self.pool.write(insert).await?.rows_affected() > 0)
    }

    /// The e-mail of a lane to send next, if one is due at `now`. One that waits beyond `latest` was queued before the
    /// clock was set back, and is due too. Those that people wait for come first. Rows that this version cannot read are
    /// deleted.
    pub async fn next_mail(
        &self,
        lane: MailLane,
        now: UnixMillis,
        latest: UnixMillis,
    ) -> Result<Option<MailRow>> {
        let next = format!(
            "SELECT id, kind, account_id, address, token, import_id, ended_imports, attempts, refusals, expires_at \
             FROM mail WHERE sent_at IS NULL AND {LANE} = $3 AND (next_attempt_at <= $1 OR next_attempt_at > $2) \
             ORDER BY CASE WHEN kind IN ('ended', 'more-ended') THEN 1 ELSE 0 END, next_attempt_at, id \
             LIMIT 1"
        );
        loop {
            let row = sqlx::query(sqlx::AssertSqlSafe(next.as_str()))
                .bind(now.0)
                .bind(latest.0)
                .bind(lane.number())
                .fetch_optional(&self.pool)
                .await?;
            let Some(row) = row else { return Ok(None) };
            let id: String = row.try_get("id")?;
            let error = match read_mail(&row) {
                Ok(mail) => return Ok(Some(mail)),
                Err(error) => error,
            };
            tracing::error!(mail = %id, %error, "an e-mail that this version cannot read is dropped");
            self.pool.write(sqlx::query("DELETE FROM mail WHERE id = $1").bind(id)).await?;
        }
    }

    /// When the next e-mail of a lane is due.
    pub async fn next_mail_at(&self, lane: MailLane) -> Result<Option<UnixMillis>> {
        let first = format!("SELECT MIN(next_attempt_at) FROM mail WHERE sent_at IS NULL AND {LANE} = $1");
        let at: Option<i64> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(first)).bind(lane.number()).fetch_one(&self.pool).await?;
        Ok(at.map(UnixMillis))
    }

    /// Makes all e-mails due that are not before `at`: after a start, the server may be another one, and the clock may
    /// have been set back. A sum of ended imports that was not tried yet keeps its time.
    pub async fn retry_mail(&self, at: UnixMillis) -> Result<()> {
        let retry = sqlx::query(
            "UPDATE mail SET next_attempt_at = $1 \
             WHERE sent_at IS NULL AND next_attempt_at > $1 AND (attempts > 0 OR kind <> 'more-ended')",
        )
        .bind(at.0);
        self.pool.write(retry).await?;
        Ok(())
    }

    /// Records that a send starts, and when the next one may. Returns false if the e-mail is gone, for example because
    /// its import has ended again since `mail` was read, or if another process has started this attempt.
    pub async fn begin_mail(&self, mail: &MailRow, next_attempt_at: UnixMillis) -> Result<bool> {
        let begin = sqlx::query(
            "UPDATE mail SET attempts = attempts + 1, next_attempt_at = $2 \
             WHERE id = $1 AND sent_at IS NULL AND attempts = $3",
        )
        .bind(mail.id.to_string())
        .bind(next_attempt_at.0)
        .bind(i64::from(mail.attempts));
        Ok(self.pool.write(begin).await?.rows_affected() > 0)
    }

    /// Sets the time of the next attempt. Returns false if the e-mail is gone.
    pub async fn postpone_mail(&self, id: MailId, next_attempt_at: UnixMillis) -> Result<bool> {
        let postpone = sqlx::query("UPDATE mail SET next_attempt_at = $2 WHERE id = $1 AND sent_at IS NULL")
            .bind(id.to_string())
            .bind(next_attempt_at.0);
        Ok(self.pool.write(postpone).await?.rows_affected() > 0)
    }

    /// Records that the server has refused an e-mail for good.
    pub async fn mail_was_refused(&self, id: MailId) -> Result<()> {
        let refused =
            sqlx::query("UPDATE mail SET refusals = refusals + 1 WHERE id = $1").bind(id.to_string());
        self.pool.write(refused).await?;
        Ok(())
    }

    /// Removes an e-mail that was sent, or never will be.
    pub async fn delete_mail(&self, id: MailId) -> Result<()> {
        let delete = sqlx::query("DELETE FROM mail WHERE id = $1").bind(id.to_string());
        self.pool.write(delete).await?;
        Ok(())
    }

    /// Records that an e-mail was sent, and keeps it until `counts_until`.
    pub async fn mail_was_sent(&self, id: MailId, now: UnixMillis, counts_until: UnixMillis) -> Result<()> {
        let sent = sqlx::query("UPDATE mail SET sent_at = $2, expires_at = $3, token = NULL WHERE id = $1")
            .bind(id.to_string())
            .bind(now.0)
            .bind(counts_until.0);
        self.pool.write(sent).await?;
        Ok(())
    }

    /// Forgets sent e-mails that do not count any more; with `also_unsent` all that wait, because nobody sends them.
    pub async fn delete_old_mail(&self, now: UnixMillis, also_unsent: bool) -> Result<()> {
        let delete = sqlx::query(
            "DELETE FROM mail WHERE sent_at IS NOT NULL AND expires_at <= $1 OR sent_at IS NULL AND $2 = 1",
        )
        .bind(now.0)
        .bind(i64::from(also_unsent));
        self.pool.write(delete).await?;
        Ok(())
    }

    /// The address of an account that can be used.
    pub async fn usable_email(&self, account: UserId) -> Result<Option<String>> {
        let email = sqlx::query_scalar(
            "SELECT email FROM account WHERE id = $1 AND disabled_at IS NULL AND deleting_at IS NULL",
        )
        .bind(account.to_string())
        .fetch_optional(&self.pool)
        .await?;
        Ok(email)
    }
}

fn read_mail(row: &AnyRow) -> Result<MailRow> {
    let text = |column: &str| row.try_get::<Option<String>, _>(column);
    Ok(MailRow {
        id: row.try_get::<String, _>("id")?.parse().map_err(corrupt)?,
        kind: MailKind::from_stored(row.try_get("kind")?)?,
        account: text("account_id")?.map(|id| user_id("mail", &id)).transpose()?,
        address: text("address")?,
        token: text("token")?.map(SecretString::from),
        import: text("import_id")?.map(|id| id.parse().map_err(corrupt)).transpose()?,
        ended_imports: u64::try_from(row.try_get::<Option<i64>, _>("ended_imports")?.unwrap_or(0))
            .unwrap_or(0),
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
        refusals: u32::try_from(row.try_get::<i64, _>("refusals")?).unwrap_or(0),
        expires_at: UnixMillis(row.try_get("expires_at")?),
    })
}

fn corrupt(why: impl std::fmt::Display) -> Error {
    Error::Corrupt { table: "mail", why: why.to_string() }
}
