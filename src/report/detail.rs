//! The technical details, in a fold.

use super::{block::function_name, format::bytes};
use crate::imports::{RunSnapshot, Snapshot};

#[derive(Clone, Debug)]
pub struct TechnicalDetail<'a> {
    pub event_id: &'a str,
    /// The address that the file is fetched from.
    pub address: Option<&'a str>,
    /// The engine's message, if it refused the event.
    pub refused: Option<&'a str>,
    pub runs: Vec<RunDetail<'a>>,
}

#[derive(Clone, Debug)]
pub struct RunDetail<'a> {
    pub run_id: &'a str,
    pub function: &'a str,
    /// `1 of 4`.
    pub attempts: Option<String>,
    /// Why the last attempt failed.
    pub error: Option<&'a str>,
    pub output: Option<ShownOutput<'a>>,
}

/// A run's output, or its beginning if it is too large for a page.
#[derive(Clone, Debug)]
pub struct ShownOutput<'a> {
    pub text: &'a str,
    /// The size of the whole output, if it is cut.
    pub whole_size: Option<String>,
}

impl<'a> TechnicalDetail<'a> {
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            event_id: snapshot.row.event_id.as_str(),
            address: snapshot.fetched_from.as_ref().map(|from| from.address.as_str()),
            refused: snapshot.row.refused.as_deref(),
            runs: snapshot.runs.iter().map(RunDetail::of).collect(),
        }
    }
}

impl<'a> RunDetail<'a> {
    fn of(run: &'a RunSnapshot) -> Self {
        let execution = run.execution();
        Self {
            run_id: run.row.run_id.as_str(),
            function: function_name(run),
            attempts: execution
                .map(|execution| format!("{} of {}", execution.attempt, execution.max_attempts)),
            error: execution
                .and_then(|execution| execution.error.as_ref())
                .map(|error| error.message.as_str()),
            output: run.row.output.as_ref().map(|output| ShownOutput {
                text: &output.excerpt,
                whole_size: (!output.is_whole).then(|| bytes(output.bytes)),
            }),
        }
    }
}
