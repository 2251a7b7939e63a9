//! What moves too fast for the database: the progress inside a step, kept in memory.
//!
//! The function writes it, whoever watches the run reads it, and neither knows the other.

mod inbox;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::timeout};

pub use self::inbox::{Inbox, News};

use super::Stretches;
use crate::{
    csv::{Counts, FirstRows},
    ids::{EventId, RunId},
    time::UnixMillis,
};

/// Other people's functions may tell of their progress once a second; what comes sooner is let go, but
/// two reports may get a little closer to each other on their way.
const REPORTS_APART: Duration = Duration::from_millis(900);

/// The runs that our own function works on or that are watched, and who waits for news of which event.
#[derive(Clone, Debug, Default)]
pub struct Live {
    runs: Arc<Mutex<HashMap<RunId, Arc<Progress>>>>,
    waiting: Arc<Mutex<HashMap<EventId, Arc<Inbox>>>>,
    is_reached: Arc<AtomicBool>,
}

/// One run's numbers. Counts only grow while the server runs.
#[derive(Debug, Default)]
pub struct Progress {
    processed: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    total_bytes: AtomicU64,
    /// Rows in all, as another's function told; 0 while unknown.
    total_rows: AtomicU64,
    /// When another's function reported last, and when anything was heard at all: unix milliseconds, 0 for
    /// never.
    reported_at: AtomicI64,
    heard_at: AtomicI64,
    /// A watcher follows the run: others may report of it.
    is_followed: AtomicBool,
    receiving: Mutex<Option<Receiving>>,
    stop: AtomicBool,
    call: Mutex<Option<CallInfo>>,
    stretches: Mutex<Option<Arc<Stretches>>>,
    first_rows: Mutex<Option<Arc<FirstRows>>>,
    /// How many executions of the run's steps there are.
    at_work: watch::Sender<usize>,
}

/// An execution of a step, until it is dropped.
#[derive(Debug)]
pub struct AtWork(Arc<Progress>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.at_work.send_modify(|executions| *executions -= 1);
    }
}

/// What a call to our function tells of its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallInfo {
    pub function: String,
    /// The first call of this run.
    pub started_at: UnixMillis,
    /// 1-based.
    pub attempt: u32,
    pub max_attempts: u32,
    /// Why the latest attempt failed, until the next one begins.
    pub error: Option<AttemptError>,
    /// The attempts before it that failed, the first one first.
    pub earlier: Vec<FailedAttempt>,
}

/// An attempt that failed and was followed by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// 1-based.
    pub attempt: u32,
    /// A sentence for people.
    pub message: String,
    pub at: UnixMillis,
}

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptError {
    /// A sentence for people.
    pub message: String,
    pub at: UnixMillis,
    /// No attempt follows: the run is about to end.
    pub is_final: bool,
}

/// A file that is being fetched: bytes that have arrived, none of which is read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiving {
    pub bytes: u64,
    /// None if it was not announced.
    pub total: Option<u64>,
    /// The first byte.
    pub since: UnixMillis,
}

/// The numbers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressNow {
    /// None: nobody counts, or nobody has told.
    pub counts: Option<Counts>,
    /// Bytes of the file read, and in all (0 while unknown).
    pub bytes: u64,
    pub total_bytes: u64,
    /// Rows in all, as another's function told.
    pub total_rows: Option<u64>,
    /// While the file is being fetched.
    pub receiving: Option<Receiving>,
    pub call: Option<CallInfo>,
    /// Where in the file its rows are, and how fast they were read.
    pub stretches: Option<Arc<Stretches>>,
    pub first_rows: Option<Arc<FirstRows>>,
    /// When something was last heard of the run here.
    pub heard_at: Option<UnixMillis>,
}

/// What another's function tells of its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub counts: Counts,
    pub total_rows: Option<u64>,
}

impl Live {
    /// The progress of `run`, made on first use.
    #[must_use]
    pub fn progress(&self, run: &RunId) -> Arc<Progress> {
        Arc::clone(lock(&self.runs).entry(run.clone()).or_default())
    }

    /// Whether a step of `run` is at work in this process.
    #[must_use]
    pub fn is_at_work(&self, run: &RunId) -> bool {
        self.progress_if_known(run).is_some_and(|progress| *progress.at_work.borrow() > 0)
    }

    /// The progress of a run that is known already.
    fn progress_if_known(&self, run: &RunId) -> Option<Arc<Progress>> {
        lock(&self.runs).get(run).cloned()
    }

    /// The numbers of `run`, if our function was called for it since the start.
    #[must_use]
    pub fn now(&self, run: &RunId) -> Option<ProgressNow> {
        lock(&self.runs).get(run).map(|progress| progress.now())
    }

    /// Asks the step at work on `run`, if there is one, to stop.
    pub fn stop(&self, run: &RunId) {
        if let Some(progress) = lock(&self.runs).get(run) {
            progress.stop();
        }
    }

    /// As [`stop`](Self::stop), and waits until the step has kept what it had finished, but not for
    /// longer than `at_most`.
    pub async fn settle(&self, run: &RunId, at_most: Duration) {
        let Some(progress) = self.progress_if_known(run) else { return };
        progress.stop();
        let mut at_work = progress.at_work.subscribe();
        if timeout(at_most, at_work.wait_for(|executions| *executions == 0)).await.is_err() {
            tracing::warn!(%run, "a step did not stop in time");
        }
    }

    /// Forgets a run that has ended and is recorded.
    pub fn forget(&self, run: &RunId) {
        lock(&self.runs).remove(run);
    }

