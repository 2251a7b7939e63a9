//! The client of an Inngest HTTP API.

use std::{iter, time::Duration};

use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, HeaderValue, RETRY_AFTER},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Host, Url};

use super::{
    Error, Event, EventSeed, Job, Run,
    call::{Registration, SDK},
    retry::{Backoff, parse_retry_after},
    signature::{bearer, split_prefix},
};
use crate::{
    ids::{EventId, RunId},
    time::UnixMillis,
};

/// The longest part of an engine's own words that an error quotes, in characters.
const LONGEST_MESSAGE: usize = 300;

/// Where an engine is and the keys it takes.
#[derive(Clone, Debug)]
pub struct Server {
    /// Takes `POST /e/{event_key}`. May have a path, to which that is added.
    pub event_api: Url,
    /// Takes everything else. May have a path.
    pub api: Url,
    pub event_key: SecretString,
    pub signing_key: SecretString,
}

/// How long the client waits, how much it reads, and how often it tries.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Of one try, from connecting to the answer's last byte.
    pub request_timeout: Duration,
    /// The longest answer that is read. Bounds what a broken server can make us hold in memory.
    pub max_answer_bytes: usize,
    pub backoff: Backoff,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            // A busy server was seen to take 0.2 s.
            request_timeout: Duration::from_secs(10),
            // A run's output is at most 4 MB, and one event seldom has more than a few runs.
            max_answer_bytes: 16 << 20,
            backoff: Backoff {
                tries: 3,
                first_pause: Duration::from_millis(500),
                longest_pause: Duration::from_secs(5),
            },
        }
    }
}

/// The only way to an engine. Cheap to clone; clones share their connections.
///
/// Every request may be repeated without harm (sending too, by its seed), and is, when the failure
/// [is transient](Error::is_transient).
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: Server,
    authorization: HeaderValue,
    limits: Limits,
}

impl Client {
    /// # Errors
    /// [`Error::Setup`] for an address that is not http(s), a signing key that no header can carry,
    /// or, with https, a machine without certificates of authorities.
    pub fn new(server: Server) -> Result<Self, Error> {
        Self::with_limits(server, Limits::default())
    }

    /// As [`Client::new`], with other limits.
    pub fn with_limits(server: Server, limits: Limits) -> Result<Self, Error> {
        // Fails only if the process has a provider already, which will do as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let addresses = [&server.event_api, &server.api];
        if let Some(other) = addresses.iter().find(|url| !matches!(url.scheme(), "http" | "https")) {
            return Err(Error::Setup(format!("its address is {}:, not http or https", other.scheme())));
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", bearer(&server.signing_key)))
            .map_err(|_| Error::Setup("the signing key has characters that no header can carry".into()))?;
        authorization.set_sensitive(true);
        let mut builder = reqwest::Client::builder()
            .user_agent(SDK)
            .connect_timeout(limits.connect_timeout)
            .timeout(limits.request_timeout)
            // A redirect would carry the key to wherever it points.
            .redirect(redirect::Policy::none());
        if addresses.iter().any(|url| is_loopback(url)) {
            // A proxy would look for the engine on its own machine.
            builder = builder.no_proxy();
        }
        if addresses.iter().all(|url| url.scheme() == "http") {
            // Reading the machine's certificates fails where there are none; nothing needs them here.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| Error::Setup(with_sources(&error)))?;
        Ok(Self { http, server, authorization, limits })
    }

    /// Sends one event (`POST /e/{key}`); with the same seed as often as needed.
    ///
    /// [`Error::Unreadable`] does not say that the event was not taken.
    pub async fn send(&self, event: &Event, seed: &EventSeed) -> Result<EventId, Error> {
        #[derive(Deserialize)]
        struct Sent {
            ids: Vec<EventId>,
        }
        let (url, seed) = (self.event_endpoint(), seed.to_string());
        let request = || self.http.post(url.clone()).header(EventSeed::HEADER, &seed).json(event);
        let sent: Sent = self.parse(&self.ask(request).await?)?;
        let id = sent.ids.into_iter().next().filter(|id| !id.as_str().is_empty());
        id.ok_or_else(|| Error::Unreadable("it names no event".to_owned()))
    }

    /// The runs that an event triggered, in the order of their ids. Empty means "none yet" as well
    /// as "none ever", also for an event that the engine does not know.
    pub async fn event_runs(&self, event: &EventId) -> Result<Vec<Run>, Error> {
        self.get(&["v1", "events", event.as_str(), "runs"]).await.map(one_row_per_run)
    }

    /// One run. For one that it does not know, Inngest says 500 ([`Error::Server`]).
    pub async fn run(&self, run: &RunId) -> Result<Run, Error> {
        self.get(&["v1", "runs", run.as_str()]).await
    }

    /// What is to be done next for a run: its next attempt, among others. Nothing once it has ended.
    pub async fn jobs(&self, run: &RunId) -> Result<Vec<Job>, Error> {
        self.get(&["v1", "runs", run.as_str(), "jobs"]).await
    }

    /// Cancels a run; one that has ended stays as it is. What a call is doing goes on to its end.
    pub async fn cancel(&self, run: &RunId) -> Result<(), Error> {
        let url = endpoint(&self.server.api, &["v1", "runs", run.as_str()]);
        self.ask(|| self.authorized(Method::DELETE, url.clone())).await.map(drop)
    }

    /// Whether the engine answers (`GET /health`, asked once, without a key).
    pub async fn health(&self) -> Result<(), Error> {
        let url = endpoint(&self.server.api, &["health"]);
        self.ask_once(self.http.request(Method::GET, url)).await.map(drop)
    }

    /// Registers an app's functions (`POST /fn/register`), in place of those it had.
    pub async fn register(&self, app: &Registration) -> Result<(), Error> {
        let url = endpoint(&self.server.api, &["fn", "register"]);
        self.ask(|| self.authorized(Method::POST, url.clone()).json(app)).await.map(drop)
    }

    /// The `data` of an answer of the v1 API.
    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        #[derive(Deserialize)]
        struct Answer<T> {
            data: T,
        }
        let url = endpoint(&self.server.api, path);
        let request = || {
            let mut url = url.clone();
            // Inngest answers a URL that it was asked before with what it said then, for up to 15 s,
            // the empty list of an event that was only just sent too. So no URL is asked twice.
            url.query_pairs_mut().append_pair("fresh", &rand::random::<u64>().to_string());
            self.authorized(Method::GET, url)
        };
        let answer: Answer<T> = self.parse(&self.ask(request).await?)?;
        Ok(answer.data)
    }

    fn authorized(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).header(AUTHORIZATION, &self.authorization)
    }

