//! The engine's own events, which report the end of runs to other functions.
//!
//! `inngest/function.finished` reports every end; `inngest/function.failed` and `inngest/function.cancelled`
//! are sent in addition. Their `data`, in Inngest's format: `_inngest.status`, the run's `event` and
//! `events`, `function_id` (the slug), `run_id`, `result` (the output; absent if the run was cancelled), and
//! `error` if the run failed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};
use ulid::Ulid;

use crate::{
    base::ids::EventId,
    inngest::RunStatus,
    store::engine::events::{NewEvent, RunEnd, SYSTEM_PREFIX},
};

const FINISHED: &str = "inngest/function.finished";
const FAILED: &str = "inngest/function.failed";
const CANCELLED: &str = "inngest/function.cancelled";

/// The names of all system events.
pub const NAMES: [&str; 3] = [FINISHED, FAILED, CANCELLED];

/// The event in the form that functions receive.
#[derive(Serialize)]
struct Body<'a> {
    data: &'a RawValue,
    id: &'a EventId,
    name: &'static str,
    ts: i64,
    user: Map<String, Value>,
}

#[derive(Serialize)]
struct Data<'a> {
    _inngest: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    event: &'a RawValue,
    events: [BTreeMap<String, &'a RawValue>; 1],
    function_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    run_id: &'a str,
}

/// The events that report the end of a run.
pub fn of_end(end: &RunEnd<'_>) -> Vec<NewEvent> {
    // Also part of the id: each run has at most one event of each name.
    let by_status = match end.status {
        RunStatus::Failed => Some(FAILED),
        RunStatus::Cancelled => Some(CANCELLED),
        _ => None,
    };
    let names = [(by_status, end.run_id.to_string()), (Some(FINISHED), Ulid::new().to_string())];
    let events = data(end).and_then(|data| {
        let named = names.into_iter().filter_map(|(name, id)| Some((name?, EventId::from(id))));
        named.map(|(name, id)| event(name, id, &data, end)).collect()
    });
    events.unwrap_or_else(|error| {
        // Both the event and the output were valid JSON when they were accepted.
        tracing::error!(run = %end.run_id, %error, "cannot send the event of a run's end");
        Vec::new()
    })
}

fn event(name: &'static str, id: EventId, data: &RawValue, end: &RunEnd<'_>) -> serde_json::Result<NewEvent> {
    let body = Body { data, id: &id, name, ts: end.ended_at.0, user: Map::new() };
    let body = serde_json::to_string(&body)?;
    // A tenant of their own: these runs are short and report on the runs that the tenant waits for.
    let tenant = format!("{SYSTEM_PREFIX}{}", end.tenant);
    Ok(NewEvent { id, own_id: None, name: name.to_owned(), tenant, body, starts_at: end.ended_at })
}

fn data(end: &RunEnd<'_>) -> serde_json::Result<Box<RawValue>> {
    // In the list, an event without a user also has no `user` key.
    let mut listed: BTreeMap<String, &RawValue> = serde_json::from_str(end.event)?;
    listed.retain(|key, value| key != "user" || value.get() != "{}");
    let error = match end.reason {
        Some(reason) => Some(error_of(&serde_json::from_str(end.output)?, reason)),
        None => None,
    };
    let result = match end.status {
        RunStatus::Cancelled => None,
        _ => Some(serde_json::from_str(end.output)?),
    };
    serde_json::value::to_raw_value(&Data {
        _inngest: json!({"status": end.status}),
        error,
        event: serde_json::from_str(end.event)?,
        events: [listed],
        function_id: end.slug,
        result,
        run_id: end.run_id.as_str(),
    })
}

