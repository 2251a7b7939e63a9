//! Each state has its word and its sentence.

use runboard::{
    base::time::UnixMillis,
    imports::{EnginePlan, OutageCause, Planned, RunSnapshot, Snapshot},
    inngest::{RunOutput, RunStatus},
};
use serde_json::{Value, json};

use super::{
    attribute, panel, read,
    snapshots::{
        at, counted, ended, import_row, report_inputs, retrying, retrying_at, run_row, running, sent, silent,
        told, with,
    },
};

#[test]
fn every_state_of_an_import_without_a_run_has_its_word_and_sentence() {
    let since = Some(at("14:03:09"));
    let now = report_inputs().now;
    let table = [
        (
            import_row(sent(), |row| row.sent_at = None),
            ("Accepted", "Saved", "Your file is safe. Telling the engine about it ..."),
        ),
        (
            Snapshot {
                outage: silent("14:03:09", OutageCause::NoAnswer),
                ..import_row(sent(), |row| row.sent_at = None)
            },
            ("Accepted", "Saved", "Your file is safe. Inngest has not answered since 14:03:09 UTC."),
        ),
        (
            Snapshot {
                outage: silent(
                    "14:03:09",
                    OutageCause::EventNotTaken { status: 401, retry_at: at("14:05:00") },
                ),
                ..import_row(sent(), |row| row.sent_at = None)
            },
            (
                "Accepted",
                "Saved",
                "Inngest answers 401 (wrong event key?). Your file is safe; trying again at 14:05:00 UTC.",
            ),
        ),
        (sent(), ("Sent", "Sent", "Waiting for a run to start (15 s).")),
        (
            Snapshot {
                is_untaken: true,
                ..import_row(sent(), |row| row.sent_at = Some(UnixMillis(now.0 - 30_000)))
            },
            (
                "NoFunction",
                "Nobody took it",
                "No function has started for imports/csv.uploaded in 30 s. Is its app registered?",
            ),
        ),
        (
            Snapshot { is_untaken: true, ..import_row(sent(), |row| row.finished_at = since) },
            (
                "NoFunction",
                "Nobody took it",
                "No function has started for imports/csv.uploaded in a day. Is its app registered?",
            ),
        ),
        (
            import_row(sent(), |row| row.refused = Some("it is too large.".to_owned())),
            ("Failed", "Failed", "Inngest refused the event: it is too large. Nothing was run."),
        ),
        (
            import_row(sent(), |row| {
                row.sent_at = None;
                row.cancel_requested_at = since;
            }),
            ("Cancelled", "Cancelled", "Stopped by you at 14:03:09 UTC. Nothing was run."),
        ),
    ];
    for (snapshot, (state, badge, sentence)) in table {
        assert_eq!(attribute(&panel(&snapshot), "data-state"), Some(state));
        assert_eq!(read(&snapshot), [(badge.to_owned(), sentence.to_owned())]);
    }
}

