//! SQL of what people chose last for files with the same header.

use sha2::{Digest, Sha256};

use super::{
    Result, Store,
    choices::{read_choices, stored_choices},
};
use crate::{
    base::{ids::UserId, time::UnixMillis},
    csv::Choices,
};

/// The most headers that are remembered for a user: the newest.
const MOST_HEADERS: i64 = 1_000;

/// A hash of the names of a file's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderHash(String);

impl HeaderHash {
    #[must_use]
    pub fn of<N: AsRef<str>>(names: &[N]) -> Self {
        let mut hasher = Sha256::new();
        for name in names {
            let name = name.as_ref().as_bytes();
            // With the length, so that no two headers have the same bytes.
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
        }
        Self(hex::encode(hasher.finalize()))
    }
}

impl Store {
    /// Remembers what `owner` chose for files with this header.
    pub async fn remember_choices(
        &self,
        owner: UserId,
        header: &HeaderHash,
        choices: &Choices,
        now: UnixMillis,
    ) -> Result<()> {
        let Some(choices) = stored_choices(choices)? else { return Ok(()) };
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "INSERT INTO last_choices (account_id, header_hash, choices, chosen_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (account_id, header_hash) \
             DO UPDATE SET choices = excluded.choices, chosen_at = excluded.chosen_at",
        )
        .bind(owner.to_string())
        .bind(&header.0)
        .bind(choices)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "DELETE FROM last_choices WHERE account_id = $1 AND chosen_at < ( \
                 SELECT MIN(newest.chosen_at) FROM ( \
                     SELECT chosen_at FROM last_choices WHERE account_id = $1 \
                     ORDER BY chosen_at DESC LIMIT $2) AS newest)",
        )
        .bind(owner.to_string())
        .bind(MOST_HEADERS)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// What `owner` chose last for files with this header.
    pub async fn last_choices(&self, owner: UserId, header: &HeaderHash) -> Result<Option<Choices>> {
        let row = sqlx::query("SELECT choices FROM last_choices WHERE account_id = $1 AND header_hash = $2")
            .bind(owner.to_string())
            .bind(&header.0)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_choices).transpose()
    }
}
