//! The table of steps: at most one row per run and step, and none after the run has ended.

use runboard::{
    base::{ids::RunId, time::UnixMillis},
    csv::{Counts, Reason, Reasons},
    store::{
        Store,
        executions::{AttemptError, Execution},
        steps::{Commit, Remarks, Step, StepFiles},
    },
};
use serde_json::json;
use sqlx::{AnyPool, Executor};
use tempfile::TempDir;

use crate::support::database;

/// A store, and a separate connection for the test.
pub(crate) async fn open(folder: &TempDir) -> (Store, AnyPool) {
    let url = database::url(folder.path());
    let store = Store::open(&url).await.unwrap();
    (store, AnyPool::connect(&url).await.unwrap())
}

/// What the finished steps of `run` have counted, and how many bytes of its file they have read.
pub(crate) async fn sums(store: &Store, run: &RunId) -> (Counts, u64) {
    let steps = store.steps(run).await.unwrap();
    let counts = Counts {
        processed: steps.iter().map(|step| step.counts.processed).sum(),
        failed: steps.iter().map(|step| step.counts.failed).sum(),
    };
    (counts, steps.last().map_or(0, |step| step.end_byte))
}

/// The storage keys that any step of any run names.
pub(crate) async fn named_files(database: &AnyPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT source_file FROM step WHERE source_file IS NOT NULL \
         UNION ALL SELECT processed_file FROM step WHERE processed_file IS NOT NULL \
         UNION ALL SELECT failed_file FROM step WHERE failed_file IS NOT NULL \
         UNION ALL SELECT raw_file FROM step WHERE raw_file IS NOT NULL",
    )
    .fetch_all(database)
    .await
    .unwrap()
}

/// Records that `run` has ended.
pub(crate) async fn close(database: &AnyPool, run: &RunId) {
    database
        .execute(
            "INSERT INTO account (id, email, password_hash, created_at) VALUES ('a', 'a@example.org', '', 0)",
        )
        .await
        .unwrap();
    database
        .execute(
            "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id) \
             VALUES ('i', 'a', 'x.csv', 1, 0, 0, 'e')",
        )
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO run (run_id, import_id, function_id, status, queued_at, ended_at) \
         VALUES ($1, 'i', 'f', 'Cancelled', 0, 1)",
    )
    .bind(run.as_str())
    .execute(database)
    .await
    .unwrap();
}

fn step(position: u32, processed: u64) -> Step {
    Step {
        name: format!("rows-{position}"),
        position,
        result: "{}".to_owned(),
        counts: Counts { processed, failed: 1 },
        end_byte: u64::from(position) * 100,
        files: StepFiles {
            source: None,
            processed: Some(format!("runs/processed-{position}-{processed}")),
            failed: None,
            raw: Some(format!("runs/raw-{position}-{processed}")),
            bytes: 100,
        },
        stretches: None,
        started_at: UnixMillis(1),
        committed_at: UnixMillis(2),
    }
}

fn run(id: &str) -> RunId {
    RunId::from(id.to_owned())
}

#[tokio::test]
async fn of_two_commits_of_one_step_the_first_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder).await;
    let (first, second) = (step(1, 10), step(1, 20));
    assert_eq!(store.commit_step(&run("r"), &first, &Remarks::default()).await.unwrap(), Commit::Committed);
    let lost = store.commit_step(&run("r"), &second, &Remarks::default()).await.unwrap();
    assert_eq!(lost, Commit::Lost(Box::new(first.clone())));
    assert_eq!(
        store.commit_step(&run("other"), &second, &Remarks::default()).await.unwrap(),
        Commit::Committed
    );
    assert_eq!(store.steps(&run("r")).await.unwrap(), [first]);
}

#[tokio::test]
async fn a_run_that_has_ended_takes_no_step() {
    let folder = tempfile::tempdir().unwrap();
    let (store, database) = open(&folder).await;
    store.commit_step(&run("r"), &step(1, 10), &Remarks::default()).await.unwrap();
    assert!(!store.run_is_closed(&run("r")).await.unwrap());
    close(&database, &run("r")).await;
    assert!(store.run_is_closed(&run("r")).await.unwrap());
    assert_eq!(
        store.commit_step(&run("r"), &step(2, 10), &Remarks::default()).await.unwrap(),
        Commit::Closed
    );
    assert_eq!(store.steps(&run("r")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn steps_come_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder).await;
    for position in (1..=11).rev() {
        store
            .commit_step(&run("r"), &step(position, u64::from(position)), &Remarks::default())
            .await
            .unwrap();
    }
    store.commit_step(&run("other"), &step(1, 500), &Remarks::default()).await.unwrap();
    let order: Vec<_> = store.steps(&run("r")).await.unwrap().iter().map(|step| step.position).collect();
    assert_eq!(order, (1..=11).collect::<Vec<_>>());
    let steps = store.steps(&run("r")).await.unwrap();
    let files: Vec<_> = steps.into_iter().map(|step| step.files).collect();
    assert_eq!(files[10], step(11, 11).files);
}

#[tokio::test]
async fn the_remarks_about_a_runs_records_are_summed_in_order_and_those_of_a_lost_step_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder).await;
    let notes = |count, first_line| {
        serde_json::from_value(json!({ "emptyRows": { "count": count, "firstLine": first_line } })).unwrap()
    };
    let remarks = |column: &str, count, line| Remarks {
        reasons: Reasons {
            groups: vec![Reason {
                column: Some(column.to_owned()),
                reason: "contains a NUL byte".to_owned(),
                count,
                line,
                example: "a␀".to_owned(),
            }],
            other: 1,
        },
        notes: notes(count, line),
    };
    assert_eq!(store.remarks(&run("r")).await.unwrap(), Remarks::default());
    let only_notes = Remarks { notes: notes(5, 20), ..Remarks::default() };
    for (position, remarks) in [
        (4, remarks("b", 2, 40)),
        (3, Remarks::default()),
        (2, only_notes),
        (1, remarks("a", 1, 10)),
        (5, remarks("a", 3, 50)),
    ] {
        store.commit_step(&run("r"), &step(position, 10), &remarks).await.unwrap();
    }
    store.commit_step(&run("r"), &step(5, 10), &remarks("lost", 1, 1)).await.unwrap();
    store.commit_step(&run("other"), &step(1, 10), &remarks("other", 1, 1)).await.unwrap();
    let mut groups = remarks("a", 4, 10).reasons.groups;
    groups.append(&mut remarks("b", 2, 40).reasons.groups);
    let summed = Remarks { reasons: Reasons { groups, other: 3 }, notes: notes(11, 10) };
    assert_eq!(store.remarks(&run("r")).await.unwrap(), summed);
}

#[tokio::test]
async fn an_execution_keeps_the_time_of_its_first_call() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder).await;
    assert_eq!(store.execution(&run("r")).await.unwrap(), None);
    let first = Execution {
        function: "process-csv-upload".to_owned(),
        started_at: UnixMillis(5),
        attempt: 1,
        max_attempts: 4,
        error: None,
        earlier: Vec::new(),
    };
    store.save_execution(&run("r"), &first).await.unwrap();
    let error = AttemptError { message: "no".to_owned(), at: UnixMillis(8), is_final: true };
    let second = Execution { started_at: UnixMillis(9), attempt: 2, error: Some(error), ..first.clone() };
    store.save_execution(&run("r"), &second).await.unwrap();
    let saved = store.execution(&run("r")).await.unwrap().unwrap();
    assert_eq!(saved, Execution { started_at: UnixMillis(5), ..second });
}
