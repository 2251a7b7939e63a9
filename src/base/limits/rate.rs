//! Limits how often something may happen, for each key.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    marker::PhantomData,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// `burst` uses at once, then one use per `every`.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub burst: u32,
    pub every: Duration,
}

impl Rate {
    /// How long after the last use all uses are back, if none was left.
    #[must_use]
    pub fn whole(self) -> Duration {
        self.every * self.burst
    }

    /// A use passes if all earlier ones are back within this time.
    #[must_use]
    pub fn tolerance(self) -> Duration {
        self.every * self.burst.saturating_sub(1)
    }

    /// What is left if all uses are back in `whole_in`.
    #[must_use]
    pub fn allowance(self, whole_in: Duration) -> Allowance {
        let left = self.whole().saturating_sub(whole_in);
        let uses = left.as_nanos().checked_div(self.every.as_nanos()).unwrap_or(u128::MAX);
        Allowance { uses: u32::try_from(uses).unwrap_or(u32::MAX).min(self.burst), whole_in }
    }
}

/// How many keys are counted separately, which takes a few megabytes. Further keys share [`SHARED`] counts,
/// so that invented keys neither escape the limit nor clear another key's count.
const MOST_KEYS: usize = 100_000;
const SHARED: u64 = 1024;

/// The table size at which recovered keys are first removed.
const FIRST_SWEEP: usize = 1024;

/// What is left of a limit after a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many further uses pass at once.
    pub uses: u32,
    /// When all of them are back.
    pub whole_in: Duration,
}

const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// Counts in memory how often each key was used (generic cell rate algorithm). A restart clears the counts. Several
/// replicas count in rows by the same rule (`replicas::SharedLimiter`).
///
/// The `governor` crate does the same but cannot give a use back, and a successful sign-in must not count as
/// a guess.
#[derive(Debug)]
pub struct RateLimiter<K> {
    rate: Rate,
    /// Keys come from strangers, so they are stored as a hash with a random seed that strangers cannot
    /// predict.
    hasher: RandomState,
    keys: Mutex<Keys>,
    of: PhantomData<fn(&K)>,
}

#[derive(Debug)]
struct Keys {
    /// When each key will have recovered. A key that is not in the map has recovered.
    recovered_at: HashMap<u64, Instant>,
    sweep_at: usize,
    swept_at: Option<Instant>,
}

impl<K: Hash> RateLimiter<K> {
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let keys = Keys { recovered_at: HashMap::new(), sweep_at: FIRST_SWEEP, swept_at: None };
        Self { rate, hasher: RandomState::new(), keys: Mutex::new(keys), of: PhantomData }
    }

    /// Counts one use of `key` at `now`.
    ///
    /// # Errors
    /// The time to wait, if no use is left. The refused use is not counted.
    pub fn check(&self, key: &K, now: Instant) -> Result<(), Duration> {
        self.count(key, now).map(drop)
    }

    /// The same, and says what is left.
    ///
    /// # Errors
    /// The time to wait, if no use is left. The refused use is not counted.
    pub fn count(&self, key: &K, now: Instant) -> Result<Allowance, Duration> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.sweep(now);
        let key = keys.counted_as(self.hasher.hash_one(key));
        let recovered_at = keys.recovered_at.get(&key).copied().unwrap_or(now).max(now);
        let wait = recovered_at.duration_since(now).saturating_sub(self.rate.tolerance());
        if !wait.is_zero() {
            return Err(wait);
        }
        let recovered_at = recovered_at + self.rate.every;
        keys.recovered_at.insert(key, recovered_at);
        Ok(self.rate.allowance(recovered_at.duration_since(now)))
    }

    /// Gives one use of `key` back.
    pub fn give_back(&self, key: &K) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recovered_at) = keys.recovered_at.get_mut(&self.hasher.hash_one(key))
            && let Some(earlier) = recovered_at.checked_sub(self.rate.every)
        {
            *recovered_at = earlier;
        }
    }

    /// Gives all uses of `key` back.
    pub fn forget(&self, key: &K) {
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recovered_at
            .remove(&self.hasher.hash_one(key));
    }
}

