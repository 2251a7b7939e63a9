//! Late runs: of an event whose import has no watcher any more.
//!
//! A debounced function, the second run of a batch, or a run that is started again at the engine may
//! begin long after the last one ended. What the engine tells of it reopens its import, at the cost of no
//! question.

use super::{Imports, Snapshot, watch::Begin};
use crate::{
    ids::ImportId,
    inngest::Run,
    store::{self, imports::ImportRow, live::News},
};

/// What was done about a late run.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// No import sent its event, or it says nothing new.
    Passed,
    /// Its import is watched.
    HandedOver,
    Reopened(ImportId),
}

/// How often the watcher of an import is looked for.
const TRIES: usize = 5;

impl Imports {
    /// Reopens imports until the server stops.
    pub(super) async fn take_late_runs(self) {
        let late = self.shared.live.unwatched();
        while self.shared.tasks.stopping().run_until_cancelled(late.arrived()).await.is_some() {
            for news in late.take() {
                let News::Run(run) = news else { continue };
                match self.take_late_run(*run).await {
                    Ok(Outcome::Passed | Outcome::HandedOver) => {}
                    Ok(Outcome::Reopened(import)) => tracing::info!(%import, "a run came late"),
                    Err(error) => tracing::error!(%error, "a run that came late is not shown"),
                }
            }
        }
    }

    async fn take_late_run(&self, run: Run) -> store::Result<Outcome> {
        // A watcher may begin or end between the look into the database and the word to it.
        for _ in 0..TRIES {
            let Some(import) = self.shared.store.import_of_event(&run.event_id).await? else {
                return Ok(Outcome::Passed);
            };
            let Some(import) = Snapshot::load(&self.shared.store, vec![import]).await?.pop() else {
                return Ok(Outcome::Passed);
            };
            let known = import.runs.iter().find(|known| known.run_id == run.run_id);
            if known.is_some_and(|known| known.ended_at.is_some()) {
                return Ok(Outcome::Passed);
            }
            let (owner, id, recorded) = (import.owner, import.id, import.event_id.clone());
            let is_reopened = import.finished_at.is_some() && self.reopen(import).await?;
            // The watcher may not know yet under which id the engine has confirmed the event.
            let watched = self.shared.board.get(owner, id).map_or(recorded, |known| known.event_id.clone());
            if self.shared.live.tell_watcher(&watched, News::Run(Box::new(run.clone()))).is_none() {
                return Ok(if is_reopened { Outcome::Reopened(id) } else { Outcome::HandedOver });
            }
        }
        tracing::warn!(run = %run.run_id, "a run that came late is not shown: its import has no watcher");
        Ok(Outcome::Passed)
    }

    /// Watches an import again that was over. False if another was faster, or it was deleted.
    async fn reopen(&self, import: Snapshot) -> store::Result<bool> {
        let is_reopened = self.shared.store.reopen_import(import.id).await?;
        if is_reopened {
            let news = self.shared.live.watch(&import.event_id);
            self.watch(Snapshot { finished_at: None, ..import }, news, Begin::Reopened);
        }
        Ok(is_reopened)
    }

    /// Watches an import that was over again, because its late run must be cancelled.
    pub(super) async fn reopen_to_cancel(&self, import: ImportRow) -> store::Result<()> {
        if import.finished_at.is_some()
            && let Some(import) = Snapshot::load(&self.shared.store, vec![import]).await?.pop()
        {
            self.reopen(import).await?;
        }
        Ok(())
    }
}
