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

/// How long a server that has no v2 API is taken to have none.
const WITHOUT_V2_FOR: Duration = Duration::from_secs(10 * 60);

/// What is said not to change for longer than this is asked for again all the same.
const LONGEST_CACHE: Duration = Duration::from_secs(60);

/// Where an engine is and the keys it takes.
#[derive(Clone, Debug)]
pub struct Server {
    /// Takes `POST /e/{event_key}`. May have a path, to which that is added.
    pub event_api: Url,
    /// Takes everything else. May have a path.
    pub api: Url,
    pub event_key: SecretString,
    /// None for a dev server.
    pub signing_keys: SigningKeys,
    /// Replaces the signing key in requests to the v2 API.
    pub api_key: Option<SecretString>,
    /// The environment (`x-inngest-env`), where it is not the keys' own.
    pub env: Option<String>,
}

/// How long the client waits, how much it reads, and how often it asks.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Of all tries and the pauses between them, from connecting to the answer's last byte.
    pub request_timeout: Duration,
    /// Of one try of an event, and of a question that is one of many: their callers try again.
    pub poll_timeout: Duration,
    /// The longest answer that is read. Bounds what a broken server can make us hold in memory.
    pub max_answer_bytes: usize,
    pub backoff: Backoff,
    /// How many questions are asked per second.
    pub polls_per_second: f64,
    /// How long a server may have us ask nothing.
    pub longest_hold: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            // A busy server was seen to take 0.2 s.
            request_timeout: Duration::from_secs(10),
            // A server that hangs must be named within five seconds.
            poll_timeout: Duration::from_secs(4),
            // A run's output is at most 4 MB, and one event seldom has more than a few runs.
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

/// What a server said, and for how long it may say the same: it keeps answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Fresh<T> {
    pub data: T,
    /// Zero where nothing is kept.
    pub stays_for: Duration,
}

/// What came of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The server did not know the functions, or not as they are now.
    pub modified: bool,
}

/// What a registration on request is sent with.
#[derive(Clone, Debug, Default)]
pub struct SyncRequest {
    /// The deploy it belongs to.
    pub deploy_id: Option<String>,
    /// The kind of server that asked: no other is to take it.
    pub server_kind: Option<String>,
}

/// The only way to an engine. Cheap to clone; clones share their connections.
///
/// Every request may be repeated without harm (sending too, by its seed). Those that change something
/// are, when the failure [is transient](Error::is_transient) and no timeout; questions about runs are asked
/// once, inside the budget that all of them share.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<Transport>,
    /// Until when v2 is not asked for.
    without_v2: Arc<Mutex<Option<Instant>>>,
    turn: Turn,
}

/// A place among those who question the server.
#[derive(Clone, Debug, Default)]
struct Turn {
    user: Option<UserId>,
    priority: Priority,
    /// The turn has come; the next question uses it up.
    has_come: Arc<AtomicBool>,
}

