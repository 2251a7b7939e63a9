//! State that changes too fast for the database: the progress inside steps, kept in memory.
//!
//! The function writes it and the run's watcher reads it; neither depends on the other. Of several replicas each
//! knows what the others know, a moment later ([`ProgressRegistry::exchange`]), because a step may run on one, be
//! watched on another, and be shown by a third.

mod changed;
mod engine_facts;
mod exchange;
mod inbox;
mod late;
mod messages;
mod mirror;
mod remote;
mod report_gate;
mod reported;
mod run;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

pub use self::{
    inbox::{Inbox, News, Subscription},
    late::{Late, LateRuns},
    reported::ReportedRun,
    run::{ActiveExecution, RunProgress, WaitingCall},
};

use self::{
    changed::ChangedRuns,
    engine_facts::EngineFacts,
    late::LONGEST_EVENT_ID,
    messages::{EngineMessage, NewsMessage, NewsWord, OverMessage, ReportMessage, StopMessage},
    report_gate::ReportGate,
};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::{Counts, FirstRows, ReadAs, Stretches},
    inngest::Run,
    replicas::Bus,
    store::executions::Execution,
};

/// The runs that our own function works on or that are watched, and the watchers of events.
#[derive(Clone, Debug)]
pub struct ProgressRegistry {
    runs: Arc<Mutex<HashMap<RunId, Arc<RunProgress>>>>,
    waiting: Arc<Mutex<HashMap<EventId, Arc<Inbox>>>>,
    late: Arc<LateRuns>,
    report_budget: reported::ReportBudget,
    engine: Arc<EngineFacts>,
    /// The way to the other replicas.
    bus: Bus,
    /// Names this process in what it tells them.
    process: u64,
    changed: Arc<ChangedRuns>,
    report_gate: Arc<ReportGate>,
}

/// Of a process without replicas.
impl Default for ProgressRegistry {
    fn default() -> Self {
        Self::on(Bus::alone())
    }
}

/// A file that is being copied before any of its rows can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiving {
    pub copying: Copying,
    /// Of the file that is fetched, unpacked or decoded.
    pub bytes: u64,
    /// None or 0 if it is unknown.
    pub total: Option<u64>,
    /// When the first byte arrived.
    pub since: UnixMillis,
}

/// Why a file is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Copying {
    Fetching,
    Unpacking,
    Decoding,
}

/// Where and when the current reading began. Earlier work (the fetch, failed attempts, steps before a
/// restart) says nothing about the time for the rest of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSince {
    pub at: UnixMillis,
    /// The rows that were read before.
    pub rows: u64,
    pub bytes: u64,
}

/// The progress of a run at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgressSnapshot {
    /// None if nothing counts or reports rows.
    pub counts: Option<Counts>,
    /// The bytes of the file that are read, and its size (0 while unknown).
    pub bytes: u64,
    pub total_bytes: u64,
    /// The total number of rows, as another function reported.
    pub total_rows: Option<u64>,
    /// Set while the file is being fetched, unpacked or decoded.
    pub receiving: Option<Receiving>,
    /// None before the first step of rows, and after a failed attempt until the next one reads.
    pub read_since: Option<ReadSince>,
    /// The name of a fetched file, if it differs from its address.
    pub file_name: Option<Arc<str>>,
    /// The execution as the last call of our own function set it.
    pub execution: Option<Arc<Execution>>,
    /// Whether a call waits for its turn.
    pub is_waiting: bool,
    /// The positions of the rows in the file, and the speed of reading them.
    pub stretches: Option<Arc<Stretches>>,
    pub first_rows: Option<Arc<FirstRows>>,
    pub read_as: Option<Arc<ReadAs>>,
    /// When something was last heard about the run, on any replica.
    pub heard_at: Option<UnixMillis>,
    /// Whether a step is active, or something was heard about one just now.
    pub is_active: bool,
}

/// A report of another function about its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressReport {
    pub counts: Counts,
    pub total_rows: Option<u64>,
}

