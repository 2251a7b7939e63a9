//! The engine of several replicas, behind a proxy of its own that passes each request to the next of them.

use super::cluster::{Cluster, REPLICAS};
use crate::support::{nginx::Nginx, reserved_port::ReservedPort};

pub struct ExposedCluster {
    /// The address of the engine.
    pub engine: String,
    pub cluster: Cluster,
    _nginx: Nginx,
    _ports: Vec<ReservedPort>,
}

impl ExposedCluster {
    /// `allowed` is the value of `RUNBOARD_ALLOW_ADDRESSES`.
    pub async fn start(event_key: &'static str, signing_key: &'static str, allowed: String) -> Self {
        let ports: Vec<ReservedPort> = (0..=REPLICAS).map(|_| ReservedPort::new()).collect();
        let engines: Vec<u16> = ports[..REPLICAS].iter().map(|reserved| reserved.port).collect();
        let listen = engines.clone();
        let cluster = Cluster::start_with(REPLICAS, move |command, number| {
            command
                .env("RUNBOARD_ENGINE_LISTEN", format!("127.0.0.1:{}", listen[number]))
                .env("RUNBOARD_ENGINE_EVENT_KEY", event_key)
                .env("RUNBOARD_ENGINE_SIGNING_KEY", signing_key)
                .env("RUNBOARD_ALLOW_ADDRESSES", &allowed);
        })
        .await;
        let port = ports[REPLICAS].port;
        let nginx = Nginx::in_turn(port, &engines);
        Self { engine: format!("http://127.0.0.1:{port}"), cluster, _nginx: nginx, _ports: ports }
    }
}
