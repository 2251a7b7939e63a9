//! Of several replicas: which imports this one watches, and what others tell of the rest that it has in memory: those of
//! users who are asked for here.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Inner, SnapshotCache};
use crate::{
    base::ids::{ImportId, UserId},
    imports::{
        Snapshot,
        followed_owners::{Asked, FollowedOwners},
        snapshot::Unrecorded,
        told,
    },
    store,
};

/// A watch of this replica.
#[derive(Debug)]
pub(super) struct OwnWatch {
    lease: Option<Arc<str>>,
    ending: CancellationToken,
}

/// What became of a watch that was to begin.
#[derive(Debug)]
pub enum BegunWatch {
    /// It lasts until this is cancelled.
    Here(CancellationToken),
    /// The lease that the import was recorded with is lost.
    LeftToAnother,
    /// The import was deleted.
    Deleted,
}

impl SnapshotCache {
    /// The users whose imports are in memory.
    pub fn owners(&self) -> &FollowedOwners {
        &self.owners
    }

    /// Follows the imports of `owner` until the returned value is dropped, and for a while longer. None: all are in memory,
    /// because there is no other replica.
    pub fn ask(&self, owner: UserId) -> Option<Arc<Asked>> {
        let mark = || self.freshness.mark(owner, None);
        (!self.bus.is_alone()).then(|| self.owners.ask(owner, mark))
    }

    /// The same, and waits until what is in memory of `import`, or of all imports of `owner`, is no older than what the
    /// others had told when this was called.
    ///
    /// # Errors
    /// If this replica does not know what has happened on the others, because it or the database was away.
    pub async fn fresh(&self, owner: UserId, import: Option<ImportId>) -> store::Result<Option<Arc<Asked>>> {
        let asked = self.ask(owner);
        self.freshness.of(owner, import).await?;
        Ok(asked)
    }

    /// Forgets the imports of users whom nobody asks for any more, unless they are watched here, and returns them. If a user
    /// is asked for again meanwhile, what is left is read again.
    pub fn forget_unasked(&self) -> Vec<Arc<Snapshot>> {
        self.owners.forget_unasked();
        let mut inner = self.lock();
        let Inner { imports, watched, retired, untold, newest, .. } = &mut *inner;
        let is_forgotten = |(owner, id): &(UserId, ImportId), _: &mut Arc<Snapshot>| {
            !watched.contains_key(id) && !self.owners.contains(*owner)
        };
        let forgotten = imports.extract_if(.., is_forgotten).map(|(_, import)| import).collect();
        retired.retain(|key| imports.contains_key(key));
        untold.retain(|key| imports.contains_key(key));
        newest.retain(|owner, _| self.owners.contains(*owner));
        forgotten
    }

    /// The newest imports that `owner` had when this replica began to follow that user, newest first.
    pub fn set_newest(&self, owner: UserId, imports: Vec<ImportId>) {
        let mut inner = self.lock();
        // A delete may have been told since they were read.
        let left = imports.into_iter().filter(|import| !inner.deleted.contains(import)).collect();
        inner.newest.insert(owner, left);
    }

    /// Those of them that are left.
    pub fn newest(&self, owner: UserId) -> Vec<ImportId> {
        self.lock().newest.get(&owner).cloned().unwrap_or_default()
    }

