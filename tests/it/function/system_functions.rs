//! Reports of the engine and of other people's functions.

use actix_web::{http::StatusCode, test::TestRequest};
use runboard::{
    base::ids::{EventId, RunId},
    csv::Counts,
    function::{PROGRESS_ID, RUN_ENDED_ID, STEP_BYTES, serve},
    inngest::{RunStatus, signature},
    progress::News,
};
use serde_json::{Value, json};

use super::world::{Answer, KEY, World, sign};

const EVENT: &str = "01M852BFZNDZSECF4ZXVXKXYMX";
const RUN: &str = "01M852BG4EY2PCG3PNFXJN2WBQ";

/// The call with which a real server reported a run's end, and its event's data.
fn finished() -> Value {
    json!({
        "ctx": {
            "attempt": 0, "fn_id": "cb7072a6-08e4-51c2-aba0-55402064da58", "max_attempts": 1,
            "run_id": "01M852BGBSDWB01AM93FWM2GDD", "stack": { "current": 0, "stack": [] },
        },
        "event": {
            "data": {
                "_inngest": { "status": "Completed" },
                "event": {
                    "data": { "file": "a.csv" }, "id": EVENT, "name": "imports/csv.uploaded",
                    "ts": 1_795_466_575_861_i64, "user": {}
                },
                "events": [{
                    "data": { "file": "a.csv" }, "id": EVENT, "name": "imports/csv.uploaded",
                    "ts": 1_795_466_575_861_i64
                }],
                "function_id": "csv-app-process-csv-upload",
                "result": { "failedItems": 2, "processedItems": 98, "status": "success" },
                "run_id": RUN
            },
            "id": "01M852BGAG59S4KZQDNXRTQFQ5", "name": "inngest/function.finished",
            "ts": 1_795_466_576_208_i64, "user": {}
        },
        "events": [], "steps": {}, "use_api": false, "version": -1
    })
}

fn progress(data: Value) -> Value {
    let mut call = finished();
    call["event"] = json!({ "data": data, "id": "e", "name": "imports/csv.progress", "ts": 1 });
    call
}

async fn tell(world: &World, function: &str, body: &Value) -> Answer {
    let body = body.to_string();
    let uri = format!("{}?fnId={function}&stepId=step", serve::PATH);
    let request = TestRequest::post().uri(&uri).set_payload(body.clone());
    world.request(request.insert_header((signature::HEADER, sign(&body, KEY)))).await
}

fn event() -> EventId {
    EventId::from(EVENT.to_owned())
}

fn run() -> RunId {
    RunId::from(RUN.to_owned())
}

#[actix_web::test]
async fn the_end_of_a_run_is_told_to_whoever_watches_its_event() {
    let world = World::new(STEP_BYTES).await;
    let inbox = world.processor.progress.watch(&event());
    assert!(!world.processor.progress.is_reached());
    let answer = tell(&world, RUN_ENDED_ID, &finished()).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "null"));
    assert!(world.processor.progress.is_reached());
    let news = inbox.take();
    let [News::Run(told)] = news.as_slice() else { panic!("no run: {news:?}") };
    assert_eq!((&told.run_id, &told.status), (&run(), &RunStatus::Completed));
    assert_eq!((told.function_id.as_str(), &told.function_name), ("csv-app-process-csv-upload", &None));
    assert_eq!(told.ended_at.unwrap().to_string(), "2026-11-23T20:42:56.208Z");
    assert_eq!(told.run_started_at.to_string(), "2026-11-23T20:42:56.014Z", "the time in its id");
    assert_eq!(told.output, Some(json!({"failedItems": 2, "processedItems": 98, "status": "success"})));
}

