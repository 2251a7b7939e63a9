//! The endpoint of the functions: `/api/inngest` in the SDK protocol.
//!
//! Every call's signature is verified over its raw body before the body is parsed. Answers to verified
//! requests are signed. Other answers are not, because a text that we have signed would be accepted as a
//! request. A dev server neither signs nor expects signatures; Runboard then listens on loopback only.

mod body;
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

/// The path of the endpoint.
pub const PATH: &str = "/api/inngest";

/// The framework that we report.
pub(super) const FRAMEWORK: &str = "actix-web";
const FRAMEWORK_HEADER: &str = "x-inngest-framework";
const SYNC_KIND_HEADER: &str = "x-inngest-sync-kind";

/// The version of the call protocol that we speak.
const REQ_VERSION: &str = "2";

/// The memory for bodies that are not verified yet: four of the largest. One address may hold one of those.
const UNVERIFIED_BYTES: usize = 32 << 20;
const UNVERIFIED_BYTES_EACH: usize = UNVERIFIED_BYTES / 4;

/// A dev server requests a sync every five seconds.
const SYNCS: Rate = Rate { burst: 10, every: Duration::from_secs(2) };

/// Who may call us, and what we report about ourselves.
pub struct ServeHandler {
    /// The keys that verify requests. The first one signs the answers.
    pub keys: SigningKeys,
    /// The engine is a dev server: nothing is signed.
    pub is_dev: bool,
    /// Registers on request.
    pub registrar: Registrar,
    pub engine: EngineLocation,
    pub limits: ServeLimits,
}

/// Limits that all callers share, on every listener.
#[derive(Debug)]
pub struct ServeLimits {
    /// The memory for bodies that are not verified yet.
    pub unverified: ByteBudget,
    /// Limits verified requests to register, because each makes a request to the engine.
    pub syncs: RateLimiter<()>,
}

impl Default for ServeLimits {
    fn default() -> Self {
        let unverified = ByteBudget::new(UNVERIFIED_BYTES, UNVERIFIED_BYTES_EACH);
        Self { unverified, syncs: RateLimiter::new(SYNCS) }
    }
}

/// The engine's address, for the introspection request.
#[derive(Clone, Debug)]
pub struct EngineLocation {
    pub api: String,
    pub event_api: String,
    pub env: Option<String>,
}

/// Adds [`PATH`], and `also` if the engine calls us under another path. Needs the [`Processor`] in the app's
/// data.
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

/// The query parameters of a call.
#[derive(Deserialize)]
struct CallQuery {
    #[serde(rename = "fnId")]
    function_id: String,
}

/// `POST`: a call.
async fn call(processor: web::Data<Processor>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let handler = &processor.handler;
    let body = match body::verified(&processor, &request, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let query = web::Query::<CallQuery>::from_query(request.query_string());
    let function_id = query.map(|query| query.into_inner().function_id).unwrap_or_default();
    if ![FUNCTION_ID, RUN_ENDED_ID, PROGRESS_ID].contains(&function_id.as_str()) {
        // The status that the specification prescribes. Another version of Runboard may have the function.
        let error = error("There is no such function here.");
        return handler.fail(StatusCode::INTERNAL_SERVER_ERROR, Retry::Yes(None), &error);
    }
    let mut call: Call = match serde_json::from_slice(&body) {
        Ok(call) => call,
        Err(why) => {
            tracing::warn!(%why, "cannot read a call");
            return handler.fail(StatusCode::BAD_REQUEST, Retry::No, &error("The call could not be read."));
        }
    };
    drop(body);
    if (call.use_api || call.ctx.use_api)
        && let Err(why) = processor.complete(&mut call).await
    {
        tracing::warn!(%why, run = %call.ctx.run_id, "cannot fetch the events and steps that the call left out");
        let error = error("The rest of the call could not be fetched from the engine.");
        return handler.fail(StatusCode::INTERNAL_SERVER_ERROR, Retry::Yes(None), &error);
    }
    match function_id.as_str() {
        RUN_ENDED_ID => handler.noted(processor.run_ended(&call)),
        PROGRESS_ID => handler.noted(processor.progress_reported(&call)),
        _ => import(processor, call).await,
    }
}

/// A call of the function that imports.
async fn import(processor: web::Data<Processor>, call: Call) -> HttpResponse {
    // A separate task: if the engine hangs up, the step is still finished and committed, and the next call is
    // answered from the table.
    let at_work = processor.clone();
    let handler = &processor.handler;
    match processor.tasks.spawn(async move { at_work.process_csv_upload(&call).await }).await {
        Ok(CallResult::Steps(ops)) => handler.respond(StatusCode::PARTIAL_CONTENT, &ops),
        Ok(CallResult::Done(summary)) => handler.respond(StatusCode::OK, &summary),
        Ok(CallResult::Failed { error, retry: Some(after) }) => {
            handler.fail(StatusCode::INTERNAL_SERVER_ERROR, Retry::Yes(after), &error)
        }
        Ok(CallResult::Failed { error, retry: None }) => {
            handler.fail(StatusCode::BAD_REQUEST, Retry::No, &error)
        }
        Err(why) => {
            tracing::error!(%why, "a call panicked");
            let error = error("The call was interrupted.");
            handler.fail(StatusCode::INTERNAL_SERVER_ERROR, Retry::Yes(None), &error)
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

/// Whether the engine should retry a call, and the earliest time for that.
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

    /// The answer of a function that only passes on a report.
    fn noted(&self, understood: bool) -> HttpResponse {
        if understood {
            return self.respond(StatusCode::OK, &serde_json::Value::Null);
        }
        self.fail(StatusCode::BAD_REQUEST, Retry::No, &error("The event's data are not those of its name."))
    }

    /// A failure, reported to a verified caller.
    fn fail(&self, status: StatusCode, retry: Retry, error: &CallError) -> HttpResponse {
        failure(status, retry, error, self.signing_key())
    }

    /// An answer to a verified request.
    fn respond(&self, status: StatusCode, body: &impl Serialize) -> HttpResponse {
        answer(status, body, self.signing_key())
    }

    /// The key that signs answers to verified requests. In dev mode every request counts as verified, so
    /// nothing is signed even if a key is set, which could be a production server's.
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

/// Signed with `key`, if there is one.
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
