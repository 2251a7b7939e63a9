//! Runs an import again: a new import of the same bytes, which may be read differently, or of its failed records.
//!
//! However often and concurrently it is requested, a parent has at most one retry of each kind and with the same
//! choices. To run that once more, people run the retry again.

use std::{io, sync::Arc};

use super::{
    AcceptError, Accepted, FileName, ImportOptions, ImportState, Imports, Owned, Snapshot,
    accept::{Bytes, New, again},
    told,
};
use crate::{
    base::{
        ids::{ImportId, RunId, UserId},
        time::UnixMillis,
    },
    csv::AboutFile,
    files::Key,
    results::outputs,
    store::{
        self,
        idempotency::KeyedRequest,
        imports::{ImportRow, Relative, RetryOf},
        quota::{OverQuota, Reservation},
    },
};

/// Why an import was not run again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("it has not ended")]
    StillGoing,
    #[error("it is held")]
    NotStarted,
    #[error("failed records cannot be read differently")]
    ReadAsBefore,
    #[error("it has no failed records")]
    NothingFailed,
    #[error("it was deleted")]
    Deleted,
    /// Another request was sent with the same key.
    #[error("the key was used for another request")]
    KeyUsed,
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    /// Its file is no longer stored.
    #[error("its file is missing: {0}")]
    FileMissing(#[source] io::Error),
    #[error("a file of it could not be read: {0}")]
    Storage(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<AcceptError> for RetryError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Storage(error) => Self::Storage(error),
            AcceptError::Store(error) => Self::Store(error),
            AcceptError::KeyUsed => Self::KeyUsed,
        }
    }
}

impl Imports {
    /// Runs all of `parent` again, or its failed records, as `options` say, and cancels what is left of `parent`.
    /// Returns the retry, whether it is new or not.
    pub async fn run_again(
        &self,
        parent: &Owned,
        kind: RetryOf,
        options: ImportOptions,
    ) -> Result<Accepted, RetryError> {
        let owner = parent.row.owner;
        let (request, choices) = (options.request.as_ref(), &options.choices);
        if let Some(request) = request
            && let Some(earlier) = self.earlier_answer(owner, &request.key).await?
        {
            return Ok(again(&earlier, Some(request))?);
        }
        let is_of_failed = kind == RetryOf::Failed || parent.row.failed_rows_of.is_some();
        if is_of_failed && !choices.is_empty() {
            return Err(RetryError::ReadAsBefore);
        }
        if parent.state() == ImportState::Held {
            return Err(RetryError::NotStarted);
        }
        let may_run_again = kind == RetryOf::All && parent.may_run_again(UnixMillis::now());
        let retry = match parent.retry(kind, choices) {
            Some(retry) => self.answer_with(owner, retry.id, request).await?,
            // Which records have failed is known only at the end.
            None if !parent.state().is_final() && !may_run_again => return Err(RetryError::StillGoing),
            None => match self.make_retry(parent, kind, options).await {
                // The import may be deleted in the meantime, its record before its files. An error is then
                // expected.
                Err(error) if self.shared.store.import(parent.row.id).await?.is_none() => {
                    tracing::warn!(import = %parent.row.id, ?error, "the import was deleted while its re-run was being made");
                    return Err(RetryError::Deleted);
                }
                Err(RetryError::Storage(error)) if error.kind() == io::ErrorKind::NotFound => {
                    tracing::error!(import = %parent.row.id, ?error, "the file to be run again is missing");
                    return Err(RetryError::FileMissing(error));
                }
                made => made?,
            },
        };
        // The parent must not run beside its retry if it comes to life. (The second of two requests repeats this.
        // It does not change an import that is over.)
        self.cancel(parent).await?;
        Ok(retry)
    }

