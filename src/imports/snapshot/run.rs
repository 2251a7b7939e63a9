//! The known state of one run at one moment.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    base::{ids::EventId, time::UnixMillis},
    csv::{Counts, FirstRows, ReadAs, Stretches},
    inngest::{Run, RunStatus},
    progress::{ProgressSnapshot, ReadSince, Receiving},
    store::{
        executions::{AttemptError, Execution},
        runs::RunRow,
    },
};

/// After this time without news the page says that there is none.
const LOST_AFTER: Duration = Duration::from_secs(10 * 60);

/// One run. The methods combine its row with the state that is only in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSnapshot {
    /// The row in the database.
    pub row: Arc<RunRow>,
    /// When the engine last listed the run as queued.
    pub seen_queued_at: Option<UnixMillis>,
    /// The engine's list of the event's runs no longer contains this run.
    pub is_gone: bool,
    /// The size of the upload that our own function reads. 0 for a fetched file, and for another function's run.
    pub upload_bytes: u64,
    /// What the finished steps have read. For a run that has ended it is also in the database.
    pub committed: RunReading,
    /// The engine's answer about the next attempt. That attempt may have begun in the meantime.
    pub next_attempt: Option<NextAttempt>,
    /// What the engine plans for the run of another function, unless that is immediate or unknown.
    pub plan: Option<EnginePlan>,
    /// What functions have reported until the moment of the snapshot. None in the cache, after the end of the run,
    /// and if nothing was reported.
    pub live: Option<ProgressSnapshot>,
}

/// What our own function has read of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunReading {
    /// The rows of each stretch of the file.
    pub stretches: Option<Arc<Stretches>>,
    pub first_rows: Option<Arc<FirstRows>>,
    /// None if an earlier version planned the run.
    pub read_as: Option<Arc<ReadAs>>,
}

/// When the attempt after a failed one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextAttempt {
    /// When the previous attempt failed.
    pub after: UnixMillis,
    pub at: UnixMillis,
}

/// What the engine does next for a run without an active step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnginePlan {
    pub what: Planned,
    /// The time of it; for [`Planned::Event`] the latest time.
    pub at: UnixMillis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Planned {
    /// The run wakes up.
    Wake,
    /// The run waits for an event.
    Event,
    /// This attempt (1-based) begins.
    Attempt(u32),
}

impl RunSnapshot {
    /// A run from its row; `upload_bytes` is the size of the import's upload.
    pub(super) fn new(mut row: RunRow, upload_bytes: u64) -> Self {
        // A time in the future was recorded before the clock was set back.
        row.news_at = row.news_at.min(UnixMillis::now());
        Self {
            seen_queued_at: None,
            is_gone: false,
            // Only our own function is known to read the upload.
            upload_bytes: if row.execution.is_some() { upload_bytes } else { 0 },
            committed: RunReading::default(),
            next_attempt: None,
            plan: None,
            live: None,
            row: Arc::new(row),
        }
    }

    /// The row, for a change. Copies of this snapshot keep the row that they have.
    pub(in crate::imports) fn row_mut(&mut self) -> &mut RunRow {
        Arc::make_mut(&mut self.row)
    }

    /// Whether `run`, as the engine reports it, says nothing new.
    #[must_use]
    pub fn is_as(&self, run: &Run) -> bool {
        let is_named = self.row.function_name.is_some() || run.function_name.is_none();
        self.row.status == run.status && self.row.ended_at == run.ended_at && is_named
    }

    /// Whether there was no news for so long that the engine may have lost the run. A run that is queued, or waits
    /// for its next attempt, has no news to give.
    #[must_use]
    pub fn is_lost(&self, now: UnixMillis) -> bool {
        let waits = self.is_queued() || self.next_attempt_at().is_some_and(|at| at > now);
        self.row.ended_at.is_none()
            && self.plan.is_none()
            && !waits
            && now.since(self.news_at()) >= LOST_AFTER
    }

