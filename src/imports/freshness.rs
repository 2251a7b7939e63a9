//! Which imports in memory have changed on another replica and are being read again.
//!
//! Whoever did something at one replica may ask another one next. So a reader waits for these reads, which take as long
//! as two statements, but not for a database that does not answer.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use crate::base::ids::{ImportId, UserId};

/// How long a reader waits for imports that are being read again.
const FRESH_WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Freshness {
    stale: Mutex<HashSet<(UserId, ImportId)>>,
    read: Notify,
}

impl Freshness {
    /// From now on a reader of this import waits until it is read again.
    pub fn mark(&self, owner: UserId, import: ImportId) {
        self.stale().insert((owner, import));
    }

    /// Nobody waits for these any more: they are read, or cannot be.
    pub fn clear<'k>(&self, imports: impl IntoIterator<Item = &'k (UserId, ImportId)>) {
        let mut stale = self.stale();
        for import in imports {
            stale.remove(import);
        }
        drop(stale);
        self.read.notify_waiters();
    }

    /// Waits until the import is read again, if it is stale.
    pub async fn of_import(&self, owner: UserId, import: ImportId) {
        self.until(|stale| !stale.contains(&(owner, import))).await;
    }

    /// The same for all imports of `owner`.
    pub async fn of_owner(&self, owner: UserId) {
        self.until(|stale| stale.iter().all(|(of, _)| *of != owner)).await;
    }

    async fn until(&self, is_fresh: impl Fn(&HashSet<(UserId, ImportId)>) -> bool) {
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

    fn stale(&self) -> MutexGuard<'_, HashSet<(UserId, ImportId)>> {
        // The set is consistent after each statement.
        self.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
