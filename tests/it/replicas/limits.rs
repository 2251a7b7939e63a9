//! Limits that several replicas keep together.

use std::time::Instant;

use reqwest::{Method, Response, StatusCode, header};

use super::cluster::{Cluster, REPLICAS};
use crate::support::visitor::Visitor;

/// As `Visitor::sign_up` does.
const PASSWORD: &str = "correct horse";
const OWNER: &str = "mira@example.org";

/// A sign-in at one replica from an address of which its proxy tells.
async fn sign_in(cluster: &Cluster, number: usize, from: &str, password: &str) -> Response {
    let nobody = Visitor::new(&cluster.origin_of(number));
    let fields = [("email", OWNER), ("password", password)];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    nobody
        .request(Method::POST, "/sign-in")
        .header("X-Forwarded-For", from)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn wrong_passwords_at_several_replicas_count_as_at_one() {
    let cluster = Cluster::start().await;
    cluster.signed_in(OWNER).await;
    let mut first_at = None;
    for guess in 0..10 {
        let answer = sign_in(&cluster, guess % REPLICAS, "203.0.113.9", &format!("guess {guess}")).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{guess}");
        first_at.get_or_insert_with(Instant::now);
    }
    // One comes back each minute, and the passwords may take long: as if the time since the first one had not passed.
    let passed = first_at.unwrap().elapsed().as_nanos();
    cluster.postgres.sql(&format!("UPDATE rate SET recovered_at = recovered_at + {passed}"));
    for number in 0..REPLICAS {
        let right = sign_in(&cluster, number, "203.0.113.9", PASSWORD).await;
        assert_eq!(right.status(), StatusCode::TOO_MANY_REQUESTS, "the right one waits too, at {number}");
        let wait: u64 = right.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    for number in 0..REPLICAS {
        let elsewhere = sign_in(&cluster, number, "192.0.2.1", PASSWORD).await;
        assert_eq!(elsewhere.status(), StatusCode::SEE_OTHER, "the owner, elsewhere, at {number}");
    }
}

#[tokio::test]
async fn the_right_password_at_one_replica_takes_wrong_ones_at_others_back() {
    let cluster = Cluster::start().await;
    cluster.signed_in(OWNER).await;
    for round in 0..2 {
        for guess in 0..9 {
            let answer = sign_in(&cluster, guess % REPLICAS, "203.0.113.9", "guess").await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{guess} of {round}");
        }
        let right = sign_in(&cluster, round, "203.0.113.9", PASSWORD).await;
        assert_eq!(right.status(), StatusCode::SEE_OTHER, "{round}");
    }
}
