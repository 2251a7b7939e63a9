//! Reading imports: lists, single ones, and waiting for their end.

use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Running, running};
use crate::support::{
    program::{Program, problem},
    spawn_app,
    visitor::Visitor,
};

async fn body(answer: Response) -> Value {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|import| import["fileName"].as_str().unwrap()).collect()
}

/// Uploads files and waits for their ends.
async fn upload_all(owner: &Visitor, files: &[(&str, &str)]) -> Vec<String> {
    let mut imports = Vec::new();
    for (name, bytes) in files {
        let import = owner.upload(name, bytes).await;
        owner
            .wait_for(&import, "its end", |panel| panel.state == "Completed" || panel.state == "Failed")
            .await;
        imports.push(import);
    }
    imports
}

#[tokio::test]
async fn an_import_says_what_its_page_says() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    let import = owner.upload("orders.csv", "id;name;name\n;;\n1;Zoë;b\n2;a\n3;\0;c\n4;d;e;f\n5;g\n").await;
    let panel = owner.wait_for_state(&import, "Completed").await;
    let path = format!("/api/v1{import}");
    let answer = program.get(&path).await;
    assert!(answer.headers()[header::ETAG].to_str().unwrap().starts_with("W/\""), "{:?}", answer.headers());
    let told = body(answer).await;

    let id = import.rsplit('/').next().unwrap();
    assert_eq!((&told["id"], &told["fileName"]), (&json!(id), &json!("orders.csv")));
    assert_eq!((&told["state"], &told["sizeBytes"]), (&json!("Completed"), &json!(47)));
    assert_eq!(told["links"]["self"], path);
    assert_eq!(told["links"]["page"], import);
    for time in ["receivedAt", "finishedAt"] {
        assert!(told[time].as_str().unwrap().ends_with('Z'), "{told}");
    }
    assert!(told["eventId"].is_string() && told.get("parentId").is_none(), "{told}");
    let text = told["stateText"].as_str().unwrap();
    assert!(text.starts_with("1 row processed, 4 failed, in "), "{text}");
    assert!(panel.html.contains("1 row processed, 4 failed, in "), "{}", panel.html);

    let [run] = told["runs"].as_array().unwrap().as_slice() else { panic!("one run: {told}") };
    assert_eq!(
        (&run["status"], &run["processedItems"], &run["failedItems"]),
        (&json!("Completed"), &json!(1), &json!(4))
    );
    assert_eq!(
        (&run["functionName"], &run["attempt"], &run["maxAttempts"]),
        (&json!("process-csv-upload"), &json!(1), &json!(4))
    );
    assert_eq!(run["output"], json!({ "status": "success", "processedItems": 1, "failedItems": 4 }));
    assert_eq!(run["runId"], panel.runs[0].run_id);
    assert!(run.get("progress").is_none() && run.get("error").is_none(), "{run}");

    let reading = &told["reading"];
    assert_eq!(reading["delimiter"], json!({ "value": "semicolon", "how": "guess" }));
    assert_eq!(reading["encoding"], json!({ "value": "UTF-8", "how": "certain" }));
    assert_eq!(reading["header"]["value"], 1);
    assert_eq!(reading["headerRows"]["value"], 1);
    assert_eq!(
        (&reading["quote"]["value"], &reading["escape"]["value"]),
        (&json!("double"), &json!("doubled"))
    );
    assert_eq!(reading["leftOut"], json!([{ "what": "emptyRows", "count": 1, "firstLine": 2 }]));
    let text = reading["text"].as_str().unwrap();
    for said in [
        "Separated by semicolons (a guess), UTF-8",
        "The header has two columns named name. They are imported as they are.",
        "1 empty row left out, line 2.",
        "2 rows have fewer fields than the header.",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(
        told["failures"],
        json!([
            { "reason": "2 fields, expected 3", "count": 2, "firstLine": 4, "example": "2;a" },
            { "column": "name", "reason": "contains a NUL byte", "count": 1, "firstLine": 5, "example": "␀" },
            { "reason": "4 fields, expected 3", "count": 1, "firstLine": 6, "example": "4;d;e;f" },
        ])
    );
    app.stop().await;
}

