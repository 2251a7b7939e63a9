//! Authorises all requests except events and health checks.

use actix_web::{
    HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web,
};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::TEXT;
use crate::{engine::Engine, inngest::signature};

/// Accepts a request whose bearer token is the signing key.
pub async fn require_signing_key<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> actix_web::Result<ServiceResponse<EitherBody<B>>> {
    let bearer = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let engine = request.app_data::<web::Data<Engine>>();
    let known = match (bearer, engine) {
        (Some(bearer), Some(engine)) => is_signing_key(bearer, &engine.keys.signing_key),
        _ => false,
    };
    if known {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let refusal = HttpResponse::Unauthorized().content_type(TEXT).body("Authentication failed\n");
    Ok(request.into_response(refusal).map_into_right_body())
}

/// Whether a bearer token is the key, plain or hashed, with the prefix of any environment.
fn is_signing_key(bearer: &str, key: &SecretString) -> bool {
    let (_, bearer) = signature::split_prefix(bearer);
    let hashed = signature::bearer(key);
    let (_, hashed) = signature::split_prefix(&hashed);
    let (_, plain) = signature::split_prefix(key.expose_secret());
    is_same(bearer, plain) | is_same(bearer, hashed)
}

/// Compares in constant time.
pub fn is_same(given: &str, secret: &str) -> bool {
    given.as_bytes().ct_eq(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearer_is_the_key_in_any_of_its_forms() {
        let key = SecretString::from("signkey-test-deadbeefcafebabe0123456789abcdef");
        let hash = "e7a06416e346c5687d34a002e51549995f886f5465e9ba728f84d9c954b31b81";
        for bearer in [
            "deadbeefcafebabe0123456789abcdef",
            "signkey-test-deadbeefcafebabe0123456789abcdef",
            "signkey-prod-deadbeefcafebabe0123456789abcdef",
            hash,
            &format!("signkey-prod-{hash}"),
        ] {
            assert!(is_signing_key(bearer, &key), "{bearer}");
        }
        for bearer in ["", "signkey-test-", "abc", "deadbeefcafebabe0123456789abcdee"] {
            assert!(!is_signing_key(bearer, &key), "{bearer}");
        }
    }
}