    /// Inserts or replaces an import of a user who is asked for here, that another replica watches or has changed. `known`
    /// is what was here before it was read. Returns false, without a change, if that has changed or is watched here by now.
    pub fn follow(&self, snapshot: Snapshot, known: Option<&Arc<Snapshot>>) -> bool {
        let key = (snapshot.row.owner, snapshot.row.id);
        let (is_final, is_over) = (snapshot.state().is_final(), snapshot.row.finished_at.is_some());
        let mut inner = self.lock();
        if inner.deleted.contains(&key.1) || !self.owners.contains(key.0) {
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
        if is_final && known.is_some() {
            self.ended.notify_one();
        }
        true
    }

    /// The watchers of the imports of `owner` are asked what only they know: what is in memory of it may be old.
    pub fn expect_told(&self, owner: UserId) {
        let mut inner = self.lock();
        let keys: Vec<_> = inner.imports_of(Some(owner)).map(|(key, _)| *key).collect();
        inner.untold.extend(keys);
    }

    /// The watcher of an import has told what only it knows.
    pub fn set_told(&self, owner: UserId, id: ImportId) {
        if self.lock().untold.remove(&(owner, id)) {
            self.told.notify_waiters();
        }
    }

    /// Waits until the watchers of all unfinished imports of `owner` have told what only they know.
    pub async fn until_told(&self, owner: UserId) {
        loop {
            // Before the look, so that no word in between is missed.
            let told = self.told.notified();
            if self.is_told(owner) {
                return;
            }
            told.await;
        }
    }

    pub(super) fn is_told(&self, owner: UserId) -> bool {
        let inner = self.lock();
        inner.imports_of(Some(owner)).all(|(key, import)| {
            !inner.untold.contains(key) || import.state().is_final() || inner.watched.contains_key(&key.1)
        })
    }

    /// Adds to an import that is watched here what the database and another replica know of it. `known` is what was here
    /// before it was read. Returns false, without a change, if what is read of it has changed here since.
    pub fn join_row(
        &self,
        recorded: &Snapshot,
        known: Option<&Arc<Snapshot>>,
        told: Option<&Unrecorded>,
    ) -> bool {
        let row = &recorded.row;
        let mut inner = self.lock();
        let Some(now) = inner.imports.get_mut(&(row.owner, row.id)) else { return true };
        let is_as_known = known.is_some_and(|known| {
            Arc::ptr_eq(&known.retries, &now.retries) && known.row.parent == now.row.parent
        });
        if !is_as_known {
            return false;
        }
        let now = Arc::make_mut(now);
        let is_unsent = now.row.sent_at.or(row.sent_at).is_none();
        let own = now.row_mut();
        own.cancel_requested_at = own.cancel_requested_at.or(row.cancel_requested_at);
        own.parent.clone_from(&row.parent);
        now.retries = Arc::clone(&recorded.retries);
        // The leader sends the event, and knows why it cannot.
        if let Some(told) = told.filter(|_| is_unsent) {
            now.outage = told.outage();
        }
        drop(inner);
        self.waiters.wake(row.id);
        true
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
        // Last: those who waited for it see it.
        self.set_told(owner, id);
    }

    fn change_quietly(&self, owner: UserId, id: ImportId, change: impl FnOnce(&mut Snapshot)) {
        let mut inner = self.lock();
        let Some(snapshot) = inner.imports.get_mut(&(owner, id)) else { return };
        change(Arc::make_mut(snapshot));
        drop(inner);
        self.waiters.wake(id);
    }

    /// Inserts or replaces an import that is watched here from now on. A former watch of it here ends. `lease` is the one
    /// that it was recorded with.
    pub fn begin_watch(
        &self,
        import: Snapshot,
        lease: Option<Arc<str>>,
        parent: &CancellationToken,
    ) -> BegunWatch {
        let id = import.row.id;
        let mut inner = self.lock();
        if lease != inner.lease || lease.is_none() && !self.bus.is_alone() {
            // That one may have changed it since.
            return BegunWatch::LeftToAnother;
        }
        // Both at once: what is not watched may be forgotten at any time.
        if !inner.put(import) {
            return BegunWatch::Deleted;
        }
        let token = parent.child_token();
        let former = inner.watched.insert(id, OwnWatch { lease, ending: token.clone() });
        drop(inner);
        if let Some(former) = former {
            former.ending.cancel();
        }
        self.waiters.wake(id);
        BegunWatch::Here(token)
    }

    /// Those of these imports that are watched here, and the leases that their watches belong to.
    pub fn leases_of(&self, imports: &[ImportId]) -> Vec<(ImportId, Option<Arc<str>>)> {
        let inner = self.lock();
        let lease = |id: &ImportId| Some((*id, inner.watched.get(id)?.lease.clone()));
        imports.iter().filter_map(lease).collect()
    }

    /// Ends the watch of an import that another replica watches by now, unless another one has begun here since, which
    /// belongs to another lease.
    pub fn lose_watch(&self, id: ImportId, lease: Option<&str>) {
        let mut inner = self.lock();
        if inner.watched.get(&id).is_some_and(|watch| watch.lease.as_deref() == lease)
            && let Some(watch) = inner.watched.remove(&id)
        {
            watch.ending.cancel();
        }
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

    /// The imports of `owner`, or all, that are watched here.
    pub fn watched(&self, owner: Option<UserId>) -> Vec<(UserId, ImportId)> {
        let inner = self.lock();
        inner
            .imports_of(owner)
            .map(|(key, _)| *key)
            .filter(|(_, id)| inner.watched.contains_key(id))
            .collect()
    }

    /// Tells what only this replica knows of those of these imports that it watches. None of them changes meanwhile, so
    /// that the last word about each is the newest.
    pub fn tell_watched(&self, keys: &[(UserId, ImportId)]) {
        let inner = self.lock();
        let watched = keys.iter().filter(|(_, id)| inner.watched.contains_key(id));
        for import in watched.filter_map(|key| inner.imports.get(key)) {
            told::unrecorded(&self.bus, import);
        }
    }

    /// The imports of `owner`, or all, that are in memory.
    pub fn keys(&self, owner: Option<UserId>) -> Vec<(UserId, ImportId)> {
        self.lock().imports_of(owner).map(|(key, _)| *key).collect()
    }
}
