//! The page of an import, in every state.

use std::sync::Arc;

use askama::Template;
use runboard::{
    base::{ids::ImportId, time::UnixMillis},
    csv::{Choices, Counts, FirstRow, FirstRows, Reason, Reasons, Stretches},
    imports::{EnginePlan, FetchedFrom, OutageCause, Planned, RunReading, RunSnapshot, Snapshot},
    inngest::{RunOutput, RunStatus},
    progress::{Copying, Receiving},
    report::findings::FindingsSection,
    results::findings,
    store::imports::{Relative, RetryOf},
    web::pages::ImportPage,
};
use serde_json::json;

use super::{
    PACE, Page,
    snapshots::{
        self, at, counted, ended, frame, import_row, report_inputs, retrying_at, run_row, running, silent,
        told,
    },
};

/// Constant, because the page of an import contains its id.
pub fn id(number: u64) -> ImportId {
    format!("01M852CDY0{number:016}").parse().unwrap()
}

/// The engine has confirmed the event, and no function has accepted it yet.
pub fn sent() -> Snapshot {
    import_row(snapshots::sent(), |row| row.id = id(1))
}

pub fn with(run: RunSnapshot) -> Snapshot {
    import_row(snapshots::with(run), |row| row.id = id(1))
}

/// Another function's run, about which only the engine's data are known.
fn foreign(name: &str, run_id: &str, run: RunSnapshot) -> RunSnapshot {
    run_row(run, |row| {
        row.run_id = run_id.to_owned().into();
        row.function_name = Some(name.to_owned());
        row.execution = None;
    })
}

pub fn queued() -> RunSnapshot {
    run_row(running(), |row| {
        row.status = RunStatus::Scheduled;
        row.execution = None;
        row.counts = None;
        row.bytes = 0;
    })
}

/// Another function's run that sleeps.
fn asleep() -> RunSnapshot {
    let plan = EnginePlan { what: Planned::Wake, at: at("14:05:00") };
    let run = RunSnapshot {
        upload_bytes: 0,
        plan: Some(plan),
        ..run_row(running(), |row| {
            row.counts = None;
            row.bytes = 0;
        })
    };
    foreign("warehouse-sync", "01M852CE07000000000000001", run)
}

/// A run of ours and two of other people's functions, each in another state.
pub fn fan_out() -> Snapshot {
    let unknown = RunSnapshot {
        upload_bytes: 0,
        ..run_row(running(), |row| {
            row.counts = None;
            row.bytes = 0;
        })
    };
    let runs = vec![
        running(),
        foreign("warehouse-sync", "01M852CE07000000000000001", unknown.clone()),
        foreign("mail-the-buyer", "01M852CE07000000000000002", queued()),
    ];
    Snapshot { runs, ..sent() }
}

pub fn failed() -> RunSnapshot {
    let output = json!({"name": "Error", "message": "the address answered 403.", "line": 5_210});
    run_row(counted(5_209, 0, ended(RunStatus::Failed)), |row| {
        row.output = Some(RunOutput::of(&output, &RunStatus::Failed))
    })
}

fn not_a_csv() -> RunSnapshot {
    let message = "This is a web page (\"Sign in, please\"), not a CSV. Use the address of the file itself, \
                   such as its download or export link.";
    let output = json!({"name": "NonRetriableError", "message": message, "sameAgain": true});
    run_row(counted(0, 0, ended(RunStatus::Failed)), |row| {
        row.output = Some(RunOutput::of(&output, &RunStatus::Failed));
        row.bytes = 0;
    })
}

/// An address that answered without a file.
pub fn failed_at_start() -> RunSnapshot {
    let output = json!({"name": "Error", "message": "the address answered 404."});
    RunSnapshot {
        upload_bytes: 0,
        ..run_row(ended(RunStatus::Failed), |row| {
            row.output = Some(RunOutput::of(&output, &RunStatus::Failed));
            row.counts = None;
            row.bytes = 0;
        })
    }
}

pub fn from_an_address(snapshot: Snapshot) -> Snapshot {
    Snapshot {
        fetched_from: Some(Arc::new(FetchedFrom {
            host: "files.northwind.example".to_owned(),
            address: "https://files.northwind.example/2026/supplier-prices.csv".to_owned(),
            downloaded_from: None,
        })),
        ..import_row(snapshot, |row| row.file_name = "supplier-prices.csv".to_owned())
    }
}

pub fn completed() -> RunSnapshot {
    let output = json!({"status": "success", "processedItems": 999_588, "failedItems": 412});
    run_row(whole(counted(999_588, 412, ended(RunStatus::Completed))), |row| {
        row.output = Some(RunOutput::of(&output, &RunStatus::Completed))
    })
}

