//! The client against recorded answers of a real server: its requests, and how it reads the answers.

use std::time::Duration;

use runboard::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    inngest::{
        Backoff, Client, Event, EventSeed, Fresh, Job, JobKind, Limits, RunStatus, Server, SigningKeys,
        SyncRequest, call::Registration,
    },
};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{body_json, header, method, path, path_regex, query_param, query_param_is_missing},
};

pub const EVENT_KEY: &str = "test-event-key-123";
pub const SIGNING_KEY: &str = "deadbeefcafebabe0123456789abcdef";
pub const HASHED_KEY: &str = "e7a06416e346c5687d34a002e51549995f886f5465e9ba728f84d9c954b31b81";
pub const EVENT: &str = "01M8532J92FZH0CMQKTANHBB4W";
pub const RUN: &str = "01M8532JEX1SP78PSANCV2SARF";

const SEED: &str = "1795466651000,eii2YKXRVTJPuA==";
const FAN_OUT: &str = r#"{"data":[{"run_id":"01M8532JF1E51YC5JA88AGHBP4","run_started_at":"2026-11-23T20:55:32.065Z","function_id":"9ac9d51c-6903-579a-8018-caafb7759ffb","function_version":0,"environment_id":"00000000-0000-0000-0000-000000000000","event_id":"01M8532J92FZH0CMQKTANHBB4W","status":"Completed","ended_at":"2026-11-23T20:55:32.24879246Z","output":{"audited":"01M8532J92FZH0CMQKTANHBB4W"}},{"run_id":"01M8532JEX1SP78PSANCV2SARF","run_started_at":"2026-11-23T20:55:32.061Z","function_id":"9fcb7cff-b8e9-5807-b80b-9e8200977ba4","function_version":0,"environment_id":"00000000-0000-0000-0000-000000000000","event_id":"01M8532J92FZH0CMQKTANHBB4W","status":"Completed","ended_at":"2026-11-23T20:55:32.265559648Z","output":{"failedItems":2,"processedItems":98,"status":"success"}}],"metadata":{"fetched_at":"2026-11-23T20:55:33.024392898Z","cached_until":"2026-11-23T20:55:48.024393078Z"}}"#;
const CANCELLED_WHILE_EXECUTING: &str = r#"{"data":[{"run_id":"01M852KS1JXNZ8CTYPVZQAH6N9","run_started_at":"2026-11-23T20:47:27.282Z","function_id":"11ba113a-3884-50f1-ac4a-5de8cfe71fbc","function_version":0,"environment_id":"00000000-0000-0000-0000-000000000000","event_id":"01M852KRSSCC8RXQRYJR7P2K9M","status":"Cancelled","ended_at":"2026-11-23T20:47:31.379982738Z","output":"busy done"},{"run_id":"01M852KS1JXNZ8CTYPVZQAH6N9","run_started_at":"2026-11-23T20:47:27.282Z","function_id":"11ba113a-3884-50f1-ac4a-5de8cfe71fbc","function_version":0,"environment_id":"00000000-0000-0000-0000-000000000000","event_id":"01M852KRSSCC8RXQRYJR7P2K9M","status":"Cancelled","ended_at":"2026-11-23T20:47:28.132973413Z","output":{}}]}"#;
const V2_RUN: &str = r#"{"data":[{"app":{"id":"csv-app"},"durationMs":"66","endedAt":"2026-11-23T20:48:32.822381370Z","function":{"id":"process-csv-upload","name":"Process CSV upload"},"id":"01M852NRZFEPN1E3QBM81PJRJ2","output":{"failedItems":2,"processedItems":98,"status":"success"},"queuedAt":"2026-11-23T20:48:32.751Z","startedAt":"2026-11-23T20:48:32.756206383Z","status":"COMPLETED","trigger":{"eventIds":["01M852NRZ0PD3P455PB1YYEES8"]}}],"metadata":{"fetchedAt":"2026-11-23T20:48:58.834640370Z"},"page":{"limit":20}}"#;
const ONE_RUN: &str = r#"{"data":{"run_id":"01M852HFJBN5J36VWDC6WQQXA1","run_started_at":"2026-11-23T20:46:12.043Z","function_id":"d8ff081e-123d-561e-92c7-9ec756b92c2d","function_version":0,"environment_id":"00000000-0000-4000-b000-000000000000","event_id":"01M852HFBDQ9X4SWWHP2J7VA0V","status":"Running","ended_at":null},"metadata":{"fetched_at":"2026-11-23T20:46:13.397479327Z","cached_until":"2026-11-23T20:46:16.397479587Z"}}"#;
const RETRYING: &str = r#"{"data":[{"JobID":"3u1krpwtxl4ug","at":"2026-11-23T20:46:48Z","position":0,"kind":"start","attempt":1,"Raw":{"id":"3u1krpwtxl4ug","pt":1795466807018,"at":1795466808000,"wt":1795466808000,"wfID":"ecd33d8a-218b-57ad-8ecb-49cd17f52f6e","wsID":"00000000-0000-4000-b000-000000000000","genID":2,"data":{"kind":"start","atts":1,"maxAtts":21}}}],"metadata":{"fetched_at":"2026-11-23T20:46:47.153877897Z","cached_until":"2026-11-23T20:46:52.153878008Z"}}"#;
const NO_RUNS: &str = r#"{"data":[],"metadata":{"fetched_at":"2026-11-23T20:43:26.589648531Z","cached_until":"2026-11-23T20:43:41.589649152Z"}}"#;
const REGISTERED: &str = r#"{"ok":true,"modified":true,"sync_id":"b6cab47b-f1df-419c-b033-a1b1e89b22e6","app_id":"0b36c49b-108c-5521-ac41-cd666510286f"}"#;

