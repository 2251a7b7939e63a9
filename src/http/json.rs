//! JSON bodies of programs.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{error::Error, error::is_timeout, object::Object, problem::Problem, query};

/// The largest JSON that the API accepts, in bytes. Files come by other means.
const MOST_JSON: usize = 64 << 10;

/// Extractor of an object whose sender `W` checks. The body is read only after that check: extractors beside each
/// other run at once, and a body that cannot be read would be refused before its sender is.
#[derive(Clone, Debug)]
pub struct JsonOf<W, T, const OPTIONAL: bool = false> {
    pub by: W,
    pub value: T,
    /// As it came.
    pub bytes: Bytes,
}

/// The same for an object that may be left out, which is an empty one.
pub type OptionalJsonOf<W, T> = JsonOf<W, T, true>;

impl<W, T, const OPTIONAL: bool> FromRequest for JsonOf<W, T, OPTIONAL>
where
    W: FromRequest<Error = Problem> + 'static,
    T: DeserializeOwned + 'static,
{
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let by = W::from_request(&request, &mut Payload::None).await?;
            query::none(&request)?;
            if !OPTIONAL && !is_json(&request) {
                return Err(Problem::WrongType("Send JSON, with the header Content-Type: application/json."));
            }
            let bytes = read(payload).await?;
            let value = if OPTIONAL && bytes.is_empty() {
                parse(b"{}")?
            } else if is_json(&request) {
                parse(&bytes)?
            } else {
                let sentence = "Send JSON, with the header Content-Type: application/json, or no body.";
                return Err(Problem::WrongType(sentence));
            };
            Ok(Self { by, value, bytes })
        })
    }
}

/// Whether the body of the request is announced as JSON.
#[must_use]
pub fn is_json(request: &HttpRequest) -> bool {
    let kind = request.content_type();
    let bare = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    bare == "application/json" || bare.starts_with("application/") && bare.ends_with("+json")
}

/// Reads a body that is JSON.
///
/// # Errors
/// It is too large, or does not arrive.
pub async fn read(mut payload: Payload) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|why| match is_timeout(&why) {
            true => Problem::Shared(Error::TooSlow),
            false => Problem::Malformed("The body did not arrive as a whole.".to_owned()),
        })?;
        if body.len() + piece.len() > MOST_JSON {
            return Err(Problem::TooLarge { limit: MOST_JSON as u64 });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// The object in a body.
///
/// # Errors
/// It is no JSON, or not this object.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // First whether it is JSON at all: the parser of the object may call a wrong value a wrong character.
    serde_json::from_slice::<Value>(body).map_err(|why| Problem::no_json(body, &why))?;
    let object = serde_json::from_slice::<Object<T>>(body);
    object.map(|object| object.0).map_err(|why| Problem::from_json(&why))
}
