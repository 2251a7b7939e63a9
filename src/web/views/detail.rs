//! The technical detail, one fold away.

use super::block::function_name;
use crate::imports::{RunSnapshot, Snapshot};

/// The longest output that is shown, in characters. The page is no place for megabytes.
const LONGEST_OUTPUT: usize = 10_000;

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
    /// Indented JSON.
    pub output: Option<String>,
}

impl TechnicalDetail {
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            event_id: snapshot.event_id.to_string(),
            address: snapshot.fetched_from.as_ref().map(|from| from.address.clone()),
            refused: snapshot.refused.clone(),
            runs: snapshot.runs.iter().map(RunDetail::of).collect(),
        }
    }
}

impl RunDetail {
    fn of(run: &RunSnapshot) -> Self {
        let call = run.call.as_ref();
        Self {
            run_id: run.run_id.to_string(),
            function: function_name(run),
            attempts: call.map(|call| format!("{} of {}", call.attempt, call.max_attempts)),
            error: call.and_then(|call| call.error.as_ref()).map(|error| error.message.clone()),
            output: run.output.as_ref().map(|output| cut(format!("{output:#}"))),
        }
    }
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_OUTPUT) {
        text.truncate(end);
        text.push_str(" …");
    }
    text
}
