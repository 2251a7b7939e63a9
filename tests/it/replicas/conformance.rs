//! The conformance suite on the engine of several replicas, each request at the next of them.

use std::{env, process::Command};

use super::cluster::{Cluster, REPLICAS};
use crate::support::{nginx::Nginx, reserved_port::ReservedPort};

const EVENT_KEY: &str = "event-key";
const SIGNING_KEY: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
#[ignore = "runs a suite of its own: make replicas"]
async fn the_engine_of_several_replicas_is_one_engine() {
    let ports: Vec<ReservedPort> = (0..=REPLICAS).map(|_| ReservedPort::new()).collect();
    let engines: Vec<u16> = ports[..REPLICAS].iter().map(|reserved| reserved.port).collect();
    let listen = engines.clone();
    let _cluster = Cluster::start_with(REPLICAS, move |command, number| {
        command
            .env("RUNBOARD_ENGINE_LISTEN", format!("127.0.0.1:{}", listen[number]))
            .env("RUNBOARD_ENGINE_EVENT_KEY", EVENT_KEY)
            .env("RUNBOARD_ENGINE_SIGNING_KEY", SIGNING_KEY);
    })
    .await;
    let port = ports[REPLICAS].port;
    let _nginx = Nginx::in_turn(port, &engines);
    let suite = Command::new(env::current_exe().unwrap())
        .args(["conformance::", "--skip", "replicas::", "--test-threads=4"])
        .env("RUNBOARD_TEST_INNGEST_URL", format!("http://127.0.0.1:{port}"))
        .env("RUNBOARD_TEST_INNGEST_EVENT_KEY", EVENT_KEY)
        .env("RUNBOARD_TEST_INNGEST_SIGNING_KEY", SIGNING_KEY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&suite.stdout);
    println!("{said}");
    assert!(suite.status.success(), "{}", String::from_utf8_lossy(&suite.stderr));
    assert!(!said.contains("running 0 tests"), "the suite was found");
}