    /// Answers `request` with an existing import.
    async fn answer_with(
        &self,
        owner: UserId,
        id: ImportId,
        request: Option<&KeyedRequest>,
    ) -> Result<Accepted, RetryError> {
        let Some(request) = request else { return Ok(Accepted { id, is_new: false }) };
        match self.shared.store.save_answer(owner, request, id, UnixMillis::now()).await? {
            None => Ok(Accepted { id, is_new: false }),
            Some(earlier) => Ok(again(&earlier, Some(request))?),
        }
    }

    async fn make_retry(
        &self,
        parent: &Owned,
        kind: RetryOf,
        options: ImportOptions,
    ) -> Result<Accepted, RetryError> {
        match kind {
            RetryOf::All => {
                let _reservation = self.reserve_for_retry(parent, parent.row.size_bytes).await?;
                self.retry_all(parent, options).await
            }
            RetryOf::Failed => {
                // Runs of other people's functions leave no records here.
                let run = parent.runs.iter().find(|run| run.is_ours()).ok_or(RetryError::NothingFailed)?;
                let records = outputs::failed_records(&self.shared.store, &run.row.run_id).await?;
                let size = records.ok_or(RetryError::NothingFailed)?.size(&self.shared.storage).await?;
                let _reservation = self.reserve_for_retry(parent, size).await?;
                self.retry_failed(parent, &run.row.run_id, size, options).await
            }
        }
    }

    /// To be held until the retry is recorded. Later each step reserves what it writes.
    async fn reserve_for_retry(&self, parent: &Owned, bytes: u64) -> Result<Reservation, RetryError> {
        Ok(self.shared.quota.reserve(parent.row.owner, bytes).await??)
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

    /// Runs all of `parent` again. Returns the retry, whether it is new or not.
    async fn retry_all(&self, parent: &Owned, options: ImportOptions) -> Result<Accepted, RetryError> {
        let (began, id) = (UnixMillis::now(), ImportId::generate());
        let choices = options.choices.clone();
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
        let retry = self.record_retry(parent, RetryOf::All, id, (bytes, about), began, options).await?;
        self.remember_retry(parent, &choices).await;
        Ok(retry)
    }

    /// Runs the failed records of `run`, a run of `parent`, again: `size` bytes with their header, which the
    /// function copies. Returns the retry, whether it is new or not.
    async fn retry_failed(
        &self,
        parent: &Owned,
        run: &RunId,
        size: u64,
        options: ImportOptions,
    ) -> Result<Accepted, RetryError> {
        let (began, id) = (UnixMillis::now(), ImportId::generate());
        let bytes = Bytes::FailedRowsOf(run.clone(), size);
        self.record_retry(parent, RetryOf::Failed, id, (bytes, None), began, options).await
    }

    async fn record_retry(
        &self,
        parent: &Snapshot,
        retry_of: RetryOf,
        id: ImportId,
        (bytes, about): (Bytes, Option<AboutFile>),
        receiving_at: UnixMillis,
        options: ImportOptions,
    ) -> Result<Accepted, RetryError> {
        let mut file_name = FileName::from_client(parent.file_name());
        if retry_of == RetryOf::Failed {
            file_name = file_name.of_failed_records();
        }
        let of = parent.file_name().to_owned();
        let choices = options.choices.clone();
        let relative = Relative { id: parent.row.id, file_name: of, retry_of, choices };
        let (owner, has_chosen_name) = (parent.row.owner, parent.row.has_chosen_name);
        let parent = Some(relative);
        let new = New { id, owner, file_name, has_chosen_name, receiving_at, bytes, about, options, parent };
        Ok(self.record(new).await?)
    }

    /// Adds a retry to its parent, wherever that is in memory.
    pub(super) fn show_retry(&self, retry: &ImportRow) {
        let Some(parent) = &retry.parent else { return };
        let relative = Relative { id: retry.id, file_name: retry.file_name.clone(), ..parent.clone() };
        let is_known = self.shared.snapshots.change(retry.owner, parent.id, |parent| {
            Arc::make_mut(&mut parent.retries).push(relative);
        });
        if is_known.is_none() {
            told::recorded(self.shared.replicas.bus(), retry.owner, parent.id);
        }
    }
}