/// The run has read the whole file.
fn whole(run: RunSnapshot) -> RunSnapshot {
    let bytes = run.total_bytes();
    run_row(run, |row| row.bytes = bytes)
}

/// Figures of the greatest width, with many failed rows.
pub fn millions(run: RunSnapshot) -> RunSnapshot {
    counted(11_300_000, 1_170_000, run)
}

pub fn reasons() -> FindingsSection {
    reasons_of(1)
}

/// The findings of a typical file with failed rows.
fn one_reason() -> FindingsSection {
    let reason = Reason {
        column: None,
        reason: "8 fields, expected 7".to_owned(),
        count: 412,
        line: 5,
        example: "7781207,Mary O’Hara,…".to_owned(),
    };
    let reasons = Reasons { groups: vec![reason], other: 0 };
    FindingsSection::new(&findings::Findings { reasons, ..findings::Findings::default() })
}

/// Each reason multiplied by `times`, and further on in the file.
fn reasons_of(times: u64) -> FindingsSection {
    let reason = |column: Option<&str>, reason: &str, count, line, example: &str| Reason {
        column: column.map(str::to_owned),
        reason: reason.to_owned(),
        count: count * times,
        line: line * times.min(30),
        example: example.to_owned(),
    };
    let groups = vec![
        reason(Some("email"), "contains a NUL byte", 231, 1_204, "jane.doe␀example"),
        reason(None, "8 fields, expected 7", 118, 51_330, "7832530,Bauer,Söhne,…"),
        reason(Some("customer"), "not valid UTF-8", 41, 20_077, "M\u{fffd}ller"),
        reason(Some(""), "closing quote missing", 1, 402_118, ""),
    ];
    FindingsSection::new(&findings::Findings {
        reasons: Reasons { groups, other: 21 * times },
        repeated_names: vec![("amount".to_owned(), 2), (String::new(), 3)],
        ..findings::Findings::default()
    })
}

/// Adds data to the runs of our function: bytes read at varying speed, failed rows in several places, and the
/// first rows.
pub fn as_read(snapshot: &Snapshot) -> Snapshot {
    let mut snapshot = snapshot.clone();
    for run in snapshot.runs.iter_mut().filter(|run| run.is_ours() && run.bytes() > 0) {
        run.committed = RunReading {
            stretches: Some(Arc::new(stretches(run))),
            first_rows: Some(Arc::new(first_rows())),
            read_as: None,
        };
    }
    snapshot
}

pub fn stretches(run: &RunSnapshot) -> Stretches {
    let counts = run.counts().unwrap_or_default();
    let mut stretches = Stretches::new(run.total_bytes());
    let read = run.bytes() * 100 / run.total_bytes().max(1);
    let size = run.total_bytes() / 100;
    let mut failed_left = counts.failed;
    for stretch in 0..read {
        let failed = if stretch % 7 == 3 { failed_left.min(1 + stretch) } else { 0 };
        failed_left -= failed;
        let processed = counts.processed / read;
        stretches.count(stretch * size, Counts { processed, failed });
        let micros = 360_000 + (stretch * 37 % 11) * 8_000;
        stretches.spend(stretch * size, (stretch + 1) * size, micros);
    }
    stretches
}

pub fn first_rows() -> FirstRows {
    let names = ["order_id", "customer", "email", "country", "ordered_at", "quantity", "price"];
    let row = |line: u64, customer: &str, email: &str, country: &str, quantity: &str, price: &str| FirstRow {
        line,
        cells: [&(7_781_202 + line).to_string(), customer, email, country, "2026-11-02", quantity, price]
            .map(str::to_owned)
            .into(),
        failure: None,
        at_fault: None,
    };
    let mut rows = vec![
        row(2, "Jürgen Müller", "jm@nordlicht.example", "DE", "12", "89.90"),
        row(3, "Åsa Åkesson", "asa@fjell.example", "SE", "1", "1240.00"),
        row(4, "François Lefèvre", "fl@rive.example", "FR", "3", "45.50"),
        row(5, "Mary O’Hara", "mary@quay.example", "IE", "2", "17.25"),
        row(6, "Zoë Janssens", "zoe@maas.example", "BE", "40", "3.10"),
        row(7, "Inês Gonçalves", "ines@tejo.example", "PT", "6", "64.00"),
    ];
    rows[3].cells.truncate(4);
    rows[3].failure = Some("4 fields, expected 7".to_owned());
    let header = names.map(str::to_owned).into();
    FirstRows { header_line: 1, header, columns: names.len(), rows, is_failed_csv: false }
}

