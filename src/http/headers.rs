//! The headers that every answer carries.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};

use super::origin::PublicOrigin;

/// Only our own files, no inline script or style, no other host, in nobody's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// None of our pages uses any of these.
const PERMISSIONS_POLICY: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// A year; set where the public URL is https, so that a browser never asks over http again.
const STRICT_TRANSPORT_SECURITY: (HeaderName, &str) = (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::PERMISSIONS_POLICY, PERMISSIONS_POLICY),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    // Pages are personal; a handler that knows better has set its own.
    (header::CACHE_CONTROL, "no-store"),
];

/// When to come again where a 503 does not say it: what is missing then, a database or the next process, is
/// mostly back within seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

fn all(is_https: bool) -> impl Iterator<Item = (HeaderName, &'static str)> {
    HEADERS.into_iter().chain(is_https.then_some(STRICT_TRANSPORT_SECURITY))
}

/// Adds them where the handler has not set its own.
pub async fn secure(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_https = request.app_data::<web::Data<PublicOrigin>>().is_some_and(|origin| origin.is_https());
    let mut response = next.call(request).await?;
    for (name, value) in all(is_https) {
        if !response.headers().contains_key(&name) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
    if response.status() == StatusCode::SERVICE_UNAVAILABLE
        && !response.headers().contains_key(header::RETRY_AFTER)
    {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    Ok(response)
}

/// The same as lines, for answers that no middleware sees.
#[must_use]
pub fn lines(origin: &PublicOrigin) -> String {
    all(origin.is_https()).fold(String::new(), |lines, (name, value)| format!("{lines}{name}: {value}\r\n"))
}
