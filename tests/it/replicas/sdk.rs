//! Inngest's SDK for Node on the engine of several replicas.

use super::exposed::ExposedCluster;
use crate::{
    inngest_api::until,
    sdk::{self, EVENT_KEY, ExposedEngine, SIGNING_KEY},
};

#[tokio::test]
#[ignore = "repeats the tests of the SDK: make replicas"]
async fn the_sdk_finds_one_engine_at_the_proxy_of_several_replicas() {
    let host = sdk::host().await;
    let exposed = ExposedCluster::start(EVENT_KEY, SIGNING_KEY, host.allowed()).await;
    // An event triggers only functions that are registered, and the snippets do not wait for ours.
    let registered = || async {
        match exposed.cluster.rows.count("engine_function WHERE archived_at IS NULL").await {
            0 => Err("none"),
            _ => Ok(()),
        }
    };
    until("our functions to be registered", registered).await;
    let engine = ExposedEngine::at(&exposed.engine);
    sdk::run_the_snippets(&engine, &host).await;
    sdk::run_an_app(&engine).await;
}
