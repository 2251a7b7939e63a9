//! Follows the imports that other replicas watch: each change that is told is read from the database.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    Imports, RunSnapshot, Shared, Snapshot,
    snapshot::Unrecorded,
    told::{self, ImportChanged, TellAgain},
    watch,
};
use crate::{
    base::ids::{ImportId, UserId},
    progress::News,
    replicas::{Heard, Listener},
    store::{self, LONGEST_LIST},
};

/// The pause before a database that does not answer is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What was told of an import since it was last read.
#[derive(Debug, Default)]
struct Pending {
    is_recorded: bool,
    unrecorded: Option<Unrecorded>,
}

type ToRead = HashMap<(UserId, ImportId), Pending>;

impl Imports {
    /// Follows what the others tell until the server stops.
    pub(super) async fn follow(
        self,
        mut changes: Listener<ImportChanged>,
        mut requests: Listener<TellAgain>,
    ) {
        let shared = &self.shared;
        let stopping = shared.tasks.stopping();
        let mut pending = ToRead::new();
        loop {
            let heard = tokio::select! {
                () = stopping.cancelled() => return,
                heard = changes.next() => heard,
                _ = requests.next() => {
                    shared.snapshots.each_watched(|import| told::unrecorded(shared.replicas.bus(), import));
                    continue;
                }
            };
            shared.note(&mut pending, heard);
            // What else has arrived is read together with it.
            while let Some(heard) = changes.heard() {
                shared.note(&mut pending, heard);
            }
            while let Err(error) = shared.read_again(&mut pending).await {
                tracing::warn!(%error, "imports of other replicas cannot be read");
                shared.snapshots.freshness().clear(pending.keys());
                if stopping.run_until_cancelled(sleep(ASK_AGAIN_AFTER)).await.is_none() {
                    return;
                }
            }
        }
    }
}

impl Shared {
    fn note(&self, pending: &mut ToRead, heard: Heard<ImportChanged>) {
        match heard {
            Heard::Told(ImportChanged { owner, import, is_recorded, unrecorded }) => {
                if is_recorded {
                    self.snapshots.freshness().mark(owner, import);
                }
                let pending = pending.entry((owner, import)).or_default();
                pending.is_recorded |= is_recorded;
                pending.unrecorded = unrecorded.or(pending.unrecorded.take());
            }
            Heard::Missed => {
                for key in self.snapshots.keys() {
                    pending.entry(key).or_default().is_recorded = true;
                }
                // One key that is nobody's import: all unfinished ones are read.
                pending.entry((UserId::MIN, ImportId::MIN)).or_default().is_recorded = true;
                self.replicas.bus().tell(&TellAgain {});
            }
        }
    }

    /// Reads what has changed, and shows it. Empties `pending`.
    async fn read_again(&self, pending: &mut ToRead) -> store::Result<()> {
        if pending.contains_key(&(UserId::MIN, ImportId::MIN)) {
            for import in self.store.unfinished_imports().await? {
                pending.entry((import.owner, import.id)).or_default().is_recorded = true;
            }
            pending.remove(&(UserId::MIN, ImportId::MIN));
        }
        let changed: Vec<(UserId, ImportId)> =
            pending.iter().filter(|(_, told)| told.is_recorded).map(|(key, _)| *key).collect();
        for some in changed.chunks(LONGEST_LIST) {
            let ids: Vec<ImportId> = some.iter().map(|(_, import)| *import).collect();
            let rows = self.store.imports(&ids).await?;
            let mut read: HashMap<ImportId, Snapshot> = HashMap::new();
            for import in Snapshot::load(&self.store, rows).await? {
                read.insert(import.row.id, import);
            }
            for key in some {
                let told = pending.get(key).and_then(|told| told.unrecorded.as_ref());
                match read.remove(&key.1) {
                    Some(import) => self.show(import, told).await?,
                    None => self.is_gone(*key),
                }
                self.snapshots.freshness().clear([key]);
                pending.remove(key);
            }
        }
        for ((owner, import), told) in pending.drain() {
            if let Some(told) = told.unrecorded {
                self.snapshots.set_unrecorded(owner, import, &told);
            }
        }
        Ok(())
    }

    /// Shows an import as the database has it.
    async fn show(&self, mut import: Snapshot, told: Option<&Unrecorded>) -> store::Result<()> {
        let (owner, id) = (import.row.owner, import.row.id);
        let known = self.snapshots.get(owner, id);
        if import.row.cancel_requested_at.is_some()
            && let Some(break_off) = self.sending().get(&id)
        {
            break_off.cancel();
        }
        if self.snapshots.is_watched(id) {
            let is_new = |known: &Snapshot| known.row.cancel_requested_at.is_none();
            let is_cancelled =
                import.row.cancel_requested_at.is_some() && known.as_deref().is_some_and(is_new);
            self.snapshots.join_row(&import, told);
            if is_cancelled {
                self.progress.tell(&import.row.event_id, News::Look);
            }
            return Ok(());
        }
        if known.is_none() && import.row.finished_at.or(import.row.held_until).is_some() {
            // Read when a page asks for it.
            self.snapshots.waiters().wake(id);
            return Ok(());
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
        self.snapshots.follow(import);
        Ok(())
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
        }
    }
}

/// Watches what nobody watches, until the server stops: imports whose replica has ended, was cut off or was paused.
/// Ends the watches of this replica once it has lost them.
pub(super) async fn take_over(imports: Imports) {
    const SEARCH_EVERY: Duration = Duration::from_secs(1);
    /// So few that several replicas share what one has left.
    const AT_ONCE: u32 = 50;
    let shared = Arc::clone(&imports.shared);
    let stopping = shared.tasks.stopping();
    let mut tenure = shared.replicas.tenure();
    let mut id = tenure.borrow_and_update().id.clone();
    loop {
        let mut pause = SEARCH_EVERY;
        if id.is_some() {
            match imports.watch_left(AT_ONCE).await {
                Ok(some) if some == AT_ONCE as usize => pause = Duration::from_millis(20),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "imports that nobody watches cannot be searched for"),
            }
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = sleep(pause) => {}
            changed = tenure.changed() => if changed.is_err() { return },
        }
        let now = tenure.borrow_and_update().id.clone();
        if now != id {
            shared.snapshots.end_watches();
            id = now;
        }
    }
}

impl Imports {
    /// Watches at most `limit` of the imports that nobody watches. Returns how many.
    async fn watch_left(&self, limit: u32) -> store::Result<usize> {
        let rows = self.shared.store.claim_watches(limit).await?;
        let count = rows.len();
        for import in Snapshot::load(&self.shared.store, rows).await? {
            tracing::info!(import = %import.row.id, "this replica watches an import that nobody watched");
            let news = self.shared.progress.watch(&import.row.event_id);
            self.watch(import, news, watch::Begin::Recalled);
        }
        Ok(count)
    }
}
