//! Cancelling at the door: while queued, inside a step, between two attempts, and too late.

pub(crate) mod fake_engine;

use std::{fs, time::Duration};

use reqwest::StatusCode;
use runboard::config::Config;

use crate::support::{
    host::spawn_with_a_busy_worker,
    spawn_app, spawn_app_on,
    visitor::{Panel, Visitor},
};

/// Enough rows for several steps: no run of it ends while a test looks.
const LONG_ROWS: usize = 24_000_000;

fn long() -> String {
    format!("a,b\n{}", "1,2\n".repeat(LONG_ROWS))
}

async fn cancel(visitor: &Visitor, import: &str) {
    let answer = visitor.post_form(&format!("{import}/cancel"), &[]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

fn at_work(panel: &Panel) -> bool {
    panel.runs.iter().any(|run| run.processed.parse::<u64>().is_ok_and(|rows| rows > 0))
}

fn one_worker(config: &mut Config) {
    config.workers = 1;
}

#[tokio::test]
async fn a_queued_run_is_cancelled_and_never_begins() {
    let (app, visitor, first) = spawn_with_a_busy_worker(|_| {}).await;
    let second = visitor.upload("second.csv", "a\n1\n").await;
    let queued = |panel: &Panel| panel.runs.iter().any(|run| run.status == "Scheduled");
    visitor.wait_for(&second, "the queue", queued).await;
    cancel(&visitor, &second).await;
    let panel = visitor.wait_for_state(&second, "Cancelled").await;
    assert_eq!((panel.runs[0].status.as_str(), panel.runs[0].processed.as_str()), ("Cancelled", ""));
    assert!(panel.html.contains("Stopped by you at"), "{}", panel.html);
    // The worker is free again, and passes the second by.
    cancel(&visitor, &first).await;
    let third = visitor.upload("third.csv", "a\n1\n").await;
    visitor.wait_for_state(&third, "Completed").await;
    assert_eq!(visitor.panel(&second).await.state, "Cancelled");
    let answer = visitor.get(&format!("{second}/processed.csv")).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND, "nothing was written");
    app.stop().await;
}

#[tokio::test]
async fn inside_a_step_it_stops_at_once_and_what_counts_are_the_finished_steps() {
    let app = spawn_app_on(tempfile::tempdir().unwrap(), one_worker).await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("long.csv", long()).await;
    visitor.wait_for(&import, "rows", at_work).await;
    cancel(&visitor, &import).await;
    let panel = visitor.wait_for_state(&import, "Cancelled").await;
    let (processed, failed) = panel.counts();
    assert!(processed < LONG_ROWS as u64, "it was cancelled before its end");
    let answer = visitor.get(&format!("{import}/processed.csv")).await;
    let name = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(name.contains("processed-partial.csv"), "{name}");
    let rows = answer.bytes().await.unwrap().iter().filter(|byte| **byte == b'\n').count() as u64 - 1;
    assert_eq!((rows, 0), (processed, failed), "what is counted is what can be downloaded");
    // The only worker is free.
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
    let (app, visitor, first) = spawn_with_a_busy_worker(|config| config.engine_retries = retries).await;
    let second = visitor.upload("second.csv", "a\n1\n").await;
    // A folder can be opened like a file, but not read: as a disk in trouble.
    let stored = app.data.path().join(format!("files/uploads/{}.csv", second.rsplit('/').next().unwrap()));
    fs::remove_file(&stored).unwrap();
    fs::create_dir(&stored).unwrap();
    cancel(&visitor, &first).await;
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
