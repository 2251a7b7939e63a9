//! `GET /healthz`: alive. `GET /readyz`: able to work.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    inngest::{Client, Error},
    store::{self, Store},
};

/// Whoever asks us wants to know soon.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

/// The same, of the database.
const DATABASE_WITHIN: Duration = Duration::from_millis(1_500);

/// However often somebody asks us, the engine is asked no more often than this.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What is known of the engine.
pub struct EngineCheck {
    client: Client,
    last: Mutex<Option<(Instant, Result<(), &'static str>)>>,
}

impl EngineCheck {
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, last: Mutex::default() }
    }

    /// Whether it answers and takes all keys; else what is wrong, for people.
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

pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("alive\n")
}

/// 200 if the database and the engine answer, and the engine takes our keys; else 503 with what is wrong.
pub async fn readyz(store: web::Data<Store>, engine: web::Data<EngineCheck>) -> HttpResponse {
    let database = store::within(DATABASE_WITHIN, store.ping());
    let (database, engine) = tokio::join!(database, engine.look());
    if let Err(error) = &database {
        tracing::warn!(%error, "not ready: database");
    }
    let mut response = if database.is_ok() && engine.is_ok() {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    let database = if database.is_ok() { "ready" } else { "not answering" };
    let engine = engine.err().unwrap_or("ready");
    let body = format!("database: {database}\nengine: {engine}\n");
    response.content_type("text/plain; charset=utf-8").body(body)
}
