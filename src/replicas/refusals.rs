//! What this process remembers of the keys that the rows have refused: for a second, or for the time to wait if that is
//! shorter. So a flood of requests that are refused costs the database about one statement per second for each key; if a
//! use comes back every tenth of a second, about ten.
//!
//! Of each key one statement runs at a time: those who come meanwhile wait for its answer, which may be theirs too.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard},
    time::Instant,
};

use crate::store;

/// How long a refusal is remembered at most. What another replica gives back is known here that much later.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// How many keys are kept. Those in use come on top, at most one for each request. Takes about three megabytes.
const MOST_KEYS: usize = 10_000;

/// The keys that are in use, or were refused a moment ago, by their hashes.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<String, Arc<AsyncMutex<LastAnswer>>>>);

/// What the database last answered about a key.
#[derive(Debug, Default)]
pub(super) enum LastAnswer {
    #[default]
    NotRefused,
    /// It refused with this wait. The time is that before it was asked, so that this never lasts longer than the rows'
    /// own refusal.
    Refused {
        asked_at: Instant,
        wait: Duration,
    },
    Failed {
        at: Instant,
    },
}

impl Refusals {
    /// Waits for the right to run a statement for this key.
    ///
    /// # Errors
    /// If it takes longer than a statement may take.
    pub(super) async fn turn(&self, key_hash: &str) -> store::Result<OwnedMutexGuard<LastAnswer>> {
        store::in_turn(self.of(key_hash).lock_owned()).await
    }

    fn of(&self, key_hash: &str) -> Arc<AsyncMutex<LastAnswer>> {
        // Each entry is inserted as a whole.
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(key_hash) {
            return Arc::clone(key);
        }
        if keys.len() >= MOST_KEYS {
            let now = Instant::now();
            // None: the key is in use.
            keys.retain(|_, key| Arc::get_mut(key).is_none_or(|last| last.get_mut().refusal(now).is_some()));
            // Forgetting a refusal costs a statement, and reading them all at each new key costs more.
            if keys.len() > MOST_KEYS / 2 {
                keys.retain(|_, key| Arc::get_mut(key).is_none());
            }
        }
        Arc::clone(keys.entry(key_hash.to_owned()).or_default())
    }
}

impl LastAnswer {
    /// The time to wait, if the key is still refused.
    pub(super) fn refusal(&self, now: Instant) -> Option<Duration> {
        let Self::Refused { asked_at, wait } = self else { return None };
        let passed = now.saturating_duration_since(*asked_at);
        Some(wait.saturating_sub(passed)).filter(|left| passed < REMEMBERED_FOR && !left.is_zero())
    }

    /// Whether the database failed after `asked_at`.
    pub(super) fn has_failed_since(&self, asked_at: Instant) -> bool {
        matches!(self, Self::Failed { at } if *at >= asked_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn a_refusal_is_remembered_for_its_wait_or_a_second() {
        let asked_at = Instant::now();
        let refused = |wait| LastAnswer::Refused { asked_at, wait };
        let (long, short) = (refused(LONG), refused(REMEMBERED_FOR / 2));
        assert_eq!(long.refusal(asked_at + REMEMBERED_FOR - MOMENT), Some(LONG - REMEMBERED_FOR + MOMENT));
        assert_eq!(long.refusal(asked_at + REMEMBERED_FOR), None);
        assert_eq!(short.refusal(asked_at + REMEMBERED_FOR / 2 - MOMENT), Some(MOMENT));
        assert_eq!(short.refusal(asked_at + REMEMBERED_FOR / 2), None);
    }

    #[tokio::test]
    async fn invented_keys_take_bounded_memory_and_end_no_turn() {
        let refusals = Refusals::default();
        let held = refusals.turn("held").await.unwrap();
        for key in 0..3 * MOST_KEYS {
            let mut last = refusals.turn(&key.to_string()).await.unwrap();
            if key % 2 == 0 {
                *last = LastAnswer::Refused { asked_at: Instant::now(), wait: LONG };
            }
        }
        assert!(refusals.0.lock().unwrap().len() <= MOST_KEYS);
        let again = store::within(MOMENT, refusals.turn("held")).await;
        assert!(matches!(again, Err(store::Error::NoAnswer)), "one at a time: {again:?}");
        drop(held);
        refusals.turn("held").await.unwrap();
    }
}
