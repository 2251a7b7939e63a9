//! The client of an Inngest HTTP API.

mod transport;
mod v2;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::{Method, RequestBuilder};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use self::transport::{ApiResponse, Transport, endpoint};
use super::{
    Backoff, Error, Event, EventSeed, Job, Priority, Run,
    call::{CallEvent, Registration, Steps},
    signature::SigningKeys,
};
use crate::base::{
    ids::{EventId, RunId, UserId},
    time::UnixMillis,
};

/// How long a server that had no v2 API is not asked for it again.
const WITHOUT_V2_FOR: Duration = Duration::from_secs(10 * 60);

/// An answer that may be cached for longer is requested again after this time.
const LONGEST_CACHE: Duration = Duration::from_secs(60);

/// The address of an engine, and the keys that it accepts.
#[derive(Clone, Debug)]
pub struct Server {
    /// Accepts `POST /e/{event_key}`. May have a path, to which that is appended.
    pub event_api: Url,
    /// Accepts everything else. May have a path.
    pub api: Url,
    pub event_key: SecretString,
    /// Empty for a dev server.
    pub signing_keys: SigningKeys,
    /// Replaces the signing key in requests to the v2 API.
    pub api_key: Option<SecretString>,
    /// The environment (`x-inngest-env`), if it is not implied by the keys.
    pub env: Option<String>,
}

/// Limits on waiting, on the size of answers, and on the rate of requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a connection is established.
    pub connect_timeout: Duration,
    /// For all tries and the pauses between them, from connecting to the last byte of the answer.
    pub request_timeout: Duration,
    /// For one try of sending an event, and for one poll. Their callers try again.
    pub poll_timeout: Duration,
    /// The longest answer that is read. Bounds the memory that a broken server can make us use.
    pub max_answer_bytes: usize,
    pub backoff: Backoff,
    /// Requests per second.
    pub polls_per_second: f64,
    /// The longest pause that a server can demand.
    pub longest_hold: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            // A busy server was seen to take 0.2 s.
            request_timeout: Duration::from_secs(10),
            // The page must say within five seconds that a server hangs.
            poll_timeout: Duration::from_secs(4),
            // A run's output is at most 4 MB, and one event rarely has more than a few runs.
            max_answer_bytes: 16 << 20,
            backoff: Backoff {
                tries: 3,
                first_pause: Duration::from_millis(500),
                longest_pause: Duration::from_secs(5),
            },
            polls_per_second: 10.0,
            longest_hold: Duration::from_secs(60),
        }
    }
}

/// An answer, and how long the server will repeat it from its cache.
#[derive(Clone, Debug, PartialEq)]
pub struct Fresh<T> {
    pub data: T,
    /// Zero if nothing is cached.
    pub stays_for: Duration,
}

/// The result of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The server did not know the functions, or knew another version of them.
    pub modified: bool,
}

/// The headers of a registration that a server requested.
#[derive(Clone, Debug, Default)]
pub struct SyncRequest {
    /// The deploy that it belongs to.
    pub deploy_id: Option<String>,
    /// The kind of server that asked; a server of another kind must refuse the registration.
    pub server_kind: Option<String>,
}

/// The only client for an engine. Cheap to clone; clones share their connections.
///
/// Every request may be repeated without harm; a send is idempotent by its seed. Requests that change
/// something are repeated when the failure [is transient](Error::is_transient) and not a timeout. Polls are
/// tried once, within the budget that all clones share.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<Transport>,
    /// The v2 API is not tried before this time.
    without_v2: Arc<Mutex<Option<Instant>>>,
    turn: Turn,
}

/// A turn in the budget's line.
#[derive(Clone, Debug, Default)]
struct Turn {
    user: Option<UserId>,
    priority: Priority,
    /// The turn has come; the next request uses it.
    has_come: Arc<AtomicBool>,
}

impl Turn {
    fn has_come(&self) -> bool {
        self.has_come.swap(false, Ordering::Relaxed)
    }
}

impl Client {
    /// # Errors
    /// [`Error::Setup`] for an address that is not http(s), for a signing key that is not valid in a header,
    /// and, with https, on a machine without CA certificates.
    pub fn new(server: Server) -> Result<Self, Error> {
        Self::with_limits(server, Limits::default())
    }

    /// As [`Client::new`], with other limits.
    pub fn with_limits(server: Server, limits: Limits) -> Result<Self, Error> {
        let transport = Arc::new(Transport::new(server, limits)?);
        Ok(Self { transport, without_v2: Arc::default(), turn: Turn::default() })
    }

    /// Changes how many requests per second all clones make to the server.
    pub fn set_polls_per_second(&self, polls: f64) {
        self.transport.budget.set_rate(polls);
    }

