//! How often the API may be called.

use reqwest::{Response, StatusCode, header};

use crate::support::{
    program::{Program, problem},
    spawn_app_on,
};

fn left(answer: &Response) -> &str {
    answer.headers()["ratelimit"].to_str().unwrap()
}

#[tokio::test]
pub(super) async fn a_token_has_its_own_limit_and_its_answers_say_what_is_left() {
    // One request comes back each half minute.
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.api_rate = 2).await;
    let owner = app.signed_in().await;
    let (one, other) = (Program::of(&owner, &["read"]).await, Program::of(&owner, &["import"]).await);

    let first = one.get("/api/v1/me").await;
    assert_eq!(first.headers()["ratelimit-policy"], "\"requests\";q=2;w=60");
    assert!(left(&first).starts_with("\"requests\";r=1;t="), "{}", left(&first));
    // A refused request and one that finds nothing count too.
    let second = one.get("/api/v1/tokens").await;
    assert_eq!(second.status(), StatusCode::FORBIDDEN);
    assert!(left(&second).starts_with("\"requests\";r=0;t="), "{}", left(&second));

    let third = one.get("/api/v1/me").await;
    assert!(left(&third).starts_with("\"requests\";r=0;t="), "{}", left(&third));
    let wait: u64 = third.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    let refused = problem(third).await;
    assert_eq!((&refused["status"], &refused["type"]), (&429.into(), &"/api#too-many-requests".into()));
    assert!(refused["detail"].as_str().unwrap().contains(&format!("{wait} second")), "{refused}");

    assert_eq!(other.get("/api/v1/me").await.status(), StatusCode::OK, "each token is counted by itself");
    // The session has made the two tokens.
    assert_eq!(owner.get("/api/v1/me").await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(owner.get("/").await.status(), StatusCode::OK, "pages are no part of the API");
    let nobody = app.visitor().get("/api/v1/me").await;
    assert_eq!((nobody.status(), nobody.headers().get("ratelimit")), (StatusCode::UNAUTHORIZED, None));
    app.stop().await;
}
