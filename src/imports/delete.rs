//! Deletes an import with its files.

use tokio::task::JoinError;

use super::{Imports, Owned};
use crate::{
    files::Key,
    progress::News,
    store::{
        self,
        delete::{Deletable, Deleted},
        imports::ImportRow,
    },
};

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

impl Imports {
    /// Deletes an import that is over, with everything stored about it: first its rows, then its files. After
    /// a crash, the next start quarantines the remaining files.
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
            let outputs = remains.files.into_iter().map(Key::from_stored);
            let mut is_finished = true;
            for key in outputs.chain([Key::upload(id)]) {
                if let Err(error) = shared.storage.remove(&key).await {
                    is_finished = false;
                    tracing::warn!(import = %id, %error, "a file of a deleted import could not be removed");
                }
            }
            if is_finished && let Err(error) = shared.store.finish_deletion(id).await {
                // The next start finds no files of it.
                tracing::warn!(import = %id, %error, "a deletion could not be marked as finished");
            }
            Ok(Deletion::Done)
        }));
        deleting.await?
    }
}
