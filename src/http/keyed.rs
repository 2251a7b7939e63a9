//! Requests with an `Idempotency-Key`, which may be sent again.

use actix_web::{HttpRequest, http::header::HeaderName};

use super::error::Error;
use crate::store::idempotency::{IdempotencyKey, KeyedRequest, RequestHasher};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of a request, and the hash of what it asks for, which is computed while it arrives.
#[derive(Clone, Debug)]
pub struct Keyed {
    pub key: IdempotencyKey,
    pub hasher: RequestHasher,
}

impl Keyed {
    /// None if the request has no key.
    ///
    /// # Errors
    /// Its key is malformed.
    pub fn of(request: &HttpRequest) -> Result<Option<Self>, Error> {
        let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
        let Some(key) = keys.next() else { return Ok(None) };
        let key = IdempotencyKey::parse(key.as_bytes()).filter(|_| keys.next().is_none());
        let key = key.ok_or(Error::BadKey)?;
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        Ok(Some(Self { key, hasher: RequestHasher::new(request.method().as_str(), path) }))
    }

    /// A request whose body is small.
    ///
    /// # Errors
    /// Its key is malformed.
    pub fn with_body(request: &HttpRequest, body: &[u8]) -> Result<Option<KeyedRequest>, Error> {
        Ok(Self::of(request)?.map(|mut keyed| {
            keyed.hasher.field(body);
            keyed.finish()
        }))
    }

    #[must_use]
    pub fn finish(self) -> KeyedRequest {
        KeyedRequest { key: self.key, hash: self.hasher.finish() }
    }
}
