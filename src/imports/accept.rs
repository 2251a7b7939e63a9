//! Accepts uploads and addresses: stores the file, and records the import with its event.

use std::{io, sync::Arc, time::Duration};

use super::{FileName, Imports, Snapshot, watch::Begin};
use crate::{
    base::{
        ids::{ImportId, RunId, TokenId, UserId},
        time::UnixMillis,
    },
    csv::{AboutFile, Choices},
    files::{Address, Incoming, Key},
    inngest::EventSeed,
    progress::Subscription,
    store::{
        self,
        idempotency::{EarlierAnswer, IdempotencyKey, KeyedRequest},
        imports::{ImportRow, Relative, SourceUrl},
        record::{NewImport, Recording},
    },
};

/// How long an import is held.
pub const HELD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Why an upload could not be recorded. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("the file could not be stored: {0}")]
    Storage(#[from] io::Error),
    #[error("{0}")]
    Store(#[from] store::Error),
    /// Another request was sent with the same key.
    #[error("the key was used for another request")]
    KeyUsed,
}

/// An upload that was received whole.
#[derive(Debug)]
pub struct Upload {
    pub file_name: FileName,
    pub receiving_at: UnixMillis,
    pub file: Incoming,
}

/// When an import starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    #[default]
    AtOnce,
    /// When its owner, who looks at it first, starts it.
    OnRequest,
}

/// How a new import is made.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// How its file is read.
    pub choices: Choices,
    pub start: Start,
    /// The request that makes it, if that may be sent again and must not make a second one.
    pub request: Option<KeyedRequest>,
    /// The token that the request is made with; None: a person makes it.
    pub token: Option<TokenId>,
}

/// An import that a request has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub id: ImportId,
    /// False if an earlier request has made it.
    pub is_new: bool,
}

/// An import to record.
pub(super) struct New {
    pub(super) id: ImportId,
    pub(super) owner: UserId,
    pub(super) file_name: FileName,
    pub(super) has_chosen_name: bool,
    pub(super) receiving_at: UnixMillis,
    pub(super) bytes: Bytes,
    /// What is known of these bytes.
    pub(super) about: Option<AboutFile>,
    pub(super) options: ImportOptions,
    pub(super) parent: Option<Relative>,
}

/// Where the bytes of a new import are.
pub(super) enum Bytes {
    /// Stored as the import's upload, with this size.
    Here(u64),
    /// At an address, from which the function fetches them.
    At(SourceUrl),
    /// The failed records of a run, with this size, which the function copies.
    FailedRowsOf(RunId, u64),
}

impl Imports {
    /// Accepts an upload: stores the file, records the import with its event, and has the event sent, now or when
    /// its owner starts it.
    pub async fn accept(
        &self,
        owner: UserId,
        upload: Upload,
        options: ImportOptions,
    ) -> Result<Accepted, AcceptError> {
        let Upload { file_name, receiving_at, file } = upload;
        // The file has its name since it began to arrive; the import is made now.
        let id = file.key().import().map_or_else(ImportId::generate, ImportId::made_now);
        let (about, key) = (Some(file.survey().into()), Key::upload(id));
        let bytes = self.stored(id, file.keep_as(&key)).await?;
        let (has_chosen_name, parent) = (true, None);
        self.record(New {
            id,
            owner,
            file_name,
            has_chosen_name,
            receiving_at,
            bytes,
            about,
            options,
            parent,
        })
        .await
    }

    /// Accepts an address, from which the function fetches the file. Without a `name` it has the one that the
    /// address or its server gives.
    pub async fn accept_address(
        &self,
        owner: UserId,
        address: &Address,
        name: Option<FileName>,
        options: ImportOptions,
    ) -> Result<Accepted, AcceptError> {
        let (receiving_at, id) = (UnixMillis::now(), ImportId::generate());
        let has_chosen_name = name.is_some();
        let file_name = name.unwrap_or_else(|| FileName::from(address));
        let bytes = Bytes::At(SourceUrl::from(address.url().to_string()));
        let (about, parent) = (None, None);
        self.record(New {
            id,
            owner,
            file_name,
            has_chosen_name,
            receiving_at,
            bytes,
            about,
            options,
            parent,
        })
        .await
    }

    /// What an earlier request of `owner` with this key has made.
    pub async fn earlier_answer(
        &self,
        owner: UserId,
        key: &IdempotencyKey,
    ) -> Result<Option<EarlierAnswer<ImportId>>, store::Error> {
        self.shared.store.earlier_answer(owner, key, UnixMillis::now()).await
    }

    /// Forgets the keys of old requests. Returns how many.
    pub async fn forget_answers(&self, now: UnixMillis) -> Result<u64, store::Error> {
        self.shared.store.forget_answers(now).await
    }

