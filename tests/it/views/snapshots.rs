//! Imports and runs in the states for the tests of views.

use std::sync::Arc;

use runboard::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    csv::{Choices, Counts},
    imports::{Count, EngineOutage, NextAttempt, OutageCause, RunReading, RunSnapshot, Snapshot},
    inngest::RunStatus,
    progress::{ProgressSnapshot, ReadSince},
    report::{EngineName, ReportInputs, guest::Audience},
    store::{
        executions::{AttemptError, Execution},
        imports::ImportRow,
        runs::RunRow,
    },
    web::views::{Frame, HistoryFilter, HistorySection},
};

pub const RUN: &str = "01M852CE07XGB7KM34R9298TW7";

pub fn at(time: &str) -> UnixMillis {
    UnixMillis::from_rfc3339(&format!("2026-11-23T{time}Z")).unwrap()
}

pub fn report_inputs() -> ReportInputs {
    ReportInputs { now: at("14:03:20"), engine: EngineName::Inngest, audience: Audience::Owner }
}

pub fn frame() -> Frame {
    Frame { email: "mira@example.org".to_owned(), engine: EngineName::Embedded, max_upload_bytes: 10 << 30 }
}

pub fn empty_history() -> HistorySection<'static> {
    HistorySection {
        way_back: String::new(),
        rows: Vec::new(),
        filter: HistoryFilter::default(),
        total: Count::Exactly(0),
        newer: 0,
        newer_page: None,
        older_page: None,
        searched_to: None,
        searches_newer: false,
    }
}

/// Received at 14:03:04, event sent at 14:03:05.
pub fn sent() -> Snapshot {
    let row = ImportRow {
        id: ImportId::generate(),
        owner: UserId::generate(),
        file_name: "orders-2026-11.csv".to_owned(),
        has_chosen_name: false,
        size_bytes: 84_600_000,
        source_url: None,
        failed_rows_of: None,
        receiving_at: at("14:03:02"),
        received_at: at("14:03:04"),
        event_id: "01M852CDYVJYDMFCJQQV9MRZ6R".to_owned().into(),
        sent_at: Some(at("14:03:05")),
        refused: None,
        cancel_requested_at: None,
        held_until: None,
        choices: Choices::default(),
        finished_at: None,
        parent: None,
    };
    Snapshot { answered_at: Some(at("14:03:20")), ..Snapshot::new(row, Vec::new()) }
}

/// `import` with its row changed.
pub fn import_row(mut import: Snapshot, change: impl FnOnce(&mut ImportRow)) -> Snapshot {
    change(Arc::make_mut(&mut import.row));
    import
}

/// Started at 14:03:10, so 10 s ago: a quarter read.
pub fn running() -> RunSnapshot {
    let row = RunRow {
        run_id: RUN.to_owned().into(),
        import: ImportId::generate(),
        function_id: "5d106f6c-31b1-5988-838b-963ea7845fd8".to_owned(),
        function_name: None,
        status: RunStatus::Running,
        queued_at: at("14:03:07"),
        started_at: None,
        ended_at: None,
        lost_at: None,
        news_at: at("14:03:19"),
        counts: Some(Counts { processed: 249_588, failed: 412 }),
        bytes: 21_150_000,
        output: None,
        execution: Some(Execution {
            function: "process-csv-upload".to_owned(),
            started_at: at("14:03:10"),
            attempt: 1,
            max_attempts: 4,
            error: None,
            earlier: Vec::new(),
        }),
    };
    RunSnapshot {
        row: Arc::new(row),
        seen_queued_at: None,
        is_gone: false,
        upload_bytes: 84_600_000,
        committed: RunReading::default(),
        next_attempt: None,
        plan: None,
        live: Some(ProgressSnapshot {
            read_since: Some(ReadSince { at: at("14:03:10"), rows: 0, bytes: 0 }),
            is_active: true,
            ..ProgressSnapshot::default()
        }),
    }
}

/// `run` with its row changed.
pub fn run_row(mut run: RunSnapshot, change: impl FnOnce(&mut RunRow)) -> RunSnapshot {
    change(Arc::make_mut(&mut run.row));
    run
}

/// `run` with what functions have told of it changed.
pub fn told(mut run: RunSnapshot, change: impl FnOnce(&mut ProgressSnapshot)) -> RunSnapshot {
    change(run.live.get_or_insert_default());
    run
}

pub fn silent(since: &str, cause: OutageCause) -> Option<EngineOutage> {
    Some(EngineOutage { since: at(since), cause })
}

pub fn ended(status: RunStatus) -> RunSnapshot {
    run_row(running(), |row| (row.status, row.ended_at) = (status, Some(at("14:03:19"))))
}

pub fn counted(processed: u64, failed: u64, run: RunSnapshot) -> RunSnapshot {
    run_row(run, |row| row.counts = Some(Counts { processed, failed }))
}

pub fn retrying(attempt: u32) -> RunSnapshot {
    run_row(running(), |row| {
        let execution = row.execution.as_mut().unwrap();
        let message = "connection reset.\nat line 3".to_owned();
        let is_final = attempt == execution.max_attempts;
        execution.attempt = attempt;
        execution.error = Some(AttemptError { message, at: at("14:03:18"), is_final });
    })
}

/// The same, and the engine has said when the attempt begins that follows a failure at `after`.
pub fn retrying_at(next: &str, after: &str) -> RunSnapshot {
    RunSnapshot { next_attempt: Some(NextAttempt { after: at(after), at: at(next) }), ..retrying(1) }
}

pub fn with(run: RunSnapshot) -> Snapshot {
    Snapshot { runs: vec![run], ..sent() }
}
