//! `GET /healthz`: the process is alive. `GET /readyz`: it is able to work.

use std::{
    io,
    sync::{Arc, Mutex as SyncMutex, PoisonError},
    time::Duration,
};

use actix_web::{HttpResponse, web};
use tokio::{
    sync::{Mutex, watch},
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    base::tasks::Tasks,
    files::{STORAGE_AWAY, Storage},
    inngest::{Client, Error},
    replicas::Replicas,
    store::{self, Store},
};

/// Load balancers have short timeouts, so the answer must come within this time.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

/// The engine is asked at most this often, however often `/readyz` is requested.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How long a replica may hear nothing from the others: its connection breaks now and then, and is made again.
const HEARS_AGAIN_WITHIN: Duration = Duration::from_secs(5);

/// The last known state of the engine.
pub struct EngineCheck {
    client: Client,
    last: Mutex<Option<(Instant, Result<(), &'static str>)>>,
}

impl EngineCheck {
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, last: Mutex::default() }
    }

    /// Whether the engine answers and accepts all keys. If not, what is wrong, for people.
    async fn look(&self) -> Result<(), &'static str> {
        let mut last = self.last.lock().await;
        if let Some((at, verdict)) = *last
            && at.elapsed() < ASK_AGAIN_AFTER
        {
            return verdict;
        }
        let (client, api_key) = (&self.client, self.client.check_api_key());
        let asked = async { tokio::join!(client.check_api(), api_key, client.check_event_api()) };
        let verdict = match timeout(ANSWER_WITHIN, asked).await {
            Ok((api, api_key, events)) => verdict(api, "does not take the signing key")
                .and(verdict(api_key, "does not take the API key"))
                .and(verdict(events, "does not take the event key")),
            Err(_) => Err("not answering"),
        };
        *last = Some((Instant::now(), verdict));
        verdict
    }
}

fn verdict(answer: Result<(), Error>, refused: &'static str) -> Result<(), &'static str> {
    let Err(error) = answer else { return Ok(()) };
    tracing::warn!(%error, "not ready: engine");
    Err(match error {
        Error::Unauthorized { .. } => refused,
        Error::RateLimited { .. } => "is rate-limiting us",
        Error::Unreadable(_) | Error::NotFound { .. } | Error::Refused { .. } => {
            "answers, but not like an engine"
        }
        Error::Setup(_) | Error::Unreachable(_) | Error::TimedOut(_) | Error::Server { .. } => {
            "not answering"
        }
    })
}

/// Whether this process, if it is one of several replicas, has a part in their work.
#[derive(Clone)]
pub struct ReplicaCheck {
    replicas: Replicas,
    /// Since when nothing is heard from the others; None while something is.
    deaf_since: Arc<SyncMutex<Option<Instant>>>,
}

impl ReplicaCheck {
    /// Looks until `tasks` is stopped.
    #[must_use]
    pub fn new(replicas: Replicas, tasks: &Tasks) -> Self {
        let check = Self { replicas, deaf_since: Arc::new(SyncMutex::new(Some(Instant::now()))) };
        if check.replicas.is_alone() {
            return check;
        }
        let (deaf_since, stopping) = (Arc::clone(&check.deaf_since), tasks.stopping().clone());
        let mut connected = check.replicas.bus().is_connected();
        tasks.spawn(async move {
            let look = async {
                loop {
                    let is_connected = *connected.borrow_and_update();
                    {
                        let mut since = deaf_since.lock().unwrap_or_else(PoisonError::into_inner);
                        // Each attempt that fails is told, and the first one counts.
                        *since = if is_connected { None } else { since.or_else(|| Some(Instant::now())) };
                    }
                    if connected.changed().await.is_err() {
                        return;
                    }
                }
            };
            stopping.run_until_cancelled(look).await;
        });
        check
    }

    /// None: no other process can use the database.
    fn look(&self) -> Option<Result<(), &'static str>> {
        if self.replicas.is_alone() {
            return None;
        }
        if self.replicas.tenure().borrow().id.is_none() {
            return Some(Err("this one has lost its leases"));
        }
        let deaf_since = *self.deaf_since.lock().unwrap_or_else(PoisonError::into_inner);
        let is_deaf = deaf_since.is_some_and(|since| since.elapsed() > HEARS_AGAIN_WITHIN);
        Some(if is_deaf { Err("this one hears nothing from the others") } else { Ok(()) })
    }

    /// The line that says whether this one leads. Empty if no other process can use the database.
    fn lead(&self) -> &'static str {
        match (self.replicas.is_alone(), self.replicas.leads()) {
            (true, _) => "",
            (false, true) => "leads: yes\n",
            (false, false) => "leads: no\n",
        }
    }
}

pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("alive\n")
}

/// What the server needs in order to work.
pub struct Health {
    pub store: Store,
    pub storage: Storage,
    /// Whether this process holds the lock of the database.
    pub lock: watch::Receiver<bool>,
    pub replicas: ReplicaCheck,
    pub engine: Arc<EngineCheck>,
    /// Cancelled when the server begins to stop: requests belong elsewhere then.
    pub stopping: CancellationToken,
    /// Held by the one running check of the disk.
    pub probe: Arc<Mutex<()>>,
}

impl Health {
    async fn database(&self) -> Result<(), &'static str> {
        let ping = store::within(ANSWER_WITHIN, self.store.ping());
        // With SQLite, a ping waits for a free connection like any other work.
        let Ok(answer) = timeout(ANSWER_WITHIN, ping).await else { return Err("not answering") };
        match answer {
            Ok(()) if !*self.lock.borrow() => Err("in use by another Runboard, or was away just now"),
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "not ready: database");
                Err(if matches!(error, store::Error::Gone { .. }) { "gone" } else { "not answering" })
            }
        }
    }

    /// Checked anew each time, because the answer must be current, but by one thread at a time: a hanging
    /// disk must not block all threads.
    async fn files(&self) -> Result<(), &'static str> {
        let probe = async {
            let turn = Arc::clone(&self.probe).lock_owned().await;
            let storage = self.storage.clone();
            let written = move || {
                let _turn = turn;
                storage.check()
            };
            spawn_blocking(written).await
        };
        let error = match timeout(ANSWER_WITHIN, probe).await {
            Err(_) => {
                tracing::warn!("not ready: stored files do not answer");
                return Err("not answering");
            }
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => error,
            Ok(Err(error)) => error.into(),
        };
        tracing::warn!(%error, "not ready: stored files");
        Err(match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no room left",
            STORAGE_AWAY => "not answering",
            _ => "cannot be written",
        })
    }
}

/// 200 if the database and the engine answer, the engine accepts our keys, files can be stored (or the bucket answers a
/// read), of several replicas this one has its leases and hears the others, and the server is not stopping; else 503 with
/// what is wrong.
pub async fn readyz(health: web::Data<Health>) -> HttpResponse {
    // A separate task: a visitor who hangs up must not abort the request, or the next visitor repeats it.
    let engine = Arc::clone(&health.engine);
    let engine = tokio::spawn(async move { engine.look().await });
    let (database, files, engine) = tokio::join!(health.database(), health.files(), engine);
    let engine = engine.unwrap_or(Err("could not be asked"));
    let mut parts = vec![("database", database), ("files", files), ("engine", engine)];
    parts.extend(health.replicas.look().map(|replica| ("replicas", replica)));
    if health.stopping.is_cancelled() {
        parts.push(("server", Err("stopping")));
    }
    let mut response = if parts.iter().all(|(_, state)| state.is_ok()) {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    let line =
        |(name, state): (&str, Result<(), &str>)| format!("{name}: {}\n", state.err().unwrap_or("ready"));
    let mut body: String = parts.into_iter().map(line).collect();
    body.push_str(health.replicas.lead());
    response.content_type("text/plain; charset=utf-8").body(body)
}
