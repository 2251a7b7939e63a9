//! Guarantees that only the embedded engine makes.

mod checkpoint;
mod clock;
mod migration;
mod postgres;
mod prune;
mod stuck;
mod system_events;

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use runboard::{
    base::time::UnixMillis,
    engine::DispatchOutcome,
    inngest::{EventSeed, RunStatus},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use ulid::Ulid;

use crate::{
    function_server::{Answer, Function, FunctionServer},
    inngest_api::{Embedded, until, work},
};

async fn registered(embedded: &Embedded, functions: Vec<Function>) -> FunctionServer {
    let functions = FunctionServer::start(functions).await;
    let registered = embedded.api.register(&functions.registration()).await;
    assert_eq!(registered.status, 200, "{registered:?}");
    functions
}

async fn trigger(embedded: &Embedded, functions: &FunctionServer, function: &str) -> String {
    embedded.api.send(&json!({"name": functions.event(function), "data": {}})).await
}

/// A function whose first call does not answer before the gate opens. Its answer contains the number of the
/// call.
fn first_held(gate: &Arc<Semaphore>) -> Function {
    let gate = Arc::clone(gate);
    let calls = std::sync::atomic::AtomicUsize::new(0);
    Function::new("held", move |received| {
        let gate = Arc::clone(&gate);
        let call = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            if call == 0 {
                gate.acquire().await.unwrap().forget();
            }
            Answer::output(json!({"call": call, "attempt": received.call.ctx.attempt}))
        }
    })
}

#[tokio::test]
async fn a_call_lost_with_its_process_is_made_again_under_the_same_attempt() {
    let embedded = Embedded::start().await;
    let functions = registered(&embedded, vec![first_held(&Arc::new(Semaphore::new(0)))]).await;
    let died = work(&embedded.engine);
    let event = trigger(&embedded, &functions, "held").await;
    functions.called("held", 1).await;
    died.task.abort();

    let _next = work(&embedded.next_engine().await);
    let run = embedded.api.ended(&event).await;
    assert_eq!((run.status, run.output), (RunStatus::Completed, Some(json!({"call": 1, "attempt": 0}))));
    assert_eq!(functions.calls("held").len(), 2);
}

#[tokio::test]
async fn the_answer_of_a_call_that_was_taken_over_is_dropped() {
    let embedded = Embedded::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let functions = registered(&embedded, vec![first_held(&gate)]).await;
    let event = trigger(&embedded, &functions, "held").await;
    let first = embedded.engine.clone();
    let first = tokio::spawn(async move { first.step().await });
    functions.called("held", 1).await;

    let _second = work(&embedded.next_engine().await);
    let run = embedded.api.ended(&event).await;
    gate.add_permits(1);
    let outcome = first.await.unwrap().unwrap();
    assert_eq!(outcome, DispatchOutcome::Dropped(run.run_id.clone()));
    assert_eq!(run.output, Some(json!({"call": 1, "attempt": 0})));
    assert_eq!(embedded.api.runs(&event).await, [run]);
}

#[tokio::test]
async fn a_cancelled_runs_answer_is_dropped() {
    let embedded = Embedded::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let functions = registered(&embedded, vec![first_held(&gate)]).await;
    let event = trigger(&embedded, &functions, "held").await;
    let engine = embedded.engine.clone();
    let step = tokio::spawn(async move { engine.step().await });
    functions.called("held", 1).await;
    let run = embedded.api.runs(&event).await.remove(0);
    embedded.api.cancel(run.run_id.as_str()).await;
    let record = embedded.api.runs(&event).await;
    gate.add_permits(1);
    assert_eq!(step.await.unwrap().unwrap(), DispatchOutcome::Dropped(run.run_id));
    assert_eq!(embedded.api.runs(&event).await, record);
    assert_eq!(embedded.engine.step().await.unwrap(), DispatchOutcome::Idle { until: None });
}

