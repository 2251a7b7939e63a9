//! Follows the imports that other replicas watch: each change that is told is read from the database.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Imports, RunSnapshot, Shared, Snapshot,
    snapshot::Unrecorded,
    told::{self, ImportChanged, TellAgain},
    watch,
};
use crate::{
    base::ids::{ImportId, UserId},
    progress::News,
    replicas::{Heard, HeardOrCurrent, Listener},
    store::{self, LONGEST_LIST},
};

/// The pause before a database that does not answer is asked again, and how long a statement may take.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
const READ_WITHIN: Duration = Duration::from_secs(3);
/// A replica that misses messages asks the watchers at most this often, because all of them answer.
const TELL_AGAIN_EVERY: Duration = Duration::from_secs(10);
/// So many imports are told again at once, and the pause until the next ones.
const TOLD_AT_ONCE: usize = 200;
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// What was told of an import since it was last read.
#[derive(Debug, Default)]
struct Told {
    /// The number of its last change that is in the database.
    recorded: Option<u64>,
    unrecorded: Option<Unrecorded>,
}

/// The imports that were told of.
#[derive(Debug, Default)]
pub(super) struct Unread {
    imports: HashMap<(UserId, ImportId), Told>,
    /// Messages were missed: all unfinished imports must be read. The number of that.
    all: Option<u64>,
}

impl Unread {
    /// Everything that a replica has in memory, and what it should have.
    pub(super) fn all() -> Self {
        Self { imports: HashMap::new(), all: Some(0) }
    }

    fn is_empty(&self) -> bool {
        self.imports.is_empty() && self.all.is_none()
    }

    /// Adds what was told before.
    fn join(&mut self, earlier: Self) {
        self.all = self.all.max(earlier.all);
        for (key, told) in earlier.imports {
            let later = self.imports.entry(key).or_default();
            later.recorded = later.recorded.max(told.recorded);
            later.unrecorded = later.unrecorded.take().or(told.unrecorded);
        }
    }
}

impl Imports {
    /// Follows what the others tell until the server stops.
    pub(super) async fn follow(
        self,
        mut changes: Listener<ImportChanged>,
        mut requests: Listener<TellAgain>,
    ) {
        let shared = &self.shared;
        let stopping = shared.tasks.stopping();
        let mut unread = Unread::default();
        // When the watchers are asked, and when they were asked last.
        let mut asks_at: Option<Instant> = None;
        let mut asked_at: Option<Instant> = None;
        loop {
            // What arrives during a read is noted at once, so that readers wait for it.
            let batch = std::mem::take(&mut unread);
            let mut reading = pin!(store::within(READ_WITHIN, shared.read_again(batch)));
            let (mut is_read, mut resumes_at) = (false, None);
            while !is_read || resumes_at.is_some() || unread.is_empty() {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    heard = changes.next_or_current() => {
                        let heard = match heard {
                            HeardOrCurrent::Heard(heard) => heard,
                            HeardOrCurrent::Current(at) => {
                                shared.snapshots.freshness().set_current(at);
                                continue;
                            }
                        };
                        if heard == Heard::Missed {
                            let earliest = asked_at.map_or_else(Instant::now, |asked| asked + TELL_AGAIN_EVERY);
                            asks_at.get_or_insert(earliest);
                        }
                        shared.note(&mut unread, heard);
                    }
                    _ = requests.next() => drop(shared.tasks.spawn(self.clone().tell_again())),
                    () = sleep_until(asks_at.unwrap_or_else(Instant::now)), if asks_at.is_some() => {
                        (asks_at, asked_at) = (None, Some(Instant::now()));
                        shared.replicas.bus().tell(&TellAgain {});
                    }
                    left = &mut reading, if !is_read => {
                        is_read = true;
                        unread.join(left.again);
                        if let Some((failed, error)) = left.failed {
                            tracing::warn!(%error, "imports of other replicas cannot be read");
                            unread.join(failed);
                            resumes_at = Some(Instant::now() + ASK_AGAIN_AFTER);
                        }
                    }
                    // What is told meanwhile is noted.
                    () = sleep_until(resumes_at.unwrap_or_else(Instant::now)), if resumes_at.is_some() => {
                        resumes_at = None;
                    }
                }
            }
        }
    }

    /// Tells what only this replica knows of the imports that it watches.
    async fn tell_again(self) {
        let watched = self.shared.snapshots.watched();
        for some in watched.chunks(TOLD_AT_ONCE) {
            for import in some {
                told::unrecorded(self.shared.replicas.bus(), import);
            }
            if self.shared.tasks.stopping().run_until_cancelled(sleep(TOLD_EVERY)).await.is_none() {
                return;
            }
        }
    }
}

/// What a read has left over.
#[derive(Default)]
pub(super) struct Left {
    /// Changed here meanwhile: to be read again at once.
    again: Unread,
    /// The database is away.
    pub(super) failed: Option<(Unread, store::Error)>,
}

impl Shared {
    fn note(&self, unread: &mut Unread, heard: Heard<ImportChanged>) {
        match heard {
            Heard::Told(ImportChanged { owner, import, is_recorded, unrecorded }) => {
                let recorded = is_recorded.then(|| self.snapshots.freshness().mark(owner, import));
                let told = unread.imports.entry((owner, import)).or_default();
                told.recorded = recorded.or(told.recorded);
                told.unrecorded = unrecorded.or(told.unrecorded.take());
            }
            Heard::Missed => unread.all = Some(self.snapshots.freshness().mark_all()),
        }
    }

