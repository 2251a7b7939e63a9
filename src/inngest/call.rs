//! How an engine calls a function, and how the function answers.
//!
//! `POST {serve url}?fnId=<app-function>&stepId=step`, signed. The function answers 206 with the ops of the
//! steps that it finished, and is then called again with their outputs in `steps`. At the end it answers 200
//! with its output. An error is retried unless `x-inngest-no-retry` is `true`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha1::{Digest, Sha1};

use crate::base::ids::{EventId, RunId};

/// Any value. A 2xx answer without this header fails the run.
pub const SDK_HEADER: &str = "x-inngest-sdk";
/// `true`: do not call again.
pub const NO_RETRY_HEADER: &str = "x-inngest-no-retry";
pub const REQ_VERSION_HEADER: &str = "x-inngest-req-version";
/// Our language and version, as the SDK specification requires.
pub const SDK: &str = concat!("rust:v", env!("CARGO_PKG_VERSION"));

/// The body of a call request. Unknown keys are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    pub ctx: Context,
    pub event: CallEvent,
    #[serde(default)]
    pub events: Vec<CallEvent>,
    /// Outputs of finished steps, by [`step_id`]: `{"data": ...}`, `{"error": ...}`, or null for a sleep.
    #[serde(default)]
    pub steps: Steps,
    /// The call had no room for `events` and `steps`; they must be fetched from the API.
    #[serde(default)]
    pub use_api: bool,
}

/// By [`step_id`].
pub type Steps = BTreeMap<String, Value>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Context {
    pub run_id: RunId,
    /// 0-based.
    pub attempt: u32,
    /// The number of attempts in all (`retries.attempts` + 1).
    #[serde(default)]
    pub max_attempts: Option<u32>,
    pub fn_id: String,
    /// The ids of the steps in `steps`, in the order in which the steps ended.
    #[serde(default)]
    pub stack: Stack,
    /// The same as [`Call::use_api`]; servers set both.
    #[serde(default)]
    pub use_api: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stack {
    pub current: usize,
    pub stack: Vec<String>,
}

/// An event as a function receives it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallEvent {
    /// The sender's own id if it set one, else the internal id.
    pub id: EventId,
    pub name: String,
    #[serde(default)]
    pub data: Value,
    /// Unix milliseconds.
    pub ts: i64,
}

/// One entry of a 206 answer. The op `StepRun` says that a step ran, with its result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Op {
    /// [`step_id`] of the step's name.
    pub id: String,
    pub op: String,
    #[serde(default)]
    pub name: String,
    #[serde(default, rename = "displayName")]
    pub display_name: Option<String>,
    #[serde(default)]
    pub data: Value,
    /// Why the step failed (`StepError`, `StepFailed`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

impl Op {
    pub const STEP_RUN: &str = "StepRun";
    /// The step failed and may be retried.
    pub const STEP_ERROR: &str = "StepError";
    /// The step failed permanently: the function is called again, with the error in `steps`.
    pub const STEP_FAILED: &str = "StepFailed";

    /// The step `name` ran and returned `data`.
    #[must_use]
    pub fn step_run(name: &str, data: Value) -> Self {
        Self {
            id: step_id(name),
            op: Self::STEP_RUN.to_owned(),
            name: name.to_owned(),
            display_name: Some(name.to_owned()),
            data,
            error: None,
        }
    }
}

/// The body of an error answer, which v1 then shows as the run's output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallError {
    pub name: String,
    pub message: String,
    #[serde(default)]
    pub stack: String,
    /// An extension of ours: the first line of the file that is in no finished step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// An extension of ours: a new run of the same import would fail in the same way.
    #[serde(rename = "sameAgain", default, skip_serializing_if = "std::ops::Not::not")]
    pub same_again: bool,
}

/// A step's id on the wire: SHA-1 of its name, hex.
#[must_use]
pub fn step_id(name: &str) -> String {
    hex::encode(Sha1::digest(name.as_bytes()))
}

