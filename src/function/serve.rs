//! The functions' door: `/api/inngest` in the SDK protocol.
//!
//! Every call is signed and is verified over its raw body before anything of it is read. The answer to a
//! verified request is signed too, any other answer is not: what we have signed is accepted as a request.
//! A dev server neither signs nor gets signatures; Runboard then listens on loopback only.

mod body;
pub mod client;
mod sync;

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header as names},
    web,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{CallResult, FUNCTION_ID, PROGRESS_ID, Processor, RUN_ENDED_ID};
use crate::{
    base::{
        limits::{ByteBudget, Rate, RateLimiter},
        time::UnixMillis,
    },
    inngest::{
        Registrar, SigningKeys,
        call::{Call, CallError, NO_RETRY_HEADER, REQ_VERSION_HEADER, SDK, SDK_HEADER},
        signature,
    },
};

/// Where the functions are served.
pub const PATH: &str = "/api/inngest";

/// What we say that we are served by.
pub(super) const FRAMEWORK: &str = "actix-web";
const FRAMEWORK_HEADER: &str = "x-inngest-framework";
const SYNC_KIND_HEADER: &str = "x-inngest-sync-kind";

/// The version of the call protocol that we speak.
const REQ_VERSION: &str = "2";

/// What the bodies hold together that are not verified yet: of the largest, four. One address may hold one of
/// them.
const UNVERIFIED_BYTES: usize = 32 << 20;
const UNVERIFIED_BYTES_EACH: usize = UNVERIFIED_BYTES / 4;

/// A dev server asks for a sync every five seconds.
const SYNCS: Rate = Rate { burst: 10, every: Duration::from_secs(2) };

/// Who may call us, and what we say of ourselves.
pub struct ServeHandler {
    /// Verify what is asked of us; the first one signs the answers.
    pub keys: SigningKeys,
    /// The engine is a dev server: nothing is signed.
    pub is_dev: bool,
    /// Registers when it is asked to.
    pub registrar: Registrar,
    pub engine: EngineLocation,
    pub limits: ServeLimits,
}

/// What all callers share, on whichever listener they come.
#[derive(Debug)]
pub struct ServeLimits {
    /// The memory of bodies that are not verified yet.
    pub unverified: ByteBudget,
    /// Verified requests to register: each asks the engine.
    pub syncs: RateLimiter<()>,
}

impl Default for ServeLimits {
    fn default() -> Self {
        let unverified = ByteBudget::new(UNVERIFIED_BYTES, UNVERIFIED_BYTES_EACH);
        Self { unverified, syncs: RateLimiter::new(SYNCS) }
    }
}

/// Where the engine is, for the introspection request.
#[derive(Clone, Debug)]
pub struct EngineLocation {
    pub api: String,
    pub event_api: String,
    pub env: Option<String>,
}

/// Adds [`PATH`], and `also` if the engine calls us under another path; the app holds the [`Processor`]
/// in its data.
pub fn routes(config: &mut web::ServiceConfig, also: Option<&str>) {
    for path in [Some(PATH), also.filter(|path| *path != PATH)].into_iter().flatten() {
        config.service(
            web::resource(path)
                .route(web::get().to(sync::introspect))
                .route(web::put().to(sync::sync))
                .route(web::post().to(call)),
        );
    }
}

/// What a call's address says.
#[derive(Deserialize)]
struct CallQuery {
    #[serde(rename = "fnId")]
    function_id: String,
}

