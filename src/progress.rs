//! State that changes too fast for the database: the progress inside steps, kept in memory.
//!
//! The function writes it and the run's watcher reads it; neither depends on the other.

mod inbox;
mod late;
mod reported;
mod run;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;

pub use self::{
    inbox::{Inbox, News, Subscription},
    late::{Late, LateRuns},
    reported::ReportedRun,
    run::{ActiveExecution, RunProgress, WaitingCall},
};

use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::{Counts, FirstRows, ReadAs, Stretches},
    inngest::Run,
    store::executions::Execution,
};

/// The runs that our own function works on or that are watched, and the watchers of events.
#[derive(Clone, Debug, Default)]
pub struct ProgressRegistry {
    runs: Arc<Mutex<HashMap<RunId, Arc<RunProgress>>>>,
    waiting: Arc<Mutex<HashMap<EventId, Arc<Inbox>>>>,
    late: Arc<LateRuns>,
    report_budget: reported::ReportBudget,
    is_reached: Arc<AtomicBool>,
    /// Whether an end was found by polling and the engine did not report it.
    misses_ends: Arc<AtomicBool>,
}

/// A file that is being copied before any of its rows can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copying {
    Fetching,
    Unpacking,
    Decoding,
}

/// Where and when the current reading began. Earlier work (the fetch, failed attempts, steps before a
/// restart) says nothing about the time for the rest of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// When something was last heard about the run in this process.
    pub heard_at: Option<UnixMillis>,
    /// Whether a step is active, or something was heard about one just now.
    pub is_active: bool,
}

/// A report of another function about its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgressReport {
    pub counts: Counts,
    pub total_rows: Option<u64>,
}

impl ProgressRegistry {
    /// The progress of `run`, created on first use.
    #[must_use]
    pub fn of(&self, run: &RunId) -> Arc<RunProgress> {
        Arc::clone(lock(&self.runs).entry(run.clone()).or_default())
    }

    /// Whether a step of `run` is active in this process.
    #[must_use]
    pub fn is_at_work(&self, run: &RunId) -> bool {
        self.known(run).is_some_and(|progress| *progress.at_work.borrow() > 0)
    }

    /// Whether a step of `run` is active here or waits for its slot, or something was heard about it just
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

    /// The current progress of `run`, if our function was called for it since the start.
    #[must_use]
    pub fn now(&self, run: &RunId) -> Option<ProgressSnapshot> {
        lock(&self.runs).get(run).map(|progress| progress.now())
    }

    /// Asks the active step of `run`, if there is one, to stop.
    pub fn stop(&self, run: &RunId) {
        if let Some(progress) = lock(&self.runs).get(run) {
            progress.stop();
        }
    }

    /// As [`stop`](Self::stop), and waits at most `at_most` until the step has committed what it had
    /// finished.
    pub async fn settle(&self, run: &RunId, at_most: Duration) {
        let Some(progress) = self.known(run) else { return };
        progress.stop();
        let mut at_work = progress.at_work.subscribe();
        if timeout(at_most, at_work.wait_for(|executions| *executions == 0)).await.is_err() {
            tracing::warn!(%run, "a step did not stop in time");
        }
    }

    /// Removes a run that has ended and is recorded.
    pub fn forget(&self, run: &RunId) {
        lock(&self.runs).remove(run);
    }

    /// Reports a run to the watchers of all `events`, which a batch of them may share.
    pub fn tell_run(&self, events: &[EventId], run: Run) {
        let run = self.report_budget.keep(run);
        for event in events {
            self.tell(event, run.clone().map_or(News::Missed, News::Run));
        }
    }

    /// Sends news to the watcher of `event`. Without a watcher only runs are kept, for
    /// [`ProgressRegistry::late_runs`].
    pub fn tell(&self, event: &EventId, news: News) {
        match self.tell_watcher(event, news) {
            Some(News::Run(run)) => self.late.put(event, run),
            Some(News::Missed) => self.late.miss(event),
            Some(News::Soon | News::Look) | None => {}
        }
    }

