//! Making imports.

use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{
    TestApp, files_under,
    host::{Host, Reply},
    program::{Program, problem},
    spawn_app_on,
    visitor::{FORM_END, FORM_TYPE, Visitor, form_start},
};

pub(super) const KEY: &str = "idempotency-key";

pub(super) async fn answered(answer: Response, status: StatusCode) -> Value {
    let got = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The import of a 201, whose location it checks.
pub(super) async fn made(answer: Response) -> Value {
    let location = answer.headers().get(header::LOCATION).cloned();
    let made = answered(answer, StatusCode::CREATED).await;
    assert_eq!(
        location.unwrap().to_str().unwrap(),
        format!("/api/v1/imports/{}", made["id"].as_str().unwrap())
    );
    made
}

pub(super) fn path_of(import: &Value) -> String {
    import["links"]["self"].as_str().unwrap().to_owned()
}

pub(super) fn csv(program: &Program, query: &str, body: &'static str) -> RequestBuilder {
    let request = program.request(Method::POST, &format!("/api/v1/imports{query}"));
    request.header(header::CONTENT_TYPE, "text/csv").body(body)
}

fn form(program: &Program, fields: &[(&str, &str)]) -> RequestBuilder {
    form_of(program, "orders.csv", b"a;b\n1;2\n", fields)
}

pub(super) fn form_of(
    program: &Program,
    name: &str,
    bytes: &[u8],
    fields: &[(&str, &str)],
) -> RequestBuilder {
    let parts = fields.iter().map(|(name, value)| {
        format!(
            "\r\n------a-boundary-that-no-test-file-has\r\n\
             Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}"
        )
    });
    let behind: String = parts.chain([FORM_END.to_owned()]).collect();
    let body = [form_start(name).as_bytes(), bytes, behind.as_bytes()].concat();
    program.request(Method::POST, "/api/v1/imports").header(header::CONTENT_TYPE, FORM_TYPE).body(body)
}

/// The import once it is over.
pub(super) async fn over(program: &Program, import: &Value) -> Value {
    answered(program.get(&format!("{}?wait=60", path_of(import))).await, StatusCode::OK).await
}

async fn count(program: &Program) -> usize {
    let list: Value = program.get("/api/v1/imports?limit=100").await.json().await.unwrap();
    list["data"].as_array().unwrap().len()
}

async fn app_with_host(host: &Host) -> (TestApp, Visitor, Program) {
    let allowed = host.allowed();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.allow_addresses = allowed.parse().unwrap();
    })
    .await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import"]).await;
    (app, owner, program)
}

#[tokio::test]
async fn a_file_is_imported_as_a_form_as_a_body_or_from_an_address() {
    let host = Host::start(|_, _| Reply::file("a,b\n1,2\n3,4\n")).await;
    let (app, _, program) = app_with_host(&host).await;

    let by_form = made(form(&program, &[]).send().await.unwrap()).await;
    assert_eq!((&by_form["fileName"], &by_form["sizeBytes"]), (&json!("orders.csv"), &json!(8)));
    let ended = over(&program, &by_form).await;
    assert_eq!(
        (&ended["state"], &ended["reading"]["delimiter"]["value"]),
        (&json!("Completed"), &json!("semicolon"))
    );
    let by_body =
        made(csv(&program, "?name=..%2FDaily%20orders.csv&header=none", "1,2\n3,4\n").send().await.unwrap())
            .await;
    assert_eq!(by_body["fileName"], "Daily orders.csv");
    let ended = over(&program, &by_body).await;
    assert_eq!(ended["runs"][0]["processedItems"], 2);
    assert_eq!(ended["reading"]["header"], json!({ "value": "none", "how": "chosen" }));
    assert_eq!(made(csv(&program, "", "a,b\n1,2\n").send().await.unwrap()).await["fileName"], "unnamed.csv");

    let url = host.url("/rates.csv?key=secret");
    let new = json!({ "url": url, "name": "Rates", "reading": { "delimiter": "comma", "header": "1", "headerRows": "1" } });
    let by_address = made(program.post("/api/v1/imports", &new).await).await;
    assert!(by_address.get("sizeBytes").is_none() && by_address["fileName"] == "Rates", "{by_address}");
    assert_eq!(by_address["sourceUrl"], host.url("/rates.csv"));
    let ended = over(&program, &by_address).await;
    assert_eq!(
        (&ended["state"], &ended["sizeBytes"], &ended["fileName"]),
        (&json!("Completed"), &json!(12), &json!("Rates"))
    );
    assert_eq!(ended["reading"]["headerRows"]["how"], "chosen");
    assert_eq!(count(&program).await, 4);
    app.stop().await;
}

