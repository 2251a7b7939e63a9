//! One watcher per event: asks the engine for its runs, records what changes, and stops when nothing
//! more is to come. However many tabs are open, the engine is asked by this watcher only.
//!
//! News arrives two ways. A nudge (our own function was called, or answers) makes the watcher ask at
//! once; paced polling is the net under it, so that a lost nudge costs latency only.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{ImportState, NextAttempt, Shared, Snapshot};
use crate::{
    csv::Counts,
    ids::{EventId, ImportId, UserId},
    inngest::{self, Run},
    store::{self, runs::RunRow},
    time::UnixMillis,
};

/// After a nudge the answer is about to change: look often, for a moment.
const EAGER_PACE: Duration = Duration::from_millis(50);
const EAGER_FOR: Duration = Duration::from_secs(1);
/// While a run goes on or is about to start.
const PACE: Duration = Duration::from_secs(1);
/// The same once nothing has changed for a minute: our own function nudges, and others can wait.
const SLOW_PACE: Duration = Duration::from_secs(5);
const SLOW_AFTER: Duration = Duration::from_secs(60);
/// While nobody takes the event.
const IDLE_PACE: Duration = Duration::from_secs(10);
/// While the event is unsent the outbox nudges; this is the net.
const UNSENT_PACE: Duration = Duration::from_secs(5);
/// A run of a second function may appear after the first has ended.
const LATE_RUNS: Duration = Duration::from_secs(10);
/// A cancelled event that was perhaps sent: how long a run of it may still appear.
const LATE_RUNS_OF_CANCELLED: Duration = Duration::from_secs(30);
/// An event that nobody takes is given up after this.
const NO_RUN_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Shorter silence is not worth a word.
const SILENT_AFTER: Duration = Duration::from_secs(3);

/// A step at work on a run that has ended, as by a cancel, keeps what it had finished; what takes
/// longer than this is not waited for.
const SETTLE_FOR: Duration = Duration::from_secs(1);
/// How often the engine is asked for the time of an attempt: it may hear of the failed one later than
/// we do.
const QUESTIONS: u32 = 30;

/// What one look came to.
enum Outcome {
    /// Look again after this, or when nudged.
    Again(Duration),
    /// Nothing more is to come; recorded.
    Over,
}

struct Watch {
    shared: Arc<Shared>,
    owner: UserId,
    id: ImportId,
    /// The first of the failed questions since the last answer.
    unanswered_since: Option<UnixMillis>,
    /// The failure after which the next attempt's time was asked for last, and how often.
    asked: Option<(UnixMillis, u32)>,
}

