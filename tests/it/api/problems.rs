//! Errors of the API, which are problem details whoever makes them.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::writes::{csv, made, over, path_of};
use crate::support::{
    program::{Program, problem},
    spawn_app, spawn_app_on,
};

#[tokio::test]
async fn what_no_route_takes_is_a_problem_too() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import", "tokens"]).await;
    for (method, path, status, kind) in [
        (Method::GET, "/api/v1", 404, "/api#not-found"),
        (Method::GET, "/api/v1/", 404, "/api#not-found"),
        (Method::GET, "/api/v1/nothing", 404, "/api#not-found"),
        (Method::GET, "/api/v1/me/", 404, "/api#not-found"),
        (Method::GET, "/api/v2/me", 404, "/api#not-found"),
        (Method::GET, "/api/nothing", 404, "/api#not-found"),
        (Method::DELETE, "/api/v1/tokens/no-id", 404, "/api#not-found"),
        (Method::DELETE, "/api/v1/tokens/%ff", 404, "/api#not-found"),
        (Method::DELETE, "/api/v1/me", 405, "/api#wrong-method"),
        (Method::PUT, "/api/v1/tokens", 405, "/api#wrong-method"),
        (Method::OPTIONS, "/api/v1/tokens", 405, "/api#wrong-method"),
        (Method::GET, "/api/v1/tokens/01J", 405, "/api#wrong-method"),
    ] {
        let answer = program.request(method.clone(), path).send().await.unwrap();
        let allowed = answer.headers().get(header::ALLOW).cloned();
        let told = problem(answer).await;
        assert_eq!(
            (&told["status"], &told["type"]),
            (&json!(status), &json!(kind)),
            "{method} {path}: {told}"
        );
        assert_eq!(allowed.is_some(), status == 405, "{method} {path}: {allowed:?}");
    }
    let tokens = program.request(Method::PUT, "/api/v1/tokens").send().await.unwrap();
    assert_eq!(tokens.headers()[header::ALLOW], "GET, HEAD, POST");
    let page = program.get("/nothing").await.text().await.unwrap();
    assert!(page.starts_with("<!doctype html>"), "pages stay pages: {page}");
    app.stop().await;
}

#[tokio::test]
async fn a_body_of_another_type_or_size_is_a_problem() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["tokens"]).await;
    let post = || program.request(Method::POST, "/api/v1/tokens");
    for kind in ["text/csv", "application/x-www-form-urlencoded", "nonsense", ""] {
        let told = problem(post().header(header::CONTENT_TYPE, kind).body("{}").send().await.unwrap()).await;
        assert_eq!(told["status"], 415, "{kind:?}: {told}");
    }
    assert_eq!(problem(post().body("{}").send().await.unwrap()).await["status"], 415, "no type");
    let long = json!({ "name": "x".repeat(100 << 10), "scopes": ["read"] });
    let told = problem(post().json(&long).send().await.unwrap()).await;
    assert_eq!(told["status"], 413);
    assert!(told["detail"].as_str().unwrap().contains("64 KiB"), "{told}");
    let deep = post().header(header::CONTENT_TYPE, "application/json").body("[".repeat(10_000));
    let told = problem(deep.send().await.unwrap()).await;
    assert!(told["detail"].as_str().unwrap().len() < 500, "{told}");
    app.stop().await;
}

#[tokio::test]
async fn a_failure_is_a_problem_without_its_cause() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    app.sql(
        "CREATE TRIGGER refuse BEFORE INSERT ON api_token \
         BEGIN SELECT RAISE(ABORT, 'a secret of the database'); END",
    )
    .await;
    let new = json!({ "name": "ci", "scopes": ["read"] });
    let answer = owner.request(Method::POST, "/api/v1/tokens").json(&new).send().await.unwrap();
    let told = problem(answer).await;
    assert_eq!((&told["status"], &told["type"]), (&json!(500), &json!("/api#internal")));
    assert!(!told.to_string().contains("secret"), "{told}");
    app.stop().await;
}

#[tokio::test]
async fn a_read_that_has_not_changed_is_not_sent_again() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    let first = program.get("/api/v1/me").await;
    let tag = first.headers()[header::ETAG].clone();
    assert_eq!(first.headers()[header::CACHE_CONTROL], "private, no-cache");
    let again = |tag: &str| {
        program.request(Method::GET, "/api/v1/me").header(header::IF_NONE_MATCH, tag.to_owned()).send()
    };
    let same = again(tag.to_str().unwrap()).await.unwrap();
    assert_eq!((same.status(), &same.headers()[header::ETAG]), (StatusCode::NOT_MODIFIED, &tag));
    let other = again("\"another\"").await.unwrap();
    assert_eq!(other.json::<Value>().await.unwrap()["email"], "mira@example.org");
    let head = program.request(Method::HEAD, "/api/v1/me").send().await.unwrap();
    assert_eq!((head.status(), &head.headers()[header::ETAG]), (StatusCode::OK, &tag));
    app.stop().await;
}

#[tokio::test]
async fn a_token_opens_no_page_and_exempts_no_form() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import", "tokens"]).await;
    let page = program.get("/").await;
    assert_eq!(page.status(), StatusCode::SEE_OTHER, "pages need a session");
    let cookie = owner.cookie.clone().unwrap();
    let forged = program.request(Method::POST, "/sign-out").header(header::COOKIE, &cookie);
    assert_eq!(forged.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    // Another scheme is that of a proxy in front: the session counts, and so does the rule of its forms.
    let basic = || program.request(Method::GET, "/api/v1/me").header(header::COOKIE, &cookie);
    let with_basic = |request: reqwest::RequestBuilder| {
        let mut request = request.build().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, "Basic cmI6MQ==".parse().unwrap());
        request
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.execute(with_basic(basic())).await.unwrap().status(), StatusCode::OK);
    let forged = program.request(Method::POST, "/api/v1/tokens").header(header::COOKIE, &cookie);
    let forged = client.execute(with_basic(forged)).await.unwrap();
    assert_eq!(problem(forged).await["type"], "/api#cross-site");
    app.stop().await;
}

#[tokio::test]
async fn what_an_import_cannot_do_is_a_problem_of_its_own() {
    let data = tempfile::tempdir().unwrap();
    let app = spawn_app_on(data, |config| config.quota_bytes = Some(200)).await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import"]).await;
    let import = made(csv(&program, "", "a,b\n1,2\n3\n").send().await.unwrap()).await;
    over(&program, &import).await;
    let retry = format!("{}/retry", path_of(&import));
    let told = |told: Value| (told["status"].clone(), told["type"].clone());
    let problem_is = |status: u16, kind: &str| (json!(status), json!(format!("/api#{kind}")));

    let page = program.get("/api/v1/imports?limit=0").await;
    assert_eq!(told(problem(page).await), problem_is(400, "malformed"));
    let body = json!({ "only": "failed", "reading": { "delimiter": "semicolon" } });
    assert_eq!(told(problem(program.post(&retry, &body).await).await), problem_is(422, "read-as-before"));
    let long = csv(&program, "", "").body(format!("a,b\n{}", "1,2\n".repeat(100)));
    assert_eq!(told(problem(long.send().await.unwrap()).await), problem_is(413, "over-quota"));
    let id = import["id"].as_str().unwrap();
    std::fs::remove_file(app.data.path().join(format!("files/uploads/{id}.csv"))).unwrap();
    assert_eq!(told(problem(program.post(&retry, &json!({})).await).await), problem_is(410, "file-missing"));
    app.stop().await;
}
