//! The tokens in use, in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{ApiToken, Error, TokenGrant, info};
use crate::{
    accounts::token::TokenHash,
    base::{
        ids::{TokenId, UserId},
        time::UnixMillis,
    },
    store::{self, Store},
};

/// A full cache takes a few megabytes. It is then cleared, and tokens are read from the table again.
const CACHED: usize = 10_000;

/// How soon a token ends in this process that another process has ended. One that this process ends, ends at
/// once.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How exact the last use is, so that a busy program costs one write a minute.
const USE_RECORDED_EVERY: Duration = Duration::from_secs(60);

/// Tokens by the hash of their secret.
#[derive(Debug, Default)]
pub struct TokensInUse(Mutex<Cache>);

#[derive(Debug, Default)]
struct Cache {
    tokens: HashMap<TokenHash, Cached>,
    /// How many times tokens have ended or changed in this process.
    changes: u64,
}

#[derive(Debug)]
struct Cached {
    grant: Arc<TokenGrant>,
    read_at: Instant,
    /// The last use that is recorded in the table.
    recorded_use: Option<UnixMillis>,
}

impl TokensInUse {
    /// Whose token it is, if it is valid at `now`.
    pub async fn find(
        &self,
        store: &Store,
        secret: &ApiToken,
        now: UnixMillis,
    ) -> Result<Option<Arc<TokenGrant>>, Error> {
        let hash = secret.hash();
        let cached = self.lock().fresh(hash);
        let grant = match cached {
            Some(grant) => Some(grant),
            None => self.read(store, hash).await?,
        };
        let grant = grant.filter(|grant| !grant.token.has_expired(now));
        if let Some(grant) = &grant
            && self.lock().is_use_to_be_recorded(hash, now)
        {
            record_use(store.clone(), grant.token.id, now);
        }
        Ok(grant)
    }

    /// No request that begins after this finds the token.
    pub fn end(&self, id: TokenId) {
        self.lock().drop_those(|grant| grant.token.id == id);
    }

    /// Drops the tokens of `user`, which have ended or changed in the table.
    pub fn forget(&self, user: UserId) {
        self.lock().drop_those(|grant| grant.user == user);
    }

    async fn read(&self, store: &Store, hash: TokenHash) -> Result<Option<Arc<TokenGrant>>, Error> {
        let (changes_before, read_at) = (self.lock().changes, Instant::now());
        let Some((row, email)) = store.api_token(&hash.to_string()).await? else {
            self.lock().tokens.remove(&hash);
            return Ok(None);
        };
        let email = email.parse().map_err(|error| store::Error::Corrupt {
            table: "account",
            why: format!("{email:?}: {error}"),
        })?;
        let user = row.account;
        let grant = Arc::new(TokenGrant { user, email, token: info(row)? });
        let mut cache = self.lock();
        // A token that has ended or changed since the row was read must not enter the cache again.
        if cache.changes == changes_before {
            if cache.tokens.len() >= CACHED {
                cache.tokens.clear();
            }
            let known_use = cache.tokens.get(&hash).and_then(|cached| cached.recorded_use);
            let recorded_use = known_use.max(grant.token.last_used_at);
            cache.tokens.insert(hash, Cached { grant: Arc::clone(&grant), read_at, recorded_use });
        }
        Ok(Some(grant))
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        // No code that holds the lock can leave the cache inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn drop_those(&mut self, is_meant: impl Fn(&TokenGrant) -> bool) {
        self.changes += 1;
        self.tokens.retain(|_, cached| !is_meant(&cached.grant));
    }

    fn fresh(&self, hash: TokenHash) -> Option<Arc<TokenGrant>> {
        let cached = self.tokens.get(&hash)?;
        (cached.read_at.elapsed() < READ_AGAIN_AFTER).then(|| Arc::clone(&cached.grant))
    }

    /// Whether a use at `now` is to be recorded; it then counts as recorded.
    fn is_use_to_be_recorded(&mut self, hash: TokenHash, now: UnixMillis) -> bool {
        let Some(cached) = self.tokens.get_mut(&hash) else { return false };
        let is_due = cached.recorded_use.is_none_or(|last| now.since(last) >= USE_RECORDED_EVERY);
        if is_due {
            cached.recorded_use = Some(now);
        }
        is_due
    }
}

/// Records the use beside the request, which does not wait for the database's writers.
fn record_use(store: Store, id: TokenId, now: UnixMillis) {
    tokio::spawn(async move {
        if let Err(error) = store.api_token_used(id, now).await {
            tracing::warn!(token = %id, %error, "cannot record the use of a token");
        }
    });
}
