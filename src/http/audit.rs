//! Audit log: one line (target `audit`) for each request that signs in or out, changes an account or touches an
//! import, and an id for every request. Never contains an e-mail address, a password or a token.

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use ulid::Ulid;

use crate::base::{
    client_address::client_address,
    ids::{ImportId, UserId},
};

/// Sent with every answer, so that a person can tell an operator which log line belongs to a problem.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The only action of somebody who is signed in neither before nor after it.
const FORGOT_PASSWORD: &str = "forgot-password";

/// The logged methods and route patterns, each with its name in the log.
const ACTIONS: [(Method, &str, &str); 38] = [
    (Method::POST, "/sign-in", "sign-in"),
    (Method::POST, "/sign-up", "sign-up"),
    (Method::POST, "/sign-out", "sign-out"),
    (Method::POST, "/account/sessions/end", "end-session"),
    (Method::POST, "/account/password", "change-password"),
    (Method::POST, "/account/email", "change-email"),
    (Method::POST, "/account/mail", "change-mail"),
    (Method::POST, "/account/tokens", "make-token"),
    (Method::POST, "/account/tokens/{token}/end", "end-token"),
    (Method::POST, "/account/webhook", "change-webhook"),
    (Method::POST, "/account/webhook/secret", "change-webhook-secret"),
    (Method::POST, "/account/webhook/end", "end-webhook"),
    (Method::POST, "/account/webhook/test", "test-webhook"),
    (Method::POST, "/account/webhook/deliveries/{delivery}/send-again", "send-webhook-again"),
    (Method::GET, "/account/export.zip", "export"),
    (Method::POST, "/forgot", FORGOT_PASSWORD),
    (Method::POST, "/reset", "reset-password"),
    (Method::POST, "/admin/invitations", "invite"),
    (Method::POST, "/admin/invitations/end", "end-invitation"),
    (Method::POST, "/admin/accounts/{account}/reset-link", "make-reset-link"),
    (Method::POST, "/admin/accounts/{account}/disable", "disable-account"),
    (Method::POST, "/admin/accounts/{account}/enable", "enable-account"),
    (Method::POST, "/admin/mail/test", "test-mail"),
    (Method::POST, "/admin/mail/reset-link", "mail-reset-link"),
    (Method::POST, "/account/delete", "delete-account"),
    (Method::POST, "/imports", "upload"),
    (Method::POST, "/imports/sample", "upload"),
    (Method::POST, "/imports/{id}/cancel", "cancel"),
    (Method::POST, "/imports/{id}/start", "start"),
    (Method::POST, "/imports/{id}/retry", "retry"),
    (Method::POST, "/imports/{id}/delete", "delete"),
    (Method::POST, "/imports/{id}/share", "share"),
    (Method::POST, "/imports/{id}/share/end", "end-share"),
    (Method::GET, "/imports/{id}/processed.csv", "download"),
    (Method::GET, "/imports/{id}/failed.csv", "download"),
    (Method::GET, "/imports/{id}/runs/{run}/output", "download"),
    (Method::POST, "/api/v1/tokens", "make-token"),
    (Method::DELETE, "/api/v1/tokens/{token}", "end-token"),
];

/// The user of a request, stored in the request's extensions.
#[derive(Clone, Copy)]
struct Actor(UserId);

/// The id of a request, stored in the request's extensions once something needs it.
#[derive(Clone)]
struct RequestId(String);

/// The imports that a request has created, stored in its extensions.
#[derive(Default)]
struct Made(Vec<ImportId>);

/// Records the user of a request.
pub fn is_by(request: &impl HttpMessage, user: UserId) {
    request.extensions_mut().insert(Actor(user));
}

/// Records that the request has created an import. A request can create several, each with its own log line.
pub fn has_made(request: &impl HttpMessage, import: ImportId) {
    request.extensions_mut().get_or_insert_with(Made::default).0.push(import);
}

/// The id of the request, which is also sent with its answer.
#[must_use]
pub fn request_id(request: &impl HttpMessage) -> String {
    let new = || RequestId(Ulid::new().to_string());
    request.extensions_mut().get_or_insert_with(new).0.clone()
}

/// Middleware (for `middleware::from_fn`).
pub async fn log(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    // Almost no handler needs the id, so it is not stored for each request.
    let known = response.request().extensions().get::<RequestId>().map(|RequestId(id)| id.clone());
    let id = known.unwrap_or_else(|| Ulid::new().to_string());
    if let Some(action) = action(&response) {
        write(action, &id, &response);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

fn action<B>(response: &ServiceResponse<B>) -> Option<&'static str> {
    let request = response.request();
    let may_be = ACTIONS.iter().filter(|(method, ..)| method == request.method()).collect::<Vec<_>>();
    if may_be.is_empty() {
        return None;
    }
    let pattern = request.match_pattern()?;
    may_be.into_iter().find(|(_, of, _)| *of == pattern).map(|(.., action)| *action)
}

fn write<B>(action: &str, id: &str, response: &ServiceResponse<B>) {
    let request = response.request();
    let status = response.status();
    let address = client_address(request).map(|address| address.to_string()).unwrap_or_default();
    let extensions = request.extensions();
    let actor = extensions.get::<Actor>();
    let user = actor.map(|Actor(user)| user.to_string()).unwrap_or_default();
    let line = |outcome: &str, import: &str| {
        tracing::info!(
            target: "audit",
            action, outcome, status = status.as_u16(), user, import, address, request = id
        );
    };
    let made = extensions.get::<Made>().map(|Made(made)| made.as_slice()).unwrap_or_default();
    for import in made {
        line("done", &import.to_string());
    }
    // A request without a session is redirected to sign-in. That is not an error status, but nothing was
    // done.
    let needs_nobody = action == FORGOT_PASSWORD;
    let is_refused = actor.is_none() && !needs_nobody || status.is_client_error() || status.is_server_error();
    if is_refused {
        line("refused", request.match_info().get("id").unwrap_or_default());
    } else if made.is_empty() {
        let leads_to = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let leads_to = leads_to.and_then(|location| location.strip_prefix("/imports/"));
        line("done", request.match_info().get("id").or(leads_to).unwrap_or_default());
    }
}