#[tokio::test]
async fn attempts_wait_their_pauses_and_the_run_is_running_meanwhile() {
    let hour = Duration::from_secs(3600);
    let embedded = Embedded::with_retries(&[Duration::ZERO, hour]).await;
    let fails = Function::answering("fails", || Answer::new(500, json!({"message": "no"}))).retries(3);
    let functions = registered(&embedded, vec![fails]).await;
    let event = trigger(&embedded, &functions, "fails").await;
    let run = embedded.api.runs(&event).await.remove(0);
    assert_eq!(run.status, RunStatus::Scheduled);

    let retrying = DispatchOutcome::Retrying(run.run_id.clone());
    assert_eq!(embedded.engine.step().await.unwrap(), retrying);
    let before = UnixMillis::now();
    assert_eq!(embedded.engine.step().await.unwrap(), retrying);
    let after = UnixMillis::now();
    let DispatchOutcome::Idle { until: Some(until) } = embedded.engine.step().await.unwrap() else {
        panic!("the third attempt did not wait");
    };
    assert!(before.plus(hour) <= until && until <= after.plus(hour), "{before} {until} {after}");
    let waiting = embedded.api.runs(&event).await.remove(0);
    assert_eq!((waiting.status, waiting.ended_at, waiting.output), (RunStatus::Running, None, None));
    let attempts: Vec<u32> =
        functions.calls("fails").iter().map(|received| received.call.ctx.attempt).collect();
    assert_eq!(attempts, [0, 1]);
    let jobs = embedded.api.get_jobs(run.run_id.as_str()).await;
    let job = &jobs.body["data"][0];
    assert_eq!((&job["attempt"], &job["at"]), (&json!(2), &json!(until.to_string())), "{jobs:?}");
}

#[tokio::test]
async fn an_array_is_taken_whole_or_not_at_all() {
    let embedded = Embedded::start().await;
    let functions = registered(&embedded, vec![Function::answering("go", || Answer::output("1"))]).await;
    let good = json!({"name": functions.event("go"), "data": {}});
    let sent = embedded.api.post_event(json!([good, {"name": ""}, good]), None).await;
    assert_eq!((sent.status, &sent.body["ids"]), (400, &json!([""])), "{sent:?}");
    let many = vec![good; 5001];
    let sent = embedded.api.post_event(json!(many), None).await;
    assert_eq!(sent.body["error"], "Cannot have more than 5000 events in a batch");
    assert_eq!(embedded.engine.step().await.unwrap(), DispatchOutcome::Idle { until: None });
}

#[tokio::test]
async fn an_array_sent_again_under_its_seed_does_nothing() {
    let embedded = Embedded::start().await;
    let functions = registered(&embedded, vec![Function::answering("go", || Answer::output("1"))]).await;
    let seed = EventSeed::generate();
    let good = json!({"name": functions.event("go"), "data": {}});
    for _ in 0..2 {
        let sent = embedded.api.post_event(json!([good, good]), Some(&seed)).await;
        assert_eq!(sent.body["ids"], json!([seed.event_id(0), seed.event_id(1)]), "{sent:?}");
    }
    for position in 0..2 {
        assert_eq!(embedded.api.runs(seed.event_id(position).as_str()).await.len(), 1);
    }
}

#[tokio::test]
async fn a_malformed_seed_is_refused() {
    let embedded = Embedded::start().await;
    let request = embedded.api.request(Method::POST, &format!("/e/{}", Embedded::EVENT_KEY));
    let answer = request.header(EventSeed::HEADER, "soon").body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn an_own_event_id_runs_a_function_once() {
    let embedded = Embedded::start().await;
    let functions = registered(
        &embedded,
        vec![
            Function::answering("go", || Answer::output("1")),
            Function::answering("other", || Answer::output("2")),
        ],
    )
    .await;
    let event = |function| json!({"id": "csv-42", "name": functions.event(function), "data": {}});
    let first = embedded.api.send(&event("go")).await;
    let again = embedded.api.send(&event("go")).await;
    let other = embedded.api.send(&event("other")).await;
    assert_ne!(first, again);
    let counts = [
        embedded.api.runs(&first).await.len(),
        embedded.api.runs(&again).await.len(),
        embedded.api.runs(&other).await.len(),
    ];
    assert_eq!(counts, [1, 0, 1]);
    let _working = work(&embedded.engine);
    embedded.api.ended(&first).await;
    assert_eq!(functions.calls("go")[0].call.event.id.as_str(), "csv-42");
}

#[tokio::test]
async fn what_only_inngest_can_do_fails_the_run_by_name() {
    let embedded = Embedded::start().await;
    let sleeps = || Answer::ops(&json!([{"id": "a", "op": "Sleep", "name": "6s", "data": null}]));
    let functions = registered(&embedded, vec![Function::answering("sleeps", sleeps)]).await;
    let event = trigger(&embedded, &functions, "sleeps").await;
    let outcome = embedded.engine.step().await.unwrap();
    let run = embedded.api.runs(&event).await.remove(0);
    assert_eq!((outcome, run.status), (DispatchOutcome::Ended(run.run_id), RunStatus::Failed));
    let message = run.output.unwrap()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("step.sleep") && message.contains("Connect Inngest"), "{message}");
}

