//! The function: what one call does and answers.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::sleep;

use super::{
    FUNCTION_NAME, Processor, RETRIES,
    chain::{self, Copied, Next, RowsResult},
    failure::{FailedCall, FailureReason},
    rows::Task,
    step_slot::StepSlot,
};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::{AboutFile, Counts, Stretches},
    files::{Address, Key},
    inngest::call::{Call, CallError, Op},
    progress::News,
    store::{
        executions::{AttemptError, Execution, FailedAttempt},
        quota::Reservation,
        steps::{Commit, Remarks, Step},
    },
};

/// The pause before a call of a run that a newer version has planned is answered.
const CALLED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The result of a call.
#[derive(Clone, Debug)]
pub enum CallResult {
    /// Finished steps, or none if the call got no turn. The engine calls again.
    Steps(Vec<Op>),
    /// The end.
    Done(Summary),
    /// The call failed. `retry` is None if another call cannot succeed; otherwise it contains the required
    /// pause, if one is known.
    Failed { error: CallError, retry: Option<Option<Duration>> },
}

/// The function's output: `{"status":"success","processedItems":n,"failedItems":m}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    status: &'static str,
    processed_items: u64,
    failed_items: u64,
}

impl From<Counts> for Summary {
    fn from(counts: Counts) -> Self {
        Self { status: "success", processed_items: counts.processed, failed_items: counts.failed }
    }
}

/// Where an event's file is.
enum Source {
    Stored(Key, Box<AboutFile>),
    Elsewhere(Address),
    /// The failed records of that run.
    FailedRowsOf(RunId),
}

impl Processor {
    /// Does the next step of `call`, or reports a step that is committed, or the end.
    ///
    /// Must run to completion. If it is dropped earlier, a step may stay uncommitted, with files that no row
    /// names until the next start.
    pub async fn process_csv_upload(&self, call: &Call) -> CallResult {
        let run = &call.ctx.run_id;
        match self.advance(call).await {
            Ok(answer) => {
                if matches!(answer, CallResult::Done(_)) {
                    self.progress.tell(&call.event.id, News::Soon);
                }
                answer
            }
            Err(FailedCall { why: FailureReason::NoTurn, .. }) => CallResult::Steps(Vec::new()),
            // The engine would count an answer without a step as the end of a retry.
            Err(FailedCall { why: FailureReason::NewerReader, .. }) if call.ctx.attempt == 0 => {
                let _ = self.stopping.run_until_cancelled(sleep(CALLED_AGAIN_AFTER)).await;
                CallResult::Steps(Vec::new())
            }
            Err(FailedCall { why, line }) => {
                let retry = why.is_transient();
                tracing::warn!(%run, attempt = call.ctx.attempt, retry, line, ?why, "a call failed: {why}");
                // A run that has ended or is being cancelled did not fail.
                if !matches!(why, FailureReason::Closed | FailureReason::Stopped) {
                    let is_last = call.ctx.attempt.saturating_add(1) >= max_attempts(call);
                    let error = AttemptError {
                        message: why.to_string(),
                        at: UnixMillis::now(),
                        is_final: is_last || !retry,
                    };
                    self.set_error(run, error).await;
                }
                self.progress.tell(&call.event.id, News::Soon);
                let after = why.retry_after();
                let name = if retry { "Error" } else { "NonRetriableError" };
                let (name, message) = (name.to_owned(), why.to_string());
                let same_again = why.is_same_again();
                let error = CallError { name, message, stack: String::new(), line, same_again };
                CallResult::Failed { error, retry: retry.then_some(after) }
            }
        }
    }

