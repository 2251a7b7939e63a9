//! Running an import again: a new import of the same bytes, or of its failed records.
//!
//! However often and at once it is asked for, a parent has one retry of each kind; to run that once
//! more, one runs the retry again.

use super::{AcceptError, Bytes, FileName, Imports, New, Snapshot};
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    files::{Incoming, Key},
    store::imports::{ImportRow, Relative, RetryOf},
};

impl Imports {
    /// Runs all of `parent` again. Returns the retry, be it new or not.
    pub async fn retry_all(&self, parent: &Snapshot) -> Result<ImportId, AcceptError> {
        let (id, began) = (ImportId::generate(), UnixMillis::now());
        let address = self.shared.store.import(parent.id).await?.and_then(|parent| parent.source_url);
        let stored = match &address {
            None => Some(Key::upload(parent.id)),
            // The bytes that were read, not what lies there now; if they ever arrived whole.
            Some(_) => self.fetched_copy(parent).await?,
        };
        let bytes = match (stored, address) {
            (None, Some(address)) => Bytes::At(address),
            (stored, _) => {
                let original = stored.unwrap_or_else(|| Key::upload(parent.id));
                self.stored(id, self.shared.storage.duplicate(&original, &Key::upload(id))).await?
            }
        };
        self.record_retry(parent, RetryOf::All, id, bytes, began).await
    }

    /// The copy that our function made of what lay at the address of `import`.
    async fn fetched_copy(&self, import: &Snapshot) -> Result<Option<Key>, AcceptError> {
        for run in import.runs.iter().filter(|run| run.call.is_some()) {
            let steps = self.shared.store.steps(&run.run_id).await?;
            if let Some(copy) = steps.into_iter().find_map(|step| step.files.source) {
                return Ok(Some(Key::from_stored(copy)));
            }
        }
        Ok(None)
    }

    /// Runs the failed records of `parent` again: `file` holds them behind their header. Returns the
    /// retry, be it new or not.
    pub async fn retry_failed(&self, parent: &Snapshot, file: Incoming) -> Result<ImportId, AcceptError> {
        let (id, began) = (ImportId::generate(), UnixMillis::now());
        let bytes = self.stored(id, file.keep(&Key::upload(id))).await?;
        self.record_retry(parent, RetryOf::Failed, id, bytes, began).await
    }

    async fn record_retry(
        &self,
        parent: &Snapshot,
        retry_of: RetryOf,
        id: ImportId,
        bytes: Bytes,
        receiving_at: UnixMillis,
    ) -> Result<ImportId, AcceptError> {
        let mut file_name = FileName::from_client(&parent.file_name);
        if retry_of == RetryOf::Failed {
            file_name = file_name.of_failed_records();
        }
        let relative = Relative { id: parent.id, file_name: parent.file_name.clone(), retry_of };
        let owner = parent.owner;
        self.record(New { id, owner, file_name, receiving_at, bytes, parent: Some(relative) }).await
    }

    /// Makes a retry known to its parent, where that is in memory.
    pub(super) fn show_retry(&self, retry: &ImportRow) {
        let Some(Relative { id: parent, retry_of, .. }) = retry.parent else { return };
        let relative = Relative { id: retry.id, file_name: retry.file_name.clone(), retry_of };
        self.shared.board.change(retry.owner, parent, |parent| parent.retries.push(relative));
    }
}
