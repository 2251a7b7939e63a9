//! The engine's HTTP API: Inngest's, with correct status codes and without caching. This file has the
//! endpoints for events and registrations and the REST API's v1; `v2` is v1's successor, and `v0` serves the
//! parts of a call that was too large.

mod bearer;
mod checkpoint;
mod v0;
mod v2;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header},
    middleware::{DefaultHeaders, from_fn},
    web,
};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;
use ulid::Ulid;

use self::bearer::{is_same, require_signing_key};
use super::{Engine, caller::job_id, events, functions};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    inngest::{EventSeed, Job, Run},
    store::{
        self,
        engine::runs::{Cancelled, QueuedJob},
    },
};

/// The longest request body. One event has at most 3 MiB.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// The kind of server that checks keys and signs, in the terms of the SDK protocol. Every answer contains it.
const SERVER_KIND: &str = "cloud";
const KIND_HEADER: &str = "x-inngest-server-kind";
const EXPECTED_KIND_HEADER: &str = "x-inngest-expected-server-kind";

const TEXT: &str = "text/plain; charset=utf-8";

/// Mounts the API. Needs the [`Engine`] in the application's data.
pub fn routes(config: &mut web::ServiceConfig) {
    let kind = || DefaultHeaders::new().add((KIND_HEADER, SERVER_KIND));
    let guard = || from_fn(require_signing_key);
    config
        .service(web::resource("/health").wrap(kind()).get(health))
        .service(web::resource("/e/{event_key}").wrap(kind()).post(send))
        .service(web::resource("/fn/register").wrap(guard()).wrap(kind()).post(register))
        .service(web::scope("/v0").wrap(guard()).wrap(kind()).configure(v0::routes))
        .service(
            web::scope("/v1")
                .wrap(guard())
                .wrap(kind())
                .service(web::resource("/events/{event_id}/runs").get(event_runs))
                .service(web::resource("/runs/{run_id}").get(run).delete(cancel))
                .service(web::resource("/runs/{run_id}/jobs").get(jobs))
                .service(web::resource("/checkpoint/{run_id}/async").post(checkpoint::keep)),
        );
    // Inngest Cloud has the first prefix, a self-hosted server has both.
    for prefix in ["/v2", "/api/v2"] {
        config.service(web::scope(prefix).wrap(guard()).wrap(kind()).configure(v2::routes));
    }
}

/// Why a request to the REST API is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("Invalid event ID: {0}")]
    EventId(String),
    #[error("Invalid run ID: {0}")]
    RunId(String),
    #[error("Unable to load function run: {0}")]
    NoRun(RunId),
    #[error("Invalid checkpoint: {0}")]
    Checkpoint(String),
    #[error("The call is no longer the run's")]
    Stale,
    #[error("Another replica calls its own functions")]
    DoesNotLead,
    #[error("Unable to read or write the database")]
    Store(#[from] store::Error),
    #[error("Unable to read the run's state")]
    State(#[from] serde_json::Error),
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::EventId(_) | Self::RunId(_) | Self::Checkpoint(_) => StatusCode::BAD_REQUEST,
            Self::Stale | Self::DoesNotLead => StatusCode::CONFLICT,
            Self::NoRun(_) => StatusCode::NOT_FOUND,
            Self::Store(_) | Self::State(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let cause: Option<&dyn std::error::Error> = match self {
            Self::Store(error) => Some(error),
            Self::State(error) => Some(error),
            _ => None,
        };
        if let Some(error) = cause {
            tracing::error!(%error, "the engine could not answer");
        }
        let status = self.status_code();
        let body = json!({"error": self.to_string(), "data": null, "status": status.as_u16()});
        HttpResponse::build(status).json(body)
    }
}

/// A run in Inngest's format, including two fields that have no meaning here.
#[derive(Serialize)]
struct RunBody {
    #[serde(flatten)]
    run: Run,
    function_version: u32,
    environment_id: &'static str,
}

impl From<Run> for RunBody {
    fn from(run: Run) -> Self {
        Self { run, function_version: 0, environment_id: "00000000-0000-0000-0000-000000000000" }
    }
}

/// A job in Inngest's format, without the internal data of its queue (`Raw`).
#[derive(Serialize)]
struct JobBody {
    #[serde(rename = "JobID")]
    id: String,
    #[serde(flatten)]
    job: Job,
    position: u32,
}

impl JobBody {
    fn new(run: &RunId, queued: QueuedJob) -> Self {
        Self { id: job_id(run, queued.steps as usize), job: queued.job, position: 0 }
    }
}

async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": 200, "message": "OK"}))
}

/// `POST /e/{event_key}`: accepts one event or an array of events, all or none. The answer is sent after the
/// commit, so that an accepted event is never lost.
async fn send(
    engine: web::Data<Engine>,
    event_key: web::Path<String>,
    request: HttpRequest,
    body: web::Payload,
) -> HttpResponse {
    if !is_same(&event_key, engine.keys.event_key.expose_secret()) {
        let body = json!({"status": 401, "message": "", "error": "Event key not found"});
        return HttpResponse::Unauthorized().json(body);
    }
    let seed = match request.headers().get(EventSeed::HEADER) {
        None => None,
        // A malformed seed must not be ignored: a repeated send would not be safe.
        Some(value) => match value.to_str().ok().and_then(EventSeed::parse) {
            Some(seed) => Some(seed),
            None => return event_answer(StatusCode::BAD_REQUEST, &[], Some("event id seed is malformed")),
        },
    };
    let Ok(read) = body.to_bytes_limited(MAX_BODY_BYTES).await else {
        return event_answer(StatusCode::PAYLOAD_TOO_LARGE, &[], Some("request body is too large"));
    };
    let Ok(body) = read else {
        return event_answer(StatusCode::BAD_REQUEST, &[], Some("request body broke off"));
    };
    let received = events::ReceivedAt::now();
    let events = match events::parse(&body, seed.as_ref(), received) {
        Ok(events) => events,
        Err(why) => return event_answer(StatusCode::BAD_REQUEST, &[], Some(&why)),
    };
    if let Err(error) = engine.store.engine_accept(&events, engine.get_ref(), received.now).await {
        tracing::error!(%error, "cannot record the events");
        return event_answer(StatusCode::INTERNAL_SERVER_ERROR, &[], Some("cannot record the events"));
    }
    engine.news.notify_one();
    let ids: Vec<&EventId> = events.iter().map(|event| &event.id).collect();
    event_answer(StatusCode::OK, &ids, None)
}

