//! SQL of the role of an admin, of accounts that are disabled, and of those that are being deleted.

use sqlx::{Row, any::AnyRow};

use super::{Error, Result, Store, Tx, accounts::user_id};
use crate::base::{ids::UserId, time::UnixMillis};

/// An account as an admin sees it: nothing of its imports but how many there are, and their size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSummary {
    pub id: UserId,
    pub email: String,
    pub created_at: UnixMillis,
    pub is_admin: bool,
    pub is_disabled: bool,
    pub is_in_deletion: bool,
    /// The last use of its sessions, at most two minutes old. None if it has none.
    pub seen_at: Option<UnixMillis>,
    pub imports: u64,
    /// Of uploads, fetched files and outputs.
    pub stored_bytes: u64,
}

/// What became of a change after which an admin must be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminChange {
    Done,
    /// Nobody else is an admin who can sign in. Nothing was changed.
    IsLastAdmin,
    NotThere,
}

/// Serialises everything that takes the role of an admin away.
const ROLES: &str = "the admins";

impl Store {
    /// Whether an account has the role of an admin.
    pub async fn is_admin(&self, account: UserId) -> Result<bool> {
        let admin = sqlx::query(
            "SELECT id FROM account WHERE id = $1 AND is_admin = 1 AND disabled_at IS NULL AND deleting_at IS NULL",
        )
        .bind(account.to_string())
        .fetch_optional(&self.pool)
        .await?;
        Ok(admin.is_some())
    }

