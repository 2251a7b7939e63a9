//! Errors of the API, which are problem details whoever makes them.

use std::{collections::BTreeSet, fs::File, process::Command, time::Duration};

use futures_util::future::select_all;
use reqwest::{Method, StatusCode, header};
use runboard::http::api_reference::PROBLEMS;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    acts, downloads, rate, tokens,
    writes::{self, csv, made, over, path_of},
};
use crate::{
    routes::API_ROUTES,
    storage::outage,
    support::{
        TestApp, database, files_under,
        program::{Program, problem},
        spawn_app, spawn_app_on, until,
    },
};

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A test that gets the answer, by the name of its problem.
const TESTS: [(&str, fn()); 30] = [
    ("malformed", what_an_import_cannot_do_is_a_problem_of_its_own),
    ("no-credentials", who_may_not_ask_is_told_why),
    ("bad-token", tokens::a_token_of_the_scope_tokens_makes_and_ends_others),
    ("missing-scope", who_may_not_ask_is_told_why),
    ("cross-site", a_token_opens_no_page_and_exempts_no_form),
    ("not-found", what_no_route_takes_is_a_problem_too),
    (
        "nothing-written",
        downloads::there_is_nothing_to_download_before_the_end_or_of_a_file_that_was_not_read,
    ),
    ("wrong-method", what_no_route_takes_is_a_problem_too),
    ("too-slow", a_body_that_stops_coming_is_a_problem),
    ("still-running", acts::an_import_is_cancelled_and_deleted),
    ("still-cancelling", acts::an_import_is_cancelled_and_deleted),
    ("not-started", acts::a_held_import_is_not_cancelled_and_a_reading_is_an_object),
    ("nothing-failed", acts::an_import_is_run_again_and_each_reading_once),
    ("key-used", writes::a_request_that_is_sent_again_with_its_key_makes_one_import),
    ("too-many-tokens", tokens::an_account_has_at_most_a_hundred_tokens),
    ("file-missing", what_an_import_cannot_do_is_a_problem_of_its_own),
    ("too-large", writes::what_is_no_import_is_refused_and_nothing_of_it_is_left),
    ("over-quota", what_an_import_cannot_do_is_a_problem_of_its_own),
    ("wrong-content-type", writes::what_is_no_import_is_refused_and_nothing_of_it_is_left),
    ("not-accepted", writes::what_is_no_import_is_refused_and_nothing_of_it_is_left),
    ("empty-file", writes::what_is_no_import_is_refused_and_nothing_of_it_is_left),
    ("not-a-csv", writes::what_is_no_import_is_refused_and_nothing_of_it_is_left),
    ("read-as-before", what_an_import_cannot_do_is_a_problem_of_its_own),
    ("too-many-requests", rate::a_token_has_its_own_limit_and_its_answers_say_what_is_left),
    ("internal", a_failure_is_a_problem_without_its_cause),
    ("busy", while_too_many_files_are_looked_at_a_program_is_told_to_come_back),
    ("database-away", while_the_database_is_gone_a_program_is_told_so),
    ("storage-away", outage::uploads_and_downloads_say_that_the_storage_does_not_answer),
    ("stopping", an_upload_that_the_end_of_the_server_cuts_off_is_a_problem),
    ("disk-full", a_file_that_the_disk_has_no_room_for_is_a_problem),
];

#[test]
fn every_problem_that_is_described_has_a_test() {
    let described: BTreeSet<&str> = PROBLEMS.iter().map(|problem| problem.name).collect();
    let tested: BTreeSet<&str> = TESTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(tested, described);
}

/// Announces a body of so many bytes, and sends only the first of them.
async fn begin(
    app: &TestApp,
    program: &Program,
    (path, kind): (&str, &str),
    bytes: u64,
    begun: &str,
) -> TcpStream {
    let mut connection = TcpStream::connect(app.origin.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: {kind}\r\n\
         Content-Length: {bytes}\r\n\r\n{begun}",
        program.secret()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

/// The status and the problem in an answer, after which the server closes the connection.
async fn refusal(mut connection: TcpStream) -> (u16, Value) {
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, connection.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(read.is_ok(), "the connection is not closed: {answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    assert!(head.contains("application/problem+json"), "{answer}");
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}")))
}

const CSV: (&str, &str) = ("/api/v1/imports", "text/csv");

#[tokio::test]
async fn who_may_not_ask_is_told_why() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    let nobody = problem(app.visitor().get("/api/v1/imports").await).await;
    assert_eq!((&nobody["status"], &nobody["type"]), (&json!(401), &json!("/api#no-credentials")));
    let reader = problem(csv(&program, "", "a,b\n1,2\n").send().await.unwrap()).await;
    assert_eq!((&reader["status"], &reader["type"]), (&json!(403), &json!("/api#missing-scope")));
    assert!(reader["detail"].as_str().unwrap().contains("the scope import"), "{reader}");
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_a_problem() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.http.body_pause = Duration::from_millis(300);
    })
    .await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["import", "tokens"]).await;
    for (to, begun) in [(CSV, "a,b\n"), (("/api/v1/tokens", "application/json"), "{")] {
        let (status, told) = refusal(begin(&app, &program, to, 1_000, begun).await).await;
        assert_eq!((status, &told["type"]), (408, &json!("/api#too-slow")), "{told}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_file_that_the_disk_has_no_room_for_is_a_problem() {
    let huge = 1 << 60;
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = huge).await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["import"]).await;
    let (status, told) = refusal(begin(&app, &program, CSV, huge, "").await).await;
    assert_eq!((status, &told["type"]), (507, &json!("/api#disk-full")), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("not enough free disk space"), "{told}");
    assert_eq!(files_under(&app.data.path().join("files")), 0);
    app.stop().await;
}

