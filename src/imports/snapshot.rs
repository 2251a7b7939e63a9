//! What is known of an import at one moment; what every panel is made from.

mod run;

use std::{collections::HashMap, fmt, sync::Arc};

pub use self::run::{EnginePlan, NextAttempt, Planned, RunReading, RunSnapshot};
use super::EngineOutage;
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    files::Address,
    inngest::RunStatus,
    progress::ProgressRegistry,
    store::{
        self, Store,
        imports::{ImportRow, Relative, RetryOf},
        runs::RunRow,
    },
};

/// An import and its runs. Copying one copies no text: what is large is shared. Equal ones say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What the database has of it.
    pub row: Arc<ImportRow>,
    /// Where it is fetched from; None for an upload, whose size is known.
    pub fetched_from: Option<Arc<FetchedFrom>>,
    /// The engine has listed no run of the event for so long that no function seems to take it.
    pub is_untaken: bool,
    pub runs: Vec<RunSnapshot>,
    /// The engine's last answer.
    pub answered_at: Option<UnixMillis>,
    /// Set while the engine does not answer.
    pub outage: Option<EngineOutage>,
    /// The retries of this one: at most one of each kind.
    pub retries: Arc<Vec<Relative>>,
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
            fetched_from: import.source_url.as_deref().map(FetchedFrom::of).map(Arc::new),
            is_untaken: false,
            answered_at: runs.iter().filter_map(|run| run.ended_at).max(),
            outage: None,
            retries: Arc::default(),
            runs: Vec::new(),
            row: Arc::new(import),
        };
        snapshot.set_runs(runs);
        snapshot
    }

    /// Takes over what is recorded of the runs; what only the memory knows of them stays.
    pub fn set_runs(&mut self, recorded: Vec<RunRow>) {
        let known = std::mem::take(&mut self.runs);
        self.runs = recorded.into_iter().map(|run| RunSnapshot::new(run, self.row.size_bytes)).collect();
        for run in &mut self.runs {
            if let Some(known) = known.iter().find(|known| known.row.run_id == run.row.run_id) {
                run.next_attempt = known.next_attempt;
                run.seen_queued_at = known.seen_queued_at;
                run.plan = known.plan.filter(|_| run.row.ended_at.is_none());
                run.is_gone = known.is_gone;
                run.committed.clone_from(&known.committed);
            }
        }
    }

    /// Its row, to be changed: the readers of earlier snapshots keep theirs.
    pub(super) fn row_mut(&mut self) -> &mut ImportRow {
        Arc::make_mut(&mut self.row)
    }

    /// Drops what the runs have read: once an import is over, its pages read that from the database.
    pub fn forget_readings(&mut self) {
        for run in &mut self.runs {
            run.committed = RunReading::default();
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
                Self { retries: Arc::new(retries), ..Self::new(import, runs) }
            })
            .collect())
    }

    /// The same with the progress inside the steps at work.
    #[must_use]
    pub fn with_progress(&self, progress: &ProgressRegistry) -> Self {
        let mut snapshot = self.clone();
        for run in snapshot.runs.iter_mut().filter(|run| run.row.ended_at.is_none()) {
            run.live = progress.now(&run.row.run_id);
        }
        snapshot
    }

    /// Its name: as the client said, or as the function has learned that fetches it. Only ever shown.
    #[must_use]
    pub fn file_name(&self) -> &str {
        let told = self.runs.iter().rev().find_map(|run| run.live.as_ref()?.file_name.as_deref());
        told.unwrap_or(&self.row.file_name)
    }

    /// When something was last heard of it, of the engine or of a function; before that, the time of the upload's
    /// last byte.
    #[must_use]
    pub fn as_of(&self) -> UnixMillis {
        let told = self.runs.iter().filter_map(|run| run.live.as_ref()?.heard_at).max();
        self.answered_at.max(told).unwrap_or(self.row.received_at)
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
        let mut unended = self.runs.iter().filter(|run| run.row.ended_at.is_none());
        state.is_final()
            || state == ImportState::NoFunction
            || state == ImportState::Running && unended.all(|run| run.is_gone || run.is_lost(now))
    }

    /// Whether a page that shows it has something to wait for: it is not over, or the engine has yet to confirm
    /// the end of a lost run that the user cancels.
    #[must_use]
    pub fn expects_news(&self) -> bool {
        let state = self.state();
        !state.is_final() || state == ImportState::Lost && self.row.cancel_requested_at.is_some()
    }

    /// Whether running the failed rows again can end otherwise: our own function alone fails them again.
    #[must_use]
    pub fn may_failed_rows_pass(&self) -> bool {
        self.runs.iter().any(|run| !run.is_ours())
    }

    /// Whether running all of it again must end as it did: our own function has failed, no other takes part,
    /// and it said that the same would come of it.
    #[must_use]
    pub fn is_same_again(&self) -> bool {
        let is_same = |run: &RunSnapshot| {
            run.is_ours()
                && run
                    .row
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
        let ended = |status: &RunStatus| self.runs.iter().any(|run| run.row.status == *status);
        if self.row.refused.is_some() {
            ImportState::Failed
        } else if self.runs.is_empty() {
            match self.row.sent_at {
                _ if self.row.cancel_requested_at.is_some() => ImportState::Cancelled,
                None => ImportState::Accepted,
                Some(_) if self.row.finished_at.is_some() => ImportState::GivenUp,
                Some(_) if self.is_untaken => ImportState::NoFunction,
                Some(_) => ImportState::Sent,
            }
        } else if self.runs.iter().any(|run| run.row.ended_at.or(run.row.lost_at).is_none()) {
            ImportState::Running
        } else if self.runs.iter().any(|run| run.row.ended_at.is_none()) {
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
