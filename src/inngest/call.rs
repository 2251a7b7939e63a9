//! What an engine asks of a function (a call request) and how the function answers.
//!
//! `POST {serve url}?fnId=<app-function>&stepId=step`, signed. The function answers
//! 206 with the ops of the steps it finished (it is then called again, with their outputs in
//! `steps`), 200 with its output at the end, or an error that is retried unless
//! `x-inngest-no-retry: true` says otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha1::{Digest, Sha1};

use super::signature::hex;
use crate::ids::{EventId, RunId};

/// Any value; an answer of 2xx without it fails the run.
pub const SDK_HEADER: &str = "x-inngest-sdk";
/// `true`: do not call again.
pub const NO_RETRY_HEADER: &str = "x-inngest-no-retry";
pub const REQ_VERSION_HEADER: &str = "x-inngest-req-version";
/// How we name ourselves: language and version, as the SDK specification has it.
pub const SDK: &str = concat!("rust:v", env!("CARGO_PKG_VERSION"));

/// The body of a call request. Unknown keys are let be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    pub ctx: Context,
    pub event: CallEvent,
    #[serde(default)]
    pub events: Vec<CallEvent>,
    /// Outputs of finished steps, by [`step_id`]: `{"data": ...}`, `{"error": ...}` or null (a sleep).
    #[serde(default)]
    pub steps: BTreeMap<String, Value>,
    #[serde(default)]
    pub use_api: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Context {
    pub run_id: RunId,
    /// 0-based.
    pub attempt: u32,
    /// How many attempts there are in all (`retries.attempts` + 1).
    #[serde(default)]
    pub max_attempts: Option<u32>,
    pub fn_id: String,
    /// The order in which the steps in `steps` ended.
    #[serde(default)]
    pub stack: Stack,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stack {
    pub current: usize,
    pub stack: Vec<String>,
}

/// An event as a function receives it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallEvent {
    /// The sender's own id if it gave one, else the internal id.
    pub id: EventId,
    pub name: String,
    #[serde(default)]
    pub data: Value,
    /// Unix milliseconds.
    pub ts: i64,
}

/// One entry of a 206 answer: the op `StepRun` says that a step was run and what it gave.
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
}

impl Op {
    pub const STEP_RUN: &str = "StepRun";

    /// The step `name` was run and gave `data`.
    #[must_use]
    pub fn step_run(name: &str, data: Value) -> Self {
        Self {
            id: step_id(name),
            op: Self::STEP_RUN.to_owned(),
            name: name.to_owned(),
            display_name: Some(name.to_owned()),
            data,
        }
    }
}

/// The body of an error answer; what v1 then shows as the run's output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallError {
    pub name: String,
    pub message: String,
    #[serde(default)]
    pub stack: String,
}

/// A step's id on the wire: SHA-1 of its name, hex.
#[must_use]
pub fn step_id(name: &str) -> String {
    hex(&Sha1::digest(name.as_bytes()))
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
    pub triggers: Vec<Trigger>,
    pub steps: BTreeMap<String, StepSpec>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trigger {
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
    #[serde(rename = "type")]
    pub kind: String,
    pub url: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Retries {
    /// Retries, not attempts: 3 is four attempts.
    pub attempts: u32,
}
