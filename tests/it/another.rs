//! An app whose imports trigger another function besides ours.

use runboard::base::config::{Config, EngineConfig, Exposed};

use crate::{
    function_server::{Answer, Function, FunctionServer},
    inngest_api::Api,
    support::{
        TestApp, free_address, spawn_app_on,
        visitor::{Panel, Visitor},
    },
};

const EVENT_KEY: &str = "the-event-key";
const SIGNING_KEY: &str = "signkey-test-12345678";

/// The other function reports no counts. It runs until the value returned with the app is dropped.
pub async fn spawn_app_with_another_function(
    configure: impl FnOnce(&mut Config),
) -> (TestApp, FunctionServer) {
    let listen = free_address();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        configure(config);
        let (event_key, signing_key) = (EVENT_KEY.into(), SIGNING_KEY.into());
        config.engine = EngineConfig::Embedded(Some(Exposed { listen, event_key, signing_key }));
    })
    .await;
    let audit = Function::answering("audit", || Answer::output("1"));
    let audit = audit.on_event("imports/csv.uploaded", "event.name == 'imports/csv.uploaded'");
    let others = FunctionServer::start(vec![audit]).await;
    let api = Api::new(&format!("http://{listen}"), EVENT_KEY, SIGNING_KEY);
    let registered = api.register(&others.registration()).await;
    assert_eq!(registered.status, 200, "{registered:?}");
    (app, others)
}

/// Uploads a file and waits until both functions have finished.
pub async fn completed_by_both(visitor: &Visitor, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let import = visitor.upload(name, bytes).await;
    both_completed(visitor, &import).await;
    import
}

/// Waits until both functions have finished an import; either run may be listed first.
pub async fn both_completed(visitor: &Visitor, import: &str) -> Panel {
    let are_done = |panel: &Panel| panel.state == "Completed" && panel.runs.len() == 2;
    visitor.wait_for(import, "both runs to complete", are_done).await
}

/// The counts of our own function's run.
pub fn own_counts(panel: &Panel) -> (u64, u64) {
    let mut counted = panel.runs.iter().filter(|run| !run.processed.is_empty());
    let (Some(own), None) = (counted.next(), counted.next()) else {
        panic!("one run with numbers: {:?}", panel.runs)
    };
    (own.processed.parse().unwrap(), own.failed.parse().unwrap())
}
