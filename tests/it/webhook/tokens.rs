//! The webhook of a token, for the imports that are made with it.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{app_allowing, receiver::Receiver, save, secret_in, text};
use crate::support::{
    program::{Program, problem},
    spawn_app_on,
    visitor::Visitor,
};

/// Makes a token with a webhook.
async fn make(owner: &Visitor, name: &str, webhook: &str) -> reqwest::Response {
    let new = json!({ "name": name, "scopes": ["read", "import"], "webhookUrl": webhook });
    owner.request(Method::POST, "/api/v1/tokens").json(&new).send().await.unwrap()
}

/// Imports a file with a token and waits for its end. Returns its id.
async fn import(owner: &Visitor, token: &str, rows: &'static str) -> String {
    let made = owner
        .foreign_request(Method::POST, "/api/v1/imports?name=of-a-program.csv")
        .bearer_auth(token)
        .header("content-type", "text/csv")
        .body(rows)
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let made: Value = made.json().await.unwrap();
    let id = made["id"].as_str().unwrap().to_owned();
    owner.wait_for_state(&format!("/imports/{id}"), "Completed").await;
    id
}

#[tokio::test]
async fn an_import_is_told_to_the_webhook_of_its_token_or_else_to_that_of_the_account() {
    let (own, of_token) = (Receiver::that_takes_all().await, Receiver::that_takes_all().await);
    let app = app_allowing(&[&own, &of_token]).await;
    let mira = app.signed_in().await;
    // Without a secret it could not be signed.
    let refused = problem(make(&mira, "early", &of_token.url()).await).await;
    assert_eq!(refused["status"], 422);
    assert!(refused["detail"].as_str().unwrap().contains("no secret yet"), "{refused}");
    let page = mira.post_form("/account/webhook/secret", &[("present", "")]).await.text().await.unwrap();
    let secret = secret_in(&page);
    assert_eq!(save(&mira, &own.url()).await, None, "the secret that was made before");

    let made: Value = make(&mira, "nightly", &of_token.url()).await.json().await.unwrap();
    assert_eq!(made["webhookUrl"], of_token.url());
    let token = made["token"].as_str().unwrap();
    let other = Program::of(&mira, &["import"]).await;
    let with_it = import(&mira, token, "id,name\n1,Ada\n").await;
    let with_other = import(&mira, other.secret(), "id,name\n1,Ada\n").await;
    let by_hand = mira.upload("by-hand.csv", "id,name\n1,Ada\n").await;
    mira.wait_for_state(&by_hand, "Completed").await;
    // A retry that is made with the token is one of its imports.
    let again = mira
        .foreign_request(Method::POST, &format!("/api/v1/imports/{with_other}/retry"))
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    let again: Value = again.json().await.unwrap();

    let ids = |messages: Vec<super::receiver::Message>| {
        let id =
            |message: &super::receiver::Message| message.json()["data"]["id"].as_str().unwrap().to_owned();
        // Ends that are close together may be told in any order.
        messages.iter().map(id).collect::<BTreeSet<_>>()
    };
    let told = of_token.wait_for(2).await;
    assert!(told.iter().all(|message| message.is_signed_with(&secret)));
    assert_eq!(ids(told), [with_it, again["id"].as_str().unwrap().to_owned()].into());
    let by_hand = by_hand.rsplit('/').next().unwrap().to_owned();
    assert_eq!(ids(own.wait_for(2).await), [with_other, by_hand].into());

    let listed: Value = mira.get("/api/v1/tokens").await.json().await.unwrap();
    let urls: Vec<&Value> =
        listed["data"].as_array().unwrap().iter().map(|token| &token["webhookUrl"]).collect();
    assert_eq!(urls, [&Value::Null, &json!(of_token.url())]);
    let page = text(&mira, "/account/webhook").await;
    assert!(page.contains("Webhooks of tokens") && page.contains("nightly"), "{page}");
    assert!(!text(&mira, "/account").await.contains("key=hidden"), "only its host");

    // With the token ends its webhook.
    let id = made["id"].as_str().unwrap();
    mira.request(Method::DELETE, &format!("/api/v1/tokens/{id}")).send().await.unwrap();
    assert!(!text(&mira, "/account/webhook").await.contains("Webhooks of tokens"));
    app.stop().await;
}

#[tokio::test]
async fn a_request_that_is_sent_again_gets_its_token_even_if_the_address_is_not_allowed_any_more() {
    let receiver = Receiver::that_takes_all().await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    save(&mira, &receiver.url()).await;
    let new = json!({ "name": "nightly", "scopes": ["import"], "webhookUrl": receiver.url() });
    let ask = async |owner: &Visitor, key: &str| {
        let request = owner.request(Method::POST, "/api/v1/tokens").header("idempotency-key", key);
        request.json(&new).send().await.unwrap()
    };
    let key = "8e03978e-40d5-43dd-bc93-6894a57f9324";
    let first: Value = ask(&mira, key).await.json().await.unwrap();
    assert_eq!(first["webhookUrl"], receiver.url());

    let app = spawn_app_on(app.stop().await, |_| {}).await;
    let mira = mira.at(&app.origin);
    let again = ask(&mira, key).await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    let other = ask(&mira, "5f0a4c1e-71f9-4f0c-9d0b-2a1f6f3c7e55").await;
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
    app.stop().await;
}

#[tokio::test]
async fn the_address_of_a_tokens_webhook_is_checked_on_both_doors() {
    let receiver = Receiver::that_takes_all().await;
    let app = app_allowing(&[&receiver]).await;
    let mira = app.signed_in().await;
    let form =
        |webhook: &'static str| [("name", "nightly"), ("read", "on"), ("days", "7"), ("webhook", webhook)];
    let page = mira.post_form("/account/tokens", &form("https://example.org/")).await.text().await.unwrap();
    assert!(page.contains("no secret yet"), "{page}");
    save(&mira, &receiver.url()).await;
    for (address, sentence) in [
        ("http://10.0.0.1/", "This address is on a private network."),
        ("nonsense", "Enter the whole address"),
    ] {
        let refused = problem(make(&mira, "nightly", address).await).await;
        assert_eq!((&refused["status"], &refused["type"]), (&json!(422), &json!("/api#not-accepted")));
        assert!(refused["detail"].as_str().unwrap().contains(sentence), "{refused}");
        let answer = mira.post_form("/account/tokens", &form(address)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = answer.text().await.unwrap();
        assert!(page.contains(sentence) && page.contains(&format!("value=\"{address}\"")), "{page}");
    }
    let listed: Value = mira.get("/api/v1/tokens").await.json().await.unwrap();
    assert_eq!(listed["data"], json!([]), "none was made");
    let url = receiver.url();
    let fields = [("name", "nightly"), ("read", "on"), ("days", "7"), ("webhook", url.as_str())];
    assert_eq!(mira.post_form("/account/tokens", &fields).await.status(), StatusCode::OK);
    assert!(text(&mira, "/account").await.contains("webhook to <bdi>127.0.0.1:"));
    app.stop().await;
}
