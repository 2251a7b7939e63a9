//! Who may ask, and how we answer.

use actix_web::{
    http::{Method, StatusCode},
    test::TestRequest,
};
use runboard::{
    function::{STEP_BYTES, serve},
    inngest::signature,
    time::UnixMillis,
};
use secrecy::SecretString;
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_partial_json, method, path},
};

use super::world::{KEY, Memo, SERVE_URL, World, call, csv, engine, post, run_id, sign};

#[actix_web::test]
async fn a_call_without_a_good_signature_is_refused() {
    let world = World::new(STEP_BYTES).await;
    let body = call("r", &world.upload(&csv(3)), &Memo::new(), 0).to_string();
    let now = UnixMillis::now();
    let hour_ago = UnixMillis(now.0 - 3_600_000);
    let old = signature::sign(body.as_bytes(), &SecretString::from(KEY), hour_ago);
    let spaced = format!("{body} ");
    let requests = [
        ("none", post(&body)),
        ("empty", post(&body).insert_header((signature::HEADER, ""))),
        ("by another key", post(&body).insert_header((signature::HEADER, sign(&body, "signkey-prod-ff")))),
        ("of another body", post(&body).insert_header((signature::HEADER, sign(&spaced, KEY)))),
        ("of an hour ago", post(&body).insert_header((signature::HEADER, old))),
    ];
    for (what, request) in requests {
        let answer = world.request(request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "signature {what}");
        assert!(answer.failure().1, "the keys may be just being changed");
    }
    assert!(world.processor.store.steps(&run_id("r")).await.unwrap().is_empty());
}

#[actix_web::test]
async fn a_call_signed_with_the_fallback_key_is_done() {
    let fallback = "signkey-prod-0fa11bac";
    let world = World::new(STEP_BYTES).await;
    let world = world.restarted(|now| now.signing_key_fallback = Some(SecretString::from(fallback)));
    let body = call("r", &world.upload(&csv(3)), &Memo::new(), 0).to_string();
    let answer = world.request(post(&body).insert_header((signature::HEADER, sign(&body, fallback)))).await;
    assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{}", answer.text);
}

#[actix_web::test]
async fn an_answer_says_who_gives_it_and_is_signed() {
    let world = World::new(STEP_BYTES).await;
    let answer = world.call(&call("r", &world.upload(&csv(3)), &Memo::new(), 0)).await;
    for (name, value) in [
        ("x-inngest-sdk", "rust:v0.1.0"),
        ("x-inngest-req-version", "2"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let signature = answer.header(signature::HEADER);
    let key = SecretString::from(KEY);
    assert!(signature::verify(signature, answer.text.as_bytes(), &key, UnixMillis::now()), "{signature}");
}

#[actix_web::test]
async fn what_is_no_call_of_this_function_is_refused_for_good() {
    let world = World::new(STEP_BYTES).await;
    let body = call("r", &world.upload(&csv(3)), &Memo::new(), 0).to_string();
    for query in ["?fnId=runboard-another&stepId=step", "?stepId=step", ""] {
        let uri = format!("{}{query}", serve::PATH);
        let request = TestRequest::post().uri(&uri).set_payload(body.clone());
        let answer = world.request(request.insert_header((signature::HEADER, sign(&body, KEY)))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{query}");
        assert!(!answer.failure().1, "{query}");
    }
    let answer = world.call(&json!({ "ctx": 1 })).await;
    assert_eq!(answer.failure(), ("The call could not be read.".to_owned(), false));
}

#[actix_web::test]
async fn an_introspection_tells_what_is_here_and_no_secret() {
    let world = World::new(STEP_BYTES).await;
    let request = || TestRequest::default().method(Method::GET).uri(serve::PATH);
    let anyone = world.request(request()).await;
    assert_eq!(
        anyone.json(),
        json!({
            "authentication_succeeded": null, "function_count": 1, "has_event_key": true,
            "has_signing_key": true, "has_signing_key_fallback": false, "mode": "cloud",
            "schema_version": "2024-05-24"
        })
    );
    let signed = world.request(request().insert_header((signature::HEADER, sign("", KEY)))).await;
    assert_eq!(signed.json()["authentication_succeeded"], json!(true));
    let forged = world.request(request().insert_header((signature::HEADER, sign("", "ff")))).await;
    assert_eq!(forged.json()["authentication_succeeded"], json!(false));
}

#[actix_web::test]
async fn a_sync_registers_the_function_at_our_own_address() {
    let server = MockServer::start().await;
    let function = json!({
        "id": "runboard-process-csv-upload", "name": "process-csv-upload",
        "triggers": [{ "event": "imports/csv.uploaded" }],
        "steps": { "step": {
            "id": "step", "name": "step", "retries": { "attempts": 3 },
            "runtime": {
                "type": "http", "url": format!("{SERVE_URL}?fnId=runboard-process-csv-upload&stepId=step")
            }
        } }
    });
    Mock::given(method("POST"))
        .and(path("/fn/register"))
        .and(body_partial_json(json!({ "url": SERVE_URL, "appName": "runboard", "functions": [function] })))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"ok":true,"modified":true}"#))
        .expect(1)
        .mount(&server)
        .await;
    let world = World::new(STEP_BYTES).await;
    let world = world.restarted(|now| now.engine = engine(server.uri().parse().unwrap()));
    let body = r#"{"url":"http://somebody.example/api/inngest"}"#;
    let put = || TestRequest::put().uri(serve::PATH).set_payload(body);
    assert_eq!(world.request(put()).await.status, StatusCode::UNAUTHORIZED);
    let answer = world.request(put().insert_header((signature::HEADER, sign(body, KEY)))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}
