//! Small values the installation makes once and keeps.

use super::{Result, Store};

impl Store {
    /// The value of `name`; the first caller's `new` wins and is kept.
    pub async fn setting(&self, name: &str, new: &str) -> Result<String> {
        sqlx::query("INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(new)
            .execute(&self.pool)
            .await?;
        let value = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
            .bind(name)
            .fetch_one(&self.pool)
            .await?;
        Ok(value)
    }
}
