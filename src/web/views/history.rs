//! What is done: a dense table.

use super::{
    Reading,
    badge::{Badge, Shown},
    block::RunData,
    cause::{as_sentence, cause_sentence},
    moment::Moment,
    progress::Progress,
};
use crate::{
    imports::{Count, ImportState, RunSnapshot, Snapshot},
    report::format::{bytes, duration, grouped},
    store::imports::RetryOf,
};

/// One page of a user's finished imports, newest first.
#[derive(Clone, Debug)]
pub struct History {
    pub rows: Vec<HistoryRow>,
    pub filter: HistoryFilter,
    /// Behind the address of each import: the query that its page leads back with. Empty for the newest page of
    /// all imports.
    pub way_back: String,
    /// How many there are on all pages; of no more than so many it is known how many.
    pub total: Count,
    /// How many are on pages before this one.
    pub newer: u64,
    /// Where the pages beside this one are.
    pub newer_page: Option<String>,
    pub older_page: Option<String>,
    /// Up to when a search got that may go on.
    pub searched_to: Option<Moment>,
    /// It goes on with newer ones, not with older ones.
    pub searches_newer: bool,
}

/// What the history is narrowed to, as its form has it.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    pub states: Vec<Choice>,
    pub times: Vec<Choice>,
    /// As it was typed.
    pub name: String,
    /// Something is left out.
    pub is_narrow: bool,
}

/// One of what a field of the form offers.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    pub value: &'static str,
    pub label: &'static str,
    pub is_chosen: bool,
}

/// An import as a row.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    pub import_id: String,
    pub state: ImportState,
    pub file_name: String,
    /// Its size, or the host that it was fetched from.
    pub side_note: String,
    /// That it is a re-run, and of what.
    pub again: Option<&'static str>,
    pub started: Moment,
    /// One line per run; a single one when nothing was run.
    pub runs: Vec<HistoryRun>,
}

/// A run as a line of its import's row.
#[derive(Clone, Debug)]
pub struct HistoryRun {
    pub data: Option<RunData>,
    pub badge: Badge,
    /// Why, in a sentence, or by whom.
    pub cause: Option<String>,
    pub processed: Option<String>,
    pub failed: Option<String>,
    pub has_failed_rows: bool,
    pub took: Option<String>,
}

impl History {
    /// Beside the heading.
    #[must_use]
    pub fn count(&self) -> Option<String> {
        match self.total {
            Count::Exactly(count) => Some(grouped(count)),
            Count::MoreThan(count) => Some(format!("more than {}", grouped(count))),
            Count::Unknown => None,
        }
    }

    /// Which of them these are: `51 to 100 of 214`.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let Count::Exactly(total) = self.total else { return None };
        if self.rows.is_empty() {
            return None;
        }
        let last = self.newer + self.rows.len() as u64;
        Some(format!("{} to {} of {}", grouped(self.newer + 1), grouped(last), grouped(total)))
    }

    /// There is none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == Count::Exactly(0) && !self.filter.is_narrow
    }

    #[must_use]
    pub fn has_no_match(&self) -> bool {
        self.total == Count::Exactly(0) && self.filter.is_narrow
    }
}

impl HistoryRow {
    #[must_use]
    pub fn new(snapshot: &Snapshot, reading: &Reading) -> Self {
        let state = snapshot.state();
        let runs = if snapshot.runs.is_empty() {
            vec![HistoryRun::none(snapshot, state)]
        } else {
            snapshot.runs.iter().map(|run| HistoryRun::of(snapshot, run, reading)).collect()
        };
        Self {
            import_id: snapshot.id.to_string(),
            state,
            file_name: snapshot.file_name.clone(),
            side_note: snapshot
                .fetched_from
                .as_ref()
                .map_or_else(|| bytes(snapshot.size_bytes), |from| from.host.clone()),
            again: snapshot.parent.as_ref().map(|parent| match parent.retry_of {
                RetryOf::All => "Re-run",
                RetryOf::Failed => "Re-run of failed rows",
            }),
            started: Moment::new(snapshot.received_at, reading.now),
            runs,
        }
    }
}

impl HistoryRun {
    fn none(snapshot: &Snapshot, state: ImportState) -> Self {
        let shown = Shown::of_import(snapshot, state);
        let cause = match &shown {
            Shown::NobodyTookIt => Some("no function".to_owned()),
            Shown::Cancelled => Some("by you".to_owned()),
            _ => snapshot.refused.as_deref().map(as_sentence),
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

    fn of(snapshot: &Snapshot, run: &RunSnapshot, reading: &Reading) -> Self {
        let shown = Shown::of_run(run);
        let by_user = shown == Shown::Cancelled && snapshot.cancel_requested_at.is_some();
        Self {
            data: Some(RunData::of(run)),
            cause: if by_user { Some("by you".to_owned()) } else { cause_sentence(run) },
            badge: Badge { shown, dimmed: false },
            processed: run.counts.map(|counts| grouped(counts.processed)),
            failed: run.counts.map(|counts| grouped(counts.failed)),
            has_failed_rows: run.call.is_some() && run.counts.is_some_and(|counts| counts.failed > 0),
            took: run.ended_at.map(|_| duration(Progress::of(run, reading.now).elapsed)),
        }
    }
}