    /// The same client on behalf of `user`: its polls with `priority` take turns with those of other users.
    #[must_use]
    pub fn for_user(&self, user: UserId, priority: Priority) -> Self {
        Self { turn: Turn { user: Some(user), priority, has_come: Arc::default() }, ..self.clone() }
    }

    /// Waits for the turn of a poll with `priority`; the returned client uses it for its next request.
    /// Further requests, such as the list's next page, take turns as [`Priority::Paced`].
    pub async fn turn(&self, user: UserId, priority: Priority) -> Self {
        self.transport.budget.take(Some(user), priority).await;
        self.at_turn(user)
    }

    /// As [`Client::turn`], but only if a turn is available now.
    #[must_use]
    pub fn try_turn(&self, user: UserId) -> Option<Self> {
        self.transport.budget.try_take().then(|| self.at_turn(user))
    }

    fn at_turn(&self, user: UserId) -> Self {
        let client = self.for_user(user, Priority::Paced);
        client.turn.has_come.store(true, Ordering::Relaxed);
        client
    }

    /// Whether the server is a dev server, which keeps everything in memory.
    #[must_use]
    pub fn is_of_dev_server(&self) -> bool {
        self.transport.server.signing_keys.current().is_none()
    }

    /// Sends one event (`POST /e/{key}`). May be repeated with the same seed.
    ///
    /// After [`Error::Unreadable`] the engine may have accepted the event.
    pub async fn send(&self, event: &Event, seed: &EventSeed) -> Result<EventId, Error> {
        #[derive(Deserialize)]
        struct Sent {
            ids: Vec<EventId>,
        }
        let Transport { http, limits, .. } = &*self.transport;
        let (url, seed) = (self.transport.event_endpoint(), seed.to_string());
        let request = || {
            let request = http.post(url.clone()).timeout(limits.poll_timeout);
            request.header(EventSeed::HEADER, &seed).json(event)
        };
        let sent: Sent = self.transport.parse(&self.transport.ask(request).await?.body)?;
        let id = sent.ids.into_iter().next().filter(|id| !id.as_str().is_empty());
        id.ok_or_else(|| Error::Unreadable("it contains no event id".to_owned()))
    }