/// A client of the engine at `origin` with short pauses.
pub fn client(origin: &str) -> Client {
    client_with(origin, limits())
}

pub fn limits() -> Limits {
    Limits {
        request_timeout: Duration::from_secs(20),
        max_answer_bytes: 64 << 10,
        backoff: Backoff {
            tries: 3,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_secs(1),
        },
        ..Limits::default()
    }
}

pub fn client_with(origin: &str, limits: Limits) -> Client {
    Client::with_limits(server(origin), limits).unwrap()
}

pub fn server(origin: &str) -> Server {
    Server {
        event_api: origin.parse().unwrap(),
        api: origin.parse().unwrap(),
        event_key: EVENT_KEY.into(),
        signing_keys: SigningKeys::from(secrecy::SecretString::from(SIGNING_KEY)),
        api_key: None,
        env: None,
    }
}

pub fn event() -> Event {
    Event { name: "imports/csv.uploaded".into(), data: json!({"file": "a.csv"}) }
}

pub fn seed() -> EventSeed {
    EventSeed::parse(SEED).unwrap()
}

pub fn event_id() -> EventId {
    EventId::from(EVENT.to_owned())
}

pub fn run_id() -> RunId {
    RunId::from(RUN.to_owned())
}

/// An answer with the content type of most of the server's JSON: plain text.
pub fn text(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body, "text/plain; charset=utf-8")
}

/// An engine that gives every request the same answer.
pub async fn always(answer: ResponseTemplate) -> MockServer {
    let engine = MockServer::start().await;
    Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&engine).await;
    engine
}

pub async fn requests(engine: &MockServer) -> Vec<Request> {
    engine.received_requests().await.unwrap()
}

#[tokio::test]
async fn an_event_is_sent_with_its_seed_and_the_answered_id_comes_back() {
    let engine = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/e/test-event-key-123"))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({"name": "imports/csv.uploaded", "data": {"file": "a.csv"}})))
        .respond_with(text(200, "{\"ids\":[\"01M852DSBRF8MBCR55T5AK4KXS\"],\"status\":200}\n"))
        .mount(&engine)
        .await;
    let id = client(&engine.uri()).send(&event(), &seed()).await.unwrap();
    assert_eq!(id, seed().event_id(0));
    let headers = &requests(&engine).await[0].headers;
    assert_eq!(headers["x-inngest-event-id-seed"], SEED);
    assert!(!headers.contains_key("authorization"));
}

