//! An import that its owner has requested.

use std::ops::Deref;

use super::{Accepted, Imports, Snapshot};
use crate::{
    base::ids::{ImportId, UserId},
    store,
};

/// An import together with the proof of its owner. Only [`Imports::get`] and [`Imports::older_than`] create one, and
/// all actions on an import require one, so that no caller can act on an import without the check of its owner.
#[derive(Clone, Debug)]
pub struct Owned(Snapshot);

impl Owned {
    /// An import that was searched for among those of its owner.
    pub(super) fn found(import: Snapshot) -> Self {
        Self(import)
    }

    #[must_use]
    pub fn into_snapshot(self) -> Snapshot {
        self.0
    }
}

impl Deref for Owned {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

impl Imports {
    /// The current state of an import of `owner`; None for imports of other users.
    pub async fn get(&self, owner: UserId, id: ImportId) -> Result<Option<Owned>, store::Error> {
        let _asked = self.shared.snapshots.fresh(owner, Some(id)).await?;
        if let Some(recorded) = self.shared.snapshots.get(owner, id) {
            return Ok(Some(Owned(recorded.with_progress(&self.shared.progress))));
        }
        Ok(self.recall(owner, &[id]).await?.pop().map(Owned))
    }

    /// An import of `owner` whose end is recorded, for those who tell it; None while it is watched. Read from the
    /// database, because what is in memory follows a commit a moment later.
    pub async fn recorded_end(&self, owner: UserId, id: ImportId) -> Result<Option<Owned>, store::Error> {
        let store = &self.shared.store;
        let row = store.import(id).await?;
        let row = row.filter(|import| import.owner == owner && import.finished_at.is_some());
        let import = Snapshot::load(store, row.into_iter().collect()).await?.pop();
        Ok(import.filter(|import| import.state().is_final()).map(Owned))
    }

    /// The import that a request of `owner` has made; None if it was deleted in the meantime.
    pub async fn made(&self, owner: UserId, accepted: Accepted) -> Result<Option<Owned>, store::Error> {
        self.get(owner, accepted.id).await
    }

    /// An import as it is now; None if it was deleted in the meantime.
    pub async fn as_now(&self, known: &Owned) -> Result<Option<Owned>, store::Error> {
        self.get(known.row.owner, known.row.id).await
    }
}
