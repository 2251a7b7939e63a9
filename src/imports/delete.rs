//! Deletes an import with its files.

use std::io;

use tokio::{sync::Notify, task::JoinError};

use super::{Imports, Owned, Shared};
use crate::{
    base::ids::ImportId,
    files::Key,
    progress::News,
    store::{
        self,
        delete::{Deletable, Deleted},
        imports::ImportRow,
    },
};

/// How many deletions are read from the database at once.
const FINISHED_AT_ONCE: u32 = 100;

/// The result of a request to delete an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Done,
    /// It is not over. Nothing was changed.
    NotOver,
    /// It was cancelled, and a late run of it must still be cancelled: the engine has not ruled one out.
    StillCancelling,
    /// It was deleted in the meantime.
    NotThere,
}

/// Why an import could not be deleted. It may have been deleted nevertheless.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("{0}")]
    Store(#[from] store::Error),
    #[error("deleting was interrupted: {0}")]
    BrokenOff(#[from] JoinError),
}

/// Why files of deleted imports are left.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    #[error("{0}")]
    Store(#[from] store::Error),
    #[error("a file could not be removed: {0}")]
    Storage(#[from] io::Error),
}

impl Imports {
    /// Deletes an import that is over, with everything stored about it: first its rows, then its files. After
    /// a crash, the next start quarantines the remaining files. Those of a bucket are left to
    /// [`finish_deletions`](Self::finish_deletions).
    pub async fn delete(&self, found: &Owned) -> Result<Deletion, DeleteError> {
        // It may have been reopened in the meantime.
        let Some(import) = self.get(found.row.owner, found.row.id).await? else {
            return Ok(Deletion::NotThere);
        };
        if !import.state().is_final() {
            return Ok(Deletion::NotOver);
        }
        self.delete_if((*import.row).clone(), Deletable::Ended).await
    }

    /// Deletes an import if that is allowed now.
    pub(super) async fn delete_if(
        &self,
        import: ImportRow,
        deletable: Deletable,
    ) -> Result<Deletion, DeleteError> {
        let (owner, id) = (import.owner, import.id);
        // A separate task, which completes even if the client hangs up: an import that is gone from the
        // database must also leave the cache.
        let shared = self.shared.clone();
        let deleting = self.shared.tasks.spawn(store::as_here(async move {
            let remains = match shared.store.delete_import(id, deletable).await? {
                Deleted::Gone(remains) => remains,
                // A late run has arrived that the cache does not contain yet, or a held import has started.
                Deleted::NotOver => return Ok(Deletion::NotOver),
                Deleted::StillCancelling => return Ok(Deletion::StillCancelling),
                Deleted::NotThere => return Ok(Deletion::NotThere),
            };
            shared.snapshots.delete(owner, id);
            // A watcher that still exists ends, because it finds no import.
            shared.progress.tell(&import.event_id, News::Look);
            for run in &remains.runs {
                shared.progress.forget(run);
            }
            if shared.storage.bucket().is_some() {
                // They may be thousands of requests, to a server that may not answer.
                shared.files_to_delete.notify_one();
            } else if let Err(error) = shared.finish_deletion(id, remains.files).await {
                // The next start removes what is left.
                tracing::warn!(import = %id, "a deletion could not be finished: {error}");
            }
            Ok(Deletion::Done)
        }));
        deleting.await?
    }

    /// Notified when the files of a deleted import must be removed from the bucket.
    #[must_use]
    pub fn files_to_delete(&self) -> &Notify {
        &self.shared.files_to_delete
    }

    /// Removes the files of all deleted imports that are left in the bucket. If some cannot be removed, goes on with the
    /// others, unless the bucket does not answer. To be repeated after an error, which is the first one.
    pub async fn finish_deletions(&self) -> Result<(), FinishError> {
        let (mut last, mut first) = (ImportId::MIN, Ok(()));
        loop {
            let some = self.shared.store.unfinished_deletions_after(last, FINISHED_AT_ONCE).await?;
            let Some(end) = some.last().map(|(import, _)| *import) else { return first };
            for (import, files) in some {
                let finished = self.shared.finish_deletion(import, files).await;
                let has_failed = finished.is_err();
                first = first.and(finished);
                if has_failed
                    && let Some(bucket) = self.shared.storage.bucket()
                    && bucket.installation().await.is_err()
                {
                    return first;
                }
            }
            last = end;
        }
    }
}

impl Shared {
    /// Removes the files of a deleted import: its upload, and the outputs `files`.
    async fn finish_deletion(&self, import: ImportId, files: Vec<String>) -> Result<(), FinishError> {
        let outputs = files.into_iter().map(Key::from_stored);
        self.storage.remove_all(outputs.chain([Key::upload(import)]).collect()).await?;
        Ok(self.store.finish_deletion(import).await?)
    }
}
