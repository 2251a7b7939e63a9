//! Requests about the app as a whole, and calls that had no room for their state.

use actix_web::{
    http::{Method, StatusCode},
    test::TestRequest,
};
use runboard::{
    function::{STEP_BYTES, serve},
    inngest::signature,
};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_partial_json, header, method, path, query_param},
};

use super::world::{KEY, Memo, SERVE_URL, SMALL_STEPS, World, call, csv, engine, post, sign};
use crate::support::handler;

/// A world whose engine is `server`.
async fn at(server: &MockServer) -> World {
    let world = World::new(STEP_BYTES).await;
    world.restarted(|now| {
        now.engine = engine(server.uri().parse().unwrap());
        now.handler = handler(&now.engine, &[KEY], &now.serve_url);
    })
}

fn put(body: &str) -> TestRequest {
    TestRequest::put().uri(serve::PATH).set_payload(body.to_owned())
}

fn signed(body: &str) -> TestRequest {
    put(body).insert_header((signature::HEADER, sign(body, KEY)))
}

#[actix_web::test]
async fn an_introspection_tells_what_is_here_and_no_secret() {
    let world = World::new(STEP_BYTES).await;
    let request = || TestRequest::default().method(Method::GET).uri(serve::PATH);
    let anyone = world.request(request()).await;
    assert_eq!(
        anyone.json(),
        json!({
            "authentication_succeeded": null, "extra": {}, "function_count": 3, "has_event_key": true,
            "has_signing_key": true, "has_signing_key_fallback": false, "mode": "cloud",
            "schema_version": "2024-05-24"
        })
    );
    let forged = world.request(request().insert_header((signature::HEADER, sign("", "ff")))).await;
    for unverified in [&anyone, &forged] {
        assert!(unverified.headers.get(signature::HEADER).is_none(), "what we sign is accepted as a request");
    }
    assert_eq!(forged.json()["authentication_succeeded"], json!(false));
    assert_eq!(forged.json().as_object().unwrap().len(), anyone.json().as_object().unwrap().len());

    let signed = world.request(request().insert_header((signature::HEADER, sign("", KEY)))).await;
    assert!(signed.headers.get(signature::HEADER).is_some());
    let told = signed.json();
    assert_eq!(told["authentication_succeeded"], json!(true));
    assert_eq!((&told["app_id"], &told["sdk_language"]), (&json!("runboard"), &json!("rust")));
    assert_eq!(told["serve_path"], json!("/api/inngest"));
    let hash = signature::bearer(&KEY.into());
    let (_, hash) = signature::split_prefix(&hash);
    assert!(hash.starts_with(told["signing_key_hash"].as_str().unwrap()), "{told}");
    assert!(!signed.text.contains(hash) && !signed.text.contains(KEY), "all of the hash opens the API");
}

#[actix_web::test]
async fn a_sync_registers_the_functions_at_our_own_address() {
    let server = MockServer::start().await;
    let function = |name: &str, triggers: Value, retries: u32| {
        let id = format!("runboard-{name}");
        let url = format!("{SERVE_URL}?fnId={id}&stepId=step");
        json!({
            "id": id, "name": name, "triggers": triggers,
            "steps": { "step": {
                "id": "step", "name": "step", "retries": { "attempts": retries },
                "runtime": { "type": "http", "url": url }
            } }
        })
    };
    let of_ours = "event.data.event.name == 'imports/csv.uploaded'";
    let functions = [
        function("process-csv-upload", json!([{ "event": "imports/csv.uploaded" }]), 3),
        function(
            "run-ended",
            json!([
                { "event": "inngest/function.finished", "expression": of_ours },
                { "event": "inngest/function.cancelled", "expression": of_ours }
            ]),
            0,
        ),
        function("csv-progress", json!([{ "event": "imports/csv.progress" }]), 0),
    ];
    Mock::given(method("POST"))
        .and(path("/fn/register"))
        .and(query_param("deployId", "deploy-1"))
        .and(header("x-inngest-expected-server-kind", "cloud"))
        .and(body_partial_json(json!({ "url": SERVE_URL, "appName": "runboard", "functions": functions })))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"ok":true,"modified":true}"#))
        .expect(1)
        .mount(&server)
        .await;
    let world = at(&server).await;
    let body = r#"{"url":"http://somebody.example/api/inngest"}"#;
    assert_eq!(world.request(put(body)).await.status, StatusCode::UNAUTHORIZED);
    let uri = format!("{}?deployId=deploy-1", serve::PATH);
    let request = signed(body).uri(&uri).insert_header(("x-inngest-server-kind", "cloud"));
    let answer = world.request(request).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json(), json!({ "message": "Successfully registered", "modified": true }));
    assert_eq!(answer.header("x-inngest-sync-kind"), "out_of_band");
}

