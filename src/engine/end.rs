//! How a run ends, and the output that it shows.

use serde_json::{Value, json};

use super::caller::CallResponse;
use crate::{inngest::RunStatus, store::engine::queue::Transition};

/// How many characters of a body that does not come from an SDK are kept for people to read.
const EXCERPT_CHARS: usize = 2_000;

/// The end of a run whose answer the database refuses to store, for the reason `why`.
pub(super) fn unkept(why: &str) -> Transition {
    fail(AttemptFailure::of_engine(&format!("The function's answer could not be recorded: {why}")))
}

/// Why an attempt failed. Also ends the run if no attempt follows.
pub(super) struct AttemptFailure {
    /// The output that the run shows.
    pub(super) output: Value,
    /// In the form of `error.error` in Inngest's own events.
    pub(super) reason: String,
}

impl AttemptFailure {
    /// A failure found by the engine, in the format of a real server.
    pub(super) fn of_engine(message: &str) -> Self {
        let output = json!({"error": {"error": message, "name": "Error", "message": message}});
        Self { output, reason: message.to_owned() }
    }

    pub(super) fn of_answer(answer: &CallResponse) -> Self {
        let status = answer.status.as_u16();
        let reason = match answer.no_retry {
            true => "NonRetriableError".to_owned(),
            false => format!("invalid status code: {status}"),
        };
        Self { output: error_of(answer), reason }
    }
}

pub(super) fn complete(output: &Value) -> Transition {
    Transition::End { status: RunStatus::Completed, output: output.to_string(), reason: None }
}

pub(super) fn fail(AttemptFailure { output, reason }: AttemptFailure) -> Transition {
    Transition::End { status: RunStatus::Failed, output: output.to_string(), reason: Some(reason) }
}

pub(super) fn unsupported(what: &str) -> AttemptFailure {
    AttemptFailure::of_engine(&format!(
        "The embedded engine runs plain steps only, it does not know {what}. Connect Inngest for it."
    ))
}

/// JSON unchanged, an empty body as null, any other text as a string.
pub(super) fn output(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}

/// The output of a run that failed with this answer.
fn error_of(answer: &CallResponse) -> Value {
    let status = answer.status.as_u16();
    if answer.status.is_success() {
        // A success without the SDK's header: not from the function, but its body is the only information.
        output(&answer.body)
    } else if !answer.from_sdk {
        let message = format!("Your server returned HTTP {status} before the SDK responded.");
        let excerpt: String = String::from_utf8_lossy(&answer.body).chars().take(EXCERPT_CHARS).collect();
        json!({
            "error": message, "name": "Server returned a fatal error", "message": message,
            "stack": format!("Upstream response:\n{excerpt}"),
        })
    } else if answer.body.is_empty() {
        Value::String(format!("invalid status code: {status}"))
    } else {
        output(&answer.body)
    }
}
