//! The body of a call, which is not read further than it takes to know who sent it.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header as names},
    web::{Bytes, BytesMut, Payload},
};
use futures_util::TryStreamExt;
use tokio::time::timeout;

use super::{Retry, ServeHandler, client, error, failure, header};
use crate::{
    base::{
        limits::{ByteBudget, Exhausted, HeldBytes, Network},
        time::UnixMillis,
    },
    function::Processor,
    inngest::signature,
};

/// The longest body that is read, in bytes: of a state over 4 MB the engine sends nothing, and one event has
/// at most 3 MiB.
const MAX_CALL_BYTES: usize = 8 << 20;

/// A body has arrived whole by then. It holds memory that all callers share, so it gets less time than an
/// upload.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);

/// When to come again if the memory for unverified bodies is taken.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why there is no body.
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

/// The body of a request that the engine signed, which is known to reach us by then; or what the request is
/// answered instead. Without a signature of these minutes nothing of the body is read.
pub(super) async fn verified(
    processor: &Processor,
    request: &HttpRequest,
    body: Payload,
) -> Result<Bytes, HttpResponse> {
    let door = &processor.door;
    let may_hold = |header| signature::may_hold(header, UnixMillis::wall());
    if !door.is_dev && !header(request, signature::HEADER).is_some_and(may_hold) {
        return Err(unsigned());
    }
    let reading = read(request, body, &door.limits.unverified);
    let read = timeout(WHOLE_WITHIN, reading).await.unwrap_or(Err(Unread::Late));
    // Held until the signature is checked.
    let (body, _held) = read.map_err(refusal)?;
    if !is_verified(door, request, &body) {
        return Err(unsigned());
    }
    processor.live.set_reached();
    Ok(body)
}

fn is_verified(door: &ServeHandler, request: &HttpRequest, body: &[u8]) -> bool {
    door.is_dev || door.key_of(request, body).is_some()
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
    let mut held = budget.hold(client::address(request).map(Network::from));
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

/// May be repeated: the keys may be just being changed. (The specification would have 500 here;
/// the official SDKs say what is wrong, and so do we.)
fn unsigned() -> HttpResponse {
    let error = error("The signature does not hold.");
    failure(StatusCode::UNAUTHORIZED, Retry::Yes(None), &error, None)
}
