//! `POST /e/{event_key}`.

use std::time::Duration;

use runboard::{
    base::time::UnixMillis,
    inngest::{EventSeed, RunStatus},
};
use serde_json::{Value, json};
use ulid::Ulid;

use super::World;
use crate::function_server::{Answer, Function};

async fn world() -> World {
    World::with(vec![Function::answering("go", || Answer::output(r#""ok""#)).retries(0)]).await
}

#[tokio::test]
async fn an_event_gets_a_ulid() {
    let world = world().await;
    let sent = world.api.post_event(json!({"name": world.functions.event("go"), "data": {}}), None).await;
    assert_eq!((sent.status, sent.content_type.as_str()), (200, "text/plain; charset=utf-8"), "{sent:?}");
    assert_eq!(sent.body["status"], 200);
    assert_eq!(sent.body["ids"].as_array().unwrap().len(), 1);
    assert!(Ulid::from_string(sent.body["ids"][0].as_str().unwrap()).is_ok(), "{sent:?}");
}

#[tokio::test]
async fn an_array_gets_an_id_for_each_event_in_order() {
    let world = world().await;
    let events: Vec<Value> =
        (0..3).map(|n| json!({"name": world.functions.event("go"), "data": {"n": n}})).collect();
    let sent = world.api.post_event(json!(events), None).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    let ids: Vec<&str> = sent.body["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3);
    for id in &ids {
        world.api.ended(id).await;
    }
    for received in world.functions.calls("go") {
        let n = received.call.event.data["n"].as_u64().unwrap();
        assert_eq!(received.call.event.id.as_str(), ids[usize::try_from(n).unwrap()]);
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_id_and_one_run() {
    let world = world().await;
    let seed = EventSeed::generate();
    let event = json!({"name": world.functions.event("go"), "data": {}});
    let first = world.api.post_event(&event, Some(&seed)).await;
    let again = world.api.post_event(&event, Some(&seed)).await;
    assert_eq!(first.body["ids"], json!([seed.event_id(0)]), "{first:?}");
    assert_eq!(again.body["ids"], first.body["ids"], "{again:?}");
    world.api.ended(seed.event_id(0).as_str()).await;
    // A run that the second send had started would have started before this one.
    world.run("go").await;
    assert_eq!(world.api.runs(seed.event_id(0).as_str()).await.len(), 1);
    assert_eq!(world.functions.calls("go").len(), 2);
}

#[tokio::test]
async fn an_empty_request_is_taken_and_starts_nothing() {
    let world = world().await;
    for body in ["", "[]"] {
        let sent = world.api.post_event(body, None).await;
        assert_eq!((sent.status, &sent.body["ids"]), (200, &json!([""])), "{sent:?}");
    }
}

#[tokio::test]
async fn what_is_no_event_is_refused_with_a_reason() {
    let world = world().await;
    let name = world.functions.event("go");
    for body in [
        json!("hello").to_string(),
        format!(r#"{{"name":"{name}","#),
        json!({"name": "", "data": {}}).to_string(),
        json!({"data": {}}).to_string(),
        json!({"name": "inngest/whatever", "data": {}}).to_string(),
        json!({"name": "INNGEST/whatever", "data": {}}).to_string(),
        json!({"name": name, "data": "text"}).to_string(),
        json!({"name": name, "id": 5}).to_string(),
        json!({"name": name, "ts": "2026-01-01"}).to_string(),
        json!({"name": name, "ts": 1_500_000_000}).to_string(),
        json!({"name": name, "ts": 4_102_444_800_001_i64}).to_string(),
        json!({"name": name, "data": {"x": "x".repeat(3_200_000)}}).to_string(),
    ] {
        let sent = world.api.post_event(&body, None).await;
        let shown = &body[..body.len().min(80)];
        assert_eq!((sent.status, &sent.body["status"]), (400, &json!(400)), "{shown} {sent:?}");
        assert!(!sent.body["error"].as_str().unwrap().is_empty(), "{shown} {sent:?}");
    }
}

#[tokio::test]
async fn a_wrong_event_key_is_refused_where_keys_are_known() {
    let world = world().await;
    let request = world.api.request(reqwest::Method::POST, "/e/nope");
    let body = json!({"name": world.functions.event("go"), "data": {}}).to_string();
    let answer = crate::inngest_api::answered(request.body(body).send().await.unwrap()).await;
    if world.checks_keys {
        assert_eq!(
            (answer.status, &answer.body["error"]),
            (401, &json!("Event key not found")),
            "{answer:?}"
        );
    } else {
        assert_eq!(answer.status, 200, "{answer:?}");
        world.api.ended(answer.body["ids"][0].as_str().unwrap()).await;
    }
}

#[tokio::test]
async fn only_post_sends_events() {
    let world = world().await;
    let answer = world.api.request(reqwest::Method::GET, "/e/any").send().await.unwrap();
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn a_future_ts_delays_the_run() {
    let world = world().await;
    let second = UnixMillis::now().plus(Duration::from_secs(3)).0 / 1000;
    let ts = UnixMillis(second * 1000);
    let event = world.api.send(&json!({"name": world.functions.event("go"), "ts": ts.0})).await;
    let waiting = world.api.started(&event, 1).await.remove(0);
    assert_eq!((waiting.status, waiting.ended_at, waiting.output), (RunStatus::Scheduled, None, None));
    let run = world.api.ended(&event).await;
    assert!(run.ended_at.unwrap() >= ts, "{run:?} ended before {ts}");
    assert_eq!(world.functions.calls("go")[0].call.event.ts, ts.0);
}