/// The body of `POST /fn/register`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registration {
    pub url: String,
    #[serde(rename = "deployType", default)]
    pub deploy_type: String,
    #[serde(rename = "appName")]
    pub app_name: String,
    #[serde(default)]
    pub sdk: String,
    #[serde(default)]
    pub v: String,
    #[serde(default)]
    pub framework: String,
    pub functions: Vec<FunctionSpec>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionSpec {
    /// `app-function`.
    pub id: String,
    pub name: String,
    pub triggers: Vec<TriggerSpec>,
    pub steps: BTreeMap<String, StepSpec>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TriggerSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepSpec {
    #[serde(default)]
    pub id: String,
    pub name: String,
    pub runtime: Runtime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Runtime {
    /// Go's SDK omits it.
    #[serde(rename = "type", default = "http")]
    pub kind: String,
    pub url: String,
}

fn http() -> String {
    "http".to_owned()
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Retries {
    /// Retries, not attempts: 3 means four attempts.
    pub attempts: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // The second and third calls of a function with the steps "first" and "nap" (a sleep), and its answers,
    // as a real server and SDK exchanged them.
    const SECOND_CALL: &str = r#"{"ctx":{"attempt":0,"disable_immediate_execution":false,"env":"","fn_id":"d69aef52-f63a-59ca-9105-3856cc941d25","generation_id":1,"job_id":"3jwm5fw4td0bi","max_attempts":5,"qi_id":"M2p3bTVmdzR0ZDBiaTo6ZGVmYXVsdA==","request_id":"01M852GDEZC1987R1B97BX6S6B","run_id":"01M852GD9BJWGMQAES62EVDT7V","stack":{"current":1,"stack":["e0996a37c13d44c3b06074939d43fa3759bd32c1"]},"step_id":"step","use_api":false},"defers":{},"event":{"data":{},"id":"01M852GD8VTFA191HD8E9Q3NHA","name":"test/sleep","ts":1795466736923,"user":{}},"events":[{"data":{},"id":"01M852GD8VTFA191HD8E9Q3NHA","name":"test/sleep","ts":1795466736923,"user":{}}],"steps":{"e0996a37c13d44c3b06074939d43fa3759bd32c1":{"data":{"a":1}}},"use_api":false,"version":2}"#;
    const STEPS_OF_THE_THIRD: &str = r#"{"c2640f79b4ed481b838ce4ad75330aa3f825d4d9":null,"e0996a37c13d44c3b06074939d43fa3759bd32c1":{"data":{"a":1}}}"#;
    const FIRST_ANSWER: &str = r#"[{"id":"e0996a37c13d44c3b06074939d43fa3759bd32c1","op":"StepRun","name":"first","opts":{},"displayName":"first","userland":{"id":"first"},"data":{"a":1},"timing":{"a":1795466736977000000,"b":0}}]"#;

    #[test]
    fn reads_a_call_of_a_real_server() {
        let call: Call = serde_json::from_str(SECOND_CALL).unwrap();
        assert_eq!(call.ctx.run_id.as_str(), "01M852GD9BJWGMQAES62EVDT7V");
        assert_eq!(call.ctx.fn_id, "d69aef52-f63a-59ca-9105-3856cc941d25");
        assert_eq!((call.ctx.attempt, call.ctx.max_attempts), (0, Some(5)));
        assert_eq!((call.ctx.stack.current, call.ctx.stack.stack), (1, vec![step_id("first")]));
        assert_eq!(call.event.id.as_str(), "01M852GD8VTFA191HD8E9Q3NHA");
        assert_eq!((call.event.name.as_str(), call.event.ts), ("test/sleep", 1_795_466_736_923));
        assert_eq!((call.event.data, call.events.len()), (json!({}), 1));
        assert_eq!(call.steps, BTreeMap::from([(step_id("first"), json!({"data": {"a": 1}}))]));
        assert!(!call.use_api);
    }

    #[test]
    fn a_step_that_slept_is_there_with_null() {
        let mut body: Value = serde_json::from_str(SECOND_CALL).unwrap();
        body["steps"] = serde_json::from_str(STEPS_OF_THE_THIRD).unwrap();
        let call: Call = serde_json::from_value(body).unwrap();
        assert_eq!(call.steps.get(&step_id("nap")), Some(&Value::Null));
        assert_eq!(call.steps.len(), 2);
    }

    #[test]
    fn a_call_that_we_make_reads_as_it_was_meant() {
        let call: Call = serde_json::from_str(SECOND_CALL).unwrap();
        let again: Call = serde_json::from_value(serde_json::to_value(&call).unwrap()).unwrap();
        assert_eq!(serde_json::to_value(again).unwrap(), serde_json::to_value(call).unwrap());
    }

    #[test]
    fn a_finished_step_is_reported_as_a_real_sdk_does() {
        let seen: Vec<Op> = serde_json::from_str(FIRST_ANSWER).unwrap();
        let ours = vec![Op::step_run("first", json!({"a": 1}))];
        assert_eq!(serde_json::to_value(&seen).unwrap(), serde_json::to_value(&ours).unwrap());
        assert_eq!(
            serde_json::to_value(&ours).unwrap(),
            json!([{
                "id": "e0996a37c13d44c3b06074939d43fa3759bd32c1", "op": "StepRun", "name": "first",
                "displayName": "first", "data": {"a": 1}
            }])
        );
    }

    #[test]
    fn a_registration_has_the_names_that_a_real_server_reads() {
        let url = "http://127.0.0.1:3100/api/inngest";
        let step_url = format!("{url}?fnId=raw-app-raw&stepId=step");
        let body = json!({
            "url": url, "deployType": "ping", "appName": "raw-app", "sdk": "rust:v0.1.0", "v": "0.1",
            "framework": "axum",
            "functions": [{
                "id": "raw-app-raw", "name": "raw", "triggers": [{"event": "raw/go"}],
                "steps": {"step": {
                    "id": "step", "name": "step", "runtime": {"type": "http", "url": step_url},
                    "retries": {"attempts": 2}
                }}
            }]
        });
        let app: Registration = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(app.functions[0].steps["step"].retries.unwrap().attempts, 2);
        assert_eq!(serde_json::to_value(app).unwrap(), body);
    }
}
