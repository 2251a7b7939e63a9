//! Sends requests and reads answers: keys, tries, limits, and the meaning of a status.

use std::{
    iter,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use url::Url;

use super::{Limits, Server, Turn};
use crate::{
    base::{outgoing, time::UnixMillis},
    inngest::{
        Budget, Error,
        call::{SDK, SDK_HEADER},
        retry::{parse_date, parse_retry_after},
        signature::{bearer, split_prefix},
    },
};

/// The longest part of a server's message that an error quotes, in characters.
const LONGEST_MESSAGE: usize = 300;

const ENV_HEADER: HeaderName = HeaderName::from_static("x-inngest-env");

/// A successful answer.
pub struct ApiResponse {
    pub body: Vec<u8>,
    /// The server's clock.
    pub date: Option<UnixMillis>,
}

/// The budget limits how many requests start per second. This limits how many are in flight while the engine
/// is slow: requests for 30,000 unfinished imports would use all file descriptors of the process.
const MOST_IN_FLIGHT: usize = 32;

#[derive(Debug)]
pub struct Transport {
    pub http: reqwest::Client,
    pub server: Server,
    pub budget: Budget,
    /// Permits of the requests that wait for their answer.
    in_flight: Semaphore,
    pub limits: Limits,
    /// One for each signing key; empty for a server without keys.
    authorizations: Vec<HeaderValue>,
    /// For the API key.
    api_authorization: Option<HeaderValue>,
    /// The index of the key that was accepted last.
    taken: AtomicUsize,
}

impl Transport {
    pub fn new(server: Server, limits: Limits) -> Result<Self, Error> {
        let addresses = [&server.event_api, &server.api];
        if let Some(other) = addresses.iter().find(|url| !matches!(url.scheme(), "http" | "https")) {
            return Err(Error::Setup(format!("its address is {}:, not http or https", other.scheme())));
        }
        let of_signing_key = |key| authorization(&bearer(key));
        let authorizations = server.signing_keys.iter().map(of_signing_key).collect::<Result<_, _>>()?;
        let of_api_key = |key: &SecretString| authorization(key.expose_secret());
        let api_authorization = server.api_key.as_ref().map(of_api_key).transpose()?;
        let mut headers =
            HeaderMap::from_iter([(HeaderName::from_static(SDK_HEADER), HeaderValue::from_static(SDK))]);
        if let Some(env) = &server.env {
            let env = HeaderValue::from_str(env)
                .map_err(|_| Error::Setup("the environment's name is not valid in a header".to_owned()))?;
            headers.insert(ENV_HEADER, env);
        }
        let builder = outgoing::client_of(&addresses)
            .user_agent(SDK)
            .default_headers(headers)
            .connect_timeout(limits.connect_timeout)
            .timeout(limits.request_timeout);
        let http = builder.build().map_err(|error| Error::Setup(with_sources(&error)))?;
        let budget = Budget::new(limits.polls_per_second);
        let in_flight = Semaphore::new(MOST_IN_FLIGHT);
        let taken = AtomicUsize::new(0);
        Ok(Self { http, server, budget, in_flight, limits, authorizations, api_authorization, taken })
    }

    /// A successful answer to a request without a key, after as many tries as the limits allow. All tries and
    /// pauses together take at most [`Limits::request_timeout`].
    pub async fn ask(&self, request: impl Fn() -> RequestBuilder) -> Result<ApiResponse, Error> {
        let deadline = Instant::now() + self.limits.request_timeout;
        let late = || Error::TimedOut("it answers too slowly".to_owned());
        let mut failed = 0;
        loop {
            let error = match timeout_at(deadline, self.ask_once(request())).await.map_err(|_| late())? {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failed += 1;
            let pause = self.limits.backoff.pause(&error, failed);
            let Some(pause) = pause.filter(|pause| Instant::now() + *pause < deadline) else {
                return Err(error);
            };
            tracing::debug!(%error, failed, ?pause, "retrying a request to the engine");
            tokio::time::sleep(pause).await;
        }
    }

    /// The same with the signing key, and with the other key if the first is not accepted.
    pub async fn ask_with_key(&self, request: impl Fn() -> RequestBuilder) -> Result<ApiResponse, Error> {
        self.with_each_key(|authorization| self.ask(signed(&request, authorization))).await
    }

    /// As [`Self::ask_with_key`], with the API key if one is set.
    pub async fn ask_v2(&self, request: impl Fn() -> RequestBuilder) -> Result<ApiResponse, Error> {
        match &self.api_authorization {
            Some(authorization) => self.ask(signed(&request, Some(authorization.clone()))).await,
            None => self.ask_with_key(request).await,
        }
    }

    /// A poll: limited by the budget, and tried once.
    pub async fn poll(
        &self,
        turn: &Turn,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<ApiResponse, Error> {
        self.with_each_key(|authorization| self.poll_once(turn, signed(&request, authorization)())).await
    }

    /// As [`Self::poll`], with the API key if one is set.
    pub async fn poll_v2(
        &self,
        turn: &Turn,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<ApiResponse, Error> {
        match &self.api_authorization {
            Some(authorization) => {
                self.poll_once(turn, signed(&request, Some(authorization.clone()))()).await
            }
            None => self.poll(turn, request).await,
        }
    }

    async fn poll_once(&self, turn: &Turn, request: RequestBuilder) -> Result<ApiResponse, Error> {
        if !turn.has_come() {
            self.budget.take(turn.user, turn.priority).await;
        }
        let place = self.in_flight.acquire().await;
        let answer = self.ask_once(request.timeout(self.limits.poll_timeout)).await;
        drop(place);
        if let Err(Error::RateLimited { retry_after }) = &answer {
            let pause = retry_after.unwrap_or(self.limits.backoff.longest_pause);
            self.budget.hold(pause.min(self.limits.longest_hold));
        }
        answer
    }

    /// Sends the request with the key that was accepted last, then with the others.
    async fn with_each_key<F: Future<Output = Result<ApiResponse, Error>>>(
        &self,
        ask: impl Fn(Option<HeaderValue>) -> F,
    ) -> Result<ApiResponse, Error> {
        let count = self.authorizations.len().max(1);
        let first = self.taken.load(Ordering::Relaxed);
        let mut refused = None;
        for index in (first..first + count).map(|index| index % count) {
            match ask(self.authorizations.get(index).cloned()).await {
                Err(error @ Error::Unauthorized { .. }) => refused = Some(error),
                answer => {
                    if answer.is_ok() && index != first {
                        tracing::warn!(fallback = index > 0, "the engine now accepts another signing key");
                        self.taken.store(index, Ordering::Relaxed);
                    }
                    return answer;
                }
            }
        }
        Err(refused.unwrap_or_else(|| Error::Setup("there is no key".to_owned())))
    }

    pub async fn ask_once(&self, request: RequestBuilder) -> Result<ApiResponse, Error> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let retry_after = header(RETRY_AFTER).and_then(|value| parse_retry_after(value, UnixMillis::wall()));
        let date = header(DATE).and_then(parse_date);
        let body = match self.body(response).await {
            // A refusal is a refusal even if its body cannot be read.
            Err(_) if !status.is_success() => Vec::new(),
            body => body?,
        };
        self.check(status, retry_after, &body)?;
        Ok(ApiResponse { body, date })
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

    /// Whether an answer is successful. Inngest's v1 API sends most of its errors as HTTP 200 with the real
    /// status in the body.
    fn check(&self, status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Result<(), Error> {
        let refusal =
            |status, words: &str| Error::from_status(status, self.fit_for_a_log(words), retry_after);
        if !status.is_success() {
            let words = serde_json::from_slice::<Verdict>(body).ok().and_then(Verdict::words);
            let words = words.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
            return Err(refusal(status.as_u16(), &words));
        }
        // A cancel has an empty answer, and a list contains no status.
        if body.is_empty() || body.trim_ascii_start().starts_with(b"[") {
            return Ok(());
        }
        let verdict: Verdict = self.parse(body)?;
        let status = verdict.status.unwrap_or(status.as_u16());
        let words = verdict.words().unwrap_or_default();
        if status >= 400 || !words.is_empty() { Err(refusal(status, &words)) } else { Ok(()) }
    }

    pub fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body)
            .map_err(|error| Error::Unreadable(self.fit_for_a_log(&error.to_string())))
    }

    pub fn event_endpoint(&self) -> Url {
        endpoint(&self.server.event_api, &["e", self.server.event_key.expose_secret()])
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        // The URL of a send contains the event key.
        let kind = if error.is_timeout() { Error::TimedOut } else { Error::Unreachable };
        kind(self.fit_for_a_log(&with_sources(&error.without_url())))
    }

    /// A message of the server as one short line without our keys. A proxy that does not know a path often
    /// repeats the path, and with it the event key.
    fn fit_for_a_log(&self, words: &str) -> String {
        let url = self.event_endpoint();
        let key_in_path = url.path_segments().and_then(Iterator::last).unwrap_or_default();
        let mut keys = vec![key_in_path.to_owned(), self.server.event_key.expose_secret().to_owned()];
        keys.extend(self.server.api_key.iter().map(|key| key.expose_secret().to_owned()));
        for key in self.server.signing_keys.iter() {
            keys.push(split_prefix(&bearer(key)).1.to_owned());
            keys.push(split_prefix(key.expose_secret()).1.to_owned());
        }
        let mut words = words.to_owned();
        for key in keys.iter().filter(|key| key.len() >= SHORTEST_KEY) {
            words = words.replace(key, "[key]");
        }
        words.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_MESSAGE).collect()
    }
}

/// A shorter key, such as a dev server accepts, is not secret, and can be part of an ordinary word.
const SHORTEST_KEY: usize = 4;

/// The status that an answer's body states: v1 has one error, v2 a list of errors.
#[derive(Deserialize)]
struct Verdict {
    status: Option<u16>,
    error: Option<String>,
    #[serde(default)]
    errors: Vec<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    message: String,
}

impl Verdict {
    fn words(self) -> Option<String> {
        self.error.or_else(|| self.errors.into_iter().map(|complaint| complaint.message).next())
    }
}

/// `request` with a bearer token, if the server has keys.
fn signed(
    request: &impl Fn() -> RequestBuilder,
    authorization: Option<HeaderValue>,
) -> impl Fn() -> RequestBuilder {
    move || match &authorization {
        Some(authorization) => request().header(AUTHORIZATION, authorization),
        None => request(),
    }
}

fn authorization(bearer: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(format!("Bearer {bearer}"))
        .map_err(|_| Error::Setup("a key is not valid in a header".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `base` with `path` appended, each segment percent-encoded.
pub fn endpoint(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(path);
    url
}

/// An error with its sources; reqwest's own text is only "error sending request".
fn with_sources(error: &reqwest::Error) -> String {
    let chain = iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
