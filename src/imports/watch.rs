//! One watcher per event: learns of its runs, records what changes, and stops when nothing more is to
//! come. However many tabs are open, the engine is asked by this watcher only.
//!
//! News arrives by itself: an engine that reaches us calls our functions when a run begins and when any
//! run has ended, and `store::Live` passes that on. Paced questions (`pace`) are the net under it, so that
//! lost news cost latency only.

mod attempts;
mod pace;
mod record;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use self::{
    attempts::Question,
    pace::Pace,
    record::{Word, add_told},
};
use super::{ImportState, Shared, Snapshot, outbox};
use crate::{
    ids::{EventId, ImportId, RunId, UserId},
    inngest::{self, Fresh, Run},
    store::{
        self,
        live::{Inbox, News},
    },
    time::UnixMillis,
};

/// While the event is unsent the outbox tells; this is the net.
const UNSENT_PAUSE: Duration = Duration::from_secs(5);
/// The engine is about to tell that a run has ended, or has just been asked to cancel one.
const NET_OF_AN_END: Duration = Duration::from_millis(1_500);
const NET_OF_A_CANCEL: Duration = Duration::from_millis(500);
/// A run of a second function may appear after the first has ended.
const LATE_RUNS: Duration = Duration::from_secs(10);
/// A cancelled event that was perhaps sent: how long a run of it may still appear.
const LATE_RUNS_OF_CANCELLED: Duration = Duration::from_secs(30);
/// An event that nobody takes is given up after this.
const NO_RUN_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// An event without a run after so long makes us ask whether the engine still knows our functions.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(4);
/// A cancel is seen at once, or the engine has lost the run and will not say more for asking often.
const SWIFT_CANCELS: u32 = 5;
/// However busy others are, a question that was put off so often is asked.
const MOST_PUT_OFF: u32 = 10;
/// A server that wants to be left alone for longer is asked all the same: somebody waits.
const LONGEST_PEACE: Duration = Duration::from_secs(60);
/// How long to rest when the database fails.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// What one look came to.
enum Outcome {
    /// Look again when something is due, or told.
    Again,
    /// Nothing more is to come; recorded.
    Over,
}

struct Watch {
    shared: Arc<Shared>,
    owner: UserId,
    id: ImportId,
    pace: Pace,
    /// When the runs of the event were last listed.
    listed_at: Option<UnixMillis>,
    /// Until when the engine may give the same list again.
    same_list_until: Instant,
    /// The first of the failed questions since the last answer.
    unanswered_since: Option<UnixMillis>,
    question: Option<Question>,
    /// How often the question that is due was put off in favour of others.
    put_off: u32,
    /// How often runs of this import, which is to be cancelled, were.
    cancels: u32,
    /// The event was sent again, to an engine that had forgotten our functions.
    sent_again: bool,
}

/// Watches one import until it is over or the server stops.
pub async fn run(shared: Arc<Shared>, owner: UserId, id: ImportId) {
    let shutdown = shared.tasks.stopping().clone();
    let mut watch = Watch {
        shared,
        owner,
        id,
        pace: Pace::new(),
        listed_at: None,
        same_list_until: Instant::now(),
        unanswered_since: None,
        question: None,
        put_off: 0,
        cancels: 0,
        sent_again: false,
    };
    if let Err(error) = watch.recall().await {
        tracing::error!(import = %id, %error, "cannot load what a run has read");
    }
    let mut inbox: Option<(EventId, Arc<Inbox>)> = None;
    while let Some(import) = watch.snapshot() {
        // The engine may have confirmed the event under another id than expected.
        let (_, news) = match inbox.take().filter(|(event, _)| *event == import.event_id) {
            Some(known) => inbox.insert(known),
            None => inbox.insert((import.event_id.clone(), watch.shared.live.watch(&import.event_id))),
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = news.arrived() => {}
            () = sleep_until(watch.due()) => {}
        }
        let told = news.take();
        let Some(import) = watch.snapshot() else { break };
        match shutdown.run_until_cancelled(watch.look(&import, told)).await {
            None | Some(Ok(Outcome::Over)) => break,
            Some(Ok(Outcome::Again)) => {}
            Some(Err(error)) => {
                tracing::error!(import = %id, %error, "watch");
                watch.pace.postpone(DATABASE_PAUSE);
            }
        }
    }
    if let Some((event, _)) = inbox {
        watch.shared.live.unwatch(&event);
    }
}

