//! The function's door: `/api/inngest` in the SDK protocol.
//!
//! Every call is signed and is verified over its raw body before anything of it is read; every answer
//! is signed too.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, FUNCTION_ID, Processor, registration};
use crate::{
    inngest::{
        call::{Call, CallError, NO_RETRY_HEADER, REQ_VERSION_HEADER, SDK, SDK_HEADER},
        signature,
    },
    time::UnixMillis,
};

/// Where the function is served.
pub const PATH: &str = "/api/inngest";

/// What we say that we are served by.
pub(super) const FRAMEWORK: &str = "actix-web";
const FRAMEWORK_HEADER: &str = "x-inngest-framework";

/// The version of the call protocol that we speak.
const REQ_VERSION: &str = "2";

/// The longest body that is read, in bytes: a run's state is at most 32 MB, and of one over 4 MB the
/// engine sends the event only.
const MAX_CALL_BYTES: usize = 40 << 20;

/// The schema of the answer to an introspection, as the SDK specification numbers it.
const INTROSPECTION_SCHEMA: &str = "2024-05-24";

/// Adds [`PATH`]; the app holds the [`Processor`] in its data.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource(PATH)
            .app_data(web::PayloadConfig::new(MAX_CALL_BYTES))
            .route(web::get().to(introspect))
            .route(web::put().to(sync))
            .route(web::post().to(call)),
    );
}

/// What a call's address says.
#[derive(Deserialize)]
struct CallQuery {
    #[serde(rename = "fnId")]
    function_id: String,
}

/// `GET`: what is served here, without anything that is a secret.
async fn introspect(processor: web::Data<Processor>, request: HttpRequest) -> HttpResponse {
    let is_signed = request.headers().contains_key(signature::HEADER);
    let body = json!({
        "authentication_succeeded": is_signed.then(|| processor.is_signed(&request, b"")),
        "function_count": 1,
        "has_event_key": true,
        "has_signing_key": true,
        "has_signing_key_fallback": processor.signing_key_fallback.is_some(),
        "mode": "cloud",
        "schema_version": INTROSPECTION_SCHEMA,
    });
    processor.respond(StatusCode::OK, &body)
}

/// `PUT`: registers the function with the engine, at the address that we were started with.
async fn sync(processor: web::Data<Processor>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    if !processor.is_signed(&request, &body) {
        return processor.refuse_unsigned();
    }
    match processor.engine.register(&registration(&processor.serve_url)).await {
        Ok(()) => processor.respond(StatusCode::OK, &json!({ "message": "Successfully registered" })),
        Err(error) => {
            tracing::warn!(%error, "the function could not be registered");
            let message = "The engine did not take the registration.";
            processor.respond(StatusCode::BAD_GATEWAY, &json!({ "message": message }))
        }
    }
}

/// `POST`: a call.
async fn call(processor: web::Data<Processor>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    if !processor.is_signed(&request, &body) {
        return processor.refuse_unsigned();
    }
    let query = web::Query::<CallQuery>::from_query(request.query_string());
    if !query.is_ok_and(|query| query.function_id == FUNCTION_ID) {
        return processor.fail(StatusCode::NOT_FOUND, false, &error("There is no such function here."));
    }
    let call: Call = match serde_json::from_slice(&body) {
        Ok(call) => call,
        Err(why) => {
            tracing::warn!(%why, "a call could not be read");
            return processor.fail(StatusCode::BAD_REQUEST, false, &error("The call could not be read."));
        }
    };
    drop(body);
    // A task of its own: should the engine hang up, the step is finished and committed all the same, and
    // the next call is answered from the table.
    let at_work = processor.clone();
    match tokio::spawn(async move { at_work.process_csv_upload(&call).await }).await {
        Ok(Answer::Steps(ops)) => processor.respond(StatusCode::PARTIAL_CONTENT, &ops),
        Ok(Answer::Done(summary)) => processor.respond(StatusCode::OK, &summary),
        Ok(Answer::Failed { error, retry: true }) => {
            processor.fail(StatusCode::INTERNAL_SERVER_ERROR, true, &error)
        }
        Ok(Answer::Failed { error, retry: false }) => processor.fail(StatusCode::BAD_REQUEST, false, &error),
        Err(why) => {
            tracing::error!(%why, "a call broke off");
            processor.fail(StatusCode::INTERNAL_SERVER_ERROR, true, &error("The call broke off."))
        }
    }
}

fn error(message: &str) -> CallError {
    CallError { name: "Error".to_owned(), message: message.to_owned(), stack: String::new(), line: None }
}

impl Processor {
    fn is_signed(&self, request: &HttpRequest, body: &[u8]) -> bool {
        let Some(header) = request.headers().get(signature::HEADER).and_then(|value| value.to_str().ok())
        else {
            return false;
        };
        let now = UnixMillis::now();
        let mut keys = [Some(&self.signing_key), self.signing_key_fallback.as_ref()].into_iter().flatten();
        keys.any(|key| signature::verify(header, body, key, now))
    }

    /// May be repeated: the keys may be just being changed.
    fn refuse_unsigned(&self) -> HttpResponse {
        self.fail(StatusCode::UNAUTHORIZED, true, &error("The signature does not hold."))
    }

    fn fail(&self, status: StatusCode, retry: bool, error: &CallError) -> HttpResponse {
        let mut response = self.respond(status, error);
        let no_retry = if retry { "false" } else { "true" };
        response.headers_mut().insert(
            header::HeaderName::from_static(NO_RETRY_HEADER),
            header::HeaderValue::from_static(no_retry),
        );
        response
    }

    /// A signed answer.
    fn respond(&self, status: StatusCode, body: &impl Serialize) -> HttpResponse {
        let body = match serde_json::to_vec(body) {
            Ok(body) => body,
            Err(why) => {
                tracing::error!(%why, "an answer could not be written");
                return HttpResponse::InternalServerError().finish();
            }
        };
        HttpResponse::build(status)
            .content_type("application/json")
            .insert_header((SDK_HEADER, SDK))
            .insert_header((FRAMEWORK_HEADER, FRAMEWORK))
            .insert_header((REQ_VERSION_HEADER, REQ_VERSION))
            .insert_header((signature::HEADER, signature::sign(&body, &self.signing_key, UnixMillis::now())))
            .body(body)
    }
}
