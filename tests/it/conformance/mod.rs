//! What must hold on every Inngest server: the embedded engine, a self-hosted one, a dev server.
//!
//! `RUNBOARD_TEST_INNGEST_URL` with `RUNBOARD_TEST_INNGEST_EVENT_KEY` and `RUNBOARD_TEST_INNGEST_SIGNING_KEY`
//! selects the server. Without them each test starts an embedded engine. An external server must reach this
//! machine, which has the functions, at 127.0.0.1. [`crate::inngest_api`] compensates the defects of real
//! servers (errors of GET as 200, cached lists, a cancelled run that is listed twice).

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

/// A server with a registered app of functions.
struct World {
    api: Api,
    functions: FunctionServer,
    /// False for a dev server, which accepts any key.
    checks_keys: bool,
    _embedded: Option<Embedded>,
}

impl World {
    /// An app with a unique name, so that no test sees the runs of another.
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

    /// A function's slug, unique among all apps.
    fn slug(&self, function: &str) -> String {
        format!("{}-{function}", self.functions.app)
    }

    /// Triggers a function. Returns the event's id.
    async fn trigger(&self, function: &str) -> String {
        self.api.send(&json!({"name": self.functions.event(function), "data": {"n": 1}})).await
    }

    /// Triggers a function and waits for the end of its run.
    async fn run(&self, function: &str) -> Run {
        let event = self.trigger(function).await;
        self.api.ended(&event).await
    }
}

/// Prints the server once per process, bypassing the capture of output, so that the log shows what was
/// tested.
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
