//! The badge: a state's word and tone.

use crate::{
    imports::{ImportState, Planned, RunSnapshot, Snapshot},
    inngest::RunStatus,
};

/// A state as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeState<'a> {
    /// Held for its owner to look at.
    NotStarted,
    Saved,
    Sent,
    NobodyTookIt,
    Queued,
    Running,
    Retrying,
    Asleep,
    Waiting,
    Lost,
    Completed(FailedRows),
    Failed,
    Cancelled,
    Skipped,
    /// An unknown word of the engine.
    Unknown(&'a str),
}

/// How many rows of a completed import failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedRows {
    None,
    Some,
    All,
}

impl FailedRows {
    /// The share in all known counts of `runs`.
    fn of<'r>(runs: impl IntoIterator<Item = &'r RunSnapshot>) -> Self {
        let counts = runs.into_iter().filter_map(RunSnapshot::counts);
        let (processed, failed) = counts.fold((false, false), |(processed, failed), counts| {
            (processed || counts.processed > 0, failed || counts.failed > 0)
        });
        match (processed, failed) {
            (_, false) => Self::None,
            (true, true) => Self::Some,
            (false, true) => Self::All,
        }
    }
}

/// The meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Live,
    Good,
    Warn,
    Bad,
    Still,
}

impl Tone {
    /// The class in `style.css`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Still => "still",
        }
    }
}

impl<'a> BadgeState<'a> {
    /// The state of an import without runs.
    #[must_use]
    pub fn of_import(snapshot: &Snapshot, state: ImportState) -> Self {
        match state {
            ImportState::Held => Self::NotStarted,
            ImportState::Accepted => Self::Saved,
            ImportState::Sent => Self::Sent,
            ImportState::NoFunction | ImportState::GivenUp => Self::NobodyTookIt,
            ImportState::Running => Self::Running,
            ImportState::Lost => Self::Lost,
            ImportState::Completed => Self::Completed(FailedRows::of(&snapshot.runs)),
            ImportState::Failed => Self::Failed,
            ImportState::Cancelled => Self::Cancelled,
            ImportState::Skipped => Self::Skipped,
        }
    }

    /// The state of a run. A terminal status is ignored until the run has ended.
    #[must_use]
    pub fn of_run(run: &'a RunSnapshot) -> Self {
        match (&run.row.status, run.row.ended_at.is_some()) {
            (RunStatus::Other(word), _) => Self::Unknown(word),
            (_, false) if run.waits_after().is_some() => Self::Retrying,
            (_, false) if run.row.lost_at.is_some() => Self::Lost,
            // A function that was called is running, even if the engine does not say so yet, unless it waits
            // for its turn.
            (_, false) if run.is_queued() => Self::Queued,
            (RunStatus::Completed, true) => Self::Completed(FailedRows::of([run])),
            (RunStatus::Failed, true) => Self::Failed,
            (RunStatus::Cancelled, true) => Self::Cancelled,
            (RunStatus::Skipped, true) => Self::Skipped,
            (_, false) if let Some(plan) = run.plan => match plan.what {
                Planned::Wake => Self::Asleep,
                Planned::Event => Self::Waiting,
                Planned::Attempt(_) => Self::Retrying,
            },
            (_, false) | (RunStatus::Scheduled | RunStatus::Running, true) => Self::Running,
        }
    }

    #[must_use]
    pub fn word(self) -> &'a str {
        match self {
            Self::NotStarted => "Not started",
            Self::Saved => "Saved",
            Self::Sent => "Sent",
            Self::NobodyTookIt => "Nobody took it",
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::Retrying => "Retrying",
            Self::Asleep => "Asleep",
            Self::Waiting => "Waiting",
            Self::Lost => "Lost",
            Self::Completed(_) => "Completed",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Skipped => "Skipped",
            Self::Unknown(word) => word,
        }
    }

    #[must_use]
    pub fn tone(self) -> Tone {
        match self {
            Self::Saved | Self::Sent | Self::Queued | Self::Running | Self::Asleep | Self::Waiting => {
                Tone::Live
            }
            Self::Completed(FailedRows::None | FailedRows::Some) => Tone::Good,
            Self::Completed(FailedRows::All) | Self::Retrying | Self::NobodyTookIt | Self::Lost => Tone::Warn,
            Self::Failed => Tone::Bad,
            Self::NotStarted | Self::Cancelled | Self::Skipped | Self::Unknown(_) => Tone::Still,
        }
    }
}

/// A state, and whether it may be out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Badge<'a> {
    pub shown: BadgeState<'a>,
    /// Nothing newer is known.
    pub dimmed: bool,
}
