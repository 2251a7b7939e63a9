//! Polls of open pages: their rate, compared with a bare handler behind the same middleware that sends the
//! same bytes, and the slowest answers while thousands of dashboards are open.
//!
//! Client and server share the machine, so the ratios include the cost of both.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{App, HttpResponse, dev::ServerHandle, http::header::ContentType, web};
use bytes::Bytes;
use runboard::{
    app::behind_middleware,
    base::config::HttpLimits,
    http::{
        headers,
        origin::PublicOrigin,
        serving::{self, Connections, ServeOptions},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep_until, timeout},
};

use super::{Server, Visitor};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

/// The open dashboards, and how long they are measured.
const DASHBOARDS: usize = 5_000;
const WATCHED_FOR: Duration = Duration::from_secs(10);
/// The open files of the client and of the server, each.
const FILES: usize = DASHBOARDS + 1_000;

/// The handler to compare with.
const BARE: &str = "/bare";

pub async fn polls() {
    allow_files(FILES);
    let data = tempfile::tempdir().unwrap();
    // No function accepts the imports, so that nothing about them changes.
    let settings = [("RUNBOARD_PROCESSOR", "off"), ("RUNBOARD_CONNECTIONS_PER_ADDRESS", "0")];
    let server = Server::start_with(data.path(), &settings);
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let cookie = visitor.cookie.clone().unwrap();
    let at: SocketAddr = server.origin.trim_start_matches("http://").parse().unwrap();
    let mut import = String::new();
    for name in ["first.csv", "second.csv", "third.csv"] {
        import = visitor.upload(name, "a\n1\n").await;
        visitor.wait_for_state(&import, "Sent").await;
    }

    // Each dashboard has its own page, whose polls have their own address.
    let mut dashboards = Vec::new();
    for _ in 0..DASHBOARDS {
        let page = visitor.get("/").await.text().await.unwrap();
        dashboards.push(Poll::of(&page, &cookie));
    }
    let every = dashboards[0].every;
    let late = watch(at, dashboards).await;
    println!("{DASHBOARDS} dashboards of 3 imports, each polling every {} ms:", every.as_millis());
    println!("  {late}");

    // The longest wait of the states; after it nothing changes.
    visitor.wait_for_state(&import, "NoFunction").await;
    println!("polls on {CONNECTIONS} connections with gzip, median of {ROUNDS} rounds:");
    for (what, path) in [("panel", import.as_str()), ("dashboard", "/")] {
        let page = visitor.get(path).await.text().await.unwrap();
        let unchanged = Poll::of(&page, &cookie);
        compare(&format!("{what}, unchanged"), at, &unchanged, 204).await;
        compare(&format!("{what}, changed"), at, &unchanged.of_another_version(), 200).await;
    }
}

/// Raises the limit of open files for this process and, by inheritance, the server.
pub fn allow_files(files: usize) {
    let limit = format!("--nofile={files}:{}", files.max(4_096));
    let raised = Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &limit]).status();
    if !raised.is_ok_and(|status| status.success()) {
        println!("the limit of open files could not be raised to {files}");
    }
}

/// Alternates polls and the bare handler, so that other load on the machine affects both.
async fn compare(what: &str, at: SocketAddr, poll: &Poll, status: u16) {
    let mut connection = Connection::open(at).await;
    let answer = connection.ask(&poll.request).await;
    assert_eq!(answer.status, status, "{what}");
    let mut plain = Connection::open(at).await;
    let body = plain.ask(&poll.uncompressed()).await.body;
    let (bare, bare_at) = serve_bare(body.into(), status);
    let bare_request = poll.at_path(BARE);
    let bare_answer = Connection::open(bare_at).await.ask(&bare_request).await;
    assert_eq!(bare_answer.status, status);
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let theirs = rate(bare_at, &bare_request, status).await;
        rates.push((rate(at, &poll.request, status).await, theirs));
    }
    bare.stop(false).await;
    rates.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
    let (ours, theirs) = rates[ROUNDS / 2];
    println!(
        "  {what:<22} {ours:>8.0}/s   {:>3.0} % of a bare handler's {theirs:.0}/s, {} bytes on the wire",
        ours / theirs * 100.0,
        answer.body.len()
    );
}

/// The middleware of the pages around a trivial handler.
fn serve_bare(body: Bytes, status: u16) -> (ServerHandle, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let origin = web::Data::new(PublicOrigin::new(None, at));
    let limits = HttpLimits::default();
    let options = ServeOptions {
        limits,
        connections: Connections::unlimited(),
        header_lines: headers::lines(&origin).into(),
        workers: None,
        grace: Duration::from_secs(1),
    };
    let handle = serving::serve(listener, options, move || {
        let body = body.clone();
        let answer = move || {
            let body = body.clone();
            async move {
                match status {
                    204 => HttpResponse::NoContent()
                        .insert_header(("x-runboard-as-of", "2026-11-28T14:03:07.123Z"))
                        .finish(),
                    _ => HttpResponse::Ok().content_type(ContentType::html()).body(body),
                }
            }
        };
        let app = App::new().app_data(origin.clone()).app_data(web::Data::new(limits));
        behind_middleware(app.route(BARE, web::get().to(answer)))
    })
    .unwrap();
    (handle, at)
}

