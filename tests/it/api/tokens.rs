//! Making, listing and ending tokens, and what a token says of itself.

use reqwest::{Method, StatusCode, header};
use runboard::{accounts::Accounts, base::config::SignUp, store::Store};
use serde_json::{Value, json};

use crate::support::{
    database,
    program::{Program, problem},
    spawn_app,
    visitor::Visitor,
};

async fn make(owner: &Visitor, new: &Value) -> reqwest::Response {
    owner.request(Method::POST, "/api/v1/tokens").json(new).send().await.unwrap()
}

#[tokio::test]
async fn a_token_is_shown_once_and_says_whose_it_is() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let answer =
        make(&owner, &json!({ "name": " nightly ", "scopes": ["import", "read"], "expiresInDays": 30 }))
            .await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let location = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
    let made: Value = answer.json().await.unwrap();
    let secret = made["token"].as_str().unwrap();
    assert!(secret.starts_with("rb_") && secret.len() == 41, "{secret}");
    assert_eq!(location, format!("/api/v1/tokens/{}", made["id"].as_str().unwrap()));
    assert_eq!((&made["name"], &made["scopes"]), (&json!("nightly"), &json!(["read", "import"])));

    let listed = owner.get("/api/v1/tokens").await.text().await.unwrap();
    assert!(!listed.contains(secret) && !listed.contains("lastUsedAt"), "{listed}");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["next"], Value::Null);
    let [token] = listed["data"].as_array().unwrap().as_slice() else { panic!("one token: {listed}") };
    for member in ["id", "name", "scopes", "expiresAt"] {
        assert_eq!(token[member], made[member], "{member}");
    }
    let stored = database::columns_with(app.data.path(), secret).await;
    assert_eq!(stored, Vec::<String>::new(), "only its hash is stored");

    let program = Program::of(&owner, &["read"]).await;
    let me: Value = program.get("/api/v1/me").await.json().await.unwrap();
    assert_eq!(me["email"], "mira@example.org");
    assert_eq!((&me["scopes"], &me["token"]["id"]), (&json!(["read"]), &json!(program.token_id)));
    let me: Value = owner.get("/api/v1/me").await.json().await.unwrap();
    assert_eq!((&me["scopes"], me.get("token")), (&json!(["read", "import", "tokens"]), None));
    app.stop().await;
}