impl Watch {
    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.shared.board.get(self.owner, self.id)
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) -> Option<Arc<Snapshot>> {
        self.shared.board.change(self.owner, self.id, change)
    }

    fn due(&self) -> Instant {
        let question = self.question.and_then(|question| question.due());
        question.map_or(self.pace.due(), |due| due.min(self.pace.due()))
    }

    /// One look at what was told, and at the engine if it is time.
    async fn look(&mut self, import: &Snapshot, news: Vec<News>) -> store::Result<Outcome> {
        let is_cancelled = import.cancel_requested_at.is_some();
        let mut told = Vec::new();
        let (mut must_look, mut is_soon) = (self.pace.is_due(), false);
        let is_net = must_look && news.is_empty();
        for news in news {
            match news {
                News::Run(run) => told.push(*run),
                News::Soon => is_soon = true,
                News::Look => must_look = true,
            }
        }
        if import.sent_at.is_none() && !is_cancelled {
            self.answered(import, &told, Word::Told).await?;
            return if must_look { self.look_at_outbox().await } else { Ok(Outcome::Again) };
        }
        // Before something is called the end, it is known what else the event has triggered. And a run of a
        // cancelled import is to be cancelled.
        let is_unlisted = self.listed_at.is_none() && told.iter().any(|run| run.ended_at.is_some());
        if must_look || is_unlisted || is_cancelled && !told.is_empty() {
            if is_net && self.put_off < MOST_PUT_OFF && !self.shared.client.has_spare() {
                // Others wait for news that are there. Some disorder spreads those who come back.
                self.put_off += 1;
                self.pace.postpone(Duration::from_millis(rand::random_range(500..3_000)));
                return Ok(Outcome::Again);
            }
            self.put_off = 0;
            return self.ask(import, told).await;
        }
        let any_changed = self.answered(import, &told, Word::Told).await?;
        self.ask_for_next_attempt().await;
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        if any_changed || !told.is_empty() {
            // Whoever tells us something is not silent.
            self.unanswered_since = None;
            self.pace.news(self.rule(&import));
        }
        if is_soon {
            self.pace.soon(NET_OF_AN_END);
        }
        self.what_next(&import).await
    }

    /// Asks the engine, adds what was told, and goes on from there.
    async fn ask(&mut self, import: &Snapshot, told: Vec<Run>) -> store::Result<Outcome> {
        let (mut runs, word) = match self.question_engine(import).await {
            Ok(answer) => answer,
            Err(error) => {
                self.unanswered(&error);
                self.answered_by_news(import, &told).await?;
                // It is not over before the engine has said so.
                self.pace.no_news(pace::SILENT);
                if let inngest::Error::RateLimited { retry_after: Some(pause) } = error {
                    self.pace.postpone(pause.min(LONGEST_PEACE));
                }
                return Ok(Outcome::Again);
            }
        };
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
        let was_silent = import.silence.is_some() && word != Word::Told;
        any_changed |= self.answered(import, &runs, word).await?;
        if was_silent {
            // It may be another process than the one that we registered with.
            self.shared.registrar.remind().await;
        }
        if import.cancel_requested_at.is_none() {
            self.ask_for_next_attempt().await;
        }
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        let rule = self.rule(&import);
        if any_changed || was_silent {
            self.pace.news(rule)
        } else {
            self.pace.no_news(rule)
        }
        if word == Word::Told {
            self.pace.postpone(self.same_list_until.saturating_duration_since(Instant::now()));
        }
        self.what_next(&import).await
    }

    /// The event's runs. While the engine would only repeat its list, those that go on are asked for one by
    /// one; where there is none, nothing is asked.
    async fn question_engine(&mut self, import: &Snapshot) -> Result<(Vec<Run>, Word), inngest::Error> {
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
                match self.shared.client.run(&id).await {
                    // Of a run that waits in a queue this says that it runs: only an end is news.
                    Ok(run) => runs.extend(Some(run.data).filter(|run| run.ended_at.is_some())),
                    // Of a run that it does not know Inngest says the one or the other; its list will tell.
                    Err(inngest::Error::NotFound { .. } | inngest::Error::Server { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok((runs, word));
        }
        let Fresh { data, stays_for } = self.shared.client.event_runs(&import.event_id).await?;
        self.same_list_until = Instant::now() + stays_for;
        self.listed_at = Some(UnixMillis::now());
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

    /// Whether the outbox has sent the event meanwhile.
    async fn look_at_outbox(&mut self) -> store::Result<Outcome> {
        let Some(row) = self.shared.store.import(self.id).await? else { return Ok(Outcome::Over) };
        let over = row.refused.is_some();
        let sent = row.sent_at.is_some();
        let import = self.change(|import| {
            import.sent_at = row.sent_at;
            import.event_id = row.event_id;
            import.refused = row.refused;
            if sent {
                import.silence = None;
            }
        });
        if over {
            self.shared.board.retire(self.owner, self.id);
            return Ok(Outcome::Over);
        }
        match import {
            Some(import) if sent => self.pace.news(self.rule(&import)),
            _ => self.pace.at(Instant::now() + UNSENT_PAUSE),
        }
        Ok(Outcome::Again)
    }

    /// How the pauses grow while `import` is as it is.
    fn rule(&self, import: &Snapshot) -> pace::Rule {
        let now = UnixMillis::now();
        let import = import.with_progress(&self.shared.live);
        let mut unended = import.runs.iter().filter(|run| run.ended_at.is_none()).peekable();
        if import.state(now) == ImportState::NoFunction {
            pace::IDLE
        } else if unended.peek().is_some() && unended.clone().all(|run| run.is_lost(now)) {
            pace::LOST
        } else if unended.peek().is_some() && unended.all(|run| self.shared.live.is_at_work(&run.run_id)) {
            pace::AT_WORK
        } else if self.shared.live.is_reached() {
            pace::TOLD
        } else {
            pace::UNTOLD
        }
    }

    async fn what_next(&mut self, import: &Snapshot) -> store::Result<Outcome> {
        let now = UnixMillis::now();
        if !import.state(now).is_final() {
            if import.runs.is_empty() {
                if now.since(import.received_at) >= NO_RUN_FOR {
                    return self.finish(import, now).await;
                }
                self.look_for_function(import, now).await?;
            }
            return Ok(Outcome::Again);
        }
        // One last list, once no further run is to be expected.
        let late = if import.runs.is_empty() { LATE_RUNS_OF_CANCELLED } else { LATE_RUNS };
        let last = import.last_change().plus(late);
        if self.listed_at.is_some_and(|listed| listed >= last) {
            return self.finish(import, now).await;
        }
        let last_list = (Instant::now() + last.since(now)).max(self.same_list_until);
        let waits_for_more = import.runs.is_empty();
        self.pace.at(if waits_for_more { self.pace.due().min(last_list) } else { last_list });
        Ok(Outcome::Again)
    }

    /// No function has taken the event. An engine that was started anew may have forgotten ours: it is told
    /// again, and so is the event, whose seed makes one run of it however often it is sent.
    async fn look_for_function(&mut self, import: &Snapshot, now: UnixMillis) -> store::Result<()> {
        let Some(sent) = import.sent_at else { return Ok(()) };
        if self.sent_again || now.since(sent) < FORGOTTEN_AFTER || self.listed_at.is_none() {
            return Ok(());
        }
        self.shared.registrar.remind().await;
        if self.shared.registrar.renewed_at().is_some_and(|renewed| renewed > sent) {
            self.sent_again = true;
            tracing::warn!(import = %self.id, "no function started for the event; sending it again");
            outbox::send_again(&self.shared, self.id).await?;
            self.pace.news(pace::UNTOLD);
        }
        Ok(())
    }

    async fn finish(&self, import: &Snapshot, now: UnixMillis) -> store::Result<Outcome> {
        self.shared.store.finish_import(self.id, now).await?;
        // Not before: whoever reads a snapshot from before the end still adds the progress to it, and
        // counts are not to fall.
        for run in &import.runs {
            self.shared.live.forget(&run.run_id);
        }
        self.shared.board.retire(self.owner, self.id);
        Ok(Outcome::Over)
    }
}