#[actix_web::test]
async fn a_registration_that_is_not_taken_is_told_to_whoever_asked_for_it() {
    let server = MockServer::start().await;
    let refusal = r#"{"error":"Expected server kind dev, got cloud"}"#;
    let answer = ResponseTemplate::new(400).set_body_string(refusal);
    Mock::given(path("/fn/register")).respond_with(answer).mount(&server).await;
    let answer = at(&server).await.request(signed("{}")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let told = json!({ "message": "Expected server kind dev, got cloud", "modified": false });
    assert_eq!(answer.json(), told);
}

#[actix_web::test]
async fn an_in_band_sync_is_answered_with_the_functions_and_registers_nothing() {
    let server = MockServer::start().await;
    let world = at(&server).await;
    let in_band = ("x-inngest-sync-kind", "in_band");
    let body = r#"{"url":"http://somebody.example/api/inngest"}"#;
    assert_eq!(world.request(put(body).insert_header(in_band)).await.status, StatusCode::UNAUTHORIZED);
    let answer = world.request(signed(body).insert_header(in_band)).await;
    assert_eq!((answer.status, answer.header("x-inngest-sync-kind")), (StatusCode::OK, "in_band"));
    let told = answer.json();
    assert_eq!((&told["app_id"], &told["url"]), (&json!("runboard"), &json!(SERVE_URL)));
    assert_eq!(told["functions"].as_array().unwrap().len(), 3);
    assert_eq!(told["inspection"]["authentication_succeeded"], json!(true));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[actix_web::test]
async fn syncs_are_limited_and_what_is_not_verified_counts_for_nothing() {
    let world = World::new(STEP_BYTES).await;
    let in_band = ("x-inngest-sync-kind", "in_band");
    for _ in 0..20 {
        assert_eq!(world.request(put("{}").insert_header(in_band)).await.status, StatusCode::UNAUTHORIZED);
    }
    for _ in 0..10 {
        assert_eq!(world.request(signed("{}").insert_header(in_band)).await.status, StatusCode::OK);
    }
    let refused = world.request(signed("{}").insert_header(in_band)).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!((1..=3).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    let call = call("r", &world.upload(&csv(3)), &Memo::new(), 0);
    assert_eq!(world.call(&call).await.status, StatusCode::PARTIAL_CONTENT, "calls go on");
}

#[test]
fn without_push_no_function_is_registered_that_is_told_of_ends() {
    let names = |imports, push| {
        let app = runboard::function::registration(&SERVE_URL.parse().unwrap(), imports, push);
        app.functions.into_iter().map(|function| function.name).collect::<Vec<_>>()
    };
    assert_eq!(names(true, true), ["process-csv-upload", "run-ended", "csv-progress"]);
    assert_eq!(names(true, false), ["process-csv-upload", "csv-progress"]);
    assert_eq!(names(false, false), ["csv-progress"]);
}

#[actix_web::test]
async fn what_a_call_had_no_room_for_is_fetched() {
    let server = MockServer::start().await;
    let world = World::new(SMALL_STEPS).await.restarted(|now| {
        now.engine = engine(server.uri().parse().unwrap());
        now.handler = handler(&now.engine, &[KEY], &now.serve_url);
    });
    let file = world.upload(&csv(200));
    let mut memo = Memo::new();
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    world.call(&call("r", &file, &memo, 0)).await.remember(&mut memo);
    let whole = call("r", &file, &memo, 0);
    for (what, body) in [("actions", &whole["steps"]), ("batch", &whole["events"])] {
        Mock::given(path(format!("/v0/runs/r/{what}")))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .expect(1)
            .mount(&server)
            .await;
    }
    let mut cut = whole.clone();
    (cut["steps"], cut["events"]) = (json!({}), json!([]));
    (cut["use_api"], cut["ctx"]["use_api"]) = (json!(true), json!(true));
    assert_eq!(world.call(&cut).await.remember(&mut memo), "rows-2");
}

#[actix_web::test]
async fn a_call_whose_rest_is_not_told_is_made_again() {
    let server = MockServer::start().await;
    let world = at(&server).await;
    let mut cut = call("r", &world.upload(&csv(3)), &Memo::new(), 0);
    cut["ctx"]["use_api"] = json!(true);
    let answer = world.call(&cut).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.failure().1);
}

#[actix_web::test]
async fn a_dev_server_signs_nothing_and_gets_nothing_signed() {
    let world = World::new(STEP_BYTES).await;
    let world = world.restarted(|now| {
        now.handler = handler(&now.engine, &[], &now.serve_url);
        now.handler.is_dev = true;
    });
    let body = call("r", &world.upload(&csv(3)), &Memo::new(), 0).to_string();
    let answer = world.request(post(&body)).await;
    assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{}", answer.text);
    assert!(answer.headers.get(signature::HEADER).is_none());
    let world = world.restarted(|now| {
        now.handler = handler(&now.engine, &[KEY], &now.serve_url);
        now.handler.is_dev = true;
    });
    let answer = world.request(post(&body)).await;
    assert!(answer.headers.get(signature::HEADER).is_none(), "the key may be that of a server in production");
    let world = world.restarted(|now| {
        now.handler = handler(&now.engine, &[], &now.serve_url);
        now.handler.is_dev = true;
    });
    let told = world.request(TestRequest::default().method(Method::GET).uri(serve::PATH)).await.json();
    assert_eq!((&told["mode"], &told["has_signing_key"]), (&json!("dev"), &json!(false)));
}
