//! How often something may happen, whichever replica is asked.

use std::{fmt::Display, hash::Hash, marker::PhantomData, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    Replicas,
    refusals::{LastAnswer, Refusals},
};
use crate::{
    base::limits::{Allowance, Rate, RateLimiter},
    store::{self, Store},
};

/// Where uses are counted: in memory if one process has the database, else in rows, so that a visitor whose requests
/// go to several replicas has no more uses than with one.
#[derive(Clone, Debug)]
pub struct Rates {
    /// None: in memory.
    rows: Option<SharedRows>,
}

#[derive(Clone, Debug)]
struct SharedRows {
    store: Store,
    refusals: Arc<Refusals>,
}

impl Rates {
    /// In memory.
    #[must_use]
    pub fn alone() -> Self {
        Self { rows: None }
    }

    /// In rows of this Postgres.
    #[must_use]
    pub fn in_rows(store: Store) -> Self {
        Self { rows: Some(SharedRows { store, refusals: Arc::default() }) }
    }

    #[must_use]
    pub fn of(replicas: &Replicas, store: &Store) -> Self {
        if replicas.is_alone() { Self::alone() } else { Self::in_rows(store.clone()) }
    }

    /// A limit. `name` tells its rows from those of other limits, and must not change, or the uses of before count
    /// nothing.
    #[must_use]
    pub fn limiter<K: Hash>(&self, name: &'static str, rate: Rate) -> SharedLimiter<K> {
        let counted = match &self.rows {
            None => CountedIn::Memory(RateLimiter::new(rate)),
            Some(rows) => CountedIn::Rows(CountedRows { rows: rows.clone(), name, rate, of: PhantomData }),
        };
        SharedLimiter { counted }
    }

    /// Deletes the rows that count nothing any more. Must be called about once a minute, by one of the replicas.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep(&self) -> store::Result<u64> {
        match &self.rows {
            None => Ok(0),
            Some(rows) => rows.store.sweep_uses().await,
        }
    }
}

/// Limits how often something may happen, for each key. All replicas count together.
///
/// If the database fails, so does the use: what cannot be counted must not pass.
///
/// What the rows have refused, this process refuses by itself for the next second, or for the time to wait if that is
/// shorter. So uses that one replica gives back may be refused at the others for a second more; at itself they are back
/// at once.
#[derive(Debug)]
pub struct SharedLimiter<K> {
    counted: CountedIn<K>,
}

#[derive(Debug)]
enum CountedIn<K> {
    Memory(RateLimiter<K>),
    Rows(CountedRows<K>),
}

#[derive(Debug)]
struct CountedRows<K> {
    rows: SharedRows,
    name: &'static str,
    rate: Rate,
    of: PhantomData<fn(&K)>,
}

impl<K: Hash + Display> SharedLimiter<K> {
    /// Counts one use of `key`. Returns what is left, or, if no use was left, the time to wait; then the use is not
    /// counted. Rows take one statement, or none soon after a refusal.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take(&self, key: &K) -> store::Result<Result<Allowance, Duration>> {
        match &self.counted {
            CountedIn::Memory(limiter) => Ok(limiter.count(key, Instant::now().into_std())),
            CountedIn::Rows(rows) => rows.take(key).await,
        }
    }

    /// Gives one use of `key` back.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn give_back(&self, key: &K) -> store::Result<()> {
        match &self.counted {
            CountedIn::Memory(limiter) => {
                limiter.give_back(key);
                Ok(())
            }
            CountedIn::Rows(rows) => rows.give_back(key).await,
        }
    }

    /// Gives all uses of `key` back.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget(&self, key: &K) -> store::Result<()> {
        match &self.counted {
            CountedIn::Memory(limiter) => {
                limiter.forget(key);
                Ok(())
            }
            CountedIn::Rows(rows) => rows.forget(key).await,
        }
    }
}

impl<K: Display> CountedRows<K> {
    async fn take(&self, key: &K) -> store::Result<Result<Allowance, Duration>> {
        let (hash, came_at) = (self.hash(key), Instant::now());
        let mut last = self.rows.refusals.turn(&hash).await?;
        let asked_at = Instant::now();
        if let Some(wait) = last.refusal(asked_at) {
            return Ok(Err(wait));
        }
        // Otherwise those who wait for a database that hangs would do so one after the other.
        if last.has_failed_since(came_at) {
            return Err(store::Error::NoAnswer);
        }
        let taken = self.rows.store.take_use(&hash, self.rate).await;
        *last = match taken {
            Ok(Ok(_)) => LastAnswer::NotRefused,
            Ok(Err(wait)) => LastAnswer::Refused { asked_at, wait },
            Err(_) => LastAnswer::Failed { at: Instant::now() },
        };
        taken
    }

    async fn give_back(&self, key: &K) -> store::Result<()> {
        let hash = self.hash(key);
        // Held until the use is back, so that no refusal from before is remembered after that.
        let mut last = self.rows.refusals.turn(&hash).await?;
        *last = LastAnswer::NotRefused;
        self.rows.store.give_use_back(&hash, self.rate).await
    }

    async fn forget(&self, key: &K) -> store::Result<()> {
        let hash = self.hash(key);
        // The same.
        let mut last = self.rows.refusals.turn(&hash).await?;
        *last = LastAnswer::NotRefused;
        self.rows.store.forget_uses(&hash).await
    }

    /// No address and no e-mail is stored. A name has no space, so that no two limits have a key in common.
    fn hash(&self, key: &K) -> String {
        hex::encode(Sha256::digest(format!("{} {key}", self.name)))
    }
}