    /// The same, if `event` has a watcher; otherwise returns `news`.
    pub fn tell_watcher(&self, event: &EventId, news: News) -> Option<News> {
        match lock(&self.waiting).get(event) {
            Some(inbox) => {
                inbox.put(news);
                None
            }
            None => Some(news),
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
    pub fn follow(&self, run: &RunId) {
        self.of(run).is_followed.store(true, Ordering::Relaxed);
    }

    /// Applies a report of another function about `run`. Returns `false` if the run is not watched, is our
    /// own, or had a report less than a second ago.
    pub fn report(&self, run: &RunId, report: ProgressReport, now: UnixMillis) -> bool {
        let Some(progress) = self.known(run) else { return false };
        progress.report(report, now)
    }

    /// The engine has called us, so it can be expected to report events.
    pub fn set_reached(&self) {
        self.is_reached.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Relaxed)
    }

    /// Records that the engine reports the ends of runs.
    pub fn end_was_reported(&self) {
        self.misses_ends.store(false, Ordering::Relaxed);
    }

    /// Records that the engine was not asked to report ends.
    pub fn expect_no_ends(&self) {
        self.misses_ends.store(true, Ordering::Relaxed);
    }

    pub fn end_was_missed(&self) {
        if !self.misses_ends.swap(true, Ordering::Relaxed) {
            tracing::warn!("the engine does not report the ends of runs; it is polled more often");
        }
    }

    /// Whether the engine is expected to report events.
    #[must_use]
    pub fn expects_reports(&self) -> bool {
        self.is_reached() && !self.misses_ends.load(Ordering::Relaxed)
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
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;
    use crate::store::executions::AttemptError;

    #[tokio::test]
    async fn settling_a_run_stops_its_step_and_waits_for_it() {
        let registry = ProgressRegistry::default();
        let run = RunId::from("r".to_owned());
        let progress = registry.of(&run);
        let executions = [progress.begin(), progress.begin()];
        let mut settled = pin!(registry.settle(&run, Duration::from_secs(3_600)));
        for execution in executions {
            assert!(poll!(&mut settled).is_pending());
            assert!(progress.is_stopped());
            drop(execution);
        }
        settled.await;
    }

    #[test]
    fn reading_begins_once_and_anew_after_a_failed_attempt() {
        let registry = ProgressRegistry::default();
        let progress = registry.of(&RunId::from("r".to_owned()));
        let since = || progress.now().read_since.map(|since| (since.rows, since.bytes));
        let execution = |error| Execution {
            function: "f".to_owned(),
            started_at: UnixMillis(1),
            attempt: 1,
            max_attempts: 4,
            error,
            earlier: Vec::new(),
        };
        progress.set_execution(execution(None));
        assert_eq!(since(), None);
        progress.begin_reading(Counts { processed: 4, failed: 1 }, 10);
        progress.begin_reading(Counts { processed: 9, failed: 1 }, 20);
        assert_eq!(since(), Some((5, 10)));
        progress.set_execution(execution(Some(AttemptError {
            message: "m".to_owned(),
            at: UnixMillis(2),
            is_final: false,
        })));
        assert_eq!(since(), None);
        progress.begin_reading(Counts { processed: 9, failed: 1 }, 20);
        assert_eq!(since(), Some((10, 20)));
    }

    /// However long it waits: nothing else is heard about it meanwhile.
    #[test]
    fn a_run_whose_call_waits_for_its_slot_is_active_and_counts_nothing() {
        let registry = ProgressRegistry::default();
        let run = RunId::from("r".to_owned());
        let waiting = registry.of(&run).wait();
        assert!(registry.is_active(&run));
        let now = registry.now(&run).unwrap();
        assert!(now.is_waiting && !now.is_active, "{now:?}");
        drop(waiting);
        assert!(!registry.is_active(&run));
    }

    #[tokio::test]
    async fn a_step_that_does_not_stop_is_not_waited_for_too_long() {
        let registry = ProgressRegistry::default();
        let run = RunId::from("r".to_owned());
        let _at_work = registry.of(&run).begin();
        registry.settle(&run, Duration::from_millis(1)).await;
    }
}
