//! The server that the commands talk to.

use std::time::Duration;

use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::time::timeout;
use url::Url;

use super::{
    error::{ClientError, MOST_TRIES},
    screen::Screen,
    times::ClientTimes,
    told::ToldImport,
};
use crate::base::{ids::ImportId, outgoing};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is read into memory: a hundred imports with all that their runs returned.
const MOST_BYTES: usize = 64 << 20;

/// The longest sentence of a server that is shown, in characters.
const LONGEST_SENTENCE: usize = 2_000;

#[derive(Debug)]
pub struct RemoteServer {
    http: Client,
    origin: Url,
    /// Where the address comes from if nobody typed it: ` (from RUNBOARD_URL)`.
    from: &'static str,
    authorization: HeaderValue,
    pub times: ClientTimes,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Vec<u8>,
}

/// A problem (RFC 9457), as far as people read it.
#[derive(Deserialize)]
struct ProblemTold {
    /// A Runboard always names it.
    #[serde(rename = "type")]
    kind: Option<String>,
    detail: String,
}

/// How another server refuses what a Runboard would take. A Runboard names the problem with it.
const NO_API: [StatusCode; 3] =
    [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];

/// The type of a problem with what a path names.
const NOT_FOUND: &str = "/api#not-found";

impl RemoteServer {
    /// `origin` has no path.
    pub fn new(origin: Url, from: &'static str, token: &SecretString) -> Result<Self, ClientError> {
        let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
        let mut authorization = value.map_err(|_| {
            ClientError::Other("The token has characters that no token has. Copy it again.".to_owned())
        })?;
        authorization.set_sensitive(true);
        let http = client_of(&origin);
        let http = http.map_err(|error| ClientError::of_request(&shown(&origin), from, &error))?;
        Ok(Self { http, origin, from, authorization, times: ClientTimes::read() })
    }

    /// `https://runboard.example.org`
    pub fn shown(&self) -> String {
        shown(&self.origin)
    }

    /// The address of an import's page.
    pub fn page(&self, import: ImportId) -> String {
        format!("{}/imports/{import}", self.shown())
    }