#[tokio::test]
async fn every_run_of_an_event_is_listed_in_the_order_of_the_ids() {
    let engine = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/events/01M8532J92FZH0CMQKTANHBB4W/runs"))
        .and(header("authorization", format!("Bearer {HASHED_KEY}")))
        .respond_with(ResponseTemplate::new(200).set_body_raw(FAN_OUT, "application/json"))
        .mount(&engine)
        .await;
    let runs = client(&engine.uri()).event_runs(&event_id()).await.unwrap().data;
    let ids: Vec<_> = runs.iter().map(|run| run.run_id.as_str()).collect();
    assert_eq!(ids, ["01M8532JEX1SP78PSANCV2SARF", "01M8532JF1E51YC5JA88AGHBP4"]);
    let first = &runs[0];
    assert_eq!((&first.status, &first.event_id), (&RunStatus::Completed, &event_id()));
    assert_eq!(first.function_id, "9fcb7cff-b8e9-5807-b80b-9e8200977ba4");
    assert_eq!(first.ended_at, UnixMillis::from_rfc3339("2026-11-23T20:55:32.265Z"));
    let output = json!({"status": "success", "processedItems": 98, "failedItems": 2});
    assert_eq!(first.output, Some(output));
}

#[tokio::test]
async fn the_v2_list_is_asked_for_first_for_nothing_of_it_is_cached() {
    let engine = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v2/events/01M8532J92FZH0CMQKTANHBB4W/runs"))
        .and(query_param("includeOutput", "true"))
        .and(header("authorization", format!("Bearer {HASHED_KEY}")))
        .respond_with(ResponseTemplate::new(200).set_body_raw(V2_RUN, "application/json"))
        .mount(&engine)
        .await;
    let Fresh { data: runs, stays_for } = client(&engine.uri()).event_runs(&event_id()).await.unwrap();
    assert_eq!(stays_for, Duration::ZERO);
    assert_eq!((runs.len(), runs[0].run_id.as_str()), (1, "01M852NRZFEPN1E3QBM81PJRJ2"));
    assert_eq!(runs[0].function_name.as_deref(), Some("Process CSV upload"));
    assert_eq!(requests(&engine).await.len(), 1);
}

