//! Causes of failures that are shown by themselves are whole sentences.

use std::borrow::Cow;

use runboard::{
    imports::{RunSnapshot, Snapshot},
    inngest::{RunOutput, RunStatus},
    report::{history::HistoryRow, timeline::Timeline},
    store::executions::FailedAttempt,
};
use serde_json::json;

use super::snapshots::{at, ended, import_row, report_inputs, run_row, sent, with};

fn failed(message: &str) -> RunSnapshot {
    let output = RunOutput::of(&json!({ "message": message }), &RunStatus::Failed);
    run_row(ended(RunStatus::Failed), |row| row.output = Some(output))
}

#[test]
fn a_cause_in_the_history_begins_with_a_capital_and_ends_with_a_full_stop() {
    let cause = |snapshot: &Snapshot| {
        HistoryRow::new(snapshot, &report_inputs()).runs.remove(0).cause.map(Cow::into_owned)
    };
    for (message, shown) in [
        ("the address answered 404", "The address answered 404."),
        ("The file has no text: no header and no rows.", "The file has no text: no header and no rows."),
        ("really?", "Really?"),
        ("\u{fc}berlauf\nat line 5", "\u{dc}berlauf."),
    ] {
        assert_eq!(cause(&with(failed(message))).as_deref(), Some(shown));
        let refused = import_row(sent(), |row| row.refused = Some(message.to_owned()));
        assert_eq!(cause(&refused).as_deref(), Some(shown));
    }
    assert_eq!(cause(&with(failed(""))), None);
    let long = cause(&with(failed(&"x".repeat(1_000)))).expect("a cause");
    assert!(long.starts_with('X') && long.ends_with(" \u{2026}"), "{long}");
}

#[test]
fn a_failed_attempt_in_the_timeline_is_told_in_a_sentence() {
    let message = "a stored file could not be read".to_owned();
    let earlier = vec![FailedAttempt { attempt: 1, message, at: at("14:03:09") }];
    let run = run_row(ended(RunStatus::Completed), |row| {
        row.execution.as_mut().expect("a run of our own function").earlier = earlier;
    });
    let detail = |snapshot: &Snapshot| {
        let entries = Timeline::of(snapshot, snapshot.state(), &report_inputs()).entries;
        let failed = entries.into_iter().find(|entry| entry.title == "Attempt 1 failed");
        failed.expect("the attempt has an entry").detail.into_owned()
    };
    assert_eq!(detail(&with(run.clone())), "A stored file could not be read.");
    let other = run_row(run.clone(), |row| {
        row.run_id = "other".to_owned().into();
        row.execution = None;
    });
    let fan_out = Snapshot { runs: vec![run.clone(), other], ..with(run) };
    let detail = detail(&fan_out);
    assert!(detail.ends_with(": A stored file could not be read."), "{detail}");
}
