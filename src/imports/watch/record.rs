//! What was said of the runs, or was not, and what is recorded and shown of it.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::Watch;
use crate::{
    base::{ids::RunId, time::UnixMillis},
    imports::{EngineOutage, OutageCause, RunReading, RunSnapshot, Snapshot, counts},
    inngest::{self, Run, RunStatus},
    progress::Told,
    store::{self, runs::RunRow},
};

/// Shorter silence is not worth a word.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(3);
/// A list that lacks a run which is known for less long may be older than the run.
const LISTED_WITHIN: Duration = Duration::from_secs(30);
/// A step at work on a run that has ended, as by a cancel, keeps what it had finished; what takes
/// longer than this is not waited for.
const SETTLE_FOR: Duration = Duration::from_secs(1);
/// What is known of a run does not wait longer for the time at which it left the queue.
const START_WITHIN: Duration = Duration::from_millis(200);

/// Where word of runs comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provenance {
    /// The engine or a function told it.
    Told,
    /// The engine was asked for some of them.
    Asked,
    /// The engine has listed all that the event has.
    Listed,
}

/// Shows what the finished steps of `run` have read.
fn show_reading(import: &mut Snapshot, run: &RunId, reading: &RunReading) {
    for known in import.runs.iter_mut().filter(|known| known.row.run_id == *run) {
        known.committed.clone_from(reading);
    }
}

impl Watch {
    /// Records what changed, and shows what is recorded. Whether anything changed.
    pub(super) async fn answered(
        &self,
        import: &Snapshot,
        runs: &[&Run],
        word: Provenance,
    ) -> store::Result<bool> {
        if runs.is_empty() && word == Provenance::Told {
            return Ok(false);
        }
        let mut any_changed = false;
        for run in runs {
            let mut run = Run::clone(run);
            self.shared.names.complete(&mut run);
            if run.ended_at.is_none() && run.status.is_terminal_word() {
                // It sleeps, waits for a retry, or is just about to end.
                run.status = RunStatus::Running;
                run.output = None;
            }
            let known = import.runs.iter().find(|known| known.row.run_id == run.run_id);
            // What runs has left the queue, though a list may be older than what we were told.
            let is_older = run.ended_at.is_none() && run.status == RunStatus::Scheduled;
            if known.is_some_and(|known| {
                known.row.ended_at.is_some()
                    // What the engine tells of a run that it had lost is news.
                    || known.is_as(&run) && (known.row.lost_at.is_none() || word != Provenance::Told)
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
            // What a cancelled run is listed with may be the output of one of its steps.
            let output = run.output.as_ref().filter(|_| run.status != RunStatus::Cancelled);
            let counts = counts::in_output(&self.shared.pointers, output)
                .or_else(|| reported?.counts.filter(|_| run.ended_at.is_some()));
            any_changed |= self.shared.store.record_run(self.id, &run, counts, UnixMillis::now()).await?;
        }
        // What is recorded of an end is what its steps have committed.
        let mut readings = Vec::new();
        for run in runs.iter().filter(|run| any_changed && run.ended_at.is_some()) {
            readings.push((&run.run_id, self.reading(&run.run_id).await?));
        }
        let recorded = if any_changed { Some(self.shared.store.runs_of(&[self.id]).await?) } else { None };
        // What was fetched may have another name than its address.
        let row = if any_changed && import.fetched_from.is_some() {
            self.shared.store.import(self.id).await?
        } else {
            None
        };
        self.change(|import| {
            import.answered_at = Some(UnixMillis::now());
            if word != Provenance::Told {
                import.outage = None;
            }
            if let Some(row) = row {
                import.row_mut().file_name = row.file_name;
            }
            if let Some(recorded) = recorded {
                // The wish to cancel may have come during this look: what says Cancelled since then does
                // not come to life again. A run that nobody knew of is shown once it has ended.
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
                // A call of it that is still at work can commit nothing any more.
                self.shared.progress.stop(&run.run_id);
            } else {
                self.shared.progress.follow(&run.run_id);
            }
        }
        Ok(any_changed)
    }

    /// When a run that was queued left the queue: as the engine says, if there is a question to spare and the
    /// answer comes at once, else when it was last seen waiting.
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

    /// What the steps of the process before have read: until the next call of our function it is all that is
    /// known, and that may be a while when a retry is waited for.
    pub(super) async fn recall(&self) -> store::Result<()> {
        let Some(import) = self.snapshot() else { return Ok(()) };
        for run in import.runs.iter().map(|run| &run.row).filter(|run| run.execution.is_some()) {
            let reading = self.reading(&run.run_id).await?;
            self.change(|import| show_reading(import, &run.run_id, &reading));
        }
        Ok(())
    }

    async fn reading(&self, run: &RunId) -> store::Result<RunReading> {
        let store = &self.shared.store;
        let (stretches, first_rows) = (store.stretches(run).await?, store.first_rows(run).await?);
        let (stretches, first_rows) = (stretches.map(Arc::new), first_rows.map(Arc::new));
        Ok(RunReading { stretches, first_rows })
    }

    /// An engine that tells us something is not silent, unless a question fails after that.
    pub(super) fn is_heard(&mut self) {
        self.unanswered_since = None;
        self.change(|import| import.outage = None);
    }

    /// The last known state stays, and says so once the silence lasts.
    pub(super) fn unanswered(&mut self, error: &inngest::Error) {
        let now = || (Instant::now(), UnixMillis::now());
        let (began, since) = *self.unanswered_since.get_or_insert_with(now);
        let cause = OutageCause::of(error);
        tracing::debug!(import = %self.id, %error, "a question to the engine failed");
        // One that refuses our key, or wants no questions, goes on to do so, and one that lets a question run
        // out of time has been silent for that time. All else may pass.
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

/// Adds to `listed` what was told since: an end that the list does not have yet, and runs that it lacks.
pub(super) fn add_told(listed: &mut Vec<Run>, told: Vec<Arc<Told>>) {
    for run in told {
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
