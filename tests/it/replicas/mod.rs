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

use self::{cluster::Cluster, gate::Gate};
use crate::{
    crash::sample::Sample,
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
