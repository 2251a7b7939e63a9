//! Who did what: one log line (target `audit`) for each request that signs in or out or that touches an
//! import, and an id for every request. Never an e-mail address, a password or a token.

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

use super::client;
use crate::ids::UserId;

/// Answered with every request, so that a person can tell an operator which line of the log is theirs.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Methods and route patterns that are written down, and as what.
const ACTIONS: [(Method, &str, &str); 10] = [
    (Method::POST, "/sign-in", "sign-in"),
    (Method::POST, "/sign-up", "sign-up"),
    (Method::POST, "/sign-out", "sign-out"),
    (Method::POST, "/imports", "upload"),
    (Method::POST, "/imports/sample", "upload"),
    (Method::POST, "/imports/{id}/cancel", "cancel"),
    (Method::POST, "/imports/{id}/retry", "retry"),
    (Method::POST, "/imports/{id}/delete", "delete"),
    (Method::GET, "/imports/{id}/processed.csv", "download"),
    (Method::GET, "/imports/{id}/failed.csv", "download"),
];

/// The user that a request has turned out to be of; kept in its extensions.
#[derive(Clone, Copy)]
struct Actor(UserId);

/// Says whose request this is.
pub fn is_by(request: &impl HttpMessage, user: UserId) {
    request.extensions_mut().insert(Actor(user));
}

/// Middleware (for `middleware::from_fn`).
pub async fn log(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = Ulid::new().to_string();
    let mut response = next.call(request).await?;
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
    let user = request.extensions().get::<Actor>().map(|Actor(user)| user.to_string()).unwrap_or_default();
    let made = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let made = made.and_then(|location| location.strip_prefix("/imports/"));
    let import = request.match_info().get("id").or(made).unwrap_or_default();
    let address = client::address(request).map(|address| address.to_string()).unwrap_or_default();
    let status = response.status();
    let outcome = if status.is_client_error() || status.is_server_error() { "refused" } else { "done" };
    tracing::info!(
        target: "audit",
        action, outcome, status = status.as_u16(), user, import, address, request = id
    );
}