#[tokio::test]
async fn a_list_is_narrowed_and_read_page_by_page() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    let files = [
        ("one.csv", "a,b\n1,2\n"),
        ("TWO.csv", "a,b\n1\n"),
        ("three.csv", "a,b\n1,2\n3\n"),
        ("page.csv", "<!doctype html><html><body>Sign in</body></html>"),
        ("five.csv", "a,b\n1,2\n"),
    ];
    upload_all(&owner, &files).await;
    let held =
        Visitor::import_in(owner.post_with(&[("held.csv", "a,b\n1,2\n")], &[("look", "1")]).await).await;
    let list = async |query: &str| body(program.get(&format!("/api/v1/imports{query}")).await).await;

    let all = list("").await;
    assert_eq!(names(&all), ["held.csv", "five.csv", "page.csv", "three.csv", "TWO.csv", "one.csv"]);
    assert_eq!(all["next"], Value::Null);
    assert_eq!(all["data"][0]["state"], "Held");
    assert!(held.ends_with(all["data"][0]["id"].as_str().unwrap()));
    for (query, expected) in [
        ("?state=Held", &["held.csv"][..]),
        ("?state=Failed", &["page.csv"]),
        ("?state=Completed", &["five.csv", "three.csv", "TWO.csv", "one.csv"]),
        ("?state=Running", &[]),
        ("?state=NoFunction", &[]),
        ("?failed=true", &["three.csv", "TWO.csv"]),
        ("?failed=false&q=two", &["TWO.csv"]),
        ("?failed=true&state=Completed&q=E", &["three.csv"]),
        ("?failed=true&state=Failed", &[]),
        ("?q=%25", &[]),
        ("?since=2100-01-01T00:00:00Z", &[]),
        ("?since=9999-12-31T23:59:59Z", &[]),
        ("?until=9999-12-31T23:59:59.999Z&q=one", &["one.csv"]),
        ("?until=2020-01-01T00:00:00%2B02:00", &[]),
        ("?since=2020-01-01T00:00:00+02:00&q=one", &["one.csv"]),
    ] {
        assert_eq!(names(&list(query).await), expected, "{query}");
    }
    let at = |index: usize| all["data"][index]["receivedAt"].as_str().unwrap();
    let between = list(&format!("?since={}&until={}", at(3), at(2))).await;
    let between = names(&between);
    assert!(between.contains(&"page.csv") && !between.contains(&"one.csv"), "{between:?}");

    let mut query = "?limit=2&state=Completed".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = list(&query).await;
        seen.push(names(&page).into_iter().map(str::to_owned).collect::<Vec<_>>());
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=2&state=Completed&cursor={next}");
    }
    assert_eq!(seen, [["five.csv", "three.csv"], ["TWO.csv", "one.csv"]]);

    let page = list("?limit=1").await;
    let next = page["next"].as_str().unwrap();
    assert_eq!(
        names(&list(&format!("?limit=5&cursor={next}")).await).len(),
        5,
        "a page may have another length"
    );
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let stranger = Program::of(&eve, &["read"]).await;
    for (who, query, named) in [
        (&program, format!("?state=Completed&cursor={next}"), "cursor"),
        (&program, format!("?q=x&cursor={next}"), "cursor"),
        (&program, format!("?cursor={}0", next), "cursor"),
        (&program, "?cursor=".to_owned(), "cursor"),
        (&stranger, format!("?cursor={next}"), "cursor"),
        (&program, "?limit=0".to_owned(), "1 to 100"),
        (&program, "?limit=101".to_owned(), "1 to 100"),
        (&program, "?limit=two".to_owned(), "`limit` must be a whole number"),
        (&program, "?limit=1&limit=2".to_owned(), "The query has the field `limit` twice"),
        (&program, "?state=Done".to_owned(), "`state` must be one of `Held`, "),
        (&program, "?failed=yes".to_owned(), "`failed` must be `true` or `false`."),
        (&program, "?since=yesterday".to_owned(), "since"),
        (&program, "?since=9999-02-29T00:00:00Z".to_owned(), "since"),
        (&program, "?until=2026".to_owned(), "until"),
        (&program, "?before=1".to_owned(), "The query has the unknown field `before`"),
        (&program, "?q=%00".to_owned(), "control characters"),
    ] {
        let told = problem(who.get(&format!("/api/v1/imports{query}")).await).await;
        assert_eq!(told["status"], 400, "{query}: {told}");
        assert!(told["detail"].as_str().unwrap().contains(named), "{query}: {told}");
    }
    assert_eq!(names(&body(stranger.get("/api/v1/imports").await).await).len(), 0);
    app.stop().await;
}

#[tokio::test]
async fn imports_that_are_not_over_are_listed_by_their_state() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    let busy = app.busy().await;
    for name in ["one.csv", "two.csv", "other.csv"] {
        let import = owner.upload(name, "a,b\n1,2\n").await;
        owner.wait_for_state(&import, "Running").await;
    }
    let list = async |query: &str| body(program.get(&format!("/api/v1/imports{query}")).await).await;
    assert_eq!(names(&list("?state=Running").await), ["other.csv", "two.csv", "one.csv"]);
    assert_eq!(names(&list("?state=Running&q=o.csv").await), ["two.csv"]);
    assert_eq!(names(&list("?state=Sent").await), [""; 0]);
    assert_eq!(names(&list("?state=Running&failed=true").await), [""; 0]);
    let first = list("?state=Running&limit=2").await;
    let next = first["next"].as_str().unwrap();
    assert_eq!(names(&list(&format!("?state=Running&limit=2&cursor={next}")).await), ["one.csv"]);
    let told = &first["data"][0];
    assert_eq!(told["runs"][0]["progress"], json!({ "fraction": 0.0 }), "{told}");
    assert!(told["stateText"].as_str().unwrap().starts_with("Waiting for a free worker since "), "{told}");
    drop(busy);
    app.stop().await;
}

