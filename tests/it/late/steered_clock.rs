//! How often an engine that reports ends is polled, on a clock that the test advances.

use std::time::{Duration, Instant};

use runboard::{
    base::{
        ids::{EventId, ImportId},
        time::UnixMillis,
    },
    imports::{ImportState, Planned, Snapshot},
    inngest::RunStatus,
    progress::ProgressRegistry,
};
use serde_json::json;

use super::{DEADLINE, new_run, room, tell};
use crate::cancel::fake_engine::{Engine, Room};

const STEP: Duration = Duration::from_millis(500);

/// Advances tokio's clock by a step, then pauses it, so that requests can be made and answered.
async fn step() {
    tokio::time::advance(STEP).await;
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(10))).await.unwrap();
}

async fn pass(time: Duration) {
    for _ in 0..time.as_millis() / STEP.as_millis() {
        step().await;
    }
}

/// Advances the clock until `look` succeeds. On a busy machine an answer may take many steps.
async fn pass_until<T: std::fmt::Debug>(what: &str, look: impl AsyncFn() -> Result<(), T>) {
    let start = Instant::now();
    while let Err(seen) = look().await {
        assert!(start.elapsed() < DEADLINE, "timed out waiting for {what}: {seen:?}");
        step().await;
    }
}

/// An event that is sent to an engine which reports ends. From here on [`pass`] advances the clock, and
/// requests have an hour of it to be answered.
async fn sent_by_a_steered_clock(engine: Engine) -> (Room, ProgressRegistry, ImportId, EventId) {
    let (room, progress) = room(Engine { answers_within: Some(Duration::from_secs(3_600)), ..engine }).await;
    progress.set_reached();
    let (import, event) = room.sent().await;
    tokio::time::pause();
    (room, progress, import, event)
}

#[tokio::test]
async fn a_run_of_a_minute_of_anothers_function_costs_six_requests_where_the_engine_tells() {
    let run = new_run();
    let jobs = json!([{"at": UnixMillis::now().to_string(), "kind": "edge", "attempt": 0}]);
    let runs = vec![(run.to_string(), "Running")];
    let (room, progress, import, event) =
        sent_by_a_steered_clock(Engine { runs, jobs: Some(jobs), ..Engine::default() }).await;
    let snapshot_if = async |is_it: fn(ImportState, &Snapshot) -> bool| {
        let (state, snapshot) = room.state(import).await;
        if is_it(state, &snapshot) { Ok(()) } else { Err(snapshot) }
    };
    pass(Duration::from_secs(20)).await;
    pass_until("the run", || snapshot_if(|state, _| state == ImportState::Running)).await;
    let wakes_at = UnixMillis::now().plus(Duration::from_secs(3_600));
    room.engine().jobs = Some(json!([{"at": wakes_at.to_string(), "kind": "sleep", "attempt": 0}]));
    pass(Duration::from_secs(20)).await;
    let falls_asleep =
        |_, snapshot: &Snapshot| snapshot.runs[0].plan.is_some_and(|plan| plan.what == Planned::Wake);
    pass_until("the plan", || snapshot_if(falls_asleep)).await;
    assert_eq!(room.state(import).await.1.runs[0].plan.map(|plan| plan.at), Some(wakes_at));
    pass(Duration::from_secs(20)).await;
    tell(&progress, &event, &run, RunStatus::Completed);
    room.engine().runs = vec![(run.to_string(), "Completed")];
    pass(Duration::from_secs(15)).await;
    let is_over =
        |state, snapshot: &Snapshot| state == ImportState::Completed && snapshot.row.finished_at.is_some();
    pass_until("the end", || snapshot_if(is_over)).await;
    let asked = {
        let engine = room.engine();
        (engine.sends, engine.lists, engine.jobs_asked)
    };
    println!("{asked:?}: events sent, lists, jobs");
    // Slow answers reduce the number.
    assert!(asked.0 == 1 && asked.1 <= 3 && asked.2 <= 2, "{asked:?}");
    tokio::time::resume();
    room.imports.stop().await;
}

#[tokio::test]
async fn news_of_other_runs_put_no_question_off_about_one_that_is_queued() {
    let queued = new_run();
    let runs = vec![(queued.to_string(), "Scheduled")];
    let (room, progress, import, event) = sent_by_a_steered_clock(Engine { runs, ..Engine::default() }).await;
    let is = async |wanted: RunStatus| {
        let snapshot = room.state(import).await.1;
        let found = snapshot.runs.iter().map(|run| &run.row).find(|run| run.run_id == queued);
        let found = found.map(|run| run.status.clone());
        if found == Some(wanted) { Ok(()) } else { Err(found) }
    };
    pass_until("the queued run", || is(RunStatus::Scheduled)).await;
    room.engine().runs[0].1 = "Running";
    pass_until("its beginning", async || {
        tell(&progress, &event, &new_run(), RunStatus::Completed);
        is(RunStatus::Running).await
    })
    .await;
    tokio::time::resume();
    room.imports.stop().await;
}

/// Waits while tokio's clock is paused.
async fn until_with_the_clock_standing<T: std::fmt::Debug>(
    what: &str,
    look: impl AsyncFn() -> Result<(), T>,
) {
    let start = Instant::now();
    while let Err(seen) = look().await {
        assert!(start.elapsed() < DEADLINE, "timed out waiting for {what}: {seen:?}");
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(10))).await.unwrap();
    }
}

#[tokio::test]
async fn what_else_an_event_has_triggered_is_listed_soon_after_the_first_end() {
    let (room, progress) =
        room(Engine { answers_within: Some(Duration::from_secs(3_600)), ..Engine::default() }).await;
    progress.set_reached();
    let (import, event) = room.sent().await;
    // The poll that a reported end waits for briefly is not answered.
    room.engine().holds_lists = Duration::from_secs(600);
    let run = new_run();
    tell(&progress, &event, &run, RunStatus::Completed);
    room.wait_for_state(import, ImportState::Completed).await;
    tokio::time::pause();
    room.engine().holds_lists = Duration::ZERO;
    room.engine().runs = vec![(run.to_string(), "Completed"), (new_run().to_string(), "Running")];
    pass(Duration::from_secs(3)).await;
    let runs = async || match room.state(import).await {
        (ImportState::Running, _) => Ok(()),
        (_, snapshot) => Err(snapshot),
    };
    until_with_the_clock_standing("the other run", runs).await;
    tokio::time::resume();
    room.imports.stop().await;
}