impl ProgressRegistry {
    /// The registry of a process that tells the others over `bus`, while [`exchange`](Self::exchange) runs.
    #[must_use]
    pub fn on(bus: Bus) -> Self {
        Self {
            runs: Arc::default(),
            waiting: Arc::default(),
            late: Arc::default(),
            report_budget: reported::ReportBudget::default(),
            engine: Arc::default(),
            bus,
            process: rand::random(),
            changed: Arc::default(),
            report_gate: Arc::default(),
        }
    }

    /// The progress of `run`, created on first use.
    #[must_use]
    pub fn of(&self, run: &RunId) -> Arc<RunProgress> {
        let changed = (!self.bus.is_alone()).then_some(&self.changed);
        let new = || Arc::new(RunProgress::new(run, changed));
        Arc::clone(lock(&self.runs).entry(run.clone()).or_insert_with(new))
    }

    /// Whether a step of `run` is active, here or on another replica.
    #[must_use]
    pub fn is_at_work(&self, run: &RunId) -> bool {
        self.known(run).is_some_and(|progress| progress.is_at_work())
    }

    /// Whether a step of `run` is active or waits for its slot, or something was heard about it just
    /// now, because between two steps the engine makes a call. We then know more about the run than the
    /// engine.
    #[must_use]
    pub fn is_active(&self, run: &RunId) -> bool {
        self.known(run).is_some_and(|progress| progress.is_active() || progress.is_waiting())
    }

    /// The progress of a run, if there is one.
    fn known(&self, run: &RunId) -> Option<Arc<RunProgress>> {
        lock(&self.runs).get(run).cloned()
    }

    /// The current progress of `run`, if our function was called for it since the start, here or on another replica.
    #[must_use]
    pub fn now(&self, run: &RunId) -> Option<ProgressSnapshot> {
        lock(&self.runs).get(run).map(|progress| progress.now())
    }

    /// Asks the active step of `run`, if there is one, to stop.
    pub fn stop(&self, run: &RunId) {
        let must_tell = self.known(run).is_none_or(|progress| {
            let was_stopped = progress.is_stopped();
            progress.stop();
            !was_stopped || progress.remote.borrow().is_busy()
        });
        if must_tell {
            self.bus.tell(&StopMessage { run: run.clone() });
        }
    }

    /// As [`stop`](Self::stop), and waits at most `at_most` until the step has committed what it had
    /// finished.
    pub async fn settle(&self, run: &RunId, at_most: Duration) {
        self.stop(run);
        let Some(progress) = self.known(run) else { return };
        let (mut here, mut elsewhere) = (progress.at_work.subscribe(), progress.remote.subscribe());
        let settled = async {
            // The senders are in `progress`, so the waits cannot fail.
            let _ = here.wait_for(|executions| *executions == 0).await;
            let _ = elsewhere.wait_for(|remote| !remote.is_at_work()).await;
        };
        if timeout(at_most, settled).await.is_err() {
            tracing::warn!(%run, "a step did not stop in time");
        }
    }

    /// Removes a run that has ended and is recorded, on all replicas.
    pub fn forget(&self, run: &RunId) {
        lock(&self.runs).remove(run);
        self.report_gate.forget(run);
        self.bus.tell(&OverMessage { run: run.clone() });
    }

    /// Reports a run to the watchers of all `events`, which a batch of them may share.
    pub fn tell_run(&self, events: &[EventId], run: Run) {
        let run = self.report_budget.keep(run);
        for event in events {
            self.tell(event, run.clone().map_or(News::Missed, News::Run));
        }
    }

    /// Sends news to the watcher of `event`, which may be on another replica. If it is not here, runs are kept for
    /// [`ProgressRegistry::late_runs`].
    pub fn tell(&self, event: &EventId, news: News) {
        let Some(news) = self.tell_watcher(event, news) else { return };
        self.tell_others(event, &news);
        match news {
            News::Run(run) => self.late.put(event, run),
            News::Missed => self.late.miss(event),
            News::Soon | News::Look => {}
        }
    }

    /// The same, if `event` has a watcher here; otherwise returns `news`.
    pub fn tell_watcher(&self, event: &EventId, news: News) -> Option<News> {
        match lock(&self.waiting).get(event) {
            Some(inbox) => {
                inbox.put(news);
                None
            }
            None => Some(news),
        }
    }

