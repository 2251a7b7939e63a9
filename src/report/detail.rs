//! The technical detail, one fold away.

use std::sync::Arc;

use super::{block::function_name, format::bytes};
use crate::imports::{RunSnapshot, Snapshot};

#[derive(Clone, Debug)]
pub struct TechnicalDetail {
    pub event_id: String,
    /// Where the file is fetched from.
    pub address: Option<String>,
    /// The engine's own words, when it refused the event.
    pub refused: Option<String>,
    pub runs: Vec<RunDetail>,
}

#[derive(Clone, Debug)]
pub struct RunDetail {
    pub run_id: String,
    pub function: String,
    /// `1 of 4`.
    pub attempts: Option<String>,
    /// Why the latest attempt failed.
    pub error: Option<String>,
    pub output: Option<ShownOutput>,
}

/// A run's output, or its beginning: the page is no place for megabytes.
#[derive(Clone, Debug)]
pub struct ShownOutput {
    pub text: Arc<str>,
    /// Of one that is cut: the size of all of it.
    pub whole_size: Option<String>,
}

impl TechnicalDetail {
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            event_id: snapshot.row.event_id.to_string(),
            address: snapshot.fetched_from.as_ref().map(|from| from.address.clone()),
            refused: snapshot.row.refused.clone(),
            runs: snapshot.runs.iter().map(RunDetail::of).collect(),
        }
    }
}

impl RunDetail {
    fn of(run: &RunSnapshot) -> Self {
        let execution = run.execution();
        Self {
            run_id: run.row.run_id.to_string(),
            function: function_name(run),
            attempts: execution
                .map(|execution| format!("{} of {}", execution.attempt, execution.max_attempts)),
            error: execution
                .and_then(|execution| execution.error.as_ref())
                .map(|error| error.message.clone()),
            output: run.row.output.as_ref().map(|output| ShownOutput {
                text: Arc::clone(&output.excerpt),
                whole_size: (!output.is_whole).then(|| bytes(output.bytes)),
            }),
        }
    }
}
