//! Imports and runs in the states for the tests of views.

use runboard::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    csv::Counts,
    imports::{Count, EngineOutage, NextAttempt, OutageCause, RunSnapshot, Snapshot},
    inngest::RunStatus,
    progress::ReadSince,
    report::{EngineName, Reading},
    store::executions::{AttemptError, Execution},
    web::views::{Frame, HistoryFilter, HistorySection},
};

pub const RUN: &str = "01M852CE07XGB7KM34R9298TW7";

pub fn at(time: &str) -> UnixMillis {
    UnixMillis::from_rfc3339(&format!("2026-11-23T{time}Z")).unwrap()
}

pub fn reading() -> Reading {
    Reading { now: at("14:03:20"), engine: EngineName::Inngest }
}

pub fn frame() -> Frame {
    Frame { email: "mira@example.org".to_owned(), engine: EngineName::Embedded, max_upload_bytes: 10 << 30 }
}

pub fn empty_history() -> HistorySection {
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
    Snapshot {
        id: ImportId::generate(),
        owner: UserId::generate(),
        file_name: "orders-2026-11.csv".to_owned(),
        size_bytes: 84_600_000,
        fetched_from: None,
        receiving_at: at("14:03:02"),
        received_at: at("14:03:04"),
        event_id: "01M852CDYVJYDMFCJQQV9MRZ6R".to_owned().into(),
        sent_at: Some(at("14:03:05")),
        refused: None,
        cancel_requested_at: None,
        finished_at: None,
        is_untaken: false,
        runs: Vec::new(),
        as_of: Some(at("14:03:20")),
        outage: None,
        parent: None,
        retries: Vec::new(),
    }
}

/// Started at 14:03:10, so 10 s ago: a quarter read.
pub fn running() -> RunSnapshot {
    RunSnapshot {
        run_id: RUN.to_owned().into(),
        function_id: "5d106f6c-31b1-5988-838b-963ea7845fd8".to_owned(),
        function_name: None,
        status: RunStatus::Running,
        queued_at: at("14:03:07"),
        started_at: None,
        seen_queued_at: None,
        ended_at: None,
        lost_at: None,
        news_at: at("14:03:19"),
        is_gone: false,
        counts: Some(Counts { processed: 249_588, failed: 412 }),
        bytes: 21_150_000,
        total_bytes: 84_600_000,
        total_rows: None,
        receiving: None,
        read_since: Some(ReadSince { at: at("14:03:10"), rows: 0, bytes: 0 }),
        is_waiting: false,
        call: Some(Execution {
            function: "process-csv-upload".to_owned(),
            started_at: at("14:03:10"),
            attempt: 1,
            max_attempts: 4,
            error: None,
            earlier: Vec::new(),
        }),
        stretches: None,
        first_rows: None,
        next_attempt: None,
        plan: None,
        is_active: true,
        output: None,
    }
}

pub fn silent(since: &str, cause: OutageCause) -> Option<EngineOutage> {
    Some(EngineOutage { since: at(since), cause })
}

pub fn ended(status: RunStatus) -> RunSnapshot {
    RunSnapshot { status, ended_at: Some(at("14:03:19")), ..running() }
}

pub fn counted(processed: u64, failed: u64, run: RunSnapshot) -> RunSnapshot {
    RunSnapshot { counts: Some(Counts { processed, failed }), ..run }
}

pub fn retrying(attempt: u32) -> RunSnapshot {
    let mut run = running();
    let call = run.call.as_mut().unwrap();
    let message = "connection reset.\nat line 3".to_owned();
    let is_final = attempt == call.max_attempts;
    (call.attempt, call.error) = (attempt, Some(AttemptError { message, at: at("14:03:18"), is_final }));
    run
}

/// The same, and the engine has said when the attempt begins that follows a failure at `after`.
pub fn retrying_at(next: &str, after: &str) -> RunSnapshot {
    RunSnapshot { next_attempt: Some(NextAttempt { after: at(after), at: at(next) }), ..retrying(1) }
}

pub fn with(run: RunSnapshot) -> Snapshot {
    Snapshot { runs: vec![run], ..sent() }
}
