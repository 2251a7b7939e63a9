//! What random tokens grant, in memory while they are in use, so that frequent requests do not use the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Error, token::TokenHash};
use crate::base::time::UnixMillis;

/// A full cache takes a few megabytes. It is then cleared, and grants are read from the table again.
const CACHED: usize = 10_000;

/// How soon a token ends in this process that another process has ended, such as an operator's command. One that this
/// process or another replica ends, ends at once.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How exact the last use is, so that a busy token costs one write a minute.
const USE_RECORDED_EVERY: Duration = Duration::from_secs(60);

/// What each token grants, by its hash.
#[derive(Debug)]
pub struct InUse<G>(Mutex<Cache<G>>);

#[derive(Debug)]
struct Cache<G> {
    grants: HashMap<TokenHash, Cached<G>>,
    /// How many times this process has ended or changed tokens, or heard that another replica did.
    changes: u64,
}

#[derive(Debug)]
struct Cached<G> {
    grant: Arc<G>,
    read_at: Instant,
    /// The last use that is recorded in the table.
    recorded_use: Option<UnixMillis>,
}

impl<G> Default for InUse<G> {
    fn default() -> Self {
        Self(Mutex::new(Cache { grants: HashMap::new(), changes: 0 }))
    }
}

impl<G> InUse<G> {
    /// What the token of `hash` grants. If that is not in memory, `read` gets it from the table, with the last use that
    /// is recorded there.
    pub async fn find(
        &self,
        hash: TokenHash,
        read: impl Future<Output = Result<Option<(G, Option<UnixMillis>)>, Error>>,
    ) -> Result<Option<Arc<G>>, Error> {
        let (cached, changes_before, read_at) = {
            let cache = self.lock();
            (cache.fresh(hash), cache.changes, Instant::now())
        };
        if cached.is_some() {
            return Ok(cached);
        }
        let Some((grant, last_use)) = read.await? else {
            self.lock().grants.remove(&hash);
            return Ok(None);
        };
        let grant = Arc::new(grant);
        let mut cache = self.lock();
        // A token that has ended or changed since the row was read must not enter the cache again.
        if cache.changes == changes_before {
            if cache.grants.len() >= CACHED {
                cache.grants.clear();
            }
            let known_use = cache.grants.get(&hash).and_then(|cached| cached.recorded_use);
            let recorded_use = known_use.max(last_use);
            cache.grants.insert(hash, Cached { grant: Arc::clone(&grant), read_at, recorded_use });
        }
        Ok(Some(grant))
    }

    /// No request that begins after this finds the tokens whose grants are meant.
    pub fn end(&self, is_meant: impl Fn(&G) -> bool) {
        let mut cache = self.lock();
        cache.changes += 1;
        cache.grants.retain(|_, cached| !is_meant(&cached.grant));
    }

    /// Whether a use at `now` is to be recorded; it then counts as recorded.
    pub fn is_use_to_be_recorded(&self, hash: TokenHash, now: UnixMillis) -> bool {
        let mut cache = self.lock();
        let Some(cached) = cache.grants.get_mut(&hash) else { return false };
        let is_due = cached.recorded_use.is_none_or(|last| now.since(last) >= USE_RECORDED_EVERY);
        if is_due {
            cached.recorded_use = Some(now);
        }
        is_due
    }

    fn lock(&self) -> MutexGuard<'_, Cache<G>> {
        // No code that holds the lock can leave the cache inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<G> Cache<G> {
    fn fresh(&self, hash: TokenHash) -> Option<Arc<G>> {
        let cached = self.grants.get(&hash)?;
        (cached.read_at.elapsed() < READ_AGAIN_AFTER).then(|| Arc::clone(&cached.grant))
    }
}
