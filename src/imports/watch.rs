//! One watcher per event: learns of its runs, records what changes, and stops when nothing more is to
//! come. However many tabs are open, the engine is asked by this watcher only.
//!
//! News arrives by itself: an engine that reaches us calls our functions when a run begins and when any
//! run has ended, and `store::Live` passes that on. What is told is recorded and shown at once. Paced
//! questions (`pace`) are the net under it, so that lost news cost latency only; they take turns with those
//! of other users (`inngest::Priority`).

mod asked;
mod attempts;
mod doubt;
mod lasting;
mod pace;
mod record;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};

use self::{attempts::Question, lasting::Lasting, pace::Pace, record::Word};
use super::{ImportState, Shared, Snapshot, outbox};
use crate::{
    ids::{EventId, ImportId, RunId, UserId},
    inngest::{Client, Priority, Run},
    store::{
        self,
        live::{Inbox, News},
    },
    time::UnixMillis,
};

/// While the event is unsent the outbox tells; this is the net.
const UNSENT_PAUSE: Duration = Duration::from_secs(5);
/// The engine is about to tell that a run has ended.
const NET_OF_AN_END: Duration = Duration::from_millis(1_500);
/// A run of a second function may appear after the first has ended.
const LATE_RUNS: Duration = Duration::from_secs(10);
/// A cancelled event that was perhaps sent: how long a run of it may still appear.
const LATE_RUNS_OF_CANCELLED: Duration = Duration::from_secs(30);
/// How long an import that is over waits for its turn to ask for late runs. It ends without that question
/// then: a late run that is told of reopens it, and watchers must not pile up.
const LATE_TURN_WITHIN: Duration = Duration::from_secs(10 * 60);
/// An event that no function takes is called so after this, and given up after that.
const NO_FUNCTION_AFTER: Duration = Duration::from_secs(30);
const NO_RUN_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// An event without a run after so long makes us ask whether the engine still knows our functions.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(4);
/// An end that was found by asking is told of within this (4.2 s was the longest seen), or ends are not told.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked, without asking, whether a step is still at work.
const TICK: Duration = Duration::from_secs(5);
/// How long to rest when the database fails.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// What one look came to.
enum Outcome {
    /// Look again when something is due, or told.
    Again,
    /// Nothing more is to come; recorded.
    Over,
}

/// Why a watcher looks.
enum Wake {
    /// It was told something, or a time has come.
    Look,
    /// It is time to ask the engine, and the turn for it has come.
    Ask(Client),
    /// The turn to ask for late runs does not come.
    GiveUp,
}

struct Watch {
    shared: Arc<Shared>,
    owner: UserId,
    id: ImportId,
    pace: Pace,
    /// The rule that the pace follows.
    rule: pace::Rule,
    /// The import was over before this watch, which is about one run that came late: what else there is was
    /// asked for then.
    is_reopened: bool,
    /// How long ago the event was sent.
    sent: Option<Lasting>,
    /// Since when nothing more is expected. By our own clock: that of the engine may be wrong.
    over_since: Option<Instant>,
    /// When the runs of the event were last listed.
    listed: Option<Instant>,
    /// Until when the engine may give the same list again.
    same_list_until: Instant,
    /// The first of the failed questions since the last answer.
    unanswered_since: Option<(Instant, UnixMillis)>,
    question: Option<Question>,
    /// Ends that were found by asking, and until when the engine has time to tell of them.
    found: Vec<(RunId, Instant)>,
    /// Runs for which the engine had nothing in its queue, and when it said so first.
    doubts: Vec<(RunId, Instant)>,
    /// How many lists in a row have brought nothing new.
    unchanged: u32,
    /// How often runs of this import, which is to be cancelled, were.
    cancels: u32,
    /// The event was sent again, to an engine that had forgotten our functions.
    sent_again: bool,
}

