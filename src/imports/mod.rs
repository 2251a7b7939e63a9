//! The life of an import: [`Imports::accept`] records an upload and its event, the `outbox` sends the event,
//! and a `watch` follows the runs that it triggers until nothing more is expected.
//!
//! Pages show a [`Snapshot`]. While an import is watched, its snapshot comes from memory.

mod counts;
mod delete;
mod delete_all;
mod held;
mod history;
mod in_progress;
mod last_time;
mod late;
mod names;
mod outage;
mod outbox;
mod owned;
mod retry;
mod settle;
mod snapshot;
mod snapshot_cache;
mod watch;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::{
    delete::{DeleteError, Deletion},
    held::HELD_FOR,
    history::{Count, HistoryCursor, HistoryPage},
    in_progress::{InProgress, Seen},
    outage::{EngineOutage, OutageCause},
    owned::Owned,
    retry::RetryError,
    snapshot::{
        EnginePlan, FetchedFrom, ImportState, NextAttempt, Planned, RunReading, RunSnapshot, Snapshot,
    },
};
use self::{names::Names, snapshot_cache::SnapshotCache, watch::Begin};
pub use crate::files::FileName;
use crate::{
    base::{
        config::OutputPointers,
        ids::{EVENT_NAME, ImportId, RunId, UserId},
        tasks::Tasks,
        time::UnixMillis,
    },
    csv::{AboutFile, Choices},
    files::{Address, Incoming, Key, LinkKey, Storage},
    inngest::{Client, EventSeed, Registrar},
    progress::{News, ProgressRegistry, Subscription},
    store::{
        self, Store,
        imports::{ImportRow, Relative, SourceUrl},
        outbox::OutboxRow,
        quota::Quota,
    },
};

/// How long the outbox and the watches may take to end. Each ends at its next `await`.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// All imports. Clones share the state.
#[derive(Clone)]
pub struct Imports {
    shared: Arc<Shared>,
}

/// The dependencies of [`Imports`].
#[derive(Clone)]
pub struct Dependencies {
    pub store: Store,
    pub storage: Storage,
    pub client: Client,
    /// Registers our functions again with an engine that has forgotten them.
    pub registrar: Registrar,
    pub progress: ProgressRegistry,
    pub links: LinkKey,
    /// The address at which functions find stored files: our own, never from a request.
    pub origin: Url,
    /// Where outputs contain their counts.
    pub pointers: OutputPointers,
    /// What each user may store.
    pub quota: Quota,
}

struct Shared {
    store: Store,
    quota: Quota,
    storage: Storage,
    client: Client,
    registrar: Registrar,
    progress: ProgressRegistry,
    links: LinkKey,
    origin: Url,
    pointers: OutputPointers,
    snapshots: SnapshotCache,
    names: Names,
    outbox: Notify,
    /// The imports whose events are being sent, and how to abort that.
    sending: Mutex<HashMap<ImportId, CancellationToken>>,
    tasks: Tasks,
}

/// Why an upload could not be recorded. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("the file could not be stored: {0}")]
    Storage(#[from] io::Error),
    #[error("{0}")]
    Store(#[from] store::Error),
}

/// An upload that was received whole.
#[derive(Debug)]
pub struct Upload {
    pub file_name: FileName,
    pub receiving_at: UnixMillis,
    pub file: Incoming,
}

/// When an import starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    AtOnce,
    /// When its owner, who looks at it first, starts it.
    OnRequest,
}

/// An import to record.
struct New {
    id: ImportId,
    owner: UserId,
    file_name: FileName,
    receiving_at: UnixMillis,
    bytes: Bytes,
    /// What is known of these bytes.
    about: Option<AboutFile>,
    choices: Choices,
    start: Start,
    parent: Option<Relative>,
}

/// Where the bytes of a new import are.
enum Bytes {
    /// Stored as the import's upload, with this size.
    Here(u64),
    /// At an address, from which the function fetches them.
    At(SourceUrl),
    /// The failed records of a run, with this size, which the function copies.
    FailedRowsOf(RunId, u64),
}

