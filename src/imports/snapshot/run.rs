//! What is known of one run at one moment.

use std::{sync::Arc, time::Duration};

use crate::{
    base::{ids::EventId, time::UnixMillis},
    csv::{Counts, FirstRows, Stretches},
    inngest::{Run, RunStatus},
    progress::{ProgressSnapshot, ReadSince, Receiving},
    store::{
        executions::{AttemptError, Execution},
        runs::RunRow,
    },
};

/// How long nothing may be heard of a run before that is said.
const LOST_AFTER: Duration = Duration::from_secs(10 * 60);

/// One run: what is recorded of it, and what only the memory knows. Its methods say what follows from both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSnapshot {
    /// What the database has of it.
    pub row: Arc<RunRow>,
    /// When the engine last listed it as waiting in its queue.
    pub seen_queued_at: Option<UnixMillis>,
    /// The engine has a list of the event's runs, and this one is not on it any more.
    pub is_gone: bool,
    /// The size of the upload that our own function reads; 0 for a file that is fetched, and for others' functions.
    pub upload_bytes: u64,
    /// What its finished steps have read. Of a run that has ended the database knows it, too.
    pub committed: RunReading,
    /// As the engine said, if it was asked; perhaps of an attempt that has begun since.
    pub next_attempt: Option<NextAttempt>,
    /// What the engine does next for a run of another's function, if it was asked and that is not at once.
    pub plan: Option<EnginePlan>,
    /// What functions have told of it, at the moment of the snapshot. None in the cache, once it has ended, and
    /// where nothing was told.
    pub live: Option<ProgressSnapshot>,
}

/// What our own function has read of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunReading {
    /// Place by place.
    pub stretches: Option<Arc<Stretches>>,
    pub first_rows: Option<Arc<FirstRows>>,
}

/// When an attempt begins that follows a failed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextAttempt {
    /// When the one before failed.
    pub after: UnixMillis,
    pub at: UnixMillis,
}

/// What the engine does next for a run on which no step works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnginePlan {
    pub what: Planned,
    /// When, or until when at most.
    pub at: UnixMillis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// It wakes the run.
    Wake,
    /// It waits for an event.
    Event,
    /// It begins this attempt (1-based).
    Attempt(u32),
}

impl RunSnapshot {
    /// What the database knows of a run of an import whose upload has `upload_bytes`.
    pub(super) fn new(mut row: RunRow, upload_bytes: u64) -> Self {
        // One that lies ahead was written before the clock was set back. The news is from now at the latest.
        row.news_at = row.news_at.min(UnixMillis::now());
        Self {
            seen_queued_at: None,
            is_gone: false,
            // Our function reads the file that was received; others' runs have no progress.
            upload_bytes: if row.execution.is_some() { upload_bytes } else { 0 },
            committed: RunReading::default(),
            next_attempt: None,
            plan: None,
            live: None,
            row: Arc::new(row),
        }
    }

    /// Its row, to be changed: the readers of earlier snapshots keep theirs.
    pub(in crate::imports) fn row_mut(&mut self) -> &mut RunRow {
        Arc::make_mut(&mut self.row)
    }

    /// Whether the engine says of the run what is known already.
    #[must_use]
    pub fn is_as(&self, run: &Run) -> bool {
        let is_named = self.row.function_name.is_some() || run.function_name.is_none();
        self.row.status == run.status && self.row.ended_at == run.ended_at && is_named
    }

    /// Whether so long nothing was heard of the run that the engine may have lost it. One that waits in a
    /// queue, or for its next attempt, is quiet for a reason.
    #[must_use]
    pub fn is_lost(&self, now: UnixMillis) -> bool {
        let waits = self.is_queued() || self.next_attempt_at().is_some_and(|at| at > now);
        self.row.ended_at.is_none()
            && self.plan.is_none()
            && !waits
            && now.since(self.news_at()) >= LOST_AFTER
    }

