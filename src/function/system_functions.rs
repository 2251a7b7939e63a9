//! Functions of ours that only pass on reports: from the engine about ended runs, and from other people's
//! functions about their progress.

use serde::Deserialize;
use serde_json::Value;

use super::Processor;
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::Counts,
    inngest::{Run, RunStatus, call::Call},
    progress::ProgressReport,
};

/// The data of `inngest/function.finished` and `inngest/function.cancelled`.
#[derive(Deserialize)]
struct Ended {
    run_id: RunId,
    /// `app-function`.
    function_id: String,
    #[serde(rename = "_inngest")]
    inngest: Inngest,
    event: Event,
    /// A batch has several events, and the run belongs to each of them.
    #[serde(default)]
    events: Vec<Event>,
    /// The output, or the error of a failed run; absent if the run was cancelled.
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Inngest {
    status: String,
}

#[derive(Deserialize)]
struct Event {
    /// The internal id, because our events have no own id.
    id: EventId,
}

/// Inngest's numbers are floating point: above this not every integer is exact.
const MOST_ITEMS: u64 = 1 << 53;

/// The data of `imports/csv.progress`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    run_id: RunId,
    processed_items: u64,
    failed_items: u64,
    #[serde(default)]
    total_items: Option<u64>,
}

impl Processor {
    /// A run has ended, ours or another function's: tells the watcher of its event. Returns `false` if the
    /// call has other data.
    pub(super) fn run_ended(&self, call: &Call) -> bool {
        let Ok(ended) = Ended::deserialize(&call.event.data) else { return false };
        self.progress.end_was_reported();
        let status = RunStatus::from(ended.inngest.status.as_str());
        // A failed run has both, and both contain the reason.
        let output = ended.result.or(ended.error);
        let ended_at = UnixMillis(call.event.ts);
        let mut events: Vec<EventId> = ended.events.into_iter().map(|event| event.id).collect();
        if !events.contains(&ended.event.id) {
            events.push(ended.event.id.clone());
        }
        let run = Run {
            run_started_at: ended.run_id.made_at().unwrap_or(ended_at),
            run_id: ended.run_id,
            function_id: ended.function_id,
            // Only the list of runs contains it.
            function_name: None,
            event_id: ended.event.id,
            status,
            ended_at: Some(ended_at),
            output,
        };
        self.progress.tell_run(&events, run);
        true
    }

    /// Another function reports its progress. Returns `false` if the call has other data. Reports that come
    /// too often, or belong to a run without a watcher, are dropped.
    pub(super) fn progress_reported(&self, call: &Call) -> bool {
        let Ok(progress) = Progress::deserialize(&call.event.data) else { return false };
        let numbers = [progress.processed_items, progress.failed_items, progress.total_items.unwrap_or(0)];
        if numbers.into_iter().any(|number| number > MOST_ITEMS) {
            return false;
        }
        let counts = Counts { processed: progress.processed_items, failed: progress.failed_items };
        let report = ProgressReport { counts, total_rows: progress.total_items };
        self.progress.report(&progress.run_id, report, UnixMillis::now());
        true
    }

    /// Our own function was called, so its run exists and has started.
    pub(super) fn tell_called(&self, call: &Call) {
        let run = Run {
            run_id: call.ctx.run_id.clone(),
            function_id: call.ctx.fn_id.clone(),
            function_name: None,
            event_id: call.event.id.clone(),
            status: RunStatus::Running,
            run_started_at: call.ctx.run_id.made_at().unwrap_or_else(UnixMillis::now),
            ended_at: None,
            output: None,
        };
        self.progress.tell_run(std::slice::from_ref(&call.event.id), run);
    }
}
