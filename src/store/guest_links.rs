//! SQL of guest links, through which people without an account see one import.

use sqlx::{Row, any::AnyRow};

use super::{Error, Result, Store, accounts::user_id, imports::lock_import};
use crate::base::{
    ids::{ImportId, UserId},
    time::UnixMillis,
};

/// The most links of one import that are valid at once: far more than a person keeps track of.
pub const MOST_GUEST_LINKS: i64 = 20;

/// How many characters of a link's hash name it on its owner's page. They open nothing. The length is also in a
/// statement below.
const NAME_CHARS: usize = 16;

/// A link to be recorded.
#[derive(Clone, Debug)]
pub struct NewGuestLinkRow {
    /// SHA-256 of its token, hex.
    pub token_hash: String,
    pub owner: UserId,
    pub import: ImportId,
    pub shows_rows: bool,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
}

/// A link as the owner of its import sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenGuestLink {
    /// Names it in a form, and opens nothing.
    pub name: String,
    pub shows_rows: bool,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
    /// None: not opened yet.
    pub last_opened_at: Option<UnixMillis>,
}

/// What a link opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLinkRow {
    pub owner: UserId,
    pub import: ImportId,
    pub shows_rows: bool,
    pub expires_at: UnixMillis,
    pub last_opened_at: Option<UnixMillis>,
}

/// What became of a link that was to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestLinkCreation {
    Made,
    /// The import has [`MOST_GUEST_LINKS`] already.
    TooMany,
    /// The import was deleted, or its owner can no longer sign in.
    NotThere,
}

impl Store {
    pub async fn create_guest_link(&self, new: &NewGuestLinkRow) -> Result<GuestLinkCreation> {
        let mut tx = self.begin_write().await?;
        // Without the lock, two transactions on Postgres would count the same links.
        if !lock_import(&mut tx, new.import).await? {
            return Ok(GuestLinkCreation::NotThere);
        }
        let owned = sqlx::query(
            "SELECT import.id FROM import JOIN account ON account.id = import.account_id \
             WHERE import.id = $1 AND account.id = $2 \
             AND account.disabled_at IS NULL AND account.deleting_at IS NULL",
        )
        .bind(new.import.to_string())
        .bind(new.owner.to_string())
        .fetch_optional(&mut *tx)
        .await?;
        if owned.is_none() {
            return Ok(GuestLinkCreation::NotThere);
        }
        let made = sqlx::query(
            "INSERT INTO guest_link (token_hash, import_id, shows_rows, created_at, expires_at) \
             SELECT $1, $2, $3, $4, $5 \
             WHERE (SELECT COUNT(*) FROM guest_link WHERE import_id = $2 AND expires_at > $4) < $6",
        )
        .bind(&new.token_hash)
        .bind(new.import.to_string())
        .bind(i64::from(new.shows_rows))
        .bind(new.created_at.0)
        .bind(new.expires_at.0)
        .bind(MOST_GUEST_LINKS)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(GuestLinkCreation::TooMany);
        }
        tx.commit().await?;
        Ok(GuestLinkCreation::Made)
    }

    /// The links of `import` that are valid at `now`, newest first.
    pub async fn guest_links(&self, import: ImportId, now: UnixMillis) -> Result<Vec<OpenGuestLink>> {
        let rows = sqlx::query(
            "SELECT token_hash, shows_rows, created_at, expires_at, last_opened_at FROM guest_link \
             WHERE import_id = $1 AND expires_at > $2 ORDER BY created_at DESC, token_hash LIMIT $3",
        )
        .bind(import.to_string())
        .bind(now.0)
        .bind(MOST_GUEST_LINKS)
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &AnyRow| {
            let hash: String = row.try_get("token_hash")?;
            Ok(OpenGuestLink {
                name: hash.chars().take(NAME_CHARS).collect(),
                shows_rows: row.try_get::<i64, _>("shows_rows")? != 0,
                created_at: UnixMillis(row.try_get("created_at")?),
                expires_at: UnixMillis(row.try_get("expires_at")?),
                last_opened_at: row.try_get::<Option<i64>, _>("last_opened_at")?.map(UnixMillis),
            })
        };
        rows.iter().map(read).collect()
    }

    /// What the link of this hash opens, even if it has expired. None for a link of an account that cannot be used.
    pub async fn guest_link(&self, token_hash: &str) -> Result<Option<GuestLinkRow>> {
        let row = sqlx::query(
            "SELECT import.account_id, guest_link.import_id, guest_link.shows_rows, guest_link.expires_at, \
             guest_link.last_opened_at FROM guest_link \
             JOIN import ON import.id = guest_link.import_id JOIN account ON account.id = import.account_id \
             WHERE guest_link.token_hash = $1 AND account.disabled_at IS NULL AND account.deleting_at IS NULL",
        )
        .bind(token_hash)
        .fetch_optional(&self.pool)
        .await?;
        let read = |row: &AnyRow| {
            let import: String = row.try_get("import_id")?;
            Ok(GuestLinkRow {
                owner: user_id("import", row.try_get("account_id")?)?,
                import: import.parse().map_err(|error| Error::Corrupt {
                    table: "guest_link",
                    why: format!("{import:?}: {error}"),
                })?,
                shows_rows: row.try_get::<i64, _>("shows_rows")? != 0,
                expires_at: UnixMillis(row.try_get("expires_at")?),
                last_opened_at: row.try_get::<Option<i64>, _>("last_opened_at")?.map(UnixMillis),
            })
        };
        row.as_ref().map(read).transpose()
    }

    /// Records that a link was opened at `now`, unless a later time is recorded.
    pub async fn guest_link_opened(&self, token_hash: &str, now: UnixMillis) -> Result<()> {
        let update = sqlx::query(
            "UPDATE guest_link SET last_opened_at = $2 \
             WHERE token_hash = $1 AND (last_opened_at IS NULL OR last_opened_at < $2)",
        )
        .bind(token_hash)
        .bind(now.0);
        self.pool.write(update).await?;
        Ok(())
    }

    /// Deletes the link of `import` whose hash begins with `name`. Returns false if there is none.
    pub async fn delete_guest_link(&self, import: ImportId, name: &str) -> Result<bool> {
        let delete =
            sqlx::query("DELETE FROM guest_link WHERE import_id = $1 AND substr(token_hash, 1, 16) = $2")
                .bind(import.to_string())
                .bind(name);
        Ok(self.pool.write(delete).await?.rows_affected() > 0)
    }

    pub async fn delete_expired_guest_links(&self, now: UnixMillis) -> Result<()> {
        let delete = sqlx::query("DELETE FROM guest_link WHERE expires_at <= $1").bind(now.0);
        self.pool.write(delete).await?;
        Ok(())
    }
}