fn page(name: &'static str, snapshot: &Snapshot) -> Page {
    Page::new(name, ImportPage::new(frame(), &as_read(snapshot), &report_inputs(), PACE).render().unwrap())
}

fn with_reasons(name: &'static str, snapshot: &Snapshot, reasons: FindingsSection) -> Page {
    let snapshot = as_read(snapshot);
    let mut page = ImportPage::new(frame(), &snapshot, &report_inputs(), PACE);
    page.panel.findings = Some(reasons);
    Page::new(name, page.render().unwrap())
}

pub fn pages() -> Vec<Page> {
    let no_answer = silent("14:03:15", OutageCause::NoAnswer);
    let twelve_minutes_ago = UnixMillis(report_inputs().now.0 - 12 * 60_000);
    let relative = |number, file_name: &str, retry_of| Relative {
        id: id(number),
        file_name: file_name.to_owned(),
        retry_of,
        choices: Choices::default(),
    };
    let copying = |copying| {
        let nothing_read = run_row(running(), |row| {
            row.counts = None;
            row.bytes = 0;
        });
        let (bytes, total, since) = (35_500_000, Some(84_600_000), at("14:03:12"));
        let receiving = Receiving { copying, bytes, total, since };
        RunSnapshot { upload_bytes: 0, ..told(nothing_read, |live| live.receiving = Some(receiving)) }
    };
    vec![
        page("import-saved", &import_row(sent(), |row| row.sent_at = None)),
        page(
            "import-saved-silent",
            &Snapshot { outage: no_answer, ..import_row(sent(), |row| row.sent_at = None) },
        ),
        page("import-sent", &sent()),
        page("import-queued", &with(queued())),
        page("import-lost", &with(run_row(running(), |row| row.lost_at = Some(at("14:03:20"))))),
        page("import-asleep", &with(asleep())),
        page("import-arriving", &with(copying(Copying::Fetching))),
        page("import-unpacking", &with(copying(Copying::Unpacking))),
        page("import-running", &with(running())),
        page("import-retrying", &with(retrying_at("14:05:10", "14:03:18"))),
        page(
            "import-cancelling",
            &import_row(with(running()), |row| row.cancel_requested_at = Some(at("14:03:18"))),
        ),
        page("import-completed", &with(whole(counted(1_000_000, 0, ended(RunStatus::Completed))))),
        with_reasons("import-completed-with-failures", &with(completed()), reasons()),
        with_reasons(
            "import-completed-all-failed",
            &with(whole(counted(0, 412, ended(RunStatus::Completed)))),
            reasons(),
        ),
        with_reasons("import-completed-one-reason", &with(completed()), one_reason()),
        page("import-running-millions", &with(millions(running()))),
        with_reasons(
            "import-completed-millions",
            &with(whole(millions(ended(RunStatus::Completed)))),
            reasons_of(2_847),
        ),
        page("import-failed", &with(failed())),
        page("import-not-a-csv", &with(not_a_csv())),
        page("import-failed-at-start", &from_an_address(with(failed_at_start()))),
        page(
            "import-cancelled",
            &import_row(with(counted(250_000, 0, ended(RunStatus::Cancelled))), |row| {
                row.cancel_requested_at = Some(at("14:03:18"))
            }),
        ),
        page(
            "import-nobody-took-it",
            &Snapshot { is_untaken: true, ..import_row(sent(), |row| row.sent_at = Some(at("14:02:50"))) },
        ),
        page("import-given-up", &import_row(sent(), |row| row.finished_at = Some(at("14:03:10")))),
        page(
            "import-event-refused",
            &import_row(sent(), |row| row.refused = Some("wrong event key".to_owned())),
        ),
        page("import-skipped", &with(counted(0, 0, ended(RunStatus::Skipped)))),
        page(
            "import-unknown-word",
            &with(run_row(running(), |row| row.status = RunStatus::Other("Overflowed".to_owned()))),
        ),
        page("import-source-silent", &Snapshot { outage: no_answer, ..with(running()) }),
        page("import-no-news", &with(run_row(running(), |row| row.news_at = twelve_minutes_ago))),
        page("import-run-gone", &with(RunSnapshot { is_gone: true, ..running() })),
        page("import-fan-out", &fan_out()),
        page(
            "import-run-again",
            &Snapshot {
                retries: Arc::new(vec![
                    relative(3, "orders-2026-11-failed.csv", RetryOf::Failed),
                    relative(4, "orders-2026-11.csv", RetryOf::All),
                ]),
                ..import_row(with(completed()), |row| {
                    row.parent = Some(relative(2, "orders-2026-10.csv", RetryOf::All))
                })
            },
        ),
    ]
}
