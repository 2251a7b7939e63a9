//! SQL of accounts.

use super::{Error, Result, Store};
use crate::base::{ids::UserId, time::UnixMillis};

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

/// An account as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAccount {
    pub email: String,
    pub created_at: UnixMillis,
    pub is_admin: bool,
}

/// The data that a sign-in is checked against.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub account: UserId,
    /// PHC string.
    pub password_hash: String,
    /// An admin has disabled the account.
    pub is_disabled: bool,
}

impl Store {
    /// Whether any account exists.
    pub async fn has_account(&self) -> Result<bool> {
        let first = sqlx::query("SELECT id FROM account LIMIT 1").fetch_optional(&self.pool).await?;
        Ok(first.is_some())
    }

    /// Creates an account, the first one with the role of an admin. Returns `false` if the e-mail address has
    /// one already.
    pub async fn create_account(&self, new: &NewAccount) -> Result<bool> {
        if self.create_first_account(new).await? {
            return Ok(true);
        }
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

    /// Creates the first account, an admin's. Returns `false` if an account exists. Of several concurrent calls exactly
    /// one succeeds: on Postgres, where the transactions do not see each other's rows yet, the unique
    /// `first_slot` decides.
    pub async fn create_first_account(&self, new: &NewAccount) -> Result<bool> {
        let create = sqlx::query(
            "INSERT INTO account (id, email, password_hash, created_at, first_slot, is_admin) \
             SELECT $1, $2, $3, $4, 1, 1 WHERE NOT EXISTS (SELECT id FROM account) \
             ON CONFLICT DO NOTHING",
        )
        .bind(new.id.to_string())
        .bind(&new.email)
        .bind(&new.password_hash)
        .bind(new.created_at.0);
        Ok(self.pool.write(create).await?.rows_affected() == 1)
    }

    /// The credentials of the account of `email` (lower case). None for one that is being deleted.
    pub async fn credentials(&self, email: &str) -> Result<Option<Credentials>> {
        let row: Option<(String, String, Option<i64>)> = sqlx::query_as(
            "SELECT id, password_hash, disabled_at FROM account WHERE email = $1 AND deleting_at IS NULL",
        )
        .bind(email)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|(id, password_hash, disabled_at)| {
            let account = user_id("account", &id)?;
            Ok(Credentials { account, password_hash, is_disabled: disabled_at.is_some() })
        })
        .transpose()
    }

    /// All accounts, oldest first.
    pub async fn accounts(&self) -> Result<Vec<ListedAccount>> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT email, created_at, is_admin FROM account ORDER BY created_at, id")
                .fetch_all(&self.pool)
                .await?;
        let listed = |(email, created_at, is_admin)| ListedAccount {
            email,
            created_at: UnixMillis(created_at),
            is_admin: is_admin != 0,
        };
        Ok(rows.into_iter().map(listed).collect())
    }

    /// Sets another password for an account, and ends its sessions and its reset links, in one transaction.
    pub async fn set_password(&self, account: UserId, password_hash: &str) -> Result<()> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("UPDATE account SET password_hash = $1 WHERE id = $2")
            .bind(password_hash)
            .bind(account.to_string())
            .execute(&mut *transaction)
            .await?;
        for delete in
            ["DELETE FROM session WHERE account_id = $1", "DELETE FROM one_time_link WHERE account_id = $1"]
        {
            sqlx::query(delete).bind(account.to_string()).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Sets another e-mail address (lower case) for an account. Returns `false` if it has an account already.
    pub async fn change_email(&self, account: UserId, email: &str) -> Result<bool> {
        let change = sqlx::query(
            "UPDATE account SET email = $1 WHERE id = $2 \
             AND NOT EXISTS (SELECT 1 FROM account AS other WHERE other.email = $1 AND other.id <> $2)",
        )
        .bind(email)
        .bind(account.to_string());
        match self.pool.write(change).await.map_err(Error::from) {
            Ok(changed) => Ok(changed.rows_affected() == 1),
            // On Postgres another account may have got the address at the same time.
            Err(error) if error.is_of_the_data() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn user_id(table: &'static str, text: &str) -> Result<UserId> {
    text.parse()
        .map_err(|error| Error::Corrupt { table, why: format!("{text:?} is not an account id: {error}") })
}
