//! The first version of the API repeats a cached list.

use std::time::Duration;

use runboard::base::time::UnixMillis;
use serde_json::{Value, json};

use super::world::{RUN, Said, World, recorded};

/// A list that the server caches for longer than a test takes.
fn kept(name: &str) -> Said {
    let mut list: Value = serde_json::from_str(&recorded(name)).unwrap();
    let now = UnixMillis::now();
    list["metadata"]["fetched_at"] = json!(now.to_string());
    list["metadata"]["cached_until"] = json!(now.plus(Duration::from_secs(60)).to_string());
    Said::Body(list.to_string())
}

#[tokio::test]
async fn a_run_is_cancelled_while_v1_would_only_repeat_itself_and_one_that_is_not_known_has_ended() {
    let world = World::saying(vec![kept("v1-running")]).await;
    world.until("the run", |panel| panel.runs.len() == 1).await;
    world.visitor.post_form(&format!("{}/cancel", world.import), &[]).await;
    // The server does not know the run when it receives the cancel.
    let panel = world.until("the end", |panel| panel.state == "Cancelled").await;
    assert_eq!(panel.runs[0].status, "Cancelled");
    let cancel = format!("DELETE /v1/runs/{RUN} ");
    assert!(world.server.api.asked().iter().any(|request| request.starts_with(&cancel)));
}

#[tokio::test]
async fn while_v1_would_only_repeat_that_there_is_no_run_it_is_not_asked() {
    let world = World::saying(vec![kept("v1-none")]).await;
    world.until("the event sent", |panel| panel.state == "Sent").await;
    let asked = || world.server.api.asked().iter().filter(|line| line.starts_with("GET /v1/events/")).count();
    world.reads("Waiting for a run to start (7 s)", "").await;
    assert_eq!(asked(), 1, "{:?}", world.server.api.asked());
}

#[tokio::test]
async fn while_v1_would_only_repeat_itself_the_runs_are_asked_for_one_by_one() {
    let world = World::saying(vec![kept("v1-running")]).await;
    world.until("the run", |panel| panel.runs.len() == 1).await;
    let one = format!("GET /v1/runs/{RUN} ");
    let asked = |start: &str| world.server.api.asked().iter().filter(|line| line.starts_with(start)).count();
    world.until("questions about the run", |_| asked(&one) >= 3).await;
    assert_eq!(asked("GET /v1/events/"), 1, "{:?}", world.server.api.asked());
}
