//! Inngest's official SDK for Node on the exposed embedded engine: sending, reading and serving. The scripts
//! are in `tests/sdk`.

mod script;

use reqwest::{Method, StatusCode};
use runboard::inngest::{Run, RunStatus};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::script::Script;
use crate::{
    inngest_api::{Api, answered},
    support::{
        binary::{Binary, runboard},
        host::{Host, Reply},
    },
};

pub const EVENT_KEY: &str = "an-event-key";
pub const SIGNING_KEY: &str = "5f2b7c1d9e804a3688aa10c7d4e96f3b25170c8e4b9d6f0a1c3e5d7f90b2a486";

/// The program with its engine exposed.
struct World {
    engine: ExposedEngine,
    _server: Binary,
    _data: TempDir,
}

/// An engine that scripts use, wherever it is.
pub struct ExposedEngine {
    api: Api,
}

impl World {
    /// `allowed` is the value of `RUNBOARD_ALLOW_ADDRESSES`.
    fn start(allowed: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = Binary::start(
            runboard(data.path())
                .env("RUNBOARD_ENGINE_LISTEN", "127.0.0.1:0")
                .env("RUNBOARD_ENGINE_EVENT_KEY", EVENT_KEY)
                .env("RUNBOARD_ENGINE_SIGNING_KEY", SIGNING_KEY)
                .env("RUNBOARD_ENGINE_RETRY_SECONDS", "0.1")
                .env("RUNBOARD_ALLOW_ADDRESSES", allowed)
                .env("RUST_LOG", "warn"),
        );
        let engine = server.engine.clone().expect("the engine is opened");
        Self { engine: ExposedEngine::at(&engine), _server: server, _data: data }
    }
}

impl ExposedEngine {
    /// One that has the keys above.
    pub fn at(origin: &str) -> Self {
        Self { api: Api::new(origin, EVENT_KEY, SIGNING_KEY) }
    }

    /// Runs a script that finds the engine by the SDK's own variables, and `host` by one of ours.
    fn run(&self, script: &str, host: Option<&Host>) -> Script {
        let mut variables = vec![
            ("INNGEST_BASE_URL", self.api.base.clone()),
            ("INNGEST_EVENT_KEY", EVENT_KEY.to_owned()),
            ("INNGEST_SIGNING_KEY", SIGNING_KEY.to_owned()),
        ];
        variables.extend(host.map(|host| ("FILE_HOST", host.url(""))));
        Script::start(script, variables)
    }

    /// Serves the app of `functions.mjs` and registers it as people do by hand: with a PUT.
    async fn serve_app(&self) -> Script {
        let script = self.run("functions.mjs", None);
        let url = script.first_line().await;
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().request(Method::PUT, &url);
        let registered = answered(answer.send().await.unwrap()).await;
        assert_eq!(registered.status, StatusCode::OK, "{registered:?}\n{}", script.said());
        assert_eq!(registered.body["modified"], true, "{registered:?}");
        script
    }

    /// Sends the event of a function and waits for the end of its run.
    async fn trigger(&self, function: &str, data: Value) -> Run {
        let event = self.api.send(&json!({"name": format!("acme/{function}"), "data": data})).await;
        self.api.ended(&event).await
    }
}

/// 98 good rows and 2 bad ones.
fn csv() -> String {
    let rows = (1..=100).map(|id| if id % 50 == 0 { format!("{id}\n") } else { format!("{id},row {id}\n") });
    format!("id,name\n{}", rows.collect::<String>())
}

/// The host of the snippets' file.
pub async fn host() -> Host {
    Host::start(|_, _| Reply::file(csv())).await
}

#[tokio::test]
async fn the_snippets_of_inngests_documentation_run_as_they_stand() {
    let host = host().await;
    let world = World::start(&host.allowed());
    run_the_snippets(&world.engine, &host).await;
}

/// Runs the documented snippets, with a file of `host`, from which the functions may fetch.
pub async fn run_the_snippets(engine: &ExposedEngine, host: &Host) {
    let printed = engine.run("snippets.mjs", Some(host)).printed().await;
    assert_eq!(printed, "{ status: 'success', processedItems: 98, failedItems: 2 }\n");
    let asked = host.asked();
    assert!(
        asked[0].starts_with("GET /acme-uploads/user_0xp3wqz7vumcvajt/JVLO6YWS42IXEIGO.csv "),
        "{asked:?}"
    );
}

