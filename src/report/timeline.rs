//! What happened to an import, and when.

use super::{
    Reading,
    badge::Shown,
    block::function_name,
    cause::as_sentence,
    format::{bytes, duration, grouped, rows},
    moment::{AsOf, Moment},
    progress::Progress,
};
use crate::{
    base::{ids::EVENT_NAME, time::UnixMillis},
    imports::{ImportState, RunSnapshot, Snapshot},
    store::imports::RetryOf,
};

/// Oldest first; the last entry is the present.
#[derive(Clone, Debug)]
pub struct Timeline {
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub at: When,
    pub title: String,
    pub detail: String,
    /// The state that something is in now; None for what is past.
    pub state: Option<Shown>,
}

/// The time of an entry.
#[derive(Clone, Debug)]
pub enum When {
    At(Moment),
    /// It is so now, as far as is known.
    AsOf(AsOf),
}

impl Timeline {
    #[must_use]
    pub fn of(snapshot: &Snapshot, state: ImportState, reading: &Reading) -> Self {
        let at = |at| When::At(Moment::new(at, reading.now));
        let past = |when, title: &str, detail: String| Entry {
            at: at(when),
            title: title.to_owned(),
            detail,
            state: None,
        };
        let retry_of = snapshot.row.parent.as_ref().map(|parent| parent.retry_of);
        let first = match (retry_of, &snapshot.fetched_from) {
            (Some(RetryOf::All), _) => past(snapshot.row.receiving_at, "Re-run", "by you".to_owned()),
            (Some(RetryOf::Failed), _) => {
                past(snapshot.row.receiving_at, "Re-run", "by you, only the failed rows".to_owned())
            }
            (None, Some(from)) => past(snapshot.row.receiving_at, "Address given", from.host.clone()),
            (None, None) => {
                let took = duration(snapshot.row.received_at.since(snapshot.row.receiving_at));
                let received = format!("{} in {took}", bytes(snapshot.row.size_bytes));
                past(snapshot.row.receiving_at, "Received", received)
            }
        };
        let second = match snapshot.row.sent_at {
            Some(sent) => past(sent, "Saved and sent", EVENT_NAME.to_owned()),
            None => past(snapshot.row.received_at, "Saved", String::new()),
        };
        let mut of_runs: Vec<(UnixMillis, Entry)> = Vec::new();
        for run in &snapshot.runs {
            let of = if snapshot.runs.len() > 1 { function_name(run) } else { String::new() };
            // A run's own entries keep their order, whatever the engine's clock says.
            let mut latest = run.row.queued_at;
            let mut add = |when: UnixMillis, entry: Entry| {
                latest = latest.max(when);
                of_runs.push((latest, entry));
            };
            let mut add_past = |when, title: &str, detail: String| add(when, past(when, title, detail));
            let queued = match run.began_at() {
                Some(began) => format!("for {}", duration(began.since(run.row.queued_at))),
                None => String::new(),
            };
            add_past(run.row.queued_at, "Queued", joined(&of, &queued));
            if let (None, Some(started)) = (run.execution(), run.row.started_at) {
                add_past(started, "Started", of.clone());
            }
            if let Some(execution) = run.execution() {
                let attempt = format!("attempt 1 of {}", execution.max_attempts);
                let by = format!("by {}, {attempt}", execution.function);
                add_past(execution.started_at, "Started", by);
                let error = execution.error.iter();
                let error = error.map(|error| (execution.attempt, error.at, &error.message));
                let earlier =
                    execution.earlier.iter().map(|failed| (failed.attempt, failed.at, &failed.message));
                for (attempt, when, message) in earlier.chain(error) {
                    let title = format!("Attempt {attempt} failed");
                    let why = as_sentence(message);
                    add_past(when, &title, if of.is_empty() { why } else { format!("{of}: {why}") });
                }
            }
            if let Some(entry) = present(snapshot, run, &of, reading) {
                // What is so now comes last.
                add(run.row.ended_at.unwrap_or(UnixMillis(i64::MAX)), entry);
            }
        }
        of_runs.sort_by_key(|(when, _)| *when);
        let mut entries: Vec<Entry> =
            [first, second].into_iter().chain(of_runs.into_iter().map(|(_, entry)| entry)).collect();
        if snapshot.runs.is_empty() && state.is_final() {
            let shown = Shown::of_import(snapshot, state);
            entries.push(Entry {
                at: at(snapshot.row.cancel_requested_at.unwrap_or_else(|| snapshot.as_of())),
                title: shown.word().to_owned(),
                detail: "Nothing was run".to_owned(),
                state: Some(shown),
            });
        }
        Self { entries }
    }
}

/// What a run is doing now, or how it ended. Waiting in the queue has its entry already.
fn present(snapshot: &Snapshot, run: &RunSnapshot, of: &str, reading: &Reading) -> Option<Entry> {
    let shown = Shown::of_run(run);
    if shown == Shown::Queued {
        return None;
    }
    let progress = Progress::of(run, reading.now);
    let counted = match (progress.counts, run.row.ended_at) {
        (Some(counts), Some(_)) if counts.failed > 0 => {
            format!("{} processed, {} failed", grouped(counts.processed), grouped(counts.failed))
        }
        (Some(counts), Some(_)) => format!("{} processed", grouped(counts.processed)),
        (Some(_), None) if let Some(receipt) = &progress.receipt => receipt.in_words(),
        (Some(counts), None) => format!("{} read", rows(counts.total())),
        (None, _) => String::new(),
    };
    Some(Entry {
        at: match run.row.ended_at {
            Some(ended) => When::At(Moment::new(ended, reading.now)),
            None => When::AsOf(AsOf::new(snapshot.as_of(), false, reading.now)),
        },
        title: shown.word().to_owned(),
        detail: joined(of, &counted),
        state: Some(shown),
    })
}

fn joined(first: &str, second: &str) -> String {
    [first, second].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
}
