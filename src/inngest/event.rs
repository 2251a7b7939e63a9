//! Events as they are sent (`POST /e/{key}`).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::base::{ids::EventId, time::UnixMillis};

/// An event to send. It deliberately has no `id`: repeating a send with an own `id` returns a new internal id
/// whose runs stay empty forever. [`EventSeed`] makes repeats safe.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub name: String,
    pub data: Value,
}

/// The longest user id that is used unchanged, in bytes.
const LONGEST_TENANT: usize = 64;

/// The tenant of an event: the `userId` of its data. Tenants never delay each other. Printable ASCII of
/// bounded length for any input; empty if the event names no user.
#[must_use]
pub fn tenant(user_id: Option<&Value>) -> String {
    match user_id {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(name))
            if name.len() <= LONGEST_TENANT && name.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            name.clone()
        }
        Some(other) => hex::encode(Sha256::digest(other.to_string())),
    }
}

/// The header `x-inngest-event-id-seed: <ms>,<base64 of 10 bytes>`. The same seed always gives the same
/// internal event id and the same run, however often the event is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSeed {
    millis: u64,
    entropy: [u8; 10],
}

impl EventSeed {
    pub const HEADER: &str = "x-inngest-event-id-seed";

    /// A new seed for the current time.
    #[must_use]
    pub fn generate() -> Self {
        let millis = u64::try_from(UnixMillis::now().0).unwrap_or(0);
        Self { millis, entropy: rand::random() }
    }

    /// The seed of an event that was sent alone.
    #[must_use]
    pub fn of(event: &EventId) -> Option<Self> {
        let ulid = Ulid::from_string(event.as_str()).ok()?;
        let [head @ .., a, b, c, d] = ulid.random().to_be_bytes();
        let [.., e, f, g, h, i, j] = head;
        let tail = u32::from_be_bytes([a, b, c, d]).wrapping_sub(1).to_be_bytes();
        let [a, b, c, d] = tail;
        Some(Self { millis: ulid.timestamp_ms(), entropy: [e, f, g, h, i, j, a, b, c, d] })
    }

    /// Parses the header's value.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (millis, entropy) = value.split_once(',')?;
        let millis = millis.parse().ok().filter(|ms| *ms > 0)?;
        let entropy = STANDARD.decode(entropy).ok()?.try_into().ok()?;
        Some(Self { millis, entropy })
    }

    /// The internal id of the event at `position` (0-based) of the request. The server adds
    /// `position + 1` to the last four bytes of the entropy, wrapping (seen: exchange 1-39).
    #[must_use]
    pub fn event_id(&self, position: u32) -> EventId {
        let [head @ .., a, b, c, d] = self.entropy;
        let tail = u32::from_be_bytes([a, b, c, d]).wrapping_add(position.wrapping_add(1));
        let high = u128::from(self.millis & ((1 << 48) - 1)) << 80;
        let middle = head.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte)) << 32;
        EventId::from(Ulid(high | middle | u128::from(tail)).to_string())
    }
}

impl std::fmt::Display for EventSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{}", self.millis, STANDARD.encode(self.entropy))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tenant_is_short_and_printable_whatever_the_sender_wrote() {
        assert_eq!((tenant(None), tenant(Some(&Value::Null))), (String::new(), String::new()));
        assert_eq!(tenant(Some(&json!("01M8532JEX1SP78PSANCV2SARF"))), "01M8532JEX1SP78PSANCV2SARF");
        let odd = [json!(7), json!("a\0b"), json!("x".repeat(65)), json!({"a": 1}), json!("")];
        let names: Vec<String> = odd.iter().map(|odd| tenant(Some(odd))).collect();
        assert!(names.iter().all(|name| name.len() <= LONGEST_TENANT), "{names:?}");
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_graphic())), "{names:?}");
    }

    #[test]
    fn a_seed_gives_the_id_that_a_real_server_gave() {
        let seed = EventSeed::parse("1795466651000,eii2YKXRVTJPuA==").unwrap();
        assert_eq!(seed.event_id(0).as_str(), "01M852DSBRF8MBCR55T5AK4KXS");
        assert_eq!(seed.to_string(), "1795466651000,eii2YKXRVTJPuA==");
    }

    #[test]
    fn an_event_that_was_sent_alone_has_its_seed_in_its_id() {
        let odd = EventSeed { millis: 1, entropy: [0xff; 10] };
        for seed in [EventSeed::generate(), odd] {
            assert_eq!(EventSeed::of(&seed.event_id(0)), Some(seed));
        }
        assert_eq!(EventSeed::of(&EventId::from("csv-42".to_owned())), None);
    }

    #[test]
    fn a_malformed_seed_is_refused() {
        for value in ["", "12", "0,eii2YKXRVTJPuA==", "12,eii2", "x,eii2YKXRVTJPuA==", "12,!"] {
            assert_eq!(EventSeed::parse(value), None, "{value}");
        }
    }
}
