//! One watcher per event: learns about its runs, records changes, and stops when nothing more is expected.
//! Only this watcher polls the engine, however many tabs are open.
//!
//! Most news arrives by itself: the engine calls our functions when a run begins and when any run has ended,
//! and `progress::ProgressRegistry` passes that on. Reports are recorded and shown at once. Paced polls
//! (`pace`) are the backup, so that a lost report only costs time; they take turns with those of other users
//! (`inngest::Priority`).

mod asked;
mod attempts;
mod doubt;
mod end;
mod lasting;
mod missing_end;
mod pace;
mod record;
mod reports;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

pub(super) use self::record::reading;
use self::{attempts::AttemptPoll, lasting::Lasting, missing_end::MissingEnd, pace::Pace};
use super::{ImportState, RunSnapshot, Shared, Snapshot, told};
use crate::{
    base::{
        ids::{ImportId, RunId, UserId},
        time::UnixMillis,
    },
    inngest::{Client, Priority},
    progress, store,
};

/// While the event is unsent, the outbox sends news; this is the backup.
const UNSENT_PAUSE: Duration = Duration::from_secs(5);
/// The backup poll when the engine is about to report the end of a run.
const NET_OF_AN_END: Duration = Duration::from_millis(1_500);
/// How long an import that is over waits for its last list: for the turn to poll, and for an answer. Then it
/// ends without one, because watchers must not accumulate, and a reported late run reopens it.
const LAST_LIST_WITHIN: Duration = Duration::from_secs(10 * 60);
/// If an end that was found by polling is not reported within this (the longest delay seen was 4.2 s), the
/// engine does not report ends.
const REPORTED_WITHIN: Duration = Duration::from_secs(5);
/// How often the watcher checks, without polling, whether a step is still active.
const TICK: Duration = Duration::from_secs(5);
/// The pause after a database failure.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// The result of one check.
enum Outcome {
    /// Check again when a poll is due, or when there is news.
    Again,
    /// Nothing more is expected, and this is recorded.
    Over,
    /// Another replica watches the import.
    LeftToAnother,
}

/// Why an import is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is new.
    New,
    /// Earlier changes were not observed: the process was not running, or a late run was missed.
    Recalled,
    /// It was over, and a late run came or must be cancelled. Its other runs were listed before.
    Reopened,
}

/// Why the watcher wakes.
enum Wake {
    /// There is news, or a time has come.
    Look,
    /// A poll is due, and its turn has come.
    Ask(Client),
    /// The turn for the last list does not come in time.
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
    /// Reported runs that are not recorded yet.
    reports: Vec<Arc<progress::ReportedRun>>,
    /// Something changed on our side: check at once.
    must_look: bool,
    /// The engine is about to have news of a run.
    is_soon: bool,
    /// How long ago the event was sent.
    sent: Option<Lasting>,
    /// Since when nothing more is expected, by our own clock, because the engine's may be wrong.
    over_since: Option<Instant>,
    /// When the runs of the event were last listed.
    listed: Option<Instant>,
    /// Until when the engine may repeat the same list.
    same_list_until: Instant,
    /// The first failed poll since the last answer.
    unanswered_since: Option<(Instant, UnixMillis)>,
    attempt_poll: Option<AttemptPoll>,
    /// Ends that were found by polling, and until when the engine may still report them.
    found: Vec<(RunId, Instant)>,
    /// A report did not arrive, so polls prove nothing about what the engine reports.
    has_missed: bool,
    /// Runs that had no job in the engine's queue, and when that was first seen.
    doubts: Vec<(RunId, Instant)>,
    missing_ends: Vec<MissingEnd>,
    /// How many consecutive lists have brought nothing new.
    unchanged: u32,
    /// Cancel requests sent so far.
    cancels: u32,
    /// Whether the event was sent again, to an engine that had forgotten our functions.
    sent_again: bool,
}

/// Watches one import until it is over or `ending` is cancelled. `news` is the inbox of its event.
pub async fn run(
    shared: Arc<Shared>,
    owner: UserId,
    id: ImportId,
    begin: Begin,
    news: progress::Subscription,
    ending: CancellationToken,
) {
    let here = Arc::clone(&shared);
    let is_over = watch_until(shared, owner, id, begin, news, &ending).await;
    here.snapshots.end_watch(id, &ending);
    if !is_over {
        // What it was about to show, and what was told while it still went on, is read.
        told::recorded_for_all(here.replicas.bus(), owner, id);
    }
    // Another replica may follow them from now on.
    if let Some(import) = here.snapshots.get(owner, id).filter(|_| !here.snapshots.is_watched(id)) {
        for run in &import.runs {
            here.progress.refuse_reports(&run.row.run_id);
            here.progress.expect(&run.row.run_id, !is_over && run.row.ended_at.is_none());
        }
    }
}

