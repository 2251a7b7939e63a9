//! The progress of one run while it is unfinished.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{
    ProgressReport, ProgressSnapshot, ReadSince, Receiving,
    changed::{ChangedRuns, level},
    copy_of, lock,
    remote::RemoteWork,
};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    csv::{Counts, FirstRows, ReadAs, Stretches},
    store::executions::Execution,
};

/// Other people's functions may report their progress once a second, and earlier reports are dropped. The
/// limit is a little lower because two reports may get closer together in transit.
pub(super) const REPORTS_APART: Duration = Duration::from_millis(900);

/// How long the call for the next step may take to arrive.
const BETWEEN_STEPS: Duration = Duration::from_secs(5);

/// How long another function may take until its next report.
const BETWEEN_REPORTS: Duration = Duration::from_secs(30);

/// The progress of one run. Counts never decrease while the server runs.
#[derive(Debug, Default)]
pub struct RunProgress {
    pub(super) processed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) total_bytes: AtomicU64,
    /// The total number of rows, as another function reported; 0 while unknown.
    pub(super) total_rows: AtomicU64,
    /// When another function last reported, and when anything was last heard, in unix milliseconds; 0 means
    /// never.
    pub(super) reported_at: AtomicI64,
    pub(super) heard_at: AtomicI64,
    /// The same by a monotonic clock.
    pub(super) heard: Mutex<Option<Instant>>,
    /// Whether the run is watched here, so that other functions may report about it.
    pub(super) accepts_reports: AtomicBool,
    pub(super) receiving: Mutex<Option<Receiving>>,
    pub(super) read_since: Mutex<Option<ReadSince>>,
    pub(super) file_name: Mutex<Option<Arc<str>>>,
    stop: watch::Sender<bool>,
    /// The number of calls that wait for their turn.
    pub(super) waiting: AtomicUsize,
    pub(super) execution: Mutex<Option<Arc<Execution>>>,
    pub(super) stretches: Mutex<Option<Arc<Stretches>>>,
    pub(super) first_rows: Mutex<Option<Arc<FirstRows>>>,
    pub(super) read_as: Mutex<Option<Arc<ReadAs>>>,
    /// The number of active executions of the run's steps.
    pub(super) at_work: watch::Sender<usize>,
    /// What the other replicas do for the run.
    pub(super) remote: watch::Sender<RemoteWork>,
    pub(super) last_call: Mutex<LastCall>,
    /// When this progress was created, or another replica last told something of the run.
    pub(super) touched: Mutex<Option<Instant>>,
    /// What the other replicas do not know yet: one of [`level`].
    change: AtomicU8,
    /// They do not know the first rows, or how the file is read.
    pub(super) is_front_new: AtomicBool,
    /// Where changes are noted. None: nobody is told.
    changed: Option<(RunId, Arc<ChangedRuns>)>,
}

/// Where the execution of a run comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastCall {
    /// The process that told it; None: this one set it.
    pub(super) told_by: Option<u64>,
    /// When it was set, by our own clock.
    pub(super) at: Option<Instant>,
}

/// An active execution of a step, until it is dropped.
#[derive(Debug)]
pub struct ActiveExecution(Arc<RunProgress>);

impl Drop for ActiveExecution {
    fn drop(&mut self) {
        self.0.at_work.send_modify(|executions| *executions -= 1);
        self.0.mark(level::URGENT);
    }
}

/// A call that waits for its turn, until it is dropped.
#[derive(Debug)]
pub struct WaitingCall(Arc<RunProgress>);

impl Drop for WaitingCall {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.mark(level::URGENT);
    }
}

impl RunProgress {
    /// The progress of `run`, whose changes are noted in `changed`, if anybody is told.
    pub(super) fn new(run: &RunId, changed: Option<&Arc<ChangedRuns>>) -> Self {
        Self {
            changed: changed.map(|changed| (run.clone(), Arc::clone(changed))),
            touched: Mutex::new(Some(Instant::now())),
            ..Self::default()
        }
    }