#[actix_web::test]
async fn a_failed_run_tells_why_and_a_cancelled_one_nothing() {
    let world = World::new(STEP_BYTES).await;
    let inbox = world.processor.progress.watch(&event());
    let error = json!({ "message": "boom: row 7 is malformed", "name": "Error" });
    let mut failed = finished();
    failed["event"]["data"]["_inngest"]["status"] = json!("Failed");
    failed["event"]["data"]["result"] = error.clone();
    let mut cancelled = finished();
    cancelled["event"]["name"] = json!("inngest/function.cancelled");
    cancelled["event"]["data"]["_inngest"]["status"] = json!("Cancelled");
    cancelled["event"]["data"].as_object_mut().unwrap().remove("result");
    for (told, status, output) in
        [(failed, RunStatus::Failed, Some(error)), (cancelled, RunStatus::Cancelled, None)]
    {
        assert_eq!(tell(&world, RUN_ENDED_ID, &told).await.status, StatusCode::OK);
        let news = inbox.take();
        let [News::Run(told)] = news.as_slice() else { panic!("no run: {news:?}") };
        assert_eq!((&told.status, &told.output), (&status, &output));
    }
}

#[actix_web::test]
async fn every_event_of_a_batch_is_told() {
    let world = World::new(STEP_BYTES).await;
    let other = EventId::from("01M852BFZNDZSECF4ZXVXKXYMZ".to_owned());
    let inboxes = [world.processor.progress.watch(&event()), world.processor.progress.watch(&other)];
    let mut batch = finished();
    let second = json!({ "data": {}, "id": other, "name": "imports/csv.uploaded", "ts": 1 });
    batch["event"]["data"]["events"].as_array_mut().unwrap().push(second);
    tell(&world, RUN_ENDED_ID, &batch).await;
    for inbox in inboxes {
        assert_eq!(inbox.take().len(), 1);
    }
}

#[actix_web::test]
async fn progress_is_taken_once_a_second_and_only_of_runs_that_are_followed() {
    let world = World::new(STEP_BYTES).await;
    let registry = &world.processor.progress;
    let told = |processed: u64| {
        progress(json!({ "runId": RUN, "processedItems": processed, "failedItems": 1, "totalItems": 1000 }))
    };
    assert_eq!(tell(&world, PROGRESS_ID, &told(5)).await.status, StatusCode::OK);
    assert_eq!(registry.now(&run()), None, "no watcher follows it");

    registry.accept_reports(&run());
    assert_eq!(registry.now(&run()).unwrap().counts, None);
    tell(&world, PROGRESS_ID, &told(10)).await;
    tell(&world, PROGRESS_ID, &told(20)).await;
    let now = registry.now(&run()).unwrap();
    assert_eq!((now.counts, now.total_rows), (Some(Counts { processed: 10, failed: 1 }), Some(1000)));
    assert!(now.heard_at.is_some());
}

#[actix_web::test]
async fn nobody_tells_us_of_our_own_functions_progress() {
    let world = World::new(STEP_BYTES).await;
    let call = super::world::call(RUN, &world.upload(&super::world::csv(3)), &super::world::Memo::new(), 0);
    world.call(&call).await;
    world.processor.progress.accept_reports(&run());
    let told = json!({ "runId": RUN, "processedItems": 1_000_000, "failedItems": 0 });
    assert_eq!(tell(&world, PROGRESS_ID, &progress(told)).await.status, StatusCode::OK);
    let now = world.processor.progress.now(&run()).unwrap();
    assert_eq!(now.counts, Some(Counts { processed: 0, failed: 0 }));
}

#[actix_web::test]
async fn what_says_something_else_is_refused_for_good() {
    let world = World::new(STEP_BYTES).await;
    for (function, data) in [
        (RUN_ENDED_ID, json!({})),
        (PROGRESS_ID, json!({ "runId": RUN, "processedItems": -1, "failedItems": 0 })),
        (PROGRESS_ID, json!({ "processedItems": 1, "failedItems": 0 })),
        (PROGRESS_ID, json!({ "runId": RUN, "processedItems": u64::MAX, "failedItems": 1 })),
        (PROGRESS_ID, Value::Null),
    ] {
        let answer = tell(&world, function, &progress(data.clone())).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{function} {data}");
        assert!(!answer.failure().1, "{function} {data}");
    }
}
