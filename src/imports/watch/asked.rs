//! Questions to the engine about an event's runs, and what follows from the answers.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{
    Begin, LAST_LIST_WITHIN, Outcome, TOLD_WITHIN, Watch, pace,
    record::{Provenance, add_told},
};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    imports::{RunSnapshot, Snapshot},
    inngest::{self, Client, Fresh, Run},
    store,
};

/// How long an end that was told waits for the list of the other runs of its event.
const LIST_WITHIN: Duration = Duration::from_millis(200);
/// The engine has just been asked to cancel a run: the end follows.
const NET_OF_A_CANCEL: Duration = Duration::from_millis(500);
/// A cancel is seen at once, or the engine has lost the run and says no more for being asked often.
const SWIFT_CANCELS: u32 = 5;
/// A longer pause that the server asks for is cut to this, because a user waits for the answer.
const LONGEST_PEACE: Duration = Duration::from_secs(60);

impl Watch {
    /// Asks the engine, and goes on from its answer.
    pub(super) async fn ask(&mut self, client: &Client, import: &Snapshot) -> store::Result<Outcome> {
        if self.told.is_empty() && self.ask_for_plans_alone(client, import).await? {
            self.unanswered_since = None;
            self.answered(import, &[], Provenance::Asked).await?;
            let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
            return self.what_next(&import).await;
        }
        let question = question_engine(client, import, self.same_list_until);
        let answer = self.meanwhile(question).await?;
        match self.note_list(answer) {
            Ok((runs, word)) => {
                let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
                self.take_answer(client, &import, runs, word).await
            }
            Err(error) => {
                self.unanswered(&error);
                // It is not over before the engine has said so.
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
                        tracing::warn!(import = %self.id, %error, "late runs are not known: the engine lists none");
                        return self.finish(&import).await;
                    }
                }
                Ok(Outcome::Again)
            }
        }
    }

    /// The event's runs, if there is a question to spare and the answer comes at once.
    pub(super) async fn list_at_once(&mut self, import: &Snapshot) -> Option<(Client, Vec<Run>, Provenance)> {
        let client = self.shared.client.try_turn(self.owner)?;
        let question = question_engine(&client, import, self.same_list_until);
        let answer = timeout(LIST_WITHIN, question).await.ok()?;
        let (runs, word) = self.note_list(answer).ok()?;
        Some((client, runs, word))
    }

    /// Remembers when the list was given, and for how long it may be repeated.
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
            Answered::Nothing => (Vec::new(), Provenance::Told),
        })
    }

    /// Records and shows what the engine has answered, with what was told meanwhile.
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
        add_told(&mut runs, std::mem::take(&mut self.told));
        if word != Provenance::Told {
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
                // What is cancelled is recorded once it has ended.
                return self.cancel(import, &listed, &unlisted).await;
            }
        }
        let returned = import.outage.map(|outage| outage.since).filter(|_| word != Provenance::Told);
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
        } else if word != Provenance::Told {
            self.ask_for_plans(client, &import, returned).await?;
        }
        self.look_for_missing_ends();
        if word == Provenance::Told {
            self.pace.postpone(self.same_list_until.saturating_duration_since(Instant::now()));
        }
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        self.what_next(&import).await
    }

    /// Remembers the ends that only asking has brought, for the engine to tell of them.
    fn note_found(&mut self, import: &Snapshot, listed: &[Run]) {
        if self.begin == Begin::Recalled {
            // What ended while no process was there could not be told.
            self.begin = Begin::New;
            return;
        }
        let told = &self.told;
        let is_known = |run: &Run| {
            let known = import.runs.iter().find(|known| known.row.run_id == run.run_id);
            known.is_some_and(|known| known.row.ended_at.is_some())
        };
        let is_told =
            |run: &Run| told.iter().any(|told| told.run_id == run.run_id && told.ended_at.is_some());
        let until = Instant::now() + TOLD_WITHIN;
        for run in listed.iter().filter(|run| run.ended_at.is_some() && !is_known(run) && !is_told(run)) {
            self.found.push((run.run_id.clone(), until));
        }
    }

    /// Cancels the runs of an import that is to be cancelled: those that the engine has just `listed`, and
    /// those that are known of but are `unlisted`, because it would only repeat itself, or keeps them no
    /// longer. Of one that the engine does not know nothing more is to come, so that this is its end.
    async fn cancel(
        &mut self,
        import: &Snapshot,
        listed: &[RunId],
        unlisted: &[RunId],
    ) -> store::Result<Outcome> {
        for id in listed.iter().chain(unlisted) {
            // The engine first: to it a step that stops has failed, and before it knows of the wish it might
            // call that the run's last failure.
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
        self.pace.no_news(pace::UNTOLD);
        if self.cancels < SWIFT_CANCELS {
            self.cancels += 1;
            self.pace.soon(NET_OF_A_CANCEL);
        }
        Ok(Outcome::Again)
    }
}

enum Answered {
    List(Fresh<Vec<Run>>),
    /// The runs that go on, asked for one by one.
    Runs(Vec<Run>),
    /// There is nothing to ask for.
    Nothing,
}

/// The event's runs. While the engine would only repeat its list, those that go on are asked for one by one;
/// where there is none, nothing is asked.
async fn question_engine(
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
            // Of a run that waits in a queue this says that it runs: only an end is news.
            Ok(run) => runs.extend(Some(run.data).filter(|run| run.ended_at.is_some())),
            // Of a run that it does not know Inngest says the one or the other; its list will tell.
            Err(inngest::Error::NotFound { .. } | inngest::Error::Server { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Answered::Runs(runs))
}