    /// Notes a change that was made here. Must follow the change.
    pub(super) fn mark(&self, level: u8) {
        let Some((run, changed)) = &self.changed else { return };
        let before = self.change.fetch_max(level, Ordering::AcqRel);
        if before == level::NONE {
            changed.put(run);
        }
        if level == level::URGENT && before < level {
            changed.hurry();
        }
    }

    /// The level of the changes that the other replicas do not know yet.
    pub(super) fn change(&self) -> u8 {
        self.change.load(Ordering::Acquire)
    }

    /// The same, and they will be told what is read after this.
    pub(super) fn take_change(&self) -> u8 {
        self.change.swap(level::NONE, Ordering::AcqRel)
    }

    /// Advances the numbers. Smaller ones, from a repeated step, change nothing.
    pub fn advance(&self, counts: Counts, bytes: u64) {
        self.processed.fetch_max(counts.processed, Ordering::Relaxed);
        self.failed.fetch_max(counts.failed, Ordering::Relaxed);
        self.bytes.fetch_max(bytes, Ordering::Relaxed);
        self.hear(UnixMillis::now());
        self.mark(level::CHANGED);
    }

    pub(super) fn report(&self, report: ProgressReport, now: UnixMillis) -> bool {
        let last = self.reported_at.load(Ordering::Relaxed);
        let too_soon = last > 0 && now.since(UnixMillis(last)) < REPORTS_APART;
        // For runs of our own function, reports from holders of an event key are ignored.
        if too_soon || self.is_ours() || !self.accepts_reports.load(Ordering::Relaxed) {
            return false;
        }
        self.reported_at.store(now.0, Ordering::Relaxed);
        self.processed.fetch_max(report.counts.processed, Ordering::Relaxed);
        self.failed.fetch_max(report.counts.failed, Ordering::Relaxed);
        self.total_rows.fetch_max(report.total_rows.unwrap_or(0), Ordering::Relaxed);
        self.hear(now);
        self.mark(level::CHANGED);
        true
    }

    /// Whether our own function was called for the run.
    pub(super) fn is_ours(&self) -> bool {
        lock(&self.execution).is_some()
    }

    fn hear(&self, now: UnixMillis) {
        self.heard_at.fetch_max(now.0, Ordering::Relaxed);
        *lock(&self.heard) = Some(Instant::now());
    }

    pub fn set_total_bytes(&self, bytes: u64) {
        self.total_bytes.store(bytes, Ordering::Relaxed);
        self.mark(level::CHANGED);
    }

    pub fn set_receiving(&self, receiving: Option<Receiving>) {
        *lock(&self.receiving) = receiving;
        self.hear(UnixMillis::now());
        self.mark(level::CHANGED);
    }

    /// Records that a step begins to read after `before`.
    pub fn begin_reading(&self, before: Counts, bytes: u64) {
        let now = ReadSince { at: UnixMillis::now(), rows: before.total(), bytes };
        lock(&self.read_since).get_or_insert(now);
        self.mark(level::CHANGED);
    }

    pub fn set_file_name(&self, name: &str) {
        *lock(&self.file_name) = Some(name.into());
        self.mark(level::CHANGED);
    }

    pub fn set_execution(&self, execution: Execution) {
        if execution.error.is_some() {
            *lock(&self.read_since) = None;
        }
        *lock(&self.last_call) = LastCall { told_by: None, at: Some(Instant::now()) };
        *lock(&self.execution) = Some(Arc::new(execution));
        self.hear(UnixMillis::now());
        self.mark(level::URGENT);
    }

    /// Sets what the finished steps and the active one have read so far. Rows that are read again do not
    /// reduce what was shown.
    pub fn set_stretches(&self, stretches: Stretches) {
        self.show_stretches(stretches);
        self.mark(level::CHANGED);
    }

    pub(super) fn show_stretches(&self, stretches: Stretches) {
        let mut shown = lock(&self.stretches);
        if shown.as_ref().is_none_or(|shown| shown.total().rows <= stretches.total().rows) {
            *shown = Some(Arc::new(stretches));
        }
    }

