//! Records and shows what was reported or answered about the runs, or that nothing was.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::Watch;
use crate::{
    base::{ids::RunId, time::UnixMillis},
    imports::{EngineOutage, OutageCause, RunReading, RunSnapshot, Snapshot, counts},
    inngest::{self, Run, RunStatus},
    progress::ReportedRun,
    store::{self, Store, runs::RunRow},
};

/// A shorter silence is not shown.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(3);
/// A list that lacks a run which is known for less than this may be older than the run.
const LISTED_WITHIN: Duration = Duration::from_secs(30);
/// An active step of a run that has ended, for example by a cancel, commits what it had finished. It is
/// waited for at most this long.
const SETTLE_FOR: Duration = Duration::from_secs(1);
/// How long known changes of a run wait for the time at which it left the queue.
const START_WITHIN: Duration = Duration::from_millis(200);

/// Where information about runs comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provenance {
    /// The engine or a function reported it.
    Reported,
    /// The engine was asked for some of them.
    Asked,
    /// The engine has listed all runs of the event.
    Listed,
}

/// Shows what the finished steps of `run` have read.
fn show_reading(import: &mut Snapshot, run: &RunId, reading: &RunReading) {
    for known in import.runs.iter_mut().filter(|known| known.row.run_id == *run) {
        known.committed.clone_from(reading);
    }
}

impl Watch {
    /// Records the changes and shows them. Returns whether anything changed.
    pub(super) async fn answered(
        &self,
        import: &Snapshot,
        runs: &[&Run],
        word: Provenance,
    ) -> store::Result<bool> {
        if runs.is_empty() && word == Provenance::Reported {
            return Ok(false);
        }
        let mut any_changed = false;
        for run in runs {
            let mut run = Run::clone(run);
            self.shared.names.complete(&mut run);
            if run.ended_at.is_none() && run.status.is_terminal_word() {
                // It sleeps, waits for a retry, or is about to end.
                run.status = RunStatus::Running;
                run.output = None;
            }
            let known = import.runs.iter().find(|known| known.row.run_id == run.run_id);
            // A running run has left the queue, although a list may be older than a report.
            let is_older = run.ended_at.is_none() && run.status == RunStatus::Scheduled;
            if known.is_some_and(|known| {
                known.row.ended_at.is_some()
                    // A report about a run that the engine had lost is news.
                    || known.is_as(&run) && (known.row.lost_at.is_none() || word != Provenance::Reported)
                    || is_older && known.row.status == RunStatus::Running
            }) {
                continue;
            }
            if let Some(known) = known.filter(|known| known.has_left_queue(&run)) {
                let started_at = self.started_at(known, &run).await;
                self.shared.store.start_run(self.id, &run.run_id, started_at).await?;
            }
            if run.ended_at.is_some() {
                self.shared.progress.settle(&run.run_id, SETTLE_FOR).await;
            }
            let reported = self.shared.progress.now(&run.run_id).filter(|now| now.execution.is_none());
            // The listed output of a cancelled run may be that of one of its steps.
            let output = run.output.as_ref().filter(|_| run.status != RunStatus::Cancelled);
            let counts = counts::in_output(&self.shared.pointers, output)
                .or_else(|| reported?.counts.filter(|_| run.ended_at.is_some()));
            any_changed |= self.shared.store.record_run(self.id, &run, counts, UnixMillis::now()).await?;
        }
        // At an end, what the steps have committed is recorded.
        let mut readings = Vec::new();
        for run in runs.iter().filter(|run| any_changed && run.ended_at.is_some()) {
            readings.push((&run.run_id, reading(&self.shared.store, &run.run_id).await?));
        }
        let recorded = if any_changed { Some(self.shared.store.runs_of(&[self.id]).await?) } else { None };
        // A fetched file may have another name than its address.
        let row = if any_changed && import.fetched_from.is_some() {
            self.shared.store.import(self.id).await?
        } else {
            None
        };
        self.change(|import| {
            import.answered_at = Some(UnixMillis::now());
            if word != Provenance::Reported {
                import.outage = None;
            }
            if let Some(row) = row {
                import.row_mut().file_name = row.file_name;
            }
            if let Some(recorded) = recorded {
                // A request to cancel may have come during this check. A run that is shown as cancelled since
                // then stays so, and a run that was not shown yet is shown once it has ended.
                let was_shown = |run: &RunRow| import.runs.iter().any(|known| known.row.run_id == run.run_id);
                let is_cancelled = import.row.cancel_requested_at.is_some();
                let shown = |run: &RunRow| !is_cancelled || run.ended_at.is_some() || was_shown(run);
                import.set_runs(recorded.into_iter().filter(shown).collect());
                for (run, reading) in &readings {
                    show_reading(import, run, reading);
                }
            }
            if word == Provenance::Listed {
                let now = UnixMillis::now();
                for known in &mut import.runs {
                    let listed = runs.iter().find(|run| run.run_id == known.row.run_id);
                    if listed.is_some_and(|run| run.status == RunStatus::Scheduled) {
                        known.seen_queued_at = Some(now);
                    }
                    known.is_gone = listed.is_none() && now.since(known.row.queued_at) > LISTED_WITHIN;
                }
            }
        });
        for run in runs {
            if run.ended_at.is_some() {
                // An active call of the run can commit nothing any more.
                self.shared.progress.stop(&run.run_id);
            } else {
                self.shared.progress.accept_reports(&run.run_id);
            }
        }
        Ok(any_changed)
    }

