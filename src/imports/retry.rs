//! Runs an import again: a new import of the same bytes, which may be read differently, or of its failed records.
//!
//! However often and concurrently it is requested, a parent has at most one retry of each kind and with the same
//! choices. To run that once more, people run the retry again.

use std::sync::Arc;

use super::{AcceptError, Bytes, FileName, Imports, New, Owned, Snapshot, Start};
use crate::{
    base::{
        ids::{ImportId, RunId},
        time::UnixMillis,
    },
    csv::{AboutFile, Choices},
    files::Key,
    results::outputs,
    store::{
        self,
        imports::{ImportRow, Relative, RetryOf},
    },
};

impl Imports {
    /// Whether an import was deleted in the meantime.
    pub async fn is_deleted(&self, import: &Owned) -> Result<bool, store::Error> {
        Ok(self.shared.store.import(import.row.id).await?.is_none())
    }

    /// The stored file of an import, and what is known of it: its upload, or what its function has copied. None if
    /// it is not stored (yet).
    pub async fn stored_file(&self, import: &Owned) -> Result<Option<(Key, AboutFile)>, store::Error> {
        let (row, store) = (&import.row, &self.shared.store);
        if row.source_url.is_none() && row.failed_rows_of.is_none() {
            return Ok(Some((Key::upload(row.id), store.about_file(row.id).await?)));
        }
        let copy = store.source_copy(row.id).await?;
        Ok(copy.map(|(file, about)| (Key::from_stored(file), about)))
    }

    /// Runs all of `parent` again, read as `choices` say. Returns the retry, whether it is new or not.
    pub async fn retry_all(&self, parent: &Owned, choices: Choices) -> Result<ImportId, AcceptError> {
        let (id, began) = (ImportId::generate(), UnixMillis::now());
        let original = &parent.row;
        // The bytes that were read, not the current file at the address, unless they never arrived whole. Failed
        // records are copied from their run again, which also says how they are read. If it was deleted, the copy
        // of this import's run is taken, and read as that was.
        let stored = match &original.failed_rows_of {
            Some(run) if outputs::failed_records(&self.shared.store, run).await?.is_some() => None,
            _ => self.stored_file(parent).await?,
        };
        let (bytes, about) = match (stored, &original.source_url, &original.failed_rows_of) {
            (None, Some(address), _) => (Bytes::At(address.clone()), None),
            (None, None, Some(run)) => (Bytes::FailedRowsOf(run.clone(), original.size_bytes), None),
            (stored, ..) => {
                let (stored, mut about) =
                    stored.unwrap_or_else(|| (Key::upload(original.id), AboutFile::default()));
                // A choice comes before what was chosen or found earlier.
                about.read_before = about.read_before.filter(|_| choices.is_empty());
                let upload = Key::upload(id);
                let copied = self.shared.storage.duplicate(&stored, &upload);
                (self.stored(id, copied).await?, Some(about))
            }
        };
        let kind = (RetryOf::All, choices.clone());
        let retry = self.record_retry(parent, kind, id, (bytes, about), began).await?;
        self.remember_retry(parent, &choices).await;
        Ok(retry)
    }

    /// Runs the failed records of `run`, a run of `parent`, again: `size` bytes with their header, which the
    /// function copies. Returns the retry, whether it is new or not.
    pub async fn retry_failed(
        &self,
        parent: &Owned,
        run: &RunId,
        size: u64,
    ) -> Result<ImportId, AcceptError> {
        let (id, began) = (ImportId::generate(), UnixMillis::now());
        let bytes = Bytes::FailedRowsOf(run.clone(), size);
        let kind = (RetryOf::Failed, Choices::default());
        self.record_retry(parent, kind, id, (bytes, None), began).await
    }

    async fn record_retry(
        &self,
        parent: &Snapshot,
        (retry_of, choices): (RetryOf, Choices),
        id: ImportId,
        (bytes, about): (Bytes, Option<AboutFile>),
        receiving_at: UnixMillis,
    ) -> Result<ImportId, AcceptError> {
        let mut file_name = FileName::from_client(parent.file_name());
        if retry_of == RetryOf::Failed {
            file_name = file_name.of_failed_records();
        }
        let of = parent.file_name().to_owned();
        let relative = Relative { id: parent.row.id, file_name: of, retry_of, choices: choices.clone() };
        let (owner, parent, start) = (parent.row.owner, Some(relative), Start::AtOnce);
        self.record(New { id, owner, file_name, receiving_at, bytes, about, choices, start, parent }).await
    }

    /// Adds a retry to its parent, if that is in the cache.
    pub(super) fn show_retry(&self, retry: &ImportRow) {
        let Some(parent) = &retry.parent else { return };
        let relative = Relative { id: retry.id, file_name: retry.file_name.clone(), ..parent.clone() };
        self.shared.snapshots.change(retry.owner, parent.id, |parent| {
            Arc::make_mut(&mut parent.retries).push(relative);
        });
    }
}
