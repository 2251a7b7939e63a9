//! The content of a row of the history.

use std::borrow::Cow;

use super::{
    ReportInputs,
    badge::{Badge, BadgeState},
    block::RunData,
    cause::{as_sentence, cause_sentence},
    format::{bytes, duration, grouped},
    moment::Moment,
    progress::Progress,
};
use crate::{
    base::ids::ImportId,
    imports::{ImportState, RunSnapshot, Snapshot},
    store::imports::RetryOf,
};

/// An import as a row.
#[derive(Clone, Debug)]
pub struct HistoryRow<'a> {
    pub import_id: ImportId,
    pub state: ImportState,
    pub file_name: &'a str,
    /// Its size, or the host that it was fetched from.
    pub side_note: Cow<'a, str>,
    /// Says that it is a retry, and of what.
    pub again: Option<&'static str>,
    pub started: Moment,
    /// One line per run, or a single one if there was none.
    pub runs: Vec<HistoryRun<'a>>,
}

/// A run as a line of its import's row.
#[derive(Clone, Debug)]
pub struct HistoryRun<'a> {
    pub data: Option<RunData<'a>>,
    pub badge: Badge<'a>,
    /// Why, as a sentence, or by whom.
    pub cause: Option<Cow<'a, str>>,
    pub processed: Option<String>,
    pub failed: Option<String>,
    pub has_failed_rows: bool,
    pub took: Option<String>,
}

/// Says that an import is a retry, and of what. The file of the other import usually has the same name.
pub fn again(snapshot: &Snapshot) -> Option<&'static str> {
    snapshot.row.parent.as_ref().map(|parent| match parent.retry_of {
        RetryOf::All => "Re-run",
        RetryOf::Failed => "Re-run of failed rows",
    })
}

impl<'a> HistoryRow<'a> {
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, inputs: &ReportInputs) -> Self {
        let state = snapshot.state();
        let runs = if snapshot.runs.is_empty() {
            vec![HistoryRun::none(snapshot, state)]
        } else {
            snapshot.runs.iter().map(|run| HistoryRun::of(snapshot, run, inputs)).collect()
        };
        Self {
            import_id: snapshot.row.id,
            state,
            file_name: snapshot.file_name(),
            side_note: snapshot
                .fetched_from
                .as_ref()
                .map_or_else(|| bytes(snapshot.row.size_bytes).into(), |from| from.host.as_str().into()),
            again: again(snapshot),
            started: Moment::new(snapshot.row.received_at, inputs.now),
            runs,
        }
    }
}

impl<'a> HistoryRun<'a> {
    fn none(snapshot: &'a Snapshot, state: ImportState) -> Self {
        let shown = BadgeState::of_import(snapshot, state);
        let cause = match &shown {
            BadgeState::NobodyTookIt => Some(Cow::Borrowed("no function")),
            BadgeState::Cancelled => Some(Cow::Borrowed("by you")),
            _ => snapshot.row.refused.as_deref().map(as_sentence),
        };
        Self {
            data: None,
            badge: Badge { shown, dimmed: false },
            cause,
            processed: None,
            failed: None,
            has_failed_rows: false,
            took: None,
        }
    }

    fn of(snapshot: &Snapshot, run: &'a RunSnapshot, inputs: &ReportInputs) -> Self {
        let shown = BadgeState::of_run(run);
        let by_user = shown == BadgeState::Cancelled && snapshot.row.cancel_requested_at.is_some();
        Self {
            data: Some(RunData::of(run)),
            cause: if by_user { Some(Cow::Borrowed("by you")) } else { cause_sentence(run) },
            badge: Badge { shown, dimmed: false },
            processed: run.counts().map(|counts| grouped(counts.processed)),
            failed: run.counts().map(|counts| grouped(counts.failed)),
            has_failed_rows: run.is_ours() && run.counts().is_some_and(|counts| counts.failed > 0),
            took: run.row.ended_at.map(|_| duration(Progress::of(run, inputs.now).elapsed)),
        }
    }
}