impl Keys {
    /// The entry under which a key is counted: its own, or a shared one if the table is full.
    fn counted_as(&self, key: u64) -> u64 {
        let is_full = self.recovered_at.len() >= MOST_KEYS;
        if is_full && !self.recovered_at.contains_key(&key) { key % SHARED } else { key }
    }

    /// Removes the keys that have recovered. Runs each time the table has doubled and at most once a second,
    /// because it scans the whole table.
    fn sweep(&mut self, now: Instant) {
        let is_recent = self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < LEAST_PAUSE);
        if self.recovered_at.len() >= self.sweep_at && !is_recent {
            self.swept_at = Some(now);
            self.recovered_at.retain(|_, recovered_at| *recovered_at > now);
            self.sweep_at = (self.recovered_at.len() * 2).clamp(FIRST_SWEEP, MOST_KEYS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn limiter() -> RateLimiter<usize> {
        RateLimiter::new(Rate { burst: 10, every: MINUTE })
    }

    #[test]
    fn after_the_burst_one_passes_each_period() {
        let limiter = limiter();
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(limiter.check(&1, start), Ok(()));
        }
        assert_eq!(limiter.check(&1, start), Err(MINUTE));
        assert_eq!(limiter.check(&2, start), Ok(()), "others are not held up");
        assert_eq!(limiter.check(&1, start + MINUTE / 2), Err(MINUTE / 2), "a refusal counts nothing");
        assert_eq!(limiter.check(&1, start + MINUTE), Ok(()));
        assert_eq!(limiter.check(&1, start + MINUTE), Err(MINUTE));
        for _ in 0..10 {
            assert_eq!(limiter.check(&1, start + 20 * MINUTE), Ok(()), "all of it comes back");
        }
        assert!(limiter.check(&1, start + 20 * MINUTE).is_err());
    }

    #[test]
    fn what_is_left_is_told_with_each_use() {
        let limiter = limiter();
        let start = Instant::now();
        for left in (0..10).rev() {
            let whole_in = MINUTE * (10 - left);
            assert_eq!(limiter.count(&1, start), Ok(Allowance { uses: left, whole_in }));
        }
        assert_eq!(limiter.count(&1, start), Err(MINUTE));
        let later = start + MINUTE * 5 / 2;
        assert_eq!(limiter.count(&1, later), Ok(Allowance { uses: 1, whole_in: MINUTE * 17 / 2 }));
    }

    #[test]
    fn a_use_that_is_given_back_can_be_had_again() {
        let limiter = limiter();
        let now = Instant::now();
        limiter.give_back(&1);
        for _ in 0..10 {
            limiter.check(&1, now).unwrap();
        }
        limiter.give_back(&1);
        assert_eq!(limiter.check(&1, now), Ok(()));
        assert_eq!(limiter.check(&1, now), Err(MINUTE), "one use and no more");
    }

    #[test]
    fn a_forgotten_key_starts_anew() {
        let limiter = limiter();
        let now = Instant::now();
        for _ in 0..10 {
            limiter.check(&1, now).unwrap();
        }
        limiter.forget(&1);
        assert_eq!(limiter.check(&1, now), Ok(()));
    }

    #[test]
    fn invented_keys_take_bounded_memory_and_clear_no_count() {
        let limiter = limiter();
        let start = Instant::now();
        for _ in 0..10 {
            limiter.check(&0, start).unwrap();
        }
        for invented in 1..=MOST_KEYS + 10 {
            limiter.check(&invented, start).unwrap();
        }
        assert_eq!(limiter.check(&0, start), Err(MINUTE));
        let most = MOST_KEYS + usize::try_from(SHARED).unwrap();
        assert!((MOST_KEYS..=most).contains(&limiter.keys.lock().unwrap().recovered_at.len()));
        let uses = 50 * usize::try_from(SHARED).unwrap();
        let passed = (0..uses).filter(|more| limiter.check(&(2 * MOST_KEYS + more), start).is_ok()).count();
        assert!(
            passed <= 10 * usize::try_from(SHARED).unwrap(),
            "of {uses} new keys {passed} pass a full table"
        );
        limiter.check(&0, start + 11 * MINUTE).unwrap();
        assert_eq!(limiter.keys.lock().unwrap().recovered_at.len(), 1, "those that have recovered went");
    }
}