    async fn advance(&self, call: &Call) -> Result<CallResult, FailedCall> {
        let run = &call.ctx.run_id;
        // Checked first: the progress of an ended run is forgotten, and must not be created again.
        if self.store.run_is_closed(run).await? {
            return Err(FailureReason::Closed.into());
        }
        if self.store.event_is_cancelled(&call.event.id).await? {
            return Err(self.cancel(run).await.into());
        }
        self.set_execution(call).await?;
        self.tell_called(call);
        let done = self.store.steps(run).await?;
        let counts = done.iter().fold(Counts::default(), |counts, step| counts.plus(step.counts));
        if let Some(last) = done.last() {
            self.progress.of(run).advance(counts, last.end_byte);
        }
        let stretches = Stretches::sum(done.iter().map(|step| (step.counts, step.stretches.clone())));
        if let Some(stretches) = &stretches {
            self.progress.of(run).set_stretches(stretches.clone());
        }
        let has_rows = counts != Counts::default();
        let next = chain::next(&done, call)?;
        let source = match next {
            Next::First | Next::AfterCopy(_) => Some(self.source(call).await?),
            Next::Tell(_) | Next::Rows { .. } | Next::Done => None,
        };
        let step = match next {
            Next::Tell(step) => step,
            Next::First => match source.ok_or(FailureReason::NoFile)? {
                Source::Stored(source, about) => {
                    let mut slot = StepSlot::wait(self, &self.work, call).await?;
                    let stored = Copied { source, by: Vec::new(), about: *about, position: 0 };
                    self.prepare(call, stored, None, &mut slot).await?
                }
                Source::Elsewhere(address) => {
                    let _slot = StepSlot::wait(self, &self.fetches, call).await?;
                    self.fetch(run, &call.event.id, &address).await?
                }
                Source::FailedRowsOf(of) => {
                    let _slot = StepSlot::wait(self, &self.work, call).await?;
                    self.copy_failed_rows(run, &call.event.id, &of).await?
                }
            },
            Next::AfterCopy(copied) => {
                let from = match source {
                    Some(Source::Elsewhere(address)) => Some(address),
                    Some(Source::Stored(..) | Source::FailedRowsOf(_)) | None => None,
                };
                let mut slot = StepSlot::wait(self, &self.work, call).await?;
                self.prepare(call, copied, from, &mut slot).await?
            }
            Next::Rows { name, plan, position, start, past } => {
                let slot = StepSlot::wait(self, &self.work, call).await?;
                self.progress.of(run).set_plan(plan.read_as(), plan.first_rows.as_ref());
                let task = Task {
                    storage: self.storage.clone(),
                    progress: self.progress.of(run),
                    run: run.clone(),
                    position,
                    start,
                    past,
                    before: counts,
                    stretches_before: stretches.or_else(|| (!has_rows).then(|| Stretches::new(plan.size))),
                    plan,
                    idle: self.work.idle(),
                    long_records: self.large_memory.records.clone(),
                };
                let reservation = self.quota.reserve_for(&call.event.id).await??;
                let rows = self.rows(task, slot, reservation, &call.event.id, name).await;
                rows.map_err(|why| FailedCall { why, line: Some(start.line) })?
            }
            Next::Done => return Ok(CallResult::Done(counts.into())),
        };
        Ok(CallResult::Steps(vec![chain::op(&step)?]))
    }

    /// Cancels a run of a cancelled import: the run is new, or was active when the last process died. Done
    /// before the engine can treat our answer as a failure of the run.
    async fn cancel(&self, run: &RunId) -> FailureReason {
        if let Err(error) = self.engine.cancel(run).await {
            tracing::warn!(%run, %error, "cannot cancel the run yet");
        }
        FailureReason::Stopped
    }

    /// Reads a part of the file's records.
    async fn rows(
        &self,
        mut task: Task,
        mut slot: StepSlot,
        mut reservation: Option<Reservation>,
        event: &EventId,
        name: String,
    ) -> Result<Step, FailureReason> {
        let started_at = UnixMillis::now();
        let (run, position) = (task.run.clone(), task.position);
        let progress = Arc::clone(&task.progress);
        progress.set_total_bytes(task.plan.size);
        let (rows, _at_work) = loop {
            let at_work = progress.begin();
            let run = move || {
                let rows = task.run(&mut slot, reservation);
                (task, slot, rows)
            };
            let rows;
            (task, slot, rows) = tokio::task::spawn_blocking(run).await?;
            match rows {
                Err(FailureReason::MemoryInUse) => drop(at_work),
                rows => break (rows?, at_work),
            }
            slot.wait_for_memory(&self.large_memory.records).await?;
            reservation = self.quota.reserve_for(event).await??;
        };
        let step = Step {
            name,
            position,
            result: serde_json::to_string(&RowsResult {
                counts: rows.counts,
                cursor: rows.end,
                past: rows.past,
            })?,
            counts: rows.counts,
            end_byte: rows.end.byte,
            files: rows.files,
            stretches: Some(rows.stretches),
            started_at,
            committed_at: UnixMillis::now(),
        };
        let remarks = Remarks { reasons: rows.reasons, notes: rows.notes };
        let committed = self.commit(&run, step, &remarks).await;
        drop((rows.reservation, slot));
        committed
    }