#[tokio::test]
async fn a_wait_ends_when_the_import_does() {
    let Running { app, program, busy, import, .. } = running().await;
    let path = format!("/api/v1{import}");
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let request = program.request(Method::GET, &format!("{path}?wait=60")).send();
            tokio::spawn(async move { body(request.await.unwrap()).await })
        })
        .collect();
    // Others are answered meanwhile.
    let began = Instant::now();
    let now = body(program.get(&format!("{path}?wait=0")).await).await;
    assert_eq!(now["state"], "Running");
    drop(busy);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap()["state"], "Completed");
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let over = body(program.get(&format!("{path}?wait=60")).await).await;
    assert_eq!((&over["state"], &over["failures"]), (&json!("Completed"), &json!([])));
    app.stop().await;
}

#[tokio::test]
async fn a_wait_with_a_tag_ends_with_a_change_or_tells_that_there_was_none() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    let busy = app.busy().await;
    let import = owner.upload("orders.csv", "a,b\n1,2\n").await;
    owner.wait_for(&import, "a queued run", |panel| panel.html.contains("Waiting for a free worker")).await;
    let path = format!("/api/v1{import}");
    let tag = program.get(&path).await.headers()[header::ETAG].clone();
    let wait = |seconds: u64, tag: &str| {
        let request = program.request(Method::GET, &format!("{path}?wait={seconds}"));
        request.header(header::IF_NONE_MATCH, tag.to_owned()).send()
    };
    let known = tag.to_str().unwrap();
    let unchanged = wait(1, known).await.unwrap();
    assert_eq!((unchanged.status(), &unchanged.headers()[header::ETAG]), (StatusCode::NOT_MODIFIED, &tag));
    assert_eq!(unchanged.text().await.unwrap(), "");
    let without_wait = wait(0, known).await.unwrap();
    assert_eq!(without_wait.status(), StatusCode::NOT_MODIFIED);
    let other = body(wait(60, "\"another\"").await.unwrap()).await;
    assert_eq!(other["state"], "Running", "a program that knows another state is told at once");

    let waiting = tokio::spawn(wait(60, known));
    assert_eq!(owner.post_form(&format!("{import}/cancel"), &[]).await.status(), StatusCode::SEE_OTHER);
    let changed = waiting.await.unwrap().unwrap();
    assert_ne!(changed.headers()[header::ETAG], tag);
    drop(busy);
    let over = body(program.get(&format!("{path}?wait=60")).await).await;
    assert_eq!(over["state"], "Cancelled");
    assert!(over["stateText"].as_str().unwrap().starts_with("Stopped by you at "), "{over}");
    let told = problem(program.get(&format!("{path}?wait=soon")).await).await;
    assert_eq!(told["status"], 400);
    app.stop().await;
}

/// Otherwise its connection would be held for a minute.
#[tokio::test]
async fn a_wait_ends_when_the_program_hangs_up() {
    let Running { app, program, busy, import, .. } = running().await;
    let request = format!(
        "GET /api/v1{import}?wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        program.secret()
    );
    // With the request, and during the wait.
    for waits in [false, true] {
        let mut connection = TcpStream::connect(app.origin.strip_prefix("http://").unwrap()).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        if waits {
            let early = timeout(Duration::from_millis(200), connection.read(&mut [0])).await;
            assert!(early.is_err(), "nothing has changed: {early:?}");
        }
        // Only its own side, so that it sees the end of the wait.
        connection.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(30), connection.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(read.is_ok(), "it waits on, {waits}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"Running\""), "{answer}");
    }
    drop(busy);
    app.stop().await;
}

#[tokio::test]
async fn a_wait_ends_when_the_server_stops() {
    let Running { app, program, busy, import, .. } = running().await;
    let path = format!("/api/v1{import}?wait=60");
    let waiting = tokio::spawn(program.request(Method::GET, &path).send());
    // Whether it has begun cannot be seen. If not, it is refused.
    assert_eq!(program.get("/api/v1/me").await.status(), StatusCode::OK);
    let began = Instant::now();
    app.stop().await;
    if let Ok(answer) = waiting.await.unwrap() {
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    drop(busy);
}

#[tokio::test]
async fn an_import_is_in_the_list_of_the_time_at_which_it_was_received() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    for _ in 0..10 {
        owner.upload("orders.csv", "a,b\n1,2\n").await;
    }
    let all = body(program.get("/api/v1/imports").await).await;
    for import in all["data"].as_array().unwrap() {
        let at = import["receivedAt"].as_str().unwrap();
        let list = body(program.get(&format!("/api/v1/imports?since={at}&until={at}")).await).await;
        let listed = list["data"].as_array().unwrap();
        assert!(listed.iter().any(|listed| listed["id"] == import["id"]), "{at}: {list}");
    }
    app.stop().await;
}
