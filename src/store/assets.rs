//! SQL of the files that pages load, which replicas of several versions give each other.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::{Error, Result, Store};
use crate::base::time::UnixMillis;

/// A file is kept for so long after a process last wrote it, in milliseconds.
const KEPT_FOR: i64 = 30 * 24 * 60 * 60 * 1000;

/// The most paths that are listed: those of about a hundred versions.
const MOST_LISTED: i64 = 1_000;

/// A file as pages load it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAsset {
    pub content_type: String,
    pub body: Bytes,
    /// The same bytes, compressed.
    pub brotli: Bytes,
    pub gzip: Bytes,
}

impl Store {
    /// Writes a file, or that it is still in use.
    pub async fn keep_asset(&self, path: &str, asset: &StoredAsset, now: UnixMillis) -> Result<()> {
        let seen = sqlx::query("UPDATE asset SET seen_at = $1 WHERE path = $2").bind(now.0).bind(path);
        if self.pool.write(seen).await?.rows_affected() > 0 {
            return Ok(());
        }
        let [body, brotli, gzip] =
            [&asset.body, &asset.brotli, &asset.gzip].map(|bytes| BASE64_STANDARD.encode(bytes));
        let insert = sqlx::query(
            "INSERT INTO asset (path, content_type, body, brotli, gzip, seen_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (path) DO NOTHING",
        );
        let insert = insert.bind(path).bind(&asset.content_type).bind(body).bind(brotli).bind(gzip);
        self.pool.write(insert.bind(now.0)).await?;
        Ok(())
    }

    /// Deletes the files that no process has written for 30 days.
    pub async fn forget_assets(&self, now: UnixMillis) -> Result<()> {
        let delete = sqlx::query("DELETE FROM asset WHERE seen_at < $1").bind(now.0.saturating_sub(KEPT_FOR));
        self.pool.write(delete).await?;
        Ok(())
    }

    /// The paths of all files, those that were written last first.
    pub async fn asset_paths(&self) -> Result<Vec<String>> {
        let paths = sqlx::query_scalar("SELECT path FROM asset ORDER BY seen_at DESC, path LIMIT $1");
        Ok(paths.bind(MOST_LISTED).fetch_all(&self.pool).await?)
    }

    pub async fn asset(&self, path: &str) -> Result<Option<StoredAsset>> {
        let row: Option<(String, String, String, String)> =
            sqlx::query_as("SELECT content_type, body, brotli, gzip FROM asset WHERE path = $1")
                .bind(path)
                .fetch_optional(&self.pool)
                .await?;
        let Some((content_type, body, brotli, gzip)) = row else { return Ok(None) };
        let bytes = |text: String| {
            let corrupt = |why: base64::DecodeError| Error::Corrupt { table: "asset", why: why.to_string() };
            BASE64_STANDARD.decode(text).map(Bytes::from).map_err(corrupt)
        };
        Ok(Some(StoredAsset { content_type, body: bytes(body)?, brotli: bytes(brotli)?, gzip: bytes(gzip)? }))
    }
}
