//! The snapshots in memory that pages are made from.

mod followed;

use std::{
    collections::{
        BTreeMap, HashMap, HashSet, VecDeque,
        btree_map::{Entry, Range},
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

pub use self::followed::BegunWatch;
use super::{Snapshot, followed_owners::FollowedOwners, freshness::Freshness, told, waiting::Waiters};
use crate::{
    base::ids::{ImportId, UserId},
    replicas::Bus,
};

/// The number of finished imports that stay in memory for pages that still show them. Each takes a few KB, because
/// what their runs have read is dropped.
const RETIRED: usize = 1_000;

/// The owner is the first part of the key, so a request for another user's import finds nothing.
pub struct SnapshotCache {
    inner: Mutex<Inner>,
    /// To the other replicas, some of which have the same imports in memory.
    bus: Bus,
    /// Of several replicas: whose imports are in memory. One alone has all.
    owners: FollowedOwners,
    freshness: Freshness,
    waiters: Waiters,
    /// Notified when a watcher has told what only it knows.
    told: Notify,
    /// Notified when an import may have ended.
    ended: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    imports: BTreeMap<(UserId, ImportId), Arc<Snapshot>>,
    retired: VecDeque<(UserId, ImportId)>,
    /// The imports that this replica watches, and how to end that. Others may follow them.
    watched: HashMap<ImportId, followed::OwnWatch>,
    /// Imports whose watcher was asked what only it knows, and has not told it yet.
    untold: HashSet<(UserId, ImportId)>,
    /// The newest imports of the users who are followed, as they were loaded. A few ids each.
    newest: HashMap<UserId, Vec<ImportId>>,
    /// The lease that all of them belong to; None while this replica has none, and if it is alone.
    lease: Option<Arc<str>>,
    /// The most recently deleted imports. A reader that loaded a row before the delete must not re-insert it.
    deleted: VecDeque<ImportId>,
}

impl SnapshotCache {
    pub fn new(bus: Bus, followed_for: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            owners: FollowedOwners::new(followed_for),
            freshness: Freshness::new(bus.is_alone()),
            bus,
            waiters: Waiters::default(),
            told: Notify::new(),
            ended: Arc::default(),
        }
    }

    /// Which imports are being read again.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Woken after each change of an import in memory.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Notified when an import may have ended, once that is recorded.
    pub fn ended(&self) -> &Arc<Notify> {
        &self.ended
    }

    pub fn get(&self, owner: UserId, id: ImportId) -> Option<Arc<Snapshot>> {
        self.lock().imports.get(&(owner, id)).cloned()
    }

    /// Calls `read` for each import of `owner` in memory, newest first.
    pub fn each_of(&self, owner: UserId, read: impl FnMut(&Arc<Snapshot>)) {
        self.lock().imports_of(Some(owner)).rev().map(|(_, import)| import).for_each(read);
    }

    /// Inserts a finished import that is not in memory, for further polls of the page that shows it.
    pub fn keep(&self, snapshot: Snapshot) {
        let key = (snapshot.row.owner, snapshot.row.id);
        let mut inner = self.lock();
        if inner.deleted.contains(&snapshot.row.id) {
            return;
        }
        if let Entry::Vacant(vacant) = inner.imports.entry(key) {
            vacant.insert(Arc::new(snapshot));
            inner.retire(key);
        }
    }

    /// Changes one snapshot and returns the new one. Readers see it before or after the change, never between.
    pub fn change(
        &self,
        owner: UserId,
        id: ImportId,
        change: impl FnOnce(&mut Snapshot),
    ) -> Option<Arc<Snapshot>> {
        let mut inner = self.lock();
        let snapshot = inner.imports.get_mut(&(owner, id))?;
        let before = (!self.bus.is_alone()).then(|| Arc::clone(snapshot));
        change(Arc::make_mut(snapshot));
        let changed = Arc::clone(snapshot);
        if let Some(before) = before {
            // Under the lock, so that changes are told in their order.
            told::change(&self.bus, &before, &changed);
        }
        drop(inner);
        self.waiters.wake(id);
        if changed.state().is_final() {
            self.ended.notify_one();
        }
        Some(changed)
    }

    /// Marks an import as finished. It leaves the memory once enough others have finished after it.
    pub fn retire(&self, owner: UserId, id: ImportId) {
        self.lock().retire((owner, id));
    }

    /// Removes a deleted import, also as the parent and the retry of others.
    pub fn delete(&self, owner: UserId, id: ImportId) {
        self.forget_deleted(owner, id);
        told::recorded(&self.bus, owner, id);
    }

    /// The same for an import that another replica has deleted.
    pub fn forget_deleted(&self, owner: UserId, id: ImportId) {
        let mut inner = self.lock();
        inner.imports.remove(&(owner, id));
        inner.retired.retain(|(_, retired)| *retired != id);
        if let Some(newest) = inner.newest.get_mut(&owner) {
            newest.retain(|import| *import != id);
        }
        inner.deleted.push_back(id);
        if inner.deleted.len() > RETIRED {
            inner.deleted.pop_front();
        }
        for (_, other) in inner.imports.range_mut((owner, ImportId::MIN)..=(owner, ImportId::MAX)) {
            if other.row.parent.as_ref().is_some_and(|parent| parent.id == id) {
                Arc::make_mut(other).row_mut().parent = None;
            }
            if other.retries.iter().any(|retry| retry.id == id) {
                Arc::make_mut(&mut Arc::make_mut(other).retries).retain(|retry| retry.id != id);
            }
        }
        drop(inner);
        self.waiters.wake(id);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held leaves complete snapshots.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The imports of `owner`, or all.
    fn imports_of(&self, owner: Option<UserId>) -> Range<'_, (UserId, ImportId), Arc<Snapshot>> {
        let (first, last) = (owner.unwrap_or(UserId::MIN), owner.unwrap_or(UserId::MAX));
        self.imports.range((first, ImportId::MIN)..=(last, ImportId::MAX))
    }

    /// Inserts or replaces an import. Returns false, without a change, if the import was deleted.
    fn put(&mut self, snapshot: Snapshot) -> bool {
        let key = (snapshot.row.owner, snapshot.row.id);
        if self.deleted.contains(&key.1) {
            return false;
        }
        // A reopened import counts as finished only once it ends again.
        self.retired.retain(|retired| *retired != key);
        self.imports.insert(key, Arc::new(snapshot));
        true
    }

    fn retire(&mut self, key: (UserId, ImportId)) {
        if let Some(snapshot) = self.imports.get_mut(&key) {
            Arc::make_mut(snapshot).forget_readings();
        }
        self.retired.push_back(key);
        if self.retired.len() > RETIRED
            && let Some(oldest) = self.retired.pop_front()
        {
            self.imports.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        base::{config::FOLLOWED_FOR, time::UnixMillis},
        csv::{Choices, Counts, Dialect, FirstRows, ReadAs, Stretches},
        imports::RunReading,
        inngest::RunStatus,
        progress::ProgressRegistry,
        store::{imports::ImportRow, runs::RunRow},
    };

    /// An import with one run, and what that has read.
    fn snapshot() -> Snapshot {
        let (id, at) = (ImportId::generate(), UnixMillis(1));
        let import = ImportRow {
            id,
            owner: UserId::generate(),
            file_name: "orders.csv".to_owned(),
            has_chosen_name: false,
            size_bytes: 1,
            source_url: None,
            failed_rows_of: None,
            receiving_at: at,
            received_at: at,
            event_id: "e".to_owned().into(),
            sent_at: Some(at),
            refused: None,
            cancel_requested_at: None,
            finished_at: None,
            held_until: None,
            choices: Choices::default(),
            parent: None,
        };
        let run = RunRow {
            run_id: "r".to_owned().into(),
            import: id,
            function_id: "f".to_owned(),
            function_name: None,
            status: RunStatus::Completed,
            queued_at: at,
            started_at: None,
            ended_at: Some(at),
            lost_at: None,
            news_at: at,
            counts: None,
            bytes: 1,
            output: None,
            execution: None,
        };
        let mut snapshot = Snapshot::new(import, vec![run]);
        let first_rows = FirstRows {
            header_line: 1,
            header: Vec::new(),
            columns: 0,
            rows: Vec::new(),
            is_failed_csv: false,
        };
        let part = |value: &str| json!({ "value": value, "how": "certain" });
        let reading = serde_json::from_value(json!({
            "encoding": part("windows-1252"),
            "delimiter": part(";"),
            "quote": part("double"),
            "escape": part("doubled"),
            "header": { "value": { "line": 1 }, "how": "certain" },
            "header_rows": { "value": 1, "how": "certain" },
            "notes": {},
        }));
        snapshot.runs[0].committed = RunReading {
            stretches: Some(Arc::new(Stretches::new(1))),
            first_rows: Some(Arc::new(first_rows)),
            read_as: Some(Arc::new(ReadAs {
                reading: reading.unwrap(),
                dialect: Dialect::plain(),
                sheet: None,
            })),
        };
        snapshot
    }

    #[test]
    fn what_runs_have_read_is_kept_until_nothing_more_is_to_come_and_how_they_read_it_beyond() {
        let cache = SnapshotCache::new(Bus::alone(), FOLLOWED_FOR);
        let has_reading = |snapshot: &Snapshot| {
            let run = &cache.get(snapshot.row.owner, snapshot.row.id).unwrap().runs[0];
            (run.stretches().is_some(), run.first_rows().is_some(), run.read_as().is_some())
        };
        let (watched, read) = (snapshot(), snapshot());
        assert!(cache.lock().put(watched.clone()));
        assert_eq!(has_reading(&watched), (true, true, true));
        cache.retire(watched.row.owner, watched.row.id);
        assert_eq!(has_reading(&watched), (false, false, true));
        cache.keep(read.clone());
        assert_eq!(has_reading(&read), (false, false, true));
    }

    #[test]
    fn what_was_loaded_before_a_delete_does_not_come_back() {
        let cache = SnapshotCache::new(Bus::alone(), FOLLOWED_FOR);
        let loaded = snapshot();
        cache.delete(loaded.row.owner, loaded.row.id);
        assert!(!cache.lock().put(loaded.clone()));
        cache.keep(loaded.clone());
        assert!(cache.get(loaded.row.owner, loaded.row.id).is_none());
    }

    #[test]
    fn one_of_several_replicas_has_what_is_asked_for_or_watched_there() {
        let cache = SnapshotCache::new(Bus::named("here"), Duration::ZERO);
        let [asked_for, watched, other] = std::array::from_fn(|_| {
            let mut unfinished = snapshot();
            unfinished.runs[0].row_mut().ended_at = None;
            unfinished
        });
        let has = |import: &Snapshot| cache.get(import.row.owner, import.row.id).is_some();
        let (owner, id) = (asked_for.row.owner, asked_for.row.id);
        let asked = cache.ask(owner);
        assert!(cache.follow(asked_for.clone(), None) && cache.follow(other.clone(), None));
        assert!(has(&asked_for) && !has(&other), "nobody asks for the other");
        cache.expect_told(owner);
        assert!(!cache.is_told(owner));
        cache.set_unrecorded(owner, id, &asked_for.unrecorded());
        assert!(cache.is_told(owner));

        let lease: Option<Arc<str>> = Some("lease".into());
        cache.set_lease(lease.clone());
        let begun = cache.begin_watch(watched.clone(), lease, &CancellationToken::new());
        assert!(matches!(begun, followed::BegunWatch::Here(_)));
        cache.forget_unasked();
        assert!(has(&asked_for) && has(&watched));
        drop(asked);
        cache.forget_unasked();
        assert!(!has(&asked_for) && has(&watched));
        cache.set_lease(None);
        cache.forget_unasked();
        assert!(!has(&watched), "another replica watches it");
    }

    #[test]
    fn polls_share_what_is_recorded_and_are_equal_until_something_changes() {
        let (cache, progress) = (SnapshotCache::new(Bus::alone(), FOLLOWED_FOR), ProgressRegistry::default());
        let mut watched = snapshot();
        watched.runs[0].row_mut().ended_at = None;
        let (owner, id) = (watched.row.owner, watched.row.id);
        let run = progress.of(&watched.runs[0].row.run_id);
        assert!(cache.lock().put(watched));
        let poll = || cache.get(owner, id).unwrap().with_progress(&progress);
        let (first, second) = (poll(), poll());
        assert_eq!(first, second);
        assert!(Arc::ptr_eq(&first.row, &second.row));
        assert!(Arc::ptr_eq(&first.runs[0].row, &second.runs[0].row));
        run.advance(Counts { processed: 1, failed: 0 }, 1);
        assert_ne!(first, poll(), "a function has told something");
        let before = poll();
        cache.change(owner, id, |import| import.row_mut().refused = Some("too large".to_owned()));
        assert_ne!(before, poll(), "the row has changed");
        assert_eq!(before.row.refused, None, "an earlier reader keeps its row");
    }
}
