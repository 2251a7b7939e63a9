//! Runs of events that Runboard did not send.

use std::time::Duration;

use runboard::base::{ids::ImportId, time::UnixMillis};

use super::world::{Memo, SMALL_STEPS, World, call, csv, run_id};
use crate::steps;

#[actix_web::test]
async fn what_a_run_of_anothers_event_has_written_goes_after_a_day() {
    let world = World::new(SMALL_STEPS).await;
    let file = world.upload(&csv(200));
    for run in ["stranger", "ours"] {
        world.call_to_the_end(run, &file).await;
    }
    steps::close(&world.database, &run_id("ours")).await;
    let written = world.outputs().len();
    let now = UnixMillis::now();
    let sweep = async |later: Duration| world.processor.sweep_orphaned_runs(now.plus(later)).await.unwrap();
    assert_eq!(sweep(Duration::from_secs(23 * 60 * 60)).await, 0);
    assert_eq!(world.outputs().len(), written);

    assert_eq!(sweep(Duration::from_secs(25 * 60 * 60)).await, 1);
    let left = world.outputs();
    assert!(!left.is_empty() && left.iter().all(|name| name.contains("ours")), "{left:?}");
    assert_eq!(left, world.named_outputs().await);
    assert!(world.processor.store.steps(&run_id("stranger")).await.unwrap().is_empty());
    assert!(world.processor.store.execution(&run_id("stranger")).await.unwrap().is_none());
    assert_eq!(sweep(Duration::from_secs(25 * 60 * 60)).await, 0);
}

#[actix_web::test]
async fn a_run_that_never_got_to_a_step_goes_after_a_day_too() {
    let world = World::new(SMALL_STEPS).await;
    let file = world.link(ImportId::generate());
    for run in ["stranger", "ours"] {
        let answer = world.call(&call(run, &file, &Memo::new(), 0)).await;
        assert!(!answer.status.is_success(), "there is no such file: {}", answer.text);
    }
    steps::close(&world.database, &run_id("ours")).await;
    let store = &world.processor.store;
    assert!(store.execution(&run_id("stranger")).await.unwrap().is_some());
    let now = UnixMillis::now();
    let sweep = async |later: Duration| world.processor.sweep_orphaned_runs(now.plus(later)).await.unwrap();
    assert_eq!(sweep(Duration::from_secs(23 * 60 * 60)).await, 0);
    assert_eq!(sweep(Duration::from_secs(25 * 60 * 60)).await, 1);
    assert!(store.execution(&run_id("stranger")).await.unwrap().is_none());
    assert!(world.processor.progress.now(&run_id("stranger")).is_none(), "nor in memory");
    assert!(store.execution(&run_id("ours")).await.unwrap().is_some());
}

#[actix_web::test]
async fn a_sweep_reads_on_where_the_last_one_ended() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let world = World::new(SMALL_STEPS).await;
    let file = world.upload(&csv(200));
    let sweep = async |at: UnixMillis| world.processor.sweep_orphaned_runs(at.plus(DAY)).await.unwrap();
    world.call_to_the_end("first", &file).await;
    let first_ended = UnixMillis::now().plus(Duration::from_millis(1));
    assert_eq!(sweep(first_ended).await, 1);
    while UnixMillis::now() <= first_ended {
        tokio::task::yield_now().await;
    }
    world.call_to_the_end("second", &file).await;
    assert_eq!(sweep(first_ended).await, 0, "it is less than a day old");
    assert_eq!(sweep(UnixMillis::now().plus(Duration::from_millis(1))).await, 1);
    assert!(world.outputs().is_empty());
}
