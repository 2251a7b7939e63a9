//! What is known of an import at one moment; what every panel is made from.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::Silence;
use crate::{
    csv::{Counts, FirstRows},
    ids::{EventId, ImportId, RunId, UserId},
    inngest::{Run, RunStatus},
    source::Address,
    store::{
        self, Live, Store, Stretches,
        imports::{ImportRow, Relative, RetryOf},
        live::{AttemptError, CallInfo, ProgressNow, Receiving},
        runs::RunRow,
    },
    time::UnixMillis,
};

/// How long after the event was sent "no run yet" is called by its name.
const NO_FUNCTION_AFTER: Duration = Duration::from_secs(30);

/// How long nothing may be heard of a run before that is said.
const LOST_AFTER: Duration = Duration::from_secs(10 * 60);

/// An import and its runs.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub id: ImportId,
    pub owner: UserId,
    /// As the client said; only ever shown.
    pub file_name: String,
    pub size_bytes: u64,
    /// Where it is fetched from; None for an upload, whose size is known.
    pub fetched_from: Option<FetchedFrom>,
    /// First and last byte of the upload.
    pub receiving_at: UnixMillis,
    pub received_at: UnixMillis,
    pub event_id: EventId,
    /// The engine confirmed the event.
    pub sent_at: Option<UnixMillis>,
    /// The engine refused the event for good: why.
    pub refused: Option<String>,
    pub cancel_requested_at: Option<UnixMillis>,
    pub runs: Vec<RunSnapshot>,
    /// The engine's last answer.
    pub as_of: Option<UnixMillis>,
    /// Set while the engine does not answer.
    pub silence: Option<Silence>,
    /// The import that this one is a retry of.
    pub parent: Option<Relative>,
    /// The retries of this one: at most one of each kind.
    pub retries: Vec<Relative>,
}

/// Where a file is fetched from, as it may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchedFrom {
    pub host: String,
    /// Without query, name and password. Its path may open the file: for its owner only.
    pub address: String,
}

/// The host alone, as an [`Address`] is written to a log.
impl fmt::Debug for FetchedFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FetchedFrom({})", self.host)
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct RunSnapshot {
    pub run_id: RunId,
    pub function_id: String,
    /// As the engine calls the function, if it told.
    pub function_name: Option<String>,
    pub status: RunStatus,
    pub queued_at: UnixMillis,
    pub ended_at: Option<UnixMillis>,
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
    /// What our own function told of the run; None for anybody else's.
    pub call: Option<CallInfo>,
    /// What our own function has read, place by place, and the first rows of it. Of a run that has ended the
    /// database knows them, too.
    pub stretches: Option<Arc<Stretches>>,
    pub first_rows: Option<Arc<FirstRows>>,
    /// As the engine said, if it was asked; perhaps of an attempt that has begun since.
    pub next_attempt: Option<NextAttempt>,
    /// Once ended.
    pub output: Option<Value>,
}

/// When an attempt begins that follows a failed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextAttempt {
    /// When the one before failed.
    pub after: UnixMillis,
    pub at: UnixMillis,
}

/// `data-state` of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// Saved; the event is not confirmed yet.
    Accepted,
    /// The event is confirmed; no run yet.
    Sent,
    /// No run for 30 s. Not terminal.
    NoFunction,
    Running,
    Completed,
    Failed,
    Cancelled,
    Skipped,
}

impl ImportState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Sent => "Sent",
            Self::NoFunction => "NoFunction",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Skipped => "Skipped",
        }
    }

    /// Nothing more is expected; a late run may still take it back to `Running`.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled | Self::Skipped => true,
            Self::Accepted | Self::Sent | Self::NoFunction | Self::Running => false,
        }
    }
}

impl Snapshot {
    /// What the database knows of an import and its runs, of one that has no retries.
    #[must_use]
    pub fn new(import: ImportRow, runs: Vec<RunRow>) -> Self {
        let mut snapshot = Self {
            id: import.id,
            owner: import.owner,
            file_name: import.file_name,
            size_bytes: import.size_bytes,
            fetched_from: import.source_url.as_deref().map(FetchedFrom::of),
            receiving_at: import.receiving_at,
            received_at: import.received_at,
            event_id: import.event_id,
            sent_at: import.sent_at,
            refused: import.refused,
            cancel_requested_at: import.cancel_requested_at,
            as_of: runs.iter().filter_map(|run| run.ended_at).max(),
            silence: None,
            parent: import.parent,
            retries: Vec::new(),
            runs: Vec::new(),
        };
        snapshot.set_runs(runs);
        snapshot
    }

    /// Takes over what is recorded of the runs; what only the memory knows of them stays.
    pub fn set_runs(&mut self, recorded: Vec<RunRow>) {
        let known = std::mem::take(&mut self.runs);
        self.runs = recorded.into_iter().map(RunSnapshot::from).collect();
        for run in &mut self.runs {
            // Our function reads the file that was received; others' runs have no progress.
            run.total_bytes = if run.call.is_some() { self.size_bytes } else { 0 };
            if let Some(known) = known.iter().find(|known| known.run_id == run.run_id) {
                run.next_attempt = known.next_attempt;
                run.is_gone = known.is_gone;
                run.stretches.clone_from(&known.stretches);
                run.first_rows.clone_from(&known.first_rows);
            }
        }
    }

