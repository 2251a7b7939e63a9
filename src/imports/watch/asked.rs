//! Polls the engine for an event's runs, and handles the answers.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{
    Begin, LAST_LIST_WITHIN, Outcome, REPORTED_WITHIN, Watch, pace,
    record::{Provenance, add_reports},
};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    imports::{RunSnapshot, Snapshot},
    inngest::{self, Client, Fresh, Run},
    store,
};

/// How long a reported end waits for the list of the event's other runs.
const LIST_WITHIN: Duration = Duration::from_millis(200);
/// The backup poll after a cancel was sent: the end follows.
const NET_OF_A_CANCEL: Duration = Duration::from_millis(500);
/// After this many cancels the polls are no longer swift: the engine has lost the run, and frequent polls do
/// not help.
const SWIFT_CANCELS: u32 = 5;
/// A longer pause that the server asks for is cut to this, because a user waits for the answer.
const LONGEST_PEACE: Duration = Duration::from_secs(60);

impl Watch {
    /// Polls the engine and handles its answer.
    pub(super) async fn ask(&mut self, client: &Client, import: &Snapshot) -> store::Result<Outcome> {
        if self.reports.is_empty() && self.ask_for_plans_alone(client, import).await? {
            self.unanswered_since = None;
            self.answered(import, &[], Provenance::Asked).await?;
            let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
            return self.what_next(&import).await;
        }
        let request = poll_engine(client, import, self.same_list_until);
        let answer = self.meanwhile(request).await?;
        match self.note_list(answer) {
            Ok((runs, word)) => {
                let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
                self.take_answer(client, &import, runs, word).await
            }
            Err(error) => {
                self.unanswered(&error);
                // The import is not over before the engine has answered.
                self.pace.no_news(pace::SILENT);
                if let Some((since, _)) = self.unanswered_since {
                    self.pace.no_later_than(since + super::record::SILENT_AFTER);
                }
                if let inngest::Error::RateLimited { retry_after: Some(pause) } = error {
                    self.pace.postpone(pause.min(LONGEST_PEACE));
                }
                let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
                if import.state().is_final() && !import.runs.is_empty() {
                    let over_since = *self.over_since.get_or_insert_with(Instant::now);
                    if over_since.elapsed() >= LAST_LIST_WITHIN {
                        tracing::warn!(import = %self.id, %error, "late runs are unknown: the engine gives no list");
                        return self.finish(&import).await;
                    }
                }
                Ok(Outcome::Again)
            }
        }
    }

    /// The event's runs, if the budget allows a request now and the answer comes at once.
    pub(super) async fn list_at_once(&mut self, import: &Snapshot) -> Option<(Client, Vec<Run>, Provenance)> {
        let client = self.shared.client.try_turn(self.owner)?;
        let request = poll_engine(&client, import, self.same_list_until);
        let answer = timeout(LIST_WITHIN, request).await.ok()?;
        let (runs, word) = self.note_list(answer).ok()?;
        Some((client, runs, word))
    }

    /// Stores when the list was made, and how long it may be repeated.
    fn note_list(
        &mut self,
        answer: Result<Answered, inngest::Error>,
    ) -> Result<(Vec<Run>, Provenance), inngest::Error> {
        Ok(match answer? {
            Answered::List(Fresh { data, stays_for }) => {
                let now = Instant::now();
                self.same_list_until = now + stays_for;
                self.listed = Some(now);
                (data, Provenance::Listed)
            }
            Answered::Runs(runs) => (runs, Provenance::Asked),
            Answered::Nothing => (Vec::new(), Provenance::Reported),
        })
    }

    /// Records and shows the engine's answer, together with the reports that came meanwhile.
    pub(super) async fn take_answer(
        &mut self,
        client: &Client,
        import: &Snapshot,
        mut runs: Vec<Run>,
        word: Provenance,
    ) -> store::Result<Outcome> {
        self.find_missing_ends(client, import, &mut runs).await?;
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        let import = &*import;
        self.note_found(import, &runs);
        add_reports(&mut runs, std::mem::take(&mut self.reports));
        if word != Provenance::Reported {
            self.unanswered_since = None;
        }
        let mut any_changed = false;
        if import.row.cancel_requested_at.is_some() {
            let listed: Vec<RunId> =
                runs.extract_if(.., |run| run.ended_at.is_none()).map(|run| run.run_id).collect();
            let unlisted = import
                .runs
                .iter()
                .map(|run| &run.row)
                .filter(|run| run.ended_at.is_none())
                .map(|run| &run.run_id);
            let unlisted: Vec<RunId> = unlisted
                .filter(|id| !listed.contains(*id) && runs.iter().all(|run| run.run_id != **id))
                .cloned()
                .collect();
            any_changed = self.answered(import, &runs.iter().collect::<Vec<_>>(), Provenance::Asked).await?;
            if !(listed.is_empty() && unlisted.is_empty()) {
                // A cancelled run is recorded once it has ended.
                return self.cancel(import, &listed, &unlisted).await;
            }
        }
        let returned = import.outage.map(|outage| outage.since).filter(|_| word != Provenance::Reported);
        let was_silent = returned.is_some();
        any_changed |= self.answered(import, &runs.iter().collect::<Vec<_>>(), word).await?;
        if was_silent {
            // It may be another process than the one that we registered with.
            self.shared.registrar.remind().await;
        }
        let is_cancelled = import.row.cancel_requested_at.is_some();
        if !is_cancelled {
            self.ask_for_next_attempt().await?;
        }
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        self.rule = self.rule(&import);
        if any_changed || was_silent {
            self.pace.news(self.rule)
        } else {
            self.pace.no_news(self.rule)
        }
        if any_changed {
            self.doubts.clear();
        }
        if any_changed || is_cancelled {
            self.unchanged = 0;
        } else if word != Provenance::Reported {
            self.ask_for_plans(client, &import, returned).await?;
        }
        self.look_for_missing_ends();
        if word == Provenance::Reported {
            self.pace.postpone(self.same_list_until.saturating_duration_since(Instant::now()));
        }
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        self.what_next(&import).await
    }

