//! Which imports in memory have changed on another replica and are being read again.
//!
//! Whoever did something at one replica may ask another one next. So a reader waits for these reads, which take as long
//! as two statements, but not for a database that does not answer.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use crate::base::ids::{ImportId, UserId};

/// How long a reader waits for imports that are being read again.
const FRESH_WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Freshness {
    stale: Mutex<Stale>,
    read: Notify,
}

#[derive(Debug, Default)]
struct Stale {
    /// Each with the number of its last change.
    imports: HashMap<(UserId, ImportId), u64>,
    changes: u64,
}

impl Freshness {
    /// From now on a reader of this import waits until it is read again. Returns the number of the change.
    pub fn mark(&self, owner: UserId, import: ImportId) -> u64 {
        let mut stale = self.stale();
        stale.changes += 1;
        let change = stale.changes;
        stale.imports.insert((owner, import), change);
        change
    }

    /// Nobody waits any more for the import as it was at this change: it is read, or cannot be.
    pub fn clear(&self, owner: UserId, import: ImportId, change: u64) {
        let mut stale = self.stale();
        if stale.imports.get(&(owner, import)).is_some_and(|last| *last <= change) {
            stale.imports.remove(&(owner, import));
        }
        drop(stale);
        self.read.notify_waiters();
    }

    /// Waits until the import is read again, if it is stale.
    pub async fn of_import(&self, owner: UserId, import: ImportId) {
        self.until(|stale| !stale.imports.contains_key(&(owner, import))).await;
    }

    /// The same for all imports of `owner`.
    pub async fn of_owner(&self, owner: UserId) {
        self.until(|stale| stale.imports.keys().all(|(of, _)| *of != owner)).await;
    }

    async fn until(&self, is_fresh: impl Fn(&Stale) -> bool) {
        if is_fresh(&self.stale()) {
            return;
        }
        let wait = async {
            loop {
                // Before the look, so that no read in between is missed.
                let read = self.read.notified();
                if is_fresh(&self.stale()) {
                    return;
                }
                read.await;
            }
        };
        // What is known is shown then.
        let _ = timeout(FRESH_WITHIN, wait).await;
    }

    fn stale(&self) -> MutexGuard<'_, Stale> {
        // The map is consistent after each statement.
        self.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_reader_waits_for_the_last_change_and_not_for_imports_of_others() {
        let (freshness, owner, import) = (Freshness::default(), UserId::generate(), ImportId::generate());
        freshness.of_import(owner, import).await;
        let first = freshness.mark(owner, import);
        let last = freshness.mark(owner, import);
        freshness.of_owner(UserId::generate()).await;
        let mut reader = pin!(freshness.of_owner(owner));
        assert!(poll!(&mut reader).is_pending());
        freshness.clear(owner, import, first);
        assert!(poll!(&mut reader).is_pending(), "it has changed again since");
        freshness.clear(owner, import, last);
        reader.await;
        freshness.of_import(owner, import).await;
    }
}