    /// Reads what has changed, and shows it.
    pub(super) async fn read_again(&self, mut unread: Unread) -> Left {
        let mut left = Left::default();
        let all = unread.all;
        if all.is_some() {
            match self.store.unfinished_imports().await {
                Ok(unfinished) => {
                    let keys = unfinished.into_iter().map(|import| (import.owner, import.id));
                    for key in keys.chain(self.snapshots.keys()) {
                        unread.imports.entry(key).or_default().recorded.get_or_insert(0);
                    }
                }
                Err(error) => {
                    left.failed = Some((unread, error));
                    return left;
                }
            }
        }
        let changed: Vec<(UserId, ImportId)> =
            unread.imports.iter().filter(|(_, told)| told.recorded.is_some()).map(|(key, _)| *key).collect();
        for some in changed.chunks(LONGEST_LIST) {
            match self.read_some(some, &mut unread, &mut left.again).await {
                Ok(()) => {}
                Err(error) if store::is_away(&error) => {
                    left.failed = Some((unread, error));
                    return left;
                }
                // A row that this version cannot read must not keep the others from being followed.
                Err(_) => {
                    for key in some {
                        let Err(error) = self.read_some(&[*key], &mut unread, &mut left.again).await else {
                            continue;
                        };
                        tracing::error!(import = %key.1, %error, "an import of another replica cannot be read");
                        let told = unread.imports.remove(key);
                        if let Some(change) = told.and_then(|told| told.recorded) {
                            self.snapshots.freshness().clear(key.0, key.1, change);
                        }
                    }
                }
            }
        }
        for ((owner, import), told) in unread.imports {
            if let Some(told) = told.unrecorded {
                self.snapshots.set_unrecorded(owner, import, &told);
            }
        }
        if let Some(change) = all {
            self.snapshots.freshness().clear_all(change);
        }
        left
    }

    /// Reads and shows these imports, and removes them from `unread`.
    async fn read_some(
        &self,
        keys: &[(UserId, ImportId)],
        unread: &mut Unread,
        again: &mut Unread,
    ) -> store::Result<()> {
        // Before the read: what changes here meanwhile is newer than what is read.
        let mut known: HashMap<_, _> =
            keys.iter().filter_map(|key| Some((*key, self.snapshots.get(key.0, key.1)?))).collect();
        let ids: Vec<ImportId> = keys.iter().map(|(_, import)| *import).collect();
        let rows = self.store.imports(&ids).await?;
        let mut read: HashMap<ImportId, Snapshot> = Snapshot::load(&self.store, rows)
            .await?
            .into_iter()
            .map(|import| (import.row.id, import))
            .collect();
        for key in keys {
            let Some(told) = unread.imports.get(key) else { continue };
            let is_shown = match read.remove(&key.1) {
                Some(import) => self.show(import, known.remove(key), told.unrecorded.as_ref()).await?,
                None => {
                    self.is_gone(*key);
                    true
                }
            };
            let Some(told) = unread.imports.remove(key) else { continue };
            if !is_shown {
                again.imports.insert(*key, told);
            } else if let Some(change) = told.recorded {
                self.snapshots.freshness().clear(key.0, key.1, change);
            }
        }
        Ok(())
    }

    /// Shows an import as the database has it; `known` is what was shown before it was read. Returns false if that has
    /// changed here meanwhile.
    async fn show(
        &self,
        mut import: Snapshot,
        known: Option<Arc<Snapshot>>,
        told: Option<&Unrecorded>,
    ) -> store::Result<bool> {
        let id = import.row.id;
        if import.row.cancel_requested_at.is_some()
            && let Some(break_off) = self.sending().get(&id)
        {
            break_off.cancel();
        }
        if self.snapshots.is_watched(id) {
            let was_cancelled = known.as_ref().is_none_or(|known| known.row.cancel_requested_at.is_some());
            self.snapshots.join_row(&import, told);
            if import.row.cancel_requested_at.is_some() && !was_cancelled {
                self.progress.tell(&import.row.event_id, News::Look);
            }
            return Ok(true);
        }
        for run in &import.runs {
            let is_expected = import.row.finished_at.or(run.row.ended_at).is_none();
            self.progress.expect(&run.row.run_id, is_expected);
        }
        if known.is_none() && import.row.finished_at.or(import.row.held_until).is_some() {
            // Read when a page asks for it.
            self.snapshots.waiters().wake(id);
            return Ok(true);
        }
        if let Some(known) = &known {
            import.set_unrecorded(&known.unrecorded());
        }
        if let Some(told) = told {
            import.set_unrecorded(told);
        }
        for run in &mut import.runs {
            let before =
                known.iter().flat_map(|known| &known.runs).find(|it| it.row.run_id == run.row.run_id);
            self.show_reading(run, before).await?;
        }
        Ok(self.snapshots.follow(import, known.as_ref()))
    }

    /// What the steps of a run have committed: known before, or read once there is something, and at the end.
    async fn show_reading(&self, run: &mut RunSnapshot, before: Option<&RunSnapshot>) -> store::Result<()> {
        if let Some(before) = before {
            run.committed.clone_from(&before.committed);
        }
        let has_ended = run.row.ended_at.is_some() && before.is_none_or(|it| it.row.ended_at.is_none());
        if run.row.execution.is_some() && (has_ended || run.committed.read_as.is_none()) {
            run.committed = watch::reading(&self.store, &run.row.run_id).await?;
        }
        Ok(())
    }

    fn is_gone(&self, (owner, id): (UserId, ImportId)) {
        let known = self.snapshots.get(owner, id);
        self.snapshots.forget_deleted(owner, id);
        // Its watcher ends, because it finds no import.
        if let Some(known) = known {
            self.progress.tell(&known.row.event_id, News::Look);
            for run in &known.runs {
                self.progress.expect(&run.row.run_id, false);
            }
        }
    }
}