    /// Stores the ends that only polling has found, to check whether the engine reports them.
    fn note_found(&mut self, import: &Snapshot, listed: &[Run]) {
        if self.begin == Begin::Recalled {
            // Ends from before the start of this process could not be reported to it.
            self.begin = Begin::New;
            return;
        }
        if self.has_missed {
            return;
        }
        let reports = &self.reports;
        let is_known = |run: &Run| {
            let known = import.runs.iter().find(|known| known.row.run_id == run.run_id);
            known.is_some_and(|known| known.row.ended_at.is_some())
        };
        let is_reported =
            |run: &Run| reports.iter().any(|report| report.run_id == run.run_id && report.ended_at.is_some());
        let until = Instant::now() + REPORTED_WITHIN;
        for run in listed.iter().filter(|run| run.ended_at.is_some() && !is_known(run) && !is_reported(run)) {
            self.found.push((run.run_id.clone(), until));
        }
    }

    /// Cancels the runs of a cancelled import: those that the engine has just `listed`, and known ones that
    /// are `unlisted`, because the engine would only repeat its list, or no longer keeps them. If the engine
    /// does not know a run, nothing more can happen to it, so this is its end.
    async fn cancel(
        &mut self,
        import: &Snapshot,
        listed: &[RunId],
        unlisted: &[RunId],
    ) -> store::Result<Outcome> {
        for id in listed.iter().chain(unlisted) {
            // The engine first: to the engine a step that stops has failed, and before the cancel it might
            // treat that as the run's last failure.
            match self.shared.client.cancel(id).await {
                Ok(()) => self.shared.progress.stop(id),
                Err(inngest::Error::NotFound { .. }) if unlisted.contains(id) => {
                    let known = import.runs.iter().find(|run| run.row.run_id == *id);
                    if let Some(run) = known.map(|run| run.cancelled(&import.row.event_id, UnixMillis::now()))
                    {
                        self.answered(import, &[&run], Provenance::Asked).await?;
                    }
                }
                Err(error) => tracing::warn!(run = %id, %error, "cannot cancel the run yet"),
            }
        }
        self.pace.no_news(pace::UNREPORTED);
        if self.cancels < SWIFT_CANCELS {
            self.cancels += 1;
            self.pace.soon(NET_OF_A_CANCEL);
        }
        Ok(Outcome::Again)
    }
}

enum Answered {
    List(Fresh<Vec<Run>>),
    /// The unfinished runs, requested one by one.
    Runs(Vec<Run>),
    /// There is nothing to request.
    Nothing,
}

/// The event's runs. While the engine would only repeat its list, the unfinished runs are requested one by
/// one; if there are none, nothing is requested.
async fn poll_engine(
    client: &Client,
    import: &Snapshot,
    same_list_until: Instant,
) -> Result<Answered, inngest::Error> {
    if Instant::now() >= same_list_until {
        return Ok(Answered::List(client.event_runs(&import.row.event_id).await?));
    }
    let is_unended = |run: &&RunSnapshot| run.row.ended_at.is_none() && !run.is_gone;
    let mut unended = import.runs.iter().filter(is_unended).peekable();
    if unended.peek().is_none() {
        return Ok(Answered::Nothing);
    }
    let mut runs = Vec::new();
    for run in unended {
        match client.run(&run.row.run_id).await {
            // For a queued run this answer says Running, so only an end counts as news.
            Ok(run) => runs.extend(Some(run.data).filter(|run| run.ended_at.is_some())),
            // Inngest answers one or the other for an unknown run; the list will show it.
            Err(inngest::Error::NotFound { .. } | inngest::Error::Server { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Answered::Runs(runs))
}
