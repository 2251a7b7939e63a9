//! Questions to the engine about an event's runs, and what follows from the answers.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{
    Outcome, TOLD_WITHIN, Watch, pace,
    record::{Word, add_told},
};
use crate::{
    ids::RunId,
    imports::Snapshot,
    inngest::{self, Client, Fresh, Run},
    store,
    time::UnixMillis,
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
    /// Asks the engine, adds what was told, and goes on from there.
    pub(super) async fn ask(
        &mut self,
        client: &Client,
        import: &Snapshot,
        told: Vec<Run>,
    ) -> store::Result<Outcome> {
        if told.is_empty() && self.ask_for_plans_alone(client, import).await? {
            self.unanswered_since = None;
            self.answered(import, &[], Word::Asked).await?;
            let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
            return self.what_next(&import).await;
        }
        match self.question_engine(client, import).await {
            Ok((runs, word)) => self.take_answer(client, import, runs, word, told).await,
            Err(error) => {
                self.unanswered(&error);
                self.answered_by_news(import, &told).await?;
                // It is not over before the engine has said so.
                self.pace.no_news(pace::SILENT);
                if let Some((since, _)) = self.unanswered_since {
                    self.pace.no_later_than(since + super::record::SILENT_AFTER);
                }
                if let inngest::Error::RateLimited { retry_after: Some(pause) } = error {
                    self.pace.postpone(pause.min(LONGEST_PEACE));
                }
                Ok(Outcome::Again)
            }
        }
    }

    /// The event's runs, if there is a question to spare and the answer comes at once.
    pub(super) async fn list_at_once(&mut self, import: &Snapshot) -> Option<(Vec<Run>, Word)> {
        let client = self.shared.client.try_turn(self.owner)?;
        timeout(LIST_WITHIN, self.question_engine(&client, import)).await.ok()?.ok()
    }

    /// Records and shows what the engine has answered, with what was told meanwhile.
    pub(super) async fn take_answer(
        &mut self,
        client: &Client,
        import: &Snapshot,
        mut runs: Vec<Run>,
        word: Word,
        told: Vec<Run>,
    ) -> store::Result<Outcome> {
        self.note_found(import, &runs, &told);
        add_told(&mut runs, told);
        if word != Word::Told {
            self.unanswered_since = None;
        }
        let mut any_changed = false;
        if import.cancel_requested_at.is_some() {
            let listed: Vec<RunId> =
                runs.extract_if(.., |run| run.ended_at.is_none()).map(|run| run.run_id).collect();
            let unlisted = import.runs.iter().filter(|run| run.ended_at.is_none()).map(|run| &run.run_id);
            let unlisted: Vec<RunId> = unlisted
                .filter(|id| !listed.contains(*id) && runs.iter().all(|run| run.run_id != **id))
                .cloned()
                .collect();
            any_changed = self.answered(import, &runs, Word::Asked).await?;
            if !(listed.is_empty() && unlisted.is_empty()) {
                // What is cancelled is recorded once it has ended.
                return self.cancel(import, &listed, &unlisted).await;
            }
        }
        let returned = import.silence.map(|silence| silence.since).filter(|_| word != Word::Told);
        let was_silent = returned.is_some();
        any_changed |= self.answered(import, &runs, word).await?;
        if was_silent {
            // It may be another process than the one that we registered with.
            self.shared.registrar.remind().await;
        }
        let is_cancelled = import.cancel_requested_at.is_some();
        if !is_cancelled {
            self.ask_for_next_attempt().await;
        }
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        self.rule = self.rule(&import);
        if any_changed || was_silent {
            self.pace.news(self.rule)
        } else {
            self.pace.no_news(self.rule)
        }
        if any_changed || is_cancelled {
            self.unchanged = 0;
        } else if word != Word::Told {
            self.ask_for_plans(client, &import, returned).await?;
        }
        if word == Word::Told {
            self.pace.postpone(self.same_list_until.saturating_duration_since(Instant::now()));
        }
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        self.what_next(&import).await
    }

    /// Remembers the ends that only asking has brought, for the engine to tell of them.
    fn note_found(&mut self, import: &Snapshot, listed: &[Run], told: &[Run]) {
        let is_known = |run: &Run| {
            let known = import.runs.iter().find(|known| known.run_id == run.run_id);
            known.is_some_and(|known| known.ended_at.is_some())
        };
        let is_told =
            |run: &Run| told.iter().any(|told| told.run_id == run.run_id && told.ended_at.is_some());
        let until = Instant::now() + TOLD_WITHIN;
        for run in listed.iter().filter(|run| run.ended_at.is_some() && !is_known(run) && !is_told(run)) {
            self.found.push((run.run_id.clone(), until));
        }
    }

    /// The event's runs. While the engine would only repeat its list, those that go on are asked for one by
    /// one; where there is none, nothing is asked.
    async fn question_engine(
        &mut self,
        client: &Client,
        import: &Snapshot,
    ) -> Result<(Vec<Run>, Word), inngest::Error> {
        if Instant::now() < self.same_list_until {
            let unended: Vec<RunId> = import
                .runs
                .iter()
                .filter(|run| run.ended_at.is_none() && !run.is_gone)
                .map(|run| run.run_id.clone())
                .collect();
            let word = if unended.is_empty() { Word::Told } else { Word::Asked };
            let mut runs = Vec::new();
            for id in unended {
                match client.run(&id).await {
                    // Of a run that waits in a queue this says that it runs: only an end is news.
                    Ok(run) => runs.extend(Some(run.data).filter(|run| run.ended_at.is_some())),
                    // Of a run that it does not know Inngest says the one or the other; its list will tell.
                    Err(inngest::Error::NotFound { .. } | inngest::Error::Server { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok((runs, word));
        }
        let Fresh { data, stays_for } = client.event_runs(&import.event_id).await?;
        let now = Instant::now();
        self.same_list_until = now + stays_for;
        self.listed = Some(now);
        Ok((data, Word::Listed))
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
                Ok(()) => self.shared.live.stop(id),
                Err(inngest::Error::NotFound { .. }) if unlisted.contains(id) => {
                    let known = import.runs.iter().find(|run| run.run_id == *id);
                    if let Some(run) = known.map(|run| run.cancelled(&import.event_id, UnixMillis::now())) {
                        self.answered(import, &[run], Word::Asked).await?;
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
