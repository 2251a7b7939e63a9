//! The progress of a run on one replica, as another one has told it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    copy_of, lock,
    messages::{FrontMessage, RunMessage},
    run::{LastCall, RunProgress},
};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    csv::{Counts, Stretches},
    store::executions::Execution,
};

impl RunProgress {
    /// What this process, `from`, tells of `run`, without its stretches.
    pub(super) fn message(&self, from: u64, run: &RunId) -> RunMessage {
        let ago = |at: Instant| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        RunMessage {
            from,
            run: run.clone(),
            is_at_work: self.is_at_work_here(),
            is_waiting: self.waiting.load(Ordering::Relaxed) > 0,
            counts: Counts {
                processed: self.processed.load(Ordering::Relaxed),
                failed: self.failed.load(Ordering::Relaxed),
            },
            bytes: self.bytes.load(Ordering::Relaxed),
            total_bytes: self.total_bytes.load(Ordering::Relaxed),
            total_rows: self.total_rows.load(Ordering::Relaxed),
            reported_at: UnixMillis(self.reported_at.load(Ordering::Relaxed)),
            heard_ago: copy_of(&self.heard).map(ago),
            receiving: copy_of(&self.receiving),
            read_since: copy_of(&self.read_since),
            file_name: copy_of(&self.file_name).map(|name| name.as_ref().to_owned()),
            execution: copy_of(&self.execution).map(Arc::unwrap_or_clone),
            called_ago: copy_of(&self.last_call).at.map(ago),
            stretches: None,
        }
    }

    pub(super) fn current_stretches(&self) -> Option<Arc<Stretches>> {
        copy_of(&self.stretches)
    }

    /// What the plan says, if the other replicas do not know it yet: each part alone, because both together may be too
    /// large.
    pub(super) fn take_front(&self, run: &RunId) -> [Option<FrontMessage>; 2] {
        if !self.is_front_new.swap(false, Ordering::Relaxed) {
            return [None, None];
        }
        let front = |first_rows, read_as| FrontMessage { run: run.clone(), first_rows, read_as };
        let read_as = copy_of(&self.read_as).map(|read_as| front(None, Some(Arc::unwrap_or_clone(read_as))));
        let rows = copy_of(&self.first_rows).map(|rows| front(Some(Arc::unwrap_or_clone(rows)), None));
        [read_as, rows]
    }

    /// Takes what another replica knows and does.
    pub(super) fn mirror(&self, told: RunMessage) {
        let now = UnixMillis::now();
        self.processed.fetch_max(told.counts.processed, Ordering::Relaxed);
        self.failed.fetch_max(told.counts.failed, Ordering::Relaxed);
        self.bytes.fetch_max(told.bytes, Ordering::Relaxed);
        self.total_rows.fetch_max(told.total_rows, Ordering::Relaxed);
        // A clock that is ahead must not hold back the next reports.
        self.reported_at.fetch_max(told.reported_at.min(now).0, Ordering::Relaxed);
        if let Some(ago) = told.heard_ago.map(Duration::from_millis) {
            self.heard_at.fetch_max(now.minus(ago).0, Ordering::Relaxed);
            let mut heard = lock(&self.heard);
            *heard = (*heard).max(Instant::now().checked_sub(ago));
        }
        let (from, is_at_work, is_waiting) = (told.from, told.is_at_work, told.is_waiting);
        if let Some(stretches) = told.stretches {
            self.show_stretches(stretches);
        }
        let called_at =
            told.called_ago.and_then(|ago| Instant::now().checked_sub(Duration::from_millis(ago)));
        if self.is_newest(from, told.execution.as_ref(), called_at) {
            *lock(&self.receiving) = told.receiving;
            *lock(&self.read_since) = told.read_since;
            if let Some(name) = told.file_name {
                *lock(&self.file_name) = Some(name.into());
            }
            if told.total_bytes > 0 {
                self.total_bytes.store(told.total_bytes, Ordering::Relaxed);
            }
            if let Some(execution) = told.execution {
                self.mirror_execution(from, execution, called_at);
            }
        }
        *lock(&self.touched) = Some(Instant::now());
        // Last: who waits for the end of that work reads the counts after it.
        self.remote.send_modify(|remote| remote.note(from, is_at_work, is_waiting));
    }

    /// Whether no later call of the run is known than the one that `from` tells. A replica that is done may tell an
    /// attempt after the next one has begun elsewhere. What one replica tells arrives in order.
    fn is_newest(&self, from: u64, told: Option<&Execution>, called_at: Option<Instant>) -> bool {
        let last = copy_of(&self.last_call);
        let is_same = || told.is_some() && told == copy_of(&self.execution).as_deref();
        !self.is_busy_here() && (last.told_by == Some(from) || called_at >= last.at || is_same())
    }

    fn mirror_execution(&self, from: u64, told: Execution, called_at: Option<Instant>) {
        let mut last = lock(&self.last_call);
        let mut execution = lock(&self.execution);
        // The same, told by several, is as old as the first of them said: each message makes it seem a little younger.
        let is_same = execution.as_deref() == Some(&told);
        *last = LastCall { told_by: Some(from), at: if is_same { last.at } else { called_at } };
        if !is_same {
            *execution = Some(Arc::new(told));
        }
    }

    /// Whether nothing was done here and nothing told for `span`.
    pub(super) fn is_idle_for(&self, span: Duration) -> bool {
        let is_long_ago = copy_of(&self.heard).is_none_or(|heard| heard.elapsed() >= span)
            && copy_of(&self.touched).is_none_or(|touched| touched.elapsed() >= span);
        is_long_ago && !self.is_busy_here() && !self.remote.borrow().is_busy()
    }

    /// Whether there is something to tell of it.
    pub(super) fn is_heard(&self) -> bool {
        self.heard_at.load(Ordering::Relaxed) > 0
    }
}
