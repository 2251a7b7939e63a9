//! Small named values of the installation.

use super::{Result, Store};

/// Sets the setting `$1` to `$2`.
pub(super) const CHANGE_SETTING: &str = "INSERT INTO setting (name, value) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET value = excluded.value";

impl Store {
    /// The value of `name`. If it is not set, `new` is stored first; of concurrent callers the first wins.
    pub async fn setting(&self, name: &str, new: &str) -> Result<String> {
        let keep =
            sqlx::query("INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                .bind(name)
                .bind(new);
        self.pool.write(keep).await?;
        let value = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
            .bind(name)
            .fetch_one(&self.pool)
            .await?;
        Ok(value)
    }

    /// The value of `name`, if it is set.
    pub async fn setting_if_known(&self, name: &str) -> Result<Option<String>> {
        let value = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        Ok(value)
    }

    /// Sets `name` to `value`.
    pub async fn change_setting(&self, name: &str, value: &str) -> Result<()> {
        self.pool.write(sqlx::query(CHANGE_SETTING).bind(name).bind(value)).await?;
        Ok(())
    }
}
