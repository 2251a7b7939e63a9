//! How often something may happen, for each key.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// `burst` times at once, then once `every` so often.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub burst: u32,
    pub every: Duration,
}

/// Keys that are kept: some megabytes. Where a limit costs its caller more than a map entry (a password
/// hash), so many never come together.
const MOST_KEYS: usize = 100_000;

/// How many keys there are before those that have recovered are looked for.
const FIRST_SWEEP: usize = 1024;

/// Counts in memory how often each key was used (generic cell rate algorithm); a restart forgets it.
///
/// The `governor` crate does the same but cannot take a use back, and a sign-in that succeeds must not
/// count as a guess.
#[derive(Debug)]
pub struct RateLimiter<K> {
    rate: Rate,
    keys: Mutex<Keys<K>>,
}

#[derive(Debug)]
struct Keys<K> {
    /// When each key will have recovered; a key that is not here has.
    recovered_at: HashMap<K, Instant>,
    sweep_at: usize,
}

impl<K: Eq + Hash> RateLimiter<K> {
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, keys: Mutex::new(Keys { recovered_at: HashMap::new(), sweep_at: FIRST_SWEEP }) }
    }

    /// Counts one use of `key` at `now`.
    ///
    /// # Errors
    /// How long to wait, if it has none left; then nothing is counted.
    pub fn check(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.sweep(now);
        let tolerance = self.rate.every * self.rate.burst.saturating_sub(1);
        let recovered_at = keys.recovered_at.get(&key).copied().unwrap_or(now).max(now);
        let wait = recovered_at.duration_since(now).saturating_sub(tolerance);
        if !wait.is_zero() {
            return Err(wait);
        }
        // With the table full, a new key is not counted. To drop another one instead would let a
        // stranger clear a count by inventing keys.
        if keys.recovered_at.len() < MOST_KEYS || keys.recovered_at.contains_key(&key) {
            keys.recovered_at.insert(key, recovered_at + self.rate.every);
        }
        Ok(())
    }

    /// Takes one use of `key` back.
    pub fn give_back(&self, key: &K) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recovered_at) = keys.recovered_at.get_mut(key)
            && let Some(earlier) = recovered_at.checked_sub(self.rate.every)
        {
            *recovered_at = earlier;
        }
    }

    /// Takes all uses of `key` back.
    pub fn forget(&self, key: &K) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).recovered_at.remove(key);
    }
}

impl<K: Eq + Hash> Keys<K> {
    /// Drops the keys that have recovered, once for each doubling of the table.
    fn sweep(&mut self, now: Instant) {
        if self.recovered_at.len() >= self.sweep_at {
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
            assert_eq!(limiter.check(1, start), Ok(()));
        }
        assert_eq!(limiter.check(1, start), Err(MINUTE));
        assert_eq!(limiter.check(2, start), Ok(()), "others are not held up");
        assert_eq!(limiter.check(1, start + MINUTE / 2), Err(MINUTE / 2), "a refusal counts nothing");
        assert_eq!(limiter.check(1, start + MINUTE), Ok(()));
        assert_eq!(limiter.check(1, start + MINUTE), Err(MINUTE));
        for _ in 0..10 {
            assert_eq!(limiter.check(1, start + 20 * MINUTE), Ok(()), "all of it comes back");
        }
        assert!(limiter.check(1, start + 20 * MINUTE).is_err());
    }

    #[test]
    fn a_use_that_is_given_back_can_be_had_again() {
        let limiter = limiter();
        let now = Instant::now();
        limiter.give_back(&1);
        for _ in 0..10 {
            limiter.check(1, now).unwrap();
        }
        limiter.give_back(&1);
        assert_eq!(limiter.check(1, now), Ok(()));
        assert_eq!(limiter.check(1, now), Err(MINUTE), "one use and no more");
    }

    #[test]
    fn a_forgotten_key_starts_anew() {
        let limiter = limiter();
        let now = Instant::now();
        for _ in 0..10 {
            limiter.check(1, now).unwrap();
        }
        limiter.forget(&1);
        assert_eq!(limiter.check(1, now), Ok(()));
    }

    #[test]
    fn invented_keys_take_bounded_memory_and_clear_no_count() {
        let limiter = limiter();
        let start = Instant::now();
        for _ in 0..10 {
            limiter.check(0, start).unwrap();
        }
        for invented in 1..=MOST_KEYS + 10 {
            limiter.check(invented, start).unwrap();
        }
        assert_eq!(limiter.check(0, start), Err(MINUTE));
        assert_eq!(limiter.keys.lock().unwrap().recovered_at.len(), MOST_KEYS);
        limiter.check(0, start + 11 * MINUTE).unwrap();
        assert_eq!(limiter.keys.lock().unwrap().recovered_at.len(), 1, "those that have recovered went");
    }
}
