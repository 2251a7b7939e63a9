//! One process.

use std::pin::pin;

use futures_util::poll;

use super::*;
use crate::store::executions::{AttemptError, Execution};

#[tokio::test]
async fn settling_a_run_stops_its_step_and_waits_for_it() {
    let registry = ProgressRegistry::default();
    let run = RunId::from("r".to_owned());
    let progress = registry.of(&run);
    let executions = [progress.begin(), progress.begin()];
    let mut settled = pin!(registry.settle(&run, Duration::from_secs(3_600)));
    for execution in executions {
        assert!(poll!(&mut settled).is_pending());
        assert!(progress.is_stopped());
        drop(execution);
    }
    settled.await;
}

#[test]
fn reading_begins_once_and_anew_after_a_failed_attempt() {
    let registry = ProgressRegistry::default();
    let progress = registry.of(&RunId::from("r".to_owned()));
    let since = || progress.now().read_since.map(|since| (since.rows, since.bytes));
    let execution = |error| Execution {
        function: "f".to_owned(),
        started_at: UnixMillis(1),
        attempt: 1,
        max_attempts: 4,
        error,
        earlier: Vec::new(),
    };
    progress.set_execution(execution(None));
    assert_eq!(since(), None);
    progress.begin_reading(Counts { processed: 4, failed: 1 }, 10);
    progress.begin_reading(Counts { processed: 9, failed: 1 }, 20);
    assert_eq!(since(), Some((5, 10)));
    progress.set_execution(execution(Some(AttemptError {
        message: "m".to_owned(),
        at: UnixMillis(2),
        is_final: false,
    })));
    assert_eq!(since(), None);
    progress.begin_reading(Counts { processed: 9, failed: 1 }, 20);
    assert_eq!(since(), Some((10, 20)));
}

/// However long it waits: nothing else is heard about it meanwhile.
#[test]
fn a_run_whose_call_waits_for_its_slot_is_active_and_counts_nothing() {
    let registry = ProgressRegistry::default();
    let run = RunId::from("r".to_owned());
    let waiting = registry.of(&run).wait();
    assert!(registry.is_active(&run));
    let now = registry.now(&run).unwrap();
    assert!(now.is_waiting && !now.is_active, "{now:?}");
    drop(waiting);
    assert!(!registry.is_active(&run));
}

#[tokio::test]
async fn a_step_that_does_not_stop_is_not_waited_for_too_long() {
    let registry = ProgressRegistry::default();
    let run = RunId::from("r".to_owned());
    let _at_work = registry.of(&run).begin();
    registry.settle(&run, Duration::from_millis(1)).await;
}
