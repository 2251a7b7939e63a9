//! What no text for a guest says, state by state.

use std::sync::Arc;

use askama::Template;
use runboard::{
    csv::{FirstRow, FirstRows, Reason, Reasons},
    imports::{EngineOutage, FetchedFrom, OutageCause, RunReading, RunSnapshot, Snapshot},
    inngest::{RunOutput, RunStatus},
    progress::{Copying, Receiving},
    report::{
        ReportInputs,
        findings::FindingsSection,
        guest::{Audience, PageAt, for_guests},
    },
    results::findings,
    store::{
        executions::{AttemptError, FailedAttempt},
        imports::{Relative, RetryOf},
    },
    web::views::ImportPanel,
};
use serde_json::json;

use super::{
    PACE,
    snapshots::{at, ended, import_row, report_inputs, run_row, running, sent, silent, told, with},
};

/// Each stands for something that only the owner may know.
const MESSAGE: &str = "connect ECONNREFUSED 10.0.3.7:5432 (https://user:pw@db.internal/?k=v)";
const HIDDEN: [&str; 9] = [
    "ECONNREFUSED",
    "10.0.3.7",
    "internal",
    "https://",
    "01M852CDYVJYDMFCJQQV9MRZ6R",
    "parent-secret",
    "retry-secret",
    "by you",
    "/imports/",
];

const TOKEN: &str = "qNnv4lXyOXbw-tIyINtVnA06r1Ym5DyGjiU1tCLVhQk";

fn html(snapshot: &Snapshot, sees_rows: bool) -> String {
    let inputs = ReportInputs { audience: Audience::Guest { sees_rows }, ..report_inputs() };
    let shown = for_guests(snapshot, sees_rows);
    let panel = ImportPanel::for_guests(&shown, &inputs, PACE, PageAt::Shared(TOKEN));
    panel.render().unwrap()
}

/// A run in which everything fails that can, with [`MESSAGE`] everywhere.
fn failing(run: RunSnapshot) -> RunSnapshot {
    run_row(run, |row| {
        let output = json!({ "message": MESSAGE, "line": 5_210, "secret": MESSAGE });
        row.output = Some(RunOutput::of(&output, &RunStatus::Failed));
        let execution = row.execution.as_mut().unwrap();
        let (message, at) = (MESSAGE.to_owned(), at("14:03:18"));
        execution.error = Some(AttemptError { message: message.clone(), at, is_final: false });
        execution.earlier = vec![FailedAttempt { attempt: 1, message, at }];
    })
}

fn relative(file_name: &str) -> Relative {
    Relative {
        id: "01M852CDY00000000000000009".parse().unwrap(),
        file_name: file_name.to_owned(),
        retry_of: RetryOf::Failed,
        choices: Default::default(),
    }
}

/// With relatives and an address.
fn related(snapshot: Snapshot) -> Snapshot {
    Snapshot {
        retries: Arc::new(vec![relative("retry-secret.csv")]),
        fetched_from: Some(Arc::new(FetchedFrom {
            host: "db.internal:8080".to_owned(),
            address: "https://db.internal:8080/path".to_owned(),
            downloaded_from: Some("drive.internal".to_owned()),
        })),
        ..import_row(snapshot, |row| {
            row.parent = Some(relative("parent-secret.csv"));
            row.cancel_requested_at = Some(at("14:03:18"));
            row.source_url = Some(MESSAGE.to_owned().into());
        })
    }
}

fn states() -> Vec<Snapshot> {
    let receiving = |bytes| {
        let nothing_read = run_row(running(), |row| (row.counts, row.bytes) = (None, 0));
        let receiving =
            Receiving { copying: Copying::Fetching, bytes, total: Some(84_600_000), since: at("14:03:12") };
        told(nothing_read, |live| live.receiving = Some(receiving))
    };
    let foreign = |run| run_row(failing(run), |row| row.execution = None);
    let told_live = {
        let execution = failing(running()).row.execution.clone().unwrap();
        told(running(), |live| live.execution = Some(Arc::new(execution)))
    };
    let outage = EngineOutage {
        since: at("14:03:05"),
        cause: OutageCause::EventNotTaken { status: 401, retry_at: at("14:03:30") },
    };
    let unsent = import_row(sent(), |row| row.sent_at = None);
    vec![
        unsent.clone(),
        Snapshot { outage: Some(outage), ..unsent },
        import_row(sent(), |row| row.held_until = Some(at("15:00:00"))),
        import_row(sent(), |row| row.refused = Some(MESSAGE.to_owned())),
        import_row(sent(), |row| row.cancel_requested_at = Some(at("14:03:10"))),
        Snapshot { outage: silent("14:03:10", OutageCause::KeyRefused), ..with(running()) },
        with(receiving(0)),
        with(receiving(1_000_000)),
        with(running()),
        with(failing(running())),
        with(told_live),
        with(failing(ended(RunStatus::Failed))),
        with(foreign(ended(RunStatus::Failed))),
        with(failing(ended(RunStatus::Cancelled))),
        with(ended(RunStatus::Completed)),
        Snapshot { runs: vec![failing(running()), foreign(running())], ..sent() },
    ]
}

