//! Of several replicas: which imports this one watches, and what others tell of the rest.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::SnapshotCache;
use crate::{
    base::ids::{ImportId, UserId},
    imports::{Snapshot, snapshot::Unrecorded},
};

/// A watch of this replica.
#[derive(Debug)]
pub(super) struct OwnWatch {
    lease: Option<Arc<str>>,
    ending: CancellationToken,
}

impl SnapshotCache {
    /// Inserts or replaces an import that another replica watches or has changed. `known` is what was here before it was
    /// read. Returns false, without a change, if that has changed or is watched here by now.
    pub fn follow(&self, snapshot: Snapshot, known: Option<&Arc<Snapshot>>) -> bool {
        let key = (snapshot.row.owner, snapshot.row.id);
        let (is_final, is_over) = (snapshot.state().is_final(), snapshot.row.finished_at.is_some());
        let mut inner = self.lock();
        if inner.deleted.contains(&key.1) {
            return true;
        }
        let is_as_known = match (inner.imports.get(&key), known) {
            (Some(now), Some(known)) => Arc::ptr_eq(now, known),
            (now, known) => now.is_none() && known.is_none(),
        };
        if !is_as_known || inner.watched.contains_key(&key.1) {
            return false;
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
        true
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
    /// None: the lease that it was recorded with is lost, and another replica watches it.
    pub fn begin_watch(
        &self,
        id: ImportId,
        lease: Option<Arc<str>>,
        parent: &CancellationToken,
    ) -> Option<CancellationToken> {
        let mut inner = self.lock();
        if lease != inner.lease || lease.is_none() && !self.bus.is_alone() {
            return None;
        }
        let token = parent.child_token();
        let former = inner.watched.insert(id, OwnWatch { lease, ending: token.clone() });
        if let Some(former) = former {
            former.ending.cancel();
        }
        Some(token)
    }

    /// The watch has ended that began with `token`.
    pub fn end_watch(&self, id: ImportId, token: &CancellationToken) {
        token.cancel();
        let mut inner = self.lock();
        // A newer watch of it has a token that is not cancelled.
        if inner.watched.get(&id).is_some_and(|watch| watch.ending.is_cancelled()) {
            inner.watched.remove(&id);
        }
    }

    /// Ends the watches that belong to another lease than this one.
    pub fn set_lease(&self, lease: Option<Arc<str>>) {
        let mut inner = self.lock();
        let ended = inner.watched.extract_if(|_, watch| watch.lease != lease);
        ended.for_each(|(_, watch)| watch.ending.cancel());
        inner.lease = lease;
    }

    pub fn is_watched(&self, id: ImportId) -> bool {
        self.lock().watched.contains_key(&id)
    }

    /// The imports that are watched here.
    pub fn watched(&self) -> Vec<Arc<Snapshot>> {
        let inner = self.lock();
        inner.imports.values().filter(|import| inner.watched.contains_key(&import.row.id)).cloned().collect()
    }

    /// The imports in memory.
    pub fn keys(&self) -> Vec<(UserId, ImportId)> {
        self.lock().imports.keys().copied().collect()
    }
}