    /// Tells the other replicas, of which one may have the watcher. A run that is too large for a message is missed.
    fn tell_others(&self, event: &EventId, news: &News) {
        // A longer id is not one of ours.
        if self.bus.is_alone() || event.as_str().len() > LONGEST_EVENT_ID {
            return;
        }
        if !self.bus.tell(&NewsMessage { event: event.clone(), news: news.into() }) {
            self.bus.tell(&NewsMessage { event: event.clone(), news: NewsWord::Missed });
        }
    }

    /// The reported runs without a watcher.
    #[must_use]
    pub fn late_runs(&self) -> Arc<LateRuns> {
        Arc::clone(&self.late)
    }

    /// The inbox that [`ProgressRegistry::tell`] fills until it is dropped. A new watcher takes over the
    /// unread news of a predecessor whose inbox is not dropped yet.
    #[must_use]
    pub fn watch(&self, event: &EventId) -> Subscription {
        let inbox = Arc::new(Inbox::default());
        let before = lock(&self.waiting).insert(event.clone(), Arc::clone(&inbox));
        let subscription = Subscription::new(self.clone(), event.clone(), inbox);
        for news in before.iter().flat_map(|inbox| inbox.take()) {
            self.tell(event, news);
        }
        subscription
    }

    /// From now on other functions may report about `run`, until it is forgotten.
    pub fn accept_reports(&self, run: &RunId) {
        self.of(run).accepts_reports.store(true, Ordering::Relaxed);
    }

    /// Ends [`accept_reports`](Self::accept_reports).
    pub fn refuse_reports(&self, run: &RunId) {
        if let Some(progress) = self.known(run) {
            progress.accepts_reports.store(false, Ordering::Relaxed);
        }
    }

    /// Notes whether the import of `run` is followed here and the run has not ended. Reports about it are then passed on,
    /// however many runs others invent.
    pub fn expect(&self, run: &RunId, is_expected: bool) {
        if !is_expected {
            self.report_gate.forget(run);
        } else if !self.bus.is_alone() {
            self.report_gate.expect(run);
        }
    }

    /// Applies a report of another function about `run`, or passes it on to the replica that may watch the run.
    /// Returns `false` if there is none, the run is our own, or it had a report less than a second ago.
    pub fn report(&self, run: &RunId, report: ProgressReport, now: UnixMillis) -> bool {
        let is_decided = |progress: &Arc<RunProgress>| {
            progress.accepts_reports.load(Ordering::Relaxed) || progress.is_ours()
        };
        if let Some(progress) = self.known(run).filter(is_decided) {
            return progress.report(report, now);
        }
        !self.bus.is_alone()
            && self.report_gate.passes(run)
            && self.bus.tell(&ReportMessage { run: run.clone(), report })
    }

    /// The engine has called us, so it can be expected to report events.
    pub fn set_reached(&self) {
        self.learn(&EngineMessage::Reached);
    }

    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.engine.is_reached()
    }

    /// Records that the engine reports the ends of runs.
    pub fn end_was_reported(&self) {
        self.learn(&EngineMessage::ReportsEnds);
    }

    /// Records that the engine was not asked to report ends.
    pub fn expect_no_ends(&self) {
        self.learn(&EngineMessage::MissesEnds);
    }

    pub fn end_was_missed(&self) {
        if self.learn(&EngineMessage::MissesEnds) {
            tracing::warn!("the engine does not report the ends of runs; it is polled more often");
        }
    }

    /// Whether the engine is expected to report events.
    #[must_use]
    pub fn expects_reports(&self) -> bool {
        self.is_reached() && !self.engine.misses_ends()
    }

    /// Takes what this process has learned about the engine, and tells the others. Returns whether it is new.
    fn learn(&self, fact: &EngineMessage) -> bool {
        let is_new = self.engine.learn(fact);
        if !self.bus.is_alone() && self.engine.must_tell(fact, is_new) {
            self.bus.tell(fact);
        }
        is_new
    }
}

/// No code under these locks can leave the data inconsistent, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A copy, with the lock released again. A guard in an expression lives to the end of its statement, so that several
/// of them there would be held together, and could wait for a thread that holds them in another order.
fn copy_of<T: Clone>(mutex: &Mutex<T>) -> T {
    lock(mutex).clone()
}

#[cfg(test)]
mod tests;
