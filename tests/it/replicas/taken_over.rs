//! What a replica leaves when it is killed, stopped or cut off, another finishes; and what was stopped does no harm when
//! it goes on.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::{StatusCode, header};

use super::{
    check_outputs,
    cluster::{Cluster, Partner, REPLICAS},
    cluster_before,
    link::Cut,
    sample,
    witness::Witness,
};
use crate::support::{nginx::Nginx, reserved_port::ReservedPort, visitor::Visitor};

fn others(than: &[usize]) -> Vec<usize> {
    (0..REPLICAS).filter(|number| !than.contains(number)).collect()
}

fn witnesses(cluster: &Cluster, at: &[usize], visitor: &Visitor, import: &str) -> Vec<Witness> {
    at.iter().map(|number| Witness::of(&cluster.at(*number, visitor), import)).collect()
}

/// Checks that nothing was done twice: one run of each event, and steps that add up to the records.
async fn check_rows(cluster: &Cluster, records: (u64, u64)) {
    assert_eq!(cluster.rows.without_one_run().await, Vec::<String>::new());
    let counted = "(SELECT SUM(processed + failed) FROM step)";
    let imports = cluster.rows.count("import").await;
    let expected = imports * i64::try_from(records.0 + records.1).unwrap();
    assert_eq!(cluster.rows.number(counted).await, expected, "the records of {imports} imports");
}

