//! What is known of an import at one moment; what every panel is made from.

use std::time::Duration;

use serde_json::Value;

use crate::{
    csv::Counts,
    ids::{EventId, ImportId, RunId, UserId},
    inngest::RunStatus,
    store::live::CallInfo,
    time::UnixMillis,
};

/// How long after the event was sent "no run yet" is called by its name.
const NO_FUNCTION_AFTER: Duration = Duration::from_secs(30);

/// An import and its runs.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub id: ImportId,
    pub owner: UserId,
    /// As the client said; only ever shown.
    pub file_name: String,
    pub size_bytes: u64,
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
    /// Set while the engine does not answer: since when.
    pub silent_since: Option<UnixMillis>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct RunSnapshot {
    pub run_id: RunId,
    pub function_id: String,
    pub status: RunStatus,
    pub queued_at: UnixMillis,
    pub ended_at: Option<UnixMillis>,
    /// None while unknown.
    pub counts: Option<Counts>,
    /// Bytes of the file read, and in all (0 while unknown).
    pub bytes: u64,
    pub total_bytes: u64,
    /// What our own function told of the run; None for anybody else's.
    pub call: Option<CallInfo>,
    /// Once ended.
    pub output: Option<Value>,
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
