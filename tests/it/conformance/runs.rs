//! `/v1/events/{id}/runs` and `/v1/runs/{id}`.

use std::{sync::Arc, time::Duration};

use runboard::{
    base::time::UnixMillis,
    inngest::{RunStatus, signature},
};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::sync::Semaphore;
use ulid::Ulid;

use super::{World, assert_ended};
use crate::{
    function_server::{Answer, Function},
    inngest_api::until,
};

/// A function that answers once the semaphore has a permit.
pub fn held(gate: &Arc<Semaphore>) -> Function {
    let gate = Arc::clone(gate);
    Function::new("held", move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            Answer::output(r#""done""#)
        }
    })
    .retries(0)
}

#[tokio::test]
async fn a_run_is_running_until_its_function_has_answered() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::with(vec![held(&gate)]).await;
    let event = world.trigger("held").await;
    world.functions.called("held", 1).await;
    let running = || async {
        let runs = world.api.runs(&event).await;
        runs.iter().find(|run| run.status == RunStatus::Running).cloned().ok_or(runs)
    };
    let run = until("a running run", running).await;
    assert_eq!((run.ended_at, run.output), (None, None));
    gate.add_permits(1);
    assert_ended(&world.api.ended(&event).await, RunStatus::Completed, json!("done"));
}

#[tokio::test]
async fn a_run_can_be_asked_for_by_its_id() {
    let world = World::with(vec![Function::answering("go", || Answer::output("1")).retries(0)]).await;
    let listed = world.run("go").await;
    let ended = || async {
        let asked = world.api.get_run(listed.run_id.as_str()).await;
        if asked.body["data"]["ended_at"].is_string() { Ok(asked) } else { Err(asked) }
    };
    let asked = until("the run's end", ended).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    assert!(asked.body["metadata"]["fetched_at"].is_string(), "{asked:?}");
    let run = &asked.body["data"];
    assert_eq!((&run["run_id"], &run["status"]), (&json!(listed.run_id), &json!("Completed")), "{asked:?}");
    assert_eq!((&run["output"], &run["function_version"]), (&json!(1), &json!(0)), "{asked:?}");
}

#[tokio::test]
async fn a_run_that_waits_for_a_retry_has_a_job_with_the_attempt_and_its_time() {
    let fails =
        Function::answering("fails", || Answer::new(500, json!({"message": "no"})).retry_after("3600"));
    let world = World::with(vec![fails.retries(1)]).await;
    let before = UnixMillis::now();
    let event = world.trigger("fails").await;
    world.functions.called("fails", 1).await;
    let run = world.api.started(&event, 1).await.remove(0).run_id;
    let waiting = || async {
        let jobs = world.api.get_jobs(run.as_str()).await;
        if jobs.body["data"][0]["attempt"] == 1 { Ok(jobs) } else { Err(jobs) }
    };
    let jobs = until("the second attempt's job", waiting).await;
    assert_eq!((jobs.status, jobs.body["data"].as_array().map(Vec::len)), (200, Some(1)), "{jobs:?}");
    let job = &jobs.body["data"][0];
    assert_eq!((&job["position"], &job["kind"]), (&json!(0), &json!("start")), "{jobs:?}");
    assert!(job["JobID"].is_string(), "{jobs:?}");
    let at = UnixMillis::from_rfc3339(job["at"].as_str().unwrap()).unwrap();
    // A real server truncates to the second.
    let about_an_hour = Duration::from_secs(3_598)..Duration::from_secs(3_720);
    assert!(about_an_hour.contains(&at.since(before)), "{jobs:?}");

    world.api.cancel(run.as_str()).await;
    world.api.ended(&event).await;
    let none = || async {
        let jobs = world.api.get_jobs(run.as_str()).await;
        if jobs.body["data"] == json!([]) { Ok(()) } else { Err(jobs) }
    };
    until("no job of a run that has ended", none).await;
}

#[tokio::test]
async fn a_lower_case_id_is_taken() {
    let world = World::with(vec![Function::answering("go", || Answer::output("1")).retries(0)]).await;
    let run = world.run("go").await;
    assert_eq!(world.api.runs(&run.event_id.as_str().to_lowercase()).await, [run]);
}