    /// Tells whoever watches `event`. What nobody waits for is dropped; what is lost costs latency only.
    pub fn tell(&self, event: &EventId, news: News) {
        if let Some(inbox) = lock(&self.waiting).get(event) {
            inbox.put(news);
        }
    }

    /// What [`Live::tell`] fills, until [`Live::unwatch`].
    #[must_use]
    pub fn watch(&self, event: &EventId) -> Arc<Inbox> {
        Arc::clone(lock(&self.waiting).entry(event.clone()).or_default())
    }

    pub fn unwatch(&self, event: &EventId) {
        lock(&self.waiting).remove(event);
    }

    /// From here on others may report of `run`, until it is forgotten.
    pub fn follow(&self, run: &RunId) {
        self.progress(run).is_followed.store(true, Ordering::Relaxed);
    }

    /// Takes over what another's function tells of `run`. `false`: nobody follows it, it is our own, or it
    /// told something less than a second ago.
    pub fn report(&self, run: &RunId, report: Report, now: UnixMillis) -> bool {
        let Some(progress) = self.progress_if_known(run) else { return false };
        progress.report(report, now)
    }

    /// The engine has reached us: it is to be expected that it tells what happens.
    pub fn set_reached(&self) {
        self.is_reached.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Relaxed)
    }
}

impl Progress {
    /// Moves the numbers forward; a smaller one (a step that is done again) changes nothing.
    pub fn advance(&self, counts: Counts, bytes: u64) {
        self.processed.fetch_max(counts.processed, Ordering::Relaxed);
        self.failed.fetch_max(counts.failed, Ordering::Relaxed);
        self.bytes.fetch_max(bytes, Ordering::Relaxed);
        self.hear(UnixMillis::now());
    }

    fn report(&self, report: Report, now: UnixMillis) -> bool {
        let last = self.reported_at.load(Ordering::Relaxed);
        let too_soon = last > 0 && now.since(UnixMillis(last)) < REPORTS_APART;
        // Of our own function's runs we know better than anybody who has an event key.
        let is_ours = lock(&self.call).is_some();
        if too_soon || is_ours || !self.is_followed.load(Ordering::Relaxed) {
            return false;
        }
        self.reported_at.store(now.0, Ordering::Relaxed);
        self.processed.fetch_max(report.counts.processed, Ordering::Relaxed);
        self.failed.fetch_max(report.counts.failed, Ordering::Relaxed);
        self.total_rows.fetch_max(report.total_rows.unwrap_or(0), Ordering::Relaxed);
        self.hear(now);
        true
    }

    fn hear(&self, now: UnixMillis) {
        self.heard_at.fetch_max(now.0, Ordering::Relaxed);
    }

    pub fn set_total_bytes(&self, bytes: u64) {
        self.total_bytes.store(bytes, Ordering::Relaxed);
    }

    pub fn set_receiving(&self, receiving: Option<Receiving>) {
        *lock(&self.receiving) = receiving;
        self.hear(UnixMillis::now());
    }

    pub fn set_call(&self, call: CallInfo) {
        *lock(&self.call) = Some(call);
        self.hear(UnixMillis::now());
    }

    /// Sets what the finished steps and the one at work have read so far. Rows that are read again do not
    /// take back what was shown.
    pub fn set_stretches(&self, stretches: Stretches) {
        let mut shown = lock(&self.stretches);
        if shown.as_ref().is_none_or(|shown| shown.total().rows <= stretches.total().rows) {
            *shown = Some(Arc::new(stretches));
        }
    }

    pub fn set_first_rows(&self, first_rows: Option<&FirstRows>) {
        let mut shown = lock(&self.first_rows);
        if let (None, Some(first_rows)) = (&*shown, first_rows) {
            *shown = Some(Arc::new(first_rows.clone()));
        }
    }

    /// Says that a step is at work, until what this gives is dropped.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> AtWork {
        self.at_work.send_modify(|executions| *executions += 1);
        AtWork(Arc::clone(self))
    }

    /// Asks the step at work to stop; it looks at every block.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn now(&self) -> ProgressNow {
        let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let time = |time: &AtomicI64| Some(time.load(Ordering::Relaxed)).filter(|at| *at > 0);
        let call = lock(&self.call).clone();
        let is_counted = call.is_some() || time(&self.reported_at).is_some();
        ProgressNow {
            counts: is_counted
                .then(|| Counts { processed: number(&self.processed), failed: number(&self.failed) }),
            bytes: number(&self.bytes),
            total_bytes: number(&self.total_bytes),
            total_rows: Some(number(&self.total_rows)).filter(|rows| *rows > 0),
            receiving: *lock(&self.receiving),
            call,
            stretches: lock(&self.stretches).clone(),
            first_rows: lock(&self.first_rows).clone(),
            heard_at: time(&self.heard_at).map(UnixMillis),
        }
    }
}

/// Nothing that runs under these locks can leave the data half changed: a panic elsewhere is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn whoever_settles_a_run_stops_its_step_and_waits_for_it() {
        let live = Live::default();
        let run = RunId::from("r".to_owned());
        let progress = live.progress(&run);
        let executions = [progress.begin(), progress.begin()];
        let mut settled = pin!(live.settle(&run, Duration::from_secs(3_600)));
        for execution in executions {
            assert!(poll!(&mut settled).is_pending());
            assert!(progress.is_stopped());
            drop(execution);
        }
        settled.await;
    }

    #[tokio::test]
    async fn a_step_that_does_not_stop_is_not_waited_for_too_long() {
        let live = Live::default();
        let run = RunId::from("r".to_owned());
        let _at_work = live.progress(&run).begin();
        live.settle(&run, Duration::from_millis(1)).await;
    }
}
