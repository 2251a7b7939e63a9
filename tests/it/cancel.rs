//! Cancelling over HTTP: while queued, inside a step, between two attempts, and too late.

pub(crate) mod fake_engine;
mod replicas;

use std::{fs, time::Duration};

use reqwest::{Method, StatusCode};

use crate::support::{
    host::Host,
    spawn_app, spawn_app_on,
    visitor::{Panel, Visitor},
};

/// How much a step reads, however fast the machine is; and rows of four bytes for more than one step.
const STEP: u64 = 1 << 20;
const ROWS: usize = 3 << 17;

async fn cancel(visitor: &Visitor, import: &str) {
    let answer = visitor.post_form(&format!("{import}/cancel"), &[]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

fn at_work(panel: &Panel) -> bool {
    panel.runs.iter().any(|run| run.processed.parse::<u64>().is_ok_and(|rows| rows > 0))
}

fn waits(panel: &Panel) -> bool {
    panel.html.contains("Waiting for a free worker") && panel.runs.iter().any(|run| run.status == "Running")
}

#[tokio::test]
async fn a_run_that_waits_for_its_turn_is_cancelled_and_never_begins() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let busy = app.busy().await;
    let import = visitor.upload("second.csv", "a\n1\n").await;
    visitor.wait_for(&import, "its turn", waits).await;
    cancel(&visitor, &import).await;
    let panel = visitor.wait_for_state(&import, "Cancelled").await;
    assert_eq!((panel.runs[0].status.as_str(), panel.runs[0].processed.as_str()), ("Cancelled", ""));
    assert!(panel.html.contains("Stopped by you at"), "{}", panel.html);
    // The workers are free again, and must not start the cancelled run.
    drop(busy);
    let next = visitor.upload("next.csv", "a\n1\n").await;
    visitor.wait_for_state(&next, "Completed").await;
    assert_eq!(visitor.panel(&import).await.state, "Cancelled");
    let answer = visitor.get(&format!("{import}/processed.csv")).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND, "nothing was written");
    app.stop().await;
}

#[tokio::test]
async fn inside_a_step_it_stops_at_once_and_makes_room() {
    let host = Host::that_never_ends().await;
    let allowed = host.allowed().parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        (config.fetches, config.allow_addresses) = (1, allowed);
    })
    .await;
    let visitor = app.signed_in().await;
    let received = |panel: &Panel| panel.html.contains("received");
    let import = visitor.import_address(&host.url("/first.csv")).await;
    visitor.wait_for(&import, "bytes", received).await;
    let next = visitor.import_address(&host.url("/next.csv")).await;
    visitor.wait_for(&next, "its turn", waits).await;
    cancel(&visitor, &import).await;
    visitor.wait_for_state(&import, "Cancelled").await;
    visitor.wait_for(&next, "bytes", received).await;
    cancel(&visitor, &next).await;
    visitor.wait_for_state(&next, "Cancelled").await;
    app.stop().await;
}

#[tokio::test]
async fn between_two_steps_what_counts_are_the_finished_ones() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        (config.workers, config.step_bytes) = (1, STEP..=STEP);
    })
    .await;
    let visitor = app.signed_in().await;
    let mut busy = app.busy().await;
    let file = format!("a,b\n{}", "1,2\n".repeat(ROWS));
    let import = visitor.upload("long.csv", file).await;
    while !at_work(&visitor.wait_for(&import, "a run", |panel| !panel.runs.is_empty()).await) {
        busy.lend().await;
    }
    cancel(&visitor, &import).await;
    let panel = visitor.wait_for_state(&import, "Cancelled").await;
    let (processed, failed) = panel.counts();
    assert!(0 < processed && processed < ROWS as u64, "{processed} rows of the first step");
    let answer = visitor.get(&format!("{import}/processed.csv")).await;
    let name = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(name.contains("processed-partial.csv"), "{name}");
    let partial = answer.bytes().await.unwrap();
    let rows = partial.iter().filter(|byte| **byte == b'\n').count() as u64 - 1;
    assert_eq!((rows, 0), (processed, failed), "the counted rows can be downloaded");
    let request = visitor.request(Method::GET, &format!("{import}/processed.csv"));
    let answer = request.header("Range", format!("bytes={}-", partial.len() - 9)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(answer.headers()["content-disposition"], name);
    assert_eq!(answer.bytes().await.unwrap(), partial[partial.len() - 9..]);
    // The only worker is free.
    drop(busy);
    let next = visitor.upload("next.csv", "a\n1\n").await;
    visitor.wait_for_state(&next, "Completed").await;

    let data = app.stop().await;
    let app = spawn_app_on(data, |_| {}).await;
    let mut visitor = visitor;
    visitor.origin.clone_from(&app.origin);
    let panel = visitor.panel(&import).await;
    assert_eq!((panel.state.as_str(), panel.counts()), ("Cancelled", (processed, failed)));
    app.stop().await;
}

#[tokio::test]
async fn a_run_that_waits_for_its_next_attempt_is_cancelled() {
    let retries = vec![Duration::from_secs(60 * 60)];
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.engine_retries = retries).await;
    let visitor = app.signed_in().await;
    let busy = app.busy().await;
    let second = visitor.upload("second.csv", "a\n1\n").await;
    // A folder can be opened like a file, but not read: this simulates a disk failure.
    let stored = app.data.path().join(format!("files/uploads/{}.csv", second.rsplit('/').next().unwrap()));
    fs::remove_file(&stored).unwrap();
    fs::create_dir(&stored).unwrap();
    drop(busy);
    visitor.wait_for(&second, "a failed attempt", |panel| panel.html.contains("Retrying")).await;
    cancel(&visitor, &second).await;
    let panel = visitor.wait_for_state(&second, "Cancelled").await;
    assert_eq!(panel.runs[0].status, "Cancelled");
    assert!(!panel.html.contains("Retrying"), "{}", panel.html);
    app.stop().await;
}

#[tokio::test]
async fn what_has_ended_stays_as_it_ended() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("short.csv", "a\n1\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    cancel(&visitor, &import).await;
    let panel = visitor.panel(&import).await;
    assert_eq!((panel.state.as_str(), panel.counts()), ("Completed", (1, 0)));
    app.stop().await;
}