#[tokio::test]
async fn a_cancel_at_one_replica_stops_a_step_at_another() {
    let sample = sample();
    let (cluster, gate) = cluster_before(&sample).await;
    let mira = cluster.signed_in("mira@example.org").await;
    let mut imports = Vec::new();
    for number in 0..REPLICAS {
        imports.push(mira.import_address(&gate.url(&format!("{number}.csv"))).await);
    }
    gate.until_waiting(REPLICAS).await;
    // At least two of these are pressed elsewhere than where the step runs.
    for (number, import) in imports.iter().enumerate() {
        let answer = cluster.at(number, &mira).post_form(&format!("{import}/cancel"), &[]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    }
    gate.until_waiting(0).await;
    for import in &imports {
        for number in 0..REPLICAS {
            cluster.until_state(number, &mira, import, "Cancelled").await;
        }
    }
}

#[tokio::test]
async fn when_who_watches_an_import_is_killed_another_finishes_it() {
    let sample = sample();
    let (mut cluster, gate) = cluster_before(&sample).await;
    let mira = cluster.signed_in("mira@example.org").await;
    let import = cluster.at(1, &mira).import_address(&gate.url("held.csv")).await;
    gate.until_waiting(1).await;
    let (killed, _) = cluster.until_watched(&import, &[]).await;
    let left = others(&[killed]);
    let witnesses = witnesses(&cluster, &left, &mira, &import);
    cluster.kill(killed).await;
    let (_, after) = cluster.until_watched(&import, &[killed]).await;
    println!("somebody else watched it after {after:?}");
    gate.open();
    let panel = cluster.until_ended(&left, &mira, &import).await;
    for witness in witnesses {
        witness.end("Completed").await;
    }
    check_outputs(&cluster.at(left[0], &mira), &import, &panel, &sample).await;
    cluster.restart(killed);
    cluster.until_ended(&[0, 1, 2], &mira, &import).await;
    check_rows(&cluster, sample.counts()).await;
}

#[tokio::test]
async fn when_the_leader_is_killed_another_leads() {
    let sample = sample();
    let (mut cluster, gate) = cluster_before(&sample).await;
    let mira = cluster.signed_in("mira@example.org").await;
    let import = mira.import_address(&gate.url("held.csv")).await;
    gate.until_waiting(1).await;
    let (killed, _) = cluster.until_led(&[]).await;
    let left = others(&[killed]);
    let witnesses = witnesses(&cluster, &left, &mira, &import);
    cluster.kill(killed).await;
    let (_, after) = cluster.until_led(&[killed]).await;
    println!("another one led after {after:?}");
    gate.open();
    let next = cluster.at(left[0], &mira).upload("next.csv", &sample.bytes).await;
    for import in [&import, &next] {
        let panel = cluster.until_ended(&left, &mira, import).await;
        check_outputs(&cluster.at(left[1], &mira), import, &panel, &sample).await;
    }
    for witness in witnesses {
        witness.end("Completed").await;
    }
    check_rows(&cluster, sample.counts()).await;
}

#[tokio::test]
async fn a_replica_that_was_stopped_for_longer_than_its_leases_counts_nothing_twice() {
    let sample = sample();
    let (mut cluster, gate) = cluster_before(&sample).await;
    let mira = cluster.signed_in("mira@example.org").await;
    let import = cluster.at(0, &mira).import_address(&gate.url("held.csv")).await;
    gate.until_waiting(1).await;
    let (watcher, _) = cluster.until_watched(&import, &[]).await;
    let (leader, _) = cluster.until_led(&[]).await;
    let stopped: Vec<usize> = BTreeSet::from([watcher, leader]).into_iter().collect();
    let left = others(&stopped);
    for number in &stopped {
        cluster.pause(*number);
    }
    cluster.until_watched(&import, &stopped).await;
    cluster.until_led(&stopped).await;
    // The stopped step gets its file, too, and goes on with it later.
    gate.open();
    let before = witnesses(&cluster, &left, &mira, &import);
    let panel = cluster.until_ended(&left, &mira, &import).await;
    for number in &stopped {
        cluster.resume(*number);
    }
    let after = witnesses(&cluster, &stopped, &mira, &import);
    cluster.until_live(3).await;
    let again = cluster.until_ended(&[0, 1, 2], &mira, &import).await;
    assert_eq!((again.state, again.runs), (panel.state.clone(), panel.runs.clone()));
    // These give what was stopped the time to do something wrong.
    let next = join_all((0..REPLICAS).map(|number| {
        let visitor = cluster.at(number, &mira);
        let file = &sample.bytes;
        async move { visitor.upload("next.csv", file).await }
    }))
    .await;
    for import in &next {
        cluster.until_ended(&[0, 1, 2], &mira, import).await;
    }
    for witness in before.into_iter().chain(after) {
        witness.end("Completed").await;
    }
    check_outputs(&cluster.at(stopped[0], &mira), &import, &panel, &sample).await;
    check_rows(&cluster, sample.counts()).await;
}

#[tokio::test]
async fn a_replica_that_was_cut_off_from_the_database_says_so_and_then_shows_what_happened() {
    let sample = sample();
    let cluster = Cluster::start().await;
    let mira = cluster.signed_in("mira@example.org").await;
    for (number, cut) in [(1, Cut::Closed), (2, Cut::Silent)] {
        let left = others(&[number]);
        cluster.cut(number, Partner::Postgres, cut);
        cluster.until_ready(number, StatusCode::SERVICE_UNAVAILABLE).await;
        let import = cluster.at(0, &mira).upload("mine.csv", &sample.bytes).await;
        let witness = Witness::of(&cluster.at(left[1], &mira), &import);
        cluster.until_ended(&left, &mira, &import).await;
        cluster.cut(number, Partner::Postgres, Cut::No);
        cluster.until_ready(number, StatusCode::OK).await;
        let panel = cluster.until_ended(&[0, 1, 2], &mira, &import).await;
        check_outputs(&cluster.at(number, &mira), &import, &panel, &sample).await;
        witness.end("Completed").await;
        cluster.until_live(3).await;
    }
    check_rows(&cluster, sample.counts()).await;
}

#[tokio::test]
async fn an_import_goes_on_where_the_bucket_can_be_reached() {
    let sample = sample();
    let cluster = Cluster::start().await;
    let mira = cluster.signed_in("mira@example.org").await;
    cluster.cut(0, Partner::S3, Cut::Closed);
    cluster.until_ready(0, StatusCode::SERVICE_UNAVAILABLE).await;
    let import = cluster.at(1, &mira).upload("mine.csv", &sample.bytes).await;
    cluster.cut(0, Partner::S3, Cut::No);
    cluster.until_ready(0, StatusCode::OK).await;
    let panel = cluster.until_ended(&[0, 1, 2], &mira, &import).await;
    check_outputs(&cluster.at(0, &mira), &import, &panel, &sample).await;
}

#[tokio::test]
async fn the_documented_proxy_asks_past_a_dead_replica_and_hands_on_that_the_database_is_away() {
    let mut cluster = Cluster::start().await;
    let mira = cluster.signed_in("mira@example.org").await;
    let port = ReservedPort::new();
    let _nginx = Nginx::as_documented(port.port, [0, 1, 2].map(|number| cluster.port_of(number)));
    let mira = mira.at(&format!("http://127.0.0.1:{}", port.port));
    cluster.kill(0).await;
    for _ in 0..2 * REPLICAS {
        assert_eq!(mira.get("/healthz").await.status(), StatusCode::OK);
    }
    for number in [1, 2] {
        cluster.cut(number, Partner::Postgres, Cut::Silent);
        cluster.until_ready(number, StatusCode::SERVICE_UNAVAILABLE).await;
    }
    // Twice for each that lives, because nginx leaves out what it takes for a failure.
    for _ in 0..4 {
        // The database is asked for this page.
        let page = mira.get("/?name=mine").await;
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(page.headers().contains_key(header::CONTENT_SECURITY_POLICY), "the answer is Runboard's");
        let page = page.text().await.unwrap();
        assert!(page.contains("The database is not answering."), "{page}");
    }
}
