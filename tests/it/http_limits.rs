//! How long a request may take to arrive, how many connections one address may have, and the answers to
//! malformed requests.

use std::{process::Stdio, time::Duration};

use reqwest::{StatusCode, header};
use runboard::base::config::{EngineConfig, Exposed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    bad_input::head,
    inngest_api,
    support::{
        TestApp,
        binary::{Binary, runboard},
        files_under, free_address, spawn_app_on, until,
        visitor::{Visitor, form_start},
    },
};

/// How long an answer may take. The limits under test are much shorter.
const DEADLINE: Duration = Duration::from_secs(180);

/// A server with short time limits.
async fn spawn() -> TestApp {
    spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.http.head = Duration::from_millis(500);
        config.http.body_pause = Duration::from_millis(500);
        config.http.body_window = Duration::from_secs(2);
    })
    .await
}

async fn connect(origin: &str) -> TcpStream {
    TcpStream::connect(origin.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Everything that is received until the server closes the connection.
async fn to_the_end(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, connection.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(read.is_ok(), "the connection is not closed; so far: {answer}");
    answer
}

async fn ask(origin: &str, bytes: &str) -> String {
    let mut connection = connect(origin).await;
    connection.write_all(bytes.as_bytes()).await.unwrap();
    to_the_end(&mut connection).await
}

const SIGN_IN: &str =
    "POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_408_and_the_connection_closes() {
    let app = spawn().await;
    for body in ["Content-Length: 100\r\n\r\ne", "Transfer-Encoding: chunked\r\n\r\n1\r\ne\r\n"] {
        let answer = ask(&app.origin, &format!("{SIGN_IN}{body}")).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("The request did not arrive in time."), "{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
        assert!(answer.contains("content-security-policy: "), "{answer}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_never_reads_loses_its_connection() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.http.write_pause = Duration::from_millis(500);
        config.connections_per_address = Some(1);
    })
    .await;
    let page = ask(&app.origin, "GET /sign-up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let styles = page.split('"').find(|part| part.ends_with(".css")).expect("the page names its styles");
    // More than the kernel buffers on both sides.
    let requests = format!("GET {styles} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(600);
    let start = Instant::now();
    let deaf = loop {
        let mut deaf = connect(&app.origin).await;
        let mut begin = [0; 12];
        let written = deaf.write_all(requests.as_bytes()).await;
        // Refused while the previous connection is still being closed.
        if written.is_ok() && deaf.peek(&mut begin).await.is_ok() && begin == *b"HTTP/1.1 200" {
            break deaf;
        }
        assert!(start.elapsed() < DEADLINE, "no connection is let in: {begin:?}");
    };
    let is_let_in = async || {
        let mut other = connect(&app.origin).await;
        let asked = other.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let mut answer = Vec::new();
        asked.is_ok() && other.read_to_end(&mut answer).await.is_ok() && answer.starts_with(b"HTTP/1.1 200 ")
    };
    while !is_let_in().await {
        assert!(start.elapsed() < DEADLINE, "the connection of a client that never reads is kept");
        sleep(Duration::from_millis(20)).await;
    }
    drop(deaf);
    app.stop().await;
}

/// Each pending request waits in memory and takes some KB.
#[tokio::test]
async fn requests_behind_the_one_at_work_are_not_read() {
    let data = tempfile::tempdir().unwrap();
    let server = Binary::start(&mut runboard(data.path()));
    let page = ask(&server.origin, "GET /sign-up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    let before = server.most_resident();
    let requests = "GET /sign-up HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3_000);
    let mut deaf = Vec::new();
    for _ in 0..50 {
        let mut connection = connect(&server.origin).await;
        // If the server does not read all of them, the rest cannot be sent.
        let written = timeout(Duration::from_millis(200), connection.write_all(requests.as_bytes())).await;
        assert!(!matches!(written, Ok(Err(_))), "{written:?}");
        connection.peek(&mut [0; 1]).await.unwrap();
        deaf.push(connection);
    }
    let more = server.most_resident().saturating_sub(before);
    assert!(more < 64 << 20, "50 connections take {} MiB", more >> 20);
    // All are answered once the client reads.
    let mut connection = deaf.pop().unwrap();
    connection.shutdown().await.unwrap();
    let answers = to_the_end(&mut connection).await.matches("HTTP/1.1 200 ").count();
    assert!(answers > 100, "{answers}");
}

#[tokio::test]
async fn a_body_that_trickles_is_answered_408() {
    let app = spawn().await;
    let mut connection = connect(&app.origin).await;
    connection.write_all(format!("{SIGN_IN}Content-Length: 10000\r\n\r\n").as_bytes()).await.unwrap();
    let (mut read, mut write) = connection.split();
    let trickle = async {
        while write.write_all(b"e").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = [0; 12];
    tokio::select! {
        read = timeout(DEADLINE, read.read_exact(&mut answer)) => { read.unwrap().unwrap(); }
        () = trickle => panic!("closed without an answer"),
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_holds_no_connection_either() {
    let app = spawn().await;
    for body in ["Content-Length: 100\r\n\r\ne", "Transfer-Encoding: chunked\r\n\r\n1\r\ne\r\n"] {
        let answer = ask(&app.origin, &format!("POST /sign-out HTTP/1.1\r\nHost: x\r\n{body}")).await;
        assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_stalled_upload_ends_with_a_sentence_and_leaves_nothing() {
    let app = spawn().await;
    let visitor = app.signed_in().await;
    let begun = head(&visitor, 1_000_000) + form_start("cut.csv").as_str() + "a,b\n1,2\n";
    let answer = ask(&app.origin, &begun).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("The upload stalled"), "{answer}");
    assert!(answer.contains("id=\"upload-error\""), "{answer}");
    until("what had come of it to go", || files_under(&app.data.path().join("files/incoming")) == 0).await;
    app.stop().await;
}

#[tokio::test]
async fn a_slow_upload_that_keeps_coming_is_taken() {
    let app = spawn().await;
    let visitor = app.signed_in().await;
    let pieces = futures_util::stream::unfold(0, |sent| async move {
        // Longer than a pause and a window together.
        (sent < 30).then_some(())?;
        sleep(Duration::from_millis(100)).await;
        Some((bytes::Bytes::from("1,2\n".repeat(100)), sent + 1))
    });
    let answer = visitor.post_stream("slow.csv", pieces).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    app.stop().await;
}

/// A connection on which one request was answered; the error is the answer's beginning if this thread was too slow for
/// the deadline of the head.
async fn answered(origin: &str) -> Result<TcpStream, String> {
    let mut connection = connect(origin).await;
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    connection.read_exact(&mut first).await.unwrap();
    if &first == b"HTTP/1.1 200 OK" {
        Ok(connection)
    } else {
        Err(String::from_utf8_lossy(&first).into_owned())
    }
}

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection_also_behind_another_request() {
    let app = spawn().await;
    let answer = ask(&app.origin, "GET /healthz HTTP/1.1\r\nHos").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{answer}");

    let mut connection = inngest_api::until("an answer to a head in time", || answered(&app.origin)).await;
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHos").await.unwrap();
    to_the_end(&mut connection).await;
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_the_headers_of_every_answer() {
    let here = free_address();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.listen = here;
        config.public_url = Some("https://runboard.example.org".parse().unwrap());
    })
    .await;
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(132_000));
    for (bytes, status) in
        [("nonsense\r\n\r\n", "400"), ("GET / HTTP/9.9\r\n\r\n", "400"), (large.as_str(), "431")]
    {
        let mut connection = TcpStream::connect(here).await.unwrap();
        // The last bytes of the large one may find the connection closed.
        let _ = connection.write_all(bytes.as_bytes()).await;
        let mut answer = vec![0; 4096];
        let read = timeout(DEADLINE, connection.read(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        for name in [
            "content-security-policy",
            "x-content-type-options",
            "referrer-policy",
            "permissions-policy",
            "cross-origin-opener-policy",
            "cross-origin-resource-policy",
            "strict-transport-security",
            "cache-control",
        ] {
            assert_eq!(answer.matches(&format!("\r\n{name}: ")).count(), 1, "{name}: {answer}");
        }
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_gets_them_back() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.connections_per_address = Some(3);
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut connection = connect(&app.origin).await;
        // An answer shows that the connection was accepted.
        connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        connection.read_exact(&mut [0; 15]).await.unwrap();
        open.push(connection);
    }
    let mut refused = connect(&app.origin).await;
    let closed = timeout(DEADLINE, refused.read(&mut [0; 1])).await.unwrap();
    assert!(!matches!(closed, Ok(1..)), "{closed:?}");
    drop(open);
    // The server notices closed connections only after a while.
    let again = async {
        loop {
            let mut connection = connect(&app.origin).await;
            let _ = connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
            if connection.read_exact(&mut [0; 15]).await.is_ok() {
                return;
            }
        }
    };
    timeout(DEADLINE, again).await.expect("a place is given back");
    app.stop().await;
}

#[tokio::test]
async fn the_engines_own_listener_has_the_same_deadlines() {
    let free = free_address();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.http.body_pause = Duration::from_millis(500);
        config.engine = EngineConfig::Embedded(Some(Exposed {
            listen: free,
            event_key: "event-key".into(),
            signing_key: "0123456789abcdef".into(),
        }));
    })
    .await;
    let begun = "POST /e/event-key HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    let answer = ask(&format!("http://{free}"), begun).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    app.stop().await;
}

/// Uses the real program, whose log can be read.
#[tokio::test]
async fn the_log_tells_who_did_what_and_no_secret_and_malformed_requests_are_no_errors() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let server =
        Binary::start(runboard(data.path()).stderr(Stdio::from(std::fs::File::create(&log).unwrap())));
    for nonsense in ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n"] {
        assert!(ask(&server.origin, nonsense).await.starts_with("HTTP/1.1 400 "));
    }
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let wrong = visitor
        .post_form("/sign-in", &[("email", "mira@example.org"), ("password", "not-her-password")])
        .await;
    let id = wrong.headers()["x-request-id"].to_str().unwrap().to_owned();
    let import = visitor.upload("rows.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    visitor.download(&format!("{import}/processed.csv")).await;
    for what in ["cancel", "delete"] {
        visitor.post_form(&format!("{import}/{what}"), &[]).await;
    }
    visitor.post_form("/sign-out", &[]).await;
    // Without a session it redirects to sign-in, and nothing is done.
    visitor.post_form(&format!("{import}/delete"), &[]).await;

    let text = || std::fs::read_to_string(&log).unwrap();
    until("the last line", || text().matches("action=\"delete\"").count() == 2).await;
    let text = text();
    let audit: Vec<&str> = text.lines().filter(|line| line.contains(" audit: ")).collect();
    let actions = ["sign-up", "sign-in", "upload", "download", "cancel", "delete", "sign-out", "delete"];
    for (position, (line, action)) in audit.iter().zip(actions).enumerate() {
        assert!(line.contains(&format!("action=\"{action}\"")), "{line}");
        assert!(line.contains("address=\"127.0.0.1\"") && line.contains("request=\""), "{line}");
        let user = line.split("user=\"").nth(1).unwrap().split('"').next().unwrap();
        let is_refused = [1, 7].contains(&position);
        assert_eq!(user.is_empty(), is_refused, "{line}");
        assert_eq!(line.contains("outcome=\"refused\""), is_refused, "{line}");
    }
    assert_eq!(audit.len(), actions.len(), "{audit:#?}");
    assert!(audit[1].contains(&id), "{}", audit[1]);
    assert!(audit[2].contains(import.rsplit('/').next().unwrap()), "{}", audit[2]);
    for secret in ["mira@", "correct horse", "not-her-password", "runboard_session"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(!text.contains("ERROR"), "{text}");
}

/// Uses the real program, whose limits can be set.
#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let data = tempfile::tempdir().unwrap();
    let plain = runboard(data.path());
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -Sn 128; exec \"$0\""]).arg(plain.get_program());
    limited.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let server = Binary::start(&mut limited);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let open_files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = open_files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{open_files}");
    assert_ne!(numbers[0], "128", "{open_files}");
}

#[tokio::test]
async fn over_https_a_browser_is_told_to_stay_there_and_the_cookie_is_the_hosts_own() {
    let here = free_address();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.listen = here;
        config.public_url = Some("https://runboard.example.org".parse().unwrap());
    })
    .await;
    let visitor = Visitor::new(&format!("http://{here}"));
    let answer =
        visitor.post_form("/sign-up", &[("email", "a@example.org"), ("password", "correct horse")]).await;
    assert_eq!(answer.headers()[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-runboard_session="), "{cookie}");
    assert!(
        cookie.contains("; Secure") && cookie.contains("; Path=/") && !cookie.contains("Domain"),
        "{cookie}"
    );
    app.stop().await;
}