/// An answer in the format of `/e`: ids in the request's order, or one empty id if there are none.
fn event_answer(status: StatusCode, ids: &[&EventId], error: Option<&str>) -> HttpResponse {
    let ids = if ids.is_empty() { json!([""]) } else { json!(ids) };
    let mut body = json!({"ids": ids, "status": status.as_u16()});
    if let Some(error) = error {
        body["error"] = json!(error);
    }
    HttpResponse::build(status).content_type(TEXT).body(format!("{body}\n"))
}

/// `GET /v1/events/{event_id}/runs`. An unknown event has an empty list, as an event that triggers nothing.
async fn event_runs(engine: web::Data<Engine>, event_id: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let event = ulid(&event_id).map(EventId::from).ok_or_else(|| Refusal::EventId(event_id.into_inner()))?;
    let runs = engine.store.engine_event_runs(&event).await?;
    Ok(envelope(runs.into_iter().map(RunBody::from).collect::<Vec<_>>()))
}

/// `GET /v1/runs/{run_id}`.
async fn run(engine: web::Data<Engine>, run_id: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let id = ulid(&run_id).map(RunId::from).ok_or_else(|| Refusal::RunId(run_id.into_inner()))?;
    let run = engine.store.engine_run(&id).await?.ok_or(Refusal::NoRun(id))?;
    Ok(envelope(RunBody::from(run)))
}

/// `GET /v1/runs/{run_id}/jobs`: the current or next call; empty once the run has ended.
async fn jobs(engine: web::Data<Engine>, run_id: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let id = ulid(&run_id).map(RunId::from).ok_or_else(|| Refusal::RunId(run_id.into_inner()))?;
    let queued = engine.store.engine_job(&id).await?;
    if queued.is_none() && engine.store.engine_run(&id).await?.is_none() {
        return Err(Refusal::NoRun(id));
    }
    Ok(envelope(queued.map(|queued| JobBody::new(&id, queued)).into_iter().collect::<Vec<_>>()))
}

/// `DELETE /v1/runs/{run_id}`: cancels at once. A call in progress is not interrupted, but its answer is
/// ignored.
async fn cancel(engine: web::Data<Engine>, run_id: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let id = ulid(&run_id).map(RunId::from).ok_or_else(|| Refusal::RunId(run_id.into_inner()))?;
    match engine.cancel(&id).await? {
        Cancelled::Now | Cancelled::EndedBefore(_) => {
            Ok(HttpResponse::Ok().content_type("application/json").finish())
        }
        Cancelled::NoSuchRun => Err(Refusal::NoRun(id)),
    }
}

/// `POST /fn/register`: replaces the functions of an app.
async fn register(engine: web::Data<Engine>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let expected = request.headers().get(EXPECTED_KIND_HEADER).and_then(|value| value.to_str().ok());
    if let Some(expected) = expected.filter(|kind| *kind != SERVER_KIND) {
        let error = format!("Expected server kind {SERVER_KIND}, got {expected}");
        return text_answer(StatusCode::BAD_REQUEST, &json!({"error": error}));
    }
    let Ok(Ok(body)) = body.to_bytes_limited(MAX_BODY_BYTES).await else {
        let error = json!({"error": "Invalid request: the body is incomplete or too large"});
        return text_answer(StatusCode::BAD_REQUEST, &error);
    };
    let app = match functions::parse(&body) {
        Ok(app) => app,
        Err(refusal) => {
            let body = json!({"error": refusal.to_string(), "data": null, "status": 400});
            return text_answer(StatusCode::BAD_REQUEST, &body);
        }
    };
    let synced =
        engine.store.engine_sync(&app.name, &app.functions, engine.serves_itself, UnixMillis::now()).await;
    match synced {
        Ok(None) => Refusal::DoesNotLead.error_response(),
        Ok(Some(modified)) => {
            let sync = functions::uuid(&format!("sync {}", Ulid::new()));
            let body = json!({"ok": true, "modified": modified, "sync_id": sync, "app_id": app.id()});
            text_answer(StatusCode::OK, &body)
        }
        Err(error) => Refusal::from(error).error_response(),
    }
}

fn text_answer(status: StatusCode, body: &serde_json::Value) -> HttpResponse {
    HttpResponse::build(status).content_type(TEXT).body(body.to_string())
}

/// The answer to a `GET`. Nothing is cached: `cached_until` is now.
fn envelope(data: impl Serialize) -> HttpResponse {
    let now = UnixMillis::now().to_string();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({"data": data, "metadata": {"fetched_at": now, "cached_until": now}}))
}

/// A ULID in its canonical form. Also accepts lower case.
fn ulid(text: &str) -> Option<String> {
    Ulid::from_string(text).ok().map(|id| id.to_string())
}
