//! A server whose v2 list shows a terminal status and never an end, as a version of November 2026 did.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::world::{RUN, Said, Server, World, recorded, said};
use crate::inngest_api::until;

const OF_RUN_V1: &str = "/v1/runs/01M852HFJBN5J36VWDC6WQQXA1";

/// The run in the list once it is over.
fn listed(status: &str) -> Said {
    let mut list: Value = serde_json::from_str(&recorded("v2-running")).unwrap();
    list["data"][0]["status"] = json!(status);
    list["data"][0]["output"] = json!({"processedItems": 98, "failedItems": 2});
    Said::Body(list.to_string())
}

/// The run according to v1.
fn alone(status: &str, ended_at: Option<&str>) -> Said {
    let run = json!({"data": {
        "run_id": RUN, "run_started_at": "2026-11-23T20:46:12.043Z", "function_id": "f",
        "event_id": "01M852HFBDQ9X4SWWHP2J7VA0V", "status": status, "ended_at": ended_at, "output": ""
    }});
    Said::Body(run.to_string())
}

async fn running(run_v1: Said) -> World {
    let world = World::of(Server::saying(true, vec![said("v2-running")]).await).await;
    *world.server.run_v1.lock().unwrap() = run_v1;
    world.reads("Running for", "Running").await;
    world
}

/// The number of requests to v1 for the run, and to v2 for the list.
fn asked(world: &World) -> (usize, usize) {
    let asked = world.server.api.asked();
    let count = |is: &dyn Fn(&str) -> bool| asked.iter().filter(|line| is(line.as_str())).count();
    let of_run = |line: &str| line.contains(OF_RUN_V1) && !line.contains("/jobs");
    (count(&of_run), count(&|line| line.contains("/v2/events/")))
}

#[tokio::test]
async fn an_end_that_v2_leaves_out_is_asked_of_v1_once() {
    let table = [
        ("COMPLETED", "Completed", "Completed"),
        ("FAILED", "Failed", "Failed"),
        // v1 may show the status of a step.
        ("COMPLETED", "Failed", "Completed"),
    ];
    join_all(table.map(|(v2, v1, status)| async move {
        let world = running(alone(v1, Some("2026-11-23T20:47:25.522333Z"))).await;
        world.server.says(listed(v2));
        let panel = world.until("the end", |panel| panel.state == status).await;
        let run = &panel.runs[0];
        assert_eq!((run.status.as_str(), run.processed.as_str(), run.failed.as_str()), (status, "98", "2"));
        assert_eq!(asked(&world).0, 1, "{:?}", world.server.api.asked());
    }))
    .await;
}

#[tokio::test]
async fn a_cancelled_run_whose_end_v2_leaves_out_ends_without_counts() {
    let world = running(alone("Cancelled", Some("2026-11-23T20:47:25.522333Z"))).await;
    world.server.says(listed("CANCELLED"));
    let panel = world.until("the end", |panel| panel.state == "Cancelled").await;
    assert_eq!((panel.runs[0].status.as_str(), panel.runs[0].processed.as_str()), ("Cancelled", ""));
}

#[tokio::test]
async fn v1_must_say_both_that_the_run_is_over_and_when() {
    let said = [
        alone("Scheduled", Some("2026-11-23T20:47:25.522333Z")),
        alone("Completed", None),
        Said::Status("404 Not Found", ""),
    ];
    join_all(said.map(|run_v1| async move {
        let world = running(run_v1).await;
        world.server.says(listed("COMPLETED"));
        let once = || async {
            let (of_run, lists) = asked(&world);
            if of_run > 0 { Ok(lists) } else { Err((of_run, lists)) }
        };
        let before = until("the question to v1", once).await;
        let more = || async {
            let (of_run, lists) = asked(&world);
            if lists > before + 1 { Ok(of_run) } else { Err((of_run, lists)) }
        };
        assert_eq!(until("two more lists", more).await, 1, "it is not asked at every look");
        let panel = world.until("the run", |panel| !panel.runs.is_empty()).await;
        assert_eq!((panel.state.as_str(), panel.runs[0].status.as_str()), ("Running", "Running"));
        assert_eq!(panel.runs[0].processed, "", "an output before the end is ignored");
    }))
    .await;
}
