//! Acting on imports.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::writes::{KEY, answered, csv, form_of, made, over, path_of};
use crate::{
    packed::book::{rows, workbook},
    support::{
        program::{Program, problem},
        spawn_app,
    },
};

#[tokio::test]
pub(super) async fn an_import_is_cancelled_and_deleted() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import"]).await;
    let busy = app.busy().await;
    let import = made(csv(&program, "?name=one.csv", "a,b\n1,2\n").send().await.unwrap()).await;
    owner.wait_for_state(import["links"]["page"].as_str().unwrap(), "Running").await;
    let path = path_of(&import);
    let delete = || program.request(Method::DELETE, &path).send();
    let told = problem(delete().await.unwrap()).await;
    assert_eq!((&told["status"], &told["type"]), (&json!(409), &json!("/api#still-running")));
    let post = || program.request(Method::POST, &format!("{path}/cancel"));
    let json = |body: &'static str| post().header(header::CONTENT_TYPE, "application/json").body(body);
    for (request, status) in
        [(json("{"), 400), (json(r#"{"only":"failed"}"#), 422), (json("[]"), 422), (post().body("{}"), 415)]
    {
        assert_eq!(problem(request.send().await.unwrap()).await["status"], status);
    }
    assert_eq!(program.get(&path).await.json::<Value>().await.unwrap()["state"], "Running");
    let cancel = || post().send();
    answered(json("{}").send().await.unwrap(), StatusCode::ACCEPTED).await;
    drop(busy);
    assert_eq!(over(&program, &import).await["state"], "Cancelled");
    let again = answered(cancel().await.unwrap(), StatusCode::ACCEPTED).await;
    assert_eq!(again["state"], "Cancelled", "once more changes nothing");
    let began = std::time::Instant::now();
    loop {
        let answer = delete().await.unwrap();
        if answer.status() == StatusCode::NO_CONTENT {
            assert_eq!(answer.text().await.unwrap(), "");
            break;
        }
        assert_eq!(problem(answer).await["type"], "/api#still-cancelling");
        assert!(began.elapsed().as_secs() < 60, "the engine rules out a late run");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for answer in [delete().await.unwrap(), cancel().await.unwrap(), program.get(&path).await] {
        assert_eq!(problem(answer).await["status"], 404);
    }
    app.stop().await;
}

#[tokio::test]
pub(super) async fn an_import_is_run_again_and_each_reading_once() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import"]).await;
    let import = made(csv(&program, "?name=orders.csv", "a;b\n1;2\n3\n").send().await.unwrap()).await;
    over(&program, &import).await;
    let path = format!("{}/retry", path_of(&import));
    let retry = |body: Value| program.request(Method::POST, &path).json(&body);
    let all = made(program.request(Method::POST, &path).send().await.unwrap()).await;
    assert_eq!((&all["parentId"], &all["fileName"]), (&import["id"], &json!("orders.csv")));
    let same = made(retry(json!({})).header(KEY, "again").send().await.unwrap()).await;
    assert_eq!(same["id"], all["id"], "one retry of a kind");
    let pipe = json!({ "reading": { "delimiter": "pipe", "header": "none" } });
    let other = made(retry(pipe.clone()).send().await.unwrap()).await;
    assert_ne!(other["id"], all["id"]);
    assert_eq!(
        over(&program, &other).await["reading"]["delimiter"],
        json!({ "value": "pipe", "how": "chosen" })
    );
    let failed = made(retry(json!({ "only": "failed" })).send().await.unwrap()).await;
    assert_eq!(failed["fileName"], "orders-failed.csv");
    for (request, status, kind) in [
        (retry(pipe).header(KEY, "again"), 409, "key-used"),
        (retry(json!({ "only": "failed", "reading": { "quote": "none" } })), 422, "read-as-before"),
        (retry(json!({ "only": "processed" })), 422, "not-accepted"),
        (retry(json!({ "reading": { "sheet": "January" } })), 422, "not-accepted"),
        (retry(json!({ "reading": [] })), 422, "not-accepted"),
        (retry(json!({ "all": true })), 422, "not-accepted"),
        (program.request(Method::POST, &path).body("only=failed"), 415, "wrong-content-type"),
        (retry(json!({})).header(KEY, "\u{e9}"), 400, "malformed"),
    ] {
        let told = problem(request.send().await.unwrap()).await;
        assert_eq!(
            (&told["status"], &told["type"]),
            (&json!(status), &json!(format!("/api#{kind}"))),
            "{told}"
        );
    }
    let clean = made(csv(&program, "", "a,b\n1,2\n").send().await.unwrap()).await;
    over(&program, &clean).await;
    let none = program.post(&format!("{}/retry", path_of(&clean)), &json!({ "only": "failed" })).await;
    assert_eq!(problem(none).await["type"], "/api#nothing-failed");
    app.stop().await;
}

#[tokio::test]
async fn an_import_is_looked_at_and_started_and_a_sheet_is_meant_in_any_case() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import"]).await;
    let sheets = [
        ("January", "", &*rows(&[&["id", "price"], &["1", "2.5"]])),
        ("February", "", &*rows(&[&["id", "price"], &["7", "9"], &["8", "9"]])),
    ];
    let book = workbook(&sheets, "");
    let upload = |fields: &[(&str, &str)]| form_of(&program, "orders.xlsx", &book, fields).send();
    let held = made(upload(&[("look", "1")]).await.unwrap()).await;
    assert_eq!((&held["state"], &held["runs"]), (&json!("Held"), &json!([])));
    assert!(held["stateText"].as_str().unwrap().contains("kept until"), "{held}");
    assert!(held.get("eventId").is_none(), "{held}");
    let start =
        |body: Value| program.request(Method::POST, &format!("{}/start", path_of(&held))).json(&body).send();
    let told = problem(program.post(&format!("{}/retry", path_of(&held)), &json!({})).await).await;
    assert_eq!((&told["status"], &told["type"]), (&json!(409), &json!("/api#not-started")));
    for (body, named) in [
        (json!({ "reading": { "sheet": "March" } }), "has no sheet"),
        (json!({ "reading": { "header": "first" } }), "header line"),
        (json!({ "reading": { "header": [1] } }), "`reading.header` must be a whole number or a string."),
        (json!({ "reading": { "quote": 1 } }), "`reading.quote` must be a string, not the number `1`."),
        (json!({ "reading": "comma" }), "`reading` must be an object, not the string"),
        (json!({ "sheet": "January" }), "`sheet`"),
    ] {
        let told = problem(start(body).await.unwrap()).await;
        assert_eq!(told["status"], 422, "{told}");
        assert!(told["detail"].as_str().unwrap().contains(named), "{told}");
    }
    answered(start(json!({ "reading": { "sheet": " FEBRUARY" } })).await.unwrap(), StatusCode::ACCEPTED)
        .await;
    let ended = over(&program, &held).await;
    assert_eq!((&ended["state"], &ended["runs"][0]["processedItems"]), (&json!("Completed"), &json!(2)));
    assert_eq!(ended["reading"]["sheet"], json!({ "value": "February", "how": "chosen" }));
    let again = answered(start(json!({})).await.unwrap(), StatusCode::ACCEPTED).await;
    assert_eq!(again["state"], "Completed", "an import is started once");

    let chosen = made(upload(&[("sheet", "february"), ("look", "0")]).await.unwrap()).await;
    assert_eq!(over(&program, &chosen).await["runs"][0]["processedItems"], 2);
    let retry = json!({ "reading": { "sheet": "january" } });
    let retried = made(program.post(&format!("{}/retry", path_of(&chosen)), &retry).await).await;
    let ended = over(&program, &retried).await;
    assert_eq!(
        (&ended["runs"][0]["processedItems"], &ended["reading"]["sheet"]["value"]),
        (&json!(1), &json!("January"))
    );
    app.stop().await;
}

#[tokio::test]
pub(super) async fn a_held_import_is_not_cancelled_and_a_reading_is_an_object() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import"]).await;
    let held = made(csv(&program, "?look=1", "a,b\n1,2\n").send().await.unwrap()).await;
    let path = path_of(&held);
    assert_eq!(held["links"]["start"], json!(format!("{path}/start")));
    let cancel = program.request(Method::POST, &format!("{path}/cancel")).send().await.unwrap();
    let problem_of_cancel = problem(cancel).await;
    assert_eq!(
        (&problem_of_cancel["status"], &problem_of_cancel["type"]),
        (&json!(409), &json!("/api#not-started"))
    );
    let positional = json!({ "reading": [null, null, "semicolon", null, null, null, null] });
    let start = program.request(Method::POST, &format!("{path}/start")).json(&positional);
    assert_eq!(problem(start.send().await.unwrap()).await["status"], 422);
    let coded = csv(&program, "?name=a.csv", "a,b\n1,2\n").header("content-encoding", "deflate");
    assert_eq!(problem(coded.send().await.unwrap()).await["status"], 415);

    // A held import is not over.
    let wait = async |seconds: u32| program.get(&format!("{path}?wait={seconds}")).await;
    let began = Instant::now();
    let still = answered(wait(1).await, StatusCode::OK).await;
    assert_eq!((&still["state"], began.elapsed() >= Duration::from_secs(1)), (&json!("Held"), true));

    // Several starts at once are one.
    let start = || program.request(Method::POST, &format!("{path}/start")).send();
    let (waited, one, two) = tokio::join!(wait(60), start(), start());
    assert_eq!([one.unwrap().status(), two.unwrap().status()], [StatusCode::ACCEPTED; 2]);
    assert_eq!(answered(waited, StatusCode::OK).await["state"], "Completed");
    let over = over(&program, &held).await;
    assert_eq!((&over["state"], over["runs"].as_array().unwrap().len()), (&json!("Completed"), 1));
    assert!(over["links"].get("start").is_none() && over.get("firstRows").is_none(), "{over}");
    app.stop().await;
}

