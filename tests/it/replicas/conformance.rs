//! The conformance suite on the engine of several replicas.

use std::{env, process::Command};

use super::exposed::ExposedCluster;

const EVENT_KEY: &str = "event-key";
const SIGNING_KEY: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
#[ignore = "runs a suite of its own: make replicas"]
async fn the_engine_of_several_replicas_is_one_engine() {
    let exposed = ExposedCluster::start(EVENT_KEY, SIGNING_KEY, String::new()).await;
    let suite = Command::new(env::current_exe().unwrap())
        .args(["conformance::", "--skip", "replicas::", "--test-threads=4"])
        .env("RUNBOARD_TEST_INNGEST_URL", &exposed.engine)
        .env("RUNBOARD_TEST_INNGEST_EVENT_KEY", EVENT_KEY)
        .env("RUNBOARD_TEST_INNGEST_SIGNING_KEY", SIGNING_KEY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&suite.stdout);
    println!("{said}");
    assert!(suite.status.success(), "{}", String::from_utf8_lossy(&suite.stderr));
    assert!(!said.contains("running 0 tests"), "the suite was found");
}
