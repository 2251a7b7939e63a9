//! The client's keys, and the headers of every request.

use runboard::inngest::{Client, SigningKeys, signature};
use wiremock::{
    Mock, MockServer,
    matchers::{any, header},
};

use crate::client::{SIGNING_KEY, always, event, event_id, requests, run_id, seed, server, text};

#[tokio::test]
async fn the_fallback_key_is_used_once_the_first_fails_and_from_then_on() {
    let engine = MockServer::start().await;
    let fallback = "0fa11bac0fa11bac";
    let bearer = signature::bearer(&fallback.into());
    Mock::given(header("authorization", format!("Bearer {bearer}")))
        .respond_with(text(200, r#"{"data":[]}"#))
        .mount(&engine)
        .await;
    Mock::given(any()).respond_with(text(401, "Authentication failed\n")).mount(&engine).await;
    let mut server = server(&engine.uri());
    server.signing_keys = SigningKeys::from(vec![SIGNING_KEY.into(), fallback.into()]);
    let client = Client::new(server).unwrap();
    for _ in 0..2 {
        assert_eq!(client.event_runs(&event_id()).await.unwrap().data, []);
    }
    client.cancel(&run_id()).await.unwrap();
    let keys: Vec<bool> = requests(&engine)
        .await
        .iter()
        .map(|request| request.headers["authorization"] == format!("Bearer {bearer}").as_str())
        .collect();
    assert_eq!(keys, [false, true, true, true]);
}

#[tokio::test]
async fn every_request_names_its_sdk_and_the_environment() {
    let engine = always(text(200, r#"{"data":[],"ids":["01M852DSBRF8MBCR55T5AK4KXS"]}"#)).await;
    let mut server = server(&engine.uri());
    server.env = Some("feature/branch".to_owned());
    let client = Client::new(server).unwrap();
    client.send(&event(), &seed()).await.unwrap();
    client.event_runs(&event_id()).await.unwrap();
    for request in requests(&engine).await {
        assert_eq!(request.headers["x-inngest-env"], "feature/branch");
        assert_eq!(request.headers["x-inngest-sdk"], "rust:v0.1.0");
    }
}

const API_KEY: &str = "sk-inn-api-0123456789abcdef";

fn with_api_key(engine: &MockServer) -> Client {
    let mut server = server(&engine.uri());
    server.api_key = Some(API_KEY.into());
    Client::new(server).unwrap()
}

fn bearers(requests: &[wiremock::Request]) -> Vec<(&str, &str)> {
    fn pair(request: &wiremock::Request) -> (&str, &str) {
        (request.url.path(), request.headers["authorization"].to_str().unwrap())
    }
    requests.iter().map(pair).collect()
}

#[tokio::test]
async fn the_api_key_is_used_for_v2_and_for_nothing_else() {
    let engine = always(text(200, r#"{"data":[]}"#)).await;
    let client = with_api_key(&engine);
    client.event_runs(&event_id()).await.unwrap();
    client.cancel(&run_id()).await.unwrap();
    client.jobs(&run_id()).await.unwrap();
    client.check_api().await.unwrap();
    client.check_api_key().await.unwrap();
    let (api, signing) =
        (format!("Bearer {API_KEY}"), format!("Bearer {}", signature::bearer(&SIGNING_KEY.into())));
    let requests = requests(&engine).await;
    let bearers = bearers(&requests);
    assert_eq!(bearers.len(), 5);
    for (path, bearer) in bearers {
        let expected = if path.starts_with("/v2/") { &api } else { &signing };
        assert_eq!(bearer, expected, "{path}");
    }
}

#[tokio::test]
async fn a_refused_api_key_is_told_without_its_text_and_the_signing_key_does_not_stand_in() {
    let engine = always(text(401, &format!(r#"{{"errors":[{{"message":"{API_KEY} is unknown"}}]}}"#))).await;
    let client = with_api_key(&engine);
    for refused in [
        client.event_runs(&event_id()).await.map(drop).unwrap_err(),
        client.cancel(&run_id()).await.unwrap_err(),
        client.check_api_key().await.unwrap_err(),
    ] {
        let words = refused.to_string();
        assert!(matches!(refused, runboard::inngest::Error::Unauthorized { status: 401, .. }), "{words}");
        assert!(words.contains("[key] is unknown"), "{words}");
    }
    assert!(!format!("{client:?}").contains(API_KEY), "a debug text holds the key");
    let requests = requests(&engine).await;
    assert_eq!(requests.len(), 3);
    assert!(bearers(&requests).iter().all(|(path, _)| path.starts_with("/v2/")));
}

#[tokio::test]
async fn a_server_without_v2_is_asked_by_v1_with_the_signing_key() {
    let engine = MockServer::start().await;
    let signing = format!("Bearer {}", signature::bearer(&SIGNING_KEY.into()));
    Mock::given(header("authorization", signing.as_str()))
        .respond_with(text(200, r#"{"data":[]}"#))
        .mount(&engine)
        .await;
    Mock::given(any()).respond_with(text(404, "page not found")).mount(&engine).await;
    assert_eq!(with_api_key(&engine).event_runs(&event_id()).await.unwrap().data, []);
}

#[tokio::test]
async fn a_server_without_keys_is_asked_without_one() {
    let engine = always(text(200, r#"{"data":[]}"#)).await;
    let mut server = server(&engine.uri());
    server.signing_keys = SigningKeys::default();
    Client::new(server).unwrap().event_runs(&event_id()).await.unwrap();
    assert!(!requests(&engine).await[0].headers.contains_key("authorization"));
}
