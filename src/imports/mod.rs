//! The life of an import: [`Imports::accept`] records an upload and its event, the `outbox` sends the event,
//! and a `watch` follows the runs that it triggers until nothing more is expected.
//!
//! Pages show a [`Snapshot`]. While an import is watched, its snapshot comes from memory.

mod accept;
mod counts;
mod delete;
mod delete_all;
mod follow;
mod followed_owners;
mod freshness;
mod held;
mod history;
mod in_progress;
mod last_time;
mod late;
mod listing;
mod names;
mod outage;
mod outbox;
mod owned;
mod retry;
mod settle;
mod snapshot;
mod snapshot_cache;
mod take_over;
mod told;
mod waiting;
mod watch;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::{
    accept::{AcceptError, Accepted, HELD_FOR, ImportOptions, Start, Upload},
    delete::{DeleteError, Deletion, FinishError},
    history::{Count, HistoryCursor, HistoryPage},
    in_progress::{InProgress, Seen},
    listing::{ListFilter, ListPage},
    outage::{EngineOutage, OutageCause},
    owned::Owned,
    retry::RetryError,
    snapshot::{
        EnginePlan, FetchedFrom, ImportState, NextAttempt, Planned, RunReading, RunSnapshot, Snapshot,
    },
    waiting::{Change, Waiter},
};
use self::{
    names::Names,
    snapshot_cache::{BegunWatch, SnapshotCache},
    watch::Begin,
};
pub use crate::files::FileName;
use crate::{
    base::{
        config::OutputPointers,
        ids::{EVENT_NAME, ImportId, UserId},
        tasks::Tasks,
        time::UnixMillis,
    },
    files::{LinkKey, Storage},
    inngest::{Client, EventSeed, Registrar},
    progress::{News, ProgressRegistry, Subscription},
    replicas::Replicas,
    store::{self, Store, imports::ImportRow, outbox::OutboxRow, quota::Quota},
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
    /// The processes that share the database.
    pub replicas: Replicas,
    pub links: LinkKey,
    /// The address at which functions find stored files: our own, never from a request.
    pub origin: Url,
    /// Where outputs contain their counts.
    pub pointers: OutputPointers,
    /// What each user may store.
    pub quota: Quota,
    /// How long an import is watched for further runs after its last one has ended.
    pub late_runs: Duration,
    /// How long this replica among several follows the imports of a user whom nobody asks for any more.
    pub followed_for: Duration,
}

struct Shared {
    store: Store,
    quota: Quota,
    storage: Storage,
    late_runs: Duration,
    client: Client,
    registrar: Registrar,
    progress: ProgressRegistry,
    replicas: Replicas,
    links: LinkKey,
    origin: Url,
    pointers: OutputPointers,
    snapshots: SnapshotCache,
    names: Names,
    outbox: Notify,
    /// The imports whose events are being sent, each with its owner, and how to abort that.
    sending: Mutex<HashMap<ImportId, (UserId, CancellationToken)>>,
    /// Held while a held import is started.
    starting: tokio::sync::Mutex<()>,
    /// The files of a deleted import are still in the bucket.
    files_to_delete: Notify,
    tasks: Tasks,
}

impl Imports {
    #[must_use]
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies {
            store,
            storage,
            client,
            registrar,
            progress,
            replicas,
            links,
            origin,
            pointers,
            quota,
            late_runs,
            followed_for,
        } = dependencies;
        let snapshots = SnapshotCache::new(replicas.bus().clone(), followed_for);
        let shared = Shared {
            store,
            quota,
            storage,
            late_runs,
            client,
            registrar,
            progress,
            replicas,
            links,
            origin,
            pointers,
            snapshots,
            names: Names::default(),
            outbox: Notify::new(),
            sending: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
            files_to_delete: Notify::new(),
            tasks: Tasks::on_this_runtime(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Resumes the work of the last process: watches the unfinished imports and sends the unsent events.
    pub async fn start(&self, ready: impl Future<Output = ()> + Send + 'static) -> Result<(), store::Error> {
        let shared = &self.shared;
        if shared.replicas.is_alone() {
            let unfinished = shared.store.unfinished_imports().await?;
            for import in Snapshot::load(&shared.store, unfinished).await? {
                let news = shared.progress.watch(&import.row.event_id);
                self.watch(import, news, Begin::Recalled, None);
            }
        } else {
            self.join();
        }
        self.shared.tasks.spawn(outbox::run(Arc::clone(&self.shared), ready));
        self.shared.tasks.spawn(self.clone().take_late_runs());
        Ok(())
    }

    /// Follows what is asked for here, and shares the watches.
    fn join(&self) {
        let (tasks, bus) = (&self.shared.tasks, self.shared.replicas.bus());
        tasks.spawn(self.clone().follow(bus.listen(), bus.listen(), bus.listen()));
        tasks.spawn(self.clone().load_followed());
        tasks.spawn(self.clone().forget_unasked());
        tasks.spawn(self.clone().follow_lease());
        tasks.spawn(self.clone().take_over());
    }

    /// Ends the outbox and the watches, whose state is in the database. Returns how many did not end in time.
    pub async fn stop(&self) -> usize {
        self.shared.tasks.stop(STOP_GRACE).await
    }

    /// Notified when an import may have ended, once that is recorded.
    #[must_use]
    pub fn ended(&self) -> Arc<Notify> {
        Arc::clone(self.shared.snapshots.ended())
    }

    /// What each user may store.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.shared.quota
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
            let is_known = self.shared.snapshots.change(owner, id, |import| {
                import.row_mut().cancel_requested_at.get_or_insert(now);
            });
            if is_known.is_none() {
                told::recorded(self.shared.replicas.bus(), owner, id);
            }
            if let Some((_, break_off)) = self.shared.sending().get(&id) {
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

    /// Adds an import to the cache and watches it, unless it was deleted in the meantime. `lease` is the one that it was
    /// recorded with: if this replica has lost that, another one watches it.
    fn watch(&self, import: Snapshot, news: Subscription, begin: Begin, lease: Option<Arc<str>>) {
        let (owner, id) = (import.row.owner, import.row.id);
        let shared = &self.shared;
        match shared.snapshots.begin_watch(import, lease, shared.tasks.stopping()) {
            BegunWatch::Here(ending) => {
                shared.tasks.spawn(watch::run(Arc::clone(shared), owner, id, begin, news, ending));
            }
            BegunWatch::LeftToAnother => return told::recorded_for_all(shared.replicas.bus(), owner, id),
            BegunWatch::Deleted => return,
        }
        match begin {
            Begin::New => told::recorded(shared.replicas.bus(), owner, id),
            // Another replica may have changed it since it was read, and told that before it was watched here.
            Begin::Recalled | Begin::Reopened => told::recorded_for_all(shared.replicas.bus(), owner, id),
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

    fn sending(&self) -> MutexGuard<'_, HashMap<ImportId, (UserId, CancellationToken)>> {
        // The map is consistent after each statement.
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