/// Watches one import until it is over or the server stops.
pub async fn run(shared: Arc<Shared>, owner: UserId, id: ImportId) {
    let shutdown = shared.shutdown.clone();
    let mut watch = Watch { shared, owner, id, unanswered_since: None, asked: None };
    let mut nudge: Option<(EventId, Arc<Notify>)> = None;
    let mut eager_until = Instant::now();
    while let Some(import) = watch.snapshot() {
        // The engine may have confirmed the event under another id than expected.
        if nudge.as_ref().is_none_or(|(event, _)| *event != import.event_id) {
            watch.unwatch(nudge.take());
            nudge = Some((import.event_id.clone(), watch.shared.live.watch(&import.event_id)));
        }
        let Some(outcome) = shutdown.run_until_cancelled(watch.look(&import)).await else { break };
        let pause = match outcome {
            Ok(Outcome::Again(pause)) if Instant::now() < eager_until => pause.min(EAGER_PACE),
            Ok(Outcome::Again(pause)) => pause,
            Ok(Outcome::Over) => break,
            Err(error) => {
                tracing::error!(import = %id, %error, "watch");
                IDLE_PACE
            }
        };
        let nudged = async {
            match &nudge {
                Some((_, notify)) => notify.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = nudged => eager_until = Instant::now() + EAGER_FOR,
            () = sleep(pause) => {}
        }
    }
    watch.unwatch(nudge);
}

impl Watch {
    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.shared.board.get(self.owner, self.id)
    }

    fn unwatch(&self, nudge: Option<(EventId, Arc<Notify>)>) {
        if let Some((event, _)) = nudge {
            self.shared.live.unwatch(&event);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) -> Option<Arc<Snapshot>> {
        self.shared.board.change(self.owner, self.id, change)
    }

    /// One look at the event and its runs.
    async fn look(&mut self, import: &Snapshot) -> store::Result<Outcome> {
        let cancelled = import.cancel_requested_at.is_some();
        if import.sent_at.is_none() && !cancelled {
            return self.look_at_outbox().await;
        }
        match self.shared.client.event_runs(&import.event_id).await {
            Ok(mut runs) => {
                let unended: Vec<Run> = match cancelled {
                    true => runs.extract_if(.., |run| run.ended_at.is_none()).collect(),
                    false => Vec::new(),
                };
                self.answered(import, &runs).await?;
                if !unended.is_empty() {
                    // Recorded once they have ended.
                    self.cancel_unended(&unended).await;
                    return Ok(Outcome::Again(PACE));
                }
                if !cancelled {
                    self.ask_for_next_attempts().await;
                }
            }
            Err(error) => {
                // It is not over before the engine has said so.
                self.unanswered(&error);
                return Ok(Outcome::Again(if self.is_silent() { IDLE_PACE } else { PACE }));
            }
        }
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        self.what_next(&import).await
    }

    /// Whether the outbox has sent the event meanwhile.
    async fn look_at_outbox(&self) -> store::Result<Outcome> {
        let Some(row) = self.shared.store.import(self.id).await? else { return Ok(Outcome::Over) };
        let over = row.refused.is_some();
        let sent = row.sent_at.is_some();
        self.change(|import| {
            import.sent_at = row.sent_at;
            import.event_id = row.event_id;
            import.refused = row.refused;
        });
        if over {
            self.shared.board.retire(self.owner, self.id);
            return Ok(Outcome::Over);
        }
        Ok(Outcome::Again(if sent { Duration::ZERO } else { UNSENT_PACE }))
    }

    /// Records what changed, and shows what is recorded.
    async fn answered(&mut self, import: &Snapshot, runs: &[Run]) -> store::Result<()> {
        self.unanswered_since = None;
        let mut any_changed = false;
        for run in runs {
            let known = import.runs.iter().find(|known| known.run_id == run.run_id);
            if known.is_some_and(|known| known.ended_at.is_some() || known.is_as(run)) {
                continue;
            }
            if run.ended_at.is_some() {
                self.shared.live.settle(&run.run_id, SETTLE_FOR).await;
            }
            self.shared.store.record_run(self.id, run, output_counts(run)).await?;
            any_changed = true;
        }
        let recorded = if any_changed { Some(self.shared.store.runs_of(&[self.id]).await?) } else { None };
        self.change(|import| {
            import.as_of = Some(UnixMillis::now());
            import.silent_since = None;
            if let Some(recorded) = recorded {
                // The wish to cancel may have come during this look: what says Cancelled since then does
                // not come to life again. A run that nobody knew of is shown once it has ended.
                let was_shown = |run: &RunRow| import.runs.iter().any(|known| known.run_id == run.run_id);
                let is_cancelled = import.cancel_requested_at.is_some();
                let shown = |run: &RunRow| !is_cancelled || run.ended_at.is_some() || was_shown(run);
                import.set_runs(recorded.into_iter().filter(shown).collect());
            }
        });
        for run in runs.iter().filter(|run| run.ended_at.is_some()) {
            // A call of it that is still at work can commit nothing any more.
            self.shared.live.stop(&run.run_id);
        }
        Ok(())
    }

    /// The last known state stays, and says so once the silence lasts.
    fn unanswered(&mut self, error: &inngest::Error) {
        let now = UnixMillis::now();
        let since = *self.unanswered_since.get_or_insert(now);
        tracing::debug!(import = %self.id, %error, "the engine did not answer");
        if now.since(since) >= SILENT_AFTER {
            self.change(|import| {
                if import.silent_since.is_none() {
                    tracing::warn!(import = %self.id, %error, "the engine does not answer");
                    import.silent_since = Some(import.as_of.unwrap_or(since));
                }
            });
        }
    }

    /// Asks when the attempts begin that are waited for, unless it is known.
    async fn ask_for_next_attempts(&mut self) {
        let Some(import) = self.snapshot() else { return };
        let import = import.with_progress(&self.shared.live);
        let mut unknown = import.runs.iter().filter(|run| run.next_attempt_at().is_none());
        let waiting = unknown.find_map(|run| Some((run, run.call.as_ref()?, run.waits_after()?)));
        let Some((run, call, failure)) = waiting else { return };
        let before = self.asked.filter(|(after, _)| *after == failure.at).map_or(0, |(_, times)| times);
        if before >= QUESTIONS {
            return;
        }
        self.asked = Some((failure.at, before + 1));
        match self.shared.client.jobs(&run.run_id).await {
            Ok(jobs) => {
                // 0-based there, 1-based here: the number of the attempt that failed is that of the next.
                let Some(job) = jobs.iter().find(|job| job.attempt == call.attempt) else { return };
                let next = NextAttempt { after: failure.at, at: job.at };
                self.change(|import| {
                    if let Some(known) = import.runs.iter_mut().find(|known| known.run_id == run.run_id) {
                        known.next_attempt = Some(next);
                    }
                });
            }
            Err(error) => {
                // Not every server knows this question, and the run's state is worth more.
                tracing::debug!(run = %run.run_id, %error, "the engine does not say when it tries again");
                self.asked = Some((failure.at, QUESTIONS));
            }
        }
    }

    /// The engine first: to it a step that stops has failed, and before it knows of the wish it might
    /// call that the run's last failure.
    async fn cancel_unended(&self, runs: &[Run]) {
        for run in runs {
            match self.shared.client.cancel(&run.run_id).await {
                Ok(()) => self.shared.live.stop(&run.run_id),
                Err(error) => {
                    tracing::warn!(run = %run.run_id, %error, "the run could not be cancelled yet");
                }
            }
        }
    }

    fn is_silent(&self) -> bool {
        self.snapshot().is_some_and(|import| import.silent_since.is_some())
    }

    async fn what_next(&self, import: &Snapshot) -> store::Result<Outcome> {
        let now = UnixMillis::now();
        let state = import.state(now);
        if !state.is_final() {
            let pace = match state {
                ImportState::NoFunction => IDLE_PACE,
                _ if now.since(import.last_change()) >= SLOW_AFTER => SLOW_PACE,
                _ => PACE,
            };
            let given_up = import.runs.is_empty() && now.since(import.received_at) >= NO_RUN_FOR;
            if !given_up {
                return Ok(Outcome::Again(pace));
            }
        } else if now.since(import.last_change()) < late_runs(import) {
            return Ok(Outcome::Again(PACE));
        }
        self.shared.store.finish_import(self.id, now).await?;
        // Not before: whoever reads a snapshot from before the end still adds the progress to it, and
        // counts are not to fall.
        for run in &import.runs {
            self.shared.live.forget(&run.run_id);
        }
        self.shared.board.retire(self.owner, self.id);
        Ok(Outcome::Over)
    }
}

fn late_runs(import: &Snapshot) -> Duration {
    if import.runs.is_empty() { LATE_RUNS_OF_CANCELLED } else { LATE_RUNS }
}

/// The counts that a function's output tells: `processedItems` and `failedItems`.
fn output_counts(run: &Run) -> Option<Counts> {
    let output = run.output.as_ref()?;
    Some(Counts {
        processed: output.get("processedItems")?.as_u64()?,
        failed: output.get("failedItems")?.as_u64()?,
    })
}
