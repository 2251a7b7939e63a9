//! The ops that a function reports, in a 206 answer or in a checkpoint during a call.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{base::time::UnixMillis, store::engine::queue::StepOutput};

/// Inngest's limits for a run's state: the number of finished steps, and the bytes of their outputs.
pub const MAX_STEPS: usize = 1_000;
pub const MAX_STATE_BYTES: usize = 32 * 1024 * 1024;

/// An op as an SDK sends it. Other fields are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SdkOp {
    id: String,
    op: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    opts: Value,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    error: Value,
}

/// A step that a function planned.
#[derive(Debug, PartialEq, Eq)]
pub struct PlannedStep {
    pub id: String,
    /// The name that the function's author gave it.
    pub name: String,
}

/// What an op means to the engine.
#[derive(Debug, PartialEq, Eq)]
pub enum ParsedOp {
    /// The step has its result, or has failed permanently.
    Finished(StepOutput),
    /// The step failed and may be retried. Without a retry this is its result.
    Failed(StepOutput),
    /// The function ended with this output.
    Complete(Value),
    /// A step that must be called next. A single planned step is how an SDK ends a call that has reached its
    /// time limit; parallel steps are planned together.
    Planned(PlannedStep),
    /// Nothing new: call the function again to find the next step.
    Discover,
    /// The function has no step of this name, although it planned one.
    Lost(String),
    /// A feature that the engine does not support, in the SDK's terms.
    Unsupported(String),
}

impl SdkOp {
    pub fn read(self) -> ParsedOp {
        // Steps that run in the function and need a part of Inngest's API that the engine does not have.
        if let Some(kind @ ("step.sendSignal" | "step.realtime.publish")) = self.opts["type"].as_str() {
            return self.unsupported(kind);
        }
        let step = |id, output: Value| StepOutput { id, output: output.to_string() };
        match self.op.as_str() {
            "StepRun" => ParsedOp::Finished(step(self.id, json!({"data": self.data}))),
            "StepFailed" => ParsedOp::Finished(step(self.id, json!({"error": self.error}))),
            "StepError" => ParsedOp::Failed(step(self.id, json!({"error": self.error}))),
            "RunComplete" => ParsedOp::Complete(self.data),
            "Sleep" if self.name.as_deref().and_then(UnixMillis::from_rfc3339).is_some() => {
                self.unsupported("step.sleepUntil")
            }
            "Sleep" => self.unsupported("step.sleep"),
            "WaitForEvent" => self.unsupported("step.waitForEvent"),
            "WaitForSignal" => self.unsupported("step.waitForSignal"),
            "InvokeFunction" => self.unsupported("step.invoke"),
            "AIGateway" => self.unsupported("step.ai.infer"),
            "Gateway" => self.unsupported("step.fetch"),
            "StepPlanned" => {
                let name = self.display_name.or(self.name).unwrap_or_default();
                ParsedOp::Planned(PlannedStep { id: self.id, name })
            }
            "DiscoveryRequest" => ParsedOp::Discover,
            "StepNotFound" => ParsedOp::Lost(self.display_name.or(self.name).unwrap_or(self.id)),
            "DeferAdd" | "DeferAbort" => self.unsupported("deferred runs"),
            "Step" => self.unsupported("steps of an SDK older than version 1"),
            other => self.unsupported(&format!("the op {other}")),
        }
    }

    fn unsupported(&self, what: &str) -> ParsedOp {
        let step = self.display_name.as_deref().or(self.name.as_deref()).filter(|name| !name.is_empty());
        ParsedOp::Unsupported(step.map_or_else(|| what.to_owned(), |step| format!("{what} (`{step}`)")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(op: Value) -> ParsedOp {
        serde_json::from_value::<SdkOp>(op).unwrap().read()
    }

    #[test]
    fn a_step_that_ran_is_read_as_an_sdk_reports_it() {
        let op = json!({
            "id": "e0996a37c13d44c3b06074939d43fa3759bd32c1", "op": "StepRun", "name": "first", "opts": {},
            "displayName": "first", "userland": {"id": "first"}, "data": {"a": 1},
            "timing": {"a": 1_795_466_736_977_000_000_i64, "b": 0}
        });
        let step = StepOutput {
            id: "e0996a37c13d44c3b06074939d43fa3759bd32c1".into(),
            output: r#"{"data":{"a":1}}"#.into(),
        };
        assert_eq!(read(op), ParsedOp::Finished(step));
    }

    #[test]
    fn what_the_engine_cannot_do_is_named_as_its_author_wrote_it() {
        for (op, expected) in [
            (json!({"op": "Sleep", "name": "6s", "displayName": "nap"}), "step.sleep (`nap`)"),
            (json!({"op": "Sleep", "name": "2026-11-24T19:00:00.000Z"}), "step.sleepUntil"),
            (json!({"op": "WaitForEvent", "displayName": "w"}), "step.waitForEvent (`w`)"),
            (json!({"op": "WaitForSignal", "displayName": "w"}), "step.waitForSignal (`w`)"),
            (json!({"op": "InvokeFunction", "displayName": "i"}), "step.invoke (`i`)"),
            (json!({"op": "AIGateway", "displayName": "i"}), "step.ai.infer (`i`)"),
            (json!({"op": "Gateway", "displayName": "g"}), "step.fetch (`g`)"),
            (json!({"op": "StepRun", "opts": {"type": "step.sendSignal"}}), "step.sendSignal"),
            (json!({"op": "StepError", "opts": {"type": "step.realtime.publish"}}), "step.realtime.publish"),
            (json!({"op": "DeferAdd", "displayName": "d"}), "deferred runs (`d`)"),
            (json!({"op": "DeferAbort"}), "deferred runs"),
            (json!({"op": "Step", "name": "old"}), "steps of an SDK older than version 1 (`old`)"),
            (json!({"op": "Brew"}), "the op Brew"),
        ] {
            let mut op = op;
            op["id"] = json!("a");
            let parsed = read(op);
            let ParsedOp::Unsupported(what) = parsed else { panic!("{parsed:?}") };
            assert!(what.starts_with(expected), "{what}");
        }
    }

    #[test]
    fn steps_that_run_in_the_function_are_plain_steps() {
        for kind in ["step.sendEvent", "step.ai.wrap"] {
            let op = json!({"id": "a", "op": "StepRun", "opts": {"type": kind}, "data": 1});
            assert!(matches!(read(op), ParsedOp::Finished(_)), "{kind}");
        }
    }
}
