//! The body of `POST /fn/register`: an app and its functions.

use serde_json::Value;
use uuid::Uuid;

use super::{expression::Expression, system_events};
use crate::{
    inngest::call::{self, FunctionSpec, StepSpec},
    store::engine::{Function, Trigger, events::SYSTEM_PREFIX},
};

/// The retries of a function that does not set them (as on Inngest).
const DEFAULT_RETRIES: u32 = 4;

/// The keys of a function's registration that the engine supports. Any other key requests an unsupported
/// feature.
const FUNCTION_KEYS: [&str; 4] = ["id", "name", "triggers", "steps"];

/// Why a registration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    #[error("Invalid request: {0}")]
    NotJson(String),
    #[error("App ID required")]
    NoApp,
    #[error("At least one function is invalid")]
    Invalid,
    /// The function's slug, and the unsupported feature.
    #[error("The embedded engine cannot run {0}: it has no {1}. Inngest has.")]
    Unsupported(String, String),
    /// The function's slug, its trigger's expression, and the unsupported part of that.
    #[error(
        "The embedded engine cannot run {0}: of trigger expressions it knows == and != between a path \
         of the event and a literal, joined by && and ||, and `{1}` has {2}. Inngest knows all of CEL."
    )]
    Expression(String, String, String),
}

/// An app with its complete list of functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredApp {
    pub name: String,
    pub functions: Vec<Function>,
}

impl RegisteredApp {
    /// A UUID that depends only on the name.
    #[must_use]
    pub fn id(&self) -> String {
        uuid(&format!("app {}", self.name))
    }
}

/// Parses a registration.
pub fn parse(body: &[u8]) -> Result<RegisteredApp, RegistrationError> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| RegistrationError::NotJson(error.to_string()))?;
    // Python's SDK writes the key in lower case, which Inngest accepts as well.
    let name = ["appName", "appname"].into_iter().find_map(|key| body[key].as_str());
    let name = name.filter(|name| !name.is_empty()).ok_or(RegistrationError::NoApp)?;
    let functions = match &body["functions"] {
        Value::Null => Vec::new(),
        Value::Array(functions) => functions.iter().map(read).collect::<Result<_, _>>()?,
        _ => return Err(RegistrationError::Invalid),
    };
    Ok(RegisteredApp { name: name.to_owned(), functions })
}

fn read(function: &Value) -> Result<Function, RegistrationError> {
    let keys = function.as_object().ok_or(RegistrationError::Invalid)?;
    let slug = function["id"].as_str().ok_or(RegistrationError::Invalid)?;
    let unsupported = |what: &str| RegistrationError::Unsupported(slug.to_owned(), what.to_owned());
    if let Some((key, _)) =
        keys.iter().find(|(key, value)| !value.is_null() && !FUNCTION_KEYS.contains(&key.as_str()))
    {
        // The name that SDKs use.
        return Err(unsupported(if key == "cancel" { "cancelOn" } else { key }));
    }
    let spec: FunctionSpec =
        serde_json::from_value(function.clone()).map_err(|_| RegistrationError::Invalid)?;
    let steps: Vec<StepSpec> = spec.steps.into_values().collect();
    let [step] = <[StepSpec; 1]>::try_from(steps).map_err(|_| RegistrationError::Invalid)?;
    if spec.id.is_empty() || spec.name.is_empty() || step.name.is_empty() {
        return Err(RegistrationError::Invalid);
    }
    if spec.triggers.is_empty() {
        return Err(unsupported("step.invoke, without which nothing calls a function that has no trigger"));
    }
    if step.runtime.kind != "http" {
        return Err(unsupported(&format!("runtime {}", step.runtime.kind)));
    }
    // Without TLS the engine needs no certificates to start. The functions that it calls are on this machine.
    if !step.runtime.url.starts_with("http://") {
        return Err(unsupported("way to a function but http://"));
    }
    let triggers =
        spec.triggers.into_iter().map(|trigger| read_trigger(trigger, slug)).collect::<Result<_, _>>()?;
    let retries = step.retries.map_or(DEFAULT_RETRIES, |retries| retries.attempts);
    Ok(Function {
        id: uuid(&format!("function {}", spec.id)),
        slug: spec.id,
        name: spec.name,
        url: step.runtime.url,
        triggers,
        max_attempts: retries.saturating_add(1),
    })
}

/// Parses a trigger of the function `slug`.
fn read_trigger(trigger: call::TriggerSpec, slug: &str) -> Result<Trigger, RegistrationError> {
    let unsupported = |what: &str| RegistrationError::Unsupported(slug.to_owned(), what.to_owned());
    if trigger.cron.is_some() {
        return Err(unsupported("cron triggers"));
    }
    let event = trigger.event.ok_or_else(|| unsupported("triggers but events"))?;
    if event.contains('*') {
        return Err(unsupported("wildcard triggers"));
    }
    if event.starts_with(SYSTEM_PREFIX) && !system_events::NAMES.contains(&event.as_str()) {
        return Err(unsupported(&format!("event {event}")));
    }
    // Some SDKs send an empty expression instead of omitting it.
    let expression = trigger.expression.filter(|text| !text.trim().is_empty());
    if let Some(text) = &expression {
        Expression::parse(text)
            .map_err(|why| RegistrationError::Expression(slug.to_owned(), text.clone(), why))?;
    }
    Ok(Trigger { event, expression })
}

