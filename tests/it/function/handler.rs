//! Who may call the functions, and how we answer.

use std::net::{IpAddr, SocketAddr};

use actix_web::{http::StatusCode, test::TestRequest};
use runboard::{
    base::{config::TrustedProxies, limits::ByteBudget, time::UnixMillis},
    function::{STEP_BYTES, serve},
    inngest::signature,
};
use secrecy::SecretString;
use serde_json::json;

use crate::support::handler;

use super::world::{KEY, Memo, World, call, csv, post, run_id, sign};

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
        assert!(answer.headers.get(signature::HEADER).is_none(), "signature {what}");
    }
    assert!(world.processor.store.steps(&run_id("r")).await.unwrap().is_empty());
}

#[actix_web::test]
async fn a_call_that_is_too_large_is_refused() {
    let world = World::new(STEP_BYTES).await;
    let body = " ".repeat(9 << 20);
    let answer = world.request(post(&body).insert_header((signature::HEADER, sign(&body, KEY)))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.failure(), ("The call is too large.".to_owned(), false));
    assert!(answer.headers.get(signature::HEADER).is_none());
}

#[actix_web::test]
async fn bodies_that_are_not_verified_yet_share_their_memory() {
    let world = World::new(STEP_BYTES).await;
    let world = world.restarted(|now| now.handler.limits.unverified = ByteBudget::new(10_000, 10_000));
    let small = call("r", &world.upload(&csv(3)), &Memo::new(), 0);
    let large = " ".repeat(20_000);
    let answer = world.request(post(&large).insert_header((signature::HEADER, sign(&large, KEY)))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.failure(), ("Too many calls are arriving at once.".to_owned(), true));
    assert_eq!(answer.header("retry-after"), "2");
    assert!(answer.headers.get(signature::HEADER).is_none());
    for _ in 0..10 {
        assert_eq!(world.call(&small).await.status, StatusCode::PARTIAL_CONTENT, "it is given back");
    }
}

#[actix_web::test]
async fn one_address_leaves_memory_to_others_and_a_trusted_proxy_stands_for_its_visitors() {
    let budget = ByteBudget::new(40_000, 10_000);
    let world = World::new(STEP_BYTES).await;
    let world = world.restarted(|now| now.handler.limits.unverified = budget.clone());
    let network = |address: &str| Some(address.parse::<IpAddr>().unwrap().into());
    let mut held = budget.hold(network("192.0.2.1"));
    held.grow(10_000).unwrap();
    let small = call("r", &world.upload(&csv(3)), &Memo::new(), 0).to_string();
    let from = |peer: &str, forwarded: &str| {
        let request = post(&small).insert_header((signature::HEADER, sign(&small, KEY)));
        let request = request.peer_addr(SocketAddr::new(peer.parse().unwrap(), 4711));
        request.insert_header(("x-forwarded-for", forwarded))
    };
    for (peer, forwarded, status) in [
        ("192.0.2.1", "192.0.2.2", StatusCode::SERVICE_UNAVAILABLE),
        ("192.0.2.2", "192.0.2.1", StatusCode::PARTIAL_CONTENT),
        ("10.0.0.1", "192.0.2.1", StatusCode::SERVICE_UNAVAILABLE),
        ("10.0.0.1", "192.0.2.2", StatusCode::PARTIAL_CONTENT),
    ] {
        let proxies: TrustedProxies = "10.0.0.0/8".parse().unwrap();
        let answer = world.request_behind(proxies, from(peer, forwarded)).await;
        assert_eq!(answer.status, status, "{peer} for {forwarded}");
    }
    drop(held);
    let answer = world.request(from("192.0.2.1", "")).await;
    assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
}

#[actix_web::test]
async fn a_call_signed_with_the_fallback_key_is_done() {
    let fallback = "signkey-prod-0fa11bac";
    let world = World::new(STEP_BYTES).await;
    let world = world.restarted(|now| now.handler = handler(&now.engine, &[KEY, fallback], &now.serve_url));
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
async fn what_is_no_call_of_a_function_here_is_refused() {
    let world = World::new(STEP_BYTES).await;
    let body = call("r", &world.upload(&csv(3)), &Memo::new(), 0).to_string();
    for query in ["?fnId=runboard-another&stepId=step", "?stepId=step", ""] {
        let uri = format!("{}{query}", serve::PATH);
        let request = TestRequest::post().uri(&uri).set_payload(body.clone());
        let answer = world.request(request.insert_header((signature::HEADER, sign(&body, KEY)))).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{query}");
        assert!(answer.failure().1, "another version of us may have it: {query}");
    }
    let answer = world.call(&json!({ "ctx": 1 })).await;
    assert_eq!(answer.failure(), ("The call could not be read.".to_owned(), false));
}
