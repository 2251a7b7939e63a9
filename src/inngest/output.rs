//! The part of a run's output that is kept in memory. An output may be many megabytes; a page needs its
//! beginning, its size, and why the run failed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunStatus;

/// The most bytes of an output that are kept.
pub const EXCERPT_BYTES: usize = 4 << 10;

/// The most characters of a failure's message that are kept; a page quotes a line of it.
const LONGEST_MESSAGE: usize = 1_000;

/// The part of an output that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutput {
    /// Indented JSON if the output is whole, else the beginning of the compact JSON.
    pub excerpt: Arc<str>,
    pub is_whole: bool,
    /// The size of the whole output as compact JSON.
    pub bytes: u64,
    /// Only for a run that failed.
    pub failure: Option<RunFailure>,
}

/// Why a run failed, according to its output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailure {
    /// A sentence for people.
    pub message: Option<String>,
    /// The line of the file at which our own function stopped.
    pub line: Option<u64>,
    /// Our own function said that a new run of the same import would fail in the same way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same_again: bool,
}

impl RunOutput {
    /// An output of `bytes` bytes that begins with `start`, or consists of it.
    #[must_use]
    pub fn new(start: &str, bytes: u64, failure: Option<RunFailure>) -> Self {
        let is_whole = bytes == start.len() as u64 && start.len() <= EXCERPT_BYTES;
        let indented = || Some(format!("{:#}", serde_json::from_str::<Value>(start).ok()?));
        let excerpt = match indented().filter(|_| is_whole) {
            Some(indented) => indented.into(),
            None => start[..start.floor_char_boundary(EXCERPT_BYTES)].into(),
        };
        Self { excerpt, is_whole, bytes, failure }
    }

    #[must_use]
    pub fn of(output: &Value, status: &RunStatus) -> Self {
        let text = output.to_string();
        Self::new(&text, text.len() as u64, RunFailure::of(output, status))
    }
}

impl RunFailure {
    /// The error of a failed run, in any of the shapes in which engines pass it on. None if the run did not
    /// fail or its output does not say why.
    #[must_use]
    pub fn of(output: &Value, status: &RunStatus) -> Option<Self> {
        if *status != RunStatus::Failed {
            return None;
        }
        let message = ["/message", "/error/message", "/error/error", "/error", ""]
            .iter()
            .find_map(|pointer| output.pointer(pointer)?.as_str());
        let line = ["/line", "/error/line"].iter().find_map(|pointer| output.pointer(pointer)?.as_u64());
        let message = message.map(|message| message.chars().take(LONGEST_MESSAGE).collect());
        let same_again = ["/sameAgain", "/error/sameAgain"]
            .iter()
            .any(|pointer| output.pointer(pointer).and_then(Value::as_bool) == Some(true));
        let failure = Self { message, line, same_again };
        (failure != Self::default()).then_some(failure)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_small_output_is_kept_whole_and_of_a_large_one_the_beginning() {
        let small = RunOutput::of(&json!({"rows": 2}), &RunStatus::Completed);
        assert_eq!((&*small.excerpt, small.is_whole, small.bytes), ("{\n  \"rows\": 2\n}", true, 10));
        let text = "ü".repeat(1 << 20);
        let large = RunOutput::of(&json!({ "text": text }), &RunStatus::Completed);
        assert!(large.excerpt.starts_with("{\"text\":\"ü") && large.excerpt.len() <= EXCERPT_BYTES);
        assert_eq!((large.is_whole, large.bytes), (false, (2 << 20) + 11));
    }

    #[test]
    fn why_a_run_failed_is_found_in_every_shape() {
        for output in [
            json!({"message": "no", "line": 5}),
            json!({"error": {"message": "no", "line": 5}}),
            json!({"error": {"error": "no"}, "line": 5}),
            json!({"error": "no", "line": 5}),
        ] {
            let failure = RunFailure::of(&output, &RunStatus::Failed).unwrap();
            assert_eq!((failure.message.as_deref(), failure.line), (Some("no"), Some(5)), "{output}");
            assert_eq!(RunFailure::of(&output, &RunStatus::Completed), None);
        }
        assert_eq!(RunFailure::of(&json!("no"), &RunStatus::Failed).unwrap().message.unwrap(), "no");
        assert_eq!(RunFailure::of(&json!({"rows": 2}), &RunStatus::Failed), None);
        let long = RunFailure::of(&json!("x".repeat(1 << 20)), &RunStatus::Failed).unwrap();
        assert_eq!(long.message.unwrap().len(), LONGEST_MESSAGE);
    }
}