    /// A request to a path below `/api/v1`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_with(method, path, &[])
    }

    /// The same with a query.
    pub fn request_with(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.origin.clone();
        url.set_path(&format!("/api/v1/{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url).header(AUTHORIZATION, self.authorization.clone())
    }

    /// Sends a request once. Only the head of the answer is read if it is a success.
    pub async fn send(&self, request: RequestBuilder, patience: Duration) -> Result<Response, ClientError> {
        let response = self.send_any(request, patience).await?;
        self.accept(response).await
    }

    /// Asks for a file of text below `/api/v1`. Follows one redirect, to where the file is stored. The token does not go
    /// there.
    pub async fn send_for_file(&self, path: &str, headers: HeaderMap) -> Result<Response, ClientError> {
        let request = self.request(Method::GET, path).headers(headers.clone());
        let response = self.send_any(request, self.times.silence).await?;
        let Some(to) = self.stored_at(&response) else { return self.accept(response).await };
        let (there, of_request) =
            (shown(&to), |error: reqwest::Error| ClientError::of_request(&shown(&to), "", &error));
        let request = client_of(&to).map_err(of_request)?.get(to.clone()).headers(headers);
        let answer = timeout(self.times.silence, request.send()).await;
        let answer = answer.map_err(|_| ClientError::Broken(format!("{there} does not answer.")))?;
        let answer = answer.map_err(of_request)?;
        let status = answer.status();
        if !status.is_success() {
            let sentence = format!("The file is at {there}, which answered {status}.");
            return Err(ClientError::Refused { status, sentence, retry_after: None });
        }
        // A page of another server is no rows.
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("text/csv")) {
            Ok(answer)
        } else {
            Err(self.redirected(&response))
        }
    }

    /// The address of a stored file that an answer redirects to. Never unencrypted if this server is.
    fn stored_at(&self, response: &Response) -> Option<Url> {
        if response.status() != StatusCode::TEMPORARY_REDIRECT {
            return None;
        }
        let to = Url::parse(response.headers().get(LOCATION)?.to_str().ok()?).ok()?;
        let is_as_safe = to.scheme() == "https" || (to.scheme() == "http" && self.origin.scheme() == "http");
        is_as_safe.then_some(to)
    }

    async fn send_any(&self, request: RequestBuilder, patience: Duration) -> Result<Response, ClientError> {
        let response = timeout(patience, request.send()).await.map_err(|_| self.silent())?;
        response.map_err(|error| ClientError::of_request(&self.shown(), self.from, &error))
    }

    /// An answer that is a success. Only the head of it is read.
    async fn accept(&self, response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        if status.is_redirection() {
            return Err(self.redirected(&response));
        }
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let path = response.url().path().to_owned();
        // A refusal is one even if its body cannot be read.
        let body = self.body(response).await.unwrap_or_default();
        let problem = serde_json::from_slice::<ProblemTold>(&body).ok();
        let is_of_runboard = |problem: &ProblemTold| problem.kind.is_some() || !NO_API.contains(&status);
        let problem = problem.filter(|problem| !problem.detail.is_empty() && is_of_runboard(problem));
        let sentence = match problem {
            Some(problem) if status == StatusCode::NOT_FOUND => self.not_found(path.as_str(), problem),
            Some(problem) => problem.detail,
            None if NO_API.contains(&status) => self.no_api(status),
            None => format!("{} answered {status}.", self.shown()),
        };
        Err(ClientError::Refused {
            status,
            sentence: sentence.chars().take(LONGEST_SENTENCE).collect(),
            retry_after: asked.map(Duration::from_secs),
        })
    }

    /// Sends a request once, and reads the answer.
    pub async fn answer(&self, request: RequestBuilder, patience: Duration) -> Result<Answer, ClientError> {
        let response = self.send(request, patience).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: self.body(response).await? })
    }

    /// Sends a request until it is answered: again if there were too many, because the server says when.
    pub async fn ask(&self, request: impl Fn() -> RequestBuilder) -> Result<Answer, ClientError> {
        let mut failed = 0;
        loop {
            match self.answer(request(), self.times.silence).await {
                Err(error @ ClientError::Refused { status: StatusCode::TOO_MANY_REQUESTS, .. })
                    if failed < MOST_TRIES =>
                {
                    failed += 1;
                    self.rest(error.pause(failed)).await;
                }
                answer => return answer,
            }
        }
    }

    /// Sends a request that makes something, again if its answer was lost. Each time it must have the same key.
    pub async fn make(
        &self,
        screen: &Screen,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answer, ClientError> {
        let mut failed = 0;
        loop {
            let error = match self.answer(request(), self.times.silence).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failed += 1;
            if error.is_final(failed) {
                return Err(error);
            }
            screen.lost(&error);
            self.rest(error.pause(failed)).await;
        }
    }

    /// Waits before the next request.
    pub async fn rest(&self, pause: Duration) {
        tokio::time::sleep(pause.min(self.times.most_pause)).await;
    }

    /// An import as it is now.
    pub async fn import(&self, id: ImportId) -> Result<ToldImport, ClientError> {
        let answer = self.ask(|| self.request(Method::GET, &format!("imports/{id}"))).await?;
        self.told(&answer)
    }

    /// The import that an answer has.
    pub fn told(&self, answer: &Answer) -> Result<ToldImport, ClientError> {
        ToldImport::parse(self.parse::<Box<RawValue>>(answer)?).ok_or_else(|| self.no_runboard())
    }

    /// The JSON that an answer has.
    pub fn parse<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ClientError> {
        serde_json::from_slice(&answer.body).map_err(|_| self.no_runboard())
    }

    pub fn no_runboard(&self) -> ClientError {
        ClientError::Other(format!(
            "{}{} does not answer as a Runboard does. Check the address.",
            self.shown(),
            self.from
        ))
    }

    pub fn silent(&self) -> ClientError {
        ClientError::Broken(format!("{} does not answer.", self.shown()))
    }

    pub fn broke_off(&self) -> ClientError {
        ClientError::Broken(format!("The connection to {} broke off.", self.shown()))
    }

    /// What a path names is not there: an import, or the API.
    fn not_found(&self, path: &str, problem: ProblemTold) -> String {
        let of_import = path.strip_prefix("/api/v1/imports/").and_then(|rest| rest.split('/').next());
        match (problem.kind.as_deref(), of_import) {
            (Some(NOT_FOUND), Some(id)) => {
                format!("There is no import {id} on {}, or your token does not open it.", self.shown())
            }
            (Some(NOT_FOUND), None) => self.no_api(StatusCode::NOT_FOUND),
            _ => problem.detail,
        }
    }

    fn no_api(&self, status: StatusCode) -> String {
        format!(
            "{}{} has no API of Runboard: it answers {status}. Check the address.",
            self.shown(),
            self.from
        )
    }

    /// A server that answers so is another one, which must not get the token.
    fn redirected(&self, response: &Response) -> ClientError {
        let here = self.shown();
        let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let to = location.and_then(|to| self.origin.join(to).ok()).map(|to| shown(&to));
        ClientError::Other(match to.filter(|to| *to != here) {
            Some(to) => format!(
                "{here} redirects to {to}, which did not get your token. If that is the right address, log in there: \
                 runboard login {to}"
            ),
            None => format!("{here} redirects the request, which no Runboard does. Check the address."),
        })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let announced =
            response.headers().get(CONTENT_LENGTH).and_then(|bytes| bytes.to_str().ok()?.parse().ok());
        let too_long = || ClientError::Other(format!("The answer of {} is too long.", self.shown()));
        if announced.is_some_and(|bytes: usize| bytes > MOST_BYTES) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        loop {
            let piece = timeout(self.times.silence, response.chunk()).await.map_err(|_| self.silent())?;
            let Some(piece) = piece.map_err(|_| self.broke_off())? else { return Ok(body) };
            if body.len() + piece.len() > MOST_BYTES {
                return Err(too_long());
            }
            body.extend_from_slice(&piece);
        }
    }
}

/// A client of the server at `address`.
fn client_of(address: &Url) -> reqwest::Result<Client> {
    let builder = outgoing::client_of(&[address]).user_agent(concat!("runboard/", env!("CARGO_PKG_VERSION")));
    builder.connect_timeout(CONNECT_TIMEOUT).build()
}

/// An origin without the last slash.
fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}
