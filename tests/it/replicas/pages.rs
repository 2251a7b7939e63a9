//! What one replica knows, all show.

use std::time::Instant;

use futures_util::future::join_all;
use reqwest::{StatusCode, header};

use super::{
    check_outputs,
    cluster::{Cluster, REPLICAS},
    cluster_before, is_running, page, sample,
    witness::Witness,
};
use crate::{
    inngest_api::until,
    routes,
    support::visitor::{Visitor, attributes},
};

#[tokio::test]
async fn a_session_begun_at_one_replica_holds_at_all_and_ends_at_all_with_its_sign_out() {
    let cluster = Cluster::start().await;
    let mut mira = Visitor::new(&cluster.origin_of(0));
    mira.sign_up("mira@example.org").await;
    // Twice, because the second request may be answered from memory.
    for number in [0, 1, 2, 0, 1, 2] {
        let answer = cluster.at(number, &mira).get("/").await;
        assert_eq!(answer.status(), StatusCode::OK, "at {number}");
    }
    let answer = cluster.at(1, &mira).post_form("/sign-out", &[]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    for number in 0..REPLICAS {
        let answer = cluster.at(number, &mira).get("/").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "at {number}");
        assert!(answer.headers()[header::LOCATION].to_str().unwrap().starts_with("/sign-in"));
    }
}

#[tokio::test]
async fn an_upload_is_on_all_pages_with_the_next_request_and_ends_alike_everywhere() {
    let cluster = Cluster::start().await;
    let mira = cluster.signed_in("mira@example.org").await;
    let sample = sample();
    for number in 0..REPLICAS {
        let import = cluster.at(number, &mira).upload("mine.csv", &sample.bytes).await;
        let id = import.rsplit('/').next().unwrap();
        let everywhere: Vec<Visitor> = (0..REPLICAS).map(|number| cluster.at(number, &mira)).collect();
        for visitor in everywhere.iter().chain([&mira]) {
            page(visitor, &import).await;
            let page = page(visitor, "/").await;
            assert!(attributes(&page, "data-import-id").iter().any(|shown| shown == id), "{page}");
        }
        let witnesses: Vec<Witness> =
            everywhere.iter().chain([&mira]).map(|visitor| Witness::of(visitor, &import)).collect();
        let start = Instant::now();
        let ended = join_all((0..REPLICAS).map(async |number| {
            cluster.until_state(number, &mira, &import, "Completed").await;
            start.elapsed()
        }));
        println!("uploaded at {number}, completed at each after {:?}", ended.await);
        let panel = cluster.until_ended(&[0, 1, 2], &mira, &import).await;
        for witness in witnesses {
            witness.end("Completed").await;
        }
        check_outputs(&cluster.at((number + 1) % REPLICAS, &mira), &import, &panel, &sample).await;
    }
}

/// The counts of a running step come from the replica that runs it.
#[tokio::test]
async fn an_import_that_goes_on_is_shown_to_go_on_everywhere() {
    let sample = sample();
    let (cluster, gate) = cluster_before(&sample).await;
    let mira = cluster.signed_in("mira@example.org").await;
    let import = mira.import_address(&gate.url("held.csv")).await;
    gate.until_waiting(1).await;
    for number in 0..REPLICAS {
        cluster.until_shown(number, &mira, &import, is_running).await;
    }
    gate.open();
    let panel = cluster.until_ended(&[0, 1, 2], &mira, &import).await;
    check_outputs(&mira, &import, &panel, &sample).await;
}

#[tokio::test]
async fn replicas_that_begin_at_once_on_an_empty_database_and_bucket_share_them() {
    let cluster = Cluster::start_at_once().await;
    cluster.until_live(3).await;
    let mira = cluster.signed_in("mira@example.org").await;
    let sample = sample();
    let import = mira.upload("mine.csv", &sample.bytes).await;
    let panel = cluster.until_ended(&[0, 1, 2], &mira, &import).await;
    check_outputs(&mira, &import, &panel, &sample).await;
    let leads = || async {
        let mut leads = Vec::new();
        for number in 0..REPLICAS {
            let answer = Visitor::new(&cluster.origin_of(number)).get("/readyz").await;
            leads.push(answer.text().await.unwrap().ends_with("leads: yes\n"));
        }
        if leads.iter().filter(|leads| **leads).count() == 1 { Ok(()) } else { Err(leads) }
    };
    until("one of them to lead", leads).await;
}

#[tokio::test]
async fn a_replica_with_an_empty_folder_needs_only_the_database_and_the_bucket() {
    let mut cluster = Cluster::start().await;
    let mira = cluster.signed_in("mira@example.org").await;
    let sample = sample();
    let old = mira.upload("old.csv", &sample.bytes).await;
    cluster.until_ended(&[0, 1, 2], &mira, &old).await;
    cluster.kill(1).await;
    cluster.restart_fresh(1);
    let panel = cluster.until_ended(&[1], &mira, &old).await;
    check_outputs(&cluster.at(1, &mira), &old, &panel, &sample).await;
    for number in [0, 2] {
        cluster.kill(number).await;
    }
    let new = cluster.at(1, &mira).upload("new.csv", &sample.bytes).await;
    let panel = cluster.until_ended(&[1], &mira, &new).await;
    check_outputs(&cluster.at(1, &mira), &new, &panel, &sample).await;
}

/// The walks over all routes, each request at the next replica.
#[tokio::test]
async fn a_stranger_finds_nothing_of_anothers_import_at_any_replica() {
    let cluster = Cluster::start().await;
    routes::walk_as_a_stranger(&cluster.origin).await;
    routes::walk_with_tokens(&cluster.origin).await;
}