#[tokio::test]
pub(super) async fn what_is_no_import_is_refused_and_nothing_of_it_is_left() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.max_upload_bytes = 1_000).await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import"]).await;
    let post = || program.request(Method::POST, "/api/v1/imports");
    let json = |body: &str| post().header(header::CONTENT_TYPE, "application/json").body(body.to_owned());
    let look_at_address = [("look", "1"), ("url", "https://example.org/a.csv")].map(|(name, value)| {
        format!(
            "\r\n------a-boundary-that-no-test-file-has\r\n\
             Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}"
        )
    });
    let look_at_address = format!("{}{FORM_END}", look_at_address.concat().trim_start());
    let large: &'static str = Box::leak("x".repeat(2_000).into_boxed_str());
    for (request, status, kind, named) in [
        (csv(&program, "", ""), 422, "empty-file", "0 bytes"),
        (
            post().header(header::CONTENT_TYPE, "text/csv").body(&b"\x89PNG\r\n\x1a\n"[..]),
            422,
            "not-a-csv",
            "PNG",
        ),
        (csv(&program, "", large), 413, "too-large", "1,000 bytes"),
        (csv(&program, "?nmae=x.csv", "a,b\n"), 400, "malformed", "`nmae`"),
        (csv(&program, "?quote=%22", "a,b\n"), 422, "not-accepted", "quote is"),
        (form(&program, &[("look", "1"), ("colour", "red")]), 422, "not-accepted", "colour"),
        (form(&program, &[("url", "https://example.org/a.csv")]), 422, "not-accepted", "not both"),
        (form(&program, &[("header", "0")]), 422, "not-accepted", "header line"),
        (form(&program, &[("file", "more")]), 422, "not-accepted", "one file"),
        (post().header(header::CONTENT_TYPE, FORM_TYPE).body(FORM_END), 422, "not-accepted", "Choose a CSV"),
        (post().header(header::CONTENT_TYPE, FORM_TYPE).body(look_at_address), 422, "not-accepted", "`look`"),
        (post().header(header::CONTENT_TYPE, FORM_TYPE).body("--x"), 400, "malformed", "incomplete"),
        (
            post().header(header::CONTENT_TYPE, "multipart/form-data").body("--x"),
            400,
            "malformed",
            "incomplete",
        ),
        (
            post().header(header::CONTENT_TYPE, "application/pdf").body("x"),
            415,
            "wrong-content-type",
            "text/csv",
        ),
        (post().body("a,b\n1,2\n"), 415, "wrong-content-type", "text/csv"),
        (json("{"), 400, "malformed", "not JSON"),
        (json(r#"["https://example.org/a.csv"]"#), 422, "not-accepted", "an object"),
        (json(r#"{"name":"x"}"#), 422, "not-accepted", "`url`"),
        (json(r#"{"url":"ftp://example.org/a.csv"}"#), 422, "not-accepted", "http"),
        (json(r#"{"url":"https://example.org/a.csv","look":1}"#), 422, "not-accepted", "`look`"),
        (
            json(r#"{"url":"https://example.org/a.csv","reading":{"header_rows":1}}"#),
            422,
            "not-accepted",
            "`header_rows`",
        ),
        (
            json(r#"{"url":"https://example.org/a.csv","reading":{"headerRows":4}}"#),
            422,
            "not-accepted",
            "1, 2 or 3",
        ),
        (
            json(r#"{"url":"https://example.org/a.csv","reading":{"encoding":"utf-99"}}"#),
            422,
            "not-accepted",
            "encoding",
        ),
        (
            json(&format!(r#"{{"url":"https://example.org/{}"}}"#, "x".repeat(9_000))),
            422,
            "not-accepted",
            "too long",
        ),
        (
            program
                .request(Method::POST, "/api/v1/imports?name=x")
                .json(&json!({ "url": "https://example.org" })),
            400,
            "malformed",
            "`name`",
        ),
        (
            json(r#"{"url":"https://example.org/a.csv"}"#).header(KEY, "a key"),
            400,
            "malformed",
            "Idempotency-Key",
        ),
        (csv(&program, "", "a,b\n").header(KEY, ""), 400, "malformed", "Idempotency-Key"),
    ] {
        let request = request.build().unwrap();
        let what = format!(
            "{:?} {:?}",
            request.url().query(),
            request.body().and_then(|body| body.as_bytes()).map(String::from_utf8_lossy)
        );
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().execute(request).await.unwrap();
        let told = problem(answer).await;
        assert_eq!(
            (&told["status"], &told["type"]),
            (&json!(status), &json!(format!("/api#{kind}"))),
            "{what}: {told}"
        );
        assert!(told["detail"].as_str().unwrap().contains(named), "{what}: {told}");
    }
    assert_eq!(count(&program).await, 0);
    assert_eq!(files_under(&app.data.path().join("files/uploads")), 0);
    app.stop().await;
}

#[tokio::test]
pub(super) async fn a_request_that_is_sent_again_with_its_key_makes_one_import() {
    let host = Host::start(|_, _| Reply::file("a,b\n1,2\n")).await;
    let (app, owner, program) = app_with_host(&host).await;
    let address = json!({ "url": host.url("/rates.csv") });
    let by_address =
        |url: &Value| program.request(Method::POST, "/api/v1/imports").json(url).header(KEY, "by-address");
    let first =
        made(csv(&program, "?name=one.csv", "a,b\n1,2\n").header(KEY, "\"by-body\"").send().await.unwrap())
            .await;
    let again =
        made(csv(&program, "?name=one.csv", "a,b\n1,2\n").header(KEY, "by-body").send().await.unwrap()).await;
    assert_eq!(first["id"], again["id"]);
    let by_form = made(form(&program, &[]).header(KEY, "by-form").send().await.unwrap()).await;
    assert_eq!(
        made(form(&program, &[]).header(KEY, "by-form").send().await.unwrap()).await["id"],
        by_form["id"]
    );
    let fetched = made(by_address(&address).send().await.unwrap()).await;
    assert_eq!(made(by_address(&address).send().await.unwrap()).await["id"], fetched["id"]);
    for other in [
        csv(&program, "?name=one.csv", "a,b\n1,3\n").header(KEY, "by-body"),
        csv(&program, "?name=two.csv", "a,b\n1,2\n").header(KEY, "by-body"),
        form(&program, &[("delimiter", "comma")]).header(KEY, "by-form"),
        by_address(&json!({ "url": host.url("/other.csv") })),
        form(&program, &[]).header(KEY, "by-body"),
    ] {
        let told = problem(other.send().await.unwrap()).await;
        assert_eq!((&told["status"], &told["type"]), (&json!(409), &json!("/api#key-used")), "{told}");
    }
    // At once, as after a connection that was lost.
    let at_once = (0..8).map(|_| tokio::spawn(csv(&program, "", "a,b\n5,6\n").header(KEY, "at-once").send()));
    let mut ids = Vec::new();
    for request in at_once.collect::<Vec<_>>() {
        ids.push(made(request.await.unwrap().unwrap()).await["id"].clone());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(count(&program).await, 4);

    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let stranger = Program::of(&eve, &["read", "import"]).await;
    let own =
        made(csv(&stranger, "?name=one.csv", "a,b\n1,2\n").header(KEY, "by-body").send().await.unwrap())
            .await;
    assert_ne!(own["id"], first["id"], "keys are those of an account");
    over(&program, &first).await;
    let gone = program.request(Method::DELETE, &path_of(&first)).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let told =
        problem(csv(&program, "?name=one.csv", "a,b\n1,2\n").header(KEY, "by-body").send().await.unwrap())
            .await;
    assert_eq!(told["status"], 404, "it was imported once, and deleted: {told}");
    drop(owner);
    app.stop().await;
}