    /// When a queued run left the queue: the engine's time, if the budget allows a request now and the answer
    /// comes at once, otherwise the time at which it was last seen queued.
    async fn started_at(&self, known: &RunSnapshot, run: &Run) -> UnixMillis {
        let said = match self.shared.client.try_turn(self.owner) {
            Some(client) => timeout(START_WITHIN, client.started_at(&run.run_id)).await,
            None => Ok(Ok(None)),
        };
        let said = match said {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => {
                tracing::debug!(run = %run.run_id, %error, "the engine does not say when the run began");
                None
            }
            Err(_) => None,
        };
        let at = said.or(known.seen_queued_at).unwrap_or(known.row.news_at);
        at.max(run.run_started_at).min(run.ended_at.unwrap_or_else(UnixMillis::now))
    }

    /// Loads what the steps of earlier processes have read. Until the next call of our function nothing else
    /// is known, which may take a while if a retry is pending.
    pub(super) async fn recall(&self) -> store::Result<()> {
        let Some(import) = self.snapshot() else { return Ok(()) };
        for run in import.runs.iter().map(|run| &run.row).filter(|run| run.execution.is_some()) {
            let reading = reading(&self.shared.store, &run.run_id).await?;
            self.change(|import| show_reading(import, &run.run_id, &reading));
        }
        Ok(())
    }

    /// An engine that reports something is not silent, unless a poll fails after that.
    pub(super) fn is_heard(&mut self) {
        self.unanswered_since = None;
        self.change(|import| import.outage = None);
    }

    /// The last known state stays, and a lasting silence is shown.
    pub(super) fn unanswered(&mut self, error: &inngest::Error) {
        let now = || (Instant::now(), UnixMillis::now());
        let (began, since) = *self.unanswered_since.get_or_insert_with(now);
        let cause = OutageCause::of(error);
        tracing::debug!(import = %self.id, %error, "a request to the engine failed");
        // A refused key and a rate limit persist, and after a timeout the engine has been silent for that
        // time. Everything else may be temporary.
        let is_lasting = matches!(cause, OutageCause::KeyRefused | OutageCause::Busy)
            || matches!(error, inngest::Error::TimedOut(_));
        if !is_lasting && began.elapsed() < SILENT_AFTER {
            return;
        }
        self.change(|import| {
            let since = match import.outage {
                Some(outage) => outage.since,
                None => {
                    tracing::warn!(import = %self.id, %error, "the engine gives no usable answer");
                    import.answered_at.unwrap_or(since)
                }
            };
            import.outage = Some(EngineOutage { since, cause });
        });
    }
}

/// What the finished steps of a run have read.
pub async fn reading(store: &Store, run: &RunId) -> store::Result<RunReading> {
    let (stretches, front) = (store.stretches(run).await?, store.front(run).await?);
    Ok(RunReading {
        stretches: stretches.map(Arc::new),
        first_rows: front.first_rows.map(Arc::new),
        read_as: front.read_as.map(Arc::new),
    })
}

/// Adds to `listed` what was reported since: an end that the list does not contain yet, and missing runs.
pub(super) fn add_reports(listed: &mut Vec<Run>, reports: Vec<Arc<ReportedRun>>) {
    for run in reports {
        let run = Run::clone(&run);
        match listed.iter_mut().find(|known| known.run_id == run.run_id) {
            Some(known) if known.ended_at.is_none() && run.ended_at.is_some() => {
                (known.status, known.ended_at, known.output) = (run.status, run.ended_at, run.output);
            }
            Some(_) => {}
            None => listed.push(run),
        }
    }
}
