//! Registering functions, calling them, and the meaning of their answers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use runboard::inngest::{
    RunStatus,
    call::{Op, step_id},
    signature,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{World, assert_ended};
use crate::function_server::{Answer, Function};

#[tokio::test]
async fn a_function_is_called_with_the_event_and_completes_with_its_output() {
    let output = json!({"status": "success", "processedItems": 98, "failedItems": 2});
    let body = output.to_string();
    let go = Function::answering("go", move || Answer::output(&body)).retries(3);
    let world = World::with(vec![go]).await;
    let event = world.trigger("go").await;
    let run = world.api.ended(&event).await;
    assert_ended(&run, RunStatus::Completed, output);
    assert_eq!(run.event_id.as_str(), event);

    let calls = world.functions.calls("go");
    assert_eq!(calls.len(), 1);
    let call = &calls[0].call;
    assert_eq!((call.ctx.attempt, call.ctx.max_attempts), (0, Some(4)));
    assert_eq!((call.ctx.run_id.as_str(), call.ctx.fn_id.as_str()), (run.run_id.as_str(), &*run.function_id));
    assert_eq!((call.event.id.as_str(), &call.event.data), (&*event, &json!({"n": 1})));
    assert_eq!((call.events.len(), call.steps.len(), call.use_api), (1, 0, false));
    assert_eq!(calls[0].headers["x-run-id"], run.run_id.as_str());
    assert_eq!(calls[0].headers["x-inngest-step-id"], "step");
    assert_eq!(calls[0].headers["x-inngest-req-version"], "-1");
    assert_eq!(calls[0].is_signed_by(&world.api.signing_key), world.checks_keys);
    assert_eq!(calls[0].headers.contains_key(signature::HEADER), world.checks_keys);
}

#[tokio::test]
async fn an_output_may_be_null_or_a_number_or_text() {
    let world = World::with(vec![
        Function::answering("null", || Answer::output("null")).retries(0),
        Function::answering("nothing", || Answer::output("")).retries(0),
        Function::answering("number", || Answer::output("42")).retries(0),
        Function::answering("text", || Answer::output("hello world")).retries(0),
    ])
    .await;
    assert_ended(&world.run("null").await, RunStatus::Completed, Value::Null);
    assert_ended(&world.run("nothing").await, RunStatus::Completed, Value::Null);
    assert_ended(&world.run("number").await, RunStatus::Completed, json!(42));
    assert_ended(&world.run("text").await, RunStatus::Completed, json!("hello world"));
}

#[tokio::test]
async fn an_event_runs_every_function_that_it_triggers() {
    let first = Function::answering("first", || Answer::output("1")).retries(0);
    let second = Function::answering("second", || Answer::output("2")).retries(0).on("first");
    let world = World::with(vec![first, second]).await;
    let event = world.trigger("first").await;
    let runs = world.api.all_ended(&event, 2).await;
    let mut outputs: Vec<u64> =
        runs.iter().map(|run| run.output.as_ref().unwrap().as_u64().unwrap()).collect();
    outputs.sort_unstable();
    assert_eq!(outputs, [1, 2]);
    assert_ne!(runs[0].function_id, runs[1].function_id);
}

