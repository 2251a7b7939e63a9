//! Thousands of programs that wait for an import: what they take of the server's memory, and of its threads.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use reqwest::{Method, header};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    MIB, Server, above,
    polls::{Answer, Connection, allow_files},
    visitor::Visitor,
};

const WAITS: usize = 5_000;
/// The open files of the client and of the server, each.
const FILES: usize = WAITS + 1_000;
/// Long enough for all of them to begin before the first one ends.
const SECONDS: u64 = 30;

pub async fn waits() {
    allow_files(FILES);
    let data = tempfile::tempdir().unwrap();
    // No function accepts the import, so that it does not end.
    let settings = [
        ("RUNBOARD_PROCESSOR", "off"),
        ("RUNBOARD_CONNECTIONS_PER_ADDRESS", "0"),
        ("RUNBOARD_API_RATE", "1000000"),
    ];
    let server = Server::start_with(data.path(), &settings);
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let new = json!({ "name": "bench", "scopes": ["read"] });
    let made = visitor.request(Method::POST, "/api/v1/tokens").json(&new).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    let token = made["token"].as_str().unwrap();
    let import = visitor.upload("orders.csv", "a\n1\n").await;
    // The longest wait of the states; after it nothing changes.
    visitor.wait_for_state(&import, "NoFunction").await;
    let at: SocketAddr = server.origin.trim_start_matches("http://").parse().unwrap();
    let tag = visitor.get(&format!("/api/v1{import}")).await.headers()[header::ETAG].clone();
    let known = format!("If-None-Match: {}\r\n", tag.to_str().unwrap());

    println!("{WAITS} programs that wait {SECONDS} s for an import:");
    for (what, condition) in [("for its end", ""), ("for a change", known.as_str())] {
        let request = format!(
            "GET /api/v1{import}?wait={SECONDS} HTTP/1.1\r\nHost: 127.0.0.1\r\n{condition}\
             Authorization: Bearer {token}\r\n\r\n"
        );
        let (idle, threads) = (server.resident(), server.threads());
        let ((answers, most_threads), most) = server.watched(ask_all(at, &request, &server)).await;
        let shortest = answers.iter().map(|(_, waited)| *waited).min().unwrap_or_default();
        println!(
            "  {what:<12} {:>5.1} MiB above idle ({:.1} MiB) at most, {threads} threads before and {most_threads} \
             meanwhile; the first answer after {:.1} s",
            above(most, idle),
            idle as f64 / MIB as f64,
            shortest.as_secs_f64()
        );
        for (answer, _) in answers {
            assert!(matches!(answer.status, 200 | 304), "{}", String::from_utf8_lossy(&answer.body));
        }
    }
}

/// The answers to the same request on as many connections, after how long each came, and the server's threads in the
/// middle of the wait.
async fn ask_all(at: SocketAddr, request: &str, server: &Server) -> (Vec<(Answer, Duration)>, usize) {
    let mut tasks = JoinSet::new();
    for _ in 0..WAITS {
        let mut connection = Connection::open(at).await;
        let request = request.to_owned();
        tasks.spawn(async move {
            let asked = Instant::now();
            (connection.ask(request.as_bytes()).await, asked.elapsed())
        });
    }
    tokio::time::sleep(Duration::from_secs(SECONDS / 2)).await;
    let threads = server.threads();
    (tasks.join_all().await, threads)
}

impl Server {
    fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap().count()
    }
}
