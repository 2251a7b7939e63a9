//! Late runs: of an event whose import has no watcher any more.
//!
//! A debounced function, the second run of a batch, or a run that is started again at the engine may
//! begin long after the last one ended. What the engine tells of it reopens its import, at the cost of no
//! question.

use super::{Imports, Snapshot};
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
    Reopened(ImportId),
}

impl Imports {
    /// Reopens imports until the server stops.
    pub(super) async fn take_late_runs(self) {
        let late = self.shared.live.unwatched();
        while self.shared.tasks.stopping().run_until_cancelled(late.arrived()).await.is_some() {
            for news in late.take() {
                let News::Run(run) = news else { continue };
                match self.take_late_run(*run).await {
                    Ok(Outcome::Passed) => {}
                    Ok(Outcome::Reopened(import)) => tracing::info!(%import, "a run came late"),
                    Err(error) => tracing::error!(%error, "a run that came late is not shown"),
                }
            }
        }
    }

    async fn take_late_run(&self, run: Run) -> store::Result<Outcome> {
        let Some(import) = self.shared.store.import_of_event(&run.event_id).await? else {
            return Ok(Outcome::Passed);
        };
        let Some(import) = Snapshot::load(&self.shared.store, vec![import]).await?.pop() else {
            return Ok(Outcome::Passed);
        };
        let known = import.runs.iter().find(|known| known.run_id == run.run_id);
        // One that is not finished has a watcher, or is about to have one, which asks.
        if import.finished_at.is_none() || known.is_some_and(|known| known.ended_at.is_some()) {
            return Ok(Outcome::Passed);
        }
        let (id, event) = (import.id, import.event_id.clone());
        self.reopen(import).await?;
        self.shared.live.tell(&event, News::Run(Box::new(run)));
        Ok(Outcome::Reopened(id))
    }

    /// Watches an import again that was over.
    async fn reopen(&self, import: Snapshot) -> store::Result<()> {
        self.shared.store.reopen_import(import.id).await?;
        // What is told from here on waits for the watcher.
        let _inbox = self.shared.live.watch(&import.event_id);
        self.watch(Snapshot { finished_at: None, ..import }, true);
        Ok(())
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