#[tokio::test]
async fn an_error_without_retry_fails_at_once_and_is_the_output() {
    let error = json!({"name": "ImportError", "message": "row 7", "stack": "at x"});
    let body = error.clone();
    let fails = Function::answering("fails", move || Answer::new(400, &body).no_retry()).retries(4);
    let world = World::with(vec![fails]).await;
    assert_ended(&world.run("fails").await, RunStatus::Failed, error);
    assert_eq!(world.functions.calls("fails").len(), 1);
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_and_the_run_goes_on_meanwhile() {
    let flaky = Function::new("flaky", |received| async move {
        match received.call.ctx.attempt {
            0 => Answer::new(500, json!({"name": "Error", "message": "try again"})).retry_after("2"),
            attempt => Answer::output(json!({"attempt": attempt})),
        }
    });
    let world = World::with(vec![flaky.retries(2)]).await;
    let event = world.trigger("flaky").await;
    world.functions.called("flaky", 1).await;
    let between = world.api.started(&event, 1).await.remove(0);
    assert_eq!((between.ended_at, between.output), (None, None), "{:?}", between.status);
    assert_ended(&world.api.ended(&event).await, RunStatus::Completed, json!({"attempt": 1}));
    let attempts: Vec<u32> =
        world.functions.calls("flaky").iter().map(|received| received.call.ctx.attempt).collect();
    assert_eq!(attempts, [0, 1]);
}

#[tokio::test]
async fn the_last_attempts_error_is_the_output() {
    let fails = Function::new("fails", |received| async move {
        Answer::new(400, json!({"message": format!("attempt {}", received.call.ctx.attempt)}))
            .retry_after("1")
    });
    let world = World::with(vec![fails.retries(1)]).await;
    assert_ended(&world.run("fails").await, RunStatus::Failed, json!({"message": "attempt 1"}));
    assert_eq!(world.functions.calls("fails").len(), 2);
}

#[tokio::test]
async fn a_success_that_is_not_the_sdks_fails() {
    let stranger = || Answer::output(json!({"ok": true})).without_sdk_header();
    let world = World::with(vec![Function::answering("stranger", stranger).retries(0)]).await;
    assert_ended(&world.run("stranger").await, RunStatus::Failed, json!({"ok": true}));
}

#[tokio::test]
async fn an_error_that_is_not_the_sdks_says_so() {
    let proxy = || Answer::new(502, "<h1>oops</h1>").without_sdk_header();
    let world = World::with(vec![Function::answering("proxy", proxy).retries(0)]).await;
    let run = world.run("proxy").await;
    let message = run.output.unwrap()["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "Your server returned HTTP 502 before the SDK responded.");
}

#[tokio::test]
async fn a_function_that_cannot_be_reached_fails() {
    let world = World::with(vec![Function::answering("go", || Answer::output("1")).retries(0)]).await;
    let mut app = world.functions.registration();
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let function = &mut app.functions[0];
    function.steps.get_mut("step").unwrap().runtime.url =
        format!("http://{free}/?fnId={}&stepId=step", function.id);
    world.api.register(&app).await;
    let run = world.run("go").await;
    let message = "Unable to reach SDK URL";
    let error = json!({"error": {"error": message, "name": "Error", "message": message}});
    assert_ended(&run, RunStatus::Failed, error);
}

#[tokio::test]
async fn finished_steps_come_back_in_the_next_call() {
    let steps = Function::new("steps", |received| async move {
        match received.call.ctx.stack.current {
            0 => Answer::step("plan", json!({"rows": 2})),
            1 => Answer::step("rows-1", json!([1, 2])),
            _ => Answer::output(json!({"plan": received.call.steps[&step_id("plan")]["data"]})),
        }
    });
    let world = World::with(vec![steps.retries(0)]).await;
    assert_ended(&world.run("steps").await, RunStatus::Completed, json!({"plan": {"rows": 2}}));
    let calls = world.functions.calls("steps");
    assert_eq!(calls.len(), 3);
    let last = &calls[2].call;
    assert_eq!(last.ctx.stack.stack, [step_id("plan"), step_id("rows-1")]);
    assert_eq!(last.steps[&step_id("rows-1")], json!({"data": [1, 2]}));
    assert_eq!(calls[2].headers["x-inngest-req-version"], "2");
}

#[tokio::test]
async fn a_function_asks_for_a_state_that_no_call_can_carry() {
    let gate = Arc::new(Semaphore::new(0));
    let hold = Arc::clone(&gate);
    let half = "x".repeat(2_200_000);
    let data = half.clone();
    let large = Function::new("large", move |received| {
        let (gate, half) = (Arc::clone(&hold), data.clone());
        async move {
            match received.call.ctx.stack.current {
                0 => Answer::step("one", json!(half)),
                1 => Answer::step("two", json!(half)),
                _ => {
                    gate.acquire().await.unwrap().forget();
                    Answer::output("1")
                }
            }
        }
    });
    let world = World::with(vec![large.retries(0)]).await;
    let event = world.trigger("large").await;
    let calls = world.functions.called("large", 3).await;
    let [_, second, third] = calls.as_slice() else { panic!("{} calls", calls.len()) };
    assert!(!second.call.use_api && second.call.steps.len() == 1);
    // A real server still sends the events here, and omits them only if they are too large.
    assert!(third.call.use_api && third.call.steps.is_empty(), "{} steps", third.call.steps.len());
    assert_eq!(third.call.event.id.as_str(), event);
    assert_eq!(third.call.ctx.stack.stack, [step_id("one"), step_id("two")]);
    let body: Value = serde_json::from_slice(&third.raw).unwrap();
    assert_eq!(body["ctx"]["use_api"], true);

    let run = &third.call.ctx.run_id;
    let actions = world.api.ask(reqwest::Method::GET, &format!("/v0/runs/{run}/actions")).await;
    assert_eq!(actions.status, 200);
    for step in ["one", "two"] {
        assert_eq!(actions.body[step_id(step)]["data"].as_str().map(str::len), Some(half.len()));
    }
    let batch = world.api.ask(reqwest::Method::GET, &format!("/v0/runs/{run}/batch")).await;
    assert_eq!((batch.status, &batch.body[0]["id"]), (200, &json!(event)), "{batch:?}");
    assert_eq!((&batch.body[0]["data"], batch.body.as_array().unwrap().len()), (&json!({"n": 1}), 1));
    gate.add_permits(1);
    assert_ended(&world.api.ended(&event).await, RunStatus::Completed, json!(1));
}

#[tokio::test]
async fn attempts_start_anew_after_a_step() {
    let failures = AtomicUsize::new(0);
    let steps = Function::new("steps", move |received| {
        let flaky = received.call.ctx.attempt == 0 && failures.fetch_add(1, Ordering::Relaxed) < 2;
        async move {
            match (flaky, received.call.steps.len()) {
                (true, _) => Answer::new(500, json!({"message": "try again"})).retry_after("1"),
                (false, 0) => Answer::step("one", Value::Null),
                (false, _) => Answer::output("2"),
            }
        }
    });
    let world = World::with(vec![steps.retries(1)]).await;
    assert_ended(&world.run("steps").await, RunStatus::Completed, json!(2));
    let calls = world.functions.calls("steps");
    let seen: Vec<_> =
        calls.iter().map(|received| (received.call.steps.len(), received.call.ctx.attempt)).collect();
    assert_eq!(seen, [(0, 0), (0, 1), (1, 0), (1, 1)]);
}

#[tokio::test]
async fn no_finished_step_means_call_again() {
    let calls = AtomicUsize::new(0);
    let function = Function::new("empty", move |_| {
        let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        async move { if first { Answer::ops(&json!([])) } else { Answer::output("1") } }
    });
    let world = World::with(vec![function.retries(0)]).await;
    assert_ended(&world.run("empty").await, RunStatus::Completed, json!(1));
}

#[tokio::test]
async fn a_step_that_failed_for_good_is_told_to_the_function() {
    let function = Function::new("steps", |received| async move {
        let step = step_id("broken");
        let error = json!({"name": "Error", "message": "step broke"});
        match received.call.steps.get(&step) {
            None => {
                let op = json!({"id": step, "op": Op::STEP_FAILED, "displayName": "broken", "error": error});
                Answer::ops(&json!([op])).no_retry()
            }
            Some(told) => Answer::output(json!({"told": told["error"]["message"]})),
        }
    });
    let world = World::with(vec![function.retries(0)]).await;
    assert_ended(&world.run("steps").await, RunStatus::Completed, json!({"told": "step broke"}));
}

#[tokio::test]
async fn registering_again_changes_nothing() {
    let world = World::with(vec![Function::answering("go", || Answer::output("1")).retries(0)]).await;
    let again = world.api.register(&world.functions.registration()).await;
    assert_eq!((again.status, &again.body["ok"]), (200, &json!(true)), "{again:?}");
    assert_eq!(again.body["modified"], false, "{again:?}");
    assert_eq!(again.content_type, "text/plain; charset=utf-8");
    world.run("go").await;
}

#[tokio::test]
async fn a_function_that_is_gone_from_its_app_is_not_run() {
    let kept = Function::answering("kept", || Answer::output("1")).retries(0);
    let gone = Function::answering("gone", || Answer::output("2")).retries(0).on("kept");
    let world = World::with(vec![kept, gone]).await;
    let mut app = world.functions.registration();
    app.functions.truncate(1);
    let synced = world.api.register(&app).await;
    assert_eq!((synced.status, &synced.body["modified"]), (200, &json!(true)), "{synced:?}");
    assert_ended(&world.run("kept").await, RunStatus::Completed, json!(1));
    assert_eq!(world.functions.calls("gone").len(), 0);
}

#[tokio::test]
async fn what_is_no_registration_is_refused_with_a_reason() {
    let world = World::with(Vec::new()).await;
    let url = "http://127.0.0.1:1/api/inngest";
    let step = json!({"id": "step", "runtime": {"type": "http", "url": url}});
    let nameless = json!({"id": "a-f", "triggers": [{"event": "a/b"}], "steps": {"step": step}});
    let stepless = json!({"id": "a-f", "name": "f", "triggers": [{"event": "a/b"}], "steps": {}});
    for (body, reason) in [
        (json!({}), "App ID required"),
        (json!({"url": url, "functions": []}), "App ID required"),
        (json!({"url": url, "appName": "a", "functions": [nameless]}), "At least one function is invalid"),
        (json!({"url": url, "appName": "a", "functions": [stepless]}), "At least one function is invalid"),
    ] {
        let refused = world.api.post_registration(body.to_string()).await;
        assert_eq!((refused.status, &refused.body["error"]), (400, &json!(reason)), "{body} {refused:?}");
    }
    let refused = world.api.post_registration("{".into()).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body["error"].as_str().unwrap().starts_with("Invalid request: "), "{refused:?}");
}
