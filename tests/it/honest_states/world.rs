//! A server with scripted answers, and a user whose import it runs.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use runboard::{
    base::config::{EngineConfig, Inngest},
    base::time::UnixMillis,
    inngest::EventSeed,
};
use serde_json::{Value, json};
use sqlx::{AnyPool, any::AnyPoolOptions};
use tempfile::TempDir;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::path_regex};

use crate::support::{
    TestApp, database,
    host::{Host, Reply, with_body},
    spawn_app_on,
    visitor::{Panel, Visitor},
};

/// The server's id of the first event, whatever id was expected.
pub(super) const EVENT: &str = "01M852CDYVJYDMFCJQQV9MRZ6R";
pub(super) const RUN: &str = "01M852HFJBN5J36VWDC6WQQXA1";

pub(super) fn recorded(name: &str) -> String {
    let path = format!("{}/tests/fixtures/inngest/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The answer to one request for the list of runs.
#[derive(Clone)]
pub(super) enum Said {
    Body(String),
    Status(&'static str, &'static str),
    /// A body without an end.
    Endless,
    /// Half of a body, then the connection closes.
    CutOff,
    /// A reset.
    Reset,
    /// No answer on an open connection.
    Hang,
}

pub(super) fn said(name: &str) -> Said {
    Said::Body(recorded(name))
}

impl Said {
    pub(super) fn reply(self) -> Reply {
        let head =
            |length: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{length}\r\n");
        match self {
            Self::Body(body) => Reply::Bytes(with_body("200 OK", "", body.as_bytes())),
            Self::Status(status, headers) => Reply::Bytes(with_body(status, headers, b"Not today")),
            Self::Endless => Reply::Drip(format!("{}{{\"data\":[", head("")).into_bytes()),
            Self::CutOff => {
                Reply::Bytes(format!("{}{{\"data\":[", head("Content-Length: 400\r\n")).into_bytes())
            }
            Self::Hang => Reply::Hold(Vec::new()),
            Self::Reset => Reply::Bytes(Vec::new()),
        }
    }
}

/// A dashboard, its visitor with one import, and the server.
pub(super) struct World {
    pub(super) app: TestApp,
    pub(super) visitor: Visitor,
    pub(super) import: String,
    pub(super) server: Server,
}

/// The server: its scripted answers, and the requests that it received.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) api: Arc<Host>,
    pub(super) events: Arc<MockServer>,
    pub(super) now: Arc<Mutex<Vec<Said>>>,
    pub(super) is_v2: bool,
    /// v1's answer about the run alone, in addition to a v2 list.
    pub(super) run_v1: Arc<Mutex<Said>>,
}

impl Server {
    /// Gives the answers of `list` in order, and repeats the last one.
    pub(super) async fn saying(is_v2: bool, list: Vec<Said>) -> Self {
        let now = Arc::new(Mutex::new(list));
        let script = Arc::clone(&now);
        let run_v1 = Arc::new(Mutex::new(Said::Status("404 Not Found", "")));
        let of_run = Arc::clone(&run_v1);
        let version = if is_v2 { "/v2/" } else { "/v1/" };
        let api = Host::start(move |path, _| {
            if path.contains("/fn/register") {
                return Said::Body(r#"{"ok":true,"modified":false}"#.to_owned()).reply();
            }
            if path.ends_with("/cancel") && is_v2 {
                *script.lock().unwrap() = vec![Said::Body(cancelled_v2())];
                return said("v2-cancel").reply();
            }
            if is_v2 && path.ends_with(&format!("/v2/runs/{RUN}")) {
                return Said::Body(started_v2()).reply();
            }
            if is_v2 && path.ends_with(&format!("/v1/runs/{RUN}")) {
                return of_run.lock().unwrap().clone().reply();
            }
            if !path.starts_with(version) || !path.contains("/events/") {
                return Said::Status("404 Not Found", "").reply();
            }
            let mut list = script.lock().unwrap();
            if list.len() > 1 { list.remove(0) } else { list[0].clone() }.reply()
        })
        .await;
        let events = MockServer::start().await;
        let server = Self { api: Arc::new(api), events: Arc::new(events), now, is_v2, run_v1 };
        server.take_events().await;
        server
    }

    /// Accepts every event from now on.
    pub(super) async fn take_events(&self) {
        self.events.reset().await;
        let sent = AtomicUsize::new(0);
        let taken = move |request: &Request| {
            // At start it receives an empty list of events, which checks the key.
            let Some(seed) = request.headers.get("x-inngest-event-id-seed") else {
                return ResponseTemplate::new(200).set_body_json(json!({"ids": [""], "status": 200}));
            };
            let expected = EventSeed::parse(seed.to_str().unwrap()).unwrap().event_id(0);
            let id = if sent.fetch_add(1, Ordering::Relaxed) == 0 { EVENT } else { expected.as_str() };
            ResponseTemplate::new(200).set_body_json(json!({"ids": [id], "status": 200}))
        };
        Mock::given(path_regex("^/e/")).respond_with(taken).mount(&self.events).await;
    }

    /// Answers every event with this status from now on.
    pub(super) async fn answer_events(&self, status: u16) {
        self.events.reset().await;
        let refused = ResponseTemplate::new(status).set_body_string("Not today");
        Mock::given(path_regex("^/e/")).respond_with(refused).mount(&self.events).await;
    }

    /// Receives every event from now on, and answers none.
    pub(super) async fn hold_events(&self) {
        self.events.reset().await;
        let never = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
        Mock::given(path_regex("^/e/")).respond_with(never).mount(&self.events).await;
    }

    pub(super) fn says(&self, said: Said) {
        *self.now.lock().unwrap() = vec![said];
    }

    pub(super) async fn app(&self, data: TempDir) -> TestApp {
        let inngest = Inngest {
            is_dev: false,
            api: self.api.url("/").parse().unwrap(),
            event_api: self.events.uri().parse().unwrap(),
            event_key: "event-key".into(),
            signing_keys: vec!["12ab".into()],
            api_key: None,
            env: None,
            serve_origin: None,
            serve_path: "/api/inngest".to_owned(),
        };
        spawn_app_on(data, |config| config.engine = EngineConfig::Inngest(Box::new(inngest))).await
    }
}

/// How long the run waited in the queue before it started.
pub(super) const QUEUED_FOR: Duration = Duration::from_secs(45);
pub(super) const WORKED_FOR: Duration = Duration::from_secs(15);

/// The run alone, after its time in the queue.
fn started_v2() -> String {
    let mut run: Value = serde_json::from_str(&recorded("v2-running")).unwrap();
    run["data"] = run["data"][0].take();
    let queued = UnixMillis::from_rfc3339(run["data"]["queuedAt"].as_str().unwrap()).unwrap();
    run["data"]["startedAt"] = json!(queued.plus(QUEUED_FOR).to_string());
    run.to_string()
}

/// The run in the list: while it waits in the queue, and once it has ended.
pub(super) fn queued_v2() -> String {
    recorded("v2-running").replace("RUNNING", "QUEUED")
}

pub(super) fn completed_v2() -> String {
    let mut list: Value = serde_json::from_str(&recorded("v2-running")).unwrap();
    let queued = UnixMillis::from_rfc3339(list["data"][0]["queuedAt"].as_str().unwrap()).unwrap();
    list["data"][0]["status"] = json!("COMPLETED");
    list["data"][0]["endedAt"] = json!(queued.plus(QUEUED_FOR + WORKED_FOR).to_string());
    list.to_string()
}

/// A cancelled run in the format of the list, as recorded.
pub(super) fn cancelled_v2() -> String {
    let mut list: Value = serde_json::from_str(&recorded("v2-running")).unwrap();
    list["data"][0]["status"] = json!("CANCELLED");
    list["data"][0]["endedAt"] = json!("2026-11-23T20:47:25.522Z");
    list.to_string()
}

impl World {
    pub(super) async fn saying(list: Vec<Said>) -> Self {
        Self::of(Server::saying(false, list).await).await
    }

    pub(super) async fn of(server: Server) -> Self {
        let app = server.app(tempfile::tempdir().unwrap()).await;
        let mut visitor = app.visitor();
        visitor.sign_up("mira@example.org").await;
        let import = visitor.upload("a.csv", "a\n1\n").await;
        Self { app, visitor, import, server }
    }

    pub(super) async fn until(&self, what: &str, condition: impl Fn(&Panel) -> bool) -> Panel {
        self.visitor.wait_for(&self.import, what, condition).await
    }

    /// Waits for the sentence, and for one run with `status` unless that is empty.
    pub(super) async fn reads(&self, sentence: &str, status: &str) -> Panel {
        self.until(sentence, |panel| {
            plain(&panel.html).contains(sentence) && panel.runs.first().is_none_or(|run| run.status == status)
        })
        .await
    }

    /// Restarts, with the import and its sent event moved to so many milliseconds earlier.
    pub(super) async fn sent_earlier(self, millis: i64) -> Self {
        self.after(async |database| {
            let earlier = "UPDATE import SET sent_at = sent_at - $1, received_at = received_at - $1";
            sqlx::query(earlier).bind(millis).execute(database).await.unwrap();
        })
        .await
    }

    /// Restarts after `change` was made to the database.
    pub(super) async fn after(self, change: impl AsyncFnOnce(&AnyPool)) -> Self {
        let data = self.app.stop().await;
        let url = database::url(data.path());
        let database = AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
        change(&database).await;
        database.close().await;
        let app = self.server.app(data).await;
        let mut visitor = app.visitor();
        visitor.cookie.clone_from(&self.visitor.cookie);
        Self { app, visitor, ..self }
    }
}

/// The text of a page, without its markup.
pub(super) fn plain(html: &str) -> String {
    let text: String =
        html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