impl Imports {
    #[must_use]
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies { store, storage, client, registrar, progress, links, origin, pointers, quota } =
            dependencies;
        let shared = Shared {
            store,
            quota,
            storage,
            client,
            registrar,
            progress,
            links,
            origin,
            pointers,
            snapshots: SnapshotCache::default(),
            names: Names::default(),
            outbox: Notify::new(),
            sending: Mutex::default(),
            tasks: Tasks::on_this_runtime(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Resumes the work of the last process: watches the unfinished imports and sends the unsent events.
    pub async fn start(&self, ready: impl Future<Output = ()> + Send + 'static) -> Result<(), store::Error> {
        let unfinished = self.shared.store.unfinished_imports().await?;
        for import in Snapshot::load(&self.shared.store, unfinished).await? {
            let news = self.shared.progress.watch(&import.row.event_id);
            self.watch(import, news, Begin::Recalled);
        }
        self.shared.tasks.spawn(outbox::run(Arc::clone(&self.shared), ready));
        self.shared.tasks.spawn(self.clone().take_late_runs());
        Ok(())
    }

    /// Ends the outbox and the watches, whose state is in the database. Returns how many did not end in time.
    pub async fn stop(&self) -> usize {
        self.shared.tasks.stop(STOP_GRACE).await
    }

    /// What each user may store.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.shared.quota
    }

    /// Accepts an upload: stores the file, records the import with its event, and has the event sent, now or when
    /// its owner starts it. The file is read as `choices` say.
    pub async fn accept(
        &self,
        owner: UserId,
        upload: Upload,
        choices: Choices,
        start: Start,
    ) -> Result<ImportId, AcceptError> {
        let Upload { file_name, receiving_at, file } = upload;
        let id = ImportId::generate();
        let about = Some(file.survey().into());
        let bytes = self.stored(id, file.keep(&Key::upload(id))).await?;
        let parent = None;
        self.record(New { id, owner, file_name, receiving_at, bytes, about, choices, start, parent }).await
    }

    /// Accepts an address, from which the function fetches the file.
    pub async fn accept_address(
        &self,
        owner: UserId,
        address: &Address,
        choices: Choices,
    ) -> Result<ImportId, AcceptError> {
        let (id, file_name) = (ImportId::generate(), FileName::from(address));
        let bytes = Bytes::At(SourceUrl::from(address.url().to_string()));
        let (receiving_at, start) = (UnixMillis::now(), Start::AtOnce);
        let (about, parent) = (None, None);
        self.record(New { id, owner, file_name, receiving_at, bytes, about, choices, start, parent }).await
    }

    /// Stores the upload of `id`, before it is recorded.
    async fn stored(
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
    async fn discard(&self, id: ImportId) -> io::Result<()> {
        self.shared.storage.remove(&Key::upload(id)).await?;
        self.shared.storage.recorded(id).await;
        Ok(())
    }

    /// Records an import with its event, and has the event sent; a held import has none yet. Returns the id of the
    /// recorded import. If another request has recorded the same retry, that is the other one's id, and the file
    /// of this one is removed.
    async fn record(&self, new: New) -> Result<ImportId, AcceptError> {
        let New { id, owner, file_name, receiving_at, bytes, about, choices, start, parent } = new;
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
            size_bytes,
            source_url,
            failed_rows_of,
            receiving_at,
            received_at: now,
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
        let recorded = self.shared.tasks.spawn(store::as_here(async move {
            let recorded =
                match imports.shared.store.create_import(&import, event.as_ref(), about.as_ref()).await {
                    Ok(recorded) => recorded,
                    Err(store::Error::InDoubt(error)) => {
                        imports.shared.tasks.spawn(imports.clone().settle(import, news));
                        return Err(AcceptError::Store(store::Error::InDoubt(error)));
                    }
                    Err(error) => {
                        imports.discard(id).await?;
                        return Err(error.into());
                    }
                };
            if recorded == id {
                imports.begin(import, news).await;
            } else if let Err(error) = imports.discard(id).await {
                // The next start moves it to the quarantine.
                tracing::warn!(import = %id, %error, "cannot remove the file of a duplicate retry");
            }
            Ok(recorded)
        }));
        recorded.await.map_err(|error| AcceptError::Storage(io::Error::other(error)))?
    }

    /// Watches an import that was just recorded, and has its event sent, unless it is held.
    async fn begin(&self, import: ImportRow, news: Subscription) {
        self.shared.storage.recorded(import.id).await;
        if import.held_until.is_some() {
            return;
        }
        self.show_retry(&import);
        self.watch(Snapshot::new(import, Vec::new()), news, Begin::New);
        self.shared.outbox.notify_one();
    }

    /// Cancels an import: its event is not sent any more, and its runs, including later ones, are cancelled.
    /// Returns false if the import was deleted in the meantime.
    pub async fn cancel(&self, found: &Owned) -> Result<bool, store::Error> {
        let (owner, id) = (found.row.owner, found.row.id);
        // It may have ended in the meantime.
        let Some(import) = self.get(owner, id).await? else { return Ok(false) };
        let now = UnixMillis::now();
        // A run that the engine has lost stays unfinished there, unless it is cancelled.
        if !import.state().is_final() || import.state() == ImportState::Lost {
            self.shared.store.request_cancel(id, now).await?;
            self.shared.snapshots.change(owner, id, |import| {
                import.row_mut().cancel_requested_at.get_or_insert(now);
            });
            if let Some(break_off) = self.shared.sending().get(&id) {
                break_off.cancel();
            }
            if let Some(row) = self.shared.store.import(id).await? {
                self.reopen_to_cancel(row).await?;
            }
            // The watcher cancels the existing runs, and those that come later.
            self.shared.progress.tell(&import.row.event_id, News::Look);
        }
        Ok(true)
    }

    /// Adds an import to the cache and watches it, unless it was deleted in the meantime.
    fn watch(&self, import: Snapshot, news: Subscription, begin: Begin) {
        let (owner, id) = (import.row.owner, import.row.id);
        if self.shared.snapshots.put(import) {
            self.shared.tasks.spawn(watch::run(Arc::clone(&self.shared), owner, id, begin, news));
        }
    }
}

impl Shared {
    /// The event of an import, to be sent now.
    fn event_of(&self, import: &ImportRow, seed: &EventSeed, now: UnixMillis) -> OutboxRow {
        let file = match &import.source_url {
            Some(address) => address.to_string(),
            None => {
                let expires = UnixMillis::wall().plus(LinkKey::LIFETIME);
                self.links.sign(&self.origin, import.id, expires).to_string()
            }
        };
        OutboxRow {
            event_id: import.event_id.clone(),
            import: import.id,
            owner: import.owner,
            name: EVENT_NAME.to_owned(),
            data: json!({ "file": file, "userId": import.owner.to_string() }).to_string(),
            seed: seed.to_string(),
            attempts: 0,
            next_attempt_at: now,
        }
    }

    fn sending(&self) -> MutexGuard<'_, HashMap<ImportId, CancellationToken>> {
        // The map is consistent after each statement.
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
