//! SQL of the links that can be used once: invitations, and links that set a new password, by an admin or by e-mail.

use sqlx::Row;

use super::{Result, Store, accounts::NewAccount, accounts::user_id};
use crate::base::{ids::UserId, time::UnixMillis};

/// The most invitations that can be open at once.
pub const MOST_INVITATIONS: i64 = 100;

/// How many characters of a link's hash name it on the admin's page. They open nothing. The length is also in the
/// statements below.
const NAME_CHARS: usize = 16;

/// A link to be recorded.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// SHA-256 of its token, hex.
    pub token_hash: String,
    /// The account that gets a new password; None: an invitation.
    pub account: Option<UserId>,
    pub made_by: UserId,
    /// For whom an invitation is.
    pub note: Option<String>,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
}

/// An invitation that nobody has accepted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInvitation {
    /// Names it in a form, and opens nothing.
    pub name: String,
    pub note: Option<String>,
    /// The e-mail of the admin who made it.
    pub made_by: String,
    pub expires_at: UnixMillis,
}

/// What became of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    Accepted,
    /// The invitation was used or has expired.
    Over,
    /// The invitation stays.
    EmailTaken,
}

impl Store {
    /// Records a link. A link that sets a password ends earlier ones for the same account. Returns false, and
    /// records nothing, if the maker is no admin any more, the account cannot be used, or too many invitations are
    /// open.
    pub async fn create_link(&self, new: &NewLink) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        if let Some(account) = new.account {
            sqlx::query("DELETE FROM one_time_link WHERE account_id = $1")
                .bind(account.to_string())
                .execute(&mut *tx)
                .await?;
        }
        let (account, made_by) = (new.account.map(|account| account.to_string()), new.made_by.to_string());
        let created = sqlx::query(
            "INSERT INTO one_time_link (token_hash, account_id, made_by, note, created_at, expires_at) \
             SELECT $1, maker.target, maker.id, $4, $5, $6 FROM ( \
                 SELECT id, CAST($2 AS TEXT) AS target FROM account WHERE id = $3 AND is_admin = 1 \
                 AND disabled_at IS NULL AND deleting_at IS NULL) AS maker \
             WHERE maker.target IS NOT NULL \
             OR (SELECT COUNT(*) FROM one_time_link WHERE account_id IS NULL AND expires_at > $5) < $7",
        )
        .bind(&new.token_hash)
        .bind(account.as_deref())
        .bind(&made_by)
        .bind(new.note.as_deref())
        .bind(new.created_at.0)
        .bind(new.expires_at.0)
        .bind(MOST_INVITATIONS)
        .execute(&mut *tx)
        .await?;
        if created.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(account) = &account {
            let usable = sqlx::query(
                "SELECT id FROM account WHERE id = $1 AND disabled_at IS NULL AND deleting_at IS NULL",
            )
            .bind(account)
            .fetch_optional(&mut *tx)
            .await?;
            if usable.is_none() {
                return Ok(false);
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Records a link that sets a new password, for its maker's own account. Earlier links stay, because
    /// anybody can ask in that user's name. Returns false, and records nothing, if the account cannot be used.
    pub async fn create_own_link(&self, new: &NewLink) -> Result<bool> {
        let create = sqlx::query(
            "INSERT INTO one_time_link (token_hash, account_id, made_by, created_at, expires_at) \
             SELECT $1, id, id, $3, $4 FROM account \
             WHERE id = $2 AND disabled_at IS NULL AND deleting_at IS NULL",
        )
        .bind(&new.token_hash)
        .bind(new.made_by.to_string())
        .bind(new.created_at.0)
        .bind(new.expires_at.0);
        Ok(self.pool.write(create).await?.rows_affected() > 0)
    }

    /// The invitations that are still open at `now`, oldest first.
    pub async fn invitations(&self, now: UnixMillis) -> Result<Vec<OpenInvitation>> {
        let rows = sqlx::query(
            "SELECT one_time_link.token_hash, one_time_link.note, account.email, one_time_link.expires_at \
             FROM one_time_link JOIN account ON account.id = one_time_link.made_by \
             WHERE one_time_link.account_id IS NULL AND one_time_link.expires_at > $1 \
             ORDER BY one_time_link.created_at, one_time_link.token_hash LIMIT $2",
        )
        .bind(now.0)
        .bind(MOST_INVITATIONS)
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &sqlx::any::AnyRow| {
            let hash: String = row.try_get("token_hash")?;
            Ok(OpenInvitation {
                name: hash.chars().take(NAME_CHARS).collect(),
                note: row.try_get("note")?,
                made_by: row.try_get("email")?,
                expires_at: UnixMillis(row.try_get("expires_at")?),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Ends the invitation whose hash begins with `name`.
    pub async fn end_invitation(&self, name: &str) -> Result<()> {
        let end = sqlx::query(
            "DELETE FROM one_time_link WHERE account_id IS NULL AND substr(token_hash, 1, 16) = $1",
        )
        .bind(name);
        self.pool.write(end).await?;
        Ok(())
    }

    /// Whether there is an invitation with this hash that is still open at `now`.
    pub async fn is_invitation(&self, token_hash: &str, now: UnixMillis) -> Result<bool> {
        let found = sqlx::query(
            "SELECT token_hash FROM one_time_link \
             WHERE token_hash = $1 AND account_id IS NULL AND expires_at > $2",
        )
        .bind(token_hash)
        .bind(now.0)
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.is_some())
    }

    /// Creates an account by an invitation, which ends. Of several concurrent calls exactly one succeeds.
    pub async fn accept_invitation(
        &self,
        token_hash: &str,
        new: &NewAccount,
        now: UnixMillis,
    ) -> Result<Acceptance> {
        let mut tx = self.begin_write().await?;
        let ended = sqlx::query(
            "DELETE FROM one_time_link WHERE token_hash = $1 AND account_id IS NULL AND expires_at > $2",
        )
        .bind(token_hash)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        if ended.rows_affected() == 0 {
            return Ok(Acceptance::Over);
        }
        let created = sqlx::query(
            "INSERT INTO account (id, email, password_hash, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (email) DO NOTHING",
        )
        .bind(new.id.to_string())
        .bind(&new.email)
        .bind(&new.password_hash)
        .bind(new.created_at.0)
        .execute(&mut *tx)
        .await?;
        if created.rows_affected() == 0 {
            return Ok(Acceptance::EmailTaken);
        }
        tx.commit().await?;
        Ok(Acceptance::Accepted)
    }

    /// The e-mail of the account whose password this link may set at `now`.
    pub async fn reset_link(&self, token_hash: &str, now: UnixMillis) -> Result<Option<String>> {
        let email = sqlx::query_scalar(
            "SELECT account.email FROM one_time_link JOIN account ON account.id = one_time_link.account_id \
             WHERE one_time_link.token_hash = $1 AND one_time_link.expires_at > $2 \
             AND account.disabled_at IS NULL AND account.deleting_at IS NULL",
        )
        .bind(token_hash)
        .bind(now.0)
        .fetch_optional(&self.pool)
        .await?;
        Ok(email)
    }

    /// Sets the password of the account of a link, and ends the link and the account's sessions. Returns the
    /// account; None if the link was used or has expired.
    pub async fn use_reset_link(
        &self,
        token_hash: &str,
        password_hash: &str,
        now: UnixMillis,
    ) -> Result<Option<UserId>> {
        let mut tx = self.begin_write().await?;
        let account: Option<String> = sqlx::query_scalar(
            "DELETE FROM one_time_link WHERE token_hash = $1 AND account_id IS NOT NULL AND expires_at > $2 \
             RETURNING account_id",
        )
        .bind(token_hash)
        .bind(now.0)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(account) = account else { return Ok(None) };
        let set = sqlx::query(
            "UPDATE account SET password_hash = $2 \
             WHERE id = $1 AND disabled_at IS NULL AND deleting_at IS NULL",
        )
        .bind(&account)
        .bind(password_hash)
        .execute(&mut *tx)
        .await?;
        if set.rows_affected() == 0 {
            return Ok(None);
        }
        for delete in
            ["DELETE FROM session WHERE account_id = $1", "DELETE FROM one_time_link WHERE account_id = $1"]
        {
            sqlx::query(delete).bind(&account).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(Some(user_id("one_time_link", &account)?))
    }

    pub async fn delete_expired_links(&self, now: UnixMillis) -> Result<()> {
        let delete = sqlx::query("DELETE FROM one_time_link WHERE expires_at <= $1").bind(now.0);
        self.pool.write(delete).await?;
        Ok(())
    }
}
