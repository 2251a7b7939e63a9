//! The client's errors: what each failure means, what is retried, and what no error may contain.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use runboard::{
    base::ids::UserId,
    inngest::{Backoff, Client, Error, Limits},
};
use secrecy::SecretString;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, method},
};

use crate::client::{
    EVENT_KEY, HASHED_KEY, SIGNING_KEY, always, client, client_with, event, event_id, requests, run_id, seed,
    server, text,
};

/// A body that is an error in the v1 API.
fn complaint(status: u16, words: &str) -> String {
    format!(r#"{{"error":"{words}","data":null,"status":{status}}}"#)
}

/// An address at which nothing listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn meaning(error: &Error) -> String {
    match error {
        Error::Setup(_) => "setup".into(),
        Error::Unreachable(_) | Error::TimedOut(_) => "unreachable".into(),
        Error::Unauthorized { message, .. } => format!("unauthorized: {message}"),
        Error::NotFound { message } => format!("not found: {message}"),
        Error::Refused { status, message } => format!("refused {status}: {message}"),
        Error::RateLimited { retry_after } => format!("rate limited: {retry_after:?}"),
        Error::Server { status, message } => format!("server {status}: {message}"),
        Error::Unreadable(_) => "unreadable".into(),
    }
}

#[tokio::test]
async fn every_refusal_of_an_event_has_its_meaning_and_only_the_passing_ones_are_tried_again() {
    let refusals = [
        (
            400,
            r#"{"ids":[""],"status":400,"error":"event name is empty"}"#,
            "refused 400: event name is empty",
            1,
        ),
        (
            401,
            r#"{"status":401,"message":"","error":"Event key not found"}"#,
            "unauthorized: Event key not found",
            1,
        ),
        (403, "Forbidden\n", "unauthorized: Forbidden", 1),
        (404, "404 page not found\n", "not found: 404 page not found", 1),
        (405, "", "refused 405: ", 1),
        (408, "", "server 408: ", 3),
        (429, "", "rate limited: None", 3),
        (500, "", "server 500: ", 3),
        (502, "<h1>Bad\r\nGateway</h1>", "server 502: <h1>Bad  Gateway</h1>", 3),
        (503, r#"{"error":"restarting"}"#, "server 503: restarting", 3),
        (200, r#"{"ids":[""],"status":400,"error":"no"}"#, "refused 400: no", 1),
        (200, r#"{"error":"odd"}"#, "refused 200: odd", 1),
        (200, r#"{"ids":[""],"status":200}"#, "unreadable", 1),
        (200, r#"{"ids":[],"status":200}"#, "unreadable", 1),
        (200, "<!doctype html><title>Inngest</title>", "unreadable", 1),
        (200, "", "unreadable", 1),
    ];
    for (status, body, expected, tries) in refusals {
        let engine = always(text(status, body)).await;
        let error = client(&engine.uri()).send(&event(), &seed()).await.unwrap_err();
        assert_eq!(meaning(&error), expected, "{status} {body}");
        assert_eq!(requests(&engine).await.len(), tries, "{status} {body}");
        assert_eq!(error.is_transient(), tries > 1, "{status} {body}");
    }
}

#[tokio::test]
async fn an_error_inside_http_200_is_an_error() {
    let cases = [
        (complaint(400, "Invalid event ID: xyz"), "refused 400: Invalid event ID: xyz"),
        (complaint(404, "Event not found"), "not found: Event not found"),
        (complaint(500, "Unable to load function run: x"), "server 500: Unable to load function run: x"),
        (r#"{"data":[],"status":500}"#.to_owned(), "server 500: "),
    ];
    for (body, expected) in cases {
        let engine = always(text(200, &body)).await;
        let client = client(&engine.uri());
        assert_eq!(meaning(&client.event_runs(&event_id()).await.unwrap_err()), expected);
        assert_eq!(meaning(&client.run(&run_id()).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn a_cancel_of_an_unknown_run_says_so() {
    let engine = always(text(404, &complaint(404, "Unable to load function run: x"))).await;
    let error = client(&engine.uri()).cancel(&run_id()).await.unwrap_err();
    assert_eq!(meaning(&error), "not found: Unable to load function run: x");
}

#[tokio::test]
async fn a_wrong_signing_key_is_no_refusal_of_the_request() {
    let engine = always(text(401, "Authentication failed\n")).await;
    let error = client(&engine.uri()).event_runs(&event_id()).await.unwrap_err();
    assert_eq!(meaning(&error), "unauthorized: Authentication failed");
}

#[tokio::test]
async fn a_failure_that_passes_is_not_seen_and_the_event_keeps_its_seed() {
    let engine = MockServer::start().await;
    Mock::given(any()).respond_with(text(500, "")).up_to_n_times(2).mount(&engine).await;
    let taken = text(200, r#"{"ids":["01M852DSBRF8MBCR55T5AK4KXS"],"status":200}"#);
    Mock::given(method("POST")).respond_with(taken).mount(&engine).await;
    client(&engine.uri()).send(&event(), &seed()).await.unwrap();
    let asked = requests(&engine).await;
    assert_eq!(asked.len(), 3);
    for request in asked {
        assert_eq!(request.headers["x-inngest-event-id-seed"], seed().to_string().as_str());
    }
}

#[tokio::test]
async fn the_next_try_comes_no_sooner_than_the_engine_asked_for() {
    let engine = MockServer::start().await;
    let wait = text(429, "").insert_header("retry-after", "1");
    Mock::given(any()).respond_with(wait).up_to_n_times(1).mount(&engine).await;
    Mock::given(any()).respond_with(text(200, r#"{"data":[]}"#)).mount(&engine).await;
    let start = Instant::now();
    client(&engine.uri()).call_steps(&run_id()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_long_wait_is_left_to_the_caller() {
    for status in [429, 503] {
        let engine = always(text(status, "").insert_header("retry-after", "3600")).await;
        let error = client(&engine.uri()).call_steps(&run_id()).await.unwrap_err();
        assert_eq!(meaning(&error), "rate limited: Some(3600s)");
        assert_eq!(requests(&engine).await.len(), 1);
    }
}

#[tokio::test]
async fn a_date_to_come_back_at_is_understood() {
    let engine = always(text(429, "").insert_header("retry-after", "Thu, 31 Dec 2099 23:59:59 GMT")).await;
    let error = client(&engine.uri()).event_runs(&event_id()).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { retry_after: Some(wait) } if wait.as_secs() > 86_400));
}

#[tokio::test]
async fn nobody_listening_is_unreachable_and_the_reason_is_said() {
    let error = client(&nowhere()).event_runs(&event_id()).await.unwrap_err();
    assert_eq!(meaning(&error), "unreachable");
    assert!(error.is_transient());
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_left_to_the_caller() {
    let engine = MockServer::start().await;
    let slow = text(200, r#"{"data":[]}"#).set_delay(Duration::from_secs(60));
    Mock::given(any()).respond_with(slow).mount(&engine).await;
    let limits = Limits {
        request_timeout: Duration::from_secs(2),
        backoff: Backoff { tries: 2, first_pause: Duration::ZERO, longest_pause: Duration::ZERO },
        ..Limits::default()
    };
    let error = client_with(&engine.uri(), limits).call_steps(&run_id()).await.unwrap_err();
    assert_eq!(meaning(&error), "unreachable");
    assert_eq!(requests(&engine).await.len(), 1);
}

#[tokio::test]
async fn all_tries_of_a_request_share_one_deadline() {
    let slow = ResponseTemplate::new(503).set_delay(Duration::from_millis(300));
    let engine = always(slow).await;
    let backoff = Backoff { tries: 100, first_pause: Duration::ZERO, longest_pause: Duration::ZERO };
    let limits = Limits { request_timeout: Duration::from_secs(1), backoff, ..crate::client::limits() };
    let error = client_with(&engine.uri(), limits).send(&event(), &seed()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(_) | Error::Server { .. }), "{error}");
    let tries = requests(&engine).await.len();
    assert!((1..=4).contains(&tries), "{tries}");
}

#[tokio::test]
async fn a_question_that_is_one_of_many_is_asked_once_and_waits_less_long() {
    let engine = MockServer::start().await;
    let slow = text(200, r#"{"data":[]}"#).set_delay(Duration::from_secs(60));
    Mock::given(any()).respond_with(slow).mount(&engine).await;
    let limits = Limits { poll_timeout: Duration::from_secs(2), ..Limits::default() };
    let error = client_with(&engine.uri(), limits).event_runs(&event_id()).await.unwrap_err();
    assert_eq!(meaning(&error), "unreachable");
    assert_eq!(requests(&engine).await.len(), 1);
}

#[tokio::test]
async fn after_a_429_nobody_asks_until_the_server_said() {
    let engine = MockServer::start().await;
    let wait = text(429, "").insert_header("retry-after", "1");
    Mock::given(any()).respond_with(wait).up_to_n_times(1).mount(&engine).await;
    Mock::given(any()).respond_with(text(200, r#"{"data":[]}"#)).mount(&engine).await;
    let client = client(&engine.uri());
    let error = client.event_runs(&event_id()).await.unwrap_err();
    assert_eq!(meaning(&error), "rate limited: Some(1s)");
    assert!(client.try_turn(UserId::generate()).is_none());
    let start = Instant::now();
    client.event_runs(&event_id()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = always(text(200, r#"{"data":[]}"#)).await;
    let engine = always(ResponseTemplate::new(303).insert_header("location", elsewhere.uri())).await;
    let error = client(&engine.uri()).event_runs(&event_id()).await.unwrap_err();
    assert_eq!(meaning(&error), "refused 303: ");
    assert_eq!(requests(&elsewhere).await.len(), 0);
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            assert_ne!(connection.read(&mut [0; 4096]).unwrap(), 0);
            let mut write = |bytes: &[u8]| connection.write_all(bytes);
            write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"data\":[").unwrap();
            while write(&[b' '; 4096]).is_ok() {}
        }
    });
    let error = client(&origin).event_runs(&event_id()).await.unwrap_err();
    assert_eq!(meaning(&error), "unreadable");
    assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
}

#[tokio::test]
async fn a_refusal_whose_text_is_too_long_is_still_a_refusal() {
    let engine = always(text(400, &"x".repeat(100_000))).await;
    let error = client(&engine.uri()).send(&event(), &seed()).await.unwrap_err();
    assert_eq!(meaning(&error), "refused 400: ");
    let engine = always(text(400, &"x".repeat(10_000))).await;
    let error = client(&engine.uri()).send(&event(), &seed()).await.unwrap_err();
    assert_eq!(meaning(&error), format!("refused 400: {}", "x".repeat(300)));
}

#[tokio::test]
async fn no_error_and_no_debug_text_ever_holds_a_key() {
    let echo = format!("Cannot POST /e/{EVENT_KEY} (Bearer {HASHED_KEY}, {SIGNING_KEY})");
    let mut errors = Vec::new();
    for status in [400, 401, 404, 500] {
        for body in [echo.clone(), complaint(status, &echo)] {
            let engine = always(text(status, &body)).await;
            errors.push(client(&engine.uri()).send(&event(), &seed()).await.unwrap_err());
        }
    }
    assert_eq!(meaning(&errors[0]), "refused 400: Cannot POST /e/[key] (Bearer [key], [key])");
    let engine = always(text(200, &format!(r#"{{"ids":"{echo}"}}"#))).await;
    errors.push(client(&engine.uri()).send(&event(), &seed()).await.unwrap_err());
    errors.push(client(&nowhere()).send(&event(), &seed()).await.unwrap_err());
    errors.push(client(&nowhere()).event_runs(&event_id()).await.unwrap_err());
    let mut texts: Vec<_> = errors.iter().map(|error| format!("{error} {error:?}")).collect();
    texts.push(format!("{:?}", client(&nowhere())));
    for text in texts {
        for key in [EVENT_KEY, HASHED_KEY, SIGNING_KEY] {
            assert!(!text.contains(key), "{text}");
        }
    }
}

#[tokio::test]
async fn a_key_is_taken_out_of_a_path_as_it_was_written_there() {
    let engine = always(text(404, "no route for /e/key%20with%2Fodd%20signs")).await;
    let mut server = server(&engine.uri());
    server.event_key = "key with/odd signs".into();
    let error = Client::new(server).unwrap().send(&event(), &seed()).await.unwrap_err();
    assert_eq!(meaning(&error), "not found: no route for /e/[key]");
}

#[test]
fn a_server_that_cannot_be_asked_is_refused_at_once() {
    let mut odd = server("http://127.0.0.1:8288");
    odd.signing_keys = SecretString::from("line\nbreak").into();
    let error = Client::new(odd).unwrap_err();
    assert!(matches!(error, Error::Setup(_)) && !error.to_string().contains("break"), "{error}");
    let error = Client::new(server("mailto:someone@example.com")).unwrap_err();
    assert_eq!(meaning(&error), "setup");
}

#[test]
fn a_local_engine_is_reached_past_a_proxy_and_on_a_machine_without_certificates() {
    // The environment belongs to the whole process, so this uses another process.
    let test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client::one_run_is_asked_for_with_the_bearer"])
        .envs([("HTTP_PROXY", nowhere()), ("http_proxy", nowhere())])
        .envs([("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&test.stdout);
    assert!(test.status.success() && said.contains("1 passed"), "{said}");
}