#[tokio::test]
async fn an_answer_without_measure_fails_the_run() {
    let embedded = Embedded::start().await;
    let endless = || Answer::output(format!("\"{}\"", "x".repeat(5 << 20)));
    let functions = registered(&embedded, vec![Function::answering("endless", endless)]).await;
    let event = trigger(&embedded, &functions, "endless").await;
    embedded.engine.step().await.unwrap();
    let run = embedded.api.runs(&event).await.remove(0);
    assert_eq!(run.status, RunStatus::Failed);
    assert!(run.output.unwrap().to_string().contains("4194304 bytes"));
}

#[tokio::test]
async fn a_registration_that_asks_for_too_much_is_refused_by_name() {
    let embedded = Embedded::start().await;
    let functions = FunctionServer::start(vec![Function::answering("go", || Answer::output("1"))]).await;
    let mut app: Value = serde_json::to_value(functions.registration()).unwrap();
    for (trigger, word) in [
        (json!({"cron": "* * * * *"}), "cron"),
        (json!({"event": "a/b", "expression": "event.data.n > 1"}), "`event.data.n > 1`"),
    ] {
        app["functions"][0]["triggers"] = json!([trigger]);
        let refused = embedded.api.post_registration(app.to_string()).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        let error = refused.body["error"].as_str().unwrap();
        let name = format!("{}-go", functions.app);
        assert!(error.contains(word) && error.contains(&name) && error.contains("Inngest"), "{error}");
    }
}

#[tokio::test]
async fn a_run_whose_function_was_archived_is_finished() {
    let embedded = Embedded::start().await;
    let functions = registered(&embedded, vec![Function::answering("go", || Answer::output("1"))]).await;
    let event = trigger(&embedded, &functions, "go").await;
    let mut app = functions.registration();
    app.functions.clear();
    embedded.api.register(&app).await;
    let _working = work(&embedded.engine);
    assert_eq!(embedded.api.ended(&event).await.status, RunStatus::Completed);
    assert_eq!(embedded.api.runs(&trigger(&embedded, &functions, "go").await).await, []);
}

#[tokio::test]
async fn a_function_is_called_where_it_was_registered_last() {
    let embedded = Embedded::start().await;
    let first = registered(&embedded, vec![Function::answering("go", || Answer::output("1"))]).await;
    let event = trigger(&embedded, &first, "go").await;
    let moved = vec![Function::answering("go", || Answer::output("2"))];
    let moved = FunctionServer::start_as(first.app.clone(), moved).await;
    embedded.api.register(&moved.registration()).await;
    embedded.engine.step().await.unwrap();
    assert_eq!(embedded.api.runs(&event).await[0].output, Some(json!(2)));
    assert_eq!(first.calls("go").len(), 0);
}

#[tokio::test]
async fn wrong_keys_change_nothing() {
    let embedded = Embedded::start().await;
    let functions = registered(&embedded, vec![Function::answering("go", || Answer::output("1"))]).await;
    let event = trigger(&embedded, &functions, "go").await;
    let run = embedded.api.runs(&event).await.remove(0);
    let body = json!({"name": functions.event("go"), "data": {}}).to_string();
    for (method, path, status) in [
        (Method::POST, "/e/nope".to_owned(), 401),
        (Method::POST, "/e/".to_owned(), 404),
        (Method::DELETE, format!("/v1/runs/{}", run.run_id), 401),
        (Method::GET, format!("/v1/runs/{}", run.run_id), 401),
        (Method::POST, "/fn/register".to_owned(), 401),
        (Method::GET, format!("/v0/runs/{}/actions", run.run_id), 401),
        (Method::GET, format!("/v0/runs/{}/batch", run.run_id), 401),
        (Method::GET, format!("/v2/events/{event}/runs"), 401),
        (Method::POST, format!("/v2/runs/{}/cancel", run.run_id), 401),
        (Method::POST, format!("/api/v2/runs/{}/cancel", run.run_id), 401),
    ] {
        let request = embedded.api.request(method, &path).body(body.clone());
        let answer = request.bearer_auth(Embedded::EVENT_KEY).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    assert!(
        matches!(embedded.engine.step().await.unwrap(), DispatchOutcome::Ended(ended) if ended == run.run_id)
    );
    assert_eq!(embedded.engine.step().await.unwrap(), DispatchOutcome::Idle { until: None });
}

#[tokio::test]
async fn errors_have_true_status_codes() {
    let embedded = Embedded::start().await;
    let key = Embedded::SIGNING_KEY;
    for (path, status) in [
        (format!("/v1/runs/{}", Ulid::new()), 404),
        ("/v1/runs/xyz".to_owned(), 400),
        ("/v1/events/xyz/runs".to_owned(), 400),
        ("/v1/nothing".to_owned(), 404),
        (format!("/v0/runs/{}/batch", Ulid::new()), 404),
        ("/v0/runs/xyz/actions".to_owned(), 400),
        (format!("/v2/events/{}/runs?limit=none", Ulid::new()), 400),
        (format!("/v2/events/{}/runs?cursor=none", Ulid::new()), 400),
        (format!("/v2/events/{}/runs?includeOutput=perhaps", Ulid::new()), 400),
        ("/v2/nothing".to_owned(), 404),
        ("/e/any".to_owned(), 405),
    ] {
        let answer = embedded.api.request(Method::GET, &path).bearer_auth(key).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["x-inngest-server-kind"], "cloud", "{path}");
    }
}

