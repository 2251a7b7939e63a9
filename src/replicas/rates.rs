//! How often something may happen, whichever replica is asked.

use std::{
    fmt::Display,
    hash::Hash,
    marker::PhantomData,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::Replicas;
use crate::{
    base::limits::{Allowance, Rate, RateLimiter},
    store::{self, Store},
};

/// Where uses are counted: in memory if one process has the database, else in rows, so that a visitor whose requests
/// go to several replicas has no more uses than with one.
#[derive(Clone, Debug)]
pub struct Rates {
    /// None: in memory.
    rows: Option<Store>,
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
        Self { rows: Some(store) }
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
            Some(store) => CountedIn::Rows(CountedRows { store: store.clone(), name, rate, of: PhantomData }),
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
            Some(store) => store.sweep_uses().await,
        }
    }
}

/// Limits how often something may happen, for each key. All replicas count together.
///
/// If the database fails, so does the use: what cannot be counted must not pass.
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
    store: Store,
    name: &'static str,
    rate: Rate,
    of: PhantomData<fn(&K)>,
}

impl<K: Hash + Display> SharedLimiter<K> {
    /// Counts one use of `key`. Returns what is left, or, if no use was left, the time to wait; then the use is not
    /// counted. Rows take one statement.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take(&self, key: &K) -> store::Result<Result<Allowance, Duration>> {
        match &self.counted {
            CountedIn::Memory(limiter) => Ok(limiter.count(key, Instant::now())),
            CountedIn::Rows(rows) => rows.store.take_use(&rows.hash(key), rows.rate).await,
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
            CountedIn::Rows(rows) => rows.store.give_use_back(&rows.hash(key), rows.rate).await,
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
            CountedIn::Rows(rows) => rows.store.forget_uses(&rows.hash(key)).await,
        }
    }
}

impl<K: Display> CountedRows<K> {
    /// No address and no e-mail is stored. A name has no space, so that no two limits have a key in common.
    fn hash(&self, key: &K) -> String {
        hex::encode(Sha256::digest(format!("{} {key}", self.name)))
    }
}