#[tokio::test]
async fn a_held_import_says_how_its_file_would_be_read() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import"]).await;
    let look = async |query: &str, body: &'static str| {
        let held = made(csv(&program, &format!("?look=1{query}"), body).send().await.unwrap()).await;
        let answer = program.get(&path_of(&held)).await;
        let tag = answer.headers()[header::ETAG].clone();
        (path_of(&held), tag, answered(answer, StatusCode::OK).await)
    };
    let orders = "id;name\n1;Zo\u{eb}\n2\n3;a\n4;b\n5;c\n6;d\n7;e\n";
    let (path, tag, held) = look("&header=1", orders).await;
    assert_eq!(held["reading"]["delimiter"]["value"], "semicolon");
    assert_eq!(held["reading"]["header"], json!({ "value": 1, "how": "chosen" }));
    assert!(held["reading"]["text"].as_str().unwrap().contains("header in line 1 (chosen)"), "{held}");
    let first = &held["firstRows"];
    assert_eq!((&first["header"], &first["columns"]), (&json!(["id", "name"]), &json!(2)));
    let rows = first["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 5, "{first}");
    assert_eq!(rows[0], json!({ "line": 2, "fields": ["1", "Zoë"] }));
    assert_eq!(rows[1], json!({ "line": 3, "fields": ["2"], "reason": "1 field, expected 2" }));
    let state = held["stateText"].as_str().unwrap();
    assert!(state.starts_with("Nothing runs until it is started; kept until "), "{held}");
    let again = program.request(Method::GET, &path).header(header::IF_NONE_MATCH, tag);
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);

    let (_, _, page) = look("", "<!doctype html><title>Sign in</title><p>1,2</p>").await;
    assert!(page["stateText"].as_str().unwrap().starts_with("This is a web page (\"Sign in\")"), "{page}");
    for held in [&page, &answered(program.get("/api/v1/imports").await, StatusCode::OK).await["data"][1]] {
        assert!(held.get("reading").is_none() && held.get("firstRows").is_none(), "{held}");
    }
    app.stop().await;
}