    /// Sets what the plan of the run says to people: how the file is read, and its first rows.
    pub fn set_plan(&self, read_as: Option<ReadAs>, first_rows: Option<&FirstRows>) {
        if self.show_plan(read_as, first_rows.cloned()) {
            self.is_front_new.store(true, Ordering::Relaxed);
            self.mark(level::CHANGED);
        }
    }

    /// Returns whether any of it is new.
    pub(super) fn show_plan(&self, read_as: Option<ReadAs>, first_rows: Option<FirstRows>) -> bool {
        let (is_read_as_new, is_front_new) =
            (set_once(&self.read_as, read_as), set_once(&self.first_rows, first_rows));
        is_read_as_new || is_front_new
    }

    /// Counts an active step until the returned value is dropped.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> ActiveExecution {
        self.at_work.send_modify(|executions| *executions += 1);
        self.mark(level::URGENT);
        ActiveExecution(Arc::clone(self))
    }

    /// Asks the active step of this process to stop. It checks after each block.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits for a request to stop.
    pub async fn stopped(&self) {
        // The sender is in `self`, so the wait cannot fail.
        let _ = self.stop.subscribe().wait_for(|is_stopped| *is_stopped).await;
    }

    /// Counts a waiting call until the returned value is dropped.
    #[must_use]
    pub fn wait(self: &Arc<Self>) -> WaitingCall {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.mark(level::URGENT);
        WaitingCall(Arc::clone(self))
    }

    pub(super) fn is_at_work_here(&self) -> bool {
        *self.at_work.borrow() > 0
    }

    /// Whether a step is active here, or a call waits here.
    pub(super) fn is_busy_here(&self) -> bool {
        self.is_at_work_here() || self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether a step is active on any replica.
    pub(super) fn is_at_work(&self) -> bool {
        self.is_at_work_here() || self.remote.borrow().is_at_work()
    }

    /// Whether a call waits for its slot and no step is active.
    pub(super) fn is_waiting(&self) -> bool {
        (self.waiting.load(Ordering::Relaxed) > 0 || self.remote.borrow().is_busy()) && !self.is_at_work()
    }

    /// The current time while a call waits, because the wait is known in this process.
    fn waits_as_of(&self) -> Option<UnixMillis> {
        let now = UnixMillis::now();
        self.is_waiting().then_some(UnixMillis(now.0 - now.0.rem_euclid(1_000)))
    }

    pub(super) fn is_active(&self) -> bool {
        let outage = if self.is_ours() { BETWEEN_STEPS } else { BETWEEN_REPORTS };
        self.is_at_work() || lock(&self.heard).is_some_and(|heard| heard.elapsed() < outage)
    }

    #[must_use]
    pub fn now(&self) -> ProgressSnapshot {
        let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let time = |time: &AtomicI64| Some(time.load(Ordering::Relaxed)).filter(|at| *at > 0);
        let execution = copy_of(&self.execution);
        let is_counted = execution.is_some() || time(&self.reported_at).is_some();
        ProgressSnapshot {
            counts: is_counted
                .then(|| Counts { processed: number(&self.processed), failed: number(&self.failed) }),
            bytes: number(&self.bytes),
            total_bytes: number(&self.total_bytes),
            total_rows: Some(number(&self.total_rows)).filter(|rows| *rows > 0),
            receiving: copy_of(&self.receiving),
            read_since: copy_of(&self.read_since),
            file_name: copy_of(&self.file_name),
            execution,
            is_waiting: self.is_waiting(),
            stretches: copy_of(&self.stretches),
            first_rows: copy_of(&self.first_rows),
            read_as: copy_of(&self.read_as),
            heard_at: time(&self.heard_at).map(UnixMillis).max(self.waits_as_of()),
            is_active: self.is_active(),
        }
    }
}

/// Returns whether it was not set yet.
fn set_once<T>(place: &Mutex<Option<Arc<T>>>, value: Option<T>) -> bool {
    let Some(value) = value else { return false };
    let mut place = lock(place);
    let is_new = place.is_none();
    place.get_or_insert_with(|| Arc::new(value));
    is_new
}