    /// Commits a step and returns it, or the step of another execution that was faster.
    pub(super) async fn commit(
        &self,
        run: &RunId,
        step: Step,
        remarks: &Remarks,
    ) -> Result<Step, FailureReason> {
        let keys: Vec<Key> = step.files.clone().into_keys().map(Key::from_stored).collect();
        let (is_ours, result) = match self.store.commit_step(run, &step, remarks).await {
            Ok(Commit::Committed) => (true, Ok(step)),
            Ok(Commit::Lost(winner)) => (false, Ok(*winner)),
            Ok(Commit::Closed) => (false, Err(FailureReason::Closed)),
            // The step may have been committed. If that cannot be determined, the files stay pending, and after the
            // next start those that no row names are quarantined, or deleted from a bucket.
            Err(error) => match self.store.step_after_failure(run, &step.name).await {
                Err(_) => return Err(error.into()),
                Ok(Some(done)) if done.files == step.files => (true, Ok(done)),
                Ok(Some(winner)) => (false, Ok(winner)),
                Ok(None) => (false, Err(error.into())),
            },
        };
        if is_ours {
            keys.iter().for_each(|key| self.storage.settled(key));
        } else if let Err(error) = self.storage.remove_all(keys).await {
            // They are quarantined after the next start; from a bucket a sweep deletes them.
            tracing::warn!(%run, %error, "cannot remove outputs that were not committed");
        }
        result
    }

    /// The file that the event names. A stored file requires a valid link.
    async fn source(&self, call: &Call) -> Result<Source, FailureReason> {
        let file = call.event.data.get("file").and_then(|file| file.as_str()).ok_or(FailureReason::NoFile)?;
        let address: Address = file.parse().map_err(|_| FailureReason::NotAnAddress)?;
        let (path, query) = (address.url().path(), address.url().query().unwrap_or_default());
        if let Some(link) = self.links.verify(path, query, UnixMillis::wall()) {
            let import = self.store.import(link.import).await?;
            return Ok(match import.and_then(|import| import.failed_rows_of) {
                Some(run) => Source::FailedRowsOf(run),
                None => {
                    let about = self.store.about_file(link.import).await?;
                    Source::Stored(Key::upload(link.import), Box::new(about))
                }
            });
        }
        // Signed by us, but expired.
        if self.links.verify(path, query, UnixMillis(0)).is_some() {
            return Err(FailureReason::LinkExpired);
        }
        Ok(Source::Elsewhere(address))
    }

    /// Publishes which run is called, and records the first call and each new attempt.
    async fn set_execution(&self, call: &Call) -> Result<(), FailureReason> {
        let run = &call.ctx.run_id;
        let attempt = call.ctx.attempt.saturating_add(1);
        let known = self.store.execution(run).await?;
        let is_news = known.as_ref().is_none_or(|known| known.attempt != attempt || known.error.is_some());
        let mut earlier = known.as_ref().map(|known| known.earlier.clone()).unwrap_or_default();
        if let Some((known, error)) = known.as_ref().and_then(|known| Some((known, known.error.as_ref()?)))
            && known.attempt < attempt
        {
            earlier.push(FailedAttempt {
                attempt: known.attempt,
                message: error.message.clone(),
                at: error.at,
            });
        }
        let execution = Execution {
            function: FUNCTION_NAME.to_owned(),
            started_at: known.as_ref().map_or_else(UnixMillis::now, |known| known.started_at),
            attempt,
            max_attempts: max_attempts(call),
            // The error of the last attempt is shown until the next attempt begins.
            error: None,
            earlier,
        };
        self.progress.of(run).set_execution(execution.clone());
        if is_news {
            self.store.save_execution(run, &execution).await?;
        }
        Ok(())
    }

    /// Records why the last attempt failed. A failure to record it is only logged.
    async fn set_error(&self, run: &RunId, error: AttemptError) {
        let progress = self.progress.of(run);
        let Some(execution) = progress.now().execution else { return };
        let execution = Execution { error: Some(error), ..Execution::clone(&execution) };
        progress.set_execution(execution.clone());
        if let Err(error) = self.store.save_execution(run, &execution).await {
            tracing::warn!(%run, %error, "cannot record a run's error");
        }
    }
}

/// The number of attempts in all.
fn max_attempts(call: &Call) -> u32 {
    call.ctx.max_attempts.unwrap_or(RETRIES + 1)
}
