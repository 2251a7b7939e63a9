//! An import that its owner has asked for.

use std::ops::Deref;

use super::{Imports, Snapshot};
use crate::{
    base::ids::{ImportId, UserId},
    store,
};

/// An import as its owner has found it. Only [`Imports::get`] makes one, and what acts on an import takes one: no
/// caller can act on an import without the check of its owner.
#[derive(Clone, Debug)]
pub struct Owned(Snapshot);

impl Owned {
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
    /// An import of `owner` as it is now; nobody else's.
    pub async fn get(&self, owner: UserId, id: ImportId) -> Result<Option<Owned>, store::Error> {
        if let Some(recorded) = self.shared.snapshots.get(owner, id) {
            return Ok(Some(Owned(recorded.with_progress(&self.shared.progress))));
        }
        Ok(self.recall(owner, &[id]).await?.pop().map(Owned))
    }
}
