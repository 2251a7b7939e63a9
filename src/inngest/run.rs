//! Runs as an engine reports them (`GET /v1/events/{id}/runs`, `GET /v1/runs/{id}`).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::base::{
    ids::{EventId, RunId},
    time::UnixMillis,
};

/// One run of one function, in the shape of the REST API's v1 run object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run_id: RunId,
    /// The engine's id of the function: a UUID, or `app-function`.
    pub function_id: String,
    /// The function's name, if the engine sends it.
    #[serde(skip)]
    pub function_name: Option<String>,
    pub event_id: EventId,
    pub status: RunStatus,
    /// Despite its name, when the run was queued.
    #[serde(with = "rfc3339")]
    pub run_started_at: UnixMillis,
    /// The run has ended if and only if this is set. `status` alone is not enough: it is `Completed` while a
    /// run sleeps and `Failed` between two retries.
    #[serde(default, with = "rfc3339_option")]
    pub ended_at: Option<UnixMillis>,
    /// Absent until the run has ended; then any JSON, including null.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// A job that an engine is doing or will do for a run: the fields that are used of the REST API's v1 job
/// object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// When the job is or was due.
    #[serde(with = "rfc3339")]
    pub at: UnixMillis,
    /// 0-based.
    pub attempt: u32,
    #[serde(default)]
    pub kind: JobKind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Wakes the run.
    Sleep,
    /// Stops waiting for an event.
    Pause,
    /// Calls the function for the first time, or retries it.
    Start,
    /// Calls the function for its next step.
    Edge,
    #[default]
    #[serde(other)]
    Other,
}

/// The engine's word for a run's status; an unknown word is kept as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunStatus {
    Scheduled,
    Running,
    Completed,
    Failed,
    Cancelled,
    Skipped,
    Other(String),
}

impl RunStatus {
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Skipped => "Skipped",
            Self::Other(word) => word,
        }
    }

    /// Whether runs end with this word. Does not say whether this run has ended.
    #[must_use]
    pub fn is_terminal_word(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Skipped)
    }
}

impl From<&str> for RunStatus {
    fn from(word: &str) -> Self {
        match word {
            "Scheduled" => Self::Scheduled,
            "Running" => Self::Running,
            "Completed" => Self::Completed,
            "Failed" => Self::Failed,
            "Cancelled" => Self::Cancelled,
            "Skipped" => Self::Skipped,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RunStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RunStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

/// A field that is present with null becomes `Some(Value::Null)`, a missing field `None`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::base::time::UnixMillis;

    pub fn serialize<S: Serializer>(at: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixMillis, D::Error> {
        let text = String::deserialize(deserializer)?;
        UnixMillis::from_rfc3339(&text)
            .ok_or_else(|| D::Error::custom(format!("not an RFC 3339 time: {text}")))
    }
}

mod rfc3339_option {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::base::time::UnixMillis;

    pub fn serialize<S: Serializer>(at: &Option<UnixMillis>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.collect_str(at),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixMillis>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let at = UnixMillis::from_rfc3339(&text);
        at.map(Some).ok_or_else(|| D::Error::custom(format!("not an RFC 3339 time: {text}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(extra: Value) -> Run {
        let mut body = json!({
            "run_id": "01M852CE07XGB7KM34R9298TW7", "run_started_at": "2026-11-23T20:43:26.599Z",
            "function_id": "5d106f6c-31b1-5988-838b-963ea7845fd8", "function_version": 0,
            "environment_id": "00000000-0000-0000-0000-000000000000",
            "event_id": "01M852CDYVJYDMFCJQQV9MRZ6R", "status": "Running", "ended_at": null
        });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn a_null_output_is_an_output() {
        assert_eq!(run(json!({})).output, None);
        assert_eq!(run(json!({"output": null})).output, Some(Value::Null));
    }

    #[test]
    fn an_unknown_status_is_kept() {
        assert_eq!(run(json!({"status": "Overflowed"})).status, RunStatus::Other("Overflowed".into()));
    }

    #[test]
    fn only_ended_at_says_that_a_run_has_ended() {
        let sleeping = run(json!({"status": "Completed"}));
        assert!(sleeping.status.is_terminal_word() && sleeping.ended_at.is_none());
        let ended = run(json!({"ended_at": "2026-11-23T20:43:26.633747341Z"}));
        assert_eq!(ended.ended_at.unwrap().to_string(), "2026-11-23T20:43:26.633Z");
    }
}
