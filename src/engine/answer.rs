//! Decides what the reply to a call means for its run.

use std::time::Duration;

use reqwest::StatusCode;

use super::{
    caller::{CallResponse, MAX_ANSWER_BYTES, Reply},
    end::{AttemptFailure, complete, fail, output, unsupported},
    ops::{MAX_STATE_BYTES, MAX_STEPS, ParsedOp, PlannedStep, SdkOp},
};
use crate::{
    base::time::UnixMillis,
    store::engine::queue::{Claim, StepOutput, Transition},
};

/// A function that repeatedly finishes no step is called again at once this often, then after a pause, and at
/// most [`MAX_STEPS`] times in all, the most steps of a run.
const IDLE_TURNS_AT_ONCE: u32 = 10;
const IDLE_PAUSE: Duration = Duration::from_secs(1);
const MAX_IDLE_TURNS: u32 = MAX_STEPS as u32;
/// A call that lasts at least this long is not delayed further: the function waits for something, such as a
/// slot.
const UNHURRIED: Duration = Duration::from_secs(10);

/// Decides the effect of `reply` to the call of `claim`, which took `took`. `retries` are the pauses before
/// the second, third, ... attempt.
pub fn decide(
    claim: &Claim,
    reply: Reply,
    took: Duration,
    retries: &[Duration],
    now: UnixMillis,
) -> Transition {
    let call = Attempt { claim, took, retries, now };
    match reply {
        Reply::Unreachable => call.failed(None, AttemptFailure::of_engine("Unable to reach SDK URL")),
        Reply::TooLong => fail(AttemptFailure::of_engine(&format!(
            "The function's answer has more than {MAX_ANSWER_BYTES} bytes"
        ))),
        Reply::NotCalled(why) => {
            fail(AttemptFailure::of_engine(&format!("The function could not be called: {why}")))
        }
        Reply::Answered(answer) => match answer.status {
            StatusCode::PARTIAL_CONTENT if answer.from_sdk => call.steps(&answer),
            StatusCode::CREATED if answer.from_sdk => fail(unsupported("streamed answers")),
            status if status.is_success() && answer.from_sdk => complete(&output(&answer.body)),
            _ => call.failed(Some(&answer), AttemptFailure::of_answer(&answer)),
        },
    }
}

struct Attempt<'a> {
    claim: &'a Claim,
    took: Duration,
    retries: &'a [Duration],
    now: UnixMillis,
}

