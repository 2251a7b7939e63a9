//! Reads from the database what has changed of the imports that are followed here, and shows it.

use std::{collections::HashMap, sync::Arc};

use super::{Left, Unread};
use crate::{
    base::ids::{ImportId, UserId},
    imports::{RunSnapshot, Shared, Snapshot, snapshot::Unrecorded, watch},
    progress::News,
    store::{self, LONGEST_LIST},
};

impl Shared {
    /// What must be read after messages were missed: all that is followed, watched or being sent here.
    async fn keys_of_all(&self) -> store::Result<Vec<(UserId, ImportId)>> {
        let mut keys = self.store.imports_in_progress(&self.snapshots.owners().all()).await?;
        keys.extend(self.snapshots.keys(None));
        keys.extend(self.sending().iter().map(|(import, (owner, _))| (*owner, *import)));
        Ok(keys)
    }

    /// Reads what has changed, and shows it.
    pub(super) async fn read_again(&self, mut unread: Unread) -> Left {
        let mut left = Left::default();
        if unread.all.is_some() {
            match self.keys_of_all().await {
                Ok(keys) => unread.add(keys),
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
                            self.snapshots.freshness().clear(key.0, Some(key.1), change);
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
        if !left.again.imports.is_empty() {
            // Who waits for all imports waits for these, too.
            left.again.all = unread.all;
        } else if let Some(change) = unread.all {
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
        self.end_lost_watches(&ids).await?;
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
                self.snapshots.freshness().clear(key.0, Some(key.1), change);
            }
        }
        Ok(())
    }

    /// Ends the watches of these imports that another replica has taken over, because this one was paused, and has not noticed
    /// yet that it has lost its leases. Otherwise what the other one has recorded would not be shown here. Called after the
    /// rows are read: what this replica still watches then, nobody else has changed before.
    async fn end_lost_watches(&self, imports: &[ImportId]) -> store::Result<()> {
        let watched = self.snapshots.leases_of(imports);
        if watched.is_empty() {
            return Ok(());
        }
        let ids: Vec<ImportId> = watched.iter().map(|(import, _)| *import).collect();
        let watchers = self.store.watchers_of(&ids).await?;
        for (import, lease) in watched {
            let watcher = watchers.get(&import).and_then(|watcher| watcher.as_deref());
            if watcher != lease.as_deref() {
                self.snapshots.lose_watch(import, lease.as_deref());
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
            && let Some((_, break_off)) = self.sending().get(&id)
        {
            break_off.cancel();
        }
        if self.snapshots.is_watched(id) {
            let was_cancelled = known.as_ref().is_none_or(|known| known.row.cancel_requested_at.is_some());
            let is_joined = self.snapshots.join_row(&import, known.as_ref(), told);
            if import.row.cancel_requested_at.is_some() && !was_cancelled {
                self.progress.tell(&import.row.event_id, News::Look);
            }
            return Ok(is_joined);
        }
        if !self.snapshots.owners().contains(import.row.owner) {
            return Ok(true);
        }
        for run in &import.runs {
            let is_expected = import.row.finished_at.or(run.row.ended_at).is_none();
            self.progress.expect(&run.row.run_id, is_expected);
        }
        if known.is_none() && import.row.held_until.is_some() {
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
        // What the runs of one have read that is over is read when a page asks for it.
        let has_readings = known.is_some() || import.row.finished_at.is_none();
        for run in import.runs.iter_mut().filter(|_| has_readings) {
            let before =
                known.iter().flat_map(|known| &known.runs).find(|it| it.row.run_id == run.row.run_id);
            self.show_reading(run, before).await?;
        }
        let owner = import.row.owner;
        let is_shown = self.snapshots.follow(import, known.as_ref());
        if is_shown && told.is_some() {
            // Last: those who waited for it see it.
            self.snapshots.set_told(owner, id);
        }
        Ok(is_shown)
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
