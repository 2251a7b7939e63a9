//! Of several replicas: which imports this one watches, and what others tell of the rest.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::SnapshotCache;
use crate::{
    base::ids::{ImportId, UserId},
    imports::{Snapshot, snapshot::Unrecorded},
};

impl SnapshotCache {
    /// Inserts or replaces an import that another replica watches or has changed.
    pub fn follow(&self, snapshot: Snapshot) {
        let key = (snapshot.row.owner, snapshot.row.id);
        let (is_final, is_over) = (snapshot.state().is_final(), snapshot.row.finished_at.is_some());
        let mut inner = self.lock();
        if inner.deleted.contains(&key.1) {
            return;
        }
        let was_retired = inner.retired.contains(&key);
        if !is_over {
            inner.retired.retain(|retired| *retired != key);
        }
        inner.imports.insert(key, Arc::new(snapshot));
        if is_over && !was_retired {
            inner.retire(key);
        }
        drop(inner);
        self.waiters.wake(key.1);
        if is_final {
            self.ended.notify_one();
        }
    }

    /// Adds to an import that is watched here what the database and another replica know of it.
    pub fn join_row(&self, recorded: &Snapshot, told: Option<&Unrecorded>) {
        let row = &recorded.row;
        self.change_quietly(row.owner, row.id, |known| {
            let is_unsent = known.row.sent_at.or(row.sent_at).is_none();
            let own = known.row_mut();
            own.cancel_requested_at = own.cancel_requested_at.or(row.cancel_requested_at);
            own.parent.clone_from(&row.parent);
            known.retries = Arc::clone(&recorded.retries);
            // The leader sends the event, and knows why it cannot.
            if let Some(told) = told.filter(|_| is_unsent) {
                known.outage = told.outage();
            }
        });
    }

    /// Takes over what another replica knows of an import.
    pub fn set_unrecorded(&self, owner: UserId, id: ImportId, told: &Unrecorded) {
        let is_watched = self.is_watched(id);
        self.change_quietly(owner, id, |known| {
            if !is_watched {
                known.set_unrecorded(told);
            } else if known.row.sent_at.is_none() {
                known.outage = told.outage();
            }
        });
    }

    fn change_quietly(&self, owner: UserId, id: ImportId, change: impl FnOnce(&mut Snapshot)) {
        let mut inner = self.lock();
        let Some(snapshot) = inner.imports.get_mut(&(owner, id)) else { return };
        change(Arc::make_mut(snapshot));
        drop(inner);
        self.waiters.wake(id);
    }

    /// The import is watched here from now on, until the returned token is cancelled. A former watch of it here ends.
    pub fn begin_watch(&self, id: ImportId, parent: &CancellationToken) -> CancellationToken {
        let token = parent.child_token();
        if let Some(former) = self.lock().watched.insert(id, token.clone()) {
            former.cancel();
        }
        token
    }

    /// The watch has ended that began with `token`.
    pub fn end_watch(&self, id: ImportId, token: &CancellationToken) {
        token.cancel();
        let mut inner = self.lock();
        // A newer watch of it has a token that is not cancelled.
        if inner.watched.get(&id).is_some_and(CancellationToken::is_cancelled) {
            inner.watched.remove(&id);
        }
    }

    /// Ends all watches of this replica.
    pub fn end_watches(&self) {
        for (_, token) in self.lock().watched.drain() {
            token.cancel();
        }
    }

    pub fn is_watched(&self, id: ImportId) -> bool {
        self.lock().watched.contains_key(&id)
    }

    /// Calls `read` for each import that is watched here.
    pub fn each_watched(&self, mut read: impl FnMut(&Snapshot)) {
        let inner = self.lock();
        inner
            .imports
            .values()
            .filter(|import| inner.watched.contains_key(&import.row.id))
            .for_each(|it| read(it));
    }

    /// The imports in memory.
    pub fn keys(&self) -> Vec<(UserId, ImportId)> {
        self.lock().imports.keys().copied().collect()
    }
}
