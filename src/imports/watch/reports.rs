//! Reports of the engine and of our own function: recorded and shown at once, also while a poll waits for its
//! answer.

use std::{pin::pin, sync::Arc};

use tokio::time::Instant;

use super::{Begin, Watch, record::Provenance};
use crate::{
    inngest::Run,
    progress::{News, ReportedRun},
    store,
};

/// The result of handling the reported runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReportOutcome {
    pub(super) any: bool,
    pub(super) any_changed: bool,
    pub(super) any_ended: bool,
}

impl Watch {
    /// Takes the news, to be shown and handled.
    pub(super) fn take_news(&mut self) {
        for news in self.news.take() {
            match news {
                News::Run(run) => self.reports.push(run),
                News::Soon => self.is_soon = true,
                News::Look => self.must_look = true,
                News::Missed => {
                    // An end that polls find may have been in it.
                    self.must_look = true;
                    self.has_missed = true;
                    self.found.clear();
                }
            }
        }
        let reports = &self.reports;
        self.doubts.retain(|(id, _)| reports.iter().all(|run| run.run_id != *id));
        // Checks whether the engine reports ends: an end that was found by polling should also be reported.
        self.found.retain(|(id, _)| reports.iter().all(|run| run.ended_at.is_none() || run.run_id != *id));
        let now = Instant::now();
        let found = self.found.len();
        self.found.retain(|(_, until)| *until > now);
        if self.found.len() < found {
            self.shared.progress.end_was_missed();
        }
    }

    /// Whether an end was reported before any list of the event's runs.
    pub(super) fn is_first_end(&self) -> bool {
        let is_end = self.reports.iter().any(|run| run.ended_at.is_some());
        is_end && self.listed.is_none() && self.begin != Begin::Reopened
    }

    /// Records and shows the reports. For a cancelled import only ends are recorded: an unfinished run stays
    /// in `reports` until it is cancelled.
    pub(super) async fn show_reports(&mut self) -> store::Result<ReportOutcome> {
        let Some(import) = self.snapshot() else { return Ok(ReportOutcome::default()) };
        let is_cancelled = import.row.cancel_requested_at.is_some();
        let is_to_cancel = |run: &Arc<ReportedRun>| is_cancelled && run.ended_at.is_none();
        let (to_cancel, shown): (Vec<Arc<ReportedRun>>, Vec<Arc<ReportedRun>>) =
            std::mem::take(&mut self.reports).into_iter().partition(is_to_cancel);
        self.reports = to_cancel;
        if shown.is_empty() {
            return Ok(ReportOutcome::default());
        }
        let any_ended = shown.iter().any(|run| run.ended_at.is_some());
        let runs: Vec<&Run> = shown.iter().map(|report| &***report).collect();
        match self.answered(&import, &runs, Provenance::Reported).await {
            Ok(any_changed) => Ok(ReportOutcome { any: true, any_changed, any_ended }),
            Err(error) => {
                self.reports.extend(shown);
                Err(error)
            }
        }
    }

    /// Sends reports again that could not be recorded.
    pub(super) fn tell_again(&mut self) {
        for run in std::mem::take(&mut self.reports) {
            self.shared.progress.tell(self.news.event(), News::Run(run));
        }
    }

    /// The answer to `request`. Reports that come before it are recorded and shown at once.
    pub(super) async fn meanwhile<T>(&mut self, request: impl Future<Output = T>) -> store::Result<T> {
        let mut request = pin!(request);
        loop {
            tokio::select! {
                biased;
                answer = &mut request => return Ok(answer),
                () = self.news.arrived() => {}
            }
            self.take_news();
            self.show_reports().await?;
        }
    }
}