#[tokio::test]
pub(super) async fn a_token_of_the_scope_tokens_makes_and_ends_others() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["tokens"]).await;
    let made: Value = program
        .post("/api/v1/tokens", &json!({ "name": "ci", "scopes": ["read"] }))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(made.get("expiresAt"), None, "it never expires");
    let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    let end = || program.request(Method::DELETE, &path).send();
    assert_eq!(end().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(problem(end().await.unwrap()).await["status"], 404, "it has ended");
    // Its own end.
    let own = format!("/api/v1/tokens/{}", program.token_id);
    assert_eq!(program.request(Method::DELETE, &own).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(problem(program.get("/api/v1/me").await).await["type"], "/api#bad-token");
    app.stop().await;
}

#[tokio::test]
async fn the_last_use_of_a_token_is_listed() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    assert_eq!(program.get("/api/v1/me").await.status(), StatusCode::OK);
    let start = std::time::Instant::now();
    loop {
        let listed: Value = owner.get("/api/v1/tokens").await.json().await.unwrap();
        if listed["data"][0]["lastUsedAt"].is_string() {
            break;
        }
        assert!(start.elapsed().as_secs() < 60, "the use is recorded beside the request: {listed}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    app.stop().await;
}

#[tokio::test]
pub(super) async fn an_account_has_at_most_a_hundred_tokens() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let first = Program::of(&owner, &["read"]).await;
    for _ in 1..100 {
        Program::of(&owner, &["read"]).await;
    }
    let new = json!({ "name": "one more", "scopes": ["read"] });
    let refused = problem(make(&owner, &new).await).await;
    assert_eq!((&refused["status"], &refused["type"]), (&json!(409), &json!("/api#too-many-tokens")));
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    assert_eq!(make(&eve, &new).await.status(), StatusCode::CREATED, "others have their own hundred");
    let end = owner.request(Method::DELETE, &format!("/api/v1/tokens/{}", first.token_id));
    assert_eq!(end.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(make(&owner, &new).await.status(), StatusCode::CREATED);
    app.stop().await;
}

#[tokio::test]
async fn a_wrong_request_for_a_token_is_refused_by_name_and_makes_none() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    for (body, status, named) in [
        (r#"{"name":"x","scopes":["read"],"admin":true}"#, 422, "The body has the unknown field `admin`"),
        (
            r#"{"name":"x","scopes":["write"]}"#,
            422,
            "`scopes` must be one of `read`, `import`, `tokens`, not `write`.",
        ),
        (r#"{"name":"x","scopes":"read"}"#, 422, "`scopes` must be a list, not the string \"read\"."),
        (r#"{"name":"x"}"#, 422, "The body needs the field `scopes`."),
        (r#"{"name":7,"scopes":["read"]}"#, 422, "`name` must be a string, not the number `7`."),
        (r#"{"name":"x","scopes":[7]}"#, 422, "`scopes` must be a string."),
        (r#"["x",["read"],null]"#, 422, "an object"),
        ("null", 422, "The body must be an object, not null."),
        (r#"{"name":"x","scopes":[]}"#, 422, "at least one scope"),
        (r#"{"name":"","scopes":["read"]}"#, 422, "1 to 100 characters"),
        (r#"{"name":"a\u0000b","scopes":["read"]}"#, 422, "1 to 100 characters"),
        (r#"{"name":"gpj\u202etxt","scopes":["read"]}"#, 422, "all visible"),
        (r#"{"name":"x","name":"y","scopes":["read"]}"#, 422, "The body has the field `name` twice."),
        (r#"{"name":"x","scopes":["read"],"expiresInDays":0}"#, 422, "1 to 3650"),
        (r#"{"name":"x","scopes":["read"],"expiresInDays":3651}"#, 422, "1 to 3650"),
        (
            r#"{"name":"x","scopes":["read"],"expiresInDays":-1}"#,
            422,
            "`expiresInDays` must be a whole number from 0 to 4294967295, not",
        ),
        (r#"{"name":"x","scopes":["read"]"#, 400, "The body is not JSON: it ends too early."),
        ("", 400, "The body is empty."),
        ("name=x", 400, "The body is not JSON: it has an error at line 1, column "),
    ] {
        let answer = owner
            .request(Method::POST, "/api/v1/tokens")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        let refused = problem(answer.send().await.unwrap()).await;
        assert_eq!(refused["status"], status, "{body}: {refused}");
        assert!(refused["detail"].as_str().unwrap().contains(named), "{body}: {refused}");
    }
    let listed: Value = owner.get("/api/v1/tokens").await.json().await.unwrap();
    assert_eq!(listed["data"], json!([]));
    app.stop().await;
}

/// Two processes on one database, such as a server and another replica.
#[tokio::test]
async fn a_token_that_another_process_ends_is_soon_refused_and_one_of_this_process_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = database::url(folder.path());
    let accounts =
        async || Accounts::new(Store::open(&url).await.unwrap(), SignUp::Open, ([127, 0, 0, 1], 8080).into());
    let (here, there) = (accounts().await, accounts().await);
    let password =
        runboard::accounts::Password::try_from(secrecy::SecretString::from("correct horse")).unwrap();
    let user = here.add("ada@example.org".parse().unwrap(), password).await.unwrap();
    let new = || runboard::accounts::NewToken {
        name: "ci".parse().unwrap(),
        scopes: [runboard::accounts::Scope::Read].into(),
        lifetime: None,
        webhook: None,
    };
    let (secret, token) = here.make_token(user, new()).await.unwrap();
    assert!(here.token_of(&secret).await.unwrap().is_some());
    assert!(here.end_token(user, token.id).await.unwrap());
    assert!(here.token_of(&secret).await.unwrap().is_none(), "at once");

    let (secret, token) = here.make_token(user, new()).await.unwrap();
    assert!(here.token_of(&secret).await.unwrap().is_some());
    assert!(there.end_token(user, token.id).await.unwrap());
    // The memory of this process is bounded in time.
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    tokio::time::resume();
    assert!(here.token_of(&secret).await.unwrap().is_none());
}

#[tokio::test]
async fn the_tokens_of_a_disabled_account_end_at_once_and_a_new_address_shows_at_once() {
    let app = spawn_app().await;
    let admin = app.signed_in().await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let program = Program::of(&eve, &["tokens"]).await;
    let me = async || program.get("/api/v1/me").await.json::<Value>().await.unwrap();
    assert_eq!(me().await["email"], "eve@example.org");
    let fields = [("email", "eva@example.org"), ("password", "correct horse")];
    assert_eq!(eve.post_form("/account/email", &fields).await.status(), StatusCode::SEE_OTHER);
    let told = me().await;
    assert_eq!(told["email"], "eva@example.org");

    let disable = format!("/admin/accounts/{}/disable", told["id"].as_str().unwrap());
    assert_eq!(admin.post_form(&disable, &[]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(problem(program.get("/api/v1/me").await).await["type"], "/api#bad-token");
    let enable = disable.replace("disable", "enable");
    assert_eq!(admin.post_form(&enable, &[]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(problem(program.get("/api/v1/me").await).await["type"], "/api#bad-token", "it has ended");
    app.stop().await;
}

#[tokio::test]
async fn a_request_for_a_token_that_is_sent_again_gets_the_same_one() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let new = json!({ "name": "nightly", "scopes": ["read"], "expiresInDays": 1 });
    let ask = async |key: &str, new: &Value| {
        owner
            .request(Method::POST, "/api/v1/tokens")
            .header("idempotency-key", key)
            .json(new)
            .send()
            .await
            .unwrap()
    };
    let [one, two] = ["8e03978e-40d5-43dd-bc93-6894a57f9324", "5f0a4c1e-71f9-4f0c-9d0b-2a1f6f3c7e55"];
    // The secret is derived from the key.
    assert_eq!(problem(ask("guessable-2026-11-29", &new).await).await["status"], 422);
    let first: Value = ask(one, &new).await.json().await.unwrap();
    let again = ask(&format!("\"{one}\""), &new).await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    let second: Value = ask(two, &new).await.json().await.unwrap();
    assert_ne!(second["token"], first["token"]);
    let other = problem(ask(one, &json!({ "name": "other", "scopes": ["read"] })).await).await;
    assert_eq!((&other["status"], &other["type"]), (&json!(409), &json!("/api#key-used")));
    let secret = first["token"].as_str().unwrap();
    let me = owner.foreign_request(Method::GET, "/api/v1/me").bearer_auth(secret).send().await.unwrap();
    assert_eq!(me.json::<Value>().await.unwrap()["token"]["id"], first["id"]);
    let stored = database::columns_with(app.data.path(), secret).await;
    assert_eq!(stored, Vec::<String>::new(), "only its hash is stored");

    let end = owner.request(Method::DELETE, &format!("/api/v1/tokens/{}", first["id"].as_str().unwrap()));
    assert_eq!(end.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(problem(ask(one, &new).await).await["status"], 404, "it was made once, and ended");
    let listed: Value = owner.get("/api/v1/tokens").await.json().await.unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    app.stop().await;
}