/// `POST`: a call.
async fn call(processor: web::Data<Processor>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let door = &processor.door;
    let body = match body::verified(&processor, &request, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let query = web::Query::<CallQuery>::from_query(request.query_string());
    let function_id = query.map(|query| query.into_inner().function_id).unwrap_or_default();
    if ![FUNCTION_ID, RUN_ENDED_ID, PROGRESS_ID].contains(&function_id.as_str()) {
        // The status that the specification has for it; another version of us may have it.
        let error = error("There is no such function here.");
        return door.fail(StatusCode::INTERNAL_SERVER_ERROR, Retry::Yes(None), &error);
    }
    let mut call: Call = match serde_json::from_slice(&body) {
        Ok(call) => call,
        Err(why) => {
            tracing::warn!(%why, "cannot read a call");
            return door.fail(StatusCode::BAD_REQUEST, Retry::No, &error("The call could not be read."));
        }
    };
    drop(body);
    if (call.use_api || call.ctx.use_api)
        && let Err(why) = processor.complete(&mut call).await
    {
        tracing::warn!(%why, run = %call.ctx.run_id, "cannot fetch the events and steps that the call left out");
        let error = error("The engine did not tell the rest of the call.");
        return door.fail(StatusCode::INTERNAL_SERVER_ERROR, Retry::Yes(None), &error);
    }
    match function_id.as_str() {
        RUN_ENDED_ID => door.noted(processor.run_ended(&call)),
        PROGRESS_ID => door.noted(processor.progress_told(&call)),
        _ => import(processor, call).await,
    }
}

/// A call of the function that imports.
async fn import(processor: web::Data<Processor>, call: Call) -> HttpResponse {
    // A task of its own: should the engine hang up, the step is finished and committed all the same, and
    // the next call is answered from the table.
    let at_work = processor.clone();
    let door = &processor.door;
    match processor.tasks.spawn(async move { at_work.process_csv_upload(&call).await }).await {
        Ok(CallResult::Steps(ops)) => door.respond(StatusCode::PARTIAL_CONTENT, &ops),
        Ok(CallResult::Done(summary)) => door.respond(StatusCode::OK, &summary),
        Ok(CallResult::Failed { error, retry: Some(after) }) => {
            door.fail(StatusCode::INTERNAL_SERVER_ERROR, Retry::Yes(after), &error)
        }
        Ok(CallResult::Failed { error, retry: None }) => {
            door.fail(StatusCode::BAD_REQUEST, Retry::No, &error)
        }
        Err(why) => {
            tracing::error!(%why, "a call panicked");
            let error = error("The call was interrupted.");
            door.fail(StatusCode::INTERNAL_SERVER_ERROR, Retry::Yes(None), &error)
        }
    }
}

fn error(message: &str) -> CallError {
    CallError {
        name: "Error".to_owned(),
        message: message.to_owned(),
        stack: String::new(),
        line: None,
        same_again: false,
    }
}

fn header<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Whether a call is to be made again, and after what time at the earliest.
#[derive(Clone, Copy)]
enum Retry {
    No,
    Yes(Option<Duration>),
}

impl ServeHandler {
    /// The key that a request is signed with.
    fn key_of(&self, request: &HttpRequest, body: &[u8]) -> Option<&SecretString> {
        self.keys.verify(header(request, signature::HEADER)?, body, UnixMillis::wall())
    }

    /// The answer of a function that only passes on what it is told.
    fn noted(&self, understood: bool) -> HttpResponse {
        if understood {
            return self.respond(StatusCode::OK, &serde_json::Value::Null);
        }
        self.fail(StatusCode::BAD_REQUEST, Retry::No, &error("The event's data are not those of its name."))
    }

    /// A failure that is told to a verified caller.
    fn fail(&self, status: StatusCode, retry: Retry, error: &CallError) -> HttpResponse {
        failure(status, retry, error, self.signing_key())
    }

    /// An answer to a verified request.
    fn respond(&self, status: StatusCode, body: &impl Serialize) -> HttpResponse {
        answer(status, body, self.signing_key())
    }

    /// What verified requests are answered with. In dev mode every request is taken, so nothing is signed,
    /// also if there is a key: it may be that of a server in production.
    fn signing_key(&self) -> Option<&SecretString> {
        self.keys.current().filter(|_| !self.is_dev)
    }
}

fn failure(status: StatusCode, retry: Retry, error: &CallError, key: Option<&SecretString>) -> HttpResponse {
    let mut response = answer(status, error, key);
    let (no_retry, after) = match retry {
        Retry::No => ("true", None),
        Retry::Yes(after) => ("false", after),
    };
    let headers = response.headers_mut();
    headers
        .insert(names::HeaderName::from_static(NO_RETRY_HEADER), names::HeaderValue::from_static(no_retry));
    if let Some(after) = after {
        headers.insert(names::RETRY_AFTER, names::HeaderValue::from(after.as_secs()));
    }
    response
}

/// Signed by `key`, if there is one.
fn answer(status: StatusCode, body: &impl Serialize, key: Option<&SecretString>) -> HttpResponse {
    let body = match serde_json::to_vec(body) {
        Ok(body) => body,
        Err(why) => {
            tracing::error!(%why, "cannot serialize an answer");
            return HttpResponse::InternalServerError().finish();
        }
    };
    let mut response = HttpResponse::build(status);
    response
        .content_type("application/json")
        .insert_header((SDK_HEADER, SDK))
        .insert_header((FRAMEWORK_HEADER, FRAMEWORK))
        .insert_header((REQ_VERSION_HEADER, REQ_VERSION));
    if let Some(key) = key {
        response.insert_header((signature::HEADER, signature::sign(&body, key, UnixMillis::wall())));
    }
    response.body(body)
}
