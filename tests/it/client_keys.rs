//! The client's keys, and what every request says of itself.

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

#[tokio::test]
async fn a_server_without_keys_is_asked_without_one() {
    let engine = always(text(200, r#"{"data":[]}"#)).await;
    let mut server = server(&engine.uri());
    server.signing_keys = SigningKeys::default();
    Client::new(server).unwrap().event_runs(&event_id()).await.unwrap();
    assert!(!requests(&engine).await[0].headers.contains_key("authorization"));
}
