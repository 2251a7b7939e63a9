//! Events by which a server reports the end of a run to other functions, and trigger expressions.

use std::sync::Arc;

use runboard::inngest::{Run, RunStatus};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use ulid::Ulid;

use super::{World, assert_ended};
use crate::function_server::{Answer, Function};

const FINISHED: &str = "inngest/function.finished";
const FAILED: &str = "inngest/function.failed";
const CANCELLED: &str = "inngest/function.cancelled";

/// True for the end of a run of `go`. The server may be shared, so every listener filters by its own app.
const OF_GO: &str = "event.data.function_id == '{app}-go'";

/// A function that is called for the ends for which `expression` is true.
fn listener(name: &'static str, event: &str, expression: &str) -> Function {
    Function::answering(name, || Answer::output(r#""heard""#)).retries(0).on_event(event, expression)
}

/// The event of a listener's first call.
async fn heard(world: &World, listener: &str) -> Value {
    let call = world.functions.called(listener, 1).await.remove(0);
    let body: Value = serde_json::from_slice(&call.raw).unwrap();
    body["event"].clone()
}

/// Whether `event` reports the end of `run`, which the event `trigger` triggered.
fn assert_tells_of(event: &Value, run: &Run, trigger: &str, world: &World) {
    let data = &event["data"];
    assert_eq!(data["_inngest"]["status"], run.status.as_str(), "{event}");
    assert_eq!((&data["run_id"], &data["function_id"]), (&json!(run.run_id), &json!(world.slug("go"))));
    let original = json!({
        "data": {"n": 1}, "id": trigger, "name": world.functions.event("go"), "ts": data["event"]["ts"],
        "user": {}
    });
    assert_eq!(data["event"], original, "{event}");
    assert_eq!((data["events"].as_array().unwrap().len(), &data["events"][0]["id"]), (1, &json!(trigger)));
    assert!(event["ts"].as_i64().unwrap() >= run.run_started_at.0, "{event}");
    assert!(Ulid::from_string(event["id"].as_str().unwrap()).is_ok(), "{event}");
}

#[tokio::test]
async fn a_completed_run_is_told_of_with_its_result() {
    let go = Function::answering("go", || Answer::output(json!({"status": "success"}))).retries(0);
    let world = World::with(vec![go, listener("finished", FINISHED, OF_GO)]).await;
    let event = world.trigger("go").await;
    let run = world.api.ended(&event).await;
    let told = heard(&world, "finished").await;
    assert_eq!(told["name"], FINISHED);
    assert_tells_of(&told, &run, &event, &world);
    assert_eq!(
        (&told["data"]["result"], &told["data"]["error"]),
        (&json!({"status": "success"}), &Value::Null)
    );
    assert_ne!(told["id"], json!(run.run_id));
}

#[tokio::test]
async fn a_failed_run_is_told_of_by_both_events_with_its_error() {
    let error = json!({"name": "ImportError", "message": "row 7", "stack": "at x"});
    let body = error.clone();
    let go = Function::answering("go", move || Answer::new(400, &body).no_retry()).retries(0);
    let world = World::with(vec![
        go,
        listener("failed", FAILED, OF_GO),
        listener("finished", FINISHED, OF_GO),
        listener("cancelled", CANCELLED, OF_GO),
    ])
    .await;
    let event = world.trigger("go").await;
    let run = world.api.ended(&event).await;
    for (name, event_name) in [("failed", FAILED), ("finished", FINISHED)] {
        let told = heard(&world, name).await;
        assert_eq!(told["name"], event_name);
        assert_tells_of(&told, &run, &event, &world);
        assert_eq!(told["data"]["result"], error, "{told}");
        let mut expected = error.clone();
        expected["error"] = json!("NonRetriableError");
        assert_eq!(told["data"]["error"], expected, "{told}");
    }
    assert_eq!(heard(&world, "failed").await["id"], json!(run.run_id));
    assert_eq!(world.functions.calls("cancelled").len(), 0);
}

#[tokio::test]
async fn an_error_that_could_have_been_tried_again_is_named_after_its_status() {
    let go = Function::answering("go", || Answer::new(500, json!({"name": "E", "message": "m"})));
    let world = World::with(vec![go.retries(0), listener("failed", FAILED, OF_GO)]).await;
    world.run("go").await;
    let told = heard(&world, "failed").await;
    let error = &told["data"]["error"];
    assert_eq!(
        (&error["error"], &error["name"], &error["message"]),
        (&json!("invalid status code: 500"), &json!("E"), &json!("m"))
    );
}

#[tokio::test]
async fn a_function_that_cannot_be_reached_is_told_of_with_an_error() {
    let go = Function::answering("go", || Answer::output("1")).retries(0);
    let world = World::with(vec![go, listener("failed", FAILED, OF_GO)]).await;
    let mut app = world.functions.registration();
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    app.functions[0].steps.get_mut("step").unwrap().runtime.url =
        format!("http://{free}/?fnId={}&stepId=step", world.slug("go"));
    world.api.register(&app).await;
    world.run("go").await;
    let told = heard(&world, "failed").await;
    let error = &told["data"]["error"];
    let message = "Unable to reach SDK URL";
    assert_eq!((&error["error"], &error["name"]), (&json!(message), &json!("Error")), "{told}");
    // A real server puts its whole error into this one, as text.
    assert!(error["message"].as_str().unwrap().contains(message), "{told}");
}

#[tokio::test]
async fn a_cancelled_run_is_told_of_by_both_events_without_a_result() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let go = Function::new("go", move |_| {
        let gate = Arc::clone(&held);
        async move {
            gate.acquire().await.unwrap().forget();
            Answer::output("1")
        }
    });
    let world = World::with(vec![
        go.retries(0),
        listener("cancelled", CANCELLED, OF_GO),
        listener("finished", FINISHED, OF_GO),
        listener("failed", FAILED, OF_GO),
    ])
    .await;
    let event = world.trigger("go").await;
    world.functions.called("go", 1).await;
    let run = world.api.started(&event, 1).await.remove(0);
    world.api.cancel(run.run_id.as_str()).await;
    let run = world.api.ended(&event).await;
    assert_ended(&run, RunStatus::Cancelled, json!({}));
    for name in ["cancelled", "finished"] {
        let told = heard(&world, name).await;
        assert_tells_of(&told, &run, &event, &world);
        assert_eq!((&told["data"]["result"], &told["data"]["error"]), (&Value::Null, &Value::Null), "{told}");
    }
    assert_eq!(heard(&world, "cancelled").await["id"], json!(run.run_id));
    gate.add_permits(1);
    assert_eq!(world.functions.calls("failed").len(), 0);
}

#[tokio::test]
async fn a_function_is_triggered_only_by_what_its_expression_holds_for() {
    let go = Function::answering("go", || Answer::output("1")).retries(0);
    let world = World::with(vec![
        go,
        listener("other", FINISHED, "event.data.function_id == '{app}-other'"),
        listener(
            "named",
            FINISHED,
            "event.data.event.name == '{app}/go' && event.data.function_id != '{app}-one'",
        ),
        listener("one", "{app}/go", "event.data.n == 1"),
        listener("two", "{app}/go", "event.data.n == 2 || (event.data.n == 3 && event.name == \"x\")"),
    ])
    .await;
    let event = world.trigger("go").await;
    let runs = world.api.all_ended(&event, 2).await;
    world.functions.called("named", 1).await;
    // A run of the second event starts after all runs of the first.
    world.trigger("go").await;
    world.functions.called("named", 2).await;
    world.functions.called("one", 2).await;
    let calls = |name| world.functions.calls(name).len();
    assert_eq!((runs.len(), calls("other"), calls("two")), (2, 0, 0));
    assert_eq!((calls("go"), calls("one"), calls("named")), (2, 2, 2));
}

#[tokio::test]
async fn an_expression_that_is_none_is_refused() {
    let world = World::with(vec![Function::answering("go", || Answer::output("1"))]).await;
    let mut app = world.functions.registration();
    app.functions[0].triggers[0].expression = Some("event.data.a == 1 &&& x".into());
    let refused = world.api.register(&app).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(!refused.body["error"].as_str().unwrap().is_empty(), "{refused:?}");
}
