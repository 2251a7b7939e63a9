//! Deleting an import with its files.

use tokio::task::JoinError;

use super::{Imports, Owned};
use crate::{
    files::Key,
    progress::News,
    store::{self, delete::Deleted},
};

/// The outcome of a request to delete an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Done,
    /// It is still going on, and is as it was.
    NotOver,
    /// It was cancelled, and a run of it may still come and has to be: the engine has not said otherwise.
    StillCancelling,
    /// It was deleted since it was found.
    NotThere,
}

/// Why an import could not be deleted; perhaps it was.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("{0}")]
    Store(#[from] store::Error),
    #[error("deleting was interrupted: {0}")]
    BrokenOff(#[from] JoinError),
}

impl Imports {
    /// Deletes an import that is over, with all that is stored of it. First what is known of it, then the
    /// files: a later start moves to the quarantine what is left of them after a crash.
    pub async fn delete(&self, found: &Owned) -> Result<Deletion, DeleteError> {
        let (owner, id) = (found.row.owner, found.row.id);
        // It may have been reopened since.
        let Some(import) = self.get(owner, id).await? else { return Ok(Deletion::NotThere) };
        if !import.state().is_final() {
            return Ok(Deletion::NotOver);
        }
        // A task of its own, so that it ends although the client hangs up: an import that is gone from the
        // database must leave the memory.
        let shared = self.shared.clone();
        let deleting = self.shared.tasks.spawn(store::as_here(async move {
            let remains = match shared.store.delete_import(id).await? {
                Deleted::Gone(remains) => remains,
                // A run came late, and the memory has yet to hear of it.
                Deleted::NotOver => return Ok(Deletion::NotOver),
                Deleted::StillCancelling => return Ok(Deletion::StillCancelling),
                Deleted::NotThere => return Ok(Deletion::NotThere),
            };
            shared.snapshots.delete(owner, id);
            // Its watch, if it has one still, ends as it finds nothing to watch.
            shared.progress.tell(&import.row.event_id, News::Look);
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
                // The next start finds no file of it.
                tracing::warn!(import = %id, %error, "a deletion could not be marked as finished");
            }
            Ok(Deletion::Done)
        }));
        deleting.await?
    }
}