    /// Stores the upload of `id`, before it is recorded.
    pub(super) async fn stored(
        &self,
        id: ImportId,
        storing: impl Future<Output = io::Result<u64>>,
    ) -> io::Result<Bytes> {
        self.shared.storage.record_soon(id).await?;
        let stored = storing.await;
        if stored.is_err() {
            self.shared.storage.recorded(id).await;
        }
        stored.map(Bytes::Here)
    }

    /// Removes the upload of an import that was not recorded.
    pub(super) async fn discard(&self, id: ImportId) -> io::Result<()> {
        self.shared.storage.remove(&Key::upload(id)).await?;
        self.shared.storage.recorded(id).await;
        Ok(())
    }

    /// Records an import with its event, and has the event sent; a held import has none yet. If another request
    /// has recorded the same retry, or was sent with the same key, the result is its import, and the file of this
    /// one is removed.
    pub(super) async fn record(&self, new: New) -> Result<Accepted, AcceptError> {
        let New { id, owner, file_name, has_chosen_name, receiving_at, bytes, about, options, parent } = new;
        let ImportOptions { choices, start, request, token } = options;
        let now = UnixMillis::now();
        let seed = EventSeed::generate();
        let (size_bytes, source_url, failed_rows_of) = match bytes {
            Bytes::Here(size) => (size, None, None),
            Bytes::At(address) => (0, Some(address), None),
            Bytes::FailedRowsOf(run, size) => (size, None, Some(run)),
        };
        let import = ImportRow {
            id,
            owner,
            file_name: file_name.to_string(),
            has_chosen_name,
            size_bytes,
            source_url,
            failed_rows_of,
            receiving_at,
            // The time that lists are narrowed by.
            received_at: id.made_at(),
            event_id: seed.event_id(0),
            sent_at: None,
            refused: None,
            cancel_requested_at: None,
            finished_at: None,
            held_until: (start == Start::OnRequest).then(|| now.plus(HELD_FOR)),
            choices,
            parent,
        };
        let event = (start == Start::AtOnce).then(|| self.shared.event_of(&import, &seed, now));
        // A separate task, which completes even if the client hangs up: a recorded import must be watched and
        // its event sent.
        let imports = self.clone();
        // Subscribed before the write: the event may be sent, and its run begin, before this task continues.
        let news = self.shared.progress.watch(&import.event_id);
        let lease = self.shared.store.replica();
        let recorded = self.shared.tasks.spawn(store::as_here(async move {
            let new = NewImport {
                import: &import,
                event: event.as_ref(),
                about: about.as_ref(),
                request: request.as_ref(),
                token,
                watcher: lease.as_deref(),
            };
            let recording = match imports.shared.store.create_import(new).await {
                Ok(recording) => recording,
                Err(store::Error::InDoubt(error)) => {
                    imports.shared.tasks.spawn(imports.clone().settle(import, news, lease));
                    return Err(AcceptError::Store(store::Error::InDoubt(error)));
                }
                Err(error) => {
                    imports.discard(id).await?;
                    return Err(error.into());
                }
            };
            let accepted = match recording {
                Recording::Done => {
                    imports.begin(import, news, lease).await;
                    return Ok(Accepted { id, is_new: true });
                }
                Recording::RetriedBefore(id) => Ok(Accepted { id, is_new: false }),
                Recording::AnsweredBefore(earlier) => again(&earlier, request.as_ref()),
            };
            if let Err(error) = imports.discard(id).await {
                // The next start moves it to the quarantine; from a bucket a sweep deletes it.
                tracing::warn!(import = %id, %error, "cannot remove the file of a duplicate import");
            }
            accepted
        }));
        recorded.await.map_err(|error| AcceptError::Storage(io::Error::other(error)))?
    }

    /// Watches an import that was just recorded with `lease`, and has its event sent, unless it is held.
    pub(super) async fn begin(&self, import: ImportRow, news: Subscription, lease: Option<Arc<str>>) {
        self.shared.storage.recorded(import.id).await;
        if import.held_until.is_some() {
            return;
        }
        self.show_retry(&import);
        self.watch(Snapshot::new(import, Vec::new()), news, Begin::New, lease);
        self.shared.outbox.notify_one();
    }
}

/// The result of a request that was sent again, unless another one was sent with its key.
pub(super) fn again(
    earlier: &EarlierAnswer<ImportId>,
    request: Option<&KeyedRequest>,
) -> Result<Accepted, AcceptError> {
    if request.is_some_and(|request| request.hash == earlier.hash) {
        Ok(Accepted { id: earlier.made, is_new: false })
    } else {
        Err(AcceptError::KeyUsed)
    }
}