/// Runs everything that an app does in the tests below.
pub async fn run_an_app(engine: &ExposedEngine) {
    let _app = engine.serve_app().await;
    run_steps_once(engine).await;
    run_long_steps(engine).await;
    fail_and_be_told(engine).await;
    do_what_is_unknown(engine).await;
}

#[tokio::test]
async fn steps_run_once_each_also_when_the_function_is_retried() {
    let world = World::start("");
    let _app = world.engine.serve_app().await;
    run_steps_once(&world.engine).await;
}

async fn run_steps_once(engine: &ExposedEngine) {
    let (two_steps, is_retried) = tokio::join!(
        engine.trigger("two-steps", json!({"text": "a\nbc\nünï"})),
        engine.trigger("is-retried", json!({})),
    );
    assert_eq!(two_steps.status, RunStatus::Completed, "{two_steps:?}");
    assert_eq!(two_steps.output, Some(json!({"rows": ["a", "bc", "ünï"], "lengths": [1, 2, 3]})));
    assert_eq!(is_retried.status, RunStatus::Completed, "{is_retried:?}");
    assert_eq!(is_retried.output, Some(json!({"before": {"attempt": 0}, "attempt": 1})));
}

#[tokio::test]
async fn steps_may_take_longer_together_or_alone_than_the_sdk_lets_one_call_last() {
    let world = World::start("");
    let _app = world.engine.serve_app().await;
    run_long_steps(&world.engine).await;
}

async fn run_long_steps(engine: &ExposedEngine) {
    let (long, slow) =
        tokio::join!(engine.trigger("is-long", json!({})), engine.trigger("is-slow", json!({})));
    assert_eq!(long.status, RunStatus::Completed, "{long:?}");
    assert_eq!(long.output, Some(json!([120, 120, 120, 120, 500, 120, 120])));
    assert_eq!(slow.status, RunStatus::Completed, "{slow:?}");
    assert_eq!(slow.output, Some(json!([1, 2])));
}

#[tokio::test]
async fn a_run_that_fails_says_why_and_its_on_failure_is_called() {
    let world = World::start("");
    let _app = world.engine.serve_app().await;
    fail_and_be_told(&world.engine).await;
}

async fn fail_and_be_told(engine: &ExposedEngine) {
    let (for_good, mourned) = tokio::join!(
        engine.trigger("fails-for-good", json!({})),
        engine.trigger("is-mourned", json!({"number": 7})),
    );
    assert_eq!(for_good.status, RunStatus::Failed, "{for_good:?}");
    assert_eq!(for_good.output.unwrap()["message"], "the file is gone");
    assert_eq!(mourned.status, RunStatus::Failed, "{mourned:?}");
    assert_eq!(mourned.output.unwrap()["message"], "it was not to be");
    // The event of a failure has the id of the run that failed.
    let told = engine.api.ended(mourned.run_id.as_str()).await;
    assert_eq!(told.status, RunStatus::Completed, "{told:?}");
    let expected = json!({"why": "it was not to be", "number": 7, "run": mourned.run_id});
    assert_eq!(told.output, Some(expected));
}

#[tokio::test]
async fn what_the_engine_cannot_do_fails_with_its_name_and_where_it_can_be_done() {
    let world = World::start("");
    let _app = world.engine.serve_app().await;
    do_what_is_unknown(&world.engine).await;
}

async fn do_what_is_unknown(engine: &ExposedEngine) {
    let (sleeps, in_parallel) =
        tokio::join!(engine.trigger("sleeps", json!({})), engine.trigger("in-parallel", json!({})));
    for (run, kind) in [(sleeps, "step.sleep (`nap`)"), (in_parallel, "parallel steps (`left`)")] {
        assert_eq!(run.status, RunStatus::Failed, "{run:?}");
        let said = format!(
            "The embedded engine runs plain steps only, it does not know {kind}. Connect Inngest for it."
        );
        assert_eq!(run.output.unwrap()["error"]["message"], said);
    }
}