#[tokio::test]
async fn a_run_that_has_ended_is_not_cancelled_by_v2_and_said_to_have() {
    let embedded = Embedded::start().await;
    let functions = registered(&embedded, vec![Function::answering("go", || Answer::output("1"))]).await;
    let event = trigger(&embedded, &functions, "go").await;
    embedded.engine.step().await.unwrap();
    let run = embedded.api.runs(&event).await.remove(0);
    let refused = embedded.api.cancel_v2(run.run_id.as_str()).await;
    let errors = json!([{"code": "run_already_ended", "message": "Cannot cancel an ended run"}]);
    assert_eq!((refused.status, &refused.body["errors"]), (409, &errors), "{refused:?}");
    assert_eq!(embedded.api.runs(&event).await, [run]);

    // A run is not cancelled twice, and this engine knows that at once.
    let next = trigger(&embedded, &functions, "go").await;
    let run = embedded.api.runs(&next).await.remove(0);
    let first = embedded.api.cancel_v2(run.run_id.as_str()).await;
    let second = embedded.api.cancel_v2(run.run_id.as_str()).await;
    let code = &second.body["errors"][0]["code"];
    assert_eq!((first.status, second.status, code), (200, 409, &json!("run_already_cancelled")));
}

#[tokio::test]
async fn a_stop_waits_for_the_call_at_work() {
    let embedded = Embedded::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let functions = registered(&embedded, vec![first_held(&gate)]).await;
    let working = work(&embedded.engine);
    let event = trigger(&embedded, &functions, "held").await;
    functions.called("held", 1).await;
    working.stop.cancel();
    gate.add_permits(1);
    working.task.await.unwrap();
    let run = embedded.api.runs(&event).await.remove(0);
    assert_eq!((run.status, run.output), (RunStatus::Completed, Some(json!({"call": 0, "attempt": 0}))));
    let later = trigger(&embedded, &functions, "held").await;
    assert_eq!(embedded.api.runs(&later).await[0].status, RunStatus::Scheduled);
}

#[tokio::test]
async fn one_tenants_runs_leave_room_for_another_tenants() {
    let embedded = Embedded::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let hold = Arc::clone(&gate);
    let function = Function::new("held", move |_| {
        let gate = Arc::clone(&hold);
        async move {
            gate.acquire().await.unwrap().forget();
            Answer::output("1")
        }
    });
    let functions = registered(&embedded, vec![function]).await;
    let _working = work(&embedded.engine);
    let of = |user: &str| json!({"name": functions.event("held"), "data": {"userId": user}});
    let sent = embedded.api.post_event(json!(vec![of("mira"); 6]), None).await;
    functions.called("held", 2).await;
    let other = embedded.api.send(&of("noor")).await;
    functions.called("held", 3).await;
    assert_eq!(embedded.api.runs(&other).await[0].status, RunStatus::Running);
    let ids: Vec<String> = serde_json::from_value(sent.body["ids"].clone()).unwrap();
    let mut scheduled = 0;
    for id in &ids {
        scheduled += usize::from(embedded.api.runs(id).await[0].status == RunStatus::Scheduled);
    }
    // Of the four possible calls, one stays free for other tenants.
    assert_eq!((scheduled, functions.calls("held").len()), (4, 3));
    gate.add_permits(7);
    let all = || async {
        let calls = functions.calls("held").len();
        if calls == 7 { Ok(()) } else { Err(calls) }
    };
    until("seven calls", all).await;
}
