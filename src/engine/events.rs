//! The body of `POST /e/{key}`: one event or an array of events.
//!
//! Either all events of an array are accepted or none, unlike on a real server, which runs those before an
//! invalid one.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use ulid::Ulid;

use crate::{
    base::{ids::EventId, time::UnixMillis},
    inngest::{EventSeed, tenant},
    store::engine::events::{NewEvent, SYSTEM_PREFIX},
};

/// Inngest's limit for one event, in bytes of JSON.
const MAX_EVENT_BYTES: usize = 3 * 1024 * 1024;

/// Inngest's limit for one request.
const MAX_EVENTS: usize = 5_000;

/// Inngest's limit for a name; also used for the sender's own id.
const MAX_TEXT_BYTES: usize = 512;

/// 1980-01-01. An earlier `ts` was probably given in seconds instead of milliseconds.
const EARLIEST_TS: i64 = 315_532_800_000;

/// 2100-01-01.
const LATEST_TS: i64 = 4_102_444_800_000;

/// When a request was read, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedAt {
    /// The clock by which runs start.
    pub now: UnixMillis,
    /// The system clock, which senders use for `ts`.
    pub wall: UnixMillis,
}

impl ReceivedAt {
    #[must_use]
    pub fn now() -> Self {
        Self { now: UnixMillis::now(), wall: UnixMillis::wall() }
    }

    /// When runs of an event with this `ts` start: as far in the future as the sender requested.
    fn start_of(self, ts: UnixMillis) -> UnixMillis {
        self.now.plus(ts.since(self.wall))
    }
}

/// An event as it is sent.
#[derive(Deserialize)]
#[serde(expecting = "an event object")]
struct SentEvent {
    id: Option<String>,
    #[serde(default)]
    name: String,
    data: Option<Map<String, Value>>,
    user: Option<Map<String, Value>>,
    /// Unix milliseconds.
    ts: Option<i64>,
    v: Option<String>,
}

/// An event as a function receives it.
#[derive(Serialize)]
struct ReceivedEvent<'a> {
    data: Option<Map<String, Value>>,
    id: &'a str,
    name: &'a str,
    ts: i64,
    user: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<String>,
}

/// Parses a request's body. An empty body and an empty array contain no events.
///
/// # Errors
/// Why the whole request is refused, as a text for its sender.
pub fn parse(body: &[u8], seed: Option<&EventSeed>, received: ReceivedAt) -> Result<Vec<NewEvent>, String> {
    let events: Vec<&RawValue> = match body.trim_ascii_start().first() {
        None => Vec::new(),
        Some(b'{') => vec![serde_json::from_slice(body).map_err(|error| error.to_string())?],
        Some(b'[') => serde_json::from_slice(body).map_err(|error| error.to_string())?,
        Some(_) => {
            return Err("Request body must contain an event object or an array of event objects".into());
        }
    };
    if events.len() > MAX_EVENTS {
        return Err(format!("Cannot have more than {MAX_EVENTS} events in a batch"));
    }
    (0u32..)
        .zip(events)
        .map(|(position, event)| {
            let id = match seed {
                Some(seed) => seed.event_id(position),
                None => EventId::from(Ulid::new().to_string()),
            };
            read(event.get(), id, received)
        })
        .collect()
}

fn read(json: &str, id: EventId, at: ReceivedAt) -> Result<NewEvent, String> {
    let size = json.len();
    if size > MAX_EVENT_BYTES {
        return Err(format!("Event is over the max size: Max {MAX_EVENT_BYTES} bytes / Size {size} bytes"));
    }
    let event: SentEvent =
        serde_json::from_str(json).map_err(|error| format!("event cannot be read: {error}"))?;
    if event.name.is_empty() {
        return Err("event name is empty".into());
    }
    check_text("name", &event.name)?;
    if event.name.to_ascii_lowercase().starts_with(SYSTEM_PREFIX) {
        return Err(format!("event name is reserved for internal use: {}", event.name));
    }
    let own_id = event.id.filter(|own| !own.is_empty());
    check_text("id", own_id.as_deref().unwrap_or_default())?;
    // Some SDKs send zero instead of omitting it.
    let ts = event.ts.filter(|ts| *ts != 0).unwrap_or(at.wall.0);
    if ts < EARLIEST_TS {
        return Err("timestamp is before Jan 1, 1980".into());
    }
    if ts > LATEST_TS {
        return Err("timestamp is after Jan 1, 2100".into());
    }
    let tenant = tenant(event.data.as_ref().and_then(|data| data.get("userId")));
    let received = ReceivedEvent {
        data: event.data,
        id: own_id.as_deref().unwrap_or(id.as_str()),
        name: &event.name,
        ts,
        user: event.user.unwrap_or_default(),
        v: event.v,
    };
    let body = serde_json::to_string(&received).map_err(|error| error.to_string())?;
    Ok(NewEvent { id, own_id, name: event.name, tenant, body, starts_at: at.start_of(UnixMillis(ts)) })
}