    /// Lets go of what is large and, of an import that is over, read from the database when it is shown.
    pub fn forget_readings(&mut self) {
        for run in &mut self.runs {
            (run.stretches, run.first_rows) = (None, None);
        }
    }

    /// Reads the runs and retries of `imports`; the order stays.
    pub async fn load(store: &Store, imports: Vec<ImportRow>) -> store::Result<Vec<Self>> {
        let ids: Vec<ImportId> = imports.iter().map(|import| import.id).collect();
        let mut runs: HashMap<ImportId, Vec<RunRow>> = HashMap::new();
        for run in store.runs_of(&ids).await? {
            runs.entry(run.import).or_default().push(run);
        }
        let mut retries: HashMap<ImportId, Vec<Relative>> = HashMap::new();
        for (parent, retry) in store.retries_of(&ids).await? {
            retries.entry(parent).or_default().push(retry);
        }
        Ok(imports
            .into_iter()
            .map(|import| {
                let runs = runs.remove(&import.id).unwrap_or_default();
                let retries = retries.remove(&import.id).unwrap_or_default();
                Self { retries, ..Self::new(import, runs) }
            })
            .collect())
    }

    /// The same with the progress inside the steps at work.
    #[must_use]
    pub fn with_progress(&self, live: &Live) -> Self {
        let mut snapshot = self.clone();
        for run in snapshot.runs.iter_mut().filter(|run| run.ended_at.is_none()) {
            if let Some(progress) = live.now(&run.run_id) {
                // What the function tells us is news, too, and newer than the engine's.
                snapshot.as_of = snapshot.as_of.max(progress.heard_at);
                run.advance(progress);
            }
        }
        snapshot
    }

    /// The retry of this import that takes `kind` of it, if there is one.
    #[must_use]
    pub fn retry(&self, kind: RetryOf) -> Option<&Relative> {
        self.retries.iter().find(|retry| retry.retry_of == kind)
    }

    /// Whether nothing is to be expected of this import that running it again would double: it is over, or
    /// nobody has taken it, or the engine has lost its runs. (What comes all the same is cancelled.)
    #[must_use]
    pub fn may_run_again(&self, now: UnixMillis) -> bool {
        let state = self.state(now);
        let mut unended = self.runs.iter().filter(|run| run.ended_at.is_none());
        state.is_final()
            || state == ImportState::NoFunction
            || state == ImportState::Running && unended.all(|run| run.is_gone || run.is_lost(now))
    }

    /// When the last thing happened that could have a consequence.
    #[must_use]
    pub fn last_change(&self) -> UnixMillis {
        let ended = self.runs.iter().filter_map(|run| run.ended_at);
        ended.chain(self.sent_at).chain(self.cancel_requested_at).fold(self.received_at, UnixMillis::max)
    }

    /// The import's state at `now`, from what is known of its runs.
    #[must_use]
    pub fn state(&self, now: UnixMillis) -> ImportState {
        let ended = |status: &RunStatus| self.runs.iter().any(|run| run.status == *status);
        if self.refused.is_some() {
            ImportState::Failed
        } else if self.runs.is_empty() {
            match self.sent_at {
                _ if self.cancel_requested_at.is_some() => ImportState::Cancelled,
                None => ImportState::Accepted,
                Some(sent) if now.since(sent) >= NO_FUNCTION_AFTER => ImportState::NoFunction,
                Some(_) => ImportState::Sent,
            }
        } else if self.runs.iter().any(|run| run.ended_at.is_none()) {
            ImportState::Running
        } else if ended(&RunStatus::Failed) {
            ImportState::Failed
        } else if ended(&RunStatus::Cancelled) {
            ImportState::Cancelled
        } else if ended(&RunStatus::Completed) {
            ImportState::Completed
        } else {
            ImportState::Skipped
        }
    }
}

impl FetchedFrom {
    /// Of an address that was checked when it was given.
    fn of(url: &str) -> Self {
        let address = url.parse::<Address>();
        let host = address.as_ref().map(|address| address.host().to_owned()).unwrap_or_default();
        Self { host, address: address.map(|address| address.without_secrets()).unwrap_or_default() }
    }
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
        let waits = self.status == RunStatus::Scheduled && self.call.is_none()
            || self.next_attempt_at().is_some_and(|at| at > now);
        self.ended_at.is_none() && !waits && now.since(self.news_at) >= LOST_AFTER
    }

    /// The run as it ends because it is to be cancelled and the engine does not know it any more.
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

    fn advance(&mut self, progress: ProgressNow) {
        let known = self.counts.unwrap_or_default();
        if let Some(counts) = progress.counts {
            self.counts = Some(Counts {
                processed: known.processed.max(counts.processed),
                failed: known.failed.max(counts.failed),
            });
        }
        self.news_at = progress.heard_at.map_or(self.news_at, |heard| heard.max(self.news_at));
        self.total_rows = progress.total_rows;
        self.bytes = self.bytes.max(progress.bytes);
        if progress.total_bytes > 0 {
            self.total_bytes = progress.total_bytes;
        }
        self.receiving = progress.receiving;
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
            ended_at: row.ended_at,
            news_at: row.news_at,
            is_gone: false,
            counts: row.counts,
            bytes: row.bytes,
            total_bytes: 0,
            total_rows: None,
            receiving: None,
            call: row.call,
            stretches: None,
            first_rows: None,
            next_attempt: None,
            output: row.output,
        }
    }
}
