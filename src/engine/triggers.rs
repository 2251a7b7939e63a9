//! Decides which functions an event triggers.

use serde_json::Value;

use super::{Engine, expression::Expression, system_events};
use crate::store::engine::{
    Trigger,
    events::{NewEvent, Rules, RunEnd, Triggered},
};

impl Rules for Engine {
    fn triggered<'a>(&self, event: &NewEvent, functions: &'a [Triggered]) -> Vec<&'a Triggered> {
        // Parsed once, and only if an expression needs it.
        let mut body = None;
        let mut is_triggered =
            |function: &&Triggered| function.triggers.iter().any(|trigger| fires(trigger, event, &mut body));
        functions.iter().filter(|function| is_triggered(function)).collect()
    }

    fn events_of_end(&self, end: &RunEnd<'_>) -> Vec<NewEvent> {
        system_events::of_end(end)
    }
}

/// Whether `event` starts a run by `trigger`. `body` caches the event's parsed body.
fn fires(trigger: &Trigger, event: &NewEvent, body: &mut Option<Value>) -> bool {
    if trigger.event != event.name {
        return false;
    }
    let Some(text) = &trigger.expression else { return true };
    // Both were valid when they were stored. If one is unreadable now, it triggers nothing.
    let body = body.get_or_insert_with(|| serde_json::from_str(&event.body).unwrap_or_default());
    Expression::parse(text).is_ok_and(|expression| expression.holds(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ids::EventId, time::UnixMillis};

    #[test]
    fn a_trigger_fires_for_its_event_if_its_expression_holds() {
        let event = NewEvent {
            id: EventId::from("01M8532J92FZH0CMQKTANHBB4W".to_owned()),
            own_id: None,
            name: "app/go".into(),
            tenant: String::new(),
            body: r#"{"name":"app/go","data":{"a":1}}"#.into(),
            starts_at: UnixMillis(1),
        };
        let fires = |name: &str, expression: Option<&str>| {
            let trigger = Trigger { event: name.into(), expression: expression.map(str::to_owned) };
            fires(&trigger, &event, &mut None)
        };
        assert!(fires("app/go", None));
        assert!(!fires("app/other", None));
        assert!(fires("app/go", Some("event.data.a == 1")));
        assert!(!fires("app/go", Some("event.data.a == 2")));
        assert!(!fires("app/other", Some("event.data.a == 1")));
        assert!(!fires("app/go", Some("size(event.data) == 1")));
    }
}