/// Refuses a name or id that is too long or has characters that would garble a page or a log line.
fn check_text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("event {what} cannot exceed {MAX_TEXT_BYTES} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("event {what} has a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_466_606_000);

    const AT: ReceivedAt = ReceivedAt { now: NOW, wall: NOW };

    fn refusal(body: &str) -> String {
        parse(body.as_bytes(), None, AT).unwrap_err()
    }

    fn one(body: &str) -> NewEvent {
        parse(body.as_bytes(), None, AT).unwrap().remove(0)
    }

    #[test]
    fn an_event_reaches_the_function_as_inngest_sends_it() {
        let event = one(r#"{"name":"a/b","data":{"file":"a.csv"}}"#);
        let body: Value = serde_json::from_str(&event.body).unwrap();
        let expected = json!({
            "data": {"file": "a.csv"}, "id": event.id, "name": "a/b", "ts": NOW.0, "user": {}
        });
        assert_eq!(body, expected);
        assert_eq!(event.starts_at, NOW);
    }

    #[test]
    fn missing_data_is_null_and_an_own_id_replaces_ours() {
        let event = one(r#"{"name":"a/b","id":"csv-42"}"#);
        let body: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!((&body["data"], &body["id"]), (&Value::Null, &json!("csv-42")));
        assert_eq!(event.own_id.as_deref(), Some("csv-42"));
        assert_eq!(one(r#"{"name":"a/b","id":""}"#).own_id, None);
    }

    #[test]
    fn a_future_ts_delays_the_start_and_a_past_one_does_not() {
        let future = NOW.0 + 6_000;
        assert_eq!(one(&format!(r#"{{"name":"a/b","ts":{future}}}"#)).starts_at.0, future);
        assert_eq!(one(r#"{"name":"a/b","ts":1500000000000}"#).starts_at, NOW);
    }

    #[test]
    fn after_the_system_clock_was_set_back_a_ts_means_as_much_later_as_its_sender_said() {
        let at = ReceivedAt { now: UnixMillis(NOW.0 + 3_600_000), wall: NOW };
        for (ts, later) in
            [(NOW.0 - 5_000, 0), (NOW.0, 0), (NOW.0 + 6_000, 6_000), (NOW.0 + 7_200_000, 7_200_000)]
        {
            let body = format!(r#"{{"name":"a/b","ts":{ts}}}"#);
            let event = parse(body.as_bytes(), None, at).unwrap().remove(0);
            assert_eq!(event.starts_at.0 - at.now.0, later, "{ts}");
            assert!(event.body.contains(&format!(r#""ts":{ts}"#)), "{}", event.body);
        }
    }

    #[test]
    fn names_ids_and_times_are_bounded() {
        let name = |name: &str| json!({"name": name}).to_string();
        let id = |id: &str| json!({"name": "a/b", "id": id}).to_string();
        let long = "x".repeat(MAX_TEXT_BYTES);
        assert_eq!((one(&name(&long)).name, one(&id(&long)).own_id), (long.clone(), Some(long.clone())));
        assert_eq!(refusal(&name(&format!("{long}x"))), "event name cannot exceed 512 bytes");
        assert_eq!(refusal(&id(&format!("{long}x"))), "event id cannot exceed 512 bytes");
        for control in ["a\nb", "a\0", "\u{1b}[2J", "a\u{85}b"] {
            assert_eq!(refusal(&name(control)), "event name has a control character");
            assert_eq!(refusal(&id(control)), "event id has a control character");
        }
        assert_eq!(one(r#"{"name":"a/b","ts":4102444800000}"#).starts_at.0, LATEST_TS);
        for ts in ["4102444800001", "9223372036854775807"] {
            let body = format!(r#"{{"name":"a/b","ts":{ts}}}"#);
            assert_eq!(refusal(&body), "timestamp is after Jan 1, 2100");
        }
        assert_eq!(refusal(r#"{"name":"a/b","ts":-9223372036854775808}"#), "timestamp is before Jan 1, 1980");
    }

    #[test]
    fn refusals_say_why() {
        assert!(refusal(r#"{"name":"a/b","#).contains("EOF"));
        assert!(refusal("hello").starts_with("Request body must contain"));
        assert_eq!(refusal(r#"{"data":{}}"#), "event name is empty");
        assert_eq!(refusal(r#"{"name":"Inngest/x"}"#), "event name is reserved for internal use: Inngest/x");
        assert!(refusal(r#"{"name":"a/b","data":"text"}"#).contains("expected a map"));
        assert!(refusal(r#"{"name":"a/b","id":5}"#).contains("expected a string"));
        assert!(refusal(r#"{"name":"a/b","ts":"2026-01-01"}"#).contains("expected i64"));
        assert_eq!(refusal(r#"{"name":"a/b","ts":1500000000}"#), "timestamp is before Jan 1, 1980");
        assert_eq!(refusal(r#"[{"name":"a/b"},{"name":""}]"#), "event name is empty");
        let large = format!(r#"{{"name":"a/b","data":{{"x":"{}"}}}}"#, "x".repeat(MAX_EVENT_BYTES));
        assert!(refusal(&large).starts_with("Event is over the max size: Max 3145728 bytes"));
        let many = vec![r#"{"name":"a/b"}"#; MAX_EVENTS + 1].join(",");
        assert_eq!(refusal(&format!("[{many}]")), "Cannot have more than 5000 events in a batch");
    }

    #[test]
    fn an_empty_request_holds_no_events() {
        assert!(parse(b"", None, AT).unwrap().is_empty());
        assert!(parse(b" [] ", None, AT).unwrap().is_empty());
    }
}
