//! One watcher per event: learns of its runs, records what changes, and stops when nothing more is to
//! come. However many tabs are open, the engine is asked by this watcher only.
//!
//! News arrives by itself: an engine that reaches us calls our functions when a run begins and when any
//! run has ended, and `store::ProgressRegistry` passes that on. What is told is recorded and shown at once. Paced
//! questions (`pace`) are the net under it, so that lost news cost latency only; they take turns with those
//! of other users (`inngest::Priority`).

mod asked;
mod attempts;
mod doubt;
mod end;
mod lasting;
mod missing_end;
mod pace;
mod record;
mod told;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use self::{attempts::Question, lasting::Lasting, missing_end::MissingEnd, pace::Pace};
use super::{ImportState, RunSnapshot, Shared, Snapshot};
use crate::{
    base::{
        ids::{ImportId, RunId, UserId},
        time::UnixMillis,
    },
    inngest::{Client, Priority},
    progress, store,
};

/// While the event is unsent the outbox tells; this is the net.
const UNSENT_PAUSE: Duration = Duration::from_secs(5);
/// The engine is about to tell that a run has ended.
const NET_OF_AN_END: Duration = Duration::from_millis(1_500);
/// How long an import that is over waits for the last list: for its turn to ask, and for an answer. It ends
/// without one then: a late run that is told of reopens it, and watchers must not pile up.
const LAST_LIST_WITHIN: Duration = Duration::from_secs(10 * 60);
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

/// Why an import is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is new.
    New,
    /// What happened before was told to nobody: a process ended, or a late run was missed.
    Recalled,
    /// It was over, and one run came late, or is to be cancelled: what else there is was asked for before.
    Reopened,
}

/// Why a watcher looks.
enum Wake {
    /// It was told something, or a time has come.
    Look,
    /// It is time to ask the engine, and the turn for it has come.
    Ask(Client),
    /// The turn for the last list does not come.
    GiveUp,
}

struct Watch {
    shared: Arc<Shared>,
    owner: UserId,
    id: ImportId,
    pace: Pace,
    /// The rule that the pace follows.
    rule: pace::Rule,
    begin: Begin,
    news: progress::Subscription,
    /// Runs that were told of and are not recorded yet.
    told: Vec<Arc<progress::Told>>,
    /// Something changed on our side: look at once.
    must_look: bool,
    /// The engine is about to say something new of a run.
    is_soon: bool,
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
    missing_ends: Vec<MissingEnd>,
    /// How many lists in a row have brought nothing new.
    unchanged: u32,
    /// How often runs of this import, which is to be cancelled, were.
    cancels: u32,
    /// The event was sent again, to an engine that had forgotten our functions.
    sent_again: bool,
}

/// Watches one import until it is over or the server stops. `news` are those of its event.
pub async fn run(
    shared: Arc<Shared>,
    owner: UserId,
    id: ImportId,
    begin: Begin,
    news: progress::Subscription,
) {
    let shutdown = shared.tasks.stopping().clone();
    let mut watch = Watch::new(shared, owner, id, begin, news);
    if let Err(error) = watch.recall().await {
        tracing::error!(import = %id, %error, "cannot load what a run has read");
    }
    while let Some(import) = watch.snapshot() {
        let wake = tokio::select! {
            () = shutdown.cancelled() => break,
            () = watch.news.arrived() => Wake::Look,
            wake = watch.due(&import) => wake,
        };
        match shutdown.run_until_cancelled(watch.look(wake)).await {
            None | Some(Ok(Outcome::Over)) => break,
            Some(Ok(Outcome::Again)) => {}
            Some(Err(error)) => {
                tracing::error!(import = %id, %error, "watch");
                watch.pace.postpone(DATABASE_PAUSE);
                if shutdown.run_until_cancelled(sleep(DATABASE_PAUSE)).await.is_none() {
                    break;
                }
                watch.tell_again();
            }
        }
    }
}

impl Watch {
    fn new(
        shared: Arc<Shared>,
        owner: UserId,
        id: ImportId,
        begin: Begin,
        news: progress::Subscription,
    ) -> Self {
        let mut pace = Pace::new();
        if begin == Begin::Reopened {
            pace.news(pace::TOLD);
        }
        Self {
            shared,
            owner,
            id,
            pace,
            rule: pace::AWAITED,
            begin,
            news,
            told: Vec::new(),
            must_look: false,
            is_soon: false,
            sent: None,
            over_since: None,
            listed: None,
            same_list_until: Instant::now(),
            unanswered_since: None,
            question: None,
            found: Vec::new(),
            doubts: Vec::new(),
            missing_ends: Vec::new(),
            unchanged: 0,
            cancels: 0,
            sent_again: false,
        }
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.shared.snapshots.get(self.owner, self.id)
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) -> Option<Arc<Snapshot>> {
        self.shared.snapshots.change(self.owner, self.id, change)
    }

