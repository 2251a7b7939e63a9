//! Reads the body of a call, only as far as needed to verify its sender.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header as names},
    web::{Bytes, BytesMut, Payload},
};
use futures_util::TryStreamExt;
use tokio::time::timeout;

use super::{Retry, ServeHandler, error, failure, header};
use crate::{
    base::{
        client_address::client_address,
        limits::{ByteBudget, Exhausted, HeldBytes, Network},
        time::UnixMillis,
    },
    function::Processor,
    inngest::signature,
};

/// The longest body that is accepted. The engine does not send a state over 4 MB, and one event has at most 3
/// MiB.
const MAX_CALL_BYTES: usize = 8 << 20;

/// The time for a whole body. It holds memory that all callers share, so it gets less time than an upload.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);

/// The `Retry-After` while the memory for unverified bodies is used up.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a body was not read.
enum Unread {
    TooLarge,
    BrokenOff,
    Late,
    NoRoom,
}

impl From<Exhausted> for Unread {
    fn from(_: Exhausted) -> Self {
        Self::NoRoom
    }
}

/// The body of a request that the engine signed, or the answer to a request that is refused. Without a
/// signature of the last minutes nothing of the body is read. A verified request also proves that the engine
/// can reach us.
pub(super) async fn verified(
    processor: &Processor,
    request: &HttpRequest,
    body: Payload,
) -> Result<Bytes, HttpResponse> {
    let handler = &processor.handler;
    let may_hold = |header| signature::may_hold(header, UnixMillis::wall());
    if !handler.is_dev && !header(request, signature::HEADER).is_some_and(may_hold) {
        return Err(unsigned());
    }
    let reading = read(request, body, &handler.limits.unverified);
    let read = timeout(WHOLE_WITHIN, reading).await.unwrap_or(Err(Unread::Late));
    // The memory is held until the signature is checked.
    let (body, _held) = read.map_err(refusal)?;
    if !is_verified(handler, request, &body) {
        return Err(unsigned());
    }
    processor.progress.set_reached();
    Ok(body)
}

fn is_verified(handler: &ServeHandler, request: &HttpRequest, body: &[u8]) -> bool {
    handler.is_dev || handler.key_of(request, body).is_some()
}

async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    budget: &ByteBudget,
) -> Result<(Bytes, HeldBytes), Unread> {
    let announced =
        header(request, names::CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_CALL_BYTES as u64) {
        return Err(Unread::TooLarge);
    }
    let mut held = budget.hold(client_address(request).map(Network::from));
    let mut body = BytesMut::new();
    while let Some(piece) = payload.try_next().await.map_err(|_| Unread::BrokenOff)? {
        if piece.len() > MAX_CALL_BYTES - body.len() {
            return Err(Unread::TooLarge);
        }
        held.grow(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok((body.freeze(), held))
}

fn refusal(why: Unread) -> HttpResponse {
    let (status, retry, sentence) = match why {
        Unread::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Retry::No, "The call is too large."),
        Unread::BrokenOff => (StatusCode::BAD_REQUEST, Retry::Yes(None), "The call was interrupted."),
        Unread::Late => (StatusCode::REQUEST_TIMEOUT, Retry::Yes(None), "The call did not arrive in time."),
        Unread::NoRoom => (
            StatusCode::SERVICE_UNAVAILABLE,
            Retry::Yes(Some(RETRY_AFTER)),
            "Too many calls are arriving at once.",
        ),
    };
    failure(status, retry, &error(sentence), None)
}

/// May be retried, because a key rotation may be in progress. (The specification prescribes 500; the official
/// SDKs answer with the actual problem, and so do we.)
fn unsigned() -> HttpResponse {
    let error = error("The signature does not hold.");
    failure(StatusCode::UNAUTHORIZED, Retry::Yes(None), &error, None)
}
