//! The known state of an import at one moment. Every page about an import is made from one.

mod run;
mod unrecorded;

use std::{collections::HashMap, fmt, sync::Arc};

pub use self::run::{EnginePlan, NextAttempt, Planned, RunReading, RunSnapshot};
pub(super) use self::unrecorded::Unrecorded;
use super::EngineOutage;
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    csv::Choices,
    files::{Address, ShareLink},
    inngest::RunStatus,
    progress::ProgressRegistry,
    store::{
        self, Store,
        imports::{ImportRow, Relative, RetryOf},
        runs::RunRow,
    },
};

/// An import and its runs. A copy shares the rows and everything large. Equal snapshots give equal pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The row in the database.
    pub row: Arc<ImportRow>,
    /// Where the file is fetched from; None for an upload.
    pub fetched_from: Option<Arc<FetchedFrom>>,
    /// The engine has listed no run of the event for so long that probably no function takes it.
    pub is_untaken: bool,
    pub runs: Vec<RunSnapshot>,
    /// When the engine last answered.
    pub answered_at: Option<UnixMillis>,
    /// Set while the engine gives no usable answer.
    pub outage: Option<EngineOutage>,
    /// The retries of this import, at most one of each kind and with the same choices.
    pub retries: Arc<Vec<Relative>>,
}

/// Where a file is fetched from, without its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchedFrom {
    /// With the port, unless it is the default of the scheme.
    pub host: String,
    /// Without query, user name and password. The path alone may give access to the file, so only the owner
    /// may see it.
    pub address: String,
    /// The host of the download form of a share link, from which the file is fetched.
    pub downloaded_from: Option<String>,
}

/// Writes only the host, as the `Debug` of [`Address`] does.
impl fmt::Debug for FetchedFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FetchedFrom({})", self.host)
    }
}

/// The `data-state` of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// Kept for its owner to look at. Nothing is sent until it is started, so no change is expected.
    Held,
    /// Saved, but the event is not confirmed yet.
    Accepted,
    /// The event is confirmed, but there is no run yet.
    Sent,
    /// The engine still lists no run 30 s after the event. Not final.
    NoFunction,
    /// The same after a day. Final, and also shown as `NoFunction`.
    GivenUp,
    /// The engine has lost a run, and all other runs have ended. Final unless the engine reports the run again;
    /// can be cancelled.
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
            Self::Held => "Held",
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

    /// Whether no change is expected. A late run may still return the import to `Running`.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Held
            | Self::GivenUp
            | Self::Lost
            | Self::Completed
            | Self::Failed
            | Self::Cancelled
            | Self::Skipped => true,
            Self::Accepted | Self::Sent | Self::NoFunction | Self::Running => false,
        }
    }
}

impl Snapshot {
    /// An import without retries, from its row and the rows of its runs.
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

    /// Replaces the rows of the runs. State that is only in memory is kept.
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

    /// The row, for a change. Copies of this snapshot keep the row that they have.
    pub(super) fn row_mut(&mut self) -> &mut ImportRow {
        Arc::make_mut(&mut self.row)
    }

    /// Drops what the runs have read, but not how: a card still says it. The pages of an import that is over read
    /// the rest from the database.
    pub fn forget_readings(&mut self) {
        for run in &mut self.runs {
            run.committed = RunReading { read_as: run.committed.read_as.take(), ..RunReading::default() };
        }
    }

    /// Adds the runs and retries of `imports` from the database, in the same order.
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

    /// The same with the progress that functions have reported until now.
    #[must_use]
    pub fn with_progress(&self, progress: &ProgressRegistry) -> Self {
        let mut snapshot = self.clone();
        for run in snapshot.runs.iter_mut().filter(|run| run.row.ended_at.is_none()) {
            run.live = progress.now(&run.row.run_id);
        }
        snapshot
    }

    /// The file's name, for display only: as the client sent it, or as the function learned while it fetched the
    /// file.
    #[must_use]
    pub fn file_name(&self) -> &str {
        let told = self.runs.iter().rev().find_map(|run| run.live.as_ref()?.file_name.as_deref());
        told.unwrap_or(&self.row.file_name)
    }

    /// The time of the last news from the engine or a function. Before any news, the time of the upload's last
    /// byte.
    #[must_use]
    pub fn as_of(&self) -> UnixMillis {
        let told = self.runs.iter().filter_map(|run| run.live.as_ref()?.heard_at).max();
        self.answered_at.max(told).unwrap_or(self.row.received_at)
    }

    /// The retry of this kind that is read as `choices` say, if there is one.
    #[must_use]
    pub fn retry(&self, kind: RetryOf, choices: &Choices) -> Option<&Relative> {
        self.retries.iter().find(|retry| retry.retry_of == kind && retry.choices == *choices)
    }

    /// Whether a retry cannot run beside this import: it is over, no function takes its event, or the engine has
    /// lost its runs. (A retry also cancels the import, in case a run appears after all.)
    #[must_use]
    pub fn may_run_again(&self, now: UnixMillis) -> bool {
        let state = self.state();
        let mut unended = self.runs.iter().filter(|run| run.row.ended_at.is_none());
        state.is_final() && state != ImportState::Held
            || state == ImportState::NoFunction
            || state == ImportState::Running && unended.all(|run| run.is_gone || run.is_lost(now))
    }

    /// Whether a page that shows the import must poll: the import is not over, or the user cancelled a lost run
    /// and the engine has not confirmed its end.
    #[must_use]
    pub fn expects_news(&self) -> bool {
        let state = self.state();
        !state.is_final() || state == ImportState::Lost && self.row.cancel_requested_at.is_some()
    }

    /// Whether the failed rows may pass in a retry. Our own function alone would reject them again.
    #[must_use]
    pub fn may_failed_rows_pass(&self) -> bool {
        self.runs.iter().any(|run| !run.is_ours())
    }

    /// Whether a retry of the whole import would fail in the same way: every run is of our own function, and its
    /// failure says so.
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

    /// The import's state, from its row and its runs.
    #[must_use]
    pub fn state(&self) -> ImportState {
        let ended = |status: &RunStatus| self.runs.iter().any(|run| run.row.status == *status);
        if self.row.held_until.is_some() {
            ImportState::Held
        } else if self.row.refused.is_some() {
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
    /// Of an address that was checked when the import was accepted.
    fn of(url: &str) -> Self {
        let address = url.parse::<Address>();
        let host = address.as_ref().map(Address::host_and_port).unwrap_or_default();
        let download = address.as_ref().ok().and_then(ShareLink::download);
        Self {
            host,
            address: address.map(|address| address.without_secrets()).unwrap_or_default(),
            downloaded_from: download.map(|download| download.host_and_port()),
        }
    }
}
