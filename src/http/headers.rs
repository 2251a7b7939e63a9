//! The headers of every answer.

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
use percent_encoding::percent_decode_str;

use super::{guest, origin::PublicOrigin};

/// Only our own files, no inline script or style, no other host, no framing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Our pages use none of these.
const PERMISSIONS_POLICY: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// One year. Set if the public URL is https, so that browsers never use http again.
const STRICT_TRANSPORT_SECURITY: (HeaderName, &str) = (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::PERMISSIONS_POLICY, PERMISSIONS_POLICY),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    // Pages are personal. Handlers of other content set their own value.
    (header::CACHE_CONTROL, "no-store"),
];

/// For answers below a guest link, whose address opens an import: no other page, cache or search engine learns it.
const OF_GUEST_LINKS: [(HeaderName, &str); 3] = [
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
];

/// The `Retry-After` of a 503 without one: the database or the next process is usually back within seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

fn all(is_https: bool) -> impl Iterator<Item = (HeaderName, &'static str)> {
    HEADERS.into_iter().chain(is_https.then_some(STRICT_TRANSPORT_SECURITY))
}

/// Adds the headers that the handler has not set.
pub async fn secure(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_https = request.app_data::<web::Data<PublicOrigin>>().is_some_and(|origin| origin.is_https());
    // The router decodes the path, too.
    let path = percent_decode_str(request.path());
    let is_by_link = path.take(guest::PREFIX.len()).eq(guest::PREFIX.bytes());
    let mut response = next.call(request).await?;
    for (name, value) in OF_GUEST_LINKS.into_iter().filter(|_| is_by_link) {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
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

/// The same headers as lines, for answers that no middleware sees.
#[must_use]
pub fn lines(origin: &PublicOrigin) -> String {
    all(origin.is_https()).fold(String::new(), |lines, (name, value)| format!("{lines}{name}: {value}\r\n"))
}
