//! Wakes those who wait for a change of an import. They hold no thread and no connection to the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time::timeout,
};

use super::{Imports, Owned, followed_owners::Asked};
use crate::base::ids::ImportId;

/// Those who wait, by import. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Waiters(Arc<Mutex<HashMap<ImportId, Waited>>>);

/// An import that somebody waits for.
#[derive(Default)]
struct Waited {
    changed: Arc<Notify>,
    waiters: usize,
}

/// Waits for changes of an import.
pub struct Waiter {
    waiters: Waiters,
    import: ImportId,
    changed: Arc<Notify>,
    /// What others tell of it is followed as long as this lasts.
    _asked: Option<Arc<Asked>>,
}

impl Waiters {
    fn of(&self, import: ImportId, asked: Option<Arc<Asked>>) -> Waiter {
        let changed = {
            let mut waiting = self.lock();
            let waited = waiting.entry(import).or_default();
            waited.waiters += 1;
            Arc::clone(&waited.changed)
        };
        Waiter { waiters: self.clone(), import, changed, _asked: asked }
    }

    /// To be called after each change of an import.
    pub(super) fn wake(&self, import: ImportId) {
        if let Some(waited) = self.lock().get(&import) {
            waited.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ImportId, Waited>> {
        // The map is consistent after each statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// The next change after this call, even one before the result is awaited: so a caller first calls this, then
    /// looks at the import, then waits.
    pub fn next_change(&self) -> Change<'_> {
        Change(Box::pin(self.changed.notified()))
    }
}

/// A change that is waited for.
pub struct Change<'w>(std::pin::Pin<Box<Notified<'w>>>);

impl Change<'_> {
    /// Waits for it, but not longer than `at_most`.
    pub async fn within(self, at_most: Duration) {
        // What ran out is no error: the caller looks again.
        let _ = timeout(at_most, self.0).await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        if let Some(waited) = waiting.get_mut(&self.import) {
            waited.waiters -= 1;
            if waited.waiters == 0 {
                waiting.remove(&self.import);
            }
        }
    }
}

impl Imports {
    /// Waits for changes of an import: of its state, of its runs, or that it is deleted. What is only counted, the
    /// rows that a run has read, is not told.
    #[must_use]
    pub fn waiter(&self, import: &Owned) -> Waiter {
        let snapshots = &self.shared.snapshots;
        snapshots.waiters().of(import.row.id, snapshots.ask(import.row.owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_between_two_looks_is_not_missed_and_nothing_stays_behind() {
        let (waiters, import) = (Waiters::default(), ImportId::generate());
        let (one, other) = (waiters.of(import, None), waiters.of(import, None));
        let (first, second) = (one.next_change(), other.next_change());
        waiters.wake(ImportId::generate());
        waiters.wake(import);
        let long = Duration::from_secs(3_600);
        first.within(long).await;
        second.within(long).await;
        one.next_change().within(Duration::from_millis(1)).await;
        drop(one);
        assert_eq!(waiters.lock().len(), 1);
        drop(other);
        assert!(waiters.lock().is_empty());
    }
}