#[tokio::test]
async fn while_the_database_is_gone_a_program_is_told_so() {
    if database::is_skipped_on_postgres("it moves SQLite's file away") {
        return;
    }
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["import"]).await;
    assert_eq!(
        program.get("/api/v1/me").await.status(),
        StatusCode::OK,
        "the token is in memory from now on"
    );
    std::fs::rename(app.data.path().join("runboard.db"), app.data.path().join("away.db")).unwrap();
    let upload = csv(&program, "", "a,b\n1,2\n").send().await.unwrap();
    assert!(upload.headers().contains_key(header::RETRY_AFTER), "{:?}", upload.headers());
    let told = problem(upload).await;
    assert_eq!((&told["status"], &told["type"]), (&json!(503), &json!("/api#database-away")), "{told}");
    assert_eq!(files_under(&app.data.path().join("files")), 0, "nothing of it is left");
    app.stop().await;
}

#[tokio::test]
async fn an_upload_that_the_end_of_the_server_cuts_off_is_a_problem() {
    let app =
        spawn_app_on(tempfile::tempdir().unwrap(), |config| config.http.stop_grace = Duration::ZERO).await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["import"]).await;
    let connection = begin(&app, &program, CSV, 1_000, "a,b\n1,2\n").await;
    let incoming = app.data.path().join("files/incoming");
    until("the upload to begin", || files_under(&incoming) == 1).await;
    let (_data, (status, told)) = tokio::join!(app.stop(), refusal(connection));
    assert_eq!((status, &told["type"]), (503, &json!("/api#stopping")), "{told}");
}

/// Which sheet is meant is looked up in two files at once. A pipe that nobody writes to holds both turns.
#[tokio::test]
async fn while_too_many_files_are_looked_at_a_program_is_told_to_come_back() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["import"]).await;
    let held = made(csv(&program, "?look=1", "a,b\n1,2\n").send().await.unwrap()).await;
    let file = app.data.path().join(format!("files/uploads/{}.csv", held["id"].as_str().unwrap()));
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    // Open for both, so that the server's reads wait for bytes, and end with this.
    let pipe = File::options().read(true).write(true).open(&file).unwrap();
    let start = || {
        let body = json!({ "reading": { "sheet": "January" } });
        let request = program.request(Method::POST, &format!("{}/start", path_of(&held)));
        tokio::spawn(request.json(&body).send())
    };
    let (refused, _, others) = select_all([start(), start(), start()]).await;
    let refused = refused.unwrap().unwrap();
    let later = refused.headers().get(header::RETRY_AFTER).cloned();
    let told = problem(refused).await;
    assert_eq!((&told["status"], &told["type"]), (&json!(503), &json!("/api#busy")), "{told}");
    assert!(later.is_some(), "it says when to come back");
    drop(pipe);
    for other in others {
        assert_eq!(problem(other.await.unwrap().unwrap()).await["status"], 422, "it is no workbook");
    }
    app.stop().await;
}

/// Every route says so, with a query or with a body.
#[tokio::test]
async fn an_unknown_field_is_refused_by_name_on_every_route() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import", "tokens"]).await;
    let held = made(csv(&program, "?look=1", "a,b\n1,2\n").send().await.unwrap()).await;
    let id = held["id"].as_str().unwrap();
    for (method, path, _) in &API_ROUTES {
        let path = path.replace("{id}", id).replace("{token}", &program.token_id);
        let request = program.request(method.clone(), &format!("{path}?colour=red"));
        let request = if *method == Method::POST { request.json(&json!({})) } else { request };
        let told = problem(request.send().await.unwrap()).await;
        assert_eq!((&told["status"], &told["type"]), (&json!(400), &json!("/api#malformed")), "{path}");
        assert!(told["detail"].as_str().unwrap().contains("unknown field `colour`"), "{path}: {told}");
    }
    let is_there = program.get(&path_of(&held)).await;
    assert_eq!(is_there.status(), StatusCode::OK, "nothing was deleted or ended");
    app.stop().await;
}

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
    assert_eq!((&told["status"], &told["detail"]), (&json!(400), &json!("The body is nested too deeply.")));
    app.stop().await;
}

#[tokio::test]
async fn a_failure_is_a_problem_without_its_cause() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    app.refuse("INSERT ON api_token").await;
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
