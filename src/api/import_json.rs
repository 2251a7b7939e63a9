//! An import as the API writes it.

use serde::Serialize;
use serde_json::Value;

use super::{
    reading_json::{FirstRowsJson, ReadingJson},
    time,
};
use crate::{
    base::time::UnixMillis,
    csv::Reasons,
    imports::{ImportState, RunSnapshot, Snapshot},
    report::{
        ReportInputs,
        block::{RunData, known_at},
        progress::Progress,
        state_text::state_text,
    },
    results::findings::Findings,
};

/// An import and its runs.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Import, example = json!({
    "id": "01KBC8Z3V5F0M3E2J8W4R7T9QX",
    "fileName": "orders.csv",
    "sizeBytes": 47,
    "state": "Completed",
    "stateText": "2 rows processed, 1 failed, in 0.1 s.",
    "receivedAt": "2026-11-23T20:43:26.599Z",
    "finishedAt": "2026-11-23T20:43:26.912Z",
    "eventId": "01KBC8Z3V6T1N0C7W5R2J4X8QA",
    "reading": {
        "encoding": { "value": "UTF-8", "how": "certain" },
        "delimiter": { "value": "semicolon", "how": "certain" },
        "quote": { "value": "double", "how": "certain" },
        "escape": { "value": "doubled", "how": "certain" },
        "header": { "value": 1, "how": "guess" },
        "headerRows": { "value": 1, "how": "certain" },
        "leftOut": [{ "what": "emptyRows", "count": 1, "firstLine": 3 }],
        "text": "Separated by semicolons, UTF-8, header in line 1 (a guess). 1 empty row left out, line 3."
    },
    "runs": [{
        "runId": "01KBC8Z3V7G2P9D5M3K6H8Y1QB",
        "functionId": "e3c9c0f8-adc4-5abf-84b2-7823f0113a18",
        "functionName": "process-csv-upload",
        "status": "Completed",
        "queuedAt": "2026-11-23T20:43:26.610Z",
        "startedAt": "2026-11-23T20:43:26.640Z",
        "endedAt": "2026-11-23T20:43:26.912Z",
        "processedItems": 2,
        "failedItems": 1,
        "attempt": 1,
        "maxAttempts": 4,
        "output": { "status": "success", "processedItems": 2, "failedItems": 1 }
    }],
    "failures": [{ "reason": "1 field, expected 2", "count": 1, "firstLine": 5, "example": "3" }],
    "links": {
        "self": "/api/v1/imports/01KBC8Z3V5F0M3E2J8W4R7T9QX",
        "page": "/imports/01KBC8Z3V5F0M3E2J8W4R7T9QX",
        "processed": "/api/v1/imports/01KBC8Z3V5F0M3E2J8W4R7T9QX/processed.csv",
        "failed": "/api/v1/imports/01KBC8Z3V5F0M3E2J8W4R7T9QX/failed.csv",
        "cancel": "/api/v1/imports/01KBC8Z3V5F0M3E2J8W4R7T9QX/cancel",
        "retry": "/api/v1/imports/01KBC8Z3V5F0M3E2J8W4R7T9QX/retry"
    }
}))]
pub struct ImportJson {
    pub id: String,
    /// As it was sent, without folders and control characters.
    pub file_name: String,
    /// Absent while unknown: a file at an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Where the file is fetched from, without query and password. Absent for an upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    pub state: &'static str,
    /// What its page says about its state, with times in UTC. Of a held import whose file cannot be read, first why.
    pub state_text: String,
    #[schema(format = DateTime)]
    pub received_at: String,
    /// When its last run ended. Absent until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// Absent until the engine has taken the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The import that this one is a retry of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// How the file is read. Of a held import it is how it would be read, only where a single import is asked for.
    /// Absent until that is known, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<ReadingJson>,
    /// The first rows of a held import, as they would be read. Present where its reading is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_rows: Option<FirstRowsJson>,
    pub runs: Vec<RunJson>,
    /// Why rows failed: the most frequent reasons first, at most a hundred. Absent until the import is over, and in
    /// lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<Vec<FailureJson>>,
    pub links: LinksJson,
}

/// A run of a function that the import's event has triggered.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Run)]
pub struct RunJson {
    pub run_id: String,
    pub function_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_name: Option<String>,
    /// The engine's word: Scheduled, Running, Completed, Failed, Cancelled, Skipped or another. None of the words for
    /// an end before the run has ended.
    pub status: String,
    #[schema(format = DateTime)]
    pub queued_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// The rows so far. Absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processed_items: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_items: Option<u64>,
    /// Absent once the run has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressJson>,
    /// The current or last attempt, from 1. Absent for functions of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Why the run, or its last attempt, failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the function returned, any JSON. Absent before the end, and if it is larger than 4 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// How far a run is. Estimates are absent while there is nothing to estimate from.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Progress)]
pub struct ProgressJson {
    /// The part of the file that is read, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// The rows that failed for one reason.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FailureReason)]
pub struct FailureJson {
    /// Absent if whole rows are at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    pub reason: String,
    pub count: u64,
    /// The line on which the first of them begins.
    pub first_line: u64,
    /// An excerpt of that row, or of its field at fault.
    pub example: String,
}

/// Paths on this server.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Links)]
pub struct LinksJson {
    #[serde(rename = "self")]
    pub this: String,
    /// The page for people.
    pub page: String,
    /// Both downloads exist once the import is over, if a function of Runboard has read the file.
    pub processed: String,
    pub failed: String,
    /// For POST. Works once the import has started.
    pub cancel: String,
    /// For POST. Works once the import is over.
    pub retry: String,
    /// For POST. Only of a held import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

impl ImportJson {
    /// Without what is not in memory: how the file of an import that is over was read and why its rows failed, and how
    /// that of a held one would be read.
    #[must_use]
    pub fn new(import: &Snapshot, inputs: &ReportInputs) -> Self {
        let (row, state) = (&import.row, import.state());
        let is_known = row.sent_at.is_some() || !import.runs.is_empty();
        Self {
            id: row.id.to_string(),
            file_name: import.file_name().to_owned(),
            size_bytes: Some(size(import)).filter(|size| *size > 0),
            source_url: import.fetched_from.as_ref().map(|from| from.address.clone()),
            state: state.as_str(),
            state_text: state_text(import, inputs),
            received_at: time(row.received_at),
            finished_at: finished_at(import, state).map(time),
            event_id: is_known.then(|| row.event_id.to_string()),
            parent_id: row.parent.as_ref().map(|parent| parent.id.to_string()),
            reading: None,
            first_rows: None,
            runs: import.runs.iter().map(|run| RunJson::new(import, run, inputs)).collect(),
            failures: None,
            links: LinksJson::to(import),
        }
    }

