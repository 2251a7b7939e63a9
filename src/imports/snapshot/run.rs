//! What is known of one run at one moment.

use std::{sync::Arc, time::Duration};

use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::{Counts, FirstRows, Stretches},
    inngest::{Run, RunOutput, RunStatus},
    progress::{ProgressSnapshot, ReadSince, Receiving},
    store::{
        executions::{AttemptError, Execution},
        runs::RunRow,
    },
};

/// How long nothing may be heard of a run before that is said.
const LOST_AFTER: Duration = Duration::from_secs(10 * 60);

/// One run.
#[derive(Clone, Debug)]
pub struct RunSnapshot {
    pub run_id: RunId,
    pub function_id: String,
    /// As the engine calls the function, if it told.
    pub function_name: Option<String>,
    pub status: RunStatus,
    pub queued_at: UnixMillis,
    /// When it left the engine's queue, if it was seen waiting there.
    pub started_at: Option<UnixMillis>,
    /// When the engine last listed it as waiting there.
    pub seen_queued_at: Option<UnixMillis>,
    pub ended_at: Option<UnixMillis>,
    /// The engine was found to have lost the run then: it goes on with it no more.
    pub lost_at: Option<UnixMillis>,
    /// When something was last heard of the run.
    pub news_at: UnixMillis,
    /// The engine has a list of the event's runs, and this one is not on it any more.
    pub is_gone: bool,
    /// None while unknown.
    pub counts: Option<Counts>,
    /// Bytes of the file read, and in all (0 while unknown).
    pub bytes: u64,
    pub total_bytes: u64,
    /// Rows in all, as another's function told.
    pub total_rows: Option<u64>,
    /// While the file is being fetched.
    pub receiving: Option<Receiving>,
    /// While our own function reads it.
    pub read_since: Option<ReadSince>,
    /// What our own function told of the run; None for anybody else's.
    pub call: Option<Execution>,
    /// A call of our own function waits for its turn.
    pub is_waiting: bool,
    /// What our own function has read, place by place, and the first rows of it. Of a run that has ended the
    /// database knows them, too.
    pub stretches: Option<Arc<Stretches>>,
    pub first_rows: Option<Arc<FirstRows>>,
    /// As the engine said, if it was asked; perhaps of an attempt that has begun since.
    pub next_attempt: Option<NextAttempt>,
    /// What the engine does next for a run of another's function, if it was asked and that is not at once.
    pub plan: Option<EnginePlan>,
    /// A step is at work here, or something was heard of one just now: what is counted grows.
    pub is_active: bool,
    /// Once ended.
    pub output: Option<RunOutput>,
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
    /// Whether the engine says of the run what is known already.
    #[must_use]
    pub fn is_as(&self, run: &Run) -> bool {
        let is_named = self.function_name.is_some() || run.function_name.is_none();
        self.status == run.status && self.ended_at == run.ended_at && is_named
    }

    /// Whether so long nothing was heard of the run that the engine may have lost it. One that waits in a
    /// queue, or for its next attempt, is quiet for a reason.
    #[must_use]
    pub fn is_lost(&self, now: UnixMillis) -> bool {
        let waits = self.is_queued() || self.next_attempt_at().is_some_and(|at| at > now);
        self.ended_at.is_none() && self.plan.is_none() && !waits && now.since(self.news_at) >= LOST_AFTER
    }

