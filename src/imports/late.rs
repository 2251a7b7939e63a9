//! Late runs: runs of events whose import has no watcher any more.
//!
//! A debounced function, the second run of a batch, or a run that is restarted in the engine may begin long
//! after the last one ended. The engine's report about it reopens the import without a poll. If there are
//! more reports than the memory allows, the events are kept, and the engine is polled for their runs.

use std::time::Duration;

use tokio::time::sleep;

use super::{Imports, Snapshot, watch::Begin};
use crate::{
    base::ids::{EventId, ImportId, UserId},
    progress::{Late, News},
    store::{self, imports::ImportRow},
};

/// What was done about a late run.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// No import sent its event, or it brings nothing new.
    Passed,
    /// Its import has a watcher, which got the news.
    HandedOver,
    Reopened(ImportId),
}

/// How often the watcher of an import is searched for.
const TRIES: usize = 5;
/// The pause after a database failure.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

impl Imports {
    /// Reopens imports until the server stops.
    pub(super) async fn take_late_runs(self) {
        let stopping = self.shared.tasks.stopping();
        let late = self.shared.progress.late_runs();
        while stopping.run_until_cancelled(late.arrived()).await.is_some() {
            for told in late.take() {
                let (event, news) = match told {
                    Late::Run(event, run) => (event, News::Run(run)),
                    Late::Missed(event) => (event, News::Missed),
                };
                match self.take_late_run(&event, &news).await {
                    Ok(Outcome::Passed | Outcome::HandedOver) => {}
                    Ok(Outcome::Reopened(import)) => tracing::info!(%import, "a run came late"),
                    Err(error) if store::is_away(&error) => {
                        tracing::warn!(%error, "a run that came late cannot be shown yet");
                        late.miss(&event);
                        if stopping.run_until_cancelled(sleep(DATABASE_PAUSE)).await.is_none() {
                            return;
                        }
                    }
                    Err(error) => tracing::error!(%error, "a run that came late is not shown"),
                }
            }
        }
    }

    async fn take_late_run(&self, event: &EventId, news: &News) -> store::Result<Outcome> {
        // A watcher may begin or end between the query of the database and the news to it.
        for _ in 0..TRIES {
            let Some(import) = self.shared.store.import_of_event(event).await? else {
                return Ok(Outcome::Passed);
            };
            if import.finished_at.is_none() && !self.shared.replicas.is_alone() {
                // Another replica that watches it has heard the same.
                let is_watched_here = self.hand_over(import.owner, import.id, &import.event_id, news);
                return Ok(if is_watched_here { Outcome::HandedOver } else { Outcome::Passed });
            }
            let Some(import) = Snapshot::load(&self.shared.store, vec![import]).await?.pop() else {
                return Ok(Outcome::Passed);
            };
            let begin = match news {
                News::Run(run) => {
                    let known = import.runs.iter().find(|known| known.row.run_id == run.run_id);
                    if known.is_some_and(|known| known.row.ended_at.is_some()) {
                        return Ok(Outcome::Passed);
                    }
                    Begin::Reopened
                }
                News::Missed | News::Soon | News::Look => Begin::Recalled,
            };
            let (owner, id, recorded) = (import.row.owner, import.row.id, import.row.event_id.clone());
            let is_reopened = import.row.finished_at.is_some() && self.reopen(import, begin).await?;
            if self.hand_over(owner, id, &recorded, news) {
                return Ok(if is_reopened { Outcome::Reopened(id) } else { Outcome::HandedOver });
            }
        }
        tracing::warn!(%event, "a run that came late is not shown: its import has no watcher");
        Ok(Outcome::Passed)
    }

    /// Tells `news` to the watcher of an import whose row has the id `recorded` of its event, if it is here.
    fn hand_over(&self, owner: UserId, id: ImportId, recorded: &EventId, news: &News) -> bool {
        // The watcher may not know yet under which id the engine has confirmed the event.
        let known = self.shared.snapshots.get(owner, id);
        let watched = known.as_ref().map_or(recorded, |known| &known.row.event_id);
        self.shared.progress.tell_watcher(watched, news.clone()).is_none()
    }

    /// Watches an import again that was over. Returns false if another task was faster, or if the import was
    /// deleted.
    async fn reopen(&self, mut import: Snapshot, begin: Begin) -> store::Result<bool> {
        let lease = self.shared.store.replica();
        let is_reopened = self.shared.store.reopen_import(import.row.id, lease.as_deref()).await?;
        if is_reopened {
            let news = self.shared.progress.watch(&import.row.event_id);
            import.row_mut().finished_at = None;
            self.watch(import, news, begin, lease);
        }
        Ok(is_reopened)
    }

    /// Watches an import again that was over, because its late run must be cancelled.
    pub(super) async fn reopen_to_cancel(&self, import: ImportRow) -> store::Result<()> {
        if import.finished_at.is_some()
            && let Some(import) = Snapshot::load(&self.shared.store, vec![import]).await?.pop()
        {
            self.reopen(import, Begin::Reopened).await?;
        }
        Ok(())
    }
}
