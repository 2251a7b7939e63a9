//! What happened to an import, and when.

use std::borrow::Cow;

use super::{
    ReportInputs,
    badge::BadgeState,
    block::function_name,
    cause::as_sentence,
    format::{bytes, duration, grouped, rows},
    guest::Audience,
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
pub struct Timeline<'a> {
    pub entries: Vec<Entry<'a>>,
}

#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub at: When,
    pub title: Cow<'a, str>,
    pub detail: Cow<'a, str>,
    /// The current state; None for a past entry.
    pub state: Option<BadgeState<'a>>,
}

/// The time of an entry.
#[derive(Clone, Debug)]
pub enum When {
    At(Moment),
    /// The current state, as of the last answer.
    AsOf(AsOf),
}

impl<'a> Timeline<'a> {
    #[must_use]
    pub fn of(snapshot: &'a Snapshot, state: ImportState, inputs: &ReportInputs) -> Self {
        let at = |at| When::At(Moment::new(at, inputs.now));
        let past = |when, title: Cow<'a, str>, detail: Cow<'a, str>| Entry {
            at: at(when),
            title,
            detail,
            state: None,
        };
        let by = inputs.audience.by_the_owner();
        let retry_of = snapshot.row.parent.as_ref().map(|parent| parent.retry_of);
        let first = match (retry_of, &snapshot.fetched_from) {
            (Some(RetryOf::All), _) => past(snapshot.row.receiving_at, "Re-run".into(), by.into()),
            (Some(RetryOf::Failed), _) => {
                past(snapshot.row.receiving_at, "Re-run".into(), format!("{by}, only the failed rows").into())
            }
            (None, Some(from)) => {
                let host = if inputs.audience == Audience::Owner { from.host.as_str() } else { "" };
                past(snapshot.row.receiving_at, "Address given".into(), host.into())
            }
            (None, None) => {
                let took = duration(snapshot.row.received_at.since(snapshot.row.receiving_at));
                let received = format!("{} in {took}", bytes(snapshot.row.size_bytes));
                past(snapshot.row.receiving_at, "Received".into(), received.into())
            }
        };
        // An event whose run is queued has arrived, even if its confirmation comes later.
        let first_queued = snapshot.runs.iter().map(|run| run.row.queued_at).min();
        let arrived_at =
            snapshot.row.sent_at.map(|sent| first_queued.map_or(sent, |queued| sent.min(queued)));
        let second_at = arrived_at.unwrap_or(snapshot.row.received_at).max(snapshot.row.received_at);
        let second = match arrived_at {
            Some(_) => past(second_at, "Saved and sent".into(), EVENT_NAME.into()),
            None => past(second_at, "Saved".into(), "".into()),
        };
        let mut timed = vec![(snapshot.row.receiving_at, first), (second_at, second)];
        for run in &snapshot.runs {
            let of = if snapshot.runs.len() > 1 { function_name(run) } else { "" };
            // The entries of one run keep their order, below the event, whatever the engine's clock says.
            let mut latest = run.row.queued_at.max(second_at);
            let mut add = |when: UnixMillis, entry: Entry<'a>| {
                latest = latest.max(when);
                timed.push((latest, entry));
            };
            let mut add_past = |when, title: Cow<'a, str>, detail: Cow<'a, str>| {
                add(when, past(when, title, detail));
            };
            let queued = match run.began_at() {
                Some(began) => format!("for {}", duration(began.since(run.row.queued_at))),
                None => String::new(),
            };
            add_past(run.row.queued_at, "Queued".into(), joined(of, queued));
            if let (None, Some(started)) = (run.execution(), run.row.started_at) {
                add_past(started, "Started".into(), of.into());
            }
            if let Some(execution) = run.execution() {
                let attempt = format!("attempt 1 of {}", execution.max_attempts);
                let by = format!("by {}, {attempt}", execution.function);
                add_past(execution.started_at, "Started".into(), by.into());
                let error = execution.error.iter();
                let error = error.map(|error| (execution.attempt, error.at, &error.message));
                let earlier =
                    execution.earlier.iter().map(|failed| (failed.attempt, failed.at, &failed.message));
                for (attempt, when, message) in earlier.chain(error) {
                    let title = format!("Attempt {attempt} failed");
                    let why = as_sentence(message);
                    let why = if of.is_empty() { why } else { format!("{of}: {why}").into() };
                    add_past(when, title.into(), why);
                }
            }
            if let Some(entry) = present(snapshot, run, of, inputs) {
                // The current state comes last.
                add(run.row.ended_at.unwrap_or(UnixMillis(i64::MAX)), entry);
            }
        }
        timed.sort_by_key(|(when, _)| *when);
        let mut entries: Vec<Entry> = timed.into_iter().map(|(_, entry)| entry).collect();
        if snapshot.runs.is_empty() && state.is_final() {
            let shown = BadgeState::of_import(snapshot, state);
            entries.push(Entry {
                at: at(snapshot.row.cancel_requested_at.unwrap_or_else(|| snapshot.as_of())),
                title: shown.word().into(),
                detail: if state == ImportState::Held { "Nothing has run yet" } else { "Nothing was run" }
                    .into(),
                state: Some(shown),
            });
        }
        Self { entries }
    }
}

/// What a run is doing now, or how it ended. A queued run has an entry for that already.
fn present<'a>(
    snapshot: &Snapshot,
    run: &'a RunSnapshot,
    of: &'a str,
    inputs: &ReportInputs,
) -> Option<Entry<'a>> {
    let shown = BadgeState::of_run(run);
    if shown == BadgeState::Queued {
        return None;
    }
    let progress = Progress::of(run, inputs.now);
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
            Some(ended) => When::At(Moment::new(ended, inputs.now)),
            None => When::AsOf(AsOf::new(snapshot.as_of(), false, inputs.now)),
        },
        title: shown.word().into(),
        detail: joined(of, counted),
        state: Some(shown),
    })
}

fn joined(of: &str, what: String) -> Cow<'_, str> {
    match (of, what.as_str()) {
        (of, "") => of.into(),
        ("", _) => what.into(),
        (of, what) => format!("{of}, {what}").into(),
    }
}