/// Watches one import until it is over or the server stops. `is_reopened`: it was over before.
pub async fn run(shared: Arc<Shared>, owner: UserId, id: ImportId, is_reopened: bool) {
    let shutdown = shared.tasks.stopping().clone();
    let mut watch = Watch::new(shared, owner, id, is_reopened);
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
        let wake = tokio::select! {
            () = shutdown.cancelled() => break,
            () = news.arrived() => Wake::Look,
            wake = watch.due(&import) => wake,
        };
        let told = news.take();
        let Some(import) = watch.snapshot() else { break };
        match shutdown.run_until_cancelled(watch.look(&import, told, wake)).await {
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
    fn new(shared: Arc<Shared>, owner: UserId, id: ImportId, is_reopened: bool) -> Self {
        let mut pace = Pace::new();
        if is_reopened {
            pace.news(pace::TOLD);
        }
        Self {
            shared,
            owner,
            id,
            pace,
            rule: pace::AWAITED,
            is_reopened,
            sent: None,
            over_since: None,
            listed: None,
            same_list_until: Instant::now(),
            unanswered_since: None,
            question: None,
            found: Vec::new(),
            doubts: Vec::new(),
            unchanged: 0,
            cancels: 0,
            sent_again: false,
        }
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.shared.board.get(self.owner, self.id)
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) -> Option<Arc<Snapshot>> {
        self.shared.board.change(self.owner, self.id, change)
    }

    /// Waits for the next thing to do that no message announces.
    async fn due(&self, import: &Snapshot) -> Wake {
        let attempt = self.question.and_then(|question| question.due());
        let found = self.found.iter().map(|(_, until)| *until).min();
        let tick = (self.rule == pace::AT_WORK).then(|| Instant::now() + TICK);
        let others = [attempt, found, tick].into_iter().flatten();
        sleep_until(others.fold(self.pace.due(), Instant::min)).await;
        if !self.pace.is_due() || is_unsent(import) {
            return Wake::Look;
        }
        if self.over_since.is_none() || import.runs.is_empty() {
            return Wake::Ask(self.shared.client.turn(self.owner, Priority::Paced).await);
        }
        match timeout(LATE_TURN_WITHIN, self.shared.client.turn(self.owner, Priority::Late)).await {
            Ok(client) => Wake::Ask(client),
            Err(_) => Wake::GiveUp,
        }
    }

    /// One look at what was told, and at the engine if it is time.
    async fn look(&mut self, import: &Snapshot, news: Vec<News>, wake: Wake) -> store::Result<Outcome> {
        let is_cancelled = import.cancel_requested_at.is_some();
        let mut told = Vec::new();
        let (mut must_look, mut is_soon) = (false, false);
        for news in news {
            match news {
                News::Run(run) => told.push(*run),
                News::Soon => is_soon = true,
                News::Look => must_look = true,
            }
        }
        self.note_told(&told);
        if is_unsent(import) {
            self.answered(import, &told, Word::Told).await?;
            let is_time = must_look || self.pace.is_due();
            return if is_time { self.look_at_outbox().await } else { Ok(Outcome::Again) };
        }
        self.sent = self.sent.or_else(|| Some(Lasting::since(import.sent_at?)));
        match wake {
            Wake::Ask(client) => return self.ask(&client, import, told).await,
            Wake::GiveUp => {
                tracing::debug!(import = %self.id, "late runs were not asked for: others took every turn");
                return self.finish(import).await;
            }
            // A user waits for it; and a run of a cancelled import must be cancelled.
            Wake::Look if must_look || is_cancelled && !told.is_empty() => {
                let client = self.shared.client.for_user(self.owner);
                return self.ask(&client, import, told).await;
            }
            Wake::Look => {}
        }
        // Other runs of the event are shown with the first end, where the engine lists them at once. Nothing
        // waits for that.
        let is_end = told.iter().any(|run| run.ended_at.is_some());
        if is_end
            && self.listed.is_none()
            && !self.is_reopened
            && let Some((listed, word)) = self.list_at_once(import).await
        {
            let client = self.shared.client.for_user(self.owner);
            return self.take_answer(&client, import, listed, word, told).await;
        }
        let any_changed = self.answered(import, &told, Word::Told).await?;
        self.ask_for_next_attempt().await;
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        if !told.is_empty() {
            // An engine that tells us something is not silent.
            self.unanswered_since = None;
        }
        let rule = self.rule(&import);
        // A call for another step of a run that is known is no reason to ask.
        if any_changed || is_end || self.rule == pace::AT_WORK && rule != pace::AT_WORK {
            self.pace.news(rule);
        }
        self.rule = rule;
        if is_soon {
            self.pace.soon(NET_OF_AN_END);
        }
        self.what_next(&import).await
    }

    /// Whether the engine tells of ends: one that was found by asking should be told of, too.
    fn note_told(&mut self, told: &[Run]) {
        self.found.retain(|(id, _)| told.iter().all(|run| run.ended_at.is_none() || run.run_id != *id));
        let now = Instant::now();
        let found = self.found.len();
        self.found.retain(|(_, until)| *until > now);
        if self.found.len() < found {
            self.shared.live.end_was_missed();
        }
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
            Some(import) if sent => {
                self.rule = self.rule(&import);
                self.pace.news(self.rule);
            }
            _ => self.pace.at(Instant::now() + UNSENT_PAUSE),
        }
        Ok(Outcome::Again)
    }

    /// How the pauses grow while `import` is as it is.
    fn rule(&self, import: &Snapshot) -> pace::Rule {
        let now = UnixMillis::now();
        let import = import.with_progress(&self.shared.live);
        let mut unended = import.runs.iter().filter(|run| run.ended_at.is_none()).peekable();
        if import.state() == ImportState::NoFunction {
            pace::IDLE
        } else if unended.peek().is_some() && unended.clone().all(|run| run.is_lost(now)) {
            pace::LOST
        } else if self.listed.is_none() || import.runs.is_empty() {
            // What else the event has triggered is to be seen soon, whatever is at work here.
            if self.shared.live.is_told() { pace::AWAITED } else { pace::UNTOLD }
        } else if unended.peek().is_some()
            && unended.all(|run| run.call.is_some() && self.shared.live.is_active(&run.run_id))
        {
            pace::AT_WORK
        } else if self.shared.live.is_told() {
            pace::TOLD
        } else {
            pace::UNTOLD
        }
    }

    async fn what_next(&mut self, import: &Snapshot) -> store::Result<Outcome> {
        if !import.state().is_final() {
            self.over_since = None;
            if import.runs.is_empty() {
                return self.look_for_function(import).await;
            }
            return Ok(Outcome::Again);
        }
        let over_since = *self.over_since.get_or_insert_with(Instant::now);
        if self.is_reopened && !import.runs.is_empty() {
            return self.finish(import).await;
        }
        // One last list, once no further run is to be expected.
        let late = if import.runs.is_empty() { LATE_RUNS_OF_CANCELLED } else { LATE_RUNS };
        let last = over_since + late;
        if self.listed.is_some_and(|listed| listed >= last) {
            return self.finish(import).await;
        }
        let last_list = last.max(self.same_list_until);
        let waits_for_more = import.runs.is_empty();
        self.pace.at(if waits_for_more { self.pace.due().min(last_list) } else { last_list });
        Ok(Outcome::Again)
    }

    /// No function has taken the event. An engine that was started anew may have forgotten ours: it is told
    /// again, and so is the event, whose seed makes one run of it however often it is sent.
    async fn look_for_function(&mut self, import: &Snapshot) -> store::Result<Outcome> {
        let (Some(sent), Some(sent_at)) = (self.sent, import.sent_at) else { return Ok(Outcome::Again) };
        let (Some(listed), waited) = (self.listed, sent.so_far()) else { return Ok(Outcome::Again) };
        if sent.at(listed) >= NO_FUNCTION_AFTER {
            if waited >= NO_RUN_FOR {
                return self.finish(import).await;
            }
            self.change(|import| import.is_untaken = true);
        } else {
            self.pace.no_later_than(Instant::now() + NO_FUNCTION_AFTER.saturating_sub(waited));
        }
        if self.sent_again || waited < FORGOTTEN_AFTER {
            return Ok(Outcome::Again);
        }
        self.shared.registrar.remind().await;
        if self.shared.registrar.renewed_at().is_some_and(|renewed| renewed > sent_at) {
            self.sent_again = true;
            tracing::warn!(import = %self.id, "no function started for the event; sending it again");
            outbox::send_again(&self.shared, self.id).await?;
            self.pace.news(pace::UNTOLD);
        }
        Ok(Outcome::Again)
    }

    async fn finish(&self, import: &Snapshot) -> store::Result<Outcome> {
        let now = UnixMillis::now();
        self.shared.store.finish_import(self.id, now).await?;
        self.change(|import| import.finished_at = Some(now));
        // Not before: a reader of a snapshot from before the end still adds the progress to it, and counts
        // must not fall.
        for run in &import.runs {
            self.shared.live.forget(&run.run_id);
        }
        self.shared.board.retire(self.owner, self.id);
        Ok(Outcome::Over)
    }
}

/// Whether the outbox has still to send the event.
fn is_unsent(import: &Snapshot) -> bool {
    import.sent_at.is_none() && import.cancel_requested_at.is_none()
}