#[tokio::test]
async fn a_list_of_several_pages_is_read_to_its_end() {
    let engine = MockServer::start().await;
    let page = |id: &str, page: &str| {
        let run = format!(r#"{{"id":"{id}","status":"RUNNING","queuedAt":"2026-11-23T20:48:32.751Z"}}"#);
        text(200, &format!(r#"{{"data":[{run}],"page":{page}}}"#))
    };
    Mock::given(query_param("cursor", "next"))
        .respond_with(page("01M852NRZFEPN1E3QBM81PJRJ2", r#"{"limit":40}"#))
        .mount(&engine)
        .await;
    Mock::given(query_param_is_missing("cursor"))
        .respond_with(page("01M852NRZFEPN1E3QBM81PJRJ1", r#"{"limit":40,"cursor":"next","hasMore":true}"#))
        .mount(&engine)
        .await;
    let runs = client(&engine.uri()).event_runs(&event_id()).await.unwrap().data;
    let ids: Vec<_> = runs.iter().map(|run| run.run_id.as_str()).collect();
    assert_eq!(ids, ["01M852NRZFEPN1E3QBM81PJRJ1", "01M852NRZFEPN1E3QBM81PJRJ2"]);
}

#[tokio::test]
async fn a_server_without_v2_is_asked_for_it_once() {
    for without in
        [text(404, "404 page not found\n"), text(501, ""), text(200, "<!doctype html><title>Inngest</title>")]
    {
        let engine = MockServer::start().await;
        Mock::given(path_regex("^/v2/")).respond_with(without).mount(&engine).await;
        Mock::given(path_regex("^/v1/")).respond_with(text(200, FAN_OUT)).mount(&engine).await;
        let client = client(&engine.uri());
        for _ in 0..3 {
            assert_eq!(client.event_runs(&event_id()).await.unwrap().data.len(), 2);
        }
        let asked = requests(&engine).await;
        let versions: Vec<_> = asked.iter().map(|request| &request.url.path()[..4]).collect();
        assert_eq!(versions, ["/v2/", "/v1/", "/v1/", "/v1/"]);
    }
}

#[tokio::test]
async fn how_long_v1_repeats_its_answer_is_told_by_its_own_clock() {
    // As a real server answers within the 15 seconds for which it caches an empty list.
    for (date, seconds) in [("43:26", 15), ("43:40", 1), ("43:50", 0)] {
        let date = format!("Mon, 23 Nov 2026 20:{date} GMT");
        let answer = text(200, NO_RUNS).insert_header("date", date.as_str());
        let engine = MockServer::start().await;
        Mock::given(path_regex("^/v1/")).respond_with(answer).mount(&engine).await;
        let runs = client(&engine.uri()).event_runs(&event_id()).await.unwrap();
        assert_eq!((runs.data.len(), runs.stays_for.as_secs()), (0, seconds), "{date}");
    }
}

#[tokio::test]
async fn the_rest_of_a_call_is_asked_for_by_its_run() {
    let engine = MockServer::start().await;
    // In the format of a real server.
    let steps = r#"{"e0996a37c13d44c3b06074939d43fa3759bd32c1":{"data":{"a":1}}}"#;
    let events = r#"[{"data":{},"id":"01M853K90C7QHM805ATKYM2HJP","name":"raw2/steps","ts":1795467879436}]"#;
    for (what, body) in [("actions", steps), ("batch", events)] {
        Mock::given(path(format!("/v0/runs/{RUN}/{what}")))
            .and(header("authorization", format!("Bearer {HASHED_KEY}")))
            .respond_with(text(200, body))
            .mount(&engine)
            .await;
    }
    let client = client(&engine.uri());
    let steps = client.call_steps(&run_id()).await.unwrap();
    assert_eq!(steps["e0996a37c13d44c3b06074939d43fa3759bd32c1"], json!({"data": {"a": 1}}));
    let events = client.call_events(&run_id()).await.unwrap();
    assert_eq!((events.len(), events[0].name.as_str()), (1, "raw2/steps"));
}

#[tokio::test]
async fn a_run_listed_twice_counts_once_and_ended_when_it_was_cancelled() {
    let engine = always(text(200, CANCELLED_WHILE_EXECUTING)).await;
    let runs = client(&engine.uri()).event_runs(&event_id()).await.unwrap().data;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(runs[0].status, RunStatus::Cancelled);
    assert_eq!(runs[0].ended_at, UnixMillis::from_rfc3339("2026-11-23T20:47:28.132Z"));
    assert_eq!(runs[0].output, Some(json!({})));
}

#[tokio::test]
async fn of_a_run_listed_twice_the_row_that_has_ended_counts() {
    let mut body: Value = serde_json::from_str(CANCELLED_WHILE_EXECUTING).unwrap();
    body["data"][1]["ended_at"] = Value::Null;
    body["data"][1]["status"] = "Running".into();
    let engine = always(text(200, &body.to_string())).await;
    let runs = client(&engine.uri()).event_runs(&event_id()).await.unwrap().data;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!((&runs[0].status, runs[0].ended_at.is_some()), (&RunStatus::Cancelled, true));
}

#[tokio::test]
async fn a_completed_run_that_only_sleeps_has_not_ended() {
    let body = ONE_RUN.replace("Running", "Completed");
    let engine = always(text(200, &body)).await;
    let run = client(&engine.uri()).run(&run_id()).await.unwrap().data;
    assert_eq!((run.status, run.ended_at, run.output), (RunStatus::Completed, None, None));
}

#[tokio::test]
async fn an_unknown_word_for_a_status_is_kept() {
    let engine = always(text(200, &ONE_RUN.replace("Running", "Overflowed"))).await;
    let run = client(&engine.uri()).run(&run_id()).await.unwrap().data;
    assert_eq!(run.status, RunStatus::Other("Overflowed".into()));
}

#[tokio::test]
async fn one_run_is_asked_for_with_the_bearer() {
    let engine = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/runs/01M8532JEX1SP78PSANCV2SARF"))
        .and(header("authorization", format!("Bearer {HASHED_KEY}")))
        .respond_with(ResponseTemplate::new(200).set_body_raw(ONE_RUN, "application/json"))
        .mount(&engine)
        .await;
    let run = client(&engine.uri()).run(&run_id()).await.unwrap().data;
    assert_eq!(run.run_id.as_str(), "01M852HFJBN5J36VWDC6WQQXA1");
    assert_eq!(run.run_started_at.to_string(), "2026-11-23T20:46:12.043Z");
}

#[tokio::test]
async fn a_run_that_waits_for_a_retry_says_when_and_which() {
    let engine = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/runs/01M8532JEX1SP78PSANCV2SARF/jobs"))
        .and(header("authorization", format!("Bearer {HASHED_KEY}")))
        .respond_with(text(200, RETRYING))
        .mount(&engine)
        .await;
    let jobs = client(&engine.uri()).jobs(&run_id()).await.unwrap();
    let at = UnixMillis::from_rfc3339("2026-11-23T20:46:48Z").unwrap();
    assert_eq!(jobs, [Job { at, attempt: 1, kind: JobKind::Start }]);
}

#[tokio::test]
async fn a_run_that_has_ended_has_no_jobs() {
    let engine = always(text(200, NO_RUNS)).await;
    assert_eq!(client(&engine.uri()).jobs(&run_id()).await.unwrap(), []);
}

#[tokio::test]
async fn a_cancel_goes_to_v2_which_ends_also_what_a_crash_has_orphaned() {
    // The answers of a real server to the first and the second cancel.
    let cancelled = r#"{"data":{"runId":"01M8532JEX1SP78PSANCV2SARF"},"metadata":{"fetchedAt":"2026-11-23T21:02:11.647953909Z"}}"#;
    let again = r#"{"errors":[{"code":"run_already_cancelled","message":"Run is already cancelled"}]}"#;
    for answer in [text(200, cancelled), text(409, again)] {
        let engine = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/v2/runs/01M8532JEX1SP78PSANCV2SARF/cancel"))
            .and(header("authorization", format!("Bearer {HASHED_KEY}")))
            .respond_with(answer)
            .mount(&engine)
            .await;
        client(&engine.uri()).cancel(&run_id()).await.unwrap();
        assert_eq!(requests(&engine).await.len(), 1);
    }
}

#[tokio::test]
async fn without_v2_a_cancel_goes_to_v1_and_is_answered_with_nothing() {
    let engine = MockServer::start().await;
    Mock::given(method("DELETE"))
        .and(path("/v1/runs/01M8532JEX1SP78PSANCV2SARF"))
        .and(header("authorization", format!("Bearer {HASHED_KEY}")))
        .respond_with(ResponseTemplate::new(200).insert_header("content-type", "application/json"))
        .mount(&engine)
        .await;
    client(&engine.uri()).cancel(&run_id()).await.unwrap();
}

#[tokio::test]
async fn functions_are_registered_as_they_are() {
    let body = json!({
        "url": "http://127.0.0.1:3100/api/inngest", "deployType": "ping", "appName": "raw-app",
        "sdk": "rust:v0.1.0", "v": "0.1", "framework": "actix",
        "functions": [{"id": "raw-app-raw", "name": "raw", "triggers": [{"event": "raw/go"}], "steps": {}}]
    });
    let engine = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/fn/register"))
        .and(header("authorization", format!("Bearer {HASHED_KEY}")))
        .and(body_json(&body))
        .respond_with(text(200, REGISTERED))
        .mount(&engine)
        .await;
    let app: Registration = serde_json::from_value(body).unwrap();
    client(&engine.uri()).register(&app, &SyncRequest::default()).await.unwrap();
}

#[tokio::test]
async fn an_address_may_have_a_path_with_or_without_a_slash_at_its_end() {
    let engine = always(text(200, NO_RUNS)).await;
    for end in ["", "/", "/inngest", "/inngest/"] {
        client(&format!("{}{end}", engine.uri())).event_runs(&event_id()).await.unwrap();
    }
    let asked = requests(&engine).await;
    let paths: Vec<_> = asked.iter().map(|request| request.url.path()).collect();
    let plain = "/v1/events/01M8532J92FZH0CMQKTANHBB4W/runs";
    let under = "/inngest/v1/events/01M8532J92FZH0CMQKTANHBB4W/runs";
    let under_v2 = under.replace("/v1/", "/v2/");
    assert_eq!(paths, [&plain.replace("/v1/", "/v2/"), &plain.replace("/v1/", "/v2/"), &under_v2, &under_v2]);
}

#[tokio::test]
async fn an_id_cannot_leave_its_place_in_the_path() {
    let engine = always(text(200, NO_RUNS)).await;
    let odd = EventId::from("a/../b?c#d%2F".to_owned());
    client(&engine.uri()).event_runs(&odd).await.unwrap();
    assert_eq!(requests(&engine).await[0].url.path(), "/v2/events/a%2F..%2Fb%3Fc%23d%252F/runs");
}