impl Turn {
    fn has_come(&self) -> bool {
        self.has_come.swap(false, Ordering::Relaxed)
    }
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
        let transport = Arc::new(Transport::new(server, limits)?);
        Ok(Self { transport, without_v2: Arc::default(), turn: Turn::default() })
    }

    /// The same client, asking on behalf of `user`: its questions of `priority` take turns with those of others.
    #[must_use]
    pub fn for_user(&self, user: UserId, priority: Priority) -> Self {
        Self { turn: Turn { user: Some(user), priority, has_come: Arc::default() }, ..self.clone() }
    }

    /// Waits for the turn of a question of `priority`, which the client that is given uses for its next one.
    /// What that one leads to, such as the list's next page, takes turns as [`Priority::Paced`].
    pub async fn turn(&self, user: UserId, priority: Priority) -> Self {
        self.transport.budget.take(Some(user), priority).await;
        self.at_turn(user)
    }

    /// As [`Client::turn`], if there is a question to spare right now.
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

    /// Sends one event (`POST /e/{key}`); with the same seed as often as needed.
    ///
    /// [`Error::Unreadable`] does not say that the event was not taken.
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
        id.ok_or_else(|| Error::Unreadable("it names no event".to_owned()))
    }

    /// The runs that an event triggered, in the order of their ids. Empty means "none yet" as well
    /// as "none ever", also for an event that the engine does not know.
    ///
    /// The v2 list where the server has it; else v1's, which a server may answer from a cache.
    pub async fn event_runs(&self, event: &EventId) -> Result<Fresh<Vec<Run>>, Error> {
        let mut is_missing = false;
        if !self.is_without_v2() {
            match self.event_runs_v2(event).await {
                Ok(runs) => return Ok(Fresh { data: one_row_per_run(runs), stays_for: Duration::ZERO }),
                Err(error) if self.is_of_no_v2(&error) => is_missing = true,
                // Perhaps only this way is in trouble.
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

    /// Whether the runs of an event are listed by v2, as far as is known.
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

    /// One run. For one that it does not know, Inngest says 500 ([`Error::Server`]).
    pub async fn run(&self, run: &RunId) -> Result<Fresh<Run>, Error> {
        self.get(&["v1", "runs", run.as_str()]).await
    }

    /// What is to be done next for a run: its next attempt, among others. Nothing once it has ended.
    pub async fn jobs(&self, run: &RunId) -> Result<Vec<Job>, Error> {
        Ok(self.get(&["v1", "runs", run.as_str(), "jobs"]).await?.data)
    }

    /// Cancels a run; one that has ended stays as it is. What a call is doing goes on to its end.
    ///
    /// By v2 where the server has it: v1 says yes to a run that a crash of the server has orphaned, and
    /// does nothing.
    pub async fn cancel(&self, run: &RunId) -> Result<(), Error> {
        let Transport { http, .. } = &*self.transport;
        match self.cancel_v2(run).await {
            // It was cancelled before.
            Ok(()) | Err(Error::Refused { status: 409, .. }) => return Ok(()),
            Err(error) if self.is_of_no_v2(&error) || matches!(error, Error::Server { .. }) => {}
            Err(error) => return Err(error),
        }
        let url = self.endpoint(&["v1", "runs", run.as_str()]);
        let request = || http.request(Method::DELETE, url.clone());
        self.transport.ask_with_key(request).await.map(drop)
    }

    /// Whether the engine answers and takes the signing key: asks for the runs of an event that was never
    /// sent, once.
    pub async fn check_api(&self) -> Result<(), Error> {
        let nobodys = EventSeed::generate().event_id(0);
        let url = self.endpoint(&["v1", "events", nobodys.as_str(), "runs"]);
        self.poll(|| self.transport.http.get(url.clone())).await.map(drop)
    }

    /// Whether the engine takes events under our key: sends none, once.
    pub async fn check_event_api(&self) -> Result<(), Error> {
        let request = self.transport.http.post(self.transport.event_endpoint()).json(&Value::Array(vec![]));
        match self.transport.ask_once(request).await {
            // A server may think little of a request without events.
            Ok(_) | Err(Error::Refused { .. } | Error::Unreadable(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Registers an app's functions (`POST /fn/register`), in place of those it had.
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

    /// The outputs of a run's finished steps, of which a call had no room.
    pub async fn call_steps(&self, run: &RunId) -> Result<Steps, Error> {
        self.of_call(run, "actions").await
    }

    /// The events of a run, of which a call had no room.
    pub async fn call_events(&self, run: &RunId) -> Result<Vec<CallEvent>, Error> {
        self.of_call(run, "batch").await
    }

    async fn of_call<T: DeserializeOwned>(&self, run: &RunId, what: &str) -> Result<T, Error> {
        let url = self.endpoint(&["v0", "runs", run.as_str(), what]);
        let answer = self.transport.ask_with_key(|| self.transport.http.get(url.clone())).await?;
        self.transport.parse(&answer.body)
    }

    /// The `data` of an answer of the v1 API.
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

    /// A question that is one of many: inside the budget, and tried once, for the next one comes anyway.
    async fn poll(&self, request: impl Fn() -> RequestBuilder) -> Result<ApiResponse, Error> {
        self.transport.poll(&self.turn, request).await
    }

    fn endpoint(&self, path: &[&str]) -> Url {
        endpoint(&self.transport.server.api, path)
    }
}

/// When a server made an answer of the v1 API, and until when it gives the same one.
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
            // By the server's own clock; its Date is cut to the second.
            Some((fetched, until)) if until > fetched => {
                until.since(answer.date.unwrap_or_else(UnixMillis::wall)).min(LONGEST_CACHE)
            }
            _ => Duration::ZERO,
        }
    }
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