impl Attempt<'_> {
    /// This attempt failed. The next one follows after its pause, unless it was the last.
    fn failed(&self, answer: Option<&CallResponse>, failure: AttemptFailure) -> Transition {
        if answer.is_some_and(|answer| answer.no_retry) || self.is_last() {
            return fail(failure);
        }
        self.again(answer, Vec::new())
    }

    /// A 206 answer: the ops of the steps that ran.
    fn steps(&self, answer: &CallResponse) -> Transition {
        let ops: Vec<SdkOp> = match serde_json::from_slice(&answer.body) {
            Ok(ops) => ops,
            Err(error) => {
                let message = format!("The function's list of steps cannot be read: {error}");
                return self.failed(Some(answer), AttemptFailure::of_engine(&message));
            }
        };
        let is_empty = ops.is_empty();
        let mut steps = Vec::with_capacity(ops.len());
        let mut to_try_again = false;
        let mut output = None;
        let mut planned: Vec<PlannedStep> = Vec::new();
        for op in ops {
            match op.read() {
                ParsedOp::Finished(step) => steps.push(step),
                ParsedOp::Failed(step) if answer.no_retry || self.is_last() => steps.push(step),
                ParsedOp::Failed(_) => to_try_again = true,
                ParsedOp::Complete(data) => output = Some(data),
                ParsedOp::Planned(plan) => planned.push(plan),
                ParsedOp::Discover => {}
                ParsedOp::Lost(name) => {
                    let message = format!("The function has no step `{name}`");
                    return self.failed(Some(answer), AttemptFailure::of_engine(&message));
                }
                ParsedOp::Unsupported(what) => return fail(unsupported(&what)),
            }
        }
        if let Some(output) = output {
            return complete(&output);
        }
        let count = self.claim.steps.len() + steps.len();
        if count > MAX_STEPS {
            return fail(AttemptFailure::of_engine(&format!("The run has more than {MAX_STEPS} steps")));
        }
        if self.claim.steps.iter().chain(&steps).map(|step| step.output.len()).sum::<usize>()
            > MAX_STATE_BYTES
        {
            let message = format!("The outputs of the run's steps have more than {MAX_STATE_BYTES} bytes");
            return fail(AttemptFailure::of_engine(&message));
        }
        if to_try_again {
            return self.again(Some(answer), steps);
        }
        let planned = match planned.as_slice() {
            [] => None,
            [plan] if steps.is_empty() && self.claim.planned.as_ref() == Some(&plan.id) => {
                let message =
                    format!("The function was called for its step `{}` and did not run it", plan.name);
                return self.failed(Some(answer), AttemptFailure::of_engine(&message));
            }
            [plan] => Some(plan.id.clone()),
            [plan, ..] => return fail(unsupported(&format!("parallel steps (`{}`)", plan.name))),
        };
        let is_idle = steps.is_empty() && self.took < UNHURRIED;
        let idle_turns = match self.idle_turns(&steps) {
            turns if is_idle => turns.saturating_add(1),
            turns => turns,
        };
        if idle_turns >= MAX_IDLE_TURNS {
            let message = format!("The function answered {idle_turns} calls in a row and finished no step");
            return fail(AttemptFailure::of_engine(&message));
        }
        let pause = if is_idle && idle_turns > IDLE_TURNS_AT_ONCE { IDLE_PAUSE } else { Duration::ZERO };
        Transition::Continue {
            steps,
            planned,
            idle_turns,
            // An answer without ops is no progress.
            attempt: if is_empty { self.claim.attempt } else { 0 },
            req_version: self.req_version(Some(answer)),
            available_at: self.now.plus(pause),
        }
    }

    fn again(&self, answer: Option<&CallResponse>, steps: Vec<StepOutput>) -> Transition {
        let pause = self.retries.get(self.claim.attempt as usize).or(self.retries.last());
        let at = self.now.plus(pause.copied().unwrap_or_default());
        Transition::Continue {
            idle_turns: self.idle_turns(&steps),
            steps,
            planned: self.claim.planned.clone(),
            attempt: self.claim.attempt + 1,
            req_version: self.req_version(answer),
            available_at: answer.and_then(|answer| answer.retry_at).unwrap_or(at),
        }
    }

    /// How many consecutive answers before this one have finished no step.
    fn idle_turns(&self, steps: &[StepOutput]) -> u32 {
        if steps.is_empty() { self.claim.idle_turns } else { 0 }
    }

    fn is_last(&self) -> bool {
        self.claim.attempt + 1 >= self.claim.max_attempts
    }

    fn req_version(&self, answer: Option<&CallResponse>) -> i64 {
        answer.and_then(|answer| answer.req_version).unwrap_or(self.claim.req_version)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{base::ids::RunId, inngest::RunStatus};

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn claim(attempt: u32) -> Claim {
        Claim {
            run_id: RunId::from("01M8532JEX1SP78PSANCV2SARF".to_owned()),
            event_id: "01M852BFZNDZSECF4ZXVXKXYMX".to_owned().into(),
            tenant: String::new(),
            lease: String::new(),
            function_id: String::new(),
            slug: String::new(),
            function_name: String::new(),
            idle_turns: 0,
            url: String::new(),
            event_name: String::new(),
            event: "{}".into(),
            attempt,
            max_attempts: 4,
            req_version: -1,
            planned: None,
            steps: vec![StepOutput { id: "one".into(), output: r#"{"data":1}"#.into() }],
        }
    }

    fn answer(status: u16, body: &str) -> CallResponse {
        CallResponse {
            status: StatusCode::from_u16(status).unwrap(),
            from_sdk: true,
            no_retry: false,
            retry_at: None,
            req_version: Some(2),
            body: body.as_bytes().to_vec(),
        }
    }

    fn decided(attempt: u32, answer: CallResponse) -> Transition {
        let retries = [Duration::from_secs(15), Duration::from_secs(30)];
        decide(&claim(attempt), Reply::Answered(answer), Duration::ZERO, &retries, NOW)
    }

    fn completed(output: Value) -> Transition {
        Transition::End { status: RunStatus::Completed, output: output.to_string(), reason: None }
    }

    fn failed(output: Value, reason: &str) -> Transition {
        fail(AttemptFailure { output, reason: reason.into() })
    }

    fn waits(attempt: u32, seconds: i64) -> Transition {
        let available_at = UnixMillis(NOW.0 + seconds * 1_000);
        Transition::Continue {
            steps: Vec::new(),
            planned: None,
            idle_turns: 0,
            attempt,
            req_version: 2,
            available_at,
        }
    }

    fn continues(steps: Vec<StepOutput>, planned: Option<&str>) -> Transition {
        let planned = planned.map(str::to_owned);
        let idle_turns = u32::from(steps.is_empty());
        Transition::Continue { steps, planned, idle_turns, attempt: 0, req_version: 2, available_at: NOW }
    }

    #[test]
    fn an_output_is_json_or_null_or_text() {
        for (status, body, expected) in [
            (200, r#"{"ok":true}"#, json!({"ok": true})),
            (200, "", Value::Null),
            (204, "", Value::Null),
            (200, "null", Value::Null),
            (200, "hello world", json!("hello world")),
        ] {
            assert_eq!(decided(0, answer(status, body)), completed(expected));
        }
    }

    #[test]
    fn a_success_without_the_sdk_header_fails_the_attempt() {
        let stranger = CallResponse { from_sdk: false, ..answer(200, r#"{"ok":true}"#) };
        assert_eq!(decided(0, stranger.clone()), waits(1, 15));
        assert_eq!(decided(3, stranger), failed(json!({"ok": true}), "invalid status code: 200"));
    }

    #[test]
    fn attempts_are_paced_and_the_last_pause_repeats() {
        assert_eq!(decided(0, answer(500, "{}")), waits(1, 15));
        assert_eq!(decided(1, answer(400, "{}")), waits(2, 30));
        assert_eq!(decided(2, answer(500, "{}")), waits(3, 30));
        let error = json!({"name": "ImportError", "message": "row 7"});
        assert_eq!(decided(3, answer(500, &error.to_string())), failed(error, "invalid status code: 500"));
    }

    #[test]
    fn the_function_can_set_the_pace_or_give_up() {
        let patient = CallResponse { retry_at: Some(UnixMillis(NOW.0 + 2_000)), ..answer(500, "{}") };
        assert_eq!(decided(0, patient), waits(1, 2));
        let hopeless = CallResponse { no_retry: true, ..answer(400, r#"{"name":"E"}"#) };
        assert_eq!(decided(0, hopeless), failed(json!({"name": "E"}), "NonRetriableError"));
    }

    #[test]
    fn a_finished_step_is_kept_and_attempts_start_anew() {
        let Transition::Continue { attempt: 2, .. } = decided(2, answer(206, "[]")) else {
            panic!("none was")
        };
        let body = r#"[{"id":"two","op":"StepRun","displayName":"two","data":{"a":1}}]"#;
        let steps = vec![StepOutput { id: "two".into(), output: r#"{"data":{"a":1}}"#.into() }];
        assert_eq!(decided(2, answer(206, body)), continues(steps, None));
    }

    #[test]
    fn a_function_that_finishes_no_step_is_called_ever_less_and_not_for_ever() {
        let called = |idle_turns, body, took| {
            let claim = Claim { idle_turns, ..claim(2) };
            match decide(&claim, Reply::Answered(answer(206, body)), took, &[], NOW) {
                Transition::Continue { idle_turns, available_at, .. } => {
                    Ok((idle_turns, available_at.0 - NOW.0))
                }
                Transition::End { output, .. } => Err(output),
            }
        };
        const LAST: u32 = MAX_IDLE_TURNS - 1;
        for body in ["[]", r#"[{"id":"d","op":"DiscoveryRequest"}]"#, r#"[{"id":"x","op":"StepPlanned"}]"#] {
            for (turns, pause) in [(0, 0), (IDLE_TURNS_AT_ONCE - 1, 0), (IDLE_TURNS_AT_ONCE, 1_000)] {
                assert_eq!(called(turns, body, Duration::ZERO), Ok((turns + 1, pause)), "{body}");
            }
            let output = called(LAST, body, Duration::ZERO).unwrap_err();
            assert!(output.contains("1000 calls in a row and finished no step"), "{output}");
            // A function that waits before such an answer causes no harm.
            assert_eq!(called(LAST, body, UNHURRIED), Ok((LAST, 0)), "{body}");
        }
        assert_eq!(called(LAST, r#"[{"id":"two","op":"StepRun","data":1}]"#, Duration::ZERO), Ok((0, 0)));
    }

    #[test]
    fn a_planned_step_is_called_for_and_must_run_then() {
        let planned = r#"[{"id":"two","op":"StepPlanned","displayName":"second"}]"#;
        assert_eq!(decided(2, answer(206, planned)), continues(Vec::new(), Some("two")));
        let called = |attempt, body| {
            let claim = Claim { planned: Some("two".into()), ..claim(attempt) };
            let reply = Reply::Answered(answer(206, body));
            decide(&claim, reply, Duration::ZERO, &[Duration::ZERO], NOW)
        };
        let failed = r#"[{"id":"two","op":"StepError","error":{"name":"E"}}]"#;
        let lost = r#"[{"id":"two","op":"StepNotFound","displayName":"second"}]"#;
        for body in [planned, failed, lost] {
            let Transition::Continue { planned, attempt: 1, .. } = called(0, body) else { panic!("{body}") };
            assert_eq!(planned.as_deref(), Some("two"), "{body}");
        }
        for body in [planned, lost] {
            let Transition::End { output, .. } = called(3, body) else { panic!("the last attempt was not") };
            assert!(output.contains("step `second`"), "{output}");
        }
        assert_eq!(called(0, r#"[{"id":"d","op":"DiscoveryRequest"}]"#), continues(Vec::new(), None));
    }

    #[test]
    fn a_step_that_failed_is_tried_again_and_then_told_to_the_function() {
        let body = r#"[{"id":"two","op":"StepError","error":{"name":"E"}}]"#;
        assert_eq!(decided(0, answer(206, body)), waits(1, 15));
        let steps = vec![StepOutput { id: "two".into(), output: r#"{"error":{"name":"E"}}"#.into() }];
        let told = continues(steps, None);
        assert_eq!(decided(3, answer(206, body)), told);
        assert_eq!(decided(0, answer(206, &body.replace("StepError", "StepFailed"))), told);
        assert_eq!(decided(0, CallResponse { no_retry: true, ..answer(206, body) }), told);
    }

    #[test]
    fn a_function_may_end_together_with_its_last_step() {
        let body = r#"[{"id":"two","op":"StepRun","data":1},{"id":"c","op":"RunComplete","data":{"a":1}}]"#;
        assert_eq!(decided(0, answer(206, body)), completed(json!({"a": 1})));
    }

    #[test]
    fn what_the_engine_cannot_do_fails_at_once_by_name() {
        for (status, body, word) in [
            (206, r#"[{"id":"nap","op":"Sleep","name":"1s"}]"#, "step.sleep"),
            (206, r#"[{"id":"a","op":"StepPlanned"},{"id":"b","op":"StepPlanned"}]"#, "parallel steps"),
            (201, r#"{"status":200,"body":"1"}"#, "streamed answers"),
        ] {
            let Transition::End { status: RunStatus::Failed, output, .. } = decided(0, answer(status, body))
            else {
                panic!("{body} was taken");
            };
            assert!(output.contains(word) && output.contains("Connect Inngest"), "{output}");
        }
    }

    #[test]
    fn a_runs_state_is_bounded() {
        let step = |id: usize| json!({"id": id.to_string(), "op": "StepRun", "data": null});
        let many: Value = (0..MAX_STEPS).map(step).collect();
        let Transition::End { output, .. } = decided(0, answer(206, &many.to_string())) else {
            panic!("{MAX_STEPS} more steps were taken");
        };
        assert!(output.contains("more than 1000 steps"), "{output}");
        let mut full = claim(0);
        full.steps[0].output = "x".repeat(MAX_STATE_BYTES);
        let reply = Reply::Answered(answer(206, &json!([step(1)]).to_string()));
        let Transition::End { output, .. } = decide(&full, reply, Duration::ZERO, &[], NOW) else {
            panic!("too large a state was taken");
        };
        assert!(output.contains("more than 33554432 bytes"), "{output}");
    }

    #[test]
    fn no_answer_and_a_strangers_error_say_so() {
        let message = "Unable to reach SDK URL";
        let error = json!({"error": {"error": message, "name": "Error", "message": message}});
        let unreachable = decide(&claim(3), Reply::Unreachable, Duration::ZERO, &[], NOW);
        assert_eq!(unreachable, failed(error, message));
        let proxy = CallResponse { from_sdk: false, ..answer(502, "<h1>oops</h1>") };
        let Transition::End { output, .. } = decided(3, proxy) else { panic!("the last attempt was not") };
        assert!(output.contains("HTTP 502 before the SDK") && output.contains("oops"), "{output}");
        let empty = decided(3, answer(500, ""));
        let status = "invalid status code: 500";
        assert_eq!(empty, failed(json!(status), status));
    }
}
