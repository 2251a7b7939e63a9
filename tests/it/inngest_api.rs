//! The HTTP API of an Inngest server for tests, and the embedded engine as such a server.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use reqwest::{Method, RequestBuilder, Response};
use runboard::{
    engine::{Engine, EngineOptions, Keys, api},
    inngest::{EventSeed, Run, call::Registration},
    store::Store,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::support::database;

/// Generous, because a real server may be slow and nothing here tests speed.
const DEADLINE: Duration = Duration::from_secs(60);

/// The pauses between attempts in tests.
const RETRIES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(40)];

/// Calls `probe` until it succeeds. After the deadline, fails with its last error.
pub async fn until<T, E: Debug, F: Future<Output = Result<T, E>>>(what: &str, probe: impl Fn() -> F) -> T {
    let start = Instant::now();
    loop {
        match probe().await {
            Ok(found) => return found,
            Err(seen) if start.elapsed() > DEADLINE => panic!("waited too long for {what}; last: {seen:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A client of one server.
pub struct Api {
    pub base: String,
    pub event_key: SecretString,
    pub signing_key: SecretString,
    http: reqwest::Client,
}

/// An answer with its real status: a real server answers `GET /v1/...` with 200 and the status in the body.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub content_type: String,
    pub body: Value,
}

impl Api {
    pub fn new(base: &str, event_key: &str, signing_key: &str) -> Self {
        // The process has one provider. A second installation fails, which is harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = base.trim_end_matches('/').to_owned();
        Self { base, event_key: event_key.into(), signing_key: signing_key.into(), http }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.http.request(method, url).timeout(DEADLINE)
    }

    /// Sends a request with the plain signing key, bypassing any cache.
    pub async fn ask(&self, method: Method, path: &str) -> Answered {
        let mark = if path.contains('?') { '&' } else { '?' };
        let request = self.request(method, &format!("{path}{mark}fresh={}", Ulid::new()));
        answered(request.bearer_auth(self.signing_key.expose_secret()).send().await.unwrap()).await
    }

    /// `POST /e/{event_key}` with any body.
    pub async fn post_event(&self, body: impl ToString, seed: Option<&EventSeed>) -> Answered {
        let path = format!("/e/{}", self.event_key.expose_secret());
        let mut request = self.request(Method::POST, &path).header("content-type", "application/json");
        if let Some(seed) = seed {
            request = request.header(EventSeed::HEADER, seed.to_string());
        }
        answered(request.body(body.to_string()).send().await.unwrap()).await
    }

    /// Sends one event. Returns its id.
    pub async fn send(&self, event: &Value) -> String {
        let sent = self.post_event(event, None).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        sent.body["ids"][0].as_str().unwrap().to_owned()
    }

    pub async fn register(&self, app: &Registration) -> Answered {
        self.post_registration(serde_json::to_string(app).unwrap()).await
    }

    pub async fn post_registration(&self, body: String) -> Answered {
        let request =
            self.request(Method::POST, "/fn/register").bearer_auth(self.signing_key.expose_secret());
        answered(request.body(body).send().await.unwrap()).await
    }

    pub async fn get_event_runs(&self, event: &str) -> Answered {
        self.ask(Method::GET, &format!("/v1/events/{event}/runs")).await
    }

    pub async fn get_run(&self, run: &str) -> Answered {
        self.ask(Method::GET, &format!("/v1/runs/{run}")).await
    }

    pub async fn get_jobs(&self, run: &str) -> Answered {
        self.ask(Method::GET, &format!("/v1/runs/{run}/jobs")).await
    }

    pub async fn cancel(&self, run: &str) -> Answered {
        self.ask(Method::DELETE, &format!("/v1/runs/{run}")).await
    }

    pub async fn get_v2_event_runs(&self, event: &str, query: &str) -> Answered {
        self.ask(Method::GET, &format!("/v2/events/{event}/runs?{query}")).await
    }

    pub async fn cancel_v2(&self, run: &str) -> Answered {
        self.ask(Method::POST, &format!("/v2/runs/{run}/cancel")).await
    }

    /// Cancels an ended run. A self-hosted server may need a moment to know the end, and answer 200
    /// meanwhile.
    pub async fn cancel_v2_again(&self, run: &str) -> Answered {
        let refused = || async {
            let again = self.cancel_v2(run).await;
            if again.status == 200 { Err(again) } else { Ok(again) }
        };
        until("a second cancel to be refused", refused).await
    }

    /// The event's runs without duplicates: a real server may list a cancelled run twice.
    pub async fn runs(&self, event: &str) -> Vec<Run> {
        let listed = self.get_event_runs(event).await;
        let mut runs: Vec<Run> = serde_json::from_value(listed.body["data"].clone())
            .unwrap_or_else(|error| panic!("{error}: {listed:?}"));
        let mut seen = std::collections::HashSet::new();
        runs.retain(|run| seen.insert(run.run_id.clone()));
        runs
    }

    /// Waits until the event has `count` runs.
    pub async fn started(&self, event: &str, count: usize) -> Vec<Run> {
        let enough = || async {
            let runs = self.runs(event).await;
            if runs.len() >= count { Ok(runs) } else { Err(runs) }
        };
        until(&format!("{count} runs of {event}"), enough).await
    }

    /// Waits until all of the event's `count` runs have ended.
    pub async fn all_ended(&self, event: &str, count: usize) -> Vec<Run> {
        let all = || async {
            let runs = self.runs(event).await;
            let done = runs.len() >= count && runs.iter().all(|run| run.ended_at.is_some());
            if done { Ok(runs) } else { Err(runs) }
        };
        until(&format!("the end of {count} runs of {event}"), all).await
    }

    /// Waits until the event's only run has ended.
    pub async fn ended(&self, event: &str) -> Run {
        self.all_ended(event, 1).await.remove(0)
    }
}

pub async fn answered(response: Response) -> Answered {
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    let in_body = body["status"].as_u64().filter(|_| body["error"].is_string());
    let status = in_body.map_or(status, |status| u16::try_from(status).unwrap());
    Answered { status, content_type: content_type.unwrap_or_default(), body }
}

/// The embedded engine with its own API port and its own database folder.
pub struct Embedded {
    pub api: Api,
    pub engine: Engine,
    server: ServerHandle,
    pub database: String,
    /// Removed when the engine is dropped.
    dir: Option<TempDir>,
}

/// A running engine.
pub struct Working {
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Embedded {
    pub const EVENT_KEY: &str = "test-event-key-123";
    pub const SIGNING_KEY: &str = "signkey-test-deadbeefcafebabe0123456789abcdef";

    /// Serves the API; the engine does not run yet.
    pub async fn start() -> Self {
        Self::with_retries(&RETRIES).await
    }

    pub async fn with_retries(retries: &[Duration]) -> Self {
        Self::over(tempfile::tempdir().unwrap(), retries).await
    }

    /// An engine over the database in `dir`.
    pub async fn over(dir: TempDir, retries: &[Duration]) -> Self {
        let database = database::url(dir.path());
        let mut embedded = Self::on(&database, retries).await;
        embedded.dir = Some(dir);
        embedded
    }

    /// An engine over any database.
    pub async fn on(database: &str, retries: &[Duration]) -> Self {
        let engine = engine(database, retries).await;
        let data = web::Data::new(engine.clone());
        let server = HttpServer::new(move || App::new().app_data(data.clone()).configure(api::routes))
            .workers(1)
            .shutdown_timeout(0)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let base = format!("http://{}", server.addrs()[0]);
        let running = server.run();
        let server = running.handle();
        tokio::spawn(running);
        let api = Api::new(&base, Self::EVENT_KEY, Self::SIGNING_KEY);
        Self { api, engine, server, database: database.to_owned(), dir: None }
    }

    /// Another engine over the same database, like the next process's.
    pub async fn next_engine(&self) -> Engine {
        engine(&self.database, &RETRIES).await
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn engine(database: &str, retries: &[Duration]) -> Engine {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = Store::open(database).await.unwrap();
    let keys = Keys { event_key: Embedded::EVENT_KEY.into(), signing_key: Embedded::SIGNING_KEY.into() };
    Engine::new(store, keys, EngineOptions { calls: 4, retries: retries.to_vec() }).unwrap()
}

/// Starts an engine.
pub fn work(engine: &Engine) -> Working {
    let stop = CancellationToken::new();
    let task = tokio::spawn(engine.clone().run(stop.clone()));
    Working { stop, task }
}