    /// Whether the run waits to begin: in the engine's queue, or in a call that waits for a slot. A run that has
    /// read something only waits between two steps, and is not queued.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.row.ended_at.is_none()
            && (self.row.status == RunStatus::Scheduled && !self.is_ours()
                || self.is_waiting() && self.bytes() == 0)
    }

    /// Whether `said` shows that this run of another function has left the engine's queue.
    #[must_use]
    pub fn has_left_queue(&self, said: &Run) -> bool {
        let is_over_unstarted = matches!(said.status, RunStatus::Cancelled | RunStatus::Skipped);
        let is_waiting = self.row.status == RunStatus::Scheduled && !self.is_ours();
        is_waiting && said.status != RunStatus::Scheduled && !is_over_unstarted
    }

    /// When the run began, without its time in a queue; None if that is unknown.
    #[must_use]
    pub fn began_at(&self) -> Option<UnixMillis> {
        self.execution().map(|execution| execution.started_at).or(self.row.started_at)
    }

    /// The end of a cancelled run that the engine no longer knows.
    #[must_use]
    pub fn cancelled(&self, event: &EventId, now: UnixMillis) -> Run {
        Run {
            run_id: self.row.run_id.clone(),
            function_id: self.row.function_id.clone(),
            function_name: self.row.function_name.clone(),
            event_id: event.clone(),
            status: RunStatus::Cancelled,
            run_started_at: self.row.queued_at,
            ended_at: Some(now),
            output: None,
        }
    }

    /// The error of the last attempt, if another attempt follows.
    #[must_use]
    pub fn waits_after(&self) -> Option<&AttemptError> {
        let error = self.execution()?.error.as_ref()?;
        (self.row.ended_at.is_none() && !error.is_final).then_some(error)
    }

    /// When the next attempt begins, if one follows and the engine said when.
    #[must_use]
    pub fn next_attempt_at(&self) -> Option<UnixMillis> {
        let failed_at = self.waits_after()?.at;
        self.next_attempt.filter(|next| next.after == failed_at).map(|next| next.at)
    }

    /// The processed and failed rows; None while unknown.
    #[must_use]
    pub fn counts(&self) -> Option<Counts> {
        let Some(told) = self.live.as_ref().and_then(|live| live.counts) else { return self.row.counts };
        let known = self.row.counts.unwrap_or_default();
        Some(Counts { processed: known.processed.max(told.processed), failed: known.failed.max(told.failed) })
    }

    /// The bytes of the file that are read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.bytes).max(self.row.bytes)
    }

    /// The size of the file; 0 while unknown.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let told = self.live.as_ref().map(|live| live.total_bytes).filter(|bytes| *bytes > 0);
        told.unwrap_or(self.upload_bytes)
    }

    /// The number of rows of the file, as another function reported it.
    #[must_use]
    pub fn total_rows(&self) -> Option<u64> {
        self.live.as_ref()?.total_rows
    }

    /// Set while the file is being fetched, unpacked or decoded.
    #[must_use]
    pub fn receiving(&self) -> Option<Receiving> {
        self.live.as_ref()?.receiving
    }

    /// Set while our own function reads the file.
    #[must_use]
    pub fn read_since(&self) -> Option<ReadSince> {
        self.live.as_ref()?.read_since
    }

    /// The time of the last news of the run.
    #[must_use]
    pub fn news_at(&self) -> UnixMillis {
        let told = self.live.as_ref().and_then(|live| live.heard_at);
        told.map_or(self.row.news_at, |told| told.max(self.row.news_at))
    }

    /// What our own function reported of the run; None for another function's run.
    #[must_use]
    pub fn execution(&self) -> Option<&Execution> {
        let told = self.live.as_ref().and_then(|live| live.execution.as_deref());
        told.or(self.row.execution.as_ref())
    }

    /// Whether our own function was called for the run.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.execution().is_some()
    }

    /// Whether a call of our own function waits for a slot.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.is_waiting)
    }

    /// Whether a step is active in this process, or reported a moment ago: the counts are growing.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.is_active)
    }

    /// The stretches of the file that our own function has read.
    #[must_use]
    pub fn stretches(&self) -> Option<&Stretches> {
        let told = self.live.as_ref().and_then(|live| live.stretches.as_deref());
        let committed = self.committed.stretches.as_deref();
        let rows = |stretches: &Stretches| stretches.total().rows;
        if committed.map(rows) <= told.map(rows) { told } else { committed }
    }

    /// The first rows of the file, once our own function has read them.
    #[must_use]
    pub fn first_rows(&self) -> Option<&FirstRows> {
        let told = self.live.as_ref().and_then(|live| live.first_rows.as_deref());
        told.or(self.committed.first_rows.as_deref())
    }

    /// How our own function reads the file, once that is determined.
    #[must_use]
    pub fn read_as(&self) -> Option<&ReadAs> {
        let told = self.live.as_ref().and_then(|live| live.read_as.as_deref());
        told.or(self.committed.read_as.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ImportId;

    fn running(news_at: UnixMillis) -> RunSnapshot {
        let row = RunRow {
            run_id: "r".to_owned().into(),
            import: ImportId::generate(),
            function_id: "f".to_owned(),
            function_name: None,
            status: RunStatus::Running,
            queued_at: news_at,
            started_at: None,
            ended_at: None,
            lost_at: None,
            news_at,
            counts: None,
            bytes: 1,
            output: None,
            execution: None,
        };
        RunSnapshot::new(row, 0)
    }

    #[test]
    fn news_that_lies_ahead_as_after_a_clock_was_set_back_is_from_now() {
        let run = running(UnixMillis::now().plus(Duration::from_secs(3_600)));
        let now = UnixMillis::now();
        assert!(run.news_at() <= now);
        assert!(!run.is_lost(now) && run.is_lost(now.plus(LOST_AFTER)));
        assert!(!run.is_lost(UnixMillis(i64::MIN)), "a negative span is none");
    }

    #[test]
    fn what_a_function_has_told_adds_to_what_is_recorded_and_takes_nothing_back() {
        let mut run = running(UnixMillis(1));
        let row = Arc::make_mut(&mut run.row);
        (row.counts, row.bytes) = (Some(Counts { processed: 5, failed: 1 }), 60);
        let told = |processed, failed, bytes| ProgressSnapshot {
            counts: Some(Counts { processed, failed }),
            bytes,
            heard_at: Some(UnixMillis(2)),
            ..ProgressSnapshot::default()
        };
        // A repeated step counts from its beginning.
        run.live = Some(told(3, 0, 40));
        assert_eq!((run.counts(), run.bytes()), (Some(Counts { processed: 5, failed: 1 }), 60));
        run.live = Some(told(9, 1, 90));
        assert_eq!((run.counts(), run.bytes()), (Some(Counts { processed: 9, failed: 1 }), 90));
        assert_eq!(run.news_at(), UnixMillis(2));
        assert!(!run.is_ours(), "another's function told it");
        run.live = None;
        assert_eq!((run.counts(), run.bytes()), (Some(Counts { processed: 5, failed: 1 }), 60));
    }
}