#[tokio::test]
async fn an_event_without_a_function_has_no_runs() {
    let world = World::with(Vec::new()).await;
    for event in [world.trigger("nothing").await, Ulid::new().to_string()] {
        let listed = world.api.get_event_runs(&event).await;
        assert_eq!((listed.status, &listed.body["data"]), (200, &json!([])), "{listed:?}");
    }
}

#[tokio::test]
async fn ids_that_are_none_are_refused() {
    let world = World::with(Vec::new()).await;
    let event = world.api.get_event_runs("xyz").await;
    assert_eq!((event.status, &event.body["error"]), (400, &json!("Invalid event ID: xyz")), "{event:?}");
    let run = world.api.get_run("xyz").await;
    assert_eq!((run.status, &run.body["error"]), (400, &json!("Invalid run ID: xyz")), "{run:?}");
    let jobs = world.api.get_jobs("xyz").await;
    assert_eq!((jobs.status, &jobs.body["error"]), (400, &json!("Invalid run ID: xyz")), "{jobs:?}");
    let cancel = world.api.cancel("xyz").await;
    assert_eq!((cancel.status, &cancel.body["error"]), (400, &json!("Invalid run ID: xyz")), "{cancel:?}");
}

#[tokio::test]
async fn an_unknown_run_is_said_to_be_unknown() {
    let world = World::with(Vec::new()).await;
    let id = Ulid::new().to_string();
    let error = format!("Unable to load function run: {id}");
    let asked = world.api.get_run(&id).await;
    // A real server answers 500 here.
    assert!(matches!(asked.status, 404 | 500), "{asked:?}");
    assert_eq!(asked.body["error"], error, "{asked:?}");
    let jobs = world.api.get_jobs(&id).await;
    assert!(matches!(jobs.status, 404 | 500), "{jobs:?}");
    assert_eq!(jobs.body["error"], error, "{jobs:?}");
    let cancel = world.api.cancel(&id).await;
    assert_eq!((cancel.status, &cancel.body["error"]), (404, &json!(error)), "{cancel:?}");
}

#[tokio::test]
async fn a_cancelled_run_ends_at_once_and_stays_cancelled() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::with(vec![held(&gate)]).await;
    let event = world.trigger("held").await;
    world.functions.called("held", 1).await;
    let run = world.api.started(&event, 1).await.remove(0);
    let cancelled = world.api.cancel(run.run_id.as_str()).await;
    assert_eq!((cancelled.status, &cancelled.body), (200, &json!("")), "{cancelled:?}");
    let record = world.api.ended(&event).await;
    assert_ended(&record, RunStatus::Cancelled, json!({}));

    // The call was not interrupted, but its answer has no effect. A second run follows it.
    gate.add_permits(2);
    world.run("held").await;
    assert_eq!(world.api.cancel(run.run_id.as_str()).await.status, 200);
    assert_eq!(world.api.runs(&event).await, [record]);
}

#[tokio::test]
async fn cancelling_a_run_that_has_ended_changes_nothing() {
    let world = World::with(vec![Function::answering("go", || Answer::output("1")).retries(0)]).await;
    let run = world.run("go").await;
    assert_eq!(world.api.cancel(run.run_id.as_str()).await.status, 200);
    assert_eq!(world.api.ended(run.event_id.as_str()).await, run);
}

#[tokio::test]
async fn the_bearer_is_the_signing_key_plain_or_hashed_where_keys_are_known() {
    let world = World::with(Vec::new()).await;
    let key = &world.api.signing_key;
    let (_, plain) = signature::split_prefix(key.expose_secret());
    let hashed = signature::bearer(key);
    let (_, bare_hash) = signature::split_prefix(&hashed);
    let path = format!("/v1/events/{}/runs", Ulid::new());
    let status = async |bearer: Option<&str>| {
        let mut request = world.api.request(reqwest::Method::GET, &path);
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        request.send().await.unwrap().status().as_u16()
    };
    for bearer in [key.expose_secret(), plain, &hashed, bare_hash] {
        assert_eq!(status(Some(bearer)).await, 200);
    }
    // A dev server accepts any key, and none.
    let stranger = if world.checks_keys { 401 } else { 200 };
    assert_eq!(status(Some("abc")).await, stranger);
    assert_eq!(status(None).await, stranger);
}
