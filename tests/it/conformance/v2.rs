//! `/v2/events/{id}/runs` and `/v2/runs/{id}/cancel`, under both prefixes.

use std::sync::Arc;

use runboard::{
    base::time::UnixMillis,
    inngest::{Client, RunStatus, Server},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use ulid::Ulid;

use super::{World, runs::held};
use crate::{
    function_server::{Answer, Function},
    inngest_api::{Answered, until},
};

/// Waits until `is_there` accepts an event's list on v2.
async fn listed(world: &World, event: &str, query: &str, is_there: impl Fn(&Value) -> bool) -> Answered {
    let probe = || async {
        let listed = world.api.get_v2_event_runs(event, query).await;
        if listed.status == 200 && is_there(&listed.body) { Ok(listed) } else { Err(listed) }
    };
    until(&format!("the list of {event}"), probe).await
}

async fn with_status(world: &World, event: &str, query: &str, status: &str) -> Value {
    listed(world, event, query, |body| body["data"][0]["status"] == status).await.body["data"][0].clone()
}

fn time(value: &Value) -> UnixMillis {
    UnixMillis::from_rfc3339(value.as_str().unwrap_or_default())
        .unwrap_or_else(|| panic!("{value} is not a time"))
}

#[tokio::test]
async fn a_run_is_listed_with_its_names_and_times() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::with(vec![held(&gate)]).await;
    let event = world.trigger("held").await;
    world.functions.called("held", 1).await;
    let run = with_status(&world, &event, "includeOutput=true", "RUNNING").await;
    assert_eq!(
        (&run["endedAt"], &run["durationMs"], &run["output"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    gate.add_permits(1);
    let run = with_status(&world, &event, "includeOutput=true", "COMPLETED").await;
    assert_eq!((&run["app"]["id"], &run["function"]["id"]), (&json!(world.functions.app), &json!("held")));
    assert_eq!((&run["function"]["name"], &run["trigger"]["eventIds"]), (&json!("held"), &json!([event])));
    assert_eq!(run["output"], json!({"data": "done"}), "{run}");
    assert!(time(&run["queuedAt"]) <= time(&run["startedAt"]), "{run}");
    assert!(time(&run["startedAt"]) <= time(&run["endedAt"]), "{run}");
    assert!(run["durationMs"].as_str().unwrap().parse::<u64>().is_ok(), "{run}");
    assert_eq!(run["id"], json!(world.api.ended(&event).await.run_id));

    let without = world.api.get_v2_event_runs(&event, "").await;
    assert_eq!(without.body["data"][0]["output"], Value::Null, "{without:?}");
    assert!(without.body["metadata"]["fetchedAt"].is_string(), "{without:?}");
    assert_eq!(without.body["page"], json!({"limit": 20}), "{without:?}");
}

#[tokio::test]
async fn a_run_between_two_attempts_is_running_and_a_failed_ones_output_is_in_error() {
    let error = json!({"name": "ImportError", "message": "row 7", "stack": "at x"});
    let body = error.clone();
    let fails = Function::new("fails", move |received| {
        let answer = Answer::new(500, &body);
        let is_first = received.call.ctx.attempt == 0;
        async move { if is_first { answer.retry_after("2") } else { answer } }
    });
    let world = World::with(vec![fails.retries(1)]).await;
    let event = world.trigger("fails").await;
    world.functions.called("fails", 1).await;
    let between = with_status(&world, &event, "", "RUNNING").await;
    assert_eq!((between["endedAt"].clone(), world.functions.calls("fails").len()), (Value::Null, 1));
    let run = with_status(&world, &event, "includeOutput=true", "FAILED").await;
    assert_eq!(run["output"], json!({"error": error}), "{run}");
}

#[tokio::test]
async fn a_list_has_pages() {
    let others =
        ["a", "b"].map(|name| Function::answering(name, || Answer::output("{}")).retries(0).on("go"));
    let go = Function::answering("go", || Answer::output("{}")).retries(0);
    let world = World::with([vec![go], others.to_vec()].concat()).await;
    let event = world.trigger("go").await;
    world.api.all_ended(&event, 3).await;
    let all =
        listed(&world, &event, "", |body| body["data"].as_array().is_some_and(|runs| runs.len() == 3)).await;
    let first = world.api.get_v2_event_runs(&event, "limit=2").await;
    assert_eq!(first.body["data"].as_array().map(Vec::len), Some(2), "{first:?}");
    assert_eq!((&first.body["page"]["limit"], &first.body["page"]["hasMore"]), (&json!(2), &json!(true)));
    let cursor = first.body["page"]["cursor"].as_str().unwrap();
    let cursor: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
    let second = world.api.get_v2_event_runs(&event, &format!("limit=2&cursor={cursor}")).await;
    assert_eq!(second.body["page"], json!({"limit": 2}), "{second:?}");
    let ids = |answers: &[&Answered]| {
        let runs = answers.iter().flat_map(|answer| answer.body["data"].as_array().unwrap());
        let mut ids: Vec<String> = runs.map(|run| run["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&[&first, &second]), ids(&[&all]));
}

#[tokio::test]
async fn an_event_without_runs_has_no_data() {
    let world = World::with(Vec::new()).await;
    for event in [world.trigger("nothing").await, Ulid::new().to_string()] {
        let listed = world.api.get_v2_event_runs(&event, "").await;
        assert_eq!((listed.status, listed.body.get("data")), (200, None), "{listed:?}");
        assert_eq!(listed.body["page"], json!({"limit": 20}), "{listed:?}");
    }
}

#[tokio::test]
async fn a_run_is_cancelled_once() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::with(vec![held(&gate)]).await;
    let event = world.trigger("held").await;
    world.functions.called("held", 1).await;
    let run = world.api.started(&event, 1).await.remove(0).run_id;
    let cancelled = world.api.cancel_v2(run.as_str()).await;
    assert_eq!((cancelled.status, &cancelled.body["data"]), (200, &json!({"runId": run})), "{cancelled:?}");
    let listed = with_status(&world, &event, "includeOutput=true", "CANCELLED").await;
    assert_eq!(listed.get("output"), None, "{listed}");
    let again = world.api.cancel_v2_again(run.as_str()).await;
    let errors = json!([{"code": "run_already_cancelled", "message": "Run is already cancelled"}]);
    assert_eq!((again.status, &again.body["errors"]), (409, &errors), "{again:?}");
    gate.add_permits(1);
}

/// Inngest lists an end ten seconds after the cancel, and the output of the last finished step.
#[tokio::test]
async fn a_cancelled_run_is_read_without_counts_and_with_an_end_that_is_not_in_the_future() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let stepped = Function::new("stepped", move |received| {
        let (is_first, gate) = (received.call.steps.is_empty(), Arc::clone(&held));
        async move {
            if is_first {
                return Answer::step("read", json!({"processedItems": 5, "failedItems": 1}));
            }
            gate.acquire().await.unwrap().forget();
            Answer::output("1")
        }
    });
    let world = World::with(vec![stepped.retries(0)]).await;
    let event = world.trigger("stepped").await;
    world.functions.called("stepped", 2).await;
    let run = world.api.started(&event, 1).await.remove(0).run_id;
    world.api.cancel_v2(run.as_str()).await;
    with_status(&world, &event, "includeOutput=true", "CANCELLED").await;
    let base: url::Url = world.api.base.parse().unwrap();
    let client = Client::new(Server {
        event_api: base.clone(),
        api: base,
        event_key: world.api.event_key.clone(),
        signing_keys: world.api.signing_key.clone().into(),
        api_key: None,
        env: None,
    });
    let [read] = client.unwrap().event_runs(&event.into()).await.unwrap().data.try_into().unwrap();
    assert_eq!((&read.run_id, &read.status, &read.output), (&run, &RunStatus::Cancelled, &None));
    let now = UnixMillis::now();
    assert!(read.ended_at.is_some_and(|ended| read.run_started_at <= ended && ended <= now), "{read:?}");
    gate.add_permits(1);
}

#[tokio::test]
async fn errors_have_a_code_and_a_true_status() {
    let world = World::with(vec![Function::answering("go", || Answer::output("1")).retries(0)]).await;
    let unknown = world.api.cancel_v2(&Ulid::new().to_string()).await;
    let errors = json!([{"code": "not_found", "message": "Run not found"}]);
    assert_eq!((unknown.status, &unknown.body["errors"]), (404, &errors), "{unknown:?}");
    let id = Ulid::new().to_string();
    for (answer, message) in [
        (world.api.cancel_v2("zzz").await, "Run ID must be a valid ULID"),
        (world.api.get_v2_event_runs("zzz", "").await, "Event ID must be a valid ULID"),
        (world.api.get_v2_event_runs(&id, "limit=41").await, "Limit cannot exceed 40"),
    ] {
        let errors = json!([{"code": "invalid_field_format", "message": message}]);
        assert_eq!((answer.status, &answer.body["errors"]), (400, &errors), "{answer:?}");
    }
}

#[tokio::test]
async fn both_prefixes_lead_to_the_same() {
    let world = World::with(Vec::new()).await;
    let path = format!("/events/{}/runs", Ulid::new());
    for prefix in ["/v2", "/api/v2"] {
        let request = world.api.request(reqwest::Method::GET, &format!("{prefix}{path}"));
        let stranger = request.bearer_auth("abc").send().await.unwrap();
        // A dev server has no keys.
        let status = if world.checks_keys { 401 } else { 200 };
        assert_eq!(stranger.status(), status, "{prefix}");
        let known = world.api.ask(reqwest::Method::GET, &format!("{prefix}{path}")).await;
        assert_eq!((known.status, &known.body["page"]), (200, &json!({"limit": 20})), "{prefix} {known:?}");
    }
}

#[tokio::test]
async fn an_output_is_always_an_object() {
    let world = World::with(vec![
        Function::answering("null", || Answer::output("null")).retries(0),
        Function::answering("list", || Answer::output("[1]")).retries(0),
        Function::answering("text", || Answer::new(400, "oops").no_retry()).retries(0),
    ])
    .await;
    for (function, status, output) in [
        ("null", "COMPLETED", json!({"data": null})),
        ("list", "COMPLETED", json!({"data": [1]})),
        ("text", "FAILED", json!({"error": "oops"})),
    ] {
        let event = world.trigger(function).await;
        let run = with_status(&world, &event, "includeOutput=true", status).await;
        assert_eq!(run["output"], output, "{run}");
    }
}

#[tokio::test]
async fn a_run_that_has_ended_is_not_cancelled() {
    let world = World::with(vec![Function::answering("go", || Answer::output("1")).retries(0)]).await;
    let run = world.run("go").await;
    with_status(&world, run.event_id.as_str(), "", "COMPLETED").await;
    let refused = world.api.cancel_v2_again(run.run_id.as_str()).await;
    let errors = json!([{"code": "run_already_ended", "message": "Cannot cancel an ended run"}]);
    assert_eq!((refused.status, &refused.body["errors"]), (409, &errors), "{refused:?}");
    assert_eq!(world.api.ended(run.event_id.as_str()).await, run);
}
