//! SQL of requests with an `Idempotency-Key`: each makes at most one import or token, however often it is sent.

use std::{fmt::Display, str::FromStr, time::Duration};

use sha2::{Digest, Sha256};
use sqlx::{Row, any::AnyRow};

use super::{Error, Result, Store, Tx};
use crate::base::{
    ids::{ImportId, UserId},
    time::UnixMillis,
};

/// How long a key is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The value of an `Idempotency-Key`: 1 to 255 visible characters of ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub const LONGEST: usize = 255;

    /// As the header has it. The quotes of a structured field's string (RFC 9651) do not belong to the key.
    #[must_use]
    pub fn parse(header: &[u8]) -> Option<Self> {
        let header = header.trim_ascii();
        let key = header.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(header);
        let is_key = (1..=Self::LONGEST).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
        is_key.then(|| Self(String::from_utf8_lossy(key).into_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key that is recorded in its place if it is a secret. It contains a space, which the key
    /// of no request does.
    #[must_use]
    pub fn hidden(&self) -> Self {
        Self(format!("sha256 {}", hex::encode(Sha256::digest(self.0.as_bytes()))))
    }
}

/// SHA-256 of what a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHash(String);

impl RequestHash {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Computes a [`RequestHash`] while the request arrives.
#[derive(Clone, Debug)]
pub struct RequestHasher {
    hasher: Sha256,
    /// The bytes of the current field.
    length: u64,
}

impl RequestHasher {
    /// `path` is that of the request, with its query.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        let mut hasher = Self { hasher: Sha256::new(), length: 0 };
        hasher.field(method.as_bytes());
        hasher.field(path.as_bytes());
        hasher
    }

    pub fn field(&mut self, bytes: &[u8]) {
        self.feed(bytes);
        self.end_field();
    }

    /// A part of a field.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.length = self.length.saturating_add(bytes.len() as u64);
    }

    /// Ends a field that was [fed](Self::feed). Its length follows it, so that no two lists of fields give the same
    /// bytes.
    pub fn end_field(&mut self) {
        self.hasher.update(self.length.to_le_bytes());
        self.length = 0;
    }

    #[must_use]
    pub fn finish(self) -> RequestHash {
        RequestHash(hex::encode(self.hasher.finalize()))
    }
}

/// A request that is to make one thing at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRequest {
    pub key: IdempotencyKey,
    pub hash: RequestHash,
}

/// What an earlier request with the same key has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierAnswer<T> {
    pub hash: RequestHash,
    /// It may have been deleted.
    pub made: T,
}

impl Store {
    /// What a request of `owner` with this key has made within the last 24 hours.
    pub async fn earlier_answer(
        &self,
        owner: UserId,
        key: &IdempotencyKey,
        now: UnixMillis,
    ) -> Result<Option<EarlierAnswer<ImportId>>> {
        let query = sqlx::query(FIND).bind(owner.to_string()).bind(&key.0).bind(oldest(now).0);
        query.fetch_optional(&self.pool).await?.as_ref().map(read_answer).transpose()
    }

    /// Records that `request` of `owner` is answered with an existing import. Returns what an earlier request with
    /// the same key has made; then nothing is recorded.
    pub async fn save_answer(
        &self,
        owner: UserId,
        request: &KeyedRequest,
        import: ImportId,
        now: UnixMillis,
    ) -> Result<Option<EarlierAnswer<ImportId>>> {
        let mut tx = self.begin_write().await?;
        let earlier = answer_once(&mut tx, owner, request, import, now).await?;
        tx.commit().await?;
        Ok(earlier)
    }

    /// Forgets the keys of more than 24 hours ago. Returns how many.
    pub async fn forget_answers(&self, now: UnixMillis) -> Result<u64> {
        let old = sqlx::query("DELETE FROM idempotency WHERE answered_at < $1").bind(oldest(now).0);
        Ok(self.pool.write(old).await?.rows_affected())
    }
}

const FIND: &str = "SELECT request_hash, made_id FROM idempotency \
                    WHERE account_id = $1 AND request_key = $2 AND answered_at >= $3";

/// Records that `request` makes something with the id `made`. If an earlier request with the same key has made
/// something, nothing is recorded, and that is returned. On Postgres this waits for a concurrent transaction with the
/// same key.
pub(super) async fn answer_once<T>(
    tx: &mut Tx,
    owner: UserId,
    request: &KeyedRequest,
    made: T,
    now: UnixMillis,
) -> Result<Option<EarlierAnswer<T>>>
where
    T: Display + FromStr<Err: Display>,
{
    let inserted = sqlx::query(
        "INSERT INTO idempotency (account_id, request_key, request_hash, made_id, answered_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account_id, request_key) DO UPDATE SET \
         request_hash = excluded.request_hash, made_id = excluded.made_id, answered_at = excluded.answered_at \
         WHERE idempotency.answered_at < $6",
    )
    .bind(owner.to_string())
    .bind(&request.key.0)
    .bind(&request.hash.0)
    .bind(made.to_string())
    .bind(now.0)
    .bind(oldest(now).0)
    .execute(&mut **tx)
    .await?;
    if inserted.rows_affected() > 0 {
        return Ok(None);
    }
    let earlier = sqlx::query(FIND).bind(owner.to_string()).bind(&request.key.0).bind(oldest(now).0);
    Ok(Some(read_answer(&earlier.fetch_one(&mut **tx).await?)?))
}

fn oldest(now: UnixMillis) -> UnixMillis {
    now.minus(REMEMBERED_FOR)
}

fn read_answer<T: FromStr<Err: Display>>(row: &AnyRow) -> Result<EarlierAnswer<T>> {
    let made: String = row.try_get("made_id")?;
    let corrupt = |error| Error::Corrupt { table: "idempotency", why: format!("{made:?}: {error}") };
    Ok(EarlierAnswer {
        hash: RequestHash(row.try_get("request_hash")?),
        made: made.parse().map_err(corrupt)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_with_or_without_quotes() {
        let key = |text: &[u8]| IdempotencyKey::parse(text).map(|key| key.0);
        assert_eq!(key(b"8e03978e-40d5"), key(b"\"8e03978e-40d5\""));
        assert_eq!(key(b" a ").as_deref(), Some("a"));
        assert!(key(&[b'k'; 255]).is_some());
        let too_long = [b'k'; 256];
        for wrong in [&b""[..], b"\"\"", b"a b", "schlüssel".as_bytes(), b"a\x7f", &too_long] {
            assert_eq!(key(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn requests_have_the_same_hash_only_if_all_fields_are_the_same() {
        let hash = |fields: &[&str]| {
            let mut hasher = RequestHasher::new("POST", "/api/v1/imports");
            fields.iter().for_each(|field| hasher.field(field.as_bytes()));
            hasher.finish()
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["a"]), hash(&["a", ""]));
        let mut pieces = RequestHasher::new("POST", "/api/v1/imports");
        pieces.feed(b"a");
        pieces.feed(b"b");
        pieces.end_field();
        assert_eq!(pieces.finish(), hash(&["ab"]));
        assert_ne!(RequestHasher::new("POST", "/a").finish(), RequestHasher::new("PUT", "/a").finish());
    }
}