/// A UUID derived from a name, in our own namespace.
pub fn uuid(name: &str) -> String {
    const NAMESPACE: Uuid = Uuid::from_bytes(*b"runboard engine\0");
    Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app_with(change: impl FnOnce(&mut Value)) -> Result<RegisteredApp, RegistrationError> {
        let mut function = json!({
            "id": "raw-go", "name": "go", "triggers": [{"event": "raw/go"}],
            "steps": {"step": {"id": "step", "name": "step",
                "runtime": {"type": "http", "url": "http://127.0.0.1:3100/?fnId=raw-go&stepId=step"}}}
        });
        change(&mut function);
        parse(json!({"appName": "raw", "functions": [function]}).to_string().as_bytes())
    }

    #[test]
    fn a_function_keeps_the_id_that_databases_know_it_by() {
        assert_eq!(uuid("function runboard-process-csv-upload"), "e3c9c0f8-adc4-5abf-84b2-7823f0113a18");
    }

    #[test]
    fn retries_are_not_attempts() {
        assert_eq!(app_with(|_| {}).unwrap().functions[0].max_attempts, 5);
        let app = app_with(|function| function["steps"]["step"]["retries"] = json!({"attempts": 3}));
        assert_eq!(app.unwrap().functions[0].max_attempts, 4);
    }

    #[test]
    fn the_sdks_of_python_and_go_register_too() {
        let python = r#"{"appname":"a","capabilities":{"connect":"v1","in_band_sync":"v1","trust_probe":"v1"},"deploy_type":"ping","framework":"flask","functions":[{"id":"a-f","name":"f","steps":{"step":{"id":"step","name":"step","runtime":{"type":"http","url":"http://127.0.0.1:3002/api/inngest?fnId=a-f&stepId=step"}}},"triggers":[{"event":"e"}]}],"sdk":"py:v0.5.19","url":"http://127.0.0.1:3002/api/inngest","v":"0.1"}"#;
        let go = r#"{"v":"1","url":"http://127.0.0.1:3003/api/inngest","deployType":"ping","sdk":"go:v0.15.1","framework":"","appName":"a","functions":[{"name":"f","id":"a-f","triggers":[{"event":"e"}],"Singleton":null,"steps":{"step":{"id":"step","name":"f","runtime":{"url":"http://127.0.0.1:3003/api/inngest?fnId=a-f\u0026step=step"},"retries":null}}}],"headers":{"env":"","platform":""},"idempotencyKey":"","capabilities":{"in_band_sync":"v1","trust_probe":"v1","connect":"v1"}}"#;
        for seen in [python, go] {
            let app = parse(seen.as_bytes()).unwrap();
            assert_eq!((app.name.as_str(), app.functions[0].slug.as_str()), ("a", "a-f"));
        }
    }

    #[test]
    fn a_function_keeps_its_id_when_its_port_changes() {
        let first = app_with(|_| {}).unwrap().functions.remove(0);
        let moved = app_with(|function| {
            function["steps"]["step"]["runtime"]["url"] =
                json!("http://127.0.0.1:9/?fnId=raw-go&stepId=step");
        });
        assert_eq!(moved.unwrap().functions[0].id, first.id);
        assert_eq!((first.id.len(), first.id.as_bytes()[14]), (36, b'5'));
    }

    #[test]
    fn a_malformed_registration_is_refused_in_inngests_words() {
        assert!(parse(b"{").unwrap_err().to_string().starts_with("Invalid request: "));
        assert_eq!(parse(b"{}"), Err(RegistrationError::NoApp));
        assert_eq!(app_with(|function| function["steps"] = json!({})), Err(RegistrationError::Invalid));
        let nameless = app_with(|function| {
            function.as_object_mut().unwrap().remove("name");
        });
        assert_eq!(nameless, Err(RegistrationError::Invalid));
    }

    #[test]
    fn what_the_engine_cannot_do_is_refused_by_name() {
        let changes: [(&str, Value, &str); 8] = [
            ("concurrency", json!({"limit": 1}), "no concurrency"),
            ("batchEvents", json!({"maxSize": 2}), "no batchEvents"),
            ("cancel", json!([{"event": "a"}]), "no cancelOn"),
            ("triggers", json!([]), "no step.invoke"),
            ("triggers", json!([{"cron": "* * * * *"}]), "no cron triggers"),
            ("triggers", json!([{"event": "app/*"}]), "no wildcard triggers"),
            ("triggers", json!([{"event": "inngest/function.invoked"}]), "no event inngest/function.invoked"),
            (
                "triggers",
                json!([{"event": "a", "expression": "event.data.a > 1"}]),
                "`event.data.a > 1` has `> 1`. Inngest knows",
            ),
        ];
        for (key, value, expected) in changes {
            let refusal = app_with(|function| function[key] = value).unwrap_err().to_string();
            assert!(refusal.contains("raw-go") && refusal.contains(expected), "{refusal}");
        }
        assert!(app_with(|function| function["concurrency"] = Value::Null).is_ok());
    }

    #[test]
    fn what_an_sdk_registers_for_failures_is_taken() {
        let expression = "event.data.function_id == 'raw-go'";
        let app = app_with(|function| {
            function["triggers"] = json!([
                {"event": "inngest/function.failed", "expression": expression},
                {"event": "raw/go", "expression": ""}
            ]);
        });
        let expected = [
            Trigger { event: "inngest/function.failed".into(), expression: Some(expression.into()) },
            Trigger { event: "raw/go".into(), expression: None },
        ];
        assert_eq!(app.unwrap().functions[0].triggers, expected);
    }
}
