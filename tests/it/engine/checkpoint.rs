//! Steps that a function reports during a call, as SDKs do.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use reqwest::Method;
use runboard::inngest::{RunStatus, call::step_id};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{registered, trigger};
use crate::{
    function_server::{Answer, Function, Received},
    inngest_api::{Answered, Embedded, answered, work},
};

/// Reports `steps` as a part of the call `request`.
async fn checkpoint(embedded: &Embedded, run: &str, request: &str, steps: &Value) -> Answered {
    let call = embedded.api.request(Method::POST, &format!("/v1/checkpoint/{run}/async"));
    let body = json!({"run_id": run, "request_id": request, "steps": steps, "ts": 1});
    answered(call.bearer_auth(Embedded::SIGNING_KEY).json(&body).send().await.unwrap()).await
}

fn ran(name: &str, data: &Value) -> Value {
    json!({"id": step_id(name), "op": "StepRun", "name": name, "displayName": name, "opts": {}, "data": data})
}

/// Each call waits for a permit of the gate. The first then fails, the second ends the run.
fn held(gate: &Arc<Semaphore>) -> Function {
    let (gate, calls) = (Arc::clone(gate), AtomicUsize::new(0));
    Function::new("held", move |_| {
        let gate = Arc::clone(&gate);
        let call = calls.fetch_add(1, Ordering::SeqCst);
        async move {
            gate.acquire().await.unwrap().forget();
            match call {
                0 => Answer::new(500, json!({"message": "after two steps"})),
                _ => Answer::ops(&json!([
                    ran("three", &json!(3)),
                    {"id": step_id("complete"), "op": "RunComplete", "data": {"all": true}}
                ])),
            }
        }
    })
    .retries(1)
}

fn call_of(received: &Received) -> (String, String) {
    (received.call.ctx.run_id.to_string(), received.headers["x-request-id"].clone())
}

#[tokio::test]
async fn steps_reported_during_a_call_are_kept_whatever_becomes_of_the_call() {
    let embedded = Embedded::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let functions = registered(&embedded, vec![held(&gate)]).await;
    let _working = work(&embedded.engine);
    let event = trigger(&embedded, &functions, "held").await;
    let (run, request) = call_of(&functions.called("held", 1).await[0]);
    for (name, data) in [("two", json!({"b": 1, "a": 2})), ("one", json!(1)), ("two", json!("again"))] {
        let kept = checkpoint(&embedded, &run, &request, &json!([ran(name, &data)])).await;
        assert_eq!(kept.status, 200, "{kept:?}");
    }
    let actions = embedded.api.ask(Method::GET, &format!("/v0/runs/{run}/actions")).await;
    assert_eq!(actions.body[step_id("one")], json!({"data": 1}), "{actions:?}");
    gate.add_permits(1);

    let second = functions.called("held", 2).await.remove(1);
    assert_eq!(second.call.ctx.attempt, 1);
    assert_eq!(second.call.ctx.stack.stack, [step_id("two"), step_id("one")]);
    assert_eq!(second.call.steps[&step_id("two")], json!({"data": {"a": 2, "b": 1}}));

    // The first call is over, so its reports are stale.
    let stale = checkpoint(&embedded, &run, &request, &json!([ran("late", &json!(1))])).await;
    assert_eq!(stale.status, 409, "{stale:?}");
    gate.add_permits(1);
    let ended = embedded.api.ended(&event).await;
    assert_eq!((ended.status, ended.output), (RunStatus::Completed, Some(json!({"all": true}))));
    let (run, request) = call_of(&second);
    let stale = checkpoint(&embedded, &run, &request, &json!([ran("late", &json!(1))])).await;
    assert_eq!(stale.status, 409, "{stale:?}");
}

#[tokio::test]
async fn a_checkpoint_is_kept_whole_or_not_at_all() {
    let embedded = Embedded::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let functions = registered(&embedded, vec![held(&gate)]).await;
    let _working = work(&embedded.engine);
    trigger(&embedded, &functions, "held").await;
    let (run, request) = call_of(&functions.called("held", 1).await[0]);
    let good = ran("one", &json!(1));
    let signal =
        json!({"id": step_id("s"), "op": "StepRun", "opts": {"type": "step.sendSignal"}, "data": null});
    let many: Vec<Value> = (0..1_001).map(|n| ran(&format!("step {n}"), &Value::Null)).collect();
    for (steps, word) in [
        (
            json!([good, {"id": "nap", "op": "Sleep", "displayName": "nap", "name": "1s"}]),
            "step.sleep (`nap`)",
        ),
        (json!([good, signal]), "step.sendSignal"),
        (json!([good, {"id": "c", "op": "RunComplete"}]), "a checkpoint cannot contain"),
        (json!([good, {"op": "StepRun"}]), "missing field"),
        (json!(many), "exceed its limit"),
    ] {
        let refused = checkpoint(&embedded, &run, &request, &steps).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.body["error"].as_str().unwrap().contains(word), "{refused:?}");
    }
    let unguarded = embedded.api.request(Method::POST, &format!("/v1/checkpoint/{run}/async"));
    assert_eq!(unguarded.body("{}").send().await.unwrap().status(), 401);
    let actions = embedded.api.ask(Method::GET, &format!("/v0/runs/{run}/actions")).await;
    assert_eq!((actions.status, actions.body), (200, json!({})));
    gate.add_permits(2);
}