/// Returns whether the end of the watch is recorded and shown.
async fn watch_until(
    shared: Arc<Shared>,
    owner: UserId,
    id: ImportId,
    begin: Begin,
    news: progress::Subscription,
    ending: &CancellationToken,
) -> bool {
    let mut watch = Watch::new(shared, owner, id, begin, news);
    if let Err(error) = watch.recall().await {
        tracing::error!(import = %id, %error, "cannot load what a run has read");
    }
    while let Some(import) = watch.snapshot() {
        let wake = tokio::select! {
            () = ending.cancelled() => return false,
            () = watch.news.arrived() => Wake::Look,
            wake = watch.due(&import) => wake,
        };
        match ending.run_until_cancelled(watch.look(wake)).await {
            None | Some(Ok(Outcome::LeftToAnother)) => return false,
            Some(Ok(Outcome::Over)) => return true,
            Some(Ok(Outcome::Again)) => {}
            Some(Err(error)) => {
                tracing::error!(import = %id, %error, "watch");
                watch.pace.postpone(DATABASE_PAUSE);
                if ending.run_until_cancelled(sleep(DATABASE_PAUSE)).await.is_none() {
                    return false;
                }
                watch.tell_again();
            }
        }
    }
    true
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
            pace.news(pace::REPORTED);
        }
        Self {
            shared,
            owner,
            id,
            pace,
            rule: pace::AWAITED,
            begin,
            news,
            reports: Vec::new(),
            must_look: false,
            is_soon: false,
            sent: None,
            over_since: None,
            listed: None,
            same_list_until: Instant::now(),
            unanswered_since: None,
            attempt_poll: None,
            found: Vec::new(),
            has_missed: false,
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

    /// Waits for the next thing to do that is not announced by news.
    async fn due(&self, import: &Snapshot) -> Wake {
        if self.must_look || self.is_soon {
            // The news came during a poll.
            return Wake::Look;
        }
        let attempt = self.attempt_poll.and_then(|poll| poll.due());
        let found = self.found.iter().map(|(_, until)| *until).min();
        let tick = (self.rule == pace::AT_WORK).then(|| Instant::now() + TICK);
        let others = [attempt, found, tick].into_iter().flatten();
        sleep_until(others.fold(self.pace.due(), Instant::min)).await;
        if !self.pace.is_due() || is_unsent(import) {
            return Wake::Look;
        }
        match self.over_since {
            // Only this list has the lowest priority: all expected runs have ended.
            Some(since) if self.listed.is_some() && !import.runs.is_empty() => {
                let turn = self.shared.client.turn(self.owner, Priority::Late);
                timeout_at(since + LAST_LIST_WITHIN, turn).await.map_or(Wake::GiveUp, Wake::Ask)
            }
            _ => Wake::Ask(self.shared.client.turn(self.owner, Priority::Paced).await),
        }
    }

    /// Handles the news, and polls the engine if that is due.
    async fn look(&mut self, wake: Wake) -> store::Result<Outcome> {
        self.take_news();
        let must_look = std::mem::take(&mut self.must_look);
        let is_soon = std::mem::take(&mut self.is_soon);
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        if is_unsent(&import) {
            if self.show_reports().await?.any {
                self.is_heard();
            }
            let is_time = must_look || self.pace.is_due();
            return if is_time { self.look_at_outbox().await } else { Ok(Outcome::Again) };
        }
        self.sent = self.sent.or_else(|| Some(Lasting::since(import.row.sent_at?)));
        if matches!(wake, Wake::Look) && !must_look && self.is_first_end() {
            // Other runs of the event are shown together with the first end, if the engine lists them at
            // once. The end does not wait for more.
            if let Some((client, listed, word)) = self.list_at_once(&import).await {
                return self.take_answer(&client, &import, listed, word).await;
            }
        }
        let shown = self.show_reports().await?;
        let Some(import) = self.snapshot() else { return Ok(Outcome::Over) };
        match wake {
            Wake::Ask(client) => return self.ask(&client, &import).await,
            Wake::GiveUp => {
                tracing::debug!(import = %self.id, "late runs were not polled for: other users took every turn");
                return self.finish(&import).await;
            }
            // A user waits for the result, or a run of a cancelled import must be cancelled.
            Wake::Look if must_look || !self.reports.is_empty() => {
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
        // A call for another step of a known run is no reason to poll.
        if shown.any_changed || shown.any_ended || self.rule == pace::AT_WORK && rule != pace::AT_WORK {
            self.pace.reported(rule);
        }
        self.rule = rule;
        if is_soon {
            self.pace.soon(NET_OF_AN_END);
        }
        self.what_next(&import).await
    }

    /// Whether the outbox has sent the event in the meantime.
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
            known.cancel_requested_at = known.cancel_requested_at.or(row.cancel_requested_at);
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

    /// How the pauses grow in the current state of `import`.
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
            // Other runs of the event must be shown soon, and only the list shows that another function's run
            // has begun.
            if self.shared.progress.expects_reports() { pace::AWAITED } else { pace::UNREPORTED }
        } else if unended.peek().is_some()
            && unended.all(|run| run.is_ours() && self.shared.progress.is_active(&run.row.run_id))
        {
            pace::AT_WORK
        } else if self.shared.progress.expects_reports() {
            pace::REPORTED
        } else {
            pace::UNREPORTED
        }
    }
}

/// Whether the outbox has not sent the event yet.
fn is_unsent(import: &Snapshot) -> bool {
    import.row.sent_at.is_none() && import.row.cancel_requested_at.is_none()
}
