//! Requests about the app as a whole: introspection (`GET`) and registration (`PUT`).

use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{FRAMEWORK, Retry, SYNC_KIND_HEADER, answer, body, error, header};
use crate::{
    function::{APP_ID, Processor},
    inngest::{
        Error, SyncRequest,
        call::SDK,
        signature::{self, bearer, split_prefix},
    },
};

/// The schema of the introspection answer, as the SDK specification numbers it.
const INTROSPECTION_SCHEMA: &str = "2024-05-24";

/// How many digits of a key's hash are shown: enough to distinguish keys. The whole hash would open the REST
/// API.
const SHOWN_OF_A_HASH: usize = 12;

const IN_BAND: &str = "in_band";
const OUT_OF_BAND: &str = "out_of_band";

/// The query parameters of a sync.
#[derive(Deserialize)]
pub struct SyncQuery {
    #[serde(rename = "deployId")]
    deploy_id: Option<String>,
}

/// `GET`: describes the app. A request with a valid signature gets more details, but no secret. Any other
/// answer is not signed.
pub async fn introspect(processor: web::Data<Processor>, request: HttpRequest) -> HttpResponse {
    let claims = request.headers().contains_key(signature::HEADER);
    let is_known = claims && processor.handler.key_of(&request, b"").is_some();
    let body = inspection(&processor, claims.then_some(is_known));
    answer(StatusCode::OK, &body, processor.handler.signing_key().filter(|_| is_known))
}

/// `succeeded`: whether a signature is valid; None without one.
fn inspection(processor: &Processor, succeeded: Option<bool>) -> Value {
    let handler = &processor.handler;
    let mut body = json!({
        "authentication_succeeded": succeeded,
        "extra": {},
        "function_count": handler.registrar.app().functions.len(),
        "has_event_key": true,
        "has_signing_key": handler.keys.current().is_some(),
        "has_signing_key_fallback": handler.keys.fallback().is_some(),
        "mode": if handler.is_dev { "dev" } else { "cloud" },
        "schema_version": INTROSPECTION_SCHEMA,
    });
    if succeeded == Some(true) {
        let hash = |key| split_prefix(&bearer(key)).1.chars().take(SHOWN_OF_A_HASH).collect::<String>();
        let url = &processor.serve_url;
        let more = json!({
            "api_origin": handler.engine.api,
            "app_id": APP_ID,
            "env": handler.engine.env,
            "event_api_origin": handler.engine.event_api,
            "framework": FRAMEWORK,
            "sdk_language": "rust",
            "sdk_version": env!("CARGO_PKG_VERSION"),
            "serve_origin": url.origin().ascii_serialization(),
            "serve_path": url.path(),
            "signing_key_fallback_hash": handler.keys.fallback().map(hash),
            "signing_key_hash": handler.keys.current().map(hash),
        });
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
    }
    body
}

/// `PUT`: registers the functions with the engine, at our configured address, or returns the registration in
/// the answer itself (`x-inngest-sync-kind: in_band`).
pub async fn sync(
    processor: web::Data<Processor>,
    query: web::Query<SyncQuery>,
    request: HttpRequest,
    body: web::Payload,
) -> HttpResponse {
    let handler = &processor.handler;
    if let Err(refusal) = body::verified(&processor, &request, body).await {
        return refusal;
    }
    if let Err(wait) = handler.limits.syncs.check(&(), Instant::now()) {
        let wait = Duration::from_secs(wait.as_secs() + 1);
        let error = error("The functions were registered often enough just now.");
        return handler.fail(StatusCode::TOO_MANY_REQUESTS, Retry::Yes(Some(wait)), &error);
    }
    if header(&request, SYNC_KIND_HEADER) == Some(IN_BAND) {
        let app = handler.registrar.app();
        let answer = json!({
            "app_id": APP_ID,
            "capabilities": {},
            "env": handler.engine.env,
            "framework": FRAMEWORK,
            "functions": app.functions,
            "inspection": inspection(&processor, Some(true)),
            "platform": null,
            "sdk_author": "runboard",
            "sdk_language": "rust",
            "sdk_version": env!("CARGO_PKG_VERSION"),
            "sdk": SDK,
            "url": app.url,
        });
        return of_kind(handler.respond(StatusCode::OK, &answer), IN_BAND);
    }
    let asked = SyncRequest {
        deploy_id: query.into_inner().deploy_id,
        server_kind: header(&request, "x-inngest-server-kind").map(str::to_owned),
    };
    let (status, message, modified) = match handler.registrar.register(&asked).await {
        Ok(registered) => (StatusCode::OK, "Successfully registered".to_owned(), registered.modified),
        Err(error) => {
            tracing::warn!(%error, "cannot register the functions");
            let message = match error {
                Error::Refused { message, .. } if !message.is_empty() => message,
                _ => "The engine did not accept the registration.".to_owned(),
            };
            (StatusCode::INTERNAL_SERVER_ERROR, message, false)
        }
    };
    of_kind(handler.respond(status, &json!({ "message": message, "modified": modified })), OUT_OF_BAND)
}

fn of_kind(mut response: HttpResponse, kind: &'static str) -> HttpResponse {
    response.headers_mut().insert(
        actix_web::http::header::HeaderName::from_static(SYNC_KIND_HEADER),
        actix_web::http::header::HeaderValue::from_static(kind),
    );
    response
}