    fn event_endpoint(&self) -> Url {
        endpoint(&self.server.event_api, &["e", self.server.event_key.expose_secret()])
    }

    /// The body of a good answer, after as many tries as the limits grant.
    async fn ask(&self, request: impl Fn() -> RequestBuilder) -> Result<Vec<u8>, Error> {
        let mut failed = 0;
        loop {
            let error = match self.ask_once(request()).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            failed += 1;
            let Some(pause) = self.limits.backoff.pause(&error, failed) else { return Err(error) };
            tracing::debug!(%error, failed, ?pause, "asking the engine again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask_once(&self, request: RequestBuilder) -> Result<Vec<u8>, Error> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| {
            value.to_str().ok().and_then(|value| parse_retry_after(value, UnixMillis::now()))
        });
        let body = match self.body(response).await {
            // A refusal is one, whatever is wrong with its text.
            Err(_) if !status.is_success() => Vec::new(),
            body => body?,
        };
        self.check(status, retry_after, &body)?;
        Ok(body)
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            if body.len() + chunk.len() > self.limits.max_answer_bytes {
                let bound = self.limits.max_answer_bytes;
                return Err(Error::Unreadable(format!("it is longer than {bound} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Whether an answer is a good one. Inngest's v1 API sends most of its errors as HTTP 200 with
    /// the true status in the body.
    fn check(&self, status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Verdict {
            status: Option<u16>,
            error: Option<String>,
        }
        let refusal =
            |status, words: &str| Error::from_status(status, self.fit_for_a_log(words), retry_after);
        if !status.is_success() {
            let words = match serde_json::from_slice(body) {
                Ok(Verdict { error: Some(error), .. }) => error,
                _ => String::from_utf8_lossy(body).into_owned(),
            };
            return Err(refusal(status.as_u16(), &words));
        }
        if body.is_empty() {
            // As a cancel is answered.
            return Ok(());
        }
        let verdict: Verdict = self.parse(body)?;
        let status = verdict.status.unwrap_or(status.as_u16());
        let words = verdict.error.unwrap_or_default();
        if status >= 400 || !words.is_empty() { Err(refusal(status, &words)) } else { Ok(()) }
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body)
            .map_err(|error| Error::Unreadable(self.fit_for_a_log(&error.to_string())))
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        // The URL of a send holds the event key.
        Error::Unreachable(self.fit_for_a_log(&with_sources(&error.without_url())))
    }

    /// Others' words, on one line, cut short, and without our keys: a proxy that knows no such path
    /// likes to repeat the path, and with it the event key.
    fn fit_for_a_log(&self, words: &str) -> String {
        let url = self.event_endpoint();
        let key_in_path = url.path_segments().and_then(Iterator::last).unwrap_or_default();
        let hashed_key = bearer(&self.server.signing_key);
        let keys = [
            key_in_path,
            self.server.event_key.expose_secret(),
            split_prefix(&hashed_key).1,
            split_prefix(self.server.signing_key.expose_secret()).1,
        ];
        let mut words = words.to_owned();
        for key in keys.into_iter().filter(|key| !key.is_empty()) {
            words = words.replace(key, "[key]");
        }
        words.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_MESSAGE).collect()
    }
}

/// `base` with `path` added, each segment percent-encoded.
fn endpoint(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(path);
    url
}

/// A run that was cancelled while it executed is listed a second time once the call returns, with
/// the call's output and a later end. The row that ended first stays: it is what was listed before
/// the second one came, and how a run ended must not change.
fn one_row_per_run(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_by(|a, b| {
        let of_one_run = || (a.ended_at.is_none(), a.ended_at).cmp(&(b.ended_at.is_none(), b.ended_at));
        a.run_id.cmp(&b.run_id).then_with(of_one_run)
    });
    runs.dedup_by(|later, first| later.run_id == first.run_id);
    runs
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An error with its reasons; reqwest's own text is only "error sending request".
fn with_sources(error: &reqwest::Error) -> String {
    let chain = iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