    /// The same with how the file is read, as far as that is known without the database.
    #[must_use]
    pub fn with_reading(mut self, import: &Snapshot) -> Self {
        let first = import.runs.iter().find_map(RunSnapshot::first_rows);
        let read_as = import.runs.iter().find_map(RunSnapshot::read_as);
        self.reading = read_as.map(|read_as| ReadingJson::new(read_as, first.map(|first| first.columns)));
        self
    }

    /// The same with what a run of our own function has found in the file.
    #[must_use]
    pub fn with_findings(mut self, findings: &Findings) -> Self {
        self.reading = ReadingJson::of(findings);
        self.failures = Some(FailureJson::all(&findings.reasons));
        self.size_bytes = self.size_bytes.or(findings.copied_bytes);
        self
    }
}

/// 0 while unknown.
fn size(import: &Snapshot) -> u64 {
    let told = import.runs.iter().filter(|run| run.is_ours()).map(RunSnapshot::total_bytes).max();
    match import.row.size_bytes {
        0 => told.unwrap_or(0),
        size => size,
    }
}

fn finished_at(import: &Snapshot, state: ImportState) -> Option<UnixMillis> {
    if !state.is_final() || matches!(state, ImportState::Held | ImportState::Lost) {
        return None;
    }
    let ended = import.runs.iter().filter_map(|run| run.row.ended_at).max();
    ended.or(import.row.finished_at).or(import.row.cancel_requested_at)
}

impl RunJson {
    fn new(import: &Snapshot, run: &RunSnapshot, inputs: &ReportInputs) -> Self {
        let (row, execution) = (&run.row, run.execution());
        let progress = Progress::of(run, known_at(import, inputs));
        let failure = row.output.as_ref().and_then(|output| output.failure.as_ref()?.message.clone());
        let of_attempt = || execution?.error.as_ref().map(|error| error.message.clone());
        let own_name = execution.map(|execution| execution.function.clone());
        let whole = row.output.as_ref().filter(|output| output.is_whole && row.ended_at.is_some());
        Self {
            run_id: row.run_id.to_string(),
            function_id: row.function_id.clone(),
            function_name: own_name.or_else(|| row.function_name.clone()),
            status: RunData::of(run).status.to_owned(),
            queued_at: time(row.queued_at),
            started_at: run.began_at().map(time),
            ended_at: row.ended_at.map(time),
            processed_items: run.counts().map(|counts| counts.processed),
            failed_items: run.counts().map(|counts| counts.failed),
            progress: row.ended_at.is_none().then(|| ProgressJson::new(&progress)),
            attempt: execution.map(|execution| execution.attempt),
            max_attempts: execution.map(|execution| execution.max_attempts),
            error: failure.or_else(of_attempt),
            output: whole.and_then(|output| serde_json::from_str(&output.excerpt).ok()),
        }
    }
}

impl ProgressJson {
    fn new(progress: &Progress) -> Self {
        // More digits would change with each byte.
        let rounded = |share: f64| (share * 10_000.0).floor() / 10_000.0;
        Self {
            fraction: progress.share.map(rounded),
            rows_per_second: progress.rows_per_second,
            seconds_left: progress.left.map(|left| left.as_secs()),
        }
    }
}

impl FailureJson {
    fn all(reasons: &Reasons) -> Vec<Self> {
        let mut groups: Vec<_> = reasons.groups.iter().collect();
        // Groups of the same size stay in the order of the file.
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        let failure = |group: &crate::csv::Reason| Self {
            column: group.column.clone(),
            reason: group.reason.clone(),
            count: group.count,
            first_line: group.line,
            example: group.example.clone(),
        };
        groups.into_iter().map(failure).collect()
    }
}

impl LinksJson {
    fn to(import: &Snapshot) -> Self {
        let page = format!("/imports/{}", import.row.id);
        let this = format!("/api/v1{page}");
        let below = |path: &str| format!("{this}/{path}");
        Self {
            processed: below("processed.csv"),
            failed: below("failed.csv"),
            cancel: below("cancel"),
            retry: below("retry"),
            start: (import.state() == ImportState::Held).then(|| below("start")),
            page,
            this,
        }
    }
}
