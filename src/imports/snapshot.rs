//! What is known of an import at one moment; what every panel is made from.

mod run;

use std::{collections::HashMap, fmt};

pub use self::run::{EnginePlan, NextAttempt, Planned, RunSnapshot};
use super::EngineOutage;
use crate::{
    base::{
        ids::{EventId, ImportId, UserId},
        time::UnixMillis,
    },
    files::Address,
    inngest::RunStatus,
    progress::{ProgressRegistry, ProgressSnapshot},
    store::{
        self, Store,
        imports::{ImportRow, Relative, RetryOf},
        runs::RunRow,
    },
};

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
    /// Nothing is left to watch.
    pub finished_at: Option<UnixMillis>,
    /// The engine has listed no run of the event for so long that no function seems to take it.
    pub is_untaken: bool,
    pub runs: Vec<RunSnapshot>,
    /// The engine's last answer.
    pub as_of: Option<UnixMillis>,
    /// Set while the engine does not answer.
    pub outage: Option<EngineOutage>,
    /// The import that this one is a retry of.
    pub parent: Option<Relative>,
    /// The retries of this one: at most one of each kind.
    pub retries: Vec<Relative>,
}

/// Where a file is fetched from, as it may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchedFrom {
    /// With the port, if it is another than the scheme's.
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

/// `data-state` of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// Saved; the event is not confirmed yet.
    Accepted,
    /// The event is confirmed; no run yet.
    Sent,
    /// The engine lists no run 30 s after the event. Not terminal.
    NoFunction,
    /// The same after a day, and terminal. Called `NoFunction`, too.
    GivenUp,
    /// The engine has lost a run, and all others have ended. Terminal unless the engine reports it again; may be
    /// cancelled.
    Lost,
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
            Self::NoFunction | Self::GivenUp => "NoFunction",
            Self::Lost => "Lost",
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
            Self::GivenUp | Self::Lost | Self::Completed | Self::Failed | Self::Cancelled | Self::Skipped => {
                true
            }
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
            finished_at: import.finished_at,
            is_untaken: false,
            as_of: runs.iter().filter_map(|run| run.ended_at).max(),
            outage: None,
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
                run.seen_queued_at = known.seen_queued_at;
                run.plan = known.plan.filter(|_| run.ended_at.is_none());
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
    pub fn with_progress(&self, live: &ProgressRegistry) -> Self {
        self.advanced(self.progress(live))
    }

    /// The progress of the runs that go on, by their place in `runs`.
    pub(super) fn progress(&self, live: &ProgressRegistry) -> Vec<(usize, ProgressSnapshot)> {
        let runs = self.runs.iter().enumerate().filter(|(_, run)| run.ended_at.is_none());
        runs.filter_map(|(place, run)| Some((place, live.now(&run.run_id)?))).collect()
    }

    pub(super) fn advanced(&self, progress: Vec<(usize, ProgressSnapshot)>) -> Self {
        let mut snapshot = self.clone();
        for (place, progress) in progress {
            // What the function tells us is news, too, and newer than the engine's.
            snapshot.as_of = snapshot.as_of.max(progress.heard_at);
            if let Some(name) = &progress.file_name {
                snapshot.file_name = name.to_string();
            }
            snapshot.runs[place].advance(progress);
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
        let state = self.state();
        let mut unended = self.runs.iter().filter(|run| run.ended_at.is_none());
        state.is_final()
            || state == ImportState::NoFunction
            || state == ImportState::Running && unended.all(|run| run.is_gone || run.is_lost(now))
    }

    /// Whether a page that shows it has something to wait for: it is not over, or the engine has yet to confirm
    /// the end of a lost run that the user cancels.
    #[must_use]
    pub fn expects_news(&self) -> bool {
        let state = self.state();
        !state.is_final() || state == ImportState::Lost && self.cancel_requested_at.is_some()
    }

    /// Whether running the failed rows again can end otherwise: our own function alone fails them again.
    #[must_use]
    pub fn may_failed_rows_pass(&self) -> bool {
        self.runs.iter().any(|run| run.call.is_none())
    }

    /// Whether running all of it again must end as it did: our own function has failed, no other takes part,
    /// and it said that the same would come of it.
    #[must_use]
    pub fn is_same_again(&self) -> bool {
        let is_same = |run: &RunSnapshot| {
            run.call.is_some()
                && run
                    .output
                    .as_ref()
                    .and_then(|output| output.failure.as_ref())
                    .is_some_and(|failure| failure.same_again)
        };
        !self.runs.is_empty() && self.runs.iter().all(is_same)
    }

    /// The import's state at this moment, from what is known of its runs.
    #[must_use]
    pub fn state(&self) -> ImportState {
        let ended = |status: &RunStatus| self.runs.iter().any(|run| run.status == *status);
        if self.refused.is_some() {
            ImportState::Failed
        } else if self.runs.is_empty() {
            match self.sent_at {
                _ if self.cancel_requested_at.is_some() => ImportState::Cancelled,
                None => ImportState::Accepted,
                Some(_) if self.finished_at.is_some() => ImportState::GivenUp,
                Some(_) if self.is_untaken => ImportState::NoFunction,
                Some(_) => ImportState::Sent,
            }
        } else if self.runs.iter().any(|run| run.ended_at.or(run.lost_at).is_none()) {
            ImportState::Running
        } else if self.runs.iter().any(|run| run.ended_at.is_none()) {
            ImportState::Lost
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
        let host = address.as_ref().map(Address::host_and_port).unwrap_or_default();
        Self { host, address: address.map(|address| address.without_secrets()).unwrap_or_default() }
    }
}