/// The answers per second on [`CONNECTIONS`] connections that send the next request as soon as they have an
/// answer.
async fn rate(at: SocketAddr, request: &[u8], status: u16) -> f64 {
    let answers = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (request, answers) = (request.to_vec(), Arc::clone(&answers));
        let mut connection = Connection::open(at).await;
        tasks.spawn(async move {
            loop {
                assert_eq!(connection.ask(&request).await.status, status);
                answers.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let start = Instant::now();
    let before = answers.load(Ordering::Relaxed);
    // A task ends only if it fails.
    if let Ok(Some(failed)) = timeout(ROUND, tasks.join_next()).await {
        failed.unwrap();
    }
    (answers.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64()
}

/// The latency of answers while [`DASHBOARDS`] are open, each on its own connection. Measured from the time
/// at which the poll was due, even if the client was late.
async fn watch(at: SocketAddr, polls: Vec<Poll>) -> String {
    let mut tasks = JoinSet::new();
    let mut dashboards = Vec::new();
    for poll in polls {
        dashboards.push((Connection::open(at).await, poll));
    }
    let start = tokio::time::Instant::now() + Duration::from_secs(1);
    for (number, (mut connection, Poll { every, request, .. })) in dashboards.into_iter().enumerate() {
        let mut due = start + every.mul_f64(number as f64 / DASHBOARDS as f64);
        tasks.spawn(async move {
            let mut times = Vec::new();
            while due < start + WATCHED_FOR {
                sleep_until(due).await;
                let status = connection.ask(&request).await.status;
                times.push((due.elapsed(), status));
                due += every;
            }
            times
        });
    }
    let mut times: Vec<(Duration, u16)> = tasks.join_all().await.into_iter().flatten().collect();
    let took = start.elapsed().as_secs_f64();
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].0.as_secs_f64() * 1_000.0;
    let unchanged = times.iter().filter(|(_, status)| *status == 204).count();
    format!(
        "{:.0} polls/s, {unchanged} of {} unchanged: median {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
        times.len() as f64 / took,
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    )
}

/// A poll as a browser makes it.
struct Poll {
    path: String,
    cookie: String,
    every: Duration,
    request: Vec<u8>,
}

impl Poll {
    /// The poll in the page's HTML.
    fn of(page: &str, cookie: &str) -> Self {
        let between = |start: &str, end: &str| {
            let (_, rest) = page.split_once(start).unwrap();
            rest.split_once(end).unwrap().0
        };
        let every = between("hx-trigger=\"every ", "ms\"").parse().map(Duration::from_millis).unwrap();
        Self::new(between(" hx-get=\"", "\"").replace("&#38;", "&"), cookie, every)
    }

    fn new(path: String, cookie: &str, every: Duration) -> Self {
        let request = request(&path, cookie, "gzip, deflate, br, zstd");
        Self { path, cookie: cookie.to_owned(), every, request }
    }

    fn of_another_version(&self) -> Self {
        Self::new(self.path.replace("version=", "version=0"), &self.cookie, self.every)
    }

    fn at_path(&self, path: &str) -> Vec<u8> {
        Self::new(path.to_owned(), &self.cookie, self.every).request
    }

    fn uncompressed(&self) -> Vec<u8> {
        request(&self.path, &self.cookie, "identity")
    }
}

pub fn request(path: &str, cookie: &str, accepted: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\nAccept-Encoding: {accepted}\r\n\
         Sec-Fetch-Site: same-origin\r\nHX-Request: true\r\nCookie: {cookie}\r\n\r\n"
    )
    .into_bytes()
}

/// A kept-alive connection. A general client would cost more than the measured server.
pub struct Connection {
    at: SocketAddr,
    stream: TcpStream,
    received: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Connection {
    pub async fn open(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { at, stream, received: Vec::new() }
    }

    /// Sends a request. If the server has closed an idle connection, repeats the request on a new one, as a
    /// browser does.
    pub async fn ask(&mut self, request: &[u8]) -> Answer {
        if let Ok(answer) = self.try_ask(request).await {
            return answer;
        }
        *self = Self::open(self.at).await;
        self.try_ask(request).await.unwrap()
    }

    async fn try_ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let body = loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let head = std::str::from_utf8(&self.received[..body]).unwrap();
        let status = head[9..12].parse().unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        // A chunked answer has no length.
        let length = length.unwrap_or_else(|| {
            assert!(matches!(status, 204 | 304), "{head}");
            0
        });
        while self.received.len() < body + length {
            self.read().await?;
        }
        Ok(Answer { status, body: self.received[body..].to_vec() })
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
