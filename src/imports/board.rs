//! The snapshots that pages are made from, in memory.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Snapshot;
use crate::ids::{ImportId, UserId};

/// How many imports that are over stay in memory for the pages that still show them (a few KB each).
const RETIRED: usize = 1_000;

/// Keyed by owner first: whoever asks for another's import finds nothing.
#[derive(Default)]
pub struct Board {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    imports: BTreeMap<(UserId, ImportId), Arc<Snapshot>>,
    retired: VecDeque<(UserId, ImportId)>,
}

impl Board {
    pub fn get(&self, owner: UserId, id: ImportId) -> Option<Arc<Snapshot>> {
        self.lock().imports.get(&(owner, id)).cloned()
    }

    /// All that is in memory of `owner`, oldest first.
    pub fn of(&self, owner: UserId) -> Vec<Arc<Snapshot>> {
        let inner = self.lock();
        inner
            .imports
            .range((owner, ImportId::MIN)..=(owner, ImportId::MAX))
            .map(|(_, snapshot)| Arc::clone(snapshot))
            .collect()
    }

    pub fn put(&self, snapshot: Snapshot) {
        self.lock().imports.insert((snapshot.owner, snapshot.id), Arc::new(snapshot));
    }

    /// Changes one snapshot; readers see it before or after, never between. Gives the new one.
    pub fn change(
        &self,
        owner: UserId,
        id: ImportId,
        change: impl FnOnce(&mut Snapshot),
    ) -> Option<Arc<Snapshot>> {
        let mut inner = self.lock();
        let snapshot = inner.imports.get_mut(&(owner, id))?;
        change(Arc::make_mut(snapshot));
        Some(Arc::clone(snapshot))
    }

    /// The import is over: it may leave the memory once enough others are.
    pub fn retire(&self, owner: UserId, id: ImportId) {
        let mut inner = self.lock();
        inner.retired.push_back((owner, id));
        if inner.retired.len() > RETIRED
            && let Some(oldest) = inner.retired.pop_front()
        {
            inner.imports.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic of another holder leaves whole snapshots behind.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