    /// Whether it waits to begin: in the engine's queue, or called and not yet at its turn. One that has read
    /// something waits between two steps, which is part of its work.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.row.ended_at.is_none()
            && (self.row.status == RunStatus::Scheduled && !self.is_ours()
                || self.is_waiting() && self.bytes() == 0)
    }

    /// Whether a run of another's function that waited in the engine's queue does so no longer, by what is said
    /// of it.
    #[must_use]
    pub fn has_left_queue(&self, said: &Run) -> bool {
        let is_over_unstarted = matches!(said.status, RunStatus::Cancelled | RunStatus::Skipped);
        let is_waiting = self.row.status == RunStatus::Scheduled && !self.is_ours();
        is_waiting && said.status != RunStatus::Scheduled && !is_over_unstarted
    }

    /// When work on it began, as far as is known: the time in a queue is none of it.
    #[must_use]
    pub fn began_at(&self) -> Option<UnixMillis> {
        self.execution().map(|execution| execution.started_at).or(self.row.started_at)
    }

    /// The end of a run that must be cancelled and that the engine does not know any more.
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

    /// Why another attempt is waited for, if one is.
    #[must_use]
    pub fn waits_after(&self) -> Option<&AttemptError> {
        let error = self.execution()?.error.as_ref()?;
        (self.row.ended_at.is_none() && !error.is_final).then_some(error)
    }

    /// When the attempt begins that is waited for, if the engine said.
    #[must_use]
    pub fn next_attempt_at(&self) -> Option<UnixMillis> {
        let failed_at = self.waits_after()?.at;
        self.next_attempt.filter(|next| next.after == failed_at).map(|next| next.at)
    }

    /// None while unknown.
    #[must_use]
    pub fn counts(&self) -> Option<Counts> {
        let Some(told) = self.live.as_ref().and_then(|live| live.counts) else { return self.row.counts };
        let known = self.row.counts.unwrap_or_default();
        Some(Counts { processed: known.processed.max(told.processed), failed: known.failed.max(told.failed) })
    }

    /// Bytes of the file that are read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.bytes).max(self.row.bytes)
    }

    /// Bytes of the file in all; 0 while unknown.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let told = self.live.as_ref().map(|live| live.total_bytes).filter(|bytes| *bytes > 0);
        told.unwrap_or(self.upload_bytes)
    }

    /// Rows in all, as another's function told.
    #[must_use]
    pub fn total_rows(&self) -> Option<u64> {
        self.live.as_ref()?.total_rows
    }

    /// While the file is being fetched.
    #[must_use]
    pub fn receiving(&self) -> Option<Receiving> {
        self.live.as_ref()?.receiving
    }

    /// While our own function reads it.
    #[must_use]
    pub fn read_since(&self) -> Option<ReadSince> {
        self.live.as_ref()?.read_since
    }

    /// When something was last heard of the run.
    #[must_use]
    pub fn news_at(&self) -> UnixMillis {
        let told = self.live.as_ref().and_then(|live| live.heard_at);
        told.map_or(self.row.news_at, |told| told.max(self.row.news_at))
    }

    /// What our own function told of the run; None for anybody else's.
    #[must_use]
    pub fn execution(&self) -> Option<&Execution> {
        let told = self.live.as_ref().and_then(|live| live.execution.as_deref());
        told.or(self.row.execution.as_ref())
    }

    /// Whether it is our own function's, as far as is known: one of its calls has come.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.execution().is_some()
    }

    /// A call of our own function waits for its turn.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.is_waiting)
    }

    /// A step is at work here, or something was heard of one just now: what is counted grows.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.is_active)
    }

    /// What our own function has read, place by place.
    #[must_use]
    pub fn stretches(&self) -> Option<&Stretches> {
        let told = self.live.as_ref().and_then(|live| live.stretches.as_deref());
        let committed = self.committed.stretches.as_deref();
        let rows = |stretches: &Stretches| stretches.total().rows;
        if committed.map(rows) <= told.map(rows) { told } else { committed }
    }

    /// The first rows that our own function has read.
    #[must_use]
    pub fn first_rows(&self) -> Option<&FirstRows> {
        let told = self.live.as_ref().and_then(|live| live.first_rows.as_deref());
        told.or(self.committed.first_rows.as_deref())
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
        // A step that is done again counts from its beginning.
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