#[test]
fn every_state_of_a_run_has_its_word_and_sentence() {
    let scheduled = run_row(running(), |row| {
        row.status = RunStatus::Scheduled;
        row.execution = None;
        row.counts = None;
    });
    let foreign = RunSnapshot {
        upload_bytes: 0,
        ..run_row(running(), |row| {
            row.execution = None;
            row.counts = None;
            row.bytes = 0;
        })
    };
    let failed = |more: Value| {
        let mut output = json!({"name": "Error", "message": "the address answered 403.", "stack": ""});
        output.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run_row(counted(5_209, 0, ended(RunStatus::Failed)), |row| {
            row.output = Some(RunOutput::of(&output, &RunStatus::Failed))
        })
    };
    let planned = |run: &RunSnapshot, what| RunSnapshot {
        plan: Some(EnginePlan { what, at: at("14:05:00") }),
        ..run.clone()
    };
    let other = || RunStatus::Other("Overflowed".to_owned());
    let table = [
        (scheduled, "Queued", "Waiting for a free worker since 14:03:07 UTC."),
        (running(), "Running", "250,000 of about 1,000,000 rows, 412 failed; 25,000 rows/s, 30 s left."),
        (
            counted(250_000, 0, running()),
            "Running",
            "250,000 of about 1,000,000 rows; 25,000 rows/s, 30 s left.",
        ),
        (counted(0, 0, run_row(running(), |row| row.bytes = 0)), "Running", "Reading the first rows."),
        (foreign.clone(), "Running", "Running for 13 s."),
        (planned(&foreign, Planned::Wake), "Asleep", "Asleep until 14:05:00 UTC."),
        (planned(&foreign, Planned::Event), "Waiting", "Waiting for an event, at most until 14:05:00 UTC."),
        (planned(&foreign, Planned::Attempt(2)), "Retrying", "Retrying at 14:05:00 UTC (attempt 2)."),
        (
            run_row(running(), |row| row.lost_at = Some(at("14:03:20"))),
            "Lost",
            "Inngest lost this run when it restarted at about 14:03:19 UTC.",
        ),
        (
            told(running(), |live| live.is_active = false),
            "Running",
            "250,000 of about 1,000,000 rows, 412 failed.",
        ),
        (retrying(1), "Retrying", "Retrying soon (attempt 2 of 4). Last error: connection reset."),
        (
            retrying_at("14:05:10", "14:03:18"),
            "Retrying",
            "Retrying at 14:05:10 UTC (attempt 2 of 4). Last error: connection reset.",
        ),
        (
            retrying_at("14:03:19", "14:03:18"),
            "Retrying",
            "Retrying soon (attempt 2 of 4). Last error: connection reset.",
        ),
        (
            // The time belongs to an earlier failure.
            retrying_at("14:05:10", "14:03:11"),
            "Retrying",
            "Retrying soon (attempt 2 of 4). Last error: connection reset.",
        ),
        (retrying(4), "Running", "The last attempt failed: connection reset."),
        (counted(1_000_000, 0, ended(RunStatus::Completed)), "Completed", "1,000,000 rows processed in 9 s."),
        (
            counted(999_588, 412, ended(RunStatus::Completed)),
            "Completed",
            "999,588 rows processed, 412 failed, in 9 s.",
        ),
        (counted(0, 0, ended(RunStatus::Completed)), "Completed", "The file has a header and no rows."),
        (counted(0, 300, ended(RunStatus::Completed)), "Completed", "All 300 rows failed."),
        (counted(0, 1, ended(RunStatus::Completed)), "Completed", "The only row failed."),
        (
            counted(0, 0, run_row(ended(RunStatus::Completed), |row| row.execution = None)),
            "Completed",
            "0 rows processed in 12 s.",
        ),
        (run_row(failed(json!({})), |row| row.counts = None), "Failed", "The address answered 403."),
        (
            run_row(foreign, |row| {
                row.ended_at = Some(at("14:03:19"));
                row.status = RunStatus::Completed;
            }),
            "Completed",
            "Completed in 12 s.",
        ),
        (failed(json!({})), "Failed", "Stopped: the address answered 403. 5,209 rows were processed."),
        (
            failed(json!({"line": 5_211})),
            "Failed",
            "Stopped at line 5,211: the address answered 403. 5,209 rows were processed.",
        ),
        (
            counted(250_000, 0, ended(RunStatus::Cancelled)),
            "Cancelled",
            "Stopped at 14:03:19 UTC after 250,000 rows.",
        ),
        (ended(RunStatus::Skipped), "Skipped", "The engine skipped this run."),
        (
            run_row(running(), |row| row.status = other()),
            "Overflowed",
            "The engine reports this run as Overflowed. 250,000 rows so far.",
        ),
    ];
    for (run, badge, sentence) in table {
        assert_eq!(read(&with(run)), [(badge.to_owned(), sentence.to_owned())]);
    }
    let by_user =
        import_row(with(ended(RunStatus::Cancelled)), |row| row.cancel_requested_at = Some(at("14:03:18")));
    assert_eq!(read(&by_user)[0].1, "Stopped by you at 14:03:19 UTC after 250,000 rows.");
}

#[test]
fn the_time_of_the_next_attempt_is_an_element_that_follows_the_viewers_clock() {
    let html = panel(&with(retrying_at("14:05:10", "14:03:18")));
    let time = r#"Retrying at <time datetime="2026-11-23T14:05:10.000Z""#;
    assert!(html.contains(time), "{html}");
    assert!(html.contains("<strong>Attempt 1 failed</strong>"), "{html}");
}

#[test]
fn a_word_for_an_end_is_not_believed_before_the_run_has_ended() {
    for word in [RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled, RunStatus::Skipped] {
        let snapshot = with(run_row(running(), |row| row.status = word));
        let html = panel(&snapshot);
        assert_eq!(attribute(&html, "data-status"), Some("Running"));
        assert_eq!(attribute(&html, "data-state"), Some("Running"));
        assert_eq!(read(&snapshot)[0].0, "Running");
    }
    let scheduled = with(run_row(running(), |row| {
        row.status = RunStatus::Scheduled;
        row.execution = None;
    }));
    assert_eq!(attribute(&panel(&scheduled), "data-status"), Some("Scheduled"));
}