    /// Whether it waits to begin: in the engine's queue, or called and not yet at its turn. One that has read
    /// something waits between two steps, which is part of its work.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        let is_called = self.call.is_some();
        self.ended_at.is_none()
            && (self.status == RunStatus::Scheduled && !is_called || self.is_waiting && self.bytes == 0)
    }

    /// Whether a run of another's function that waited in the engine's queue does so no longer, by what is said
    /// of it.
    #[must_use]
    pub fn has_left_queue(&self, said: &Run) -> bool {
        let is_over_unstarted = matches!(said.status, RunStatus::Cancelled | RunStatus::Skipped);
        let is_waiting = self.status == RunStatus::Scheduled && self.call.is_none();
        is_waiting && said.status != RunStatus::Scheduled && !is_over_unstarted
    }

    /// When work on it began, as far as is known: the time in a queue is none of it.
    #[must_use]
    pub fn began_at(&self) -> Option<UnixMillis> {
        self.call.as_ref().map(|call| call.started_at).or(self.started_at)
    }

    /// The end of a run that must be cancelled and that the engine does not know any more.
    #[must_use]
    pub fn cancelled(&self, event: &EventId, now: UnixMillis) -> Run {
        Run {
            run_id: self.run_id.clone(),
            function_id: self.function_id.clone(),
            function_name: self.function_name.clone(),
            event_id: event.clone(),
            status: RunStatus::Cancelled,
            run_started_at: self.queued_at,
            ended_at: Some(now),
            output: None,
        }
    }

    /// Why another attempt is waited for, if one is.
    #[must_use]
    pub fn waits_after(&self) -> Option<&AttemptError> {
        let error = self.call.as_ref()?.error.as_ref()?;
        (self.ended_at.is_none() && !error.is_final).then_some(error)
    }

    /// When the attempt begins that is waited for, if the engine said.
    #[must_use]
    pub fn next_attempt_at(&self) -> Option<UnixMillis> {
        let failed_at = self.waits_after()?.at;
        self.next_attempt.filter(|next| next.after == failed_at).map(|next| next.at)
    }

    pub(super) fn advance(&mut self, progress: ProgressSnapshot) {
        let known = self.counts.unwrap_or_default();
        if let Some(counts) = progress.counts {
            self.counts = Some(Counts {
                processed: known.processed.max(counts.processed),
                failed: known.failed.max(counts.failed),
            });
        }
        self.news_at = progress.heard_at.map_or(self.news_at, |heard| heard.max(self.news_at));
        self.total_rows = progress.total_rows;
        self.is_active = progress.is_active;
        self.bytes = self.bytes.max(progress.bytes);
        if progress.total_bytes > 0 {
            self.total_bytes = progress.total_bytes;
        }
        self.receiving = progress.receiving;
        self.read_since = progress.read_since;
        self.is_waiting = progress.is_waiting;
        self.call = progress.call.or(self.call.take());
        let rows = |stretches: &Arc<Stretches>| stretches.total().rows;
        if self.stretches.as_ref().map(rows) <= progress.stretches.as_ref().map(rows) {
            self.stretches = progress.stretches;
        }
        self.first_rows = progress.first_rows.or(self.first_rows.take());
    }
}

impl From<RunRow> for RunSnapshot {
    fn from(row: RunRow) -> Self {
        Self {
            run_id: row.run_id,
            function_id: row.function_id,
            function_name: row.function_name,
            status: row.status,
            queued_at: row.queued_at,
            started_at: row.started_at,
            seen_queued_at: None,
            ended_at: row.ended_at,
            lost_at: row.lost_at,
            // One that lies ahead was written before the clock was set back. The news is from now at the latest.
            news_at: row.news_at.min(UnixMillis::now()),
            is_gone: false,
            counts: row.counts,
            bytes: row.bytes,
            total_bytes: 0,
            total_rows: None,
            receiving: None,
            read_since: None,
            is_waiting: false,
            call: row.call,
            stretches: None,
            first_rows: None,
            next_attempt: None,
            plan: None,
            is_active: false,
            output: row.output,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ImportId;

    fn running(news_at: UnixMillis) -> RunSnapshot {
        RunSnapshot::from(RunRow {
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
            call: None,
        })
    }

    #[test]
    fn news_that_lies_ahead_as_after_a_clock_was_set_back_is_from_now() {
        let run = running(UnixMillis::now().plus(Duration::from_secs(3_600)));
        let now = UnixMillis::now();
        assert!(run.news_at <= now);
        assert!(!run.is_lost(now) && run.is_lost(now.plus(LOST_AFTER)));
        assert!(!run.is_lost(UnixMillis(i64::MIN)), "a negative span is none");
    }
}