/// The output of a failed run as an error with a name and a message, whatever its form.
fn error_of(output: &Value, reason: &str) -> Value {
    // An error of the engine itself is wrapped in `error`.
    let source = if output["error"].is_object() { &output["error"] } else { output };
    let text = |key: &str| source[key].as_str().map(str::to_owned);
    let message = text("message").or_else(|| text("error")).or_else(|| source.as_str().map(str::to_owned));
    let mut error = json!({
        "error": reason,
        "name": text("name").unwrap_or_else(|| "Error".to_owned()),
        "message": message.unwrap_or_else(|| reason.to_owned()),
    });
    for key in ["stack", "cause"] {
        if let Some(value) = source.get(key) {
            error[key] = value.clone();
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ids::RunId, time::UnixMillis};

    const EVENT: &str =
        r#"{"data":{"file":"a.csv"},"id":"01M852BFZNDZSECF4ZXVXKXYMX","name":"a/b","ts":1,"user":{}}"#;

    /// The names of the events, and their bodies by name.
    fn told(status: &RunStatus, output: &Value, reason: Option<&str>) -> (Vec<String>, Map<String, Value>) {
        let run_id = RunId::from("01M852BG4EY2PCG3PNFXJN2WBQ".to_owned());
        let events = of_end(&RunEnd {
            run_id: &run_id,
            slug: "csv-app-go",
            tenant: "mira",
            status,
            output: &output.to_string(),
            reason,
            event_name: "a/b",
            event: EVENT,
            ended_at: UnixMillis(1_795_466_576_208),
        });
        let names = events.iter().map(|event| event.name.clone()).collect();
        let bodies = events.into_iter().map(|event| {
            assert_eq!((event.own_id, event.starts_at.0), (None, 1_795_466_576_208));
            assert_eq!(event.tenant, "inngest/mira");
            let body: Value = serde_json::from_str(&event.body).unwrap();
            assert_eq!((&body["id"], &body["name"]), (&json!(event.id), &json!(event.name)));
            (event.name, body)
        });
        (names, bodies.collect())
    }

    /// The fields that every event's data has.
    fn with(rest: Value) -> Value {
        let event: Value = serde_json::from_str(EVENT).unwrap();
        let mut listed = event.clone();
        listed.as_object_mut().unwrap().remove("user");
        let mut data = json!({
            "event": event, "events": [listed], "function_id": "csv-app-go",
            "run_id": "01M852BG4EY2PCG3PNFXJN2WBQ"
        });
        data.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        data
    }

    #[test]
    fn a_completed_run_is_told_of_as_a_real_server_does() {
        let result = json!({"failedItems": 2, "processedItems": 98, "status": "success"});
        let (names, bodies) = told(&RunStatus::Completed, &result, None);
        assert_eq!(names, [FINISHED]);
        let body = &bodies[FINISHED];
        assert_eq!(body["data"], with(json!({"_inngest": {"status": "Completed"}, "result": result})));
        assert_eq!((&body["ts"], &body["user"]), (&json!(1_795_466_576_208_i64), &json!({})));
        assert!(Ulid::from_string(body["id"].as_str().unwrap()).is_ok(), "{body}");
    }

    #[test]
    fn a_failed_run_is_told_of_twice_with_its_error() {
        let result = json!({"__serialized": true, "message": "row 7", "name": "Error", "stack": "at x"});
        let (names, bodies) = told(&RunStatus::Failed, &result, Some("NonRetriableError"));
        assert_eq!(names, [FAILED, FINISHED]);
        let error =
            json!({"error": "NonRetriableError", "message": "row 7", "name": "Error", "stack": "at x"});
        let data = with(json!({"_inngest": {"status": "Failed"}, "result": result, "error": error}));
        assert_eq!((&bodies[FAILED]["data"], &bodies[FINISHED]["data"]), (&data, &data));
        assert_eq!(bodies[FAILED]["id"], "01M852BG4EY2PCG3PNFXJN2WBQ");
        assert_ne!(bodies[FINISHED]["id"], bodies[FAILED]["id"]);
    }

    #[test]
    fn a_cancelled_run_has_no_result() {
        let (names, bodies) = told(&RunStatus::Cancelled, &json!({}), None);
        assert_eq!(names, [CANCELLED, FINISHED]);
        assert_eq!(bodies[CANCELLED]["data"], with(json!({"_inngest": {"status": "Cancelled"}})));
        assert_eq!(bodies[CANCELLED]["id"], "01M852BG4EY2PCG3PNFXJN2WBQ");
    }

    #[test]
    fn an_error_has_a_name_and_a_message_whatever_the_run_ended_with() {
        for (output, message) in [
            (
                json!({"error": {"error": "x", "name": "Error", "message": "Unable to reach"}}),
                "Unable to reach",
            ),
            (json!("plain text"), "plain text"),
            (json!({"error": "something"}), "something"),
            (json!(7), "invalid status code: 500"),
        ] {
            let error = error_of(&output, "invalid status code: 500");
            let expected = json!({"error": "invalid status code: 500", "name": "Error", "message": message});
            assert_eq!(error, expected);
        }
    }
}
