//! Several real programs on one Postgres and one bucket, behind a proxy: what one knows, all show, and what one leaves
//! when it is killed, stopped or cut off, another finishes.
//!
//! These tests bring their own Postgres and S3 server, whatever database the others use.

mod actor;
mod audit;
mod chaos;
mod cluster;
mod conformance;
mod counts;
mod endurance;
mod exposed;
mod figures;
mod followed;
mod gate;
mod limits;
mod link;
mod measure;
mod pages;
mod rows;
mod sdk;
mod taken_over;
mod witness;

use std::process::Command;

use rand::{SeedableRng, rngs::StdRng};
use reqwest::StatusCode;

use self::{cluster::Cluster, gate::Gate};
use crate::{
    crash::sample::Sample,
    inngest_api::until,
    support::visitor::{Panel, Visitor},
};

/// A file of some thousand records, of which some fail.
fn sample() -> Sample {
    Sample::generate(300 << 10, &mut StdRng::seed_from_u64(7))
}

/// A file that is sent once the test says so, and replicas that may fetch it.
async fn cluster_before(sample: &Sample) -> (Cluster, Gate) {
    let gate = Gate::before(&sample.bytes);
    let allowed = gate.allowed();
    let configure = move |command: &mut Command, _| {
        command.env("RUNBOARD_ALLOW_ADDRESSES", &allowed);
    };
    (Cluster::start_with(cluster::REPLICAS, configure).await, gate)
}

/// Whether a page shows a run that goes on.
fn is_running(panel: &Panel) -> bool {
    panel.state == "Running" && panel.runs.iter().any(|run| run.status == "Running")
}

/// A page with its next answer. That of an outage is none: on a busy machine a replica may hear of the others too late to
/// say what is true.
async fn page(visitor: &Visitor, path: &str) -> String {
    let look = || async {
        let answer = visitor.get(path).await;
        let (status, html) = (answer.status(), answer.text().await.unwrap());
        if status == StatusCode::SERVICE_UNAVAILABLE { Err(html) } else { Ok((status, html)) }
    };
    let (status, html) = until(path, look).await;
    assert_eq!(status, StatusCode::OK, "{path} at {}: {html}", visitor.origin);
    html
}

/// Checks that a completed import has each record of `sample` once and in order.
async fn check_outputs(visitor: &Visitor, import: &str, panel: &Panel, sample: &Sample) {
    let (processed, failed) = panel.counts();
    assert_eq!((processed, failed), sample.counts(), "{import}");
    let outputs = ["processed", "failed"].map(|which| format!("{import}/{which}.csv"));
    let [processed_file, failed_file] =
        [visitor.download(&outputs[0]).await, visitor.download(&outputs[1]).await];
    let checked = sample.check(processed + failed, &processed_file, &failed_file);
    checked.unwrap_or_else(|why| panic!("{import}: {why}"));
}