#[test]
fn no_state_tells_a_guest_of_systems_addresses_or_other_imports() {
    for plain in states() {
        for snapshot in [related(plain.clone()), plain] {
            for sees_rows in [false, true] {
                let html = html(&snapshot, sees_rows);
                for hidden in HIDDEN {
                    assert!(!html.contains(hidden), "{hidden}: {html}");
                }
                assert!(!html.contains("<form") && !html.contains("<details"), "{html}");
                let all_below = html.matches("href=\"/").count() == html.matches("href=\"/shared/").count();
                assert!(all_below, "{html}");
            }
        }
    }
}

#[test]
fn what_is_hidden_from_guests_is_there_for_the_owner() {
    let all: String = states()
        .into_iter()
        .map(related)
        .map(|snapshot| ImportPanel::new(&snapshot, &report_inputs(), PACE).render().unwrap())
        .collect();
    for hidden in HIDDEN {
        assert!(all.contains(hidden), "{hidden}");
    }
}

#[test]
fn a_failure_says_where_it_stopped_and_who_knows_why() {
    let html = html(&with(failing(ended(RunStatus::Failed))), false);
    let sentence =
        "Stopped at line 5,210: the reason is shown to the owner only. 249,588 rows were processed.";
    assert!(html.contains(sentence), "{html}");
}

/// The message about a file that is at fault itself names no system, but may quote the file. Of a fetched one, it may be
/// about its address.
#[test]
fn what_is_wrong_with_a_file_is_told_of_an_upload_to_those_who_see_rows() {
    let message = "No table was found. Upload the rows and columns as CSV.";
    let output = json!({ "message": message, "sameAgain": true });
    let run = run_row(ended(RunStatus::Failed), |row| {
        row.output = Some(RunOutput::of(&output, &RunStatus::Failed));
        (row.counts, row.bytes) = (None, 0);
    });
    let foreign = run_row(run.clone(), |row| row.execution = None);
    for (snapshot, sees_rows, is_told) in [
        (with(run.clone()), true, true),
        (with(run.clone()), false, false),
        (related(with(run)), true, false),
        (with(foreign), true, false),
    ] {
        let html = html(&snapshot, sees_rows);
        assert_eq!(html.contains("No table was found"), is_told, "{html}");
    }
}

#[test]
fn rows_are_for_guests_who_may_see_them() {
    let first = FirstRows {
        header_line: 1,
        header: vec!["town".to_owned()],
        columns: 1,
        rows: vec![FirstRow { line: 2, cells: vec!["Uppsala".to_owned()], failure: None, at_fault: None }],
        is_failed_csv: false,
    };
    let reading = RunReading { first_rows: Some(Arc::new(first.clone())), ..RunReading::default() };
    let committed = with(RunSnapshot { committed: reading, ..running() });
    let live = with(told(running(), |live| live.first_rows = Some(Arc::new(first))));
    for snapshot in [committed, live] {
        let [without, full] = [false, true].map(|sees_rows| html(&snapshot, sees_rows));
        assert!(full.contains("Uppsala") && full.contains("First rows"), "{full}");
        assert!(!without.contains("Uppsala") && !without.contains("First rows"), "{without}");
        assert!(without.contains("1 column"), "how it was read stays: {without}");
        assert!(without.contains("rows have failed so far. Their reasons show here"), "{without}");
    }
    let reason = Reason {
        column: Some("town".to_owned()),
        reason: "contains a NUL byte".to_owned(),
        count: 7,
        line: 1_204,
        example: "Upp␀sala".to_owned(),
    };
    let reasons = Reasons { groups: vec![reason], other: 3 };
    let found = FindingsSection::new(&findings::Findings { reasons, ..findings::Findings::default() });
    let snapshot = for_guests(&with(ended(RunStatus::Completed)), false);
    let inputs = ReportInputs { audience: Audience::Guest { sees_rows: false }, ..report_inputs() };
    let mut panel = ImportPanel::for_guests(&snapshot, &inputs, PACE, PageAt::Shared(TOKEN));
    panel.findings = Some(found.without_values());
    let html = panel.render().unwrap();
    assert!(html.contains("contains a NUL byte") && html.contains("line 1,204"), "{html}");
    assert!(!html.contains("sala") && !html.contains("failed.csv"), "{html}");
}