    /// Waits for the next thing to do that no message announces.
    async fn due(&self, import: &Snapshot) -> Wake {
        if self.must_look || self.is_soon {
            // It came while a question was asked.
            return Wake::Look;
        }
        let attempt = self.question.and_then(|question| question.due());
        let found = self.found.iter().map(|(_, until)| *until).min();
        let tick = (self.rule == pace::AT_WORK).then(|| Instant::now() + TICK);
        let others = [attempt, found, tick].into_iter().flatten();
        sleep_until(others.fold(self.pace.due(), Instant::min)).await;
        if !self.pace.is_due() || is_unsent(import) {
            return Wake::Look;
        }
        match self.over_since {
            // Only this list is not worth more than others' questions: all runs that were expected have ended.
            Some(since) if self.listed.is_some() && !import.runs.is_empty() => {
                let turn = self.shared.client.turn(self.owner, Priority::Late);
                timeout_at(since + LAST_LIST_WITHIN, turn).await.map_or(Wake::GiveUp, Wake::Ask)
            }
            _ => Wake::Ask(self.shared.client.turn(self.owner, Priority::Paced).await),
        }
    }

    /// One look at what was told, and at the engine if it is time.
    async fn look(&mut self, wake: Wake) -> store::Result<Outcome> {
        self.take_news();
        let must_look = std::mem::take(&mut self.must_look);
        let is_soon = std::mem::take(&mut self.is_soon);
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        if is_unsent(&import) {
            if self.show_told().await?.any {
                self.is_heard();
            }
            let is_time = must_look || self.pace.is_due();
            return if is_time { self.look_at_outbox().await } else { Ok(Outcome::Again) };
        }
        self.sent = self.sent.or_else(|| Some(Lasting::since(import.row.sent_at?)));
        if matches!(wake, Wake::Look) && !must_look && self.is_first_end() {
            // Other runs of the event are shown with the first end, where the engine lists them at once. Nothing
            // waits for that.
            if let Some((client, listed, word)) = self.list_at_once(&import).await {
                return self.take_answer(&client, &import, listed, word).await;
            }
        }
        let shown = self.show_told().await?;
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        match wake {
            Wake::Ask(client) => return self.ask(&client, &import).await,
            Wake::GiveUp => {
                tracing::debug!(import = %self.id, "late runs were not asked for: others took every turn");
                return self.finish(&import).await;
            }
            // A user waits for it; and a run of a cancelled import must be cancelled.
            Wake::Look if must_look || !self.told.is_empty() => {
                let client = self.shared.client.for_user(self.owner, Priority::Now);
                return self.ask(&client, &import).await;
            }
            Wake::Look => {}
        }
        if shown.any {
            self.is_heard();
        }
        self.ask_for_next_attempt().await?;
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        let rule = self.rule(&import);
        // A call for another step of a run that is known is no reason to ask.
        if shown.any_changed || shown.any_ended || self.rule == pace::AT_WORK && rule != pace::AT_WORK {
            self.pace.told(rule);
        }
        self.rule = rule;
        if is_soon {
            self.pace.soon(NET_OF_AN_END);
        }
        self.what_next(&import).await
    }

    /// Whether the outbox has sent the event meanwhile.
    async fn look_at_outbox(&mut self) -> store::Result<Outcome> {
        let Some(row) = self.shared.store.import(self.id).await? else { return Ok(Outcome::Over) };
        let over = row.refused.is_some();
        let sent = row.sent_at.is_some();
        // The engine may have confirmed the event under another id than expected.
        self.news.rename(&row.event_id);
        let import = self.change(|import| {
            let known = import.row_mut();
            known.sent_at = row.sent_at;
            known.event_id = row.event_id;
            known.refused = row.refused;
            if sent {
                import.outage = None;
            }
        });
        if over {
            self.shared.snapshots.retire(self.owner, self.id);
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
        let import = import.with_progress(&self.shared.progress);
        let is_queued = |run: &RunSnapshot| !run.is_ours() && run.is_queued();
        let mut unended = import.runs.iter().filter(|run| run.row.ended_at.is_none()).peekable();
        if import.state() == ImportState::NoFunction {
            pace::IDLE
        } else if unended.peek().is_some() && unended.clone().all(|run| run.is_lost(now)) {
            pace::LOST
        } else if self.listed.is_none() || import.runs.is_empty() || import.runs.iter().any(is_queued) {
            // What else the event has triggered must show soon. Only the list says that another's run has begun.
            if self.shared.progress.is_told() { pace::AWAITED } else { pace::UNTOLD }
        } else if unended.peek().is_some()
            && unended.all(|run| run.is_ours() && self.shared.progress.is_active(&run.row.run_id))
        {
            pace::AT_WORK
        } else if self.shared.progress.is_told() {
            pace::TOLD
        } else {
            pace::UNTOLD
        }
    }
}

/// Whether the outbox has still to send the event.
fn is_unsent(import: &Snapshot) -> bool {
    import.row.sent_at.is_none() && import.row.cancel_requested_at.is_none()
}
