//! What holds on every Inngest server: the embedded engine, a self-hosted one, a dev server.
//!
//! `RUNBOARD_TEST_INNGEST_URL` with `RUNBOARD_TEST_INNGEST_EVENT_KEY` and
//! `RUNBOARD_TEST_INNGEST_SIGNING_KEY` names the server; without it each test starts an embedded
//! engine. A server elsewhere must reach this machine at 127.0.0.1, where the functions are.
//! Where a real server has defects (errors of GET as 200, lists that are cached, a cancelled run
//! listed twice), [`crate::inngest_api`] looks past them.

mod dashboard;
mod events;
mod functions;
mod lost_answers;
mod runs;
mod system_events;
mod v2;

use std::{
    env,
    io::{self, Write},
    sync::Once,
};

use runboard::inngest::{Run, RunStatus};
use serde_json::{Value, json};

use crate::{
    function_server::{Function, FunctionServer},
    inngest_api::{Api, Embedded, work},
};

/// A server with an app of functions registered.
struct World {
    api: Api,
    functions: FunctionServer,
    /// A dev server knows no keys.
    checks_keys: bool,
    _embedded: Option<Embedded>,
}

impl World {
    /// An app of a name of its own, so that no test sees another's.
    async fn with(functions: Vec<Function>) -> Self {
        Self::of(FunctionServer::start(functions).await).await
    }

    async fn of(functions: FunctionServer) -> Self {
        let (api, embedded) = match env::var("RUNBOARD_TEST_INNGEST_URL") {
            Ok(url) => {
                let key = |name: &str| env::var(name).unwrap_or_else(|_| "none".into());
                let event_key = key("RUNBOARD_TEST_INNGEST_EVENT_KEY");
                let signing_key = key("RUNBOARD_TEST_INNGEST_SIGNING_KEY");
                (Api::new(&url, &event_key, &signing_key), None)
            }
            Err(_) => {
                let embedded = Embedded::start().await;
                // Its task ends with the test's runtime.
                drop(work(&embedded.engine).task);
                let api = Api::new(&embedded.api.base, Embedded::EVENT_KEY, Embedded::SIGNING_KEY);
                (api, Some(embedded))
            }
        };
        let health = api.request(reqwest::Method::GET, "/health").send().await.unwrap();
        let kind = health.headers().get("x-inngest-server-kind").cloned();
        let kind = kind.expect("an Inngest server names its kind").to_str().unwrap().to_owned();
        let checks_keys = kind != "dev";
        say_once(match &embedded {
            Some(_) => "an embedded engine of each test's own".to_owned(),
            None => format!("the server at {} (kind: {kind})", api.base),
        });
        let registered = api.register(&functions.registration()).await;
        assert_eq!((registered.status, &registered.body["ok"]), (200, &json!(true)), "{registered:?}");
        Self { api, functions, checks_keys, _embedded: embedded }
    }

    /// A function's name among all apps.
    fn slug(&self, function: &str) -> String {
        format!("{}-{function}", self.functions.app)
    }

    /// Triggers a function; the event's id.
    async fn trigger(&self, function: &str) -> String {
        self.api.send(&json!({"name": self.functions.event(function), "data": {"n": 1}})).await
    }

    /// Triggers a function and waits for its run's end.
    async fn run(&self, function: &str) -> Run {
        let event = self.trigger(function).await;
        self.api.ended(&event).await
    }
}

/// Once in the process, and past the capturing of output: a green run says what it was green on.
fn say_once(server: String) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let line = format!("the conformance suite runs against {server}\n");
        io::stderr().write_all(line.as_bytes()).expect("standard error takes a line");
    });
}

fn assert_ended(run: &Run, status: RunStatus, output: Value) {
    assert_eq!((&run.status, run.output.as_ref()), (&status, Some(&output)), "{run:?}");
    assert!(run.ended_at.is_some_and(|ended| ended >= run.run_started_at), "{run:?}");
}