    /// Up to `limit` accounts with ids after `after`, oldest first, with what each has stored.
    pub async fn account_summaries(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AccountSummary>> {
        let rows = sqlx::query(
            "SELECT account.id, account.email, account.created_at, account.is_admin, account.disabled_at, \
             account.deleting_at, \
             (SELECT MAX(COALESCE(session.last_seen_at, session.created_at)) FROM session \
              WHERE session.account_id = account.id) AS seen_at, \
             (SELECT COUNT(*) FROM import WHERE import.account_id = account.id) AS imports, \
             CAST(COALESCE((SELECT SUM(import.size_bytes) FROM import \
                            WHERE import.account_id = account.id AND import.failed_rows_of IS NULL), 0) \
                + COALESCE((SELECT SUM(step.stored_bytes) FROM import \
                            JOIN run ON run.import_id = import.id JOIN step ON step.run_id = run.run_id \
                            WHERE import.account_id = account.id), 0) AS BIGINT) AS stored_bytes \
             FROM account WHERE account.id > $1 ORDER BY account.id LIMIT $2",
        )
        .bind(after.map(|after| after.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &AnyRow| {
            let time = |column| row.try_get::<Option<i64>, _>(column).map(|at| at.map(UnixMillis));
            let number = |column| row.try_get::<i64, _>(column).map(|it| u64::try_from(it).unwrap_or(0));
            Ok(AccountSummary {
                id: user_id("account", row.try_get("id")?)?,
                email: row.try_get("email")?,
                created_at: UnixMillis(row.try_get("created_at")?),
                is_admin: row.try_get::<i64, _>("is_admin")? != 0,
                is_disabled: time("disabled_at")?.is_some(),
                is_in_deletion: time("deleting_at")?.is_some(),
                seen_at: time("seen_at")?,
                imports: number("imports")?,
                stored_bytes: number("stored_bytes")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Gives the account of `email` (lower case) the role of an admin, or takes it away with the links that it has
    /// made.
    pub async fn set_admin(&self, email: &str, is_admin: bool) -> Result<AdminChange> {
        let mut tx = self.begin_write_locked(ROLES).await?;
        let account: Option<String> =
            sqlx::query_scalar("SELECT id FROM account WHERE email = $1 AND deleting_at IS NULL")
                .bind(email)
                .fetch_optional(&mut *tx)
                .await?;
        let Some(account) = account else { return Ok(AdminChange::NotThere) };
        if !is_admin {
            if is_last_admin(&mut tx, user_id("account", &account)?).await? {
                return Ok(AdminChange::IsLastAdmin);
            }
            sqlx::query("DELETE FROM one_time_link WHERE made_by = $1")
                .bind(&account)
                .execute(&mut *tx)
                .await?;
        }
        sqlx::query("UPDATE account SET is_admin = $2 WHERE id = $1")
            .bind(&account)
            .bind(i64::from(is_admin))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(AdminChange::Done)
    }

    /// Disables an account: its sessions, tokens and links end, and it gets no new ones.
    pub async fn disable_account(&self, account: UserId, now: UnixMillis) -> Result<AdminChange> {
        let mut tx = self.begin_write_locked(ROLES).await?;
        if is_last_admin(&mut tx, account).await? {
            return Ok(AdminChange::IsLastAdmin);
        }
        let disabled =
            sqlx::query("UPDATE account SET disabled_at = COALESCE(disabled_at, $2) WHERE id = $1")
                .bind(account.to_string())
                .bind(now.0)
                .execute(&mut *tx)
                .await?;
        if disabled.rows_affected() == 0 {
            return Ok(AdminChange::NotThere);
        }
        end_all_access(&mut tx, account).await?;
        tx.commit().await?;
        Ok(AdminChange::Done)
    }

    /// Enables an account again. Returns false if there is none.
    pub async fn enable_account(&self, account: UserId) -> Result<bool> {
        let enable =
            sqlx::query("UPDATE account SET disabled_at = NULL WHERE id = $1").bind(account.to_string());
        Ok(self.pool.write(enable).await?.rows_affected() == 1)
    }

    /// Marks an account as being deleted, so that it cannot be used any more: its sessions, tokens and links end.
    /// Refused to the last admin as long as there are other accounts, which would have no admin then.
    pub async fn begin_account_deletion(&self, account: UserId, now: UnixMillis) -> Result<AdminChange> {
        let mut tx = self.begin_write_locked(ROLES).await?;
        let is_only_account = !others_exist(&mut tx, account).await?;
        if !is_only_account && is_last_admin(&mut tx, account).await? {
            return Ok(AdminChange::IsLastAdmin);
        }
        let marked = sqlx::query("UPDATE account SET deleting_at = COALESCE(deleting_at, $2) WHERE id = $1")
            .bind(account.to_string())
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        if marked.rows_affected() == 0 {
            return Ok(AdminChange::NotThere);
        }
        end_all_access(&mut tx, account).await?;
        tx.commit().await?;
        Ok(AdminChange::Done)
    }

    /// The accounts that are being deleted.
    pub async fn accounts_in_deletion(&self) -> Result<Vec<UserId>> {
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT id FROM account WHERE deleting_at IS NOT NULL ORDER BY deleting_at")
                .fetch_all(&self.pool)
                .await?;
        ids.iter().map(|id| user_id("account", id)).collect()
    }

    /// Deletes an account that has no imports any more, and all that refers to it. Returns false if an import was
    /// added in the meantime.
    pub async fn finish_account_deletion(&self, account: UserId) -> Result<bool> {
        let delete = sqlx::query("DELETE FROM account WHERE id = $1 AND deleting_at IS NOT NULL")
            .bind(account.to_string());
        match self.pool.write(delete).await.map_err(Error::from) {
            Ok(_) => Ok(true),
            // An import refers to the account.
            Err(error) if error.is_of_the_data() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether an account exists, or is still being deleted.
    pub async fn is_account(&self, account: UserId) -> Result<bool> {
        let found = sqlx::query("SELECT id FROM account WHERE id = $1")
            .bind(account.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }
}

/// Whether there are accounts besides this one that stay.
async fn others_exist(tx: &mut Tx, account: UserId) -> Result<bool> {
    let other = sqlx::query("SELECT id FROM account WHERE id <> $1 AND deleting_at IS NULL LIMIT 1")
        .bind(account.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(other.is_some())
}

/// Whether an account is the only one of an admin who can sign in.
async fn is_last_admin(tx: &mut Tx, account: UserId) -> Result<bool> {
    let admins: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM account WHERE is_admin = 1 AND disabled_at IS NULL AND deleting_at IS NULL LIMIT 2",
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(admins == [account.to_string()])
}

/// Ends the sessions and tokens of an account, the links for it and by it, and those to its imports.
async fn end_all_access(tx: &mut Tx, account: UserId) -> Result<()> {
    for delete in [
        "DELETE FROM session WHERE account_id = $1",
        "DELETE FROM api_token WHERE account_id = $1",
        "DELETE FROM one_time_link WHERE account_id = $1 OR made_by = $1",
        "DELETE FROM guest_link WHERE import_id IN (SELECT id FROM import WHERE account_id = $1)",
    ] {
        sqlx::query(delete).bind(account.to_string()).execute(&mut **tx).await?;
    }
    Ok(())
}