    /// The runs that an event triggered, in the order of their ids. An empty list can mean "none yet", "none
    /// ever" or an event that the engine does not know.
    ///
    /// Uses the v2 list if the server has it, else v1's, which a server may answer from a cache.
    pub async fn event_runs(&self, event: &EventId) -> Result<Fresh<Vec<Run>>, Error> {
        let mut is_missing = false;
        if !self.is_without_v2() {
            match self.event_runs_v2(event).await {
                Ok(runs) => return Ok(Fresh { data: one_row_per_run(runs), stays_for: Duration::ZERO }),
                Err(error) if self.is_of_no_v2(&error) => is_missing = true,
                // v1 may work although v2 fails.
                Err(error @ Error::Server { .. }) => tracing::debug!(%error, "falling back from v2 to v1"),
                Err(error) => return Err(error),
            }
        }
        let runs = self.event_runs_v1(event).await?;
        if is_missing {
            tracing::debug!("the engine has no v2 list of runs");
            *self.without_v2.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Instant::now() + WITHOUT_V2_FOR);
        }
        Ok(runs)
    }

    /// Whether v2 is used to list the runs of an event, as far as is known.
    #[must_use]
    pub fn has_v2(&self) -> bool {
        !self.is_without_v2()
    }

    fn is_without_v2(&self) -> bool {
        let until = *self.without_v2.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    async fn event_runs_v1(&self, event: &EventId) -> Result<Fresh<Vec<Run>>, Error> {
        let Fresh { data, stays_for } = self.get(&["v1", "events", event.as_str(), "runs"]).await?;
        Ok(Fresh { data: one_row_per_run(data), stays_for })
    }

    /// One run. For an unknown run, Inngest answers 500 ([`Error::Server`]).
    pub async fn run(&self, run: &RunId) -> Result<Fresh<Run>, Error> {
        self.get(&["v1", "runs", run.as_str()]).await
    }

    /// What the engine will do next for a run, such as its next attempt. Empty once the run has ended.
    pub async fn jobs(&self, run: &RunId) -> Result<Vec<Job>, Error> {
        Ok(self.get(&["v1", "runs", run.as_str(), "jobs"]).await?.data)
    }

    /// Cancels a run. A run that has ended stays unchanged, and a call in progress continues to its end.
    ///
    /// Uses v2 if the server has it: for a run that a crash of the server has orphaned, v1 answers success
    /// and does nothing.
    pub async fn cancel(&self, run: &RunId) -> Result<(), Error> {
        let Transport { http, .. } = &*self.transport;
        match self.cancel_v2(run).await {
            // The run was cancelled before.
            Ok(()) | Err(Error::Refused { status: 409, .. }) => return Ok(()),
            Err(error) if self.is_of_no_v2(&error) || matches!(error, Error::Server { .. }) => {}
            Err(error) => return Err(error),
        }
        let url = self.endpoint(&["v1", "runs", run.as_str()]);
        let request = || http.request(Method::DELETE, url.clone());
        self.transport.ask_with_key(request).await.map(drop)
    }

    /// Whether the engine answers and accepts the signing key. Lists the runs of an event that was never
    /// sent, once.
    pub async fn check_api(&self) -> Result<(), Error> {
        let nobodys = EventSeed::generate().event_id(0);
        let url = self.endpoint(&["v1", "events", nobodys.as_str(), "runs"]);
        self.poll(|| self.transport.http.get(url.clone())).await.map(drop)
    }

    /// Whether the engine accepts our event key. Sends an empty list of events, once.
    pub async fn check_event_api(&self) -> Result<(), Error> {
        let request = self.transport.http.post(self.transport.event_endpoint()).json(&Value::Array(vec![]));
        match self.transport.ask_once(request).await {
            // A server may refuse a request without events.
            Ok(_) | Err(Error::Refused { .. } | Error::Unreadable(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Registers an app's functions (`POST /fn/register`), replacing the ones that it had.
    pub async fn register(&self, app: &Registration, sync: &SyncRequest) -> Result<Registered, Error> {
        #[derive(Default, Deserialize)]
        struct Taken {
            #[serde(default)]
            modified: bool,
        }
        let mut url = self.endpoint(&["fn", "register"]);
        if let Some(deploy) = &sync.deploy_id {
            url.query_pairs_mut().append_pair("deployId", deploy);
        }
        let request = || {
            let request = self.transport.http.post(url.clone()).json(app);
            match &sync.server_kind {
                Some(kind) => request.header("x-inngest-expected-server-kind", kind),
                None => request,
            }
        };
        let answer = self.transport.ask_with_key(request).await?;
        let taken: Taken = self.transport.parse(&answer.body)?;
        Ok(Registered { modified: taken.modified })
    }

    /// The outputs of a run's finished steps, when a call had no room for them.
    pub async fn call_steps(&self, run: &RunId) -> Result<Steps, Error> {
        self.of_call(run, "actions").await
    }

    /// The events of a run, when a call had no room for them.
    pub async fn call_events(&self, run: &RunId) -> Result<Vec<CallEvent>, Error> {
        self.of_call(run, "batch").await
    }

    async fn of_call<T: DeserializeOwned>(&self, run: &RunId, what: &str) -> Result<T, Error> {
        let url = self.endpoint(&["v0", "runs", run.as_str(), what]);
        let answer = self.transport.ask_with_key(|| self.transport.http.get(url.clone())).await?;
        self.transport.parse(&answer.body)
    }

    /// The `data` of a v1 answer.
    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Fresh<T>, Error> {
        #[derive(Deserialize)]
        struct Body<T> {
            data: T,
            metadata: Option<Metadata>,
        }
        let url = self.endpoint(path);
        let answer = self.poll(|| self.transport.http.get(url.clone())).await?;
        let body: Body<T> = self.transport.parse(&answer.body)?;
        let stays_for = body.metadata.map_or(Duration::ZERO, |metadata| metadata.stays_for(&answer));
        Ok(Fresh { data: body.data, stays_for })
    }

    /// A poll: limited by the budget, and tried once, because the next poll follows anyway.
    async fn poll(&self, request: impl Fn() -> RequestBuilder) -> Result<ApiResponse, Error> {
        self.transport.poll(&self.turn, request).await
    }

    fn endpoint(&self, path: &[&str]) -> Url {
        endpoint(&self.transport.server.api, path)
    }
}

/// When a server made a v1 answer, and until when it repeats that answer.
#[derive(Deserialize)]
struct Metadata {
    fetched_at: String,
    cached_until: String,
}

impl Metadata {
    fn stays_for(&self, answer: &ApiResponse) -> Duration {
        let times =
            UnixMillis::from_rfc3339(&self.fetched_at).zip(UnixMillis::from_rfc3339(&self.cached_until));
        match times {
            // By the server's own clock; its `Date` is truncated to the second.
            Some((fetched, until)) if until > fetched => {
                until.since(answer.date.unwrap_or_else(UnixMillis::wall)).min(LONGEST_CACHE)
            }
            _ => Duration::ZERO,
        }
    }
}

/// A run that was cancelled during a call is listed a second time once the call returns, with the call's
/// output and a later end. The row that ended first is kept: it was listed before the second one appeared,
/// and the recorded end of a run must not change.
fn one_row_per_run(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_by(|a, b| {
        let of_one_run = || (a.ended_at.is_none(), a.ended_at).cmp(&(b.ended_at.is_none(), b.ended_at));
        a.run_id.cmp(&b.run_id).then_with(of_one_run)
    });
    runs.dedup_by(|later, first| later.run_id == first.run_id);
    runs
}
